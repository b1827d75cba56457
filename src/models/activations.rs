//! What flows through a network.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};

/// A batch of token ids.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// Token ids, `[batch, tokens]`, filled up with the padding token.
    pub ids: Tensor<2, Int>,
    /// 1 for a token, 0 for padding; `[batch, tokens]`.
    pub mask: Tensor<2>,
    /// The type of each token, `[batch, tokens]`: which text of a pair it is of. None if all are of type 0.
    pub types: Option<Tensor<2, Int>>,
}

impl TokenBatch {
    /// Texts as token ids, special tokens included, the shorter ones filled up with `pad_id`. All tokens are of type 0.
    #[must_use]
    pub fn new(texts: &[&[u32]], pad_id: u32, device: &Device) -> Self {
        let width = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let shape = [texts.len(), width];
        let mut mask = vec![0.0_f32; texts.len() * width];
        for (row, text) in texts.iter().enumerate() {
            let start = row * width;
            mask[start..start + text.len()].fill(1.0);
        }
        Self {
            ids: rows(texts.iter().copied(), pad_id, shape, device),
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
            types: None,
        }
    }

    /// The same with a type for each token: samples as token ids and their types. Padding is of type 0, and so are tokens for which
    /// no type is given.
    ///
    /// # Panics
    /// If a sample has more types than tokens.
    #[must_use]
    pub fn with_types(samples: &[(&[u32], &[u32])], pad_id: u32, device: &Device) -> Self {
        let texts: Vec<&[u32]> = samples.iter().map(|(ids, _)| *ids).collect();
        let batch = Self::new(&texts, pad_id, device);
        let all = || samples.iter().map(|(_, types)| *types);
        assert!(
            texts
                .iter()
                .zip(all())
                .all(|(ids, types)| types.len() <= ids.len()),
            "a type for each token"
        );
        let types = all()
            .flatten()
            .any(|of_token| *of_token != 0)
            .then(|| rows(all(), 0, batch.ids.dims(), device));
        Self { types, ..batch }
    }
}

/// Rows of numbers, `shape`, the shorter ones filled up with `filling`.
fn rows<'a>(
    numbers: impl Iterator<Item = &'a [u32]>,
    filling: u32,
    shape: [usize; 2],
    device: &Device,
) -> Tensor<2, Int> {
    let [samples, width] = shape;
    let mut filled = vec![i64::from(filling); samples * width];
    for (row, numbers) in numbers.enumerate() {
        let start = row * width;
        for (column, number) in numbers.iter().enumerate() {
            filled[start + column] = i64::from(*number);
        }
    }
    Tensor::from_data(TensorData::new(filled, shape), device)
}

/// What flows from block to block.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once a batch, and a box would be in everybody's way"
)]
pub enum Activations {
    /// The input of a text network.
    Tokens(TokenBatch),
    /// A vector a token.
    Hidden {
        /// `[batch, tokens, width]`.
        states: Tensor<3>,
        /// 1 for a token, 0 for padding; `[batch, tokens]`.
        mask: Tensor<2>,
    },
    /// The input of an image network: `[batch, 3, height, width]`, normalised.
    Images(Tensor<4>),
    /// A vector for every place of an image: `[batch, channels, height, width]`.
    Map(Tensor<4>),
    /// One vector a sample: `[batch, width]`.
    Pooled(Tensor<2>),
    /// One number a label: `[batch, labels]`.
    Logits(Tensor<2>),
}

impl Activations {
    /// Of a vector a token those of the tokens at `places` of each sample, sample by sample, a row each: `[rows, width]`.
    ///
    /// # Panics
    /// If these are no vectors a token, or if a sample has no such token.
    #[must_use]
    pub fn at(self, places: &[Vec<u32>]) -> Self {
        let Self::Hidden { states, .. } = self else {
            panic!("these activations are no vectors of tokens");
        };
        let [samples, tokens, width] = states.dims();
        assert_eq!(samples, places.len(), "places for each sample");
        let rows = places.iter().enumerate().flat_map(|(sample, places)| {
            places.iter().map(move |place| {
                let place = *place as usize;
                assert!(place < tokens, "a sample has no token {place}");
                i64::try_from(sample * tokens + place).expect("batches are small")
            })
        });
        let rows: Vec<i64> = rows.collect();
        let count = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &states.device());
        Self::Pooled(states.reshape([samples * tokens, width]).select(0, rows))
    }

    /// How many samples they are of; of samples of several texts, how many texts.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Tokens(batch) => batch.ids.dims()[0],
            Self::Hidden { states, .. } => states.dims()[0],
            Self::Images(rows) | Self::Map(rows) => rows.dims()[0],
            Self::Pooled(rows) | Self::Logits(rows) => rows.dims()[0],
        }
    }

    /// Where they are.
    #[must_use]
    pub fn device(&self) -> Device {
        match self {
            Self::Tokens(batch) => batch.ids.device(),
            Self::Hidden { states, .. } => states.device(),
            Self::Images(rows) | Self::Map(rows) => rows.device(),
            Self::Pooled(rows) | Self::Logits(rows) => rows.device(),
        }
    }

    /// Those of some of the rows.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn take(&self, rows: Range<usize>) -> Self {
        match self {
            Self::Tokens(TokenBatch { ids, mask, types }) => Self::Tokens(TokenBatch {
                ids: ids.clone().slice(rows.clone()),
                mask: mask.clone().slice(rows.clone()),
                types: types.clone().map(|types| types.slice(rows)),
            }),
            Self::Hidden { states, mask } => Self::Hidden {
                states: states.clone().slice(rows.clone()),
                mask: mask.clone().slice(rows),
            },
            Self::Images(images) => Self::Images(images.clone().slice(rows)),
            Self::Map(map) => Self::Map(map.clone().slice(rows)),
            Self::Pooled(vectors) => Self::Pooled(vectors.clone().slice(rows)),
            Self::Logits(logits) => Self::Logits(logits.clone().slice(rows)),
        }
    }

    /// The logits `[batch, labels]`.
    ///
    /// # Panics
    /// If these are the activations of an earlier block.
    #[must_use]
    pub fn into_logits(self) -> Tensor<2> {
        match self {
            Self::Logits(logits) => logits,
            _ => panic!("these activations are not the last block's"),
        }
    }
}
