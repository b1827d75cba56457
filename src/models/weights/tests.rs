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
    let error = Checkpoint::open(folder.path(), None, str::to_string);
    let error = error.err().expect("it is refused");
    let help = error.help_text().unwrap_or_default().to_string();
    let shown = folder.path().display().to_string();
    (error.message().replace(&shown, "FOLDER"), help)
}

#[test]
fn of_the_checkpoint_of_a_training_script_the_weights_are_taken() {
    for (optimizer, weights) in [
        ("optimizer_state_dict.state.0.exp_avg", "model_state_dict"),
        ("optimizer.state.12.momentum_buffer", "state_dict"),
    ] {
        let weight = format!("{weights}.embeddings.weight");
        let folder = folder(&[("model.safetensors", &[&weight, optimizer])]);
        let opened = Checkpoint::open(folder.path(), None, str::to_string).expect("it is opened");
        assert_eq!(
            opened.shapes().into_keys().collect::<Vec<_>>(),
            ["embeddings.weight"]
        );
        let state = optimizer.split('.').next().expect("a name");
        assert!(opened.choices[0].contains(state), "{:?}", opened.choices);
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
    let opened = Checkpoint::open(network.path(), None, str::to_string);
    assert!(opened.is_ok_and(|checkpoint| checkpoint.has("optimizer.bias")));
}

#[test]
fn of_two_sets_of_weights_one_is_named() {
    let sets = [
        "model.a.weight",
        "model.b",
        "model_ema.a.weight",
        "model_ema.b",
    ];
    let folder = folder(&[("model.safetensors", &sets)]);
    let (message, _) = refused(&folder);
    assert!(
        message.contains("2 sets of weights: `model` with 2 tensors, `model_ema` with 2"),
        "{message}"
    );
    let opened = Checkpoint::open(folder.path(), Some("model_ema"), str::to_string);
    assert!(
        opened.is_ok_and(|checkpoint| checkpoint.has("a.weight") && checkpoint.choices.is_empty())
    );
}

/// An index of what is in which file.
fn write_index(folder: &TempDir, map: &[(&str, &str)]) {
    let map: BTreeMap<_, _> = map.iter().copied().collect();
    let json = serde_json::json!({ "weight_map": map }).to_string();
    let path = folder.path().join("model.safetensors.index.json");
    crate::store::write_atomic(&path, json.as_bytes()).expect("written");
}

#[test]
fn files_that_contradict_each_other_or_their_index_are_named() {
    let index = |files: &[(&str, &[&str])], map: &[(&str, &str)]| {
        let folder = folder(files);
        write_index(&folder, map);
        let (message, _) = refused(&folder);
        let error = Checkpoint::open(folder.path(), None, str::to_string);
        (message, words(&error.err().expect("it is refused")))
    };
    let both = index(
        &[("1.safetensors", &["a", "b"]), ("2.safetensors", &["b"])],
        &[("a", "1.safetensors"), ("b", "2.safetensors")],
    );
    assert_eq!(
        both.0,
        "`1.safetensors` and `2.safetensors` both hold the tensor `b`"
    );
    let elsewhere = index(
        &[("1.safetensors", &["a", "b"]), ("2.safetensors", &["c"])],
        &[
            ("a", "1.safetensors"),
            ("b", "2.safetensors"),
            ("c", "2.safetensors"),
        ],
    );
    assert!(
        elsewhere.0.contains("2.safetensors` lacks tensors that"),
        "{elsewhere:?}"
    );
    assert!(
        elsewhere.1.contains("`b` is in `1.safetensors`"),
        "{elsewhere:?}"
    );
    // Nothing is opened before all files are there.
    let missing = index(
        &[("1.safetensors", &["a"])],
        &[
            ("a", "1.safetensors"),
            ("b", "2.safetensors"),
            ("c", "3.safetensors"),
        ],
    );
    assert!(
        missing
            .0
            .ends_with("names the file `2.safetensors`, which is not there"),
        "{missing:?}"
    );
    assert!(
        missing
            .1
            .contains("2 of its 3 files are missing: 2.safetensors, 3.safetensors"),
        "{missing:?}"
    );
    for (name, what) in [
        ("../1.safetensors", "which is not beside it"),
        ("config.json", "which is no file of weights"),
    ] {
        let (message, _) = index(&[], &[("a", name)]);
        assert!(message.ends_with(what), "{message}");
    }
}

/// Everything that an error says.
fn words(error: &Error) -> String {
    let parts = std::iter::once(error.message()).chain(error.notes().iter().map(String::as_str));
    parts.collect::<Vec<_>>().join(" | ")
}

#[test]
fn a_tensor_that_the_file_has_under_another_name_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let number = 1.0_f32.to_le_bytes();
    let view = TensorView::new(Dtype::F32, vec![1], &number).expect("one number");
    // As safetensors' `save_model` notes what it leaves out.
    let noted = [("head.weight", "embeddings.weight"), ("format", "pt")];
    let noted = noted.map(|(from, to)| (from.to_string(), to.to_string()));
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file([("embeddings.weight", view)], Some(noted.into()), &path)
        .expect("written");
    let opened = Checkpoint::open(folder.path(), None, str::to_string).expect("it is opened");
    assert!(opened.has("head.weight") && opened.has("embeddings.weight"));
    assert!(!opened.has("format"));
    assert_eq!(opened.shapes().len(), 1, "it is one tensor");
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
