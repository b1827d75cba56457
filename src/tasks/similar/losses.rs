//! Losses of embeddings, as sentence-transformers' `CosineSimilarityLoss`, `MultipleNegativesRankingLoss` (and its symmetric form) and
//! `TripletLoss`.

use std::collections::HashMap;

use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vectors::{cosines, distances, normalised};
use crate::error::{Error, Result};
use crate::train::{Compared, Loss, Targets};

/// The mean squared difference between the cosine of a pair and its score.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CosineSimilarity;

/// The mean cross-entropy of finding a text's partner among the second texts and negatives of the batch (Henderson et al. 2017,
/// arXiv:1705.00652). What is the same text as the first one or its partner is no candidate, and neither is another partner of the same
/// text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranking {
    /// What cosines are divided by.
    pub(super) temperature: f64,
    /// Whether second texts look for first ones, too, and both count half.
    pub(super) symmetric: bool,
    /// How many texts go through the network at a time; none for all of a batch.
    pub(super) piece: Option<usize>,
}

/// The mean of how much less than `margin` a text is closer to its partner than to a negative (Schroff et al. 2015, arXiv:1503.03832).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Triplets {
    /// What measures how far texts are from each other.
    pub(super) distance: Measure,
    /// How much closer a partner is to be.
    pub(super) margin: f64,
}

/// What measures how far texts are from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    /// The length of the difference of their embeddings.
    #[default]
    Euclidean,
    /// 1 less the cosine of the angle between them.
    Cosine,
}

/// What a score is set to that is not to count: the softmax of anything beside it is 0.
const OUT: f64 = -1e9;

/// The embeddings of the samples' first texts, of their second ones, and so on.
fn members(outputs: &Tensor<2>, compared: &Compared) -> Vec<Tensor<2>> {
    let (samples, members) = (compared.len(), compared.members);
    let [_, width] = outputs.dims();
    let by_sample = outputs.clone().reshape([samples, members * width]);
    let member = |member: usize| {
        let own = member * width..(member + 1) * width;
        by_sample.clone().slice([0..samples, own])
    };
    (0..members).map(member).collect()
}

#[expect(clippy::cast_precision_loss, reason = "batches are small")]
fn float(count: usize) -> f32 {
    count as f32
}

impl Loss for CosineSimilarity {
    fn weight(&self, targets: &Targets) -> f32 {
        float(targets.len())
    }

    fn sees_lengths(&self) -> bool {
        false
    }

    fn sum(&self, outputs: Tensor<2>, targets: &Targets, total: f32) -> Tensor<1> {
        let compared = targets.compared();
        let texts = members(&outputs, compared);
        let scores = TensorData::new(compared.scores.clone(), [compared.len(), 1]);
        let scores = Tensor::from_data(scores, &outputs.device());
        let apart = cosines(texts[0].clone(), texts[1].clone()) - scores;
        (apart.clone() * apart).sum() / total
    }
}

impl Loss for Ranking {
    fn weight(&self, targets: &Targets) -> f32 {
        float(targets.len())
    }

    fn sees_lengths(&self) -> bool {
        false
    }

    fn piece(&self) -> Option<usize> {
        self.piece
    }

    fn look(&self, train: &Targets, batch_size: usize) -> Result<Vec<String>> {
        let compared = train.compared();
        let samples = compared.len();
        if compared.members == 2 && (batch_size == 1 || samples == 1) {
            let why = if samples == 1 {
                "there is one pair to train on".to_string()
            } else {
                "`batch_size` is 1".to_string()
            };
            return Err(Error::stage(format!(
                "{why}, so that no pair has a negative: nothing can be learnt"
            ))
            .help("texts of other pairs in a batch are the negatives: set a larger `batch_size`, or name `negative_columns`")
            .naming(&["batch_size", "negative_columns"]));
        }
        let mut told = Vec::new();
        if compared.members == 2 && samples % batch_size == 1 {
            told.push(format!(
                "the last batch of each epoch holds one pair, for which there is no negative: it teaches nothing, since {samples} pairs \
                 make batches of {batch_size} and one more"
            ));
        }
        let repeated = repeated(compared);
        if repeated > 0 {
            told.push(format!(
                "{repeated} of {samples} pairs have a text that another one has too: equal texts, and partners of equal texts, are no \
                 negatives of each other"
            ));
        }
        let twins = compared.iter().filter(|texts| texts[0] == texts[1]).count();
        if twins > 0 {
            told.push(format!(
                "{twins} of {samples} pairs are the same text twice, which only dropout tells apart"
            ));
        }
        Ok(told)
    }

    fn sum(&self, outputs: Tensor<2>, targets: &Targets, total: f32) -> Tensor<1> {
        let compared = targets.compared();
        let samples = compared.len();
        let device = outputs.device();
        let mut texts = members(&outputs, compared).into_iter().map(normalised);
        let Some(first) = texts.next() else {
            panic!("a sample has texts");
        };
        let others = Tensor::cat(texts.collect(), 0);
        let scores = first.matmul(others.transpose()) / self.temperature;
        let scores = match equals(compared) {
            None => scores,
            Some(equal) => {
                let all = samples * (compared.members - 1);
                let equal = Tensor::<2>::from_data(TensorData::new(equal, [samples, all]), &device);
                scores + equal * OUT
            }
        };
        let forward = own(log_softmax(scores.clone(), 1), &device);
        let found = if self.symmetric {
            let back = scores.slice([0..samples, 0..samples]).transpose();
            (forward + own(log_softmax(back, 1), &device)) / 2.0
        } else {
            forward
        };
        -found / total
    }
}

/// The sum of what stands in row i and column i.
fn own(rows: Tensor<2>, device: &Device) -> Tensor<1> {
    let [samples, _] = rows.dims();
    let places: Vec<i64> = (0_i64..).take(samples).collect();
    let places = Tensor::<2, Int>::from_data(TensorData::new(places, [samples, 1]), device);
    rows.gather(1, places).sum()
}

/// How many samples have a text that another one has.
fn repeated(compared: &Compared) -> usize {
    let mut samples: HashMap<u32, (usize, bool)> = HashMap::new();
    for (sample, texts) in compared.iter().enumerate() {
        for text in texts {
            let (first, again) = samples.entry(*text).or_insert((sample, false));
            *again |= *first != sample;
        }
    }
    let is_repeated = |texts: &&[u32]| texts.iter().any(|text| samples[text].1);
    compared.iter().filter(is_repeated).count()
}

/// For each first text and each candidate, partners before negatives, 1 where that is no negative because the texts are equal;
/// `[samples × candidates]`. None if there is no such case.
fn equals(compared: &Compared) -> Option<Vec<f32>> {
    let (samples, members) = (compared.len(), compared.members);
    let mut seen = std::collections::HashSet::new();
    if compared.texts.iter().all(|text| seen.insert(*text)) {
        return None;
    }
    let texts: Vec<&[u32]> = compared.iter().collect();
    let mut equal = vec![0.0; samples * samples * (members - 1)];
    let rows = equal.chunks_exact_mut(samples * (members - 1));
    for (sample, row) in rows.enumerate() {
        let (first, partner) = (texts[sample][0], texts[sample][1]);
        for member in 1..members {
            let block = &mut row[(member - 1) * samples..member * samples];
            for (other, equal) in block.iter_mut().enumerate() {
                let is_own = other == sample && member == 1;
                let text = texts[other][member];
                let is_partner = member == 1 && texts[other][0] == first;
                if !is_own && (text == first || text == partner || is_partner) {
                    *equal = 1.0;
                }
            }
        }
    }
    Some(equal)
}

impl Loss for Triplets {
    fn weight(&self, targets: &Targets) -> f32 {
        let compared = targets.compared();
        float(compared.len() * (compared.members - 2))
    }

    fn sees_lengths(&self) -> bool {
        self.distance == Measure::Euclidean
    }

    fn sum(&self, outputs: Tensor<2>, targets: &Targets, total: f32) -> Tensor<1> {
        let texts = members(&outputs, targets.compared());
        let apart = |other: &Tensor<2>| {
            let (first, other) = (texts[0].clone(), other.clone());
            match self.distance {
                Measure::Euclidean => distances(first, other),
                Measure::Cosine => -cosines(first, other) + 1.0,
            }
        };
        let partner = apart(&texts[1]);
        let short = texts[2..]
            .iter()
            .map(|negative| relu(partner.clone() - apart(negative) + self.margin).sum());
        let sum = short.reduce(|sum, more| sum + more);
        sum.expect("a triplet has a negative") / total
    }
}

#[cfg(test)]
mod tests;
