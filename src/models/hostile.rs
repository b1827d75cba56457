//! What no model's folder should say, in every number that one of every architecture says: an error, before anything is made of
//! it.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::small::small_models;
use super::{Head, ImageInput, Network, device, labels, write_config};
use crate::error::contained;

/// What is written in place of a number.
fn values() -> Vec<Value> {
    vec![
        json!(0),
        json!(1),
        json!(7),
        json!(1_000_000_007),
        json!(1_u64 << 53),
        json!(1_u64 << 63),
        json!(u64::MAX),
        json!(-1),
        json!(0.5),
        json!(-1e300),
        json!(1e-300),
        json!("12"),
        json!(null),
        json!([]),
    ]
}

/// The places of the numbers in `value`, as JSON pointers.
fn numbers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(at.into()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                numbers(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                numbers(member, &format!("{at}/{key}"), found);
            }
        }
        _ => {}
    }
}

/// Everything that reads a folder.
fn read(folder: &Path, task: super::Task) -> crate::error::Result<()> {
    let own = labels(folder)?;
    assert!(own.len() <= 1_000_000, "a label for each class");
    ImageInput::of(folder)?;
    Network::outline(folder)?;
    let head = Head {
        task,
        labels: vec!["a".into(), "b".into()],
        pooling: None,
        dropout: None,
        seed: 1,
    };
    Network::load(folder, &head, &device("cpu")?).map(drop)
}

#[test]
fn a_config_that_says_anything_is_refused_or_read() {
    for model in small_models() {
        let path = model.path().join("config.json");
        let text = std::fs::read_to_string(&path).expect("readable");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        // What the file need not say.
        let more = [
            "num_classes",
            "type_vocab_size",
            "layer_norm_eps",
            "image_size",
            "patch_size",
            "num_channels",
            "hidden_dropout_prob",
            "initializer_range",
        ];
        let mut places: Vec<String> = more.map(|key| format!("/{key}")).to_vec();
        numbers(&config, "", &mut places);
        for place in places {
            for value in values() {
                let whole = config.clone();
                match config.pointer_mut(&place) {
                    Some(number) => *number = value.clone(),
                    None => config[&place[1..]] = value.clone(),
                }
                let written = config.as_object().cloned().unwrap_or_else(Map::new);
                std::fs::remove_file(&path).expect("removed");
                write_config(model.path(), &written).expect("written");
                let done = contained(|| read(model.path(), model.task).is_ok());
                assert!(done.is_ok(), "{}: {place} = {value}: {done:?}", model.name);
                config = whole;
            }
        }
    }
}
