//! What a model's card says of what was frozen, and of how it was trained.

use serde_json::Value;

use super::artifacts::{Artifacts, of_type};
use crate::page::Model;
use crate::plan::Node;
use crate::stages::ArtifactType;
use crate::store::Record;

/// The card of the model that a stage made, if it says something of a training or of what is frozen.
pub(super) fn model(artifacts: &Artifacts<'_>, node: &Node, record: &Record) -> Option<Model> {
    let (_, artifact) = of_type(node, record, ArtifactType::Model).pop()?;
    let card = artifacts.json(&artifact, "refire.json")?;
    let number = |pointer: &str| {
        card.pointer(pointer)
            .and_then(Value::as_u64)
            .and_then(|number| usize::try_from(number).ok())
    };
    let words = |pointer: &str| {
        let list = card
            .pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        list.filter_map(|word| Some(word.as_str()?.to_owned()))
            .collect::<Vec<_>>()
    };
    let settings = card
        .pointer("/training/settings")
        .and_then(Value::as_object);
    let settings = settings.into_iter().flatten().map(|(name, value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), text)
    });
    let found = Model {
        task: card
            .get("task")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .into(),
        labels: words("/labels"),
        trainable: number("/frozen/trainable").unwrap_or_default(),
        total: number("/frozen/total").unwrap_or_default(),
        frozen: words("/frozen/names"),
        best_epoch: number("/training/best_epoch").unwrap_or_default(),
        settings: settings.collect(),
    };
    // What hands a model on, or only freezes it, has no figures of a training; the training below it shows the same.
    let is_trained = found.best_epoch > 0 && node.kind.name() == "finetune";
    is_trained.then_some(found)
}
