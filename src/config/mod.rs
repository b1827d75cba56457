//! Pipeline files: TOML → spanned tables → params, profiles and references resolved. Knows no stage kind.

mod de;
mod value;

pub use de::{Spanned, from_table};
pub use value::{Data, Table, Value};

use std::path::PathBuf;

use crate::error::Span;

/// The path that `path`, written at `span`, means: relative to the folder of the file it is written in.
#[must_use]
pub fn resolve(span: &Span, path: &str) -> PathBuf {
    span.source.folder.join(path)
}
