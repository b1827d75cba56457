//! What flows through a network.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// A batch of token ids.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// Token ids, `[batch, tokens]`, filled up with the padding token.
    pub ids: Tensor<2, Int>,
    /// 1 for a token, 0 for padding; `[batch, tokens]`.
    pub mask: Tensor<2>,
    /// The types of the tokens, `[batch, tokens]`, which tell a pair's second text from its first; none if all are of the first.
    pub types: Option<Tensor<2, Int>>,
}

impl TokenBatch {
    /// Texts as token ids, special tokens included, the shorter ones filled up with `pad_id`.
    #[must_use]
    pub fn new(texts: &[&[u32]], pad_id: u32, device: &Device) -> Self {
        let width = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let shape = [texts.len(), width];
        let mut ids = vec![i64::from(pad_id); texts.len() * width];
        let mut mask = vec![0.0_f32; texts.len() * width];
        for (row, text) in texts.iter().enumerate() {
            let start = row * width;
            for (column, id) in text.iter().enumerate() {
                ids[start + column] = i64::from(*id);
            }
            mask[start..start + text.len()].fill(1.0);
        }
        Self {
            ids: Tensor::<2, Int>::from_data(TensorData::new(ids, shape), device),
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
            types: None,
        }
    }

    /// The same batch with a type for each token; what is filled up is of type 0.
    #[must_use]
    pub fn with_types(self, types: &[&[u32]], device: &Device) -> Self {
        let [batch, width] = self.ids.dims();
        let mut filled = vec![0_i64; batch * width];
        for (row, types) in types.iter().enumerate() {
            for (column, of_token) in types.iter().enumerate() {
                filled[row * width + column] = i64::from(*of_token);
            }
        }
        let data = TensorData::new(filled, [batch, width]);
        Self {
            types: Some(Tensor::from_data(data, device)),
            ..self
        }
    }
}

/// What flows from block to block.
#[derive(Clone, Debug)]
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
