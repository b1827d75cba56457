//! Files that are no weights, or more than weights: what the reader is told.

use std::io::Write;

use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

use super::*;

/// A folder with files; tensors of one number each in those of which the names are given.
fn folder(files: &[(&str, &[&str])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (file, names) in files {
        let number = 1.0_f32.to_le_bytes();
        let view = || TensorView::new(Dtype::F32, vec![1], &number).expect("one number");
        let tensors = names.iter().map(|name| (*name, view()));
        safetensors::serialize_to_file(tensors, None, &folder.path().join(file)).expect("written");
    }
    folder
}

/// The error of opening it, with what is to be done.
fn refused(folder: &TempDir) -> (String, String) {
    let error = Checkpoint::open(folder.path(), str::to_string);
    let error = error.err().expect("it is refused");
    let help = error.help_text().unwrap_or_default().to_string();
    let shown = folder.path().display().to_string();
    (error.message().replace(&shown, "FOLDER"), help)
}

#[test]
fn the_checkpoint_of_a_training_script_is_told_by_its_optimizer() {
    for (optimizer, weights) in [
        ("optimizer_state_dict.state.0.exp_avg", "model_state_dict"),
        ("optimizer.state.12.momentum_buffer", "state_dict"),
    ] {
        let weight = format!("{weights}.embeddings.weight");
        let (message, help) = refused(&folder(&[("model.safetensors", &[&weight, optimizer])]));
        let state = optimizer.split('.').next().expect("a name");
        assert_eq!(
            message,
            format!(
                "`FOLDER/model.safetensors` is the checkpoint of a training script: `{state}` in it is the state of \
                 an optimizer"
            )
        );
        assert!(
            help.contains(&format!("[\"{weights}\"], \"pytorch_model.bin\")")),
            "{help}"
        );
    }
    let (message, help) = refused(&folder(&[("optimizer.safetensors", &["state.0.exp_avg"])]));
    assert!(
        message.ends_with("holds the state of an optimizer, no weights"),
        "{message}"
    );
    assert!(help.contains("model.safetensors"), "{help}");
    // Names that a network may well have.
    let network = folder(&[(
        "model.safetensors",
        &["model.state.weight", "model.optimizer.bias"],
    )]);
    let opened = Checkpoint::open(network.path(), str::to_string);
    assert!(opened.is_ok_and(|checkpoint| checkpoint.has("optimizer.bias")));
}

#[test]
fn shards_are_not_to_be_renamed() {
    let shards: [(&str, &[&str]); 2] = [
        ("model-00001-of-00002.safetensors", &["a"]),
        ("model-00002-of-00002.safetensors", &["b"]),
    ];
    for shards in [&shards[..1], &shards] {
        let (message, help) = refused(&folder(shards));
        assert_eq!(
            message,
            "`FOLDER/model-00001-of-00002.safetensors` is one shard of several"
        );
        assert!(
            help.starts_with("add `model.safetensors.index.json`"),
            "{help}"
        );
    }
}

#[test]
fn a_folder_needs_one_file_of_weights() {
    let (message, help) = refused(&folder(&[]));
    assert_eq!(message, "there are no weights in `FOLDER`");
    assert!(help.contains("add them"), "{help}");
    let (message, _) = refused(&folder(&[
        ("a.safetensors", &["a"]),
        ("b.safetensors", &["b"]),
    ]));
    assert!(
        message.contains("has 2 files that could be its weights"),
        "{message}"
    );
}

#[test]
fn a_pickle_of_something_else_is_not_called_damaged() {
    let folder = folder(&[]);
    let file = std::fs::File::create(folder.path().join("pytorch_model.bin"));
    // An empty list.
    file.and_then(|mut file| file.write_all(b"\x80\x02]q\x00."))
        .expect("written");
    let (message, help) = refused(&folder);
    assert!(
        message.ends_with("is a pickle, but not of tensors by name"),
        "{message}"
    );
    assert!(help.contains("model.state_dict()"), "{help}");
}
