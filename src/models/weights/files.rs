//! The files of a checkpoint: one, or several with an index that says which tensor is in which, as Hugging Face writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::store::burn_pack::Tensor as StoredTensor;
use burn::store::{ModuleStore, PytorchStore, SafetensorsStore};
use serde::Deserialize;

use super::{advice, list};
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

/// A file of a checkpoint, with its tensors not yet read.
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Name in the file → tensor; of a part with an index those that the index names.
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    /// How much of every name only says how a training script kept its network.
    pub(super) wrapped: usize,
    /// The tensors of the file that the index leaves out.
    pub(super) ignored: Vec<String>,
}

/// The checkpoint in a model's `folder`: the file that stands for it, the only one or the index, and its parts.
///
/// # Errors
/// No checkpoint, or several; one that is damaged; an index that does not fit its files.
pub(super) fn open(folder: &Path) -> Result<(PathBuf, Vec<Part>)> {
    let file = find(folder)?;
    let parts = if is_index(&file) {
        parts(folder, &file)?
    } else {
        vec![Part::open(&file)?]
    };
    Ok((file, parts))
}

/// A file of weights that stands beside a checkpoint.
///
/// # Errors
/// One that is damaged.
pub(super) fn open_file(file: &Path) -> Result<Part> {
    Part::open(file)
}

/// Whether a file of that name belongs to the weights.
pub(in crate::models) fn is_weights(path: &Path) -> bool {
    is_checkpoint(path) || is_index(path)
}

fn is_checkpoint(path: &Path) -> bool {
    let extensions = ["safetensors", "bin", "pth", "pt", "th"];
    path.extension()
        .is_some_and(|extension| extensions.iter().any(|known| extension == *known))
}

fn is_index(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".index.json")
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

/// The parts that the index `file` names.
fn parts(folder: &Path, file: &Path) -> Result<Vec<Part>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let cannot = || format!("`{}` is no index of weights", file.display());
    let bytes = std::fs::read(file).or_stage(cannot)?;
    let index: Index = serde_json::from_slice(&bytes).or_stage(cannot)?;
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (tensor, part) in index.weight_map {
        files.entry(part).or_default().insert(tensor);
    }
    let part = |(name, tensors): (String, BTreeSet<String>)| {
        let path = Path::new(&name);
        if path.file_name() != Some(path.as_os_str()) {
            return Err(Error::stage(format!(
                "`{}` names the file `{name}`, which is not beside it",
                file.display()
            ))
            .help("take the index and all files of the weights from the same model"));
        }
        if !folder.join(path).exists() {
            return Err(Error::stage(format!(
                "`{}` names the file `{name}`, which is not there",
                file.display()
            ))
            .help(format!(
                "add \"{name}\" to `files` of the stage `pretrained`"
            )));
        }
        let mut part = Part::open(&folder.join(path))?;
        let missing = tensors
            .iter()
            .filter(|name| !part.tensors.contains_key(*name));
        let missing: Vec<String> = missing.cloned().collect();
        if !missing.is_empty() {
            return Err(Error::stage(format!(
                "`{}` lacks tensors that `{}` says it has",
                part.path.display(),
                file.display()
            ))
            .note(format!("missing: {}", list(&missing)))
            .help("take all files of the weights from the same model"));
        }
        let ignored = part
            .tensors
            .extract_if(.., |name, _| !tensors.contains(name));
        part.ignored = ignored.map(|(name, _)| name).collect();
        Ok(part)
    };
    files.into_iter().map(part).collect()
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
        let stored = if Self::is_safetensors_file(path) {
            tensors(&mut SafetensorsStore::from_file(path))
        } else {
            // Names count: burn-store would number the parts of a sequence anew.
            tensors(&mut PytorchStore::from_file(path).map_indices_contiguous(false))
        };
        let tensors = stored.map_err(|cause| advice::unreadable(path, &cause))?;
        advice::refuse_optimizer(path, tensors.keys().map(String::as_str))?;
        Ok(Self {
            path: path.to_path_buf(),
            wrapped: wrapping(&tensors),
            tensors,
            ignored: Vec::new(),
        })
    }

    /// Whether it is a file of safetensors, and no pickle.
    pub(super) fn is_safetensors(&self) -> bool {
        Self::is_safetensors_file(&self.path)
    }

    fn is_safetensors_file(path: &Path) -> bool {
        path.extension().is_some_and(|e| e == "safetensors")
    }
}

fn tensors<S: ModuleStore>(store: &mut S) -> Result<BTreeMap<String, StoredTensor>, String> {
    store
        .get_all_tensors()
        .cloned()
        .map_err(|error| error.to_string())
}

pub(super) fn damaged(file: &Path) -> Error {
    Error::stage(format!("the checkpoint `{}` is damaged", file.display()))
        .help("fetch it again; a sha256 for the file would have told before")
}

/// How much of every name only says how a training script kept its network: in a dictionary beside its optimiser, or in
/// PyTorch's `DataParallel`.
fn wrapping(tensors: &BTreeMap<String, StoredTensor>) -> usize {
    let Some(name) = tensors.keys().next() else {
        return 0;
    };
    let mut length = 0;
    let is_next = |rest: &str, wrapper: &str| {
        let rest = rest.strip_prefix(wrapper);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    while let Some(wrapper) = advice::WRAPPERS
        .iter()
        .find(|wrapper| is_next(&name[length..], wrapper))
    {
        let longer = &name[..=length + wrapper.len()];
        if !tensors.keys().all(|name| name.starts_with(longer)) {
            break;
        }
        length = longer.len();
    }
    length
}
