//! Which files of a repository make a model: by their names and by its `config.json`, before anything large is fetched.

use std::collections::BTreeSet;
use std::path::Path;

use super::architecture::architecture;
use super::folder::ModelFolder;
use super::image_input::PROCESSOR_FILE;
use super::tokenizer::TOKENIZER_FILES;
use super::{CARD_FILE, Modality, weights};
use crate::error::{Error, Result};

/// What is fetched before all else: it says what the model is.
pub const DESCRIPTIONS: [&str; 2] = ["config.json", CARD_FILE];

/// What of sentence-transformers says that a model is a sentence encoder, and how it pools.
const ENCODER: [&str; 3] = [
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
];

/// The files of a repository that a model needs, its descriptions aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Small files.
    pub companions: Vec<String>,
    /// The weights: a file, or the index of several.
    pub weights: String,
}

/// Chooses from the files `names` of a repository, whose descriptions are in `folder`.
///
/// # Errors
/// A model of a type that refire does not know; one without weights, or without a tokenizer.
pub fn wanted(folder: &Path, names: &BTreeSet<String>) -> Result<Wanted> {
    let folder = ModelFolder::open(folder)?;
    let architecture = architecture(&folder)?;
    let weights = weights::choose(names)?;
    let known: Vec<&str> = match architecture.modality {
        Modality::Images => vec![PROCESSOR_FILE],
        Modality::Texts => {
            let pooling = names.iter().filter(|name| is_pooling(name));
            let pooling = pooling.map(String::as_str);
            let others = ENCODER.iter().copied().chain(pooling);
            tokenizer(names)?.into_iter().chain(others).collect()
        }
    };
    let companions = known.into_iter().filter(|name| names.contains(*name));
    Ok(Wanted {
        companions: companions.map(String::from).collect(),
        weights,
    })
}

/// The files of the tokenizer: `tokenizer.json`, else those that one is made of, and its settings.
fn tokenizer(names: &BTreeSet<String>) -> Result<Vec<&'static str>> {
    let (settings, whole) = (&TOKENIZER_FILES[1..4], &TOKENIZER_FILES[..1]);
    let parts = &TOKENIZER_FILES[4..];
    let is_there = |name: &&&str| names.contains(**name);
    let own: Vec<&'static str> = if names.contains(whole[0]) {
        whole.to_vec()
    } else {
        parts.iter().filter(is_there).copied().collect()
    };
    if own.is_empty() {
        return Err(
            Error::stage("the repository has no tokenizer that refire reads").note(format!(
                "one is in {}",
                TOKENIZER_FILES
                    .iter()
                    .filter(|name| !settings.contains(name))
                    .copied()
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        );
    }
    let settings: Vec<&'static str> = settings.iter().filter(is_there).copied().collect();
    Ok([own, settings].concat())
}

/// Whether it is the file that says how sentence-transformers pools: `1_Pooling/config.json`.
fn is_pooling(name: &str) -> bool {
    let folder = name.strip_suffix("/config.json");
    folder.is_some_and(|folder| folder.ends_with("_Pooling") && !folder.contains('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::write_config;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().copied().map(String::from).collect()
    }

    fn wanted_of(model_type: &str, files: &[&str]) -> Result<Wanted> {
        let folder = tempfile::tempdir().expect("a folder");
        let config = json!({ "model_type": model_type });
        let config = config.as_object().expect("an object");
        write_config(folder.path(), config).expect("written");
        wanted(folder.path(), &names(files))
    }

    #[test]
    fn a_text_model_has_weights_and_a_tokenizer_and_says_how_it_pools() {
        let wanted = wanted_of(
            "bert",
            &[
                ".gitattributes",
                "1_Pooling/config.json",
                "2_Dense/config.json",
                "README.md",
                "config.json",
                "flax_model.msgpack",
                "model.safetensors",
                "modules.json",
                "onnx/model.onnx",
                "pytorch_model.bin",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "training_args.bin",
                "vocab.txt",
            ],
        );
        let wanted = wanted.expect("it is one");
        assert_eq!(wanted.weights, "model.safetensors");
        assert_eq!(
            wanted.companions,
            [
                "tokenizer.json",
                "tokenizer_config.json",
                "special_tokens_map.json",
                "modules.json",
                "1_Pooling/config.json"
            ]
        );
        let older = wanted_of("bert", &["pytorch_model.bin", "vocab.txt", "config.json"]);
        let older = older.expect("it is one");
        assert_eq!(older.weights, "pytorch_model.bin");
        assert_eq!(older.companions, ["vocab.txt"]);
    }

    #[test]
    fn an_image_model_needs_no_tokenizer() {
        let files = ["model.safetensors", "preprocessor_config.json", "vocab.txt"];
        let wanted = wanted_of("vit", &files).expect("it is one");
        assert_eq!(wanted.companions, ["preprocessor_config.json"]);
    }

    #[test]
    fn weights_are_one_file_or_an_index() {
        let weights = |files: &[&str]| {
            let files = [files, &["tokenizer.json"]].concat();
            wanted_of("bert", &files).map(|wanted| wanted.weights)
        };
        let index = "model.safetensors.index.json";
        let shard = "model-00001-of-00002.safetensors";
        assert_eq!(weights(&[index, shard]).expect("an index"), index);
        let both = weights(&["pytorch_model.bin", index, shard]);
        assert_eq!(both.expect("safetensors first"), index);
        let other = weights(&[
            "best.ckpt",
            "optimizer.pt",
            "training_args.bin",
            "rng_state_0.pth",
        ]);
        assert_eq!(other.expect("the only one"), "best.ckpt");
        for (files, what) in [
            (
                &["tf_model.h5", "onnx/model.onnx"][..],
                "has no weights that refire reads",
            ),
            (
                &["a.safetensors", "b.safetensors"],
                "has 2 files that could be its weights",
            ),
            (&[shard], "has no weights that refire reads"),
        ] {
            let error = weights(files).expect_err("there are none");
            assert!(error.message().contains(what), "{error}");
        }
    }

    #[test]
    fn what_is_no_model_of_refire_is_refused() {
        let error = wanted_of("llama", &["model.safetensors"]).expect_err("unknown");
        assert!(
            error.message().contains("the model type `llama`"),
            "{error}"
        );
        let error = wanted_of("bert", &["model.safetensors"]).expect_err("no tokenizer");
        assert!(error.message().contains("no tokenizer"), "{error}");
    }
}
