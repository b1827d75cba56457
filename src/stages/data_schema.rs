//! The data schema files that stages name.

use std::path::PathBuf;

use serde_json::Value;

use super::LocalFile;
use crate::config::{self, Spanned, Table, from_table, resolve};
use crate::data::DataSchema;
use crate::error::{Error, Kind, Result, Span};
use crate::fingerprint::Manifest;

/// A data schema file, as a setting names it.
#[derive(Clone, Debug)]
pub(super) struct SchemaFile {
    path: PathBuf,
    span: Span,
}

impl SchemaFile {
    /// The file that `setting` names; `place` is where it stands if the setting does not know.
    pub(super) fn new(setting: &Spanned<String>, place: &Span) -> Self {
        let span = setting.span.clone().unwrap_or_else(|| place.clone());
        Self {
            path: resolve(&span, &setting.value),
            span,
        }
    }

    /// Where the pipeline names it.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// The file for the stage's key.
    pub(super) fn local_file(&self) -> LocalFile {
        LocalFile {
            role: "schema".into(),
            path: self.path.clone(),
            span: self.span.clone(),
        }
    }

    /// Walks what it says, so that a rerun can be explained by the column that changed. A file that
    /// cannot be read says nothing here: it also enters by its content, and that is where it is refused.
    pub(super) fn describe(&self, key: &mut dyn Manifest) {
        let parsed: Result<Value> =
            config::read(&self.path).and_then(|source| from_table(&Table::parse(&source)?));
        if let Ok(schema) = parsed {
            key.setting("schema", &schema);
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// A file that cannot be read, at the setting; what cannot be meant, at its place in the file.
    pub(super) fn load(&self) -> Result<DataSchema> {
        let source = config::read(&self.path).map_err(|error| error.or_at(&self.span, ""))?;
        from_table(&Table::parse(&source)?).map_err(|error: Error| error.of_kind(Kind::Usage))
    }
}
