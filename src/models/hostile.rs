//! What no model's folder should say, in every number that one of every architecture says: an error, before anything is made of
//! it.

use std::path::Path;

use serde_json::{Value, json};

use super::small::small_models;
use super::{Head, ImageInput, Modality, Network, Problem, device, labels};
use crate::error::{Result, contained};

/// What is written in place of a number.
fn values() -> [Value; 8] {
    [
        json!(0),
        json!(7),
        json!(1_000_000_007),
        json!(1_u64 << 63),
        json!(u64::MAX),
        json!(-1),
        json!(1e-300),
        json!("12"),
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

/// Everything that reads what `place` of the config in `folder` says.
fn read(folder: &Path, place: &str, modality: Modality) -> Result<()> {
    let own = labels(folder)?;
    assert!(own.len() <= 1_000_000, "a label for each class");
    ImageInput::of(folder)?;
    // Networks see nothing of what timm says about photos.
    if place.starts_with("/pretrained_cfg") {
        return Ok(());
    }
    Network::outline(folder)?;
    let head = Head {
        modality,
        problem: Problem::default(),
        labels: vec!["a".into(), "b".into()],
        embedding_size: None,
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
        let whole: Value = serde_json::from_str(&text).expect("JSON");
        // What the file need not say.
        let more = ["num_classes", "type_vocab_size", "image_size", "patch_size"];
        let mut places: Vec<String> = more.map(|key| format!("/{key}")).to_vec();
        numbers(&whole, "", &mut places);
        for (place, value) in places
            .iter()
            .flat_map(|place| values().map(|value| (place, value)))
        {
            let mut config = whole.clone();
            match config.pointer_mut(place) {
                Some(number) => *number = value.clone(),
                None => config[&place[1..]] = value.clone(),
            }
            crate::store::write_atomic(&path, config.to_string().as_bytes()).expect("written");
            let done = contained(|| read(model.path(), place, model.modality).is_ok());
            assert!(done.is_ok(), "{}: {place} = {value}: {done:?}", model.name);
        }
    }
}
