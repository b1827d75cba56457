//! What the features of a sample are: a vector for each token, a map, or one vector.

use burn::tensor::{Device, Tensor, TensorData};

use crate::models::Activations;
use crate::train::Samples;

/// What the features of a sample are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// One vector for each token; otherwise one in all.
    pub(super) by_token: bool,
    /// Numbers in a vector.
    pub(super) width: usize,
    /// Channels, height and width, if the vector is a map of an image.
    map: Option<[usize; 3]>,
}

impl Form {
    /// The form of what a block gives.
    pub(super) fn of(activations: &Activations) -> Self {
        let whole = |width, map| Self {
            by_token: false,
            width,
            map,
        };
        match activations {
            Activations::Hidden { states, .. } => Self {
                by_token: true,
                ..whole(states.dims()[2], None)
            },
            Activations::Map(map) => {
                let [_, channels, height, width] = map.dims();
                whole(channels * height * width, Some([channels, height, width]))
            }
            Activations::Pooled(vectors) | Activations::Logits(vectors) => {
                whole(vectors.dims()[1], None)
            }
            Activations::Tokens(_) | Activations::Images(_) => {
                unreachable!("no block gives a network's input")
            }
        }
    }

    /// How many vectors a sample comes to.
    pub(super) fn vectors(self, samples: &Samples, sample: usize) -> usize {
        if self.by_token {
            samples.length(sample)
        } else {
            1
        }
    }

    /// The numbers of what a block gave, sample by sample.
    pub(super) fn data(activations: Activations) -> TensorData {
        match activations {
            Activations::Hidden { states, .. } => states.into_data(),
            Activations::Pooled(vectors) | Activations::Logits(vectors) => vectors.into_data(),
            Activations::Map(map) => map.into_data(),
            Activations::Tokens(_) | Activations::Images(_) => {
                unreachable!("no block gives a network's input")
            }
        }
    }

    /// The vectors of the samples of a batch as the activations that the next block takes.
    pub(super) fn batch(self, samples: &[&[f32]], device: &Device) -> Activations {
        if self.by_token {
            return self.hidden(samples, device);
        }
        let rows = samples.concat();
        match self.map {
            None => {
                let data = TensorData::new(rows, [samples.len(), self.width]);
                Activations::Pooled(Tensor::from_data(data, device))
            }
            Some([channels, height, width]) => {
                let data = TensorData::new(rows, [samples.len(), channels, height, width]);
                Activations::Map(Tensor::from_data(data, device))
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
