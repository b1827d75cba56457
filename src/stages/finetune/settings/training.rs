//! The settings of the training loop: how long, how fast, by which optimizer, and which epoch is the result.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number;
use crate::config::Spanned;
use crate::error::{Error, Result};
use crate::models::Pattern;
use crate::stages::feature_cache;
use crate::tasks::{Reading, Task};
use crate::train::{Averaging, Details, Metric, Shape, Warmup};

/// How often samples are trained on, and how many at a time.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the names that Hugging Face has")]
pub(in crate::stages::finetune) struct Steps {
    /// How often every sample is trained on. Default: 3; where only the head trains, as often as makes 1,000 steps, from 3 to 100.
    pub(in crate::stages::finetune) epochs: Option<NonZeroUsize>,
    /// Samples in a batch.
    #[serde(default = "batch_size")]
    pub(in crate::stages::finetune) batch_size: NonZeroUsize,
    /// Batches in a step of the optimizer.
    #[serde(default = "one")]
    pub(in crate::stages::finetune) gradient_accumulation_steps: NonZeroUsize,
    /// How many steps of the optimizer it trains for, whatever `epochs` is.
    #[serde(default)]
    pub(in crate::stages::finetune) max_steps: Option<Spanned<NonZeroUsize>>,
    /// The model is measured on `validation` after so many steps each, and at the end; after each epoch if not set. What is said of epochs
    /// elsewhere, such as which is the best, then holds for these.
    #[serde(default)]
    pub(in crate::stages::finetune) eval_steps: Option<Spanned<NonZeroUsize>>,
    /// What an interrupted training goes on from is kept after so many steps each; once a minute if not set. It changes no result.
    #[serde(default)]
    pub(in crate::stages::finetune) save_steps: Option<NonZeroUsize>,
}

/// How fast what learns.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the names that Hugging Face has")]
pub(in crate::stages::finetune) struct Rates {
    /// The highest learning rate. Default: 5e-5; where only the head trains, 1e-2.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(in crate::stages::finetune) learning_rate: Option<Spanned<f64>>,
    /// What the learning rate is multiplied by from each layer to the one below it, as in timm: 0.65 to 0.95 is usual. The head learns
    /// at `learning_rate` itself, what else comes after the layers as the last of them. Default: 1.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub(in crate::stages::finetune) layer_decay: Option<Spanned<f64>>,
    /// Learning rates of parameters by name, instead of `learning_rate` and `layer_decay`, such as `{ "classifier.*" = 1e-3 }`. The
    /// names are patterns as those of a `freeze` stage; they must not overlap. Warm-up and decay are the same for all.
    #[serde(default)]
    pub(in crate::stages::finetune) learning_rates: Option<BTreeMap<String, Spanned<f64>>>,
}

/// What is kept of frozen layers.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(in crate::stages::finetune) struct Kept {
    /// The most room that what the frozen layers give may take, such as "500MiB"; beyond it they run again in every epoch. Default:
    /// "2GiB".
    #[serde(default)]
    pub(in crate::stages::finetune) feature_cache_max: Option<Spanned<String>>,
}

/// How the learning rate moves.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(in crate::stages::finetune) struct ScheduleSettings {
    /// How the learning rate moves after the warm-up.
    #[serde(default)]
    pub(in crate::stages::finetune) lr_scheduler_type: Spanned<Shape>,
    /// What some of these shapes can be told beside.
    #[serde(default)]
    pub(in crate::stages::finetune) lr_scheduler_kwargs: Option<Spanned<Details>>,
    /// Share of all steps over which the learning rate rises from 0; give this or `warmup_steps`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::stages::finetune) warmup_ratio: Option<Spanned<f64>>,
    /// Steps over which the learning rate rises from 0.
    #[serde(default)]
    pub(in crate::stages::finetune) warmup_steps: Option<Spanned<u64>>,
}

/// Which weights are the result.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(in crate::stages::finetune) struct Best {
    /// The figure on `validation` by which the best epoch is chosen; of equals the one with the lower log loss, or the lower squared
    /// error. Default: the task's first figure.
    pub(in crate::stages::finetune) metric_for_best_model: Option<Spanned<String>>,
    /// Whether the best epoch's weights are the result, and not the last one's.
    #[serde(default = "yes")]
    pub(in crate::stages::finetune) load_best_model_at_end: bool,
    /// Stop after so many epochs without a better figure; layers that begin to train begin the count anew.
    #[serde(default)]
    pub(in crate::stages::finetune) early_stopping_patience: Option<Spanned<NonZeroUsize>>,
    /// How much of the exponential moving average of the weights each step keeps, such as 0.999: that mean is measured and is the result.
    /// It begins with the weights before training.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub(in crate::stages::finetune) ema_decay: Option<Spanned<f64>>,
    /// The mean of the weights after so many of the last epochs is the result, and is measured while it grows.
    #[serde(default)]
    pub(in crate::stages::finetune) average_last_epochs: Option<Spanned<NonZeroUsize>>,
}

fn batch_size() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(31)
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn yes() -> bool {
    true
}

pub(super) const BELOW_ONE: &str = "at least 0 and below 1";

pub(super) fn above_zero(number: f64) -> bool {
    number > 0.0
}

pub(super) fn not_negative(number: f64) -> bool {
    number >= 0.0
}

pub(super) fn below_one(number: f64) -> bool {
    (0.0..1.0).contains(&number)
}

/// How long and how fast a training goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::stages::finetune) struct Pace {
    /// How often every sample is trained on.
    pub(in crate::stages::finetune) epochs: usize,
    /// The highest learning rate.
    pub(in crate::stages::finetune) learning_rate: f64,
    /// Whether weights are held down where nothing says how much.
    pub(in crate::stages::finetune) holds_down: bool,
}

/// What trains, as far as the usual pace depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stages::finetune) enum Trains {
    /// The head alone.
    Head,
    /// Adapters and the head.
    Adapters,
    /// Layers as a whole.
    Layers,
}

/// The usual pace where pretrained layers train, as in Hugging Face's `TrainingArguments`.
const EPOCHS: usize = 3;
const RATE: f64 = 5e-5;

/// Where only the head trains on kept features, epochs cost next to nothing, and few samples need many. On frozen MiniLM with 8 to 64
/// samples a label this comes out as logistic regression does.
const HEAD_STEPS: usize = 1_000;
const HEAD_EPOCHS: std::ops::RangeInclusive<usize> = EPOCHS..=100;
const HEAD_RATE: f64 = 1e-2;

/// Adapters learn best at ten times the rate at which whole layers do (Schulman et al. 2025, "LoRA Without Regret").
const ADAPTER_RATE: f64 = 10.0 * RATE;

impl Pace {
    /// What is set, and what is usual where nothing is: that depends on what trains, and on so many samples. What
    /// was decided for the user comes with it, in a sentence.
    pub(in crate::stages::finetune) fn new(
        steps: &Steps,
        rates: &Rates,
        trains: Trains,
        samples: usize,
    ) -> (Self, Option<String>) {
        let per_step = steps.batch_size.get() * steps.gradient_accumulation_steps.get();
        let per_epoch = samples.div_ceil(per_step).max(1);
        let (epochs, rate) = match trains {
            Trains::Head => {
                let epochs = HEAD_STEPS.div_ceil(per_epoch);
                (
                    epochs.clamp(*HEAD_EPOCHS.start(), *HEAD_EPOCHS.end()),
                    HEAD_RATE,
                )
            }
            Trains::Adapters => (EPOCHS, ADAPTER_RATE),
            Trains::Layers => (EPOCHS, RATE),
        };
        // Every epoch has a step.
        let most = steps.max_steps.as_ref().map(|most| most.value);
        let set = (most.or(steps.epochs), &rates.learning_rate);
        let pace = Self {
            epochs: set.0.map_or(epochs, NonZeroUsize::get),
            learning_rate: set.1.as_ref().map_or(rate, |rate| rate.value),
            holds_down: trains == Trains::Head && set.1.is_none(),
        };
        let decided = match set {
            (None, None) => format!("`epochs` {epochs} and `learning_rate` {rate}"),
            (None, Some(_)) => format!("`epochs` {epochs}"),
            (Some(_), None) => format!("`learning_rate` {rate}"),
            (Some(_), Some(_)) => return (pace, None),
        };
        let told = match trains {
            Trains::Head => Some(format!(
                "only the head trains, on {samples} samples: {decided}, since nothing is set"
            )),
            Trains::Adapters => Some(format!(
                "adapters and the head train: {decided}, since nothing is set"
            )),
            Trains::Layers => None,
        };
        (pace, told)
    }
}

impl Steps {
    /// The epochs that are set, or those that are usual where pretrained layers train; none where steps are counted.
    pub(super) fn epochs(&self) -> Option<usize> {
        match self.max_steps {
            Some(_) => None,
            None => Some(self.epochs.map_or(EPOCHS, NonZeroUsize::get)),
        }
    }

    /// What is told of them before anything runs.
    pub(super) fn note(&self) -> Option<String> {
        let (epochs, steps) = (self.epochs?, self.max_steps.as_ref()?.value);
        Some(format!(
            "it trains for {steps} steps, as `max_steps` says, whatever `epochs` is ({epochs})"
        ))
    }

    /// Refuses to measure on samples that are not there.
    pub(super) fn check(&self, has_validation: bool) -> Result<()> {
        match &self.eval_steps {
            Some(steps) if !has_validation => {
                let error = Error::usage("`eval_steps` needs `validation` to measure on");
                Err(steps.blame(error, ""))
            }
            _ => Ok(()),
        }
    }
}

impl Rates {
    /// Refuses rates that cannot be meant.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(rate) = &self.learning_rate {
            number("learning_rate", rate, above_zero, "above 0")?;
        }
        if let Some(decay) = &self.layer_decay {
            let good = |decay| decay > 0.0 && decay <= 1.0;
            number("layer_decay", decay, good, "above 0 and at most 1")?;
        }
        for (pattern, rate) in self.learning_rates.iter().flatten() {
            Pattern::parse(pattern).map_err(|error| rate.blame(error, ""))?;
            let name = format!("learning_rates.{pattern}");
            let must_be = "above 0; a `freeze` stage says what does not train";
            number(&name, rate, above_zero, must_be)?;
        }
        Ok(())
    }
}

impl Kept {
    /// The most bytes that features may take.
    pub(in crate::stages::finetune) fn most_bytes(&self) -> Result<u64> {
        feature_cache::most_bytes(self.feature_cache_max.as_ref())
    }
}

impl ScheduleSettings {
    /// How long the learning rate rises.
    pub(super) fn warmup(&self) -> Warmup {
        match (&self.warmup_ratio, &self.warmup_steps) {
            (Some(ratio), _) => Warmup::Ratio(ratio.value),
            (None, steps) => Warmup::Steps(steps.as_ref().map_or(0, |steps| steps.value)),
        }
    }

    /// What its shape is told beside.
    pub(super) fn details(&self) -> Details {
        let details = self.lr_scheduler_kwargs.as_ref();
        details.map_or_else(Details::default, |details| details.value)
    }

    /// Refuses what cannot be meant of a schedule whose highest rate is `peak`, if that is set.
    pub(super) fn check(&self, peak: Option<f64>, has_validation: bool) -> Result<()> {
        let checked = self.details().check(self.lr_scheduler_type.value, peak);
        checked.map_err(|words| match &self.lr_scheduler_kwargs {
            Some(details) => details.blame(Error::usage(words), ""),
            None => self.lr_scheduler_type.blame(Error::usage(words), ""),
        })?;
        if let Some(ratio) = &self.warmup_ratio {
            let share = |number| (0.0..=1.0).contains(&number);
            number("warmup_ratio", ratio, share, "between 0 and 1")?;
        }
        if let (Some(_), Some(steps)) = (&self.warmup_ratio, &self.warmup_steps) {
            let error = Error::usage("`warmup_ratio` and `warmup_steps` say the same thing twice");
            return Err(steps.blame(error.help("keep one of them"), ""));
        }
        let warms_up = match self.warmup() {
            Warmup::Steps(steps) => steps > 0,
            Warmup::Ratio(ratio) => ratio > 0.0,
        };
        let shape = &self.lr_scheduler_type;
        let has_none = [Shape::Constant, Shape::ReduceLrOnPlateau];
        if warms_up && has_none.contains(&shape.value) {
            let name = shape.value.name();
            let error = Error::usage(format!("the schedule \"{name}\" has no warm-up"));
            let error = match shape.value {
                Shape::Constant => error.help("set lr_scheduler_type = \"constant_with_warmup\""),
                _ => error,
            };
            return Err(shape.blame(error, ""));
        }
        if shape.value == Shape::ReduceLrOnPlateau && !has_validation {
            let error = Error::usage(
                "the schedule \"reduce_lr_on_plateau\" needs `validation` to look at its figures",
            );
            return Err(shape.blame(error, ""));
        }
        Ok(())
    }
}

impl Best {
    /// Which mean of weights is the result.
    pub(super) fn averaging(&self) -> Option<Averaging> {
        let ema = self.ema_decay.as_ref();
        let last = self.average_last_epochs.as_ref();
        let last = last.map(|count| Averaging::LastEpochs(count.value.get()));
        ema.map(|decay| Averaging::Ema(decay.value)).or(last)
    }

    /// Refuses means that cannot be meant.
    pub(super) fn check(&self, steps: &Steps) -> Result<()> {
        if let Some(decay) = &self.ema_decay {
            let good = |decay| decay > 0.0 && decay < 1.0;
            number("ema_decay", decay, good, "above 0 and below 1")?;
        }
        let Some(count) = &self.average_last_epochs else {
            return Ok(());
        };
        let others = [
            ("ema_decay", self.ema_decay.is_some()),
            (
                "early_stopping_patience",
                self.early_stopping_patience.is_some(),
            ),
            ("eval_steps", steps.eval_steps.is_some()),
            ("max_steps", steps.max_steps.is_some()),
        ];
        if let Some((name, _)) = others.iter().find(|(_, is_set)| *is_set) {
            let why = match *name {
                "ema_decay" => "both are a mean of weights",
                "early_stopping_patience" => "which epochs are the last is not known before",
                _ => "it counts whole epochs",
            };
            let error = Error::usage(format!(
                "`average_last_epochs` does not go with `{name}`: {why}"
            ));
            return Err(count.blame(error.help("keep one of them"), ""));
        }
        match steps.epochs {
            Some(epochs) if count.value > epochs => {
                let error = Error::usage(format!(
                    "`average_last_epochs` is {}, but `epochs` is {epochs}",
                    count.value
                ));
                Err(count.blame(error, ""))
            }
            _ => Ok(()),
        }
    }

    /// Fills in the figure that suits the targets best, and refuses one that the task does not have.
    pub(super) fn complete(&mut self, task: &Task, reading: &dyn Reading) -> Result<()> {
        let first = reading.first_metric();
        let first = first.unwrap_or(task.targets.metrics()[0]).name;
        self.metric_for_best_model
            .get_or_insert_with(|| first.to_string().into());
        self.metric(task).map(drop)
    }

    /// The figure that decides which epoch is the best.
    pub(in crate::stages::finetune) fn metric(&self, task: &Task) -> Result<&'static Metric> {
        match &self.metric_for_best_model {
            None => Ok(task.targets.metrics()[0]),
            Some(name) => task
                .metric(&name.value)
                .map_err(|error| name.blame(error, "")),
        }
    }
}
