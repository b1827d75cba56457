//! What to do about files that hold no weights, or not all of them: states of optimizers, pickles of something else, shards.

use std::path::{Path, PathBuf};

use super::files;
use crate::error::Error;

/// `file` holds nothing but the state of an optimizer.
pub(super) fn only_optimizer(file: &Path) -> Error {
    Error::stage(format!(
        "`{}` holds the state of an optimizer, no weights",
        file.display()
    ))
    .help("name the file that a trained model was saved to, such as model.safetensors")
}

/// `file` cannot be read, because of `cause`.
pub(super) fn unreadable(file: &Path, cause: &str) -> Error {
    let shown = file.display();
    // What torch.save(model) writes: code that a reader would have to run.
    if cause.contains("Expected a dictionary at the root") {
        return Error::stage(format!("`{shown}` is a pickle, but not of tensors by name"))
            .cause(cause)
            .help("save the weights alone: torch.save(model.state_dict(), \"pytorch_model.bin\")");
    }
    files::damaged(file).cause(cause)
}

/// `folder` has `files`, none or several, that could be its weights.
pub(super) fn not_one(folder: &Path, files: &[PathBuf]) -> Error {
    let shown = folder.display();
    if let Some(shard) = files.iter().find(|file| is_shard(file)) {
        return one_shard(shard);
    }
    let names: Vec<String> = files.iter().map(|file| name(file)).collect();
    if names.is_empty() {
        return Error::stage(format!("there are no weights in `{shown}`")).help(
            "add them to the model's files: model.safetensors, or pytorch_model.bin if they are a pickle",
        );
    }
    Error::stage(format!(
        "`{shown}` has {} files that could be its weights; it needs one",
        names.len()
    ))
    .note(super::list(&names))
    .help("name the weights model.safetensors, or pytorch_model.bin if they are a pickle")
}

/// Whether `file` is called as Hugging Face calls a part of a checkpoint: `model-00001-of-00002.safetensors`.
pub(super) fn is_shard(file: &Path) -> bool {
    let name = name(file);
    let stem = name.split('.').next().unwrap_or_default();
    let is_number =
        |text: &str| text.len() == 5 && text.bytes().all(|digit| digit.is_ascii_digit());
    let mut parts = stem.rsplit('-');
    let (total, of, number) = (parts.next(), parts.next(), parts.next());
    total.is_some_and(is_number) && of == Some("of") && number.is_some_and(is_number)
}

/// `file` is a part of a checkpoint whose index is not there.
fn one_shard(file: &Path) -> Error {
    let index = if file
        .extension()
        .is_some_and(|ending| ending == "safetensors")
    {
        files::INDEX
    } else {
        "pytorch_model.bin.index.json"
    };
    Error::stage(format!("`{}` is one shard of several", file.display())).help(format!(
        "add `{index}`, which says which tensor is in which file, and all shards to the model's files"
    ))
}

fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
