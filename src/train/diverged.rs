//! Why a loss or a gradient is not a number: because of the input, the frozen layers, the weights as they were loaded, or the training.
//! Weights are finite when they are loaded; only the last of these has to do with the learning rate.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use super::gradients::numbers;
use crate::error::Error;
use crate::models::{Activations, Network};

/// A step that failed.
pub(super) struct Failed<'a> {
    /// `the loss`, or `the gradient`.
    pub(super) what: &'a str,
    /// The network before the step, or after it if only the gradient shows it.
    pub(super) network: &'a Network,
    /// How many blocks of it are frozen and run before training.
    pub(super) frozen_blocks: usize,
    /// Whether no step had been made before.
    pub(super) untrained: bool,
}

impl Failed<'_> {
    /// The error that says why, and what to do. `inputs` are the batches of the step behind the frozen blocks.
    pub(super) fn error(&self, mut inputs: impl Iterator<Item = Activations>) -> Error {
        let what = self.what;
        if inputs.any(|input| !is_finite(input)) {
            return match self.frozen_blocks {
                0 => Error::stage(format!("{what} is not a number: the input is none"))
                    .help("look at the mean and the standard deviation by which images are normalised"),
                _ => Error::stage(format!("{what} is not a number: what the frozen layers give is none"))
                    .note("training does not change them, so no `learning_rate` helps; their weights are finite, but overflow")
                    .help("take config.json and the weights from the same model, or other weights"),
            };
        }
        if self.untrained {
            return Error::stage(format!("{what} is not a number before anything is trained"))
                .note("the weights are finite as they were loaded, but overflow; no `learning_rate` helps")
                .help("take config.json and the weights from the same model, or other weights");
        }
        let error = Error::stage(format!("{what} is not a number"))
            .help("set a lower `learning_rate`, a `warmup_ratio`, or a lower `max_grad_norm`");
        match self.broken_weight() {
            Some(name) => error.note(format!("training has made `{name}` NaN or infinite")),
            None => error.note("training has made weights so large that they overflow"),
        }
    }

    /// The first parameter that is no longer finite.
    fn broken_weight(&self) -> Option<String> {
        let mut broken = Broken::default();
        self.network.visit(&mut broken);
        let mut parameters = self.network.parameters().into_iter();
        let first = parameters.find(|parameter| broken.0.contains(&parameter.id));
        first.map(|parameter| parameter.full_name)
    }
}

/// The tensors that hold what is not finite.
#[derive(Default)]
struct Broken(BTreeSet<ParamId>);

impl ModuleVisitor for Broken {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if !all_finite(&parameter.val().into_data()) {
            self.0.insert(parameter.id);
        }
    }
}

fn is_finite(activations: Activations) -> bool {
    let data = match activations {
        Activations::Tokens(_) => return true,
        Activations::Hidden { states, .. } => states.into_data(),
        Activations::Images(images) | Activations::Map(images) => images.into_data(),
        Activations::Pooled(vectors) | Activations::Logits(vectors) => vectors.into_data(),
    };
    all_finite(&data)
}

fn all_finite(data: &TensorData) -> bool {
    numbers(data).iter().all(|number| number.is_finite())
}
