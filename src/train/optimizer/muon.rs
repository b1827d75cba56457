//! Muon.

use burn::tensor::Tensor;

use super::{AdamW, At, Rule, Trained};

/// Muon (Jordan et al. 2024) for the matrices between the first block and the head, [`AdamW`] for everything else: a step is the mean of
/// gradients with its singular values made alike, as `torch.optim.Muon` does with `adjust_lr_fn = "match_rms_adamw"` (Liu et al. 2025,
/// arXiv:2502.16982), so that it takes the learning rates of AdamW. A kernel of a convolution is a matrix with a row for each channel that it
/// makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Muon {
    /// How much of the mean is kept.
    pub momentum: f64,
    /// Whether a step goes where the mean will be.
    pub nesterov: bool,
    /// How often the singular values are brought nearer to 1.
    pub ns_steps: u32,
    /// What moves everything else.
    pub others: AdamW,
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            momentum: 0.95,
            nesterov: true,
            ns_steps: 5,
            others: AdamW::default(),
        }
    }
}

/// The coefficients of the iteration of Newton and Schulz.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];

/// The least length by which a step is divided.
const EPSILON: f64 = 1e-7;

impl Muon {
    /// `matrix` with singular values near 1.
    fn alike(&self, matrix: Tensor<2>) -> Tensor<2> {
        let [rows, columns] = matrix.dims();
        let length = matrix.clone().powi_scalar(2).sum().sqrt();
        let mut x = matrix / length.clamp_min(EPSILON).reshape([1, 1]);
        if rows > columns {
            x = x.transpose();
        }
        let [a, b, c] = COEFFICIENTS;
        for _ in 0..self.ns_steps {
            let gram = x.clone().matmul(x.clone().transpose());
            let more = gram.clone().mul_scalar(b) + gram.clone().matmul(gram).mul_scalar(c);
            x = x.clone().mul_scalar(a) + more.matmul(x);
        }
        if rows > columns { x.transpose() } else { x }
    }
}

impl Rule for Muon {
    fn rows(&self, at: &At<'_>) -> &'static [&'static str] {
        if at.hidden {
            &["momentum"]
        } else {
            self.others.rows(at)
        }
    }

    fn step(
        &self,
        at: &At<'_>,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        rows: &mut [Tensor<1>],
    ) -> Tensor<1> {
        if !at.hidden {
            return self.others.step(at, weights, gradient, rows);
        }
        let difference = gradient.clone() - rows[0].clone();
        rows[0] = rows[0].clone() + difference.mul_scalar(1.0 - self.momentum);
        let towards = if self.nesterov {
            gradient.clone() + (rows[0].clone() - gradient).mul_scalar(self.momentum)
        } else {
            rows[0].clone()
        };
        let size = weights.dims()[0];
        let height = at.shape[0];
        let width = size / height.max(1);
        let towards = self.alike(towards.reshape([height, width])).reshape([size]);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let rate = at.rate * 0.2 * (height.max(width) as f64).sqrt();
        weights.mul_scalar(at.shrink()) - towards.mul_scalar(rate)
    }

    fn pass(&self, at: &At<'_>) -> Option<super::Pass> {
        if at.hidden {
            None
        } else {
            self.others.pass(at)
        }
    }

    fn told(&self, parameters: &[Trained]) -> Option<String> {
        let matrices = parameters.iter().filter(|known| known.hidden).count();
        let all = parameters.len();
        Some(match matrices {
            0 => "Muon finds no matrix between the first block and the head among what trains: AdamW moves all of it".to_string(),
            _ => format!(
                "Muon moves {matrices} of {all} parameters, the matrices between the first block and the head; AdamW moves the others"
            ),
        })
    }
}
