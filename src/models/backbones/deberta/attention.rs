//! Disentangled attention (He et al., arXiv:2006.03654): what a token says of another depends on both of their contents, and on the content of
//! each and how far the other is away. Distances are grouped as in DeBERTa v2 and v3 (arXiv:2111.09543).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::super::transformer::linear;
use super::config::DebertaConfig;
use crate::models::adapters::adapted;
use crate::models::cpu::operations::{attention, dropout};

/// Attention as far as the linear layer after it. The fields are named as Hugging Face's.
#[derive(Module, Debug)]
pub(super) struct Disentangled {
    query_proj: Linear,
    key_proj: Linear,
    value_proj: Linear,
    /// Of distances, where those have projections of their own.
    pos_key_proj: Option<Linear>,
    pos_query_proj: Option<Linear>,
    dropout: Dropout,
    pos_dropout: Dropout,
    heads: usize,
    /// Whether the content of the asking token is compared with distances, and whether that of the other token is.
    #[module(skip)]
    compares: [bool; 2],
    #[module(skip)]
    distances: Option<Distances>,
}

/// How distances are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Distances {
    /// How many groups there are in each direction; their table has twice as many rows.
    pub(super) span: usize,
    /// In how many buckets, and up to which distance these grow; none for a group for each distance.
    pub(super) buckets: Option<(usize, usize)>,
}

impl Disentangled {
    /// With nothing in its weights yet.
    pub(super) fn new(config: &DebertaConfig, device: &Device) -> Self {
        let width = config.hidden_size;
        let layer = || linear(width, width, device);
        let compares = [config.compares("c2p"), config.compares("p2c")];
        let distances = config.distances();
        let has_own = distances.is_some() && !config.share_att_key;
        Self {
            query_proj: layer(),
            key_proj: layer(),
            value_proj: layer(),
            pos_key_proj: (has_own && compares[0]).then(layer),
            pos_query_proj: (has_own && compares[1]).then(layer),
            dropout: DropoutConfig::new(config.attention_probs_dropout_prob).init(),
            pos_dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
            heads: config.num_attention_heads,
            compares,
            distances,
        }
    }

    /// `[batch, tokens, width]` → the same; what `mask`, `[batch, tokens]`, is 0 for is left out. `of_distances` are the vectors of
    /// distances, `[2 · span, width]`.
    pub(super) fn forward(
        &self,
        states: Tensor<3>,
        mask: &Tensor<2>,
        of_distances: Option<Tensor<2>>,
    ) -> Tensor<3> {
        let [batch, tokens, width] = states.dims();
        let query = self.split(adapted(&self.query_proj, states.clone()));
        let key = self.split(adapted(&self.key_proj, states.clone()));
        let value = self.split(adapted(&self.value_proj, states));
        let mut scores = query.clone().matmul(key.clone().transpose());
        if let (Some(distances), Some(vectors)) = (self.distances, of_distances) {
            let vectors = dropout(&self.pos_dropout, vectors);
            let [content, position] = self.compares;
            if content {
                let project = self.pos_key_proj.as_ref().unwrap_or(&self.key_proj);
                let near = self.at(&distances, tokens, project, vectors.clone(), 1);
                scores = scores + skew(query.matmul(near.transpose()));
            }
            if position {
                let project = self.pos_query_proj.as_ref().unwrap_or(&self.query_proj);
                let near = self.at(&distances, tokens, project, vectors, -1);
                scores = scores + skew(key.matmul(near.transpose())).transpose();
            }
        }
        let parts = 1 + self.compares.iter().filter(|compares| **compares).count();
        #[expect(clippy::cast_precision_loss, reason = "the width of a head is small")]
        let scale = ((width / self.heads * parts) as f64).sqrt().recip();
        let weights = dropout(&self.dropout, attention(scores, mask.clone(), scale));
        weights
            .matmul(value)
            .swap_dims(1, 2)
            .reshape([batch, tokens, width])
    }

    /// `[batch, tokens, width]` → `[batch, heads, tokens, width of a head]`.
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, width] = x.dims();
        x.reshape([batch, tokens, self.heads, width / self.heads])
            .swap_dims(1, 2)
    }

    /// What `project` makes of the vectors of the distances that tokens have, from the first token's to the last one to the other way
    /// round: `[1, heads, 2 · tokens - 1, width of a head]`. A distance counts forward or, where `sign` is -1, backward.
    fn at(
        &self,
        distances: &Distances,
        tokens: usize,
        project: &Linear,
        vectors: Tensor<2>,
        sign: i64,
    ) -> Tensor<4> {
        let device = vectors.device();
        let rows = distances.rows(tokens, sign);
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [2 * tokens - 1]), &device);
        let projected = adapted(project, vectors.unsqueeze::<3>());
        self.split(projected.select(1, rows))
    }
}

impl Distances {
    /// The rows of the table for the distances from a query at the last place to a key at the first, down to the other way round, times
    /// `sign`.
    fn rows(&self, tokens: usize, sign: i64) -> Vec<i64> {
        let last = i64::try_from(tokens).unwrap_or(i64::MAX) - 1;
        let span = i64::try_from(self.span).unwrap_or(i64::MAX);
        let row = |distance: i64| {
            let group = sign * self.group(distance);
            group
                .saturating_add(span)
                .clamp(0, span.saturating_mul(2) - 1)
        };
        (-last..=last).rev().map(row).collect()
    }

    /// The group of a distance: itself as long as it is short, then one that grows with its logarithm, to the bound of the longest.
    pub(super) fn group(&self, distance: i64) -> i64 {
        let Some((buckets, longest)) = self.buckets else {
            return distance;
        };
        let middle = buckets / 2;
        let length = distance.unsigned_abs();
        if length <= middle as u64 {
            return distance;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "as torch does it in f32: distances are those of tokens"
        )]
        let group = {
            let (length, half) = (length as f32, middle as f32);
            let most = ((longest - 1) as f64 / middle as f64) as f32;
            ((length / half).ln() / most.ln() * (half - 1.0)).ceil() + half
        };
        #[expect(clippy::cast_possible_truncation, reason = "groups are few")]
        let group = group as i64;
        group * distance.signum()
    }
}

/// Scores of each token and each distance, `[batch, heads, tokens, 2 · tokens - 1]`, where the place `tokens - 1 + other - token` is that of
/// the token `other` → `[batch, heads, tokens, tokens]`. Rows are moved against each other by writing them one after another with a number
/// more, and reading them with a number less (arXiv:1809.04281, section 3.4.1).
fn skew(scores: Tensor<4>) -> Tensor<4> {
    let [batch, heads, tokens, places] = scores.dims();
    let more = Tensor::zeros([batch, heads, tokens, 1], &scores.device());
    let row = Tensor::cat(vec![scores, more], 3).reshape([batch, heads, tokens * (places + 1)]);
    let start = tokens - 1;
    row.slice([0..batch, 0..heads, start..start + tokens * places])
        .reshape([batch, heads, tokens, places])
        .slice([0..batch, 0..heads, 0..tokens, 0..tokens])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_scores_are_moved_to_the_tokens_that_they_are_of() {
        const TOKENS: usize = 4;
        // The score of a token and a distance is `100 · token + distance`, which is not below 0 for what is read.
        let places = 2 * TOKENS - 1;
        let scores = (0..TOKENS).flat_map(|token| {
            (0..places).map(move |place| {
                let numbers = [token, place].map(|number| i16::try_from(number).expect("small"));
                f32::from(100 * numbers[0] + numbers[1]) - 3.0
            })
        });
        let data = TensorData::new(scores.collect::<Vec<f32>>(), [1, 1, TOKENS, places]);
        let moved = skew(Tensor::from_data(data, &Device::flex())).into_data();
        let moved: Vec<f32> = moved.try_to_vec().expect("f32");
        let expected = (0..4_i16).flat_map(|token| {
            (0..4_i16).map(move |other| f32::from(100 * token + (other - token)))
        });
        assert_eq!(moved, expected.collect::<Vec<f32>>());
    }

    #[test]
    fn groups_of_distances_are_those_of_transformers() {
        #[derive(serde::Deserialize)]
        struct Reference {
            deberta_buckets: Vec<Known>,
        }

        #[derive(serde::Deserialize)]
        struct Known {
            buckets: usize,
            longest: usize,
            /// From the most negative distance on.
            groups: Vec<i64>,
        }

        let json = include_str!("../../../../tests/reference/text.json");
        let reference: Reference = serde_json::from_str(json).expect("make_text.py made it");
        assert!(!reference.deberta_buckets.is_empty());
        for known in reference.deberta_buckets {
            let distances = Distances {
                span: known.buckets,
                buckets: Some((known.buckets, known.longest)),
            };
            let far = i64::try_from(known.groups.len() / 2).expect("small");
            let ours: Vec<i64> = (-far..=far)
                .map(|distance| distances.group(distance))
                .collect();
            assert_eq!(ours, known.groups, "{distances:?}");
        }
    }
}
