//! The settings of `finetune` as they are written: a flat table that falls into parts, each of which checks itself.

mod changes;
mod input;
mod optimizer;
mod training;
mod unfreezing;

use std::num::NonZeroUsize;
use std::sync::Arc;

pub(super) use changes::ImageChanges;
pub(super) use input::{Columns, Input};
#[cfg(test)]
pub(super) use optimizer::Optim;
pub(super) use optimizer::OptimizerSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
pub(super) use training::{Best, Kept, Pace, Rates, ScheduleSettings, Steps, Trains};
pub(super) use unfreezing::UnfreezingSettings;

use crate::config::{Parts, Spanned, Table};
use crate::error::{Error, Result};
use crate::models::Modality;
use crate::stages::Port;
use crate::stages::schema::merged;
use crate::tasks::{self, Reading, TASKS, Task, TaskName};
use crate::train::{Loss, Recipe, Views};

/// Where the stage gets its model and its samples, and what is to be learnt.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(in crate::stages::finetune) struct Ports {
    /// The model to start from: what a `pretrained`, `freeze` or `finetune` stage made. Without a `freeze` stage before it, every
    /// weight trains; what was frozen when a model was tuned stays so until a `freeze` stage says otherwise.
    pub(in crate::stages::finetune) model: Port,
    /// What to train on: a table of texts, or images.
    pub(in crate::stages::finetune) train: Port,
    /// What to measure every epoch on. It decides which epoch is the best.
    #[serde(default)]
    pub(in crate::stages::finetune) validation: Option<Port>,
    /// What the model is to do.
    pub(in crate::stages::finetune) task: TaskName,
}

/// What the kind does, for the schema.
const ABOUT: &str = "Trains a pretrained model on texts or images.\n\nNames and defaults are those of Hugging Face's `TrainingArguments` where it has them.";

/// All settings.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) ports: Ports,
    pub(super) columns: Columns,
    /// The task's own.
    pub(super) reading: Box<dyn Reading>,
    pub(super) input: Input,
    pub(super) changes: ImageChanges,
    pub(super) steps: Steps,
    pub(super) rates: Rates,
    pub(super) unfreezing: UnfreezingSettings,
    pub(super) kept: Kept,
    pub(super) schedule: ScheduleSettings,
    pub(super) optimizer: OptimizerSettings,
    pub(super) best: Best,
}

impl Settings {
    /// Reads the parts, fills in defaults that depend on the task, and refuses what cannot be meant.
    pub(super) fn parse(table: &Table) -> Result<Self> {
        Self::read(Parts::new(table))
    }

    /// The same, of a table whose other keys are read already.
    pub(super) fn read(mut parts: Parts<'_>) -> Result<Self> {
        let between: Ports = parts.read()?;
        let task = between.task.0;
        let mut settings = Self {
            columns: parts.read()?,
            reading: task.targets.parse(&mut parts, task.modality)?,
            input: parts.read()?,
            changes: parts.read()?,
            steps: parts.read()?,
            rates: parts.read()?,
            unfreezing: parts.read()?,
            kept: parts.read()?,
            schedule: parts.read()?,
            optimizer: parts.read()?,
            best: parts.read()?,
            ports: between,
        };
        parts.finish(|key| tasks::stray(task, key))?;
        settings.complete()?;
        Ok(settings)
    }

    fn complete(&mut self) -> Result<()> {
        match self.task().modality {
            Modality::Texts => {
                let by_word = self.task().targets.by_word();
                self.columns.complete(by_word);
                self.changes.refuse_all()?;
                if self.task().targets.masks() {
                    self.columns.refuse_pairs_of_masked()?;
                    self.input.refuse_for_masked()?;
                } else if by_word {
                    self.columns.refuse_pairs()?;
                    self.input.refuse_for_words()?;
                } else if self.reading.compares() {
                    self.columns.need_pairs()?;
                    self.input.refuse_for_compared()?;
                }
                self.input.check(&self.columns)?;
            }
            Modality::Images => {
                self.columns.refuse_all()?;
                self.input.refuse_for_texts()?;
                self.input.check(&self.columns)?;
                self.changes.check()?;
            }
        }
        let peak = self.rates.learning_rate.as_ref().map(|rate| rate.value);
        let has_validation = self.ports.validation.is_some();
        self.steps.check(has_validation)?;
        self.schedule.check(peak, has_validation)?;
        self.best.check(&self.steps)?;
        self.optimizer.check(peak.is_some())?;
        self.rates.check()?;
        self.unfreezing
            .check(self.steps.epochs().unwrap_or(usize::MAX))?;
        self.kept.most_bytes()?;
        let task = self.task();
        self.best.complete(task, &*self.reading)?;
        if self.ports.validation.is_some() {
            return Ok(());
        }
        if let Some(patience) = &self.best.early_stopping_patience {
            let error =
                Error::usage("`early_stopping_patience` needs `validation` to measure epochs on");
            return Err(patience.blame(error, ""));
        }
        match self.reading.needs_validation() {
            Some((setting, span)) => {
                let error = Error::usage(format!(
                    "`{setting}` is chosen on `validation`, which is missing"
                ));
                Err(match span {
                    Some(span) => error.at(&span, ""),
                    None => error,
                })
            }
            None => Ok(()),
        }
    }

    /// What the model is to do.
    pub(super) fn task(&self) -> &'static Task {
        self.ports.task.0
    }

    /// All of them by name, in the order of documentation, with nulls for what is not set.
    pub(super) fn all(&self) -> Map<String, Value> {
        let [read, loss] = self.reading.settings();
        let mut all = Map::new();
        for part in [
            object(&self.ports),
            object(&self.columns),
            read,
            object(&self.input),
            object(&self.changes),
            object(&self.steps),
            object(&self.rates),
            object(&self.unfreezing),
            object(&self.kept),
            object(&self.schedule),
            object(&self.optimizer),
            loss,
            object(&self.best),
        ] {
            all.extend(part);
        }
        all
    }

    /// The schema of all of them, whatever the task.
    pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
        let parts = Self::schemas(generator);
        merged(ABOUT, parts, generator)
    }

    /// The schemas of the parts.
    pub(super) fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
        let mut parts = vec![
            generator.subschema_for::<Ports>(),
            generator.subschema_for::<Columns>(),
        ];
        for task in TASKS {
            parts.extend(task.targets.schemas(generator));
        }
        parts.extend([
            generator.subschema_for::<Input>(),
            generator.subschema_for::<ImageChanges>(),
            generator.subschema_for::<Steps>(),
            generator.subschema_for::<Rates>(),
            generator.subschema_for::<UnfreezingSettings>(),
            generator.subschema_for::<Kept>(),
            generator.subschema_for::<ScheduleSettings>(),
            generator.subschema_for::<OptimizerSettings>(),
            generator.subschema_for::<Best>(),
        ]);
        parts
    }

    /// Why what the frozen layers give will not be kept, as far as the settings say, and how long it trains where they say it twice.
    pub(super) fn notes(&self) -> Vec<String> {
        let changes = self.changes.changes(0).views() == Views::Endless;
        let changes = changes.then_some("images change at random before them");
        let no_room = matches!(self.kept.most_bytes(), Ok(0));
        let no_room = no_room.then_some("`feature_cache_max` leaves no room");
        let why = changes.or(no_room);
        let why = why.map(|why| format!("frozen layers run again in every epoch, because {why}"));
        why.into_iter().chain(self.steps.note()).collect()
    }

    /// The settings of the training loop, which goes at `pace`, makes `loss` small and holds weights down by `l2`.
    ///
    /// # Errors
    /// An unknown metric.
    pub(super) fn recipe(
        &self,
        pace: Pace,
        l2: f64,
        loss: Arc<dyn Loss>,
        seed: u64,
    ) -> Result<Recipe> {
        let count =
            |count: &Option<Spanned<NonZeroUsize>>| count.as_ref().map(|count| count.value.get());
        Ok(Recipe {
            epochs: pace.epochs,
            max_steps: count(&self.steps.max_steps),
            eval_steps: count(&self.steps.eval_steps),
            save_steps: self.steps.save_steps.map(NonZeroUsize::get),
            averaging: self.best.averaging(),
            batch_size: self.steps.batch_size.get(),
            gradient_accumulation_steps: self.steps.gradient_accumulation_steps.get(),
            learning_rate: pace.learning_rate,
            shape: self.schedule.lr_scheduler_type.value,
            details: self.schedule.details(),
            warmup: self.schedule.warmup(),
            optimizer: self.optimizer.make(l2),
            loss,
            metric: self.best.metric(self.task())?,
            tie_breaker: self.task().targets.tie_breaker(),
            load_best_model_at_end: self.best.load_best_model_at_end,
            early_stopping_patience: count(&self.best.early_stopping_patience),
            feature_cache_max: self.kept.most_bytes()?,
            seed,
        })
    }
}

fn object(part: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(part) {
        Ok(Value::Object(fields)) => fields,
        _ => panic!("a part of the settings must be a struct with string keys"),
    }
}

/// The error for a setting that is there and should not be.
fn refused<T>(name: &str, setting: Option<&Spanned<T>>, why: &str) -> Option<Error> {
    let error = Error::usage(format!("`{name}` {why}"));
    setting.map(|setting| setting.blame(error, ""))
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
