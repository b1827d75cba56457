//! What is refused before anything runs.

use std::collections::BTreeSet;

use super::{ClassWeights, Settings};
use crate::config::Spanned;
use crate::error::{Error, Result};
use crate::models::{Pattern, Task};
use crate::stages::feature_cache;
use crate::train::{Shape, Warmup};

impl Settings {
    /// Fills in defaults that depend on the task; refuses values that cannot be meant and settings that contradict each other.
    pub(in crate::stages::finetune) fn complete(&mut self) -> Result<()> {
        match self.task {
            Task::TextClassification => self.complete_for_texts()?,
            Task::ImageClassification => {
                self.refuse_settings_for_texts()?;
                self.check_changes()?;
            }
        }
        self.check_numbers()?;
        if let (Some(labels), Some(file)) = (&self.labels, &self.labels_file) {
            let error = Error::usage("`labels` and `labels_file` cannot both be set");
            return Err(match labels.first() {
                Some(label) => file.blame_also(label, error),
                None => file.blame(error, ""),
            });
        }
        if let Some(labels) = &self.labels {
            check_labels(labels)?;
        }
        if let Some(labels) = self.label_names() {
            self.check_class_weights(&labels)?;
        }
        self.check_warmup()?;
        self.check_rates()?;
        self.check_unfreezing()?;
        feature_cache::most_bytes(self.feature_cache_max.as_ref())?;
        self.metric()
            .map_err(|error| self.metric_for_best_model.blame(error, ""))?;
        match &self.early_stopping_patience {
            Some(patience) if self.validation.is_none() => Err(patience.blame(
                Error::usage("`early_stopping_patience` needs `validation` to measure epochs on"),
                "",
            )),
            _ => Ok(()),
        }
    }

    fn complete_for_texts(&mut self) -> Result<()> {
        let fill = |column: &mut Option<Spanned<String>>, name: &str| {
            column.get_or_insert_with(|| name.to_string().into());
        };
        fill(&mut self.text_column, "text");
        fill(&mut self.target_column, "label");
        self.refuse_changes()
    }

    fn refuse_settings_for_texts(&self) -> Result<()> {
        let why = "is for texts, not for images";
        let errors = [
            refused("text_column", self.text_column.as_ref(), why),
            refused("target_column", self.target_column.as_ref(), why),
            refused("pooling", self.pooling.as_ref(), why),
            refused("max_length", self.max_length.as_ref(), why),
        ];
        errors.into_iter().flatten().next().map_or(Ok(()), Err)
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

    fn check_rates(&self) -> Result<()> {
        if let Some(decay) = &self.layer_decay {
            let good = |decay| decay > 0.0 && decay <= 1.0;
            number("layer_decay", decay, good, "above 0 and at most 1")?;
        }
        for (pattern, rate) in self.learning_rates.iter().flatten() {
            Pattern::parse(pattern).map_err(|error| rate.blame(error, ""))?;
            let name = format!("learning_rates.{pattern}");
            number(
                &name,
                rate,
                |rate| rate > 0.0,
                "above 0; a `freeze` stage says what does not train",
            )?;
        }
        Ok(())
    }

    /// Refuses a table of class weights that is not for exactly `labels`.
    pub(in crate::stages::finetune) fn check_class_weights(&self, labels: &[String]) -> Result<()> {
        let Some(weights) = &self.class_weights else {
            return Ok(());
        };
        let ClassWeights::Table(table) = &weights.value else {
            return Ok(());
        };
        let labels = || labels.iter().map(String::as_str);
        for (label, weight) in table {
            if !labels().any(|known| known == label) {
                let error = Error::usage(format!(
                    "`class_weights` has the label `{label}`, which is not one of the labels"
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
}

/// The error for a setting that is there and should not be.
pub(super) fn refused<T>(name: &str, setting: Option<&Spanned<T>>, why: &str) -> Option<Error> {
    let error = Error::usage(format!("`{name}` {why}"));
    setting.map(|setting| setting.blame(error, ""))
}

/// Refuses fewer than two labels, and one that comes twice.
pub(in crate::stages::finetune) fn check_labels(labels: &[Spanned<String>]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for label in labels {
        if !seen.insert(&label.value) {
            let error = Error::usage(format!("the label `{}` comes twice", label.value));
            return Err(label.blame(error, "again"));
        }
    }
    match labels {
        [] => Err(Error::usage(
            "a classifier needs two labels, and there is none",
        )),
        [only] => Err(only.blame(
            Error::usage("a classifier needs two labels, and there is one"),
            "",
        )),
        _ => Ok(()),
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
