//! Figures of embeddings: correlations of cosines with scores, and how well texts find those that belong to them. Definitions and names are
//! those of sentence-transformers' `EmbeddingSimilarityEvaluator`, `InformationRetrievalEvaluator` and `TripletEvaluator`.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde_json::json;

use crate::tasks::{Report, rank};
use crate::train::{Compared, Metric};

macro_rules! metrics {
    ($(($name:literal, $about:literal)),* $(,)?) => {
        &[$(Metric { name: $name, about: $about, higher_is_better: true }),*]
    };
}

/// Every metric, in the order of documentation.
#[rustfmt::skip]
pub(super) static METRICS: &[Metric] = metrics![
    ("spearman_cosine", "Spearman's correlation of cosines with scores; 0 where one side is constant"),
    ("pearson_cosine", "Pearson's correlation of cosines with scores; 0 where one side is constant"),
    ("ndcg@10", "discounted gain of the ten texts that are found first, as a share of the most that it can be"),
    ("mrr@10", "mean of 1 / rank of the first right text; 0 where none is among ten"),
    ("accuracy@1", "share of texts that find a right one first"),
    ("accuracy@10", "share of texts that find a right one among ten"),
    ("recall@1", "share of the right texts that are found first"),
    ("recall@5", "share of the right texts that are among five"),
    ("recall@10", "share of the right texts that are among ten"),
    ("cosine_accuracy", "share of triplets whose texts belong closer together than text and negative"),
];

/// Where these metrics are among all.
pub(super) const SPEARMAN: usize = 0;
pub(super) const PEARSON: usize = 1;
pub(super) const NDCG: usize = 2;

const OF_SCORES: &[&str] = &["spearman_cosine", "pearson_cosine"];
const OF_TRIPLETS: &[&str] = &["cosine_accuracy"];

/// How many texts are looked at.
const MOST: usize = 10;

/// Texts that look for others at the same time: what is in memory is their cosines with all candidates.
const QUERIES: usize = 256;

/// All figures that suit the samples, whose texts have embeddings of one size, text by text.
pub(super) fn report(outputs: &[f32], compared: &Compared) -> Report {
    let width = outputs.len() / compared.texts.len().max(1);
    let rows = Rows {
        numbers: normalised(outputs, width),
        width,
    };
    if !compared.scores.is_empty() {
        return of_scores(&rows, compared);
    }
    of_pairs(&rows, compared)
}

/// Vectors of one width.
struct Rows {
    numbers: Vec<f32>,
    width: usize,
}

impl Rows {
    fn row(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.width..][..self.width]
    }

    fn cosine(&self, one: usize, other: usize) -> f64 {
        let products = self.row(one).iter().zip(self.row(other));
        products
            .map(|(one, other)| f64::from(*one) * f64::from(*other))
            .sum()
    }

    /// Some of the rows as a tensor.
    fn take(&self, rows: &[usize], device: &Device) -> Tensor<2> {
        let numbers = rows.iter().flat_map(|row| self.row(*row)).copied();
        let data = TensorData::new(numbers.collect::<Vec<f32>>(), [rows.len(), self.width]);
        Tensor::from_data(data, device)
    }
}

/// Rows of the length 1; a row of zeros stays one.
fn normalised(numbers: &[f32], width: usize) -> Vec<f32> {
    let mut rows = numbers.to_vec();
    rows.par_chunks_mut(width.max(1)).for_each(|row| {
        let squares = row.iter().map(|number| f64::from(*number).powi(2));
        let length = squares.sum::<f64>().sqrt().max(1e-12);
        for number in row {
            #[expect(clippy::cast_possible_truncation, reason = "embeddings are f32")]
            let shorter = (f64::from(*number) / length) as f32;
            *number = shorter;
        }
    });
    rows
}

fn of_scores(rows: &Rows, compared: &Compared) -> Report {
    let pairs = 0..compared.len();
    let cosine = |pair: usize| {
        let first = pair * compared.members;
        rows.cosine(first, first + 1)
    };
    let found: Vec<f64> = pairs.map(cosine).collect();
    let truth: Vec<f64> = compared
        .scores
        .iter()
        .map(|score| f64::from(*score))
        .collect();
    let defined = !truth.is_empty();
    let [spearman, pearson] =
        [rank::spearman, rank::pearson].map(|compute| compute(&found, &truth));
    let figures = [
        (OF_SCORES[0], defined.then_some(spearman)),
        (OF_SCORES[1], defined.then_some(pearson)),
    ];
    let mut report = Report::new(compared.len(), figures);
    let why = "it is for texts that belong together, and these have scores";
    leave_out(&mut report, |name| !OF_SCORES.contains(&name), why);
    report.table.push(format!(
        "spearman_cosine {spearman:.4}  pearson_cosine {pearson:.4}"
    ));
    report
}

fn leave_out(report: &mut Report, which: impl Fn(&str) -> bool, why: &'static str) {
    let names = METRICS.iter().map(|metric| metric.name);
    let names = names.filter(|name| which(name));
    report
        .elsewhere
        .extend(names.map(|name| (name.to_string(), why)));
}

fn of_pairs(rows: &Rows, compared: &Compared) -> Report {
    let search = Search::new(compared);
    let found = search.run(rows);
    let defined = !search.queries.is_empty();
    let mean = |figure: &dyn Fn(&Found, &BTreeSet<usize>) -> f64| {
        let all = found.iter().zip(&search.right);
        let sum: f64 = all.map(|(found, right)| figure(found, right)).sum();
        defined.then(|| sum / float(found.len()))
    };
    let hits = |found: &Found, right: &BTreeSet<usize>, most: usize| {
        let hit = |document: &&usize| right.contains(document);
        found.iter().take(most).filter(hit).count()
    };
    let accuracy = |most| {
        mean(&move |found, right| {
            if hits(found, right, most) > 0 {
                1.0
            } else {
                0.0
            }
        })
    };
    let recall = |most| {
        mean(&move |found, right| float(hits(found, right, most)) / float(right.len().max(1)))
    };
    let mut figures = vec![
        ("ndcg@10", mean(&ndcg)),
        ("mrr@10", mean(&reciprocal_rank)),
        ("accuracy@1", accuracy(1)),
        ("accuracy@10", accuracy(MOST)),
        ("recall@1", recall(1)),
        ("recall@5", recall(5)),
        ("recall@10", recall(MOST)),
    ];
    if compared.members > 2 {
        figures.push((OF_TRIPLETS[0], defined.then(|| triplets(rows, compared))));
    }
    let mut report = Report::new(compared.len(), figures);
    let why = "it is for pairs with scores: name `target_column`";
    leave_out(&mut report, |name| OF_SCORES.contains(&name), why);
    if compared.members <= 2 {
        let why = "it is for texts with negatives, and there are no `negative_columns`";
        leave_out(&mut report, |name| OF_TRIPLETS.contains(&name), why);
    }
    let (queries, documents) = (search.queries.len(), search.documents.len());
    report.details.insert("queries".into(), json!(queries));
    report.details.insert("documents".into(), json!(documents));
    report
        .table
        .push(format!("{queries} texts look for theirs among {documents}"));
    let line = report.figures.iter();
    let line = line.map(|(name, figure)| format!("{name} {figure:.4}"));
    report.table.push(line.collect::<Vec<_>>().join("  "));
    report
}

/// The share of triplets whose first two texts are closer together than the first and the negative; each negative makes a triplet.
fn triplets(rows: &Rows, compared: &Compared) -> f64 {
    let members = compared.members;
    let mut right = 0;
    for sample in 0..compared.len() {
        let first = sample * members;
        let partner = rows.cosine(first, first + 1);
        let is_closer = |member: &usize| partner > rows.cosine(first, first + member);
        right += (2..members).filter(is_closer).count();
    }
    float(right) / float(compared.len() * (members - 2))
}

/// The documents that are closest to a query, the closest first.
type Found = Vec<usize>;

/// Distinct first texts that look for those that belong to them among the distinct other texts of all samples.
struct Search {
    /// A row of each distinct first text.
    queries: Vec<usize>,
    /// A row of each distinct other text.
    documents: Vec<usize>,
    /// The documents that belong to each query.
    right: Vec<BTreeSet<usize>>,
}

impl Search {
    fn new(compared: &Compared) -> Self {
        let mut search = Self {
            queries: Vec::new(),
            documents: Vec::new(),
            right: Vec::new(),
        };
        let (mut queries, mut documents) = (BTreeMap::new(), BTreeMap::new());
        for (sample, texts) in compared.iter().enumerate() {
            let row = sample * compared.members;
            let query = *queries.entry(texts[0]).or_insert_with(|| {
                search.queries.push(row);
                search.right.push(BTreeSet::new());
                search.queries.len() - 1
            });
            for (member, text) in texts.iter().enumerate().skip(1) {
                let document = *documents.entry(*text).or_insert_with(|| {
                    search.documents.push(row + member);
                    search.documents.len() - 1
                });
                if member == 1 {
                    search.right[query].insert(document);
                }
            }
        }
        search
    }

    /// What each query finds.
    fn run(&self, rows: &Rows) -> Vec<Found> {
        if self.documents.is_empty() || rows.width == 0 {
            return vec![Vec::new(); self.queries.len()];
        }
        let device = Device::flex();
        let documents = rows.take(&self.documents, &device).transpose();
        let groups = self.queries.chunks(QUERIES).flat_map(|queries| {
            let cosines = rows.take(queries, &device).matmul(documents.clone());
            let cosines = cosines.into_data();
            let cosines: &[f32] = cosines.as_slice().expect("cosines are f32");
            let closest = cosines.par_chunks_exact(self.documents.len());
            closest.map(closest_of).collect::<Vec<_>>()
        });
        groups.collect()
    }
}

/// The places of the largest numbers, the largest first; of equal ones the earlier.
fn closest_of(cosines: &[f32]) -> Found {
    let mut found: Vec<usize> = Vec::with_capacity(MOST + 1);
    for (document, cosine) in cosines.iter().enumerate() {
        let is_full = found.len() == MOST;
        if is_full && found.last().is_some_and(|last| cosines[*last] >= *cosine) {
            continue;
        }
        let place = found.partition_point(|other| cosines[*other] >= *cosine);
        found.insert(place, document);
        found.truncate(MOST);
    }
    found
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

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
