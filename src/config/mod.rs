//! Pipeline files: TOML → spanned tables → params, profiles and references resolved. Knows no stage kind.

mod de;
mod limits;
mod matrix;
mod named;
mod params;
mod parts;
mod pieces;
mod pipeline;
mod quantity;
#[cfg(test)]
mod tests;
mod value;
mod wire;

use std::path::PathBuf;

pub use de::{Spanned, fields_of, from_table};
pub use limits::{LIMIT_KEYS, Limits, RawLimits, Resources};
pub use named::Named;
pub use parts::Parts;
pub use pipeline::{Overrides, Pipeline, StageTable, Tracking, load, parse, read};
pub use quantity::bytes;
pub use value::{Data, Table, Value};
pub use wire::{Sources, WireError, WireTable};

use crate::error::Span;

/// The path that `path`, written at `span`, means: relative to the folder of the file it is written in.
#[must_use]
pub fn resolve(span: &Span, path: &str) -> PathBuf {
    span.source.folder.join(path)
}
