//! The figures of one set of outputs, whatever the task.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// A list of a task's own `Figure`s: a name, what it is, whether higher is better, and how it is computed.
macro_rules! figures {
    ($(($name:literal, $about:literal, $higher:literal, $compute:expr)),* $(,)?) => {
        &[$(Figure {
            metric: Metric { name: $name, about: $about, higher_is_better: $higher },
            compute: $compute,
        }),*]
    };
}
pub(in crate::tasks) use figures;

/// The figures of one set of outputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many samples they are over.
    pub samples: usize,
    /// Metric → figure, for every metric that is defined.
    pub figures: BTreeMap<String, f64>,
    /// The metrics that these samples leave undefined.
    pub undefined: Vec<String>,
    /// The metrics that are for samples of another kind, and why: they are not measured, which is told where they are asked for.
    #[serde(skip)]
    pub elsewhere: BTreeMap<String, &'static str>,
    /// What else the task has to say, such as figures by label.
    #[serde(flatten)]
    pub details: Map<String, Value>,
    /// Lines for a log.
    #[serde(skip)]
    pub table: Vec<String>,
}

impl Report {
    /// A report on so many samples, of figures by name; those that are none are undefined.
    #[must_use]
    pub fn new(
        samples: usize,
        figures: impl IntoIterator<Item = (&'static str, Option<f64>)>,
    ) -> Self {
        let mut report = Self {
            samples,
            figures: BTreeMap::new(),
            undefined: Vec::new(),
            elsewhere: BTreeMap::new(),
            details: Map::new(),
            table: Vec::new(),
        };
        for (name, figure) in figures {
            match figure.filter(|figure| figure.is_finite()) {
                Some(figure) => {
                    report.figures.insert(name.into(), figure);
                }
                None => report.undefined.push(name.into()),
            }
        }
        report
    }
}

/// How often what is said is right, by how sure it is said: for each of `bins` bins of probability, which are open below, how many are in
/// it, how sure they are in the mean, and which share of them is right (DeGroot and Fienberg 1983, "The comparison and evaluation of
/// forecasters"). Empty bins are left out.
pub(in crate::tasks) fn reliability(said: impl Iterator<Item = (f64, bool)>, bins: usize) -> Value {
    let mut counts = vec![(0_usize, 0.0, 0_usize); bins];
    for (confidence, is_right) in said {
        let (all, sum, right) = &mut counts[bin(confidence, bins)];
        *all += 1;
        *sum += confidence;
        *right += usize::from(is_right);
    }
    let edge = |edge: usize| float(edge) / float(bins);
    let full = counts.into_iter().enumerate();
    let full = full.filter(|(_, (all, ..))| *all > 0);
    let rows = full.map(|(index, (all, sum, right))| {
        json!({
            "from": edge(index),
            "to": edge(index + 1),
            "samples": all,
            "confidence": sum / float(all),
            "accuracy": float(right) / float(all),
        })
    });
    rows.collect()
}

/// The bin `k` for which `k / bins < confidence <= (k + 1) / bins`.
pub(in crate::tasks) fn bin(confidence: f64, bins: usize) -> usize {
    let edges = (1..bins).map(|edge| float(edge) / float(bins));
    edges.take_while(|edge| confidence > *edge).count()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
fn float(count: usize) -> f64 {
    count as f64
}
