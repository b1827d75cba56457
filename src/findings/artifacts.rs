//! Artifacts in the cache, verified before they are read.

use serde_json::Value;

use crate::data::Table;
use crate::data::images::Images;
use crate::error::Result;
use crate::plan::Node;
use crate::stages::ArtifactType;
use crate::store::{Digest, Record, Scratch, Store};

/// A table or images of more bytes take too long to read for a glance.
const MOST_BYTES: u64 = 256 << 20;

/// What lies in the cache.
pub(super) struct Artifacts<'s> {
    store: &'s Store,
}

/// An artifact as a folder, as long as this lives.
pub(super) struct Laid<T> {
    pub(super) content: T,
    _folder: Scratch,
}

impl<'s> Artifacts<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self { store }
    }

    /// The JSON in a file of an artifact; none if it is not there or is none.
    pub(super) fn json(&self, artifact: &Digest, file: &str) -> Option<Value> {
        serde_json::from_slice(&self.store.read_file(artifact, file)?).ok()
    }

    /// The lines of JSON in a file of an artifact. What is no JSON is passed over.
    pub(super) fn json_lines(&self, artifact: &Digest, file: &str) -> Option<Vec<Value>> {
        let bytes = self.store.read_file(artifact, file)?;
        let text = String::from_utf8_lossy(&bytes);
        Some(
            text.lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
        )
    }

    /// A table; none if it is too large to be looked at.
    pub(super) fn table(&self, artifact: &Digest) -> Result<Option<Table>> {
        let Some(folder) = self.folder(artifact)? else {
            return Ok(None);
        };
        Table::read(folder.path()).map(Some)
    }

    /// Images; none if they are too many to be looked at.
    pub(super) fn images(&self, artifact: &Digest) -> Result<Option<Laid<Images>>> {
        let Some(folder) = self.folder(artifact)? else {
            return Ok(None);
        };
        let content = Images::open(folder.path())?;
        Ok(Some(Laid {
            content,
            _folder: folder,
        }))
    }

    fn folder(&self, artifact: &Digest) -> Result<Option<Scratch>> {
        let manifest = self.store.manifest(artifact)?;
        if manifest.bytes() > MOST_BYTES {
            return Ok(None);
        }
        let folder = self.store.scratch_for_reading("report")?;
        self.store.materialise(artifact, folder.path())?;
        Ok(Some(folder))
    }
}

/// The outputs of one type that a stage made: port and artifact.
pub(super) fn of_type<'n>(
    node: &'n Node,
    record: &Record,
    artifact: ArtifactType,
) -> Vec<(&'n str, Digest)> {
    let outputs = node
        .outputs
        .iter()
        .filter(|output| output.artifact == artifact);
    outputs
        .filter_map(|output| Some((output.port.as_str(), *record.outputs.get(&output.port)?)))
        .collect()
}
