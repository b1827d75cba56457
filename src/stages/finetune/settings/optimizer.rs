//! The settings of the optimizer: which one, and its numbers.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number;
use super::training::{BELOW_ONE, Pace, above_zero, below_one, not_negative};
use crate::config::Spanned;
use crate::error::{Error, Result};
use crate::train::{Adafactor, AdamW, Common, Lamb, Lion, Muon, Optimizer, Rule, Sgd};

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
    /// Adafactor at the learning rate that is set (arXiv:1804.04235): it keeps of a matrix two vectors, where AdamW keeps two matrices.
    Adafactor,
    /// Muon for the matrices between the first block and the head, AdamW for everything else (arXiv:2502.16982); it takes AdamW's rates.
    Muon,
    /// LAMB, for large batches (arXiv:1904.00962): steps of Adam, as long as the weights of each parameter allow.
    Lamb,
}

impl Optim {
    /// All of them.
    #[cfg(test)]
    pub(in crate::stages::finetune) const ALL: [Self; 6] = [
        Self::Adamw,
        Self::Sgd,
        Self::Lion,
        Self::Adafactor,
        Self::Muon,
        Self::Lamb,
    ];

    /// The word for it.
    fn name(self) -> &'static str {
        match self {
            Self::Adamw => "adamw",
            Self::Sgd => "sgd",
            Self::Lion => "lion",
            Self::Adafactor => "adafactor",
            Self::Muon => "muon",
            Self::Lamb => "lamb",
        }
    }

    /// Whether it is Adam or has it inside, whose numbers have settings of their own.
    fn has_adam(self) -> bool {
        matches!(self, Self::Adamw | Self::Muon | Self::Lamb)
    }
}

/// The numbers of optimizers other than AdamW.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::stages::finetune) struct OptimArgs {
    /// How much each step keeps of SGD's sum of gradients (0 if not set) or of Muon's mean (0.95).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    momentum: Option<f64>,
    /// Whether a step of SGD (no, if not set) or of Muon (yes) goes where the momentum will have carried it.
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
    /// Of Adafactor: a parameter's step is made smaller where the root of the mean of its squares, before the learning rate, is above this; 1
    /// if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    clip_threshold: Option<f64>,
    /// Of Adafactor: the power of the number of steps by which means forget; -0.8 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMaximum" = 0))]
    decay_rate: Option<f64>,
    /// Of Muon: how often the singular values of a step are brought nearer to 1; 5 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    ns_steps: Option<u32>,
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
    /// Decay of AdamW's mean of gradients; also LAMB's, and that of Muon's AdamW.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::stages::finetune) adam_beta1: Spanned<f64>,
    /// Decay of the mean of squared gradients, of the same.
    #[serde(default = "beta2")]
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::stages::finetune) adam_beta2: Spanned<f64>,
    /// What is added to the root of the mean of squared gradients, of the same; of LAMB 1e-6 if not set.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(in crate::stages::finetune) adam_epsilon: Spanned<f64>,
    /// The longest that the gradient of a step may be, all weights together; 0 for no limit.
    #[serde(default = "max_grad_norm")]
    #[schemars(range(min = 0))]
    pub(in crate::stages::finetune) max_grad_norm: Spanned<f64>,
}

fn weight_decay() -> Spanned<f64> {
    Common::default().weight_decay.into()
}

fn beta1() -> Spanned<f64> {
    AdamW::default().beta1.into()
}

fn beta2() -> Spanned<f64> {
    AdamW::default().beta2.into()
}

fn epsilon() -> Spanned<f64> {
    AdamW::default().epsilon.into()
}

fn max_grad_norm() -> Spanned<f64> {
    1.0.into()
}

impl OptimArgs {
    /// What cannot be meant of it where the optimizer is `optim`, in words.
    fn refused(&self, optim: Optim) -> Option<String> {
        type Good = (fn(f64) -> bool, &'static str);
        let share: Good = (below_one, BELOW_ONE);
        let any: Good = (|_| true, "a number");
        let above: Good = (|number| number > 0.0 && number.is_finite(), "above 0");
        let below: Good = (|number| number < 0.0 && number.is_finite(), "below 0");
        let count: Good = (|number| (1.0..=100.0).contains(&number), "from 1 to 100");
        let (lion, muon) = (&[Optim::Lion][..], &[Optim::Muon][..]);
        let adafactor = &[Optim::Adafactor][..];
        let both = &[Optim::Sgd, Optim::Muon][..];
        let nesterov = self.nesterov.map(f64::from);
        for (name, number, of, (good, must_be)) in [
            ("momentum", self.momentum, both, share),
            ("nesterov", nesterov, both, any),
            ("beta1", self.beta1, lion, share),
            ("beta2", self.beta2, lion, share),
            ("clip_threshold", self.clip_threshold, adafactor, above),
            ("decay_rate", self.decay_rate, adafactor, below),
            ("ns_steps", self.ns_steps.map(f64::from), muon, count),
        ] {
            let Some(number) = number else { continue };
            if !of.contains(&optim) {
                let of: Vec<String> = of.iter().map(|of| format!("{:?}", of.name())).collect();
                return Some(format!(
                    "`{name}` is a number of optim = {}",
                    of.join(" and ")
                ));
            }
            if !good(number) {
                return Some(format!("`{name}` must be {must_be}, and is {number}"));
            }
        }
        let still = self
            .momentum
            .map_or(optim == Optim::Sgd, |momentum| momentum == 0.0);
        (self.nesterov == Some(true) && still)
            .then(|| "`nesterov` needs a `momentum` above 0".to_string())
    }
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
    pub(super) fn make(&self, l2: f64) -> Optimizer {
        let none = OptimArgs::default();
        let args = self.optim_args.as_ref().map_or(&none, |args| &args.value);
        let adam = AdamW {
            beta1: self.adam_beta1.value,
            beta2: self.adam_beta2.value,
            epsilon: self.adam_epsilon.value,
        };
        let rule: Arc<dyn Rule> = match self.optim() {
            Optim::Adamw => Arc::new(adam),
            Optim::Sgd => Arc::new(Sgd {
                momentum: args.momentum.unwrap_or(0.0),
                nesterov: args.nesterov.unwrap_or(false),
            }),
            Optim::Lion => {
                let usual = Lion::default();
                Arc::new(Lion {
                    beta1: args.beta1.unwrap_or(usual.beta1),
                    beta2: args.beta2.unwrap_or(usual.beta2),
                })
            }
            Optim::Adafactor => {
                let usual = Adafactor::default();
                Arc::new(Adafactor {
                    clip_threshold: args.clip_threshold.unwrap_or(usual.clip_threshold),
                    decay_rate: args.decay_rate.unwrap_or(usual.decay_rate),
                })
            }
            Optim::Muon => {
                let usual = Muon::default();
                Arc::new(Muon {
                    momentum: args.momentum.unwrap_or(usual.momentum),
                    nesterov: args.nesterov.unwrap_or(usual.nesterov),
                    ns_steps: args.ns_steps.unwrap_or(usual.ns_steps),
                    others: adam,
                })
            }
            Optim::Lamb if self.adam_epsilon.span.is_none() => Arc::new(Lamb(AdamW {
                epsilon: Lamb::default().0.epsilon,
                ..adam
            })),
            Optim::Lamb => Arc::new(Lamb(adam)),
        };
        let common = Common {
            weight_decay: self.weight_decay.value,
            l2,
            max_grad_norm: Some(self.max_grad_norm.value).filter(|norm| *norm > 0.0),
        };
        Optimizer::new(rule, common)
    }

    /// Refuses numbers of another optimizer than the one that is set, and one that has no usual rate without a rate.
    fn check_optim(&self, has_rate: bool) -> Result<()> {
        let optim = self.optim();
        if let Some(given) = &self.optim {
            if optim != Optim::Adamw && !has_rate {
                let error = Error::usage("the learning rates that are usual are AdamW's");
                return Err(given.blame(error.help("set `learning_rate`"), ""));
            }
            let of_adam = [
                ("adam_beta1", &self.adam_beta1),
                ("adam_beta2", &self.adam_beta2),
                ("adam_epsilon", &self.adam_epsilon),
            ];
            let is_set = |(_, number): &&(_, &Spanned<f64>)| number.span.is_some();
            if let Some((name, number)) = of_adam.iter().find(is_set)
                && !optim.has_adam()
            {
                let error = Error::usage(format!("`{name}` is a number of AdamW's"));
                let help = "the numbers of other optimizers are in `optim_args`";
                return Err(number.blame(error.help(help), ""));
            }
        }
        let Some(given) = &self.optim_args else {
            return Ok(());
        };
        let refused = given.value.refused(optim);
        refused.map_or(Ok(()), |words| Err(given.blame(Error::usage(words), "")))
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
