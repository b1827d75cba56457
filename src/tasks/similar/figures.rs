//! Figures of embeddings: correlations of cosines with scores, and how well texts find those that belong to them. Definitions and names are
//! those of sentence-transformers' `EmbeddingSimilarityEvaluator`, `InformationRetrievalEvaluator` and `TripletEvaluator`.

mod prepared;

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde_json::json;

pub(super) use self::prepared::Prepared;

use crate::tasks::Report;
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
    let prepared = Prepared::new(outputs, compared);
    let mut report = Report::new(compared.len(), prepared.of_all());
    match &prepared {
        Prepared::Scores { .. } => {
            let why = "it is for texts that belong together, and these have scores";
            leave_out(&mut report, |name| !OF_SCORES.contains(&name), why);
        }
        Prepared::Pairs {
            documents,
            by_query,
            triplets,
            ..
        } => {
            let why = "it is for pairs with scores: name `target_column`";
            leave_out(&mut report, |name| OF_SCORES.contains(&name), why);
            if triplets.is_empty() {
                let why = "it is for texts with negatives, and there are no `negative_columns`";
                leave_out(&mut report, |name| OF_TRIPLETS.contains(&name), why);
            }
            let (queries, documents) = (by_query.len(), *documents);
            report.details.insert("queries".into(), json!(queries));
            report.details.insert("documents".into(), json!(documents));
            report
                .table
                .push(format!("{queries} texts look for theirs among {documents}"));
        }
    }
    let line = report.figures.iter();
    let line = line.map(|(name, figure)| format!("{name} {figure:.4}"));
    report.table.push(line.collect::<Vec<_>>().join("  "));
    report
}

/// The cosine of the first two texts of each sample.
pub(super) fn cosines(outputs: &[f32], compared: &Compared) -> Vec<f32> {
    let rows = Rows::new(outputs, compared);
    #[expect(clippy::cast_possible_truncation, reason = "embeddings are f32")]
    let cosine = |sample: usize| rows.cosine_of(sample, compared) as f32;
    (0..compared.len()).map(cosine).collect()
}

/// Vectors of one width.
struct Rows {
    numbers: Vec<f32>,
    width: usize,
}

impl Rows {
    fn new(outputs: &[f32], compared: &Compared) -> Self {
        let width = outputs.len() / compared.texts.len().max(1);
        Self {
            numbers: normalised(outputs, width),
            width,
        }
    }

    fn cosine_of(&self, sample: usize, compared: &Compared) -> f64 {
        let first = sample * compared.members;
        self.cosine(first, first + 1)
    }

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

fn leave_out(report: &mut Report, which: impl Fn(&str) -> bool, why: &'static str) {
    let names = METRICS.iter().map(|metric| metric.name);
    let names = names.filter(|name| which(name));
    report
        .elsewhere
        .extend(names.map(|name| (name.to_string(), why)));
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
    /// The query of each sample.
    of_samples: Vec<usize>,
}

impl Search {
    fn new(compared: &Compared) -> Self {
        let mut search = Self {
            queries: Vec::new(),
            documents: Vec::new(),
            right: Vec::new(),
            of_samples: Vec::new(),
        };
        let (mut queries, mut documents) = (BTreeMap::new(), BTreeMap::new());
        for (sample, texts) in compared.iter().enumerate() {
            let row = sample * compared.members;
            let query = *queries.entry(texts[0]).or_insert_with(|| {
                search.queries.push(row);
                search.right.push(BTreeSet::new());
                search.queries.len() - 1
            });
            search.of_samples.push(query);
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

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
