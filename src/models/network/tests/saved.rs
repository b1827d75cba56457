//! The weights of one network as programs save them: whatever the file, they are the same numbers.
//!
//! The files are made by `tests/reference/make_checkpoints.py`.

use std::path::PathBuf;

use burn::tensor::{bf16, f16};

use super::*;
use crate::models::Card;

fn saved() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/checkpoints")
}

/// A folder with the config and these files, the first one under another name.
fn with(files: &[&str], name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |from: &str, to: &str| {
        std::fs::copy(saved().join(from), folder.path().join(to)).expect("it is committed");
    };
    copy("config.json", "config.json");
    for (number, file) in files.iter().enumerate() {
        copy(file, if number == 0 { name } else { file });
    }
    folder
}

fn masked() -> Head {
    Head {
        modality: Modality::Texts,
        problem: Problem::MaskedLanguage,
        labels: Vec::new(),
        embedding_size: None,
        pooling: None,
        dropout: None,
        seed: 7,
    }
}

/// What a file's types make of a number of tensor `number`.
type Rounding = fn(usize, f64) -> f32;

#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn as_f32(_: usize, number: f64) -> f32 {
    number as f32
}

fn as_half(tensor: usize, number: f64) -> f32 {
    f16::from_f32(as_f32(tensor, number)).to_f32()
}

/// As `TYPES` in the script deals them out, of numbers that are f32 first.
fn as_mixed(tensor: usize, number: f64) -> f32 {
    match tensor % 4 {
        1 => as_half(tensor, number),
        2 => bf16::from_f32(as_f32(tensor, number)).to_f32(),
        _ => as_f32(tensor, number),
    }
}

/// Number `index` of tensor `tensor`.
#[expect(clippy::cast_precision_loss, reason = "numbers below 1000")]
fn formula(tensor: usize, index: usize) -> f64 {
    (((7919 * index + 104_729 * tensor) % 1000) as f64 - 500.0) / 2500.0
}

/// Checks every number of the network, by the place of its tensor among the names in a checkpoint of it.
fn check(network: &Network, rounding: Rounding, factor: f32, file: &str) {
    let mut names: Vec<(String, String)> = network
        .numbers()
        .into_keys()
        .map(|path| (network.names.full(&path), path))
        .collect();
    names.sort();
    assert_eq!(names.len(), 26);
    let numbers = network.numbers();
    for (tensor, (name, path)) in names.iter().enumerate() {
        let data = &numbers[path];
        let values: Vec<f32> = data.iter::<f32>().collect();
        // Burn keeps the weights of linear layers the other way round.
        let is_turned = name.ends_with("weight")
            && ["dense", "query", "key", "value"]
                .iter()
                .any(|layer| name.contains(layer));
        let (rows, columns) = match data.shape()[..] {
            [rows, columns] => (rows, columns),
            _ => (1, values.len()),
        };
        for (at, value) in values.iter().enumerate() {
            let (row, column) = (at / columns, at % columns);
            let index = if is_turned { column * rows + row } else { at };
            let expected = rounding(tensor, formula(tensor, index)) * factor;
            let same = value.to_bits() == expected.to_bits();
            assert!(same, "{file}: {name} {index}: {value}, not {expected}");
        }
    }
}

#[test]
fn every_way_of_saving_gives_the_same_weights() {
    for (files, name, rounding, told) in [
        (
            &["tied.bin"][..],
            "pytorch_model.bin",
            as_f32 as Rounding,
            "",
        ),
        (&["tied.safetensors"], "model.safetensors", as_f32, ""),
        (&["legacy.bin"], "pytorch_model.bin", as_half, ""),
        (&["mixed.safetensors"], "model.safetensors", as_mixed, ""),
        (
            &[
                "pytorch_model.bin.index.json",
                "pytorch_model-00001-of-00002.bin",
                "pytorch_model-00002-of-00002.bin",
            ],
            "pytorch_model.bin.index.json",
            as_mixed,
            "",
        ),
        (
            &["lightning.ckpt"],
            "lightning.ckpt",
            as_f32,
            "the weights under `state_dict.model` are taken from `lightning.ckpt`, the checkpoint of a training script, and `callbacks`, \
             `optimizer_states`, `state_dict.loss_fn` are left there",
        ),
    ] {
        let folder = with(files, name);
        let loaded = Network::load(folder.path(), &masked(), &Device::flex());
        let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(loaded.missing.is_empty(), "{name}: {:?}", loaded.missing);
        check(&loaded.network, rounding, 1.0, name);
        assert_eq!(loaded.choices.join("; "), told);
    }
}

#[test]
fn of_two_sets_of_weights_the_card_says_which() {
    let folder = with(&["averaged.pth"], "averaged.pth");
    let load = || Network::load(folder.path(), &masked(), &Device::flex());
    let error = load().expect_err("there are two");
    assert!(
        error
            .message()
            .contains("`model` with 26 tensors, `model_ema` with 27"),
        "{error}"
    );
    for (key, factor) in [("model", 1.0), ("model_ema", 0.5)] {
        let card = Card {
            checkpoint_key: Some(key.into()),
            ..Card::default()
        };
        card.write(folder.path()).expect("written");
        let loaded = load().unwrap_or_else(|error| panic!("{key}: {error:?}"));
        check(&loaded.network, as_f32, factor, key);
        // What is saved has one set, and the base is read as it was loaded.
        let saved = tempfile::tempdir().expect("a folder");
        loaded
            .network
            .save_beside(folder.path(), saved.path(), &loaded.card)
            .expect("saved");
        assert_eq!(
            Card::read(saved.path()).expect("a card").checkpoint_key,
            None
        );
        let again = Network::load(saved.path(), &masked(), &Device::flex()).expect("it loads");
        check(&again.network, as_f32, factor, key);
    }
}
