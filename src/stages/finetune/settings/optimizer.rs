//! The settings of the optimizer: which one, and its numbers.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number;
use super::training::{BELOW_ONE, Pace, above_zero, below_one, not_negative};
use crate::config::Spanned;
use crate::error::{Error, Result};
use crate::train::{AdamW, AdamWSettings, Momentum, MomentumSettings, Optimizer, Rule};

/// The optimizers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::stages::finetune) enum Optim {
    /// Adam with decoupled weight decay (arXiv:1711.05101).
    #[default]
    Adamw,
    /// Stochastic gradient descent, with momentum if `optim_args` has it.
    Sgd,
    /// Lion, which moves each weight by the learning rate (arXiv:2302.06675). It wants a rate a third to a tenth of AdamW's.
    Lion,
}

impl Optim {
    /// All of them.
    #[cfg(test)]
    pub(in crate::stages::finetune) const ALL: [Self; 3] = [Self::Adamw, Self::Sgd, Self::Lion];
}

/// The numbers of optimizers other than AdamW.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::stages::finetune) struct OptimArgs {
    /// Of SGD: how much of the sum of gradients each step keeps; 0 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    momentum: Option<f64>,
    /// Of SGD: whether a step goes where the momentum will have carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nesterov: Option<bool>,
    /// Of Lion: how much of the mean of gradients counts in a step; 0.9 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    beta1: Option<f64>,
    /// Of Lion: how much of the mean is kept; 0.99 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    beta2: Option<f64>,
}

/// The optimizer's own numbers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(in crate::stages::finetune) struct OptimizerSettings {
    /// The optimizer; "adamw" if not set. The learning rates that are usual are AdamW's: with another one `learning_rate` must be set.
    #[serde(default)]
    pub(in crate::stages::finetune) optim: Option<Spanned<Optim>>,
    /// The numbers of optimizers other than AdamW.
    #[serde(default)]
    pub(in crate::stages::finetune) optim_args: Option<Spanned<OptimArgs>>,
    /// How fast weights shrink, apart from biases and norms; of SGD a part of the gradient, as in torch.
    #[serde(default = "weight_decay")]
    #[schemars(range(min = 0))]
    pub(in crate::stages::finetune) weight_decay: Spanned<f64>,
    /// How much the squares of weights count in the loss, which has ½ `l2` Σw² more, apart from biases and norms; scikit-learn's
    /// `LogisticRegression` has 1 / (C × samples). Default: 0; where only the head trains at the usual rate, 1 / samples (and outputs, where
    /// several labels or numbers share the loss).
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub(in crate::stages::finetune) l2: Option<Spanned<f64>>,
    /// Decay of AdamW's mean of gradients.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::stages::finetune) adam_beta1: Spanned<f64>,
    /// Decay of AdamW's mean of squared gradients.
    #[serde(default = "beta2")]
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::stages::finetune) adam_beta2: Spanned<f64>,
    /// What AdamW adds to the root of the mean of squared gradients.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(in crate::stages::finetune) adam_epsilon: Spanned<f64>,
    /// The longest that the gradient of a step may be, all weights together; 0 for no limit.
    #[serde(default = "max_grad_norm")]
    #[schemars(range(min = 0))]
    pub(in crate::stages::finetune) max_grad_norm: Spanned<f64>,
}

fn weight_decay() -> Spanned<f64> {
    AdamWSettings::default().weight_decay.into()
}

fn beta1() -> Spanned<f64> {
    AdamWSettings::default().beta1.into()
}

fn beta2() -> Spanned<f64> {
    AdamWSettings::default().beta2.into()
}

fn epsilon() -> Spanned<f64> {
    AdamWSettings::default().epsilon.into()
}

fn max_grad_norm() -> Spanned<f64> {
    1.0.into()
}

impl OptimizerSettings {
    /// How much the squares of weights count, where the samples to train on weigh `weight` in the loss: as it is set, else as in
    /// scikit-learn's logistic regression, without which many steps learn few samples by heart, or not at all.
    pub(in crate::stages::finetune) fn l2(&self, pace: Pace, weight: f32) -> f64 {
        match &self.l2 {
            Some(l2) => l2.value,
            None if pace.holds_down && weight > 0.0 => 1.0 / f64::from(weight),
            None => 0.0,
        }
    }

    fn optim(&self) -> Optim {
        self.optim
            .as_ref()
            .map_or_else(Optim::default, |optim| optim.value)
    }

    /// The optimizer that is set, where weights are held down by `l2`.
    pub(super) fn make(&self, l2: f64) -> Arc<dyn Optimizer> {
        let max_grad_norm = Some(self.max_grad_norm.value).filter(|norm| *norm > 0.0);
        let weight_decay = self.weight_decay.value;
        let none = OptimArgs::default();
        let args = self.optim_args.as_ref().map_or(&none, |args| &args.value);
        let rule = match self.optim() {
            Optim::Adamw => {
                let settings = AdamWSettings {
                    beta1: self.adam_beta1.value,
                    beta2: self.adam_beta2.value,
                    epsilon: self.adam_epsilon.value,
                    weight_decay,
                    l2,
                    max_grad_norm,
                };
                return Arc::new(AdamW::new(settings, Vec::new()));
            }
            Optim::Sgd => Rule::Sgd {
                momentum: args.momentum.unwrap_or(0.0),
                nesterov: args.nesterov.unwrap_or(false),
            },
            Optim::Lion => Rule::Lion {
                beta1: args.beta1.unwrap_or(0.9),
                beta2: args.beta2.unwrap_or(0.99),
            },
        };
        Arc::new(Momentum::new(MomentumSettings {
            rule,
            weight_decay,
            l2,
            max_grad_norm,
        }))
    }

    /// Refuses numbers of another optimizer than the one that is set, and one that has no usual rate without a rate.
    fn check_optim(&self, has_rate: bool) -> Result<()> {
        let optim = self.optim();
        if let Some(given) = &self.optim
            && optim != Optim::Adamw
        {
            if !has_rate {
                let error = Error::usage("the learning rates that are usual are AdamW's");
                return Err(given.blame(error.help("set `learning_rate`"), ""));
            }
            let of_adam = [
                ("adam_beta1", &self.adam_beta1),
                ("adam_beta2", &self.adam_beta2),
                ("adam_epsilon", &self.adam_epsilon),
            ];
            if let Some((name, number)) = of_adam.iter().find(|(_, number)| number.span.is_some()) {
                let error = Error::usage(format!("`{name}` is a number of AdamW's"));
                let help = "the numbers of other optimizers are in `optim_args`";
                return Err(number.blame(error.help(help), ""));
            }
        }
        let Some(given) = &self.optim_args else {
            return Ok(());
        };
        let args = &given.value;
        for (name, number, of) in [
            ("momentum", args.momentum, Optim::Sgd),
            ("nesterov", args.nesterov.map(|_| 0.0), Optim::Sgd),
            ("beta1", args.beta1, Optim::Lion),
            ("beta2", args.beta2, Optim::Lion),
        ] {
            let Some(number) = number else { continue };
            let error = if of != optim {
                let of = if of == Optim::Sgd { "sgd" } else { "lion" };
                Error::usage(format!("`{name}` is a number of optim = \"{of}\""))
            } else if !below_one(number) {
                Error::usage(format!("`{name}` must be {BELOW_ONE}, and is {number}"))
            } else {
                continue;
            };
            return Err(given.blame(error, ""));
        }
        if args.nesterov == Some(true) && args.momentum.is_none_or(|momentum| momentum == 0.0) {
            let error = Error::usage("`nesterov` needs a `momentum` above 0");
            return Err(given.blame(error, ""));
        }
        Ok(())
    }

    /// Refuses what cannot be meant; `has_rate` says whether a learning rate is set.
    pub(super) fn check(&self, has_rate: bool) -> Result<()> {
        self.check_optim(has_rate)?;
        number(
            "weight_decay",
            &self.weight_decay,
            not_negative,
            "at least 0",
        )?;
        if let Some(l2) = &self.l2 {
            number("l2", l2, not_negative, "at least 0")?;
        }
        number("adam_beta1", &self.adam_beta1, below_one, BELOW_ONE)?;
        number("adam_beta2", &self.adam_beta2, below_one, BELOW_ONE)?;
        number("adam_epsilon", &self.adam_epsilon, above_zero, "above 0")?;
        number(
            "max_grad_norm",
            &self.max_grad_norm,
            not_negative,
            "at least 0",
        )
    }
}
