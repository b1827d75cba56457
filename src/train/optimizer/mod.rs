//! What changes weights by their gradients: an [`Optimizer`] walks over the network, and its [`Rule`] says how one parameter moves.
//!
//! On the host the rules that people use most change weights and state in a single pass over plain slices ([`Rule::pass`]): a pass over
//! memory for each operation would be a third of a step of a small transformer. On other devices, and for the other rules, a step is made
//! of tensors ([`Rule::step`]), so that weights stay where they are.

mod adafactor;
mod adamw;
mod lamb;
mod momentum;
mod muon;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

pub use adafactor::Adafactor;
pub use adamw::AdamW;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
pub use lamb::Lamb;
pub use momentum::{Lion, Sgd};
pub use muon::Muon;
use rayon::prelude::*;

use super::gradients::{Gradient, Gradients, PIECE, numbers, numbers_mut};
use crate::models::Parameter;

/// How a parameter moves in a step.
pub trait Rule: Debug + Send + Sync {
    /// The names of the rows of numbers that are kept for a parameter. They begin with zeros.
    fn rows(&self, at: &At<'_>) -> &'static [&'static str];

    /// How long the row `name` is; as long as the parameter, unless a rule says otherwise.
    fn length(&self, _name: &str, at: &At<'_>) -> usize {
        at.shape.iter().product()
    }

    /// The new weights, by the gradient and the rows, whose order is that of their names. All are flat.
    fn step(
        &self,
        at: &At<'_>,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        rows: &mut [Tensor<1>],
    ) -> Tensor<1>;

    /// The same as [`step`](Self::step) on any piece of the parameter, in one pass over the host's memory; none if there is no such way. The
    /// gradient is as it was found.
    fn pass(&self, _at: &At<'_>) -> Option<Pass> {
        None
    }

    /// What a person should know about how it moves these parameters.
    fn told(&self, _parameters: &[Trained]) -> Option<String> {
        None
    }
}

/// Changes a piece of weights, by a piece of the gradient and of each row.
pub type Pass = Box<dyn Fn(&mut [f32], &[f32], &mut [&mut [f32]]) + Sync>;

/// What a step of one parameter needs to know beside the numbers.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// How many steps the parameter has made with this one.
    pub steps: i32,
    /// What gradients are multiplied by, to clip them.
    pub scale: f64,
    /// The learning rate of this parameter.
    pub rate: f64,
    /// How fast it shrinks.
    pub weight_decay: f64,
    /// What of a weight is added to its gradient.
    pub l2: f64,
    /// Its shape.
    pub shape: &'a [usize],
    /// Whether it is a matrix, or several, between the first block and the head.
    pub hidden: bool,
}

/// What every optimizer can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// How fast weights shrink, apart from biases and norms.
    pub weight_decay: f64,
    /// How much the squares of those weights count in the loss: it has ½ `l2` Σw² more, so that the gradient has `l2` w more.
    pub l2: f64,
    /// The longest that the gradient of a step may be; none for no limit.
    pub max_grad_norm: Option<f64>,
}

impl Default for Common {
    /// The defaults of `torch.optim.AdamW`, and those by which the Trainer clips.
    fn default() -> Self {
        Self {
            weight_decay: 0.01,
            l2: 0.0,
            max_grad_norm: Some(1.0),
        }
    }
}

/// A parameter that the optimizer may change.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Burn's name for it.
    pub id: ParamId,
    /// Its name in the checkpoint.
    pub name: String,
    /// Whether it shrinks by weight decay: matrices do; biases and the weights of norms, which are vectors, do not.
    pub decays: bool,
    /// Whether it is a matrix, or several, between the first block and the head.
    pub hidden: bool,
    /// What the learning rate is multiplied by for it (`lr_scale` in timm).
    pub rate_scale: f64,
}

impl Trained {
    /// `parameter` with its learning rate times `rate_scale`.
    #[must_use]
    pub fn new(parameter: Parameter, rate_scale: f64) -> Self {
        let is_vector = parameter.shape.len() < 2;
        Self {
            id: parameter.id,
            decays: !is_vector,
            hidden: !is_vector && !parameter.head && parameter.block > 0,
            name: parameter.name,
            rate_scale,
        }
    }
}

/// An optimizer with its settings and its state.
#[derive(Clone, Debug)]
pub struct Optimizer {
    rule: Arc<dyn Rule>,
    common: Common,
    /// The parameters that train, in an order that depends on the network alone.
    parameters: Vec<Trained>,
    memory: BTreeMap<ParamId, Memory>,
}

/// What is kept of a parameter since it began to train.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// Steps made.
    steps: i32,
    rows: BTreeMap<String, Tensor<1>>,
}

/// What is kept of a parameter: the steps made, and the rows of numbers by name.
pub type Kept = (i32, BTreeMap<String, TensorData>);

impl Optimizer {
    /// One that has not begun.
    #[must_use]
    pub fn new(rule: Arc<dyn Rule>, common: Common) -> Self {
        Self {
            rule,
            common,
            parameters: Vec::new(),
            memory: BTreeMap::new(),
        }
    }

    /// AdamW with the numbers of torch, apart from `weight_decay` and without a limit to gradients, for these parameters.
    #[must_use]
    pub fn adamw(weight_decay: f64, parameters: Vec<Trained>) -> Self {
        let common = Common {
            weight_decay,
            max_grad_norm: None,
            ..Common::default()
        };
        let mut optimizer = Self::new(Arc::new(AdamW::default()), common);
        optimizer.set_parameters(parameters);
        optimizer
    }

    /// One with the same settings that has not begun.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::new(Arc::clone(&self.rule), self.common.clone())
    }

    /// Trains these parameters from now on; others that get a gradient are left alone. Those that trained before keep their state; the
    /// state of others begins with their first step, as in torch.
    pub fn set_parameters(&mut self, parameters: Vec<Trained>) {
        self.parameters = parameters;
    }

    /// What a person should know about how it moves its parameters.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        self.rule.told(&self.parameters)
    }

    /// Makes one step at learning `rate` and returns the changed network with the norm of the gradients before clipping.
    #[must_use]
    pub fn step<M: Module>(&mut self, network: M, gradients: &Gradients, rate: f64) -> (M, f64) {
        let norm = gradients.norm(self.parameters.iter().map(|parameter| parameter.id));
        let greatest = self.common.max_grad_norm;
        let parameters = self.parameters.iter();
        let network = network.map(&mut Walk {
            rule: &*self.rule,
            common: &self.common,
            // torch adds 1e-6 to the norm, and so scales a gradient of exactly the greatest norm too.
            scale: greatest.map_or(1.0, |greatest| (greatest / (norm + 1e-6)).min(1.0)),
            rate,
            parameters: parameters.map(|known| (known.id, known)).collect(),
            gradients,
            memory: &mut self.memory,
        });
        (network, norm)
    }

    /// Whether it has made a step.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.memory.is_empty()
    }

    /// Its state, for each parameter that has made a step.
    #[must_use]
    pub fn state(&self) -> BTreeMap<ParamId, Kept> {
        let of_parameters = self.memory.iter().map(|(id, memory)| {
            let rows = memory.rows.iter();
            let rows = rows.map(|(name, row)| (name.clone(), row.to_data()));
            (*id, (memory.steps, rows.collect()))
        });
        of_parameters.collect()
    }

    /// Goes on from a state, as [`state`](Self::state) gave it.
    pub fn restore(&mut self, state: BTreeMap<ParamId, Kept>) {
        let of_parameters = state.into_iter().map(|(id, (steps, rows))| {
            let rows = rows
                .into_iter()
                .map(|(name, row)| (name, Tensor::from_data(row, &Device::flex())));
            let rows = rows.collect();
            (id, Memory { steps, rows })
        });
        self.memory = of_parameters.collect();
    }
}

struct Walk<'a> {
    rule: &'a dyn Rule,
    common: &'a Common,
    scale: f64,
    rate: f64,
    parameters: BTreeMap<ParamId, &'a Trained>,
    gradients: &'a Gradients,
    memory: &'a mut BTreeMap<ParamId, Memory>,
}

impl ModuleMapper for Walk<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = parameter.id;
        let (Some(known), Some(gradient)) = (self.parameters.get(&id), self.gradients.of(id))
        else {
            return parameter;
        };
        let (id, tensor, mapper) = parameter.consume();
        let tensor = tensor.inner();
        let (device, shape) = (tensor.device(), tensor.dims());
        let memory = self.memory.entry(id).or_default();
        memory.steps += 1;
        let of_decaying = |number: f64| if known.decays { number } else { 0.0 };
        let at = At {
            steps: memory.steps,
            scale: self.scale,
            rate: self.rate * known.rate_scale,
            weight_decay: of_decaying(self.common.weight_decay),
            l2: of_decaying(self.common.l2),
            shape: &shape,
            hidden: known.hidden,
        };
        let names = self.rule.rows(&at);
        let row = |name: &&str| match memory.rows.remove(*name) {
            Some(row) => row.to_device(&device),
            None => Tensor::zeros([self.rule.length(name, &at)], &device),
        };
        let mut rows: Vec<Tensor<1>> = names.iter().map(row).collect();
        let changed = match (gradient, self.rule.pass(&at)) {
            (Gradient::Host(gradient), Some(pass)) => {
                let mut weights = tensor.into_data();
                let mut data: Vec<TensorData> = rows.drain(..).map(Tensor::into_data).collect();
                in_pieces(&pass, &mut weights, numbers(gradient), &mut data);
                let back = data.into_iter();
                rows.extend(back.map(|row| Tensor::from_data(row, &device)));
                Tensor::from_data(weights, &device)
            }
            (gradient, _) => {
                let size = shape.iter().product();
                let weights = tensor.reshape([size]);
                let gradient = at.seen(gradient.on(size, &device), &weights);
                let changed = self.rule.step(&at, weights, gradient, &mut rows);
                changed.reshape(shape)
            }
        };
        let names = names.iter().map(|name| (*name).to_string());
        memory.rows = names.zip(rows).collect();
        Param::from_mapped_value(id, Tensor::from_inner(changed).require_grad(), mapper)
    }
}

/// Makes one pass over `weights`, several threads at different pieces.
fn in_pieces(pass: &Pass, weights: &mut TensorData, gradient: &[f32], rows: &mut [TensorData]) {
    let mut cut: Vec<_> = rows
        .iter_mut()
        .map(|row| numbers_mut(row).chunks_mut(PIECE))
        .collect();
    let pieces = numbers_mut(weights)
        .chunks_mut(PIECE)
        .zip(gradient.chunks(PIECE))
        .map(|(weights, gradient)| {
            let rows: Vec<&mut [f32]> = cut.iter_mut().filter_map(Iterator::next).collect();
            (weights, gradient, rows)
        })
        .collect::<Vec<_>>();
    pieces
        .into_par_iter()
        .for_each(|(weights, gradient, mut rows)| pass(weights, gradient, &mut rows));
}

impl At<'_> {
    /// The gradient as a rule sees it: clipped, and with what holds weights down.
    fn seen(&self, gradient: Tensor<1>, weights: &Tensor<1>) -> Tensor<1> {
        let gradient = if self.scale < 1.0 {
            gradient.mul_scalar(self.scale)
        } else {
            gradient
        };
        if self.l2 > 0.0 {
            gradient + weights.clone().mul_scalar(self.l2)
        } else {
            gradient
        }
    }

    /// What weights are multiplied by, to shrink them apart from the gradient.
    fn shrink(&self) -> f64 {
        1.0 - self.rate * self.weight_decay
    }
}

/// The root of the mean of squares.
fn root_mean_square(numbers: Tensor<1>) -> Tensor<1> {
    numbers.powi_scalar(2).mean().sqrt()
}
