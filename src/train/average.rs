//! Means of the networks that a training comes by.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use crate::models::Network;

/// Which mean of networks is measured and kept, in place of the network after the last step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Averaging {
    /// The exponential moving average: after each step this much of the mean stays, and the rest is the new weights, as `ModelEmaV3` in
    /// timm. It begins with the weights before training.
    Ema(f64),
    /// The mean of the networks after so many of the last epochs (Izmailov et al. 2018, arXiv:1803.05407). The running statistics of batch
    /// normalisations are averaged like weights.
    LastEpochs(usize),
}

/// `average`, with what is in `moving` brought nearer to `network` by a share of `gain`.
pub(super) fn towards(
    average: Network,
    network: &Network,
    moving: &BTreeSet<ParamId>,
    gain: f64,
) -> Network {
    let mut numbers = Numbers {
        moving,
        flat: BTreeMap::new(),
    };
    network.visit(&mut numbers);
    average.map(&mut Towards {
        numbers: numbers.flat,
        gain,
    })
}

/// The numbers of what moves.
struct Numbers<'a> {
    moving: &'a BTreeSet<ParamId>,
    flat: BTreeMap<ParamId, Tensor<1>>,
}

impl ModuleVisitor for Numbers<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if self.moving.contains(&parameter.id) {
            let tensor = parameter.val();
            let tensor = if tensor.device().is_autodiff() {
                tensor.inner()
            } else {
                tensor
            };
            let size = tensor.shape().num_elements();
            self.flat.insert(parameter.id, tensor.reshape([size]));
        }
    }
}

struct Towards {
    numbers: BTreeMap<ParamId, Tensor<1>>,
    gain: f64,
}

impl ModuleMapper for Towards {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(goal) = self.numbers.remove(&parameter.id) else {
            return parameter;
        };
        let (id, tensor, mapper) = parameter.consume();
        let goal = goal.reshape(tensor.dims());
        let way = goal - tensor.clone();
        let tensor = tensor + way.mul_scalar(self.gain);
        Param::from_mapped_value(id, tensor, mapper)
    }
}
