//! Weights that are drawn: of every architecture, from a seed, within what can be made.

use serde_json::json;

use super::super::small::all_made;
use super::super::{ARCHITECTURES, Network};
use super::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn small_bert() -> Map<String, Value> {
    object(json!({
        "model_type": "bert", "vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 12,
    }))
}

fn written(config: Map<String, Value>, seed: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let blank = Blank::new(config).expect("a network");
    blank.write(folder.path(), seed).expect("written");
    folder
}

fn weights_of(folder: &tempfile::TempDir) -> Vec<u8> {
    std::fs::read(folder.path().join("model.safetensors")).expect("weights")
}

fn refused(change: Value) -> String {
    let mut config = small_bert();
    config.extend(object(change));
    Blank::new(config)
        .expect_err("refused")
        .message()
        .to_string()
}

#[test]
fn every_architecture_can_begin_with_random_weights() {
    let mut made = all_made();
    made.sort_by_key(|made| {
        let shapes = made.tensors.values();
        shapes
            .map(|shape| shape.iter().product::<usize>())
            .sum::<usize>()
    });
    let made = made.into_iter().map(|made| made.config);
    let mut seen = Vec::new();
    for config in made.chain([small_bert()]) {
        let name = Blank::new(config.clone()).expect("a network").name();
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let folder = written(config, 1);
        let outline = Network::outline(folder.path()).expect("a model");
        assert!(outline.card.random_weights.is_some());
        assert!(outline.card.labels.is_empty());
        let loaded = Head {
            modality: outline.modality,
            problem: Problem::default(),
            labels: vec!["a".into(), "b".into()],
            embedding_size: None,
            pooling: None,
            dropout: None,
            seed: 1,
        };
        let loaded = Network::load(folder.path(), &loaded, &Device::flex()).expect("it loads");
        assert_eq!(loaded.unused, Vec::<String>::new());
        let parameters = loaded.network.parameters();
        let of_head = |name: &String| {
            let known = parameters.iter().find(|known| known.name == *name);
            known.is_some_and(|known| known.head)
        };
        assert!(loaded.missing.iter().all(of_head), "{:?}", loaded.missing);
    }
    for known in ARCHITECTURES {
        assert!(seen.contains(&known.name), "{}", known.name);
    }
}

#[test]
fn weights_follow_from_the_seed_and_from_their_names() {
    let [one, again, other] = [1, 1, 2].map(|seed| written(small_bert(), seed));
    assert_eq!(weights_of(&one), weights_of(&again));
    assert_ne!(weights_of(&one), weights_of(&other));
    let mut deeper = small_bert();
    deeper.insert("num_hidden_layers".into(), 3.into());
    let deeper = written(deeper, 1);
    let (one, deeper) = (weights_of(&one), weights_of(&deeper));
    let of = |bytes| safetensors::SafeTensors::deserialize(bytes).expect("safetensors");
    let (one, deeper) = (of(&one), of(&deeper));
    for (name, tensor) in one.tensors() {
        assert_eq!(
            deeper.tensor(&name).expect("it has it").data(),
            tensor.data(),
            "{name}"
        );
    }
}

#[test]
fn the_name_of_a_known_network_is_a_config() {
    let folder = written(object(json!({ "architecture": "resnet20" })), 1);
    let config = folder::config(folder.path()).expect("a config");
    assert!(config.contains_key("pretrained_cfg"));
    assert!(!config.contains_key("num_classes") && !config.contains_key("label_names"));
    assert_eq!(
        folder::labels(folder.path()).expect("labels"),
        Vec::<String>::new()
    );
}

#[test]
fn configs_that_contradict_themselves_are_refused() {
    let cases = [
        (
            json!({ "num_attention_heads": 3 }),
            "config.json: `hidden_size` 8 is not a multiple of `num_attention_heads` 3",
        ),
        (
            json!({ "pad_token_id": 40 }),
            "config.json: `pad_token_id` is none of the 40 tokens that `vocab_size` is for",
        ),
        (
            json!({ "pad_token_id": -1 }),
            "config.json: `pad_token_id` is none of the 40 tokens that `vocab_size` is for",
        ),
        (
            json!({ "initializer_range": -0.1 }),
            "config.json: `initializer_range` is no standard deviation",
        ),
        (
            json!({ "num_hidden_layers": 1001 }),
            "config.json: `num_hidden_layers` is 1001, and at most 1000 are made",
        ),
        (
            json!({ "model_type": "t5" }),
            "`config.json` names the model type `t5`, which refire does not know",
        ),
        (
            json!({ "hidden_size": "8" }),
            "`config.json` describes no network that refire can build",
        ),
    ];
    for (change, message) in cases {
        assert_eq!(refused(change), message);
    }
    for size in [1_usize << 40, 1 << 62] {
        let message = refused(json!({ "vocab_size": size }));
        assert!(
            message.contains("at most 2000000000 are drawn"),
            "{message}"
        );
    }
}

#[test]
fn the_padding_token_is_nothing() {
    let mut config = small_bert();
    config.insert("pad_token_id".into(), 3.into());
    let weights = weights_of(&written(config, 1));
    let weights = safetensors::SafeTensors::deserialize(&weights).expect("safetensors");
    let words = weights
        .tensor("embeddings.word_embeddings.weight")
        .expect("it is there");
    let rows: Vec<bool> = words
        .data()
        .chunks(8 * 4)
        .map(|row| row.iter().all(|byte| *byte == 0))
        .collect();
    assert_eq!(rows.iter().position(|zero| *zero), Some(3));
    assert_eq!(rows.iter().filter(|zero| **zero).count(), 1);
}

/// What `tests/reference/make_initial.py` has found in the libraries.
#[derive(serde::Deserialize)]
struct Reference {
    drawn: f64,
    networks: Vec<Drawn>,
}

#[derive(serde::Deserialize)]
struct Drawn {
    name: String,
    config: Map<String, Value>,
    tensors: std::collections::BTreeMap<String, Statistics>,
}

/// Of the numbers of a tensor: mean and standard deviation, and the share that is further than two of them from 0.
#[derive(serde::Deserialize)]
struct Statistics {
    shape: Vec<usize>,
    mean: f64,
    std: f64,
    #[serde(default)]
    beyond: f64,
    #[serde(default)]
    zero_rows: Vec<usize>,
}

#[test]
fn weights_are_distributed_as_their_libraries_draw_them() {
    let json = include_str!("../../../tests/reference/initial.json");
    let Reference { drawn, networks } =
        serde_json::from_str(json).expect("make_initial.py made it");
    for Drawn {
        name,
        config,
        tensors,
    } in networks
    {
        let bytes = weights_of(&written(config, 1));
        let weights = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let ours = weights
            .names()
            .into_iter()
            .filter(|name| !name.contains("running_"));
        let (mut ours, theirs): (Vec<_>, Vec<_>) = (ours.collect(), tensors.keys().collect());
        ours.sort_unstable();
        assert_eq!(ours, theirs, "{name}");
        for (tensor, theirs) in tensors {
            let ours = weights.tensor(&tensor).expect("it is there");
            assert_eq!(ours.shape(), theirs.shape, "{name}: {tensor}");
            let numbers = ours
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes));
            let numbers: Vec<f64> = numbers.map(f64::from).collect();
            agree(&numbers, &theirs, drawn)
                .unwrap_or_else(|what| panic!("{name}: {tensor}: {what}"));
        }
    }
}

/// Whether numbers may come from the distribution that so many networks of the library show: within six standard errors.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn agree(numbers: &[f64], theirs: &Statistics, drawn: f64) -> Result<(), String> {
    let count = numbers.len() as f64;
    let share = |which: &dyn Fn(f64) -> bool| {
        numbers.iter().filter(|number| which(**number)).count() as f64 / count
    };
    if theirs.std == 0.0 {
        let same = share(&|number| (number - theirs.mean).abs() < 1e-12);
        return if same < 1.0 {
            Err(format!("not all are {}", theirs.mean))
        } else {
            Ok(())
        };
    }
    let errors = 6.0 * ((1.0 + 1.0 / drawn) / count).sqrt();
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers
        .iter()
        .map(|number| (number - mean).powi(2))
        .sum::<f64>()
        / count;
    let std = variance.sqrt();
    let beyond = share(&|number| number.abs() > 2.0 * theirs.std);
    let row = numbers.len() / theirs.shape[0];
    let zeros: Vec<usize> = numbers
        .chunks(row)
        .enumerate()
        .filter(|(_, row)| row.len() > 1 && row.iter().all(|number| *number == 0.0))
        .map(|(index, _)| index)
        .collect();
    if (mean - theirs.mean).abs() > errors * theirs.std {
        return Err(format!("the mean is {mean}, not {}", theirs.mean));
    }
    if (std / theirs.std - 1.0).abs() > errors / 2.0_f64.sqrt() {
        return Err(format!(
            "the standard deviation is {std}, not {}",
            theirs.std
        ));
    }
    if (beyond - theirs.beyond).abs()
        > errors * (theirs.beyond * (1.0 - theirs.beyond)).sqrt() + 1e-3
    {
        return Err(format!("{beyond} are far out, not {}", theirs.beyond));
    }
    if zeros != theirs.zero_rows {
        return Err(format!(
            "the rows {zeros:?} are 0, not {:?}",
            theirs.zero_rows
        ));
    }
    Ok(())
}
