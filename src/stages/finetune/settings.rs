//! The settings of `finetune` as they are written, with their checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Spanned;
use crate::error::{Error, Result};
use crate::models::{Pooling, Task};
use crate::stages::Port;
use crate::train::metrics::{self, Metric};
use crate::train::{AdamWSettings, Objective, Recipe, Shape, Warmup};

/// Trains a pretrained model on a table of labelled texts.
///
/// Names and defaults are those of Hugging Face's `TrainingArguments` where it has them.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The model to start from: what a `pretrained`, `freeze` or `finetune` stage made. Without a `freeze` stage before it, every
    /// weight trains.
    pub(super) model: Port,
    /// The table to train on.
    pub(super) train: Port,
    /// The table to measure every epoch on. It decides which epoch is the best.
    #[serde(default)]
    pub(super) validation: Option<Port>,
    /// What the model is to do.
    pub(super) task: Task,
    /// The column with the texts.
    #[serde(default = "text")]
    pub(super) text_column: String,
    /// The column with the labels.
    #[serde(default = "label")]
    pub(super) target_column: String,
    /// The labels, in the order of the model's outputs; of two labels the second is the positive one.
    pub(super) labels: Vec<Spanned<String>>,
    /// How the states of a text's tokens become one vector. Default: what the model's folder says, else its architecture's habit.
    #[serde(default)]
    pub(super) pooling: Option<Pooling>,
    /// Dropout before the classifier. Default: what the model's `config.json` says.
    #[serde(default)]
    pub(super) classifier_dropout: Option<Spanned<f64>>,
    /// The most tokens of a text that count, special ones included; longer texts are cut. Default 256, or fewer if the model takes
    /// fewer.
    #[serde(default)]
    pub(super) max_length: Option<NonZeroUsize>,
    /// How often every sample is trained on.
    #[serde(default = "epochs")]
    pub(super) epochs: NonZeroUsize,
    /// Samples in a batch.
    #[serde(default = "batch_size")]
    pub(super) batch_size: NonZeroUsize,
    /// Batches in a step of the optimizer.
    #[serde(default = "one")]
    pub(super) gradient_accumulation_steps: NonZeroUsize,
    /// The highest learning rate: near 3e-5 when the whole model trains, near 1e-3 when only the head does.
    #[serde(default = "learning_rate")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(super) learning_rate: Spanned<f64>,
    /// How the learning rate moves after the warm-up.
    #[serde(default)]
    pub(super) lr_scheduler_type: Spanned<Shape>,
    /// Share of all steps over which the learning rate rises from 0; give this or `warmup_steps`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub(super) warmup_ratio: Option<Spanned<f64>>,
    /// Steps over which the learning rate rises from 0.
    #[serde(default)]
    pub(super) warmup_steps: Option<Spanned<u64>>,
    /// How fast weights shrink, apart from biases and norms.
    #[serde(default = "weight_decay")]
    #[schemars(range(min = 0))]
    pub(super) weight_decay: Spanned<f64>,
    /// Decay of AdamW's mean of gradients.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0, max = 1))]
    pub(super) adam_beta1: Spanned<f64>,
    /// Decay of AdamW's mean of squared gradients.
    #[serde(default = "beta2")]
    #[schemars(range(min = 0, max = 1))]
    pub(super) adam_beta2: Spanned<f64>,
    /// What AdamW adds to the root of the mean of squared gradients.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(super) adam_epsilon: Spanned<f64>,
    /// The longest that the gradient of a step may be, all weights together; 0 for no limit.
    #[serde(default = "max_grad_norm")]
    #[schemars(range(min = 0))]
    pub(super) max_grad_norm: Spanned<f64>,
    /// Share of each target that is spread evenly over all labels.
    #[serde(default = "zero")]
    #[schemars(range(min = 0, max = 1))]
    pub(super) label_smoothing_factor: Spanned<f64>,
    /// How much the samples of each label count: "balanced" gives every label the same share, a table a weight to each. Default: 1.
    #[serde(default)]
    pub(super) class_weights: Option<Spanned<ClassWeights>>,
    /// The figure on the validation table by which the best epoch is chosen; of equals the one with the lower log loss.
    #[serde(default = "accuracy")]
    pub(super) metric_for_best_model: Spanned<String>,
    /// Whether the best epoch's weights are the result, and not the last one's.
    #[serde(default = "yes")]
    pub(super) load_best_model_at_end: bool,
    /// Stop after so many epochs without a better figure.
    #[serde(default)]
    pub(super) early_stopping_patience: Option<Spanned<NonZeroUsize>>,
}

/// How much the samples of each label count.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ClassWeights {
    /// Every label has the same share.
    Balanced,
    /// By label.
    Table(BTreeMap<String, f64>),
}

fn text() -> String {
    "text".into()
}

fn label() -> String {
    "label".into()
}

fn epochs() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(2)
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

fn learning_rate() -> Spanned<f64> {
    5e-5.into()
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

fn zero() -> Spanned<f64> {
    0.0.into()
}

fn accuracy() -> Spanned<String> {
    "accuracy".to_string().into()
}

impl Settings {
    /// Refuses values that cannot be meant and settings that contradict each other.
    pub(super) fn check(&self) -> Result<()> {
        self.check_numbers()?;
        self.check_labels()?;
        self.check_class_weights()?;
        self.check_warmup()?;
        self.metric()
            .map_err(|error| self.metric_for_best_model.blame(error, ""))?;
        match &self.early_stopping_patience {
            Some(patience) if self.validation.is_none() => Err(patience.blame(
                Error::usage(
                    "`early_stopping_patience` needs a `validation` table to measure epochs on",
                ),
                "",
            )),
            _ => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<()> {
        let above_zero = |number: f64| number > 0.0;
        let not_negative = |number: f64| number >= 0.0;
        let below_one = |number: f64| (0.0..1.0).contains(&number);
        let share = |number: f64| (0.0..=1.0).contains(&number);
        number("learning_rate", &self.learning_rate, above_zero, "above 0")?;
        number(
            "weight_decay",
            &self.weight_decay,
            not_negative,
            "at least 0",
        )?;
        number(
            "adam_beta1",
            &self.adam_beta1,
            below_one,
            "at least 0 and below 1",
        )?;
        number(
            "adam_beta2",
            &self.adam_beta2,
            below_one,
            "at least 0 and below 1",
        )?;
        number("adam_epsilon", &self.adam_epsilon, above_zero, "above 0")?;
        number(
            "max_grad_norm",
            &self.max_grad_norm,
            not_negative,
            "at least 0",
        )?;
        number(
            "label_smoothing_factor",
            &self.label_smoothing_factor,
            below_one,
            "at least 0 and below 1",
        )?;
        if let Some(dropout) = &self.classifier_dropout {
            number(
                "classifier_dropout",
                dropout,
                below_one,
                "at least 0 and below 1",
            )?;
        }
        if let Some(ratio) = &self.warmup_ratio {
            number("warmup_ratio", ratio, share, "between 0 and 1")?;
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for label in &self.labels {
            if !seen.insert(&label.value) {
                let error = Error::usage(format!("`labels` has `{}` twice", label.value));
                return Err(label.blame(error, "again"));
            }
        }
        if let [] | [_] = self.labels.as_slice() {
            let error = Error::usage(format!(
                "a classifier needs two labels, and `labels` has {}",
                seen.len()
            ));
            return Err(self
                .labels
                .first()
                .map_or(error.clone(), |label| label.blame(error, "")));
        }
        Ok(())
    }

    fn check_class_weights(&self) -> Result<()> {
        let Some(weights) = &self.class_weights else {
            return Ok(());
        };
        let ClassWeights::Table(table) = &weights.value else {
            return Ok(());
        };
        let labels = || self.labels.iter().map(|label| label.value.as_str());
        for (label, weight) in table {
            if !labels().any(|known| known == label) {
                let error = Error::usage(format!(
                    "`class_weights` has the label `{label}`, which is not in `labels`"
                ));
                return Err(weights.blame(error.did_you_mean(label, labels()), ""));
            }
            if !(weight.is_finite() && *weight > 0.0) {
                let error = Error::usage(format!(
                    "the class weight of `{label}` is {weight}; it must be above 0"
                ));
                return Err(weights.blame(error, ""));
            }
        }
        match labels().find(|label| !table.contains_key(*label)) {
            Some(label) => {
                let error = Error::usage(format!(
                    "`class_weights` has no weight for the label `{label}`"
                ));
                Err(weights.blame(error, ""))
            }
            None => Ok(()),
        }
    }

    fn check_warmup(&self) -> Result<()> {
        if let (Some(_), Some(steps)) = (&self.warmup_ratio, &self.warmup_steps) {
            let error = Error::usage("`warmup_ratio` and `warmup_steps` say the same thing twice");
            return Err(steps.blame(error.help("keep one of them"), ""));
        }
        let warms_up = match self.warmup() {
            Warmup::Steps(steps) => steps > 0,
            Warmup::Ratio(ratio) => ratio > 0.0,
        };
        let shape = &self.lr_scheduler_type;
        if warms_up && shape.value == Shape::Constant {
            let error = Error::usage("the schedule \"constant\" has no warm-up")
                .help("set lr_scheduler_type = \"constant_with_warmup\"");
            return Err(shape.blame(error, ""));
        }
        Ok(())
    }

    fn warmup(&self) -> Warmup {
        match (&self.warmup_ratio, &self.warmup_steps) {
            (Some(ratio), _) => Warmup::Ratio(ratio.value),
            (None, steps) => Warmup::Steps(steps.as_ref().map_or(0, |steps| steps.value)),
        }
    }

    /// The labels in the order of the outputs.
    pub(super) fn label_names(&self) -> Vec<String> {
        self.labels
            .iter()
            .map(|label| label.value.clone())
            .collect()
    }

    /// The figure that decides which epoch is the best.
    pub(super) fn metric(&self) -> Result<&'static Metric> {
        metrics::find(&self.metric_for_best_model.value)
    }

    /// The settings of the training loop for a training table with so many samples of each label.
    ///
    /// # Errors
    /// An unknown metric.
    pub(super) fn recipe(&self, class_counts: &[usize], seed: u64) -> Result<Recipe> {
        Ok(Recipe {
            epochs: self.epochs.get(),
            batch_size: self.batch_size.get(),
            gradient_accumulation_steps: self.gradient_accumulation_steps.get(),
            learning_rate: self.learning_rate.value,
            shape: self.lr_scheduler_type.value,
            warmup: self.warmup(),
            optimizer: AdamWSettings {
                beta1: self.adam_beta1.value,
                beta2: self.adam_beta2.value,
                epsilon: self.adam_epsilon.value,
                weight_decay: self.weight_decay.value,
                max_grad_norm: Some(self.max_grad_norm.value).filter(|norm| *norm > 0.0),
            },
            objective: Objective::new(self.weights(class_counts), self.smoothing()),
            metric: self.metric()?,
            load_best_model_at_end: self.load_best_model_at_end,
            early_stopping_patience: self
                .early_stopping_patience
                .as_ref()
                .map(|patience| patience.value.get()),
            seed,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "losses are 32-bit floats")]
    fn smoothing(&self) -> f32 {
        self.label_smoothing_factor.value as f32
    }

    #[expect(clippy::cast_possible_truncation, reason = "losses are 32-bit floats")]
    fn weights(&self, class_counts: &[usize]) -> Vec<f32> {
        match self.class_weights.as_ref().map(|weights| &weights.value) {
            None => vec![1.0; class_counts.len()],
            Some(ClassWeights::Balanced) => Objective::balanced(class_counts),
            Some(ClassWeights::Table(table)) => {
                let weight = |label: &Spanned<String>| {
                    table.get(&label.value).map_or(1.0, |weight| *weight as f32)
                };
                self.labels.iter().map(weight).collect()
            }
        }
    }
}

/// Refuses a number that is not `good`.
fn number(
    name: &str,
    value: &Spanned<f64>,
    good: impl Fn(f64) -> bool,
    must_be: &str,
) -> Result<()> {
    if value.value.is_finite() && good(value.value) {
        return Ok(());
    }
    let error = Error::usage(format!("`{name}` is {}; it must be {must_be}", value.value));
    Err(value.blame(error, ""))
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = ClassWeights;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"balanced\" or a table of weights by label")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<ClassWeights, E> {
                match word {
                    "balanced" => Ok(ClassWeights::Balanced),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ClassWeights, A::Error> {
                let table = serde::de::value::MapAccessDeserializer::new(map);
                BTreeMap::deserialize(table).map(ClassWeights::Table)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Balanced => serializer.serialize_str("balanced"),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

impl JsonSchema for ClassWeights {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClassWeights".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "const": "balanced" },
                { "type": "object", "additionalProperties": { "type": "number", "exclusiveMinimum": 0 } },
            ],
        })
    }
}
