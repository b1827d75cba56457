//! Reading the JSON files of a model's folder.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Context, Error, Result};

/// The object in the JSON file at `path`.
pub(super) fn object(path: &Path) -> Result<Map<String, Value>> {
    let bytes = std::fs::read(path).map_err(|error| {
        Error::stage(format!("cannot read `{}`", path.display()))
            .because(&error)
            .help("a model is a folder with Hugging Face's config.json and weights")
    })?;
    parse(path, &bytes)
}

/// The same, if there is such a file.
pub(super) fn optional(path: &Path) -> Result<Option<Map<String, Value>>> {
    if path.exists() {
        object(path).map(Some)
    } else {
        Ok(None)
    }
}

/// Reads `object`, which stands in the file at `path`, as `T`.
pub(super) fn read<T: DeserializeOwned>(path: &Path, object: &Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(object.clone())).or_stage(|| {
        format!(
            "`{}` does not describe a network that refire knows",
            path.display()
        )
    })
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).or_stage(|| format!("`{}` is not valid JSON", path.display()))
}
