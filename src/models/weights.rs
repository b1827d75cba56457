//! Checkpoints: tensors by name, read lazily from safetensors or PyTorch pickles, and written back as safetensors.

use std::io::Write;
use std::path::Path;

use crate::error::{Context, Result};

/// Writes `bytes` to `path`, which is on disk when this returns.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::File::create(path)
        .and_then(|mut file| file.write_all(bytes))
        .or_stage(|| format!("cannot write `{}`", path.display()))
}
