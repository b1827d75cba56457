//! What the features of a sample are: a vector for each token, a map, or one vector.

use burn::tensor::{Device, Tensor, TensorData};

use super::numbers;
use crate::error::{Error, Result};
use crate::models::Activations;
use crate::train::{Inputs, Samples};

/// What the features of a sample are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    shape: Shape,
    /// Numbers in a vector.
    pub(super) width: usize,
}

/// What a sample comes to.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A vector for each of its tokens: texts are of many lengths.
    ByToken,
    /// So many vectors that see each other, such as those of an image's patches and of the tokens before them.
    Row(usize),
    /// One vector that is a map of an image: channels, height and width.
    Map([usize; 3]),
    /// One vector.
    Whole,
}

impl Form {
    /// The form of what a block gives for a batch of `samples`.
    pub(super) fn of(activations: &Activations, samples: &Samples) -> Self {
        let (shape, width) = match activations {
            Activations::Hidden { states, .. } => {
                let [_, vectors, width] = states.dims();
                match samples.inputs {
                    Inputs::Texts(_) | Inputs::Rewritten(_) => (Shape::ByToken, width),
                    Inputs::Images(_) => (Shape::Row(vectors), width),
                }
            }
            Activations::Map(map) => {
                let [_, channels, height, width] = map.dims();
                let shape = [channels, height, width];
                (Shape::Map(shape), shape.iter().product())
            }
            Activations::Pooled(vectors) | Activations::Logits(vectors) => {
                (Shape::Whole, vectors.dims()[1])
            }
            Activations::Tokens(_) | Activations::Images(_) => {
                unreachable!("no block gives a network's input")
            }
        };
        Self { shape, width }
    }

    /// How many vectors a view comes to.
    pub(super) fn vectors(self, samples: &Samples, view: usize) -> usize {
        match self.shape {
            Shape::ByToken => samples.length(view),
            Shape::Row(vectors) => vectors,
            Shape::Map(_) | Shape::Whole => 1,
        }
    }

    /// The numbers of what a block gave for a batch whose samples come to so many `vectors` each: sample by sample, without padding.
    ///
    /// # Errors
    /// Activations that hold another number of vectors, which no feature may hide.
    pub(super) fn unpadded(self, activations: Activations, vectors: &[usize]) -> Result<Vec<f32>> {
        let (data, found) = match activations {
            Activations::Hidden { states, mask } => (states.into_data(), tokens(mask)),
            Activations::Pooled(rows) | Activations::Logits(rows) => {
                let found = vec![1; rows.dims()[0]];
                (rows.into_data(), found)
            }
            Activations::Map(map) => {
                let found = vec![1; map.dims()[0]];
                (map.into_data(), found)
            }
            Activations::Tokens(_) | Activations::Images(_) => {
                unreachable!("no block gives a network's input")
            }
        };
        if found != vectors {
            return Err(Error::stage(format!(
                "the frozen layers give {found:?} vectors for the samples of a batch, and not {vectors:?}"
            ))
            .help("this is a defect of refire; `feature_cache_max = \"0B\"` makes do without what it would keep"));
        }
        let data = numbers(&data);
        let row = data.len() / vectors.len().max(1);
        let rows = vectors.iter().enumerate();
        let rows = rows.map(|(sample, vectors)| &data[sample * row..][..vectors * self.width]);
        Ok(rows.collect::<Vec<_>>().concat())
    }

    /// The vectors of the samples of a batch as the activations that the next block takes.
    pub(super) fn batch(self, samples: &[&[f32]], device: &Device) -> Activations {
        let count = samples.len();
        let rows = |shape: Vec<usize>| TensorData::new(samples.concat(), shape);
        match self.shape {
            Shape::ByToken | Shape::Row(_) => self.hidden(samples, device),
            Shape::Map([channels, height, width]) => {
                let data = rows(vec![count, channels, height, width]);
                Activations::Map(Tensor::from_data(data, device))
            }
            Shape::Whole => {
                let data = rows(vec![count, self.width]);
                Activations::Pooled(Tensor::from_data(data, device))
            }
        }
    }

    /// Fills shorter samples up to the longest one, with zeros that the mask leaves out.
    fn hidden(self, samples: &[&[f32]], device: &Device) -> Activations {
        let width = self.width;
        let tokens = samples.iter().map(|numbers| numbers.len() / width).max();
        let tokens = tokens.unwrap_or(0);
        let mut states = vec![0.0; samples.len() * tokens * width];
        let mut mask = vec![0.0_f32; samples.len() * tokens];
        for (row, numbers) in samples.iter().enumerate() {
            states[row * tokens * width..][..numbers.len()].copy_from_slice(numbers);
            mask[row * tokens..][..numbers.len() / width].fill(1.0);
        }
        let states = TensorData::new(states, [samples.len(), tokens, width]);
        let mask = TensorData::new(mask, [samples.len(), tokens]);
        Activations::Hidden {
            states: Tensor::from_data(states, device),
            mask: Tensor::from_data(mask, device),
        }
    }
}

/// How many tokens of each sample are no padding, by the mask `[batch, tokens]`.
fn tokens(mask: Tensor<2>) -> Vec<usize> {
    let [batch, tokens] = mask.dims();
    let mask = mask.into_data();
    let mask = numbers(&mask);
    let count = |sample: usize| {
        let row = &mask[sample * tokens..][..tokens];
        row.iter().filter(|mark| **mark != 0.0).count()
    };
    (0..batch).map(count).collect()
}
