//! Figures of entities, as seqeval has them: an entity is right if its type and all its words are. A ratio whose denominator is 0 is 0.

use std::collections::BTreeMap;

use serde_json::json;

use super::scheme::{Found, Scheme, Tag, lenient};
use crate::tasks::Report;
use crate::tasks::report::figures;
use crate::train::Metric;

/// A metric, and how it is computed.
pub(super) struct Figure {
    pub(super) metric: Metric,
    compute: fn(&Measured) -> Option<f64>,
}

/// By this figure epochs that are equally good are told apart.
pub(super) static LOG_LOSS: Metric = Metric {
    name: "log_loss",
    about: "mean negative log-likelihood of the words' tags",
    higher_is_better: false,
};

/// Every metric, in the order of documentation.
#[rustfmt::skip]
pub(super) static METRICS: &[Figure] = figures![
    ("f1", "F1 over entities", true, |all| Some(all.lenient.all().f1())),
    ("precision", "precision over entities", true, |all| Some(all.lenient.all().precision())),
    ("recall", "recall over entities", true, |all| Some(all.lenient.all().recall())),
    ("macro_f1", "mean F1 over the types of entities", true, |all| Some(all.lenient.macro_f1())),
    ("strict_f1", "F1 over entities that keep to the scheme", true, |all| Some(all.strict.all().f1())),
    ("strict_precision", "precision over entities that keep to the scheme", true, |all| Some(all.strict.all().precision())),
    ("strict_recall", "recall over entities that keep to the scheme", true, |all| Some(all.strict.all().recall())),
    ("accuracy", "share of words with the right tag", true, |all| all.accuracy()),
    ("log_loss", "mean negative log-likelihood of the words' tags", false, |all| all.log_loss()),
];

/// How many entities were right, and how.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hits: u64,
    /// Entities that were said.
    said: u64,
    /// Entities that are there.
    there: u64,
}

impl Counts {
    fn precision(self) -> f64 {
        ratio(self.hits, self.said)
    }

    fn recall(self) -> f64 {
        ratio(self.hits, self.there)
    }

    fn f1(self) -> f64 {
        ratio(2 * self.hits, self.said + self.there)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of words stay far below 2^53"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// The entities of all texts by their types.
#[derive(Debug, Default)]
struct ByType(BTreeMap<String, Counts>);

impl ByType {
    fn add(&mut self, said: &[Found<'_>], there: &[Found<'_>]) {
        for entity in said {
            let counts = self.of(entity);
            counts.said += 1;
            counts.hits += u64::from(there.contains(entity));
        }
        for entity in there {
            self.of(entity).there += 1;
        }
    }

    fn of(&mut self, entity: &Found<'_>) -> &mut Counts {
        self.0.entry(entity.kind.to_owned()).or_default()
    }

    fn all(&self) -> Counts {
        let sum = |of: fn(&Counts) -> u64| self.0.values().map(of).sum();
        Counts {
            hits: sum(|counts| counts.hits),
            said: sum(|counts| counts.said),
            there: sum(|counts| counts.there),
        }
    }

    fn macro_f1(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "there are few types")]
        let types = self.0.len().max(1) as f64;
        self.0.values().map(|counts| counts.f1()).sum::<f64>() / types
    }
}

/// What a model says of the words of texts whose tags are known.
#[derive(Debug)]
pub(super) struct Measured {
    scheme: Scheme,
    lenient: ByType,
    strict: ByType,
    texts: usize,
    words: u64,
    right: u64,
    /// The sum of the negative log-likelihoods, and over how many words.
    log_loss: (f64, u64),
}

impl Measured {
    /// Nothing yet, of tags of this scheme.
    pub(super) fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            lenient: ByType::default(),
            strict: ByType::default(),
            texts: 0,
            words: 0,
            right: 0,
            log_loss: (0.0, 0),
        }
    }

    /// Adds a text: the tags that the model says and those that are true.
    pub(super) fn add(&mut self, said: &[Tag<'_>], truth: &[Tag<'_>]) {
        self.texts += 1;
        self.words += truth.len() as u64;
        let right = said.iter().zip(truth).filter(|(said, truth)| said == truth);
        self.right += right.count() as u64;
        self.lenient.add(&lenient(said), &lenient(truth));
        let strict = |tags| self.scheme.strict(tags);
        self.strict.add(&strict(said), &strict(truth));
    }

    /// Adds the probability that the model gives to the tag of a word.
    pub(super) fn add_probability(&mut self, probability: f64) {
        // As scikit-learn's `log_loss` does for 64-bit floats, so that no figure is infinite.
        self.log_loss.0 -= probability.max(f64::EPSILON).ln();
        self.log_loss.1 += 1;
    }

    fn accuracy(&self) -> Option<f64> {
        (self.words > 0).then(|| ratio(self.right, self.words))
    }

    /// The mean of those that were added; none of none.
    pub(super) fn log_loss(&self) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of words stay far below 2^53"
        )]
        let words = self.log_loss.1 as f64;
        (self.log_loss.1 > 0).then(|| self.log_loss.0 / words)
    }

    /// All figures.
    pub(super) fn report(&self) -> Report {
        let figures = METRICS.iter();
        let figures = figures.map(|known| (known.metric.name, (known.compute)(self)));
        let mut report = Report::new(self.texts, figures);
        let types = self.lenient.0.iter().map(|(kind, counts)| {
            let strict = self.strict.0.get(kind).copied().unwrap_or_default();
            let figures = json!({
                "precision": counts.precision(),
                "recall": counts.recall(),
                "f1": counts.f1(),
                "strict_precision": strict.precision(),
                "strict_recall": strict.recall(),
                "strict_f1": strict.f1(),
                "support": counts.there,
            });
            (kind.clone(), figures)
        });
        report.details.insert(
            "types".into(),
            types.collect::<serde_json::Map<_, _>>().into(),
        );
        report.table = self.table();
        report
    }

    /// The table by type, one line each, for a log.
    fn table(&self) -> Vec<String> {
        let width = self.lenient.0.keys().map(|kind| kind.chars().count());
        let width = width.max().unwrap_or(0).max("type".len());
        let header = format!("{:width$}  precision  recall      f1  support", "type");
        let lines = self.lenient.0.iter().map(|(kind, counts)| {
            format!(
                "{kind:width$}  {:9.4}  {:6.4}  {:6.4}  {:7}",
                counts.precision(),
                counts.recall(),
                counts.f1(),
                counts.there
            )
        });
        std::iter::once(header).chain(lines).collect()
    }
}
