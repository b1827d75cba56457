//! What figures of embeddings are made of, sample by sample, so that those of some of the samples take no second search.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, MOST, OF_SCORES, OF_TRIPLETS, Rows, Search, float};
use crate::tasks::rank;
use crate::train::Compared;

/// What samples come to.
pub(in crate::tasks::similar) enum Prepared {
    /// They have scores: the cosine of each, and its score.
    Scores { found: Vec<f64>, truth: Vec<f64> },
    /// Their texts belong together.
    Pairs {
        /// Among how many texts is searched.
        documents: usize,
        /// The figures of each text that looks for others, in the order of [`OF_QUERIES`].
        by_query: Vec<[f64; OF_QUERIES.len()]>,
        /// The text of each sample that looks for others.
        queries: Vec<usize>,
        /// The share of each sample's negatives that are further away; empty where there are none.
        triplets: Vec<f64>,
    },
}

/// The figures that are means over the texts that look for others.
const OF_QUERIES: [&str; 7] = [
    "ndcg@10",
    "mrr@10",
    "accuracy@1",
    "accuracy@10",
    "recall@1",
    "recall@5",
    "recall@10",
];

impl Prepared {
    /// The samples with these embeddings, text by text.
    pub(in crate::tasks::similar) fn new(outputs: &[f32], compared: &Compared) -> Self {
        let rows = Rows::new(outputs, compared);
        let samples = 0..compared.len();
        if !compared.scores.is_empty() {
            let scores = compared.scores.iter();
            return Self::Scores {
                found: samples
                    .map(|sample| rows.cosine_of(sample, compared))
                    .collect(),
                truth: scores.map(|score| f64::from(*score)).collect(),
            };
        }
        let search = Search::new(compared);
        let found = search.run(&rows);
        let by_query = found.iter().zip(&search.right);
        let with_negatives = samples.filter(|_| compared.members > 2);
        Self::Pairs {
            documents: search.documents.len(),
            by_query: by_query
                .map(|(found, right)| of_query(found, right))
                .collect(),
            queries: search.of_samples,
            triplets: with_negatives
                .map(|sample| triplets(&rows, sample, compared))
                .collect(),
        }
    }

    /// The figures of all samples: texts that look for others count once, however many samples have them.
    pub(super) fn of_all(&self) -> Vec<(&'static str, Option<f64>)> {
        match self {
            Self::Scores { found, .. } => self.named(&(0..found.len()).collect::<Vec<_>>()),
            Self::Pairs {
                by_query, triplets, ..
            } => of_pairs(by_query.iter(), triplets.iter()),
        }
    }

    /// The figures of the samples that `chosen` names.
    fn named(&self, chosen: &[usize]) -> Vec<(&'static str, Option<f64>)> {
        match self {
            Self::Scores { found, truth } => {
                let of = |numbers: &[f64]| -> Vec<f64> {
                    chosen.iter().map(|sample| numbers[*sample]).collect()
                };
                let (found, truth) = (of(found), of(truth));
                let computed =
                    [rank::spearman, rank::pearson].map(|compute| compute(&found, &truth));
                let defined = !truth.is_empty();
                let figures = OF_SCORES.iter().zip(computed);
                figures
                    .map(|(name, figure)| (*name, defined.then_some(figure)))
                    .collect()
            }
            Self::Pairs {
                by_query,
                queries,
                triplets,
                ..
            } => {
                let of_queries = chosen.iter().map(|sample| &by_query[queries[*sample]]);
                let triplets = chosen.iter().filter_map(|sample| triplets.get(*sample));
                of_pairs(of_queries, triplets)
            }
        }
    }

    /// The same by name, without those that are undefined.
    pub(in crate::tasks::similar) fn figures(&self, chosen: &[usize]) -> BTreeMap<String, f64> {
        let named = self.named(chosen).into_iter();
        let defined = named.filter_map(|(name, figure)| Some((name.to_string(), figure?)));
        defined.collect()
    }
}

fn of_pairs<'f>(
    of_queries: impl ExactSizeIterator<Item = &'f [f64; OF_QUERIES.len()]>,
    triplets: impl Iterator<Item = &'f f64>,
) -> Vec<(&'static str, Option<f64>)> {
    let count = of_queries.len();
    let mut sums = [0.0; OF_QUERIES.len()];
    for figures in of_queries {
        sums.iter_mut()
            .zip(figures)
            .for_each(|(sum, figure)| *sum += figure);
    }
    let means = sums.map(|sum| (count > 0).then(|| sum / float(count)));
    let mut figures: Vec<_> = OF_QUERIES.into_iter().zip(means).collect();
    let triplets: Vec<f64> = triplets.copied().collect();
    if !triplets.is_empty() {
        let mean = triplets.iter().sum::<f64>() / float(triplets.len());
        figures.push((OF_TRIPLETS[0], Some(mean)));
    }
    figures
}

/// The figures of one text that found these, of which so many are right.
fn of_query(found: &Found, right: &BTreeSet<usize>) -> [f64; OF_QUERIES.len()] {
    let hits = |most: usize| {
        let hit = |document: &&usize| right.contains(document);
        found.iter().take(most).filter(hit).count()
    };
    let accuracy = |most| if hits(most) > 0 { 1.0 } else { 0.0 };
    let recall = |most| float(hits(most)) / float(right.len().max(1));
    [
        ndcg(found, right),
        reciprocal_rank(found, right),
        accuracy(1),
        accuracy(MOST),
        recall(1),
        recall(5),
        recall(MOST),
    ]
}

/// The share of a sample's negatives that are further from its first text than the second text is.
fn triplets(rows: &Rows, sample: usize, compared: &Compared) -> f64 {
    let members = compared.members;
    let first = sample * members;
    let partner = rows.cosine(first, first + 1);
    let is_closer = |member: &usize| partner > rows.cosine(first, first + member);
    float((2..members).filter(is_closer).count()) / float(members - 2)
}

/// 1 / rank of the first right document; 0 if none is found.
fn reciprocal_rank(found: &Found, right: &BTreeSet<usize>) -> f64 {
    let first = found.iter().position(|document| right.contains(document));
    first.map_or(0.0, |place| 1.0 / float(place + 1))
}

/// Discounted cumulative gain (Järvelin and Kekäläinen 2002) with a gain of 1 for each right document, as a share of the most that it
/// can be.
fn ndcg(found: &Found, right: &BTreeSet<usize>) -> f64 {
    let gain = |place: usize| 1.0 / float(place + 2).log2();
    let hits = found.iter().enumerate();
    let hits = hits.filter(|(_, document)| right.contains(document));
    let gained: f64 = hits.map(|(place, _)| gain(place)).sum();
    let most: f64 = (0..right.len().min(MOST)).map(gain).sum();
    if most == 0.0 { 0.0 } else { gained / most }
}
