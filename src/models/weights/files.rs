//! The files of a checkpoint: one, or several with an index that says which tensor is in which, as Hugging Face writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::store::burn_pack::Tensor as StoredTensor;
use burn::store::{ModuleStore, PytorchStore};

use super::index::Index;
use super::sets::Set;
use super::{advice, lazy, list};
use crate::error::{Context, Error, Result};

/// The file of a checkpoint that is one file.
pub(in crate::models) const SAFETENSORS: &str = "model.safetensors";
/// The index of one that is several.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// File names of checkpoints, the preferred one first.
const FILES: &[&str] = &[
    SAFETENSORS,
    INDEX,
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The weights in a model's folder, not yet read.
pub(super) struct Opened {
    /// The file that stands for them: the only one, or the index.
    pub(super) file: PathBuf,
    /// Its parts.
    pub(super) parts: Vec<Part>,
    /// What was decided about them that nobody asked for, as a sentence for the user.
    pub(super) choice: Option<String>,
}

/// A file of a checkpoint, with its tensors not yet read.
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Name in the file → tensor; of a part with an index those that the index names, of a training script's checkpoint those of the
    /// network.
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    /// Name in the file → tensor, for names that the file does not hold because another has the same numbers.
    pub(super) tied: BTreeMap<String, StoredTensor>,
    /// The tensors of the file that the index leaves out.
    pub(super) ignored: Vec<String>,
    /// Which of the tensors are the network's, and how much of their names is only the training script's.
    pub(super) set: Set,
}

/// The checkpoint in a model's `folder`; of several sets of weights the one under `key`.
///
/// # Errors
/// No checkpoint, or several; one that is damaged; an index that does not fit its files; several sets of weights and no key.
pub(super) fn open(folder: &Path, key: Option<&str>) -> Result<Opened> {
    let file = find(folder)?;
    let mut parts = if is_index(&file) {
        Index::read(&file)?.open(folder)?
    } else {
        vec![Part::open(&file)?]
    };
    let names: BTreeSet<&str> = parts
        .iter()
        .flat_map(|part| part.tensors.keys())
        .map(String::as_str)
        .collect();
    let (set, choice) = Set::choose(&file, &names, key)?;
    for part in &mut parts {
        part.tensors.retain(|name, _| set.holds(name));
        part.tied.retain(|name, _| set.holds(name));
        part.set = set.clone();
    }
    Ok(Opened {
        file,
        parts,
        choice,
    })
}

/// Whether a file of that name belongs to the weights.
#[must_use]
pub fn is_weights(path: &Path) -> bool {
    is_checkpoint(path) || is_index(path)
}

/// Whether a file of that name may hold weights.
pub(super) fn is_checkpoint(path: &Path) -> bool {
    let extensions = ["safetensors", "bin", "pth", "pt", "th", "ckpt"];
    path.extension()
        .is_some_and(|extension| extensions.iter().any(|known| extension == *known))
}

/// Whether a file of that name is an index of weights.
#[must_use]
pub fn is_index(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".index.json")
}

/// The weights among the files `names` of a repository: the one that is preferred, or the only one.
///
/// # Errors
/// None, or several that could be them.
pub(in crate::models) fn choose(names: &BTreeSet<String>) -> Result<String> {
    if let Some(name) = FILES.iter().find(|name| names.contains(**name)) {
        return Ok((*name).to_string());
    }
    // What transformers' Trainer saves beside weights.
    let beside = [
        "training_args",
        "optimizer",
        "scheduler",
        "scaler",
        "rng_state",
    ];
    let is_one = |name: &&String| {
        let path = Path::new(name);
        is_checkpoint(path)
            && !name.contains('/')
            && !advice::is_shard(path)
            && !beside.iter().any(|beside| name.starts_with(beside))
    };
    let found: Vec<String> = names.iter().filter(is_one).cloned().collect();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(
            Error::stage("the repository has no weights that refire reads").note(format!(
                "those are {}, or another file of safetensors or PyTorch",
                FILES.join(", ")
            )),
        ),
        several => Err(Error::stage(format!(
            "the repository has {} files that could be its weights",
            several.len()
        ))
        .note(list(several))),
    }
}

fn find(folder: &Path) -> Result<PathBuf> {
    for name in FILES {
        let path = folder.join(name);
        if path.exists() {
            return Ok(path);
        }
    }
    let mut others: Vec<PathBuf> = std::fs::read_dir(folder)
        .or_stage(|| format!("cannot read `{}`", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_checkpoint(path))
        .collect();
    others.sort();
    match others.as_slice() {
        [only] if !advice::is_shard(only) => Ok(only.clone()),
        others => Err(advice::not_one(folder, others)),
    }
}

impl Part {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (tensors, tied) = if Self::is_safetensors_file(path) {
            let contents = lazy::open(path)?;
            (contents.tensors, contents.tied)
        } else {
            (pickled(path)?, BTreeMap::new())
        };
        Ok(Self {
            path: path.to_path_buf(),
            tensors,
            tied,
            ignored: Vec::new(),
            set: Set::default(),
        })
    }

    /// The name of the file.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Whether it can stand in another model's folder as it is: as a file of safetensors, not a pickle, with the network's tensors and
    /// no others, under the network's own names.
    pub(super) fn is_plain(&self) -> bool {
        let mut names = self.tensors.keys();
        Self::is_safetensors_file(&self.path)
            && self.set.is_all()
            && names.all(|name| self.set.name(name) == *name)
    }

    fn is_safetensors_file(path: &Path) -> bool {
        path.extension().is_some_and(|e| e == "safetensors")
    }
}

/// The tensors of a PyTorch pickle.
fn pickled(path: &Path) -> Result<BTreeMap<String, StoredTensor>> {
    // Names count: burn-store would number the parts of a sequence anew.
    let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
    let tensors = store.get_all_tensors();
    match tensors {
        Ok(tensors) => Ok(tensors.clone()),
        Err(error) => Err(advice::unreadable(path, &error.to_string())),
    }
}

pub(super) fn damaged(file: &Path) -> Error {
    Error::stage(format!("the checkpoint `{}` is damaged", file.display()))
        .help("fetch it again; a sha256 for the file would have told before")
}
