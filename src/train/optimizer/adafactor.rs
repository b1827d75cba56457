//! Adafactor.

use burn::tensor::Tensor;

use super::{At, Rule, root_mean_square};

/// Adafactor (Shazeer and Stern 2018, arXiv:1804.04235) at a learning rate that is given, as transformers' Trainer has it: of a matrix it
/// keeps the means of squared gradients by row and by column alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adafactor {
    /// A step of a parameter is made smaller where the root of the mean of its squares is above this.
    pub clip_threshold: f64,
    /// The power of the number of steps by which the means forget, below 0.
    pub decay_rate: f64,
}

impl Default for Adafactor {
    fn default() -> Self {
        Self {
            clip_threshold: 1.0,
            decay_rate: -0.8,
        }
    }
}

/// What is added to squares.
const EPSILON: f64 = 1e-30;

/// Matrices that the last two dimensions make, their rows and columns; none for a vector.
fn matrices(shape: &[usize]) -> Option<[usize; 3]> {
    match shape {
        [earlier @ .., rows, columns] => Some([earlier.iter().product(), *rows, *columns]),
        _ => None,
    }
}

impl Rule for Adafactor {
    fn rows(&self, at: &At<'_>) -> &'static [&'static str] {
        match matrices(at.shape) {
            Some(_) => &["row", "column"],
            None => &["second"],
        }
    }

    fn length(&self, name: &str, at: &At<'_>) -> usize {
        match (matrices(at.shape), name) {
            (Some([count, rows, _]), "row") => count * rows,
            (Some([count, _, columns]), "column") => count * columns,
            _ => at.shape.iter().product(),
        }
    }

    fn step(
        &self,
        at: &At<'_>,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        rows: &mut [Tensor<1>],
    ) -> Tensor<1> {
        let kept = 1.0 - f64::from(at.steps).powf(self.decay_rate);
        let move_on = |mean: &mut Tensor<1>, squares: Tensor<1>| {
            *mean = mean.clone().mul_scalar(kept) + squares.mul_scalar(1.0 - kept);
        };
        let squares = gradient.clone().powi_scalar(2).add_scalar(EPSILON);
        let size: usize = at.shape.iter().product();
        let towards = match (matrices(at.shape), rows) {
            (Some(shape @ [count, height, width]), [row, column]) => {
                let squares = squares.reshape(shape);
                move_on(row, squares.clone().mean_dim(2).reshape([count * height]));
                move_on(column, squares.mean_dim(1).reshape([count * width]));
                let row = row.clone().reshape([count, height, 1]);
                let row = (row.clone() / row.mean_dim(1)).sqrt();
                let column = column.clone().reshape([count, 1, width]).sqrt();
                (gradient.reshape(shape) / row / column).reshape([size])
            }
            (_, rows) => {
                move_on(&mut rows[0], squares);
                gradient / rows[0].clone().sqrt()
            }
        };
        let too_large = root_mean_square(towards.clone()).div_scalar(self.clip_threshold);
        let towards = towards / too_large.clamp_min(1.0);
        weights.mul_scalar(at.shrink()) - towards.mul_scalar(at.rate)
    }
}
