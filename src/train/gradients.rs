//! The gradients of one step: plain numbers in the memory of the host where the host computes, else where they were made.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Gradients as BurnGradients, Tensor, TensorData};
use rayon::prelude::*;

/// How many numbers one thread takes at a time. Sums are made piece by piece, so their bits depend on it and not on the threads.
pub(super) const PIECE: usize = 1 << 15;

/// A gradient for each parameter that the loss depends on and that trains.
#[derive(Debug, Default)]
pub struct Gradients {
    by_parameter: BTreeMap<ParamId, Gradient>,
}

/// The gradient of one parameter.
#[derive(Debug)]
pub(super) enum Gradient {
    /// In the memory of the host.
    Host(TensorData),
    /// Flat, on another device.
    Device(Tensor<1>),
}

impl Gradient {
    /// Its `size` numbers on `device`.
    pub(super) fn on(&self, size: usize, device: &Device) -> Tensor<1> {
        match self {
            Self::Host(data) => {
                let flat = TensorData::new(numbers(data).to_vec(), [size]);
                Tensor::from_data(flat, device)
            }
            Self::Device(tensor) => tensor.clone(),
        }
    }

    /// Adds that of another part of the same step.
    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Host(sum), Self::Host(more)) => numbers_mut(sum)
                .par_chunks_mut(PIECE)
                .zip(numbers(&more).par_chunks(PIECE))
                .for_each(|(sum, more)| {
                    for (sum, more) in sum.iter_mut().zip(more) {
                        *sum += more;
                    }
                }),
            (sum, more) => {
                let (size, device) = match sum {
                    Self::Host(data) => (data.num_elements(), Device::flex()),
                    Self::Device(tensor) => (tensor.dims()[0], tensor.device()),
                };
                *sum = Self::Device(sum.on(size, &device) + more.on(size, &device));
            }
        }
    }

    fn sum_of_squares(&self) -> f64 {
        match self {
            Self::Host(data) => {
                let pieces = numbers(data).par_chunks(PIECE).map(sum_of_squares);
                pieces.collect::<Vec<_>>().iter().sum()
            }
            Self::Device(tensor) => {
                f64::from(tensor.clone().powi_scalar(2).sum().into_scalar::<f32>())
            }
        }
    }
}

impl Gradients {
    /// Takes the gradients of `network`'s parameters out of what `backward` gave.
    #[must_use]
    pub fn new(network: &impl Module, from: BurnGradients) -> Self {
        let mut collector = Collector {
            from,
            gradients: Self::default(),
        };
        network.visit(&mut collector);
        collector.gradients
    }

    /// Adds the gradients of another part of the same step.
    pub(super) fn add(&mut self, other: Self) {
        for (id, data) in other.by_parameter {
            match self.by_parameter.get_mut(&id) {
                None => {
                    self.by_parameter.insert(id, data);
                }
                Some(sum) => sum.add(data),
            }
        }
    }

    /// The length of all gradients as one vector (the global norm of `torch.nn.utils.clip_grad_norm_`), in double precision and in
    /// an order that depends on the network alone.
    #[must_use]
    pub(super) fn norm(&self, order: impl IntoIterator<Item = ParamId>) -> f64 {
        let squares = order
            .into_iter()
            .filter_map(|id| self.by_parameter.get(&id))
            .map(Gradient::sum_of_squares);
        squares.sum::<f64>().sqrt()
    }

    /// The parameters that have a gradient.
    pub fn parameters(&self) -> impl Iterator<Item = ParamId> {
        self.by_parameter.keys().copied()
    }

    /// The gradient of one parameter, row by row; none where it is on another device than the host.
    #[must_use]
    pub fn get(&self, id: ParamId) -> Option<&[f32]> {
        match self.by_parameter.get(&id)? {
            Gradient::Host(data) => Some(numbers(data)),
            Gradient::Device(_) => None,
        }
    }

    /// The gradient of one parameter.
    pub(super) fn of(&self, id: ParamId) -> Option<&Gradient> {
        self.by_parameter.get(&id)
    }
}

/// Eight sums side by side, so that the compiler can use vector instructions without changing the order of additions.
fn sum_of_squares(numbers: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (rows, rest) = numbers.as_chunks::<8>();
    for row in rows {
        for (sum, number) in sums.iter_mut().zip(row) {
            let number = f64::from(*number);
            *sum += number * number;
        }
    }
    let rest = rest.iter().map(|number| f64::from(*number).powi(2));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

struct Collector {
    from: BurnGradients,
    gradients: Gradients,
}

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = parameter.val().grad_remove(&mut self.from) {
            let gradient = if gradient.device() == Device::flex() {
                Gradient::Host(gradient.into_data())
            } else {
                let size = gradient.shape().num_elements();
                Gradient::Device(gradient.reshape([size]))
            };
            self.gradients.by_parameter.insert(parameter.id, gradient);
        }
    }
}

/// The numbers of a tensor of 32-bit floats.
pub(super) fn numbers(data: &TensorData) -> &[f32] {
    data.as_slice().expect("training is in 32-bit floats")
}

/// The same, to be changed in place.
pub(super) fn numbers_mut(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice().expect("training is in 32-bit floats")
}
