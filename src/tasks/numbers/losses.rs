//! Losses of numbers, as `torch.nn.MSELoss`, `L1Loss` and `HuberLoss`: means over samples and numbers.

use burn::tensor::{Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::train::{Loss, Targets};

/// What is made small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Distance {
    /// The mean of the squared differences.
    #[default]
    Mse,
    /// The mean of the absolute differences.
    Mae,
    /// Half the square of differences below `huber_delta`, and a line from there on.
    Huber,
}

/// The mean of a distance over samples and numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MeanDistance {
    pub(super) distance: Distance,
    /// From where on Huber's distance is a line.
    pub(super) delta: f64,
}

impl Loss for MeanDistance {
    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    fn weight(&self, targets: &Targets) -> f32 {
        targets.rows().numbers.len() as f32
    }

    fn sum(&self, outputs: Tensor<2>, targets: &Targets, total: f32) -> Tensor<1> {
        let rows = targets.rows();
        let data = TensorData::new(rows.numbers.clone(), [rows.len(), rows.width]);
        let difference = outputs.clone() - Tensor::from_data(data, &outputs.device());
        let sum = match self.distance {
            Distance::Mse => difference.clone() * difference,
            Distance::Mae => difference.abs(),
            Distance::Huber => {
                let apart = difference.abs();
                let near = apart.clone().clamp_max(self.delta);
                near.clone() * (apart - near * 0.5)
            }
        };
        sum.sum() / total
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::train::Rows;

    #[test]
    fn losses_are_means() {
        let targets = Targets::Numbers(Rows {
            width: 1,
            numbers: vec![0.0, 1.0, 5.0],
        });
        // Apart by 0.5, 0 and 3.
        for (distance, expected) in [
            (Distance::Mse, (0.25 + 9.0) / 3.0),
            (Distance::Mae, 3.5 / 3.0),
            (Distance::Huber, (0.125 + 2.5) / 3.0),
        ] {
            let loss = MeanDistance {
                distance,
                delta: 1.0,
            };
            let outputs = Tensor::<1>::from_floats([0.5, 1.0, 2.0], &Device::flex());
            let found = loss.sum(outputs.reshape([3, 1]), &targets, loss.weight(&targets));
            let found: f32 = found.into_scalar();
            assert!((found - expected).abs() < 1e-6, "{distance:?}: {found}");
        }
    }
}
