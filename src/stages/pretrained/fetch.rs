//! From names to files in the model's folder, and to the lines that pin them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Context, Result};
use crate::names;
use crate::sources::{Sha256, Transfer};
use crate::stages::StageContext;
use crate::stages::mirrors::Mirrors;

/// The files of a model on their way into a folder.
pub(super) struct Fetch<'a> {
    mirrors: &'a Mirrors,
    transfer: &'a Transfer<'a>,
    cx: &'a StageContext<'a>,
    /// Name → digest of what is there.
    fetched: BTreeMap<String, Sha256>,
}

impl<'a> Fetch<'a> {
    /// Nothing yet.
    pub(super) fn new(
        mirrors: &'a Mirrors,
        transfer: &'a Transfer<'a>,
        cx: &'a StageContext<'a>,
    ) -> Self {
        Self {
            mirrors,
            transfer,
            cx,
            fetched: BTreeMap::new(),
        }
    }

    /// Fetches the file `name` unless it is there, and returns where it is.
    pub(super) fn file(&mut self, name: &str, pinned: Option<&Sha256>) -> Result<PathBuf> {
        let dest = names::join(self.cx.output(super::MODEL), name)?;
        if self.fetched.contains_key(name) {
            return Ok(dest);
        }
        let folder = dest.parent().unwrap_or(&dest);
        std::fs::create_dir_all(folder)
            .or_stage(|| format!("cannot make `{}`", folder.display()))?;
        let fetched = self.mirrors.fetch(self.transfer, name, &dest, pinned)?;
        self.fetched.insert(name.into(), fetched.sha256);
        Ok(dest)
    }

    /// The files that are there.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fetched.keys().map(String::as_str)
    }

    /// Shows how the files are pinned; `place` says where that belongs.
    pub(super) fn paste(&self, place: &str) {
        let table = self.cx.table();
        let table = table.trim_end_matches(']');
        let lines = self.fetched.iter();
        let lines = lines.map(|(name, sha256)| format!("\"{name}\" = \"{sha256}\""));
        let lines = std::iter::once(format!("{table}.files]")).chain(lines);
        let text = format!(
            "the files are not pinned; to get the same bytes everywhere, put this {place}:"
        );
        self.cx.paste(text, lines.collect());
    }
}
