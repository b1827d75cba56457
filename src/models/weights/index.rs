//! The index of weights that are in several files, as Hugging Face writes it: which tensor is in which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{Part, is_checkpoint};
use super::list;
use crate::error::{Context, Error, Result};

/// An index.
pub(super) struct Index {
    path: PathBuf,
    /// The name of a tensor → the file that it is in.
    weight_map: BTreeMap<String, String>,
}

/// The names of the files that the index at `path` says weights are in, each beside it.
///
/// # Errors
/// A file that is no index; one that names files elsewhere, or files that hold no weights.
pub fn shards(path: &Path) -> Result<BTreeSet<String>> {
    let index = Index::read(path)?;
    Ok(index.files().map(String::from).collect())
}

impl Index {
    /// Reads the index at `path`.
    ///
    /// # Errors
    /// Those of [`shards`].
    pub(super) fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Written {
            weight_map: BTreeMap<String, String>,
        }
        let cannot = || format!("`{}` is no index of weights", path.display());
        let bytes = std::fs::read(path).or_stage(cannot)?;
        let Written { weight_map } = serde_json::from_slice(&bytes).or_stage(cannot)?;
        let index = Self {
            path: path.to_path_buf(),
            weight_map,
        };
        for name in index.files() {
            let file = Path::new(name);
            let what = if file.file_name() != Some(file.as_os_str()) {
                "which is not beside it"
            } else if !is_checkpoint(file) {
                "which is no file of weights"
            } else {
                continue;
            };
            return Err(Error::stage(format!(
                "`{}` names the file `{name}`, {what}",
                path.display()
            ))
            .help(SAME));
        }
        Ok(index)
    }

    /// The files that it names, each once.
    fn files(&self) -> impl Iterator<Item = &str> {
        let files: BTreeSet<&str> = self.weight_map.values().map(String::as_str).collect();
        files.into_iter()
    }

    /// Opens the files that it names, in `folder`.
    ///
    /// # Errors
    /// Files that are not there, before any is opened; files that hold the same tensor, or other tensors than it says.
    pub(super) fn open(&self, folder: &Path) -> Result<Vec<Part>> {
        self.refuse_missing(folder)?;
        let opened = self.files().map(|name| Part::open(&folder.join(name)));
        let mut parts = opened.collect::<Result<Vec<_>>>()?;
        self.refuse_contradictions(&parts)?;
        for part in &mut parts {
            let name = part.name();
            let is_other = |tensor: &str| self.weight_map.get(tensor) != Some(&name);
            let others = part.tensors.extract_if(.., |tensor, _| is_other(tensor));
            part.ignored = others.map(|(tensor, _)| tensor).collect();
        }
        Ok(parts)
    }

    fn refuse_missing(&self, folder: &Path) -> Result<()> {
        let missing = self.files().filter(|name| !folder.join(name).exists());
        let missing: Vec<String> = missing.map(String::from).collect();
        let Some(first) = missing.first() else {
            return Ok(());
        };
        let error = Error::stage(format!(
            "`{}` names the file `{first}`, which is not there",
            self.path.display()
        ))
        .help(format!(
            "add \"{first}\" to `files` of the stage `pretrained`"
        ));
        Err(match missing.len() {
            1 => error,
            count => error.note(format!(
                "{count} of its {} files are missing: {}",
                self.files().count(),
                list(&missing)
            )),
        })
    }

    /// Refuses a tensor that is in two files, or in another one than the index says.
    fn refuse_contradictions(&self, parts: &[Part]) -> Result<()> {
        let index = self.path.display();
        let mut places: BTreeMap<&str, String> = BTreeMap::new();
        for part in parts {
            for tensor in part.tensors.keys() {
                let Some(other) = places.insert(tensor, part.name()) else {
                    continue;
                };
                let error = Error::stage(format!(
                    "`{other}` and `{}` both hold the tensor `{tensor}`",
                    part.name()
                ));
                let error = match self.weight_map.get(tensor) {
                    Some(file) => error.note(format!("`{index}` says that it is in `{file}`")),
                    None => error.note(format!("`{index}` does not name it")),
                };
                return Err(error.help(SAME));
            }
        }
        for part in parts {
            let said = self
                .weight_map
                .iter()
                .filter(|(_, file)| **file == part.name());
            let lost = said.filter(|(tensor, _)| !part.tensors.contains_key(*tensor));
            let lost: Vec<String> = lost.map(|(tensor, _)| tensor.clone()).collect();
            let Some(first) = lost.first() else {
                continue;
            };
            let error = Error::stage(format!(
                "`{}` lacks tensors that `{index}` says it has",
                part.path.display()
            ))
            .note(format!("missing: {}", list(&lost)))
            .help(SAME);
            return Err(match places.get(first.as_str()) {
                Some(place) => error.note(format!("`{first}` is in `{place}`")),
                None => error,
            });
        }
        Ok(())
    }
}

const SAME: &str = "take the index and all files of the weights from the same model";
