//! The registry of tasks, asked by name.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{TASKS, Task};
use crate::error::{Error, Result};
use crate::models::{Card, Modality};

/// The tasks that have a metric called `name`.
pub(super) fn with_metric(name: &str) -> Vec<&'static str> {
    let has = |task: &&&Task| {
        let mut metrics = task.targets.metrics().into_iter();
        metrics.any(|metric| metric.name == name)
    };
    TASKS.iter().filter(has).map(|task| task.name).collect()
}

/// Whether a metric of any task is the better the higher it is; none if no task has it.
#[must_use]
pub fn higher_is_better(name: &str) -> Option<bool> {
    let mut metrics = TASKS.iter().flat_map(|task| task.targets.metrics());
    let found = metrics.find(|metric| metric.name == name);
    found.map(|metric| metric.higher_is_better)
}

/// Refuses a metric that no task has.
///
/// # Errors
/// A name that none has, with those that there are.
pub fn check_metric(name: &str) -> Result<()> {
    if !with_metric(name).is_empty() {
        return Ok(());
    }
    let metrics = TASKS.iter().flat_map(|task| task.targets.metrics());
    let mut seen = BTreeSet::new();
    let known: Vec<_> = metrics
        .map(|metric| metric.name)
        .filter(|name| seen.insert(*name))
        .collect();
    Err(Error::usage(format!("unknown metric `{name}`"))
        .note(format!("known metrics: {}", known.join(", ")))
        .did_you_mean(name, known))
}

/// The word for why a task does not know the setting `key`: that others do.
#[must_use]
pub fn stray(task: &Task, key: &str) -> Option<Error> {
    let knows = |other: &&&Task| other.targets.keys(other.modality).contains(&key);
    let others: Vec<_> = TASKS.iter().filter(knows).map(|other| other.name).collect();
    (!others.is_empty()).then(|| {
        Error::usage(format!("`{key}` is no setting of {}", task.name))
            .note(format!("it is one of {}", others.join(", ")))
    })
}

/// The task of a tuned model that takes `modality`: what its card says, else what transformers' classes do.
///
/// # Errors
/// A task that refire does not know.
pub fn of(card: &Card, modality: Modality) -> Result<&'static Task> {
    let mut tasks = TASKS.iter().copied();
    if let Some(name) = &card.task {
        return find(name).map_err(|error| {
            error
                .of_kind(crate::error::Kind::Stage)
                .note("it is what the model's refire.json says")
        });
    }
    let fits = |task: &&Task| task.modality == modality && task.targets.problem() == card.problem;
    tasks.find(fits).ok_or_else(|| {
        Error::stage(format!(
            "no task is for {} with a head for {}",
            modality.name(),
            card.problem.name()
        ))
    })
}

/// The task called `name`.
///
/// # Errors
/// If there is none, with those that there are.
pub fn find(name: &str) -> Result<&'static Task> {
    let names = || TASKS.iter().map(|task| task.name);
    let found = TASKS.iter().find(|task| task.name == name);
    found.copied().ok_or_else(|| {
        let known: Vec<_> = names().map(|name| format!("\"{name}\"")).collect();
        Error::usage(format!(
            "expected one of {}, found \"{name}\"",
            known.join(", ")
        ))
        .did_you_mean(name, names())
    })
}

/// A task as a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskName(pub &'static Task);

impl<'de> Deserialize<'de> for TaskName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = TASKS.iter().find(|task| task.name == name);
        found.map(|task| Self(task)).ok_or_else(|| {
            static NAMES: std::sync::LazyLock<Vec<&'static str>> =
                std::sync::LazyLock::new(|| TASKS.iter().map(|task| task.name).collect());
            serde::de::Error::unknown_variant(&name, &NAMES)
        })
    }
}

impl Serialize for TaskName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

impl JsonSchema for TaskName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Task".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let tasks = TASKS
            .iter()
            .map(|task| serde_json::json!({ "const": task.name, "description": task.about }));
        json_schema!({ "oneOf": tasks.collect::<Vec<_>>() })
    }
}
