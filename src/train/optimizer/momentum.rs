//! Optimizers that keep one running mean of a parameter's gradients: stochastic gradient descent with momentum, and Lion. As
//! [`AdamW`](super::AdamW) they change weights and state in a single pass on the host, with the gradients clipped by their global norm.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::{Kept, Optimizer, Trained};
use crate::models::Network;
use crate::train::gradients::{Gradients, PIECE, numbers_mut};

/// How weights move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Against the sum of gradients, of which each step keeps `momentum`, as `torch.optim.SGD`, whose weight decay is a part of the gradient.
    Sgd {
        /// What is kept of the sum, at least 0 and below 1.
        momentum: f64,
        /// Whether a step goes where the sum will be, not where it is (Nesterov).
        nesterov: bool,
    },
    /// By the learning rate, with or against each number's sign, as Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2).
    Lion {
        /// How much of the mean counts beside the gradient in a step.
        beta1: f64,
        /// How much of the mean is kept.
        beta2: f64,
    },
}

/// The settings of [`Momentum`].
#[derive(Clone, Debug, PartialEq)]
pub struct MomentumSettings {
    /// How weights move.
    pub rule: Rule,
    /// How fast weights shrink, apart from biases and norms.
    pub weight_decay: f64,
    /// How much the squares of those weights count in the loss: it has ½ `l2` Σw² more.
    pub l2: f64,
    /// The longest that the gradient of a step may be; none for no limit.
    pub max_grad_norm: Option<f64>,
}

/// An optimizer with one row of state.
#[derive(Clone, Debug)]
pub struct Momentum {
    settings: MomentumSettings,
    /// The parameters that train, in an order that depends on the network alone.
    parameters: Vec<Trained>,
    /// What is kept of the gradients, and the steps made.
    means: BTreeMap<ParamId, (Vec<f32>, i32)>,
}

impl Momentum {
    /// An optimizer that has not begun.
    #[must_use]
    pub fn new(settings: MomentumSettings) -> Self {
        Self {
            settings,
            parameters: Vec::new(),
            means: BTreeMap::new(),
        }
    }

    fn change<M: Module>(&mut self, network: M, gradients: &Gradients, rate: f64) -> (M, f64) {
        let norm = gradients.norm(self.parameters.iter().map(|parameter| parameter.id));
        let greatest = self.settings.max_grad_norm;
        let parameters = self.parameters.iter();
        let network = network.map(&mut Updater {
            settings: &self.settings,
            // As AdamW's, torch's `clip_grad_norm_`.
            scale: greatest.map_or(1.0, |greatest| (greatest / (norm + 1e-6)).min(1.0)),
            rate,
            parameters: parameters.map(|known| (known.id, known)).collect(),
            gradients,
            means: &mut self.means,
        });
        (network, norm)
    }
}

impl Optimizer for Momentum {
    fn fresh(&self) -> Box<dyn Optimizer> {
        Box::new(Self::new(self.settings.clone()))
    }

    fn set_parameters(&mut self, parameters: Vec<Trained>) {
        self.parameters = parameters;
    }

    fn step(&mut self, network: Network, gradients: &Gradients, rate: f64) -> (Network, f64) {
        self.change(network, gradients, rate)
    }

    fn rows(&self) -> &'static [&'static str] {
        &["momentum"]
    }

    fn has_begun(&self) -> bool {
        !self.means.is_empty()
    }

    fn state(&self) -> BTreeMap<ParamId, Kept<'_>> {
        let of_parameters = self.means.iter().map(|(id, (mean, steps))| {
            let (steps, rows) = (*steps, vec![&mean[..]]);
            (*id, Kept { steps, rows })
        });
        of_parameters.collect()
    }

    fn restore(&mut self, state: BTreeMap<ParamId, (i32, Vec<Vec<f32>>)>) {
        let of_parameters = state.into_iter().filter_map(|(id, (steps, rows))| {
            let [mean] = <[Vec<f32>; 1]>::try_from(rows).ok()?;
            Some((id, (mean, steps)))
        });
        self.means = of_parameters.collect();
    }
}

struct Updater<'a> {
    settings: &'a MomentumSettings,
    /// What gradients are multiplied by, to clip them.
    scale: f64,
    rate: f64,
    parameters: BTreeMap<ParamId, &'a Trained>,
    gradients: &'a Gradients,
    means: &'a mut BTreeMap<ParamId, (Vec<f32>, i32)>,
}

impl ModuleMapper for Updater<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = parameter.id;
        let (Some(known), Some(gradient)) = (self.parameters.get(&id), self.gradients.get(id))
        else {
            return parameter;
        };
        let kept = self.means.entry(id);
        let (mean, steps) = kept.or_insert_with(|| (vec![0.0; gradient.len()], 0));
        *steps += 1;
        let rate = self.rate * known.rate_scale;
        let step = Step::new(self.settings, self.scale, rate, known.decays);
        let (id, tensor, mapper) = parameter.consume();
        let tensor = tensor.inner();
        let device = tensor.device();
        let mut weights = tensor.into_data();
        numbers_mut(&mut weights)
            .par_chunks_mut(PIECE)
            .zip(gradient.par_chunks(PIECE))
            .zip(mean.par_chunks_mut(PIECE))
            .for_each(|((weights, gradient), mean)| step.update(weights, gradient, mean));
        let tensor = Tensor::from_inner(Tensor::from_data(weights, &device)).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// What one step needs to know beside the numbers.
#[derive(Clone, Copy)]
struct Step {
    rule: Rule,
    /// What gradients are multiplied by, to clip them.
    scale: f32,
    /// What weights are multiplied by, to shrink them.
    shrink: f32,
    /// What of a weight is added to its gradient.
    l2: f32,
    rate: f32,
}

impl Step {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights are 32-bit floats; the constants are computed in 64, as torch does"
    )]
    fn new(settings: &MomentumSettings, scale: f64, rate: f64, decays: bool) -> Self {
        let of_decaying = |number: f64| if decays { number } else { 0.0 };
        let decay = of_decaying(settings.weight_decay);
        let (shrink, coupled) = match settings.rule {
            Rule::Sgd { .. } => (1.0, decay),
            Rule::Lion { .. } => (1.0 - rate * decay, 0.0),
        };
        Self {
            rule: settings.rule,
            scale: scale as f32,
            shrink: shrink as f32,
            l2: (coupled + of_decaying(settings.l2)) as f32,
            rate: rate as f32,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "as above")]
    fn update(self, weights: &mut [f32], gradient: &[f32], mean: &mut [f32]) {
        let rows = weights.iter_mut().zip(gradient).zip(mean);
        match self.rule {
            Rule::Sgd { momentum, nesterov } => {
                let momentum = momentum as f32;
                for ((weight, gradient), mean) in rows {
                    let gradient = gradient * self.scale + self.l2 * *weight;
                    *mean = *mean * momentum + gradient;
                    let towards = if nesterov {
                        gradient + momentum * *mean
                    } else {
                        *mean
                    };
                    *weight -= self.rate * towards;
                }
            }
            Rule::Lion { beta1, beta2 } => {
                let (gain1, gain2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
                for ((weight, gradient), mean) in rows {
                    let gradient = gradient * self.scale + self.l2 * *weight;
                    let towards = *mean + (gradient - *mean) * gain1;
                    *mean += (gradient - *mean) * gain2;
                    // The sign of 0 is 0 here, as in torch: what has no gradient stays.
                    let sign = if towards == 0.0 {
                        0.0
                    } else {
                        towards.signum()
                    };
                    *weight = *weight * self.shrink - self.rate * sign;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights after three steps at rate 0.1 from 1, -2, 0.5 with the gradients 0.3, -0.2, 0 times 1, -2, 3.
    fn after(rule: Rule, weight_decay: f64, decays: bool) -> [f32; 3] {
        let settings = MomentumSettings {
            rule,
            weight_decay,
            l2: 0.0,
            max_grad_norm: None,
        };
        let (mut weights, mut mean) = ([1.0, -2.0, 0.5], [0.0; 3]);
        for factor in [1.0, -2.0, 3.0] {
            let gradient = [0.3, -0.2, 0.0].map(|number: f32| number * factor);
            Step::new(&settings, 1.0, 0.1, decays).update(&mut weights, &gradient, &mut mean);
        }
        weights
    }

    /// The numbers of `torch.optim.SGD` 2.9 and of timm's `Lion` 1.0.
    #[expect(clippy::unreadable_literal, reason = "as torch prints them")]
    #[test]
    fn steps_are_those_of_torch_and_timm() {
        let sgd = |momentum, nesterov| Rule::Sgd { momentum, nesterov };
        let lion = Rule::Lion {
            beta1: 0.9,
            beta2: 0.99,
        };
        for (rule, weight_decay, expected) in [
            (sgd(0.0, false), 0.0, [0.94, -1.96, 0.5]),
            (sgd(0.9, false), 0.05, [0.915039, -1.906119, 0.486035]),
            (sgd(0.9, true), 0.05, [0.848988, -1.846128, 0.480051]),
            (lion, 0.0, [0.9, -1.9, 0.5]),
            (lion, 0.05, [0.885572, -1.870647, 0.492537]),
        ] {
            let found = after(rule, weight_decay, true);
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{rule:?}: {found}, not {expected}"
                );
            }
            let bits = |weights: [f32; 3]| weights.map(f32::to_bits);
            let (free, plain) = (after(rule, weight_decay, false), after(rule, 0.0, true));
            assert_eq!(bits(free), bits(plain), "what does not decay");
        }
    }
}
