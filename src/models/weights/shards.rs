//! The weights of a model that keeps most of those it was made from: what is the same, bit by bit, is a file of its own, so that a store
//! of files by content holds it once for all models made from the same one. Hugging Face's index says which tensor is in which file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::store::bridge;
use burn::store::burn_pack::Tensor as StoredTensor;
use serde_json::json;

use super::files::{self, INDEX, SAFETENSORS};
use super::save::{Base, Saved, write_file, write_new};
use crate::error::{Context, Result};

/// The least share of the weights that is worth a file of its own.
const WORTH: usize = 10;

/// A file to write.
enum File {
    /// One of the base's, as it is, with the names of its tensors that count.
    Linked(PathBuf, Vec<String>),
    /// Tensors by their indices.
    New(Vec<usize>),
}

/// Writes `tensors` into `folder`, beside the base model's files that hold nothing but what is the same as there. `canonical` gives a
/// tensor's name the form that all libraries' names for it have in common.
///
/// # Errors
/// A base that cannot be read; those of the disk.
pub(super) fn write(
    tensors: Vec<(String, Saved)>,
    base: Base<'_>,
    folder: &Path,
    canonical: impl Fn(&str) -> String,
) -> Result<()> {
    let ours: BTreeMap<String, usize> = tensors
        .iter()
        .enumerate()
        .map(|(index, (name, _))| (canonical(name), index))
        .collect();
    let mut files = Vec::new();
    let (mut same, mut linked) = (BTreeSet::new(), BTreeSet::new());
    for part in files::open(base.folder, base.key)?.parts {
        let known = |name: &str| ours.get(&canonical(&part.set.name(name))).copied();
        let common = part.tensors.iter().filter_map(|(name, stored)| {
            let index = known(name)?;
            Some((name, index, is_same(stored, &tensors[index].1)))
        });
        let (kept, changed): (Vec<_>, Vec<_>) = common.partition(|(.., same)| *same);
        same.extend(kept.iter().map(|(_, index, _)| *index));
        // What the index left out must not become one of ours for those who do not look at the index.
        let stale = part.ignored.iter().any(|name| known(name).is_some());
        if changed.is_empty() && !kept.is_empty() && !stale && part.is_plain() {
            linked.extend(kept.iter().map(|(_, index, _)| *index));
            let names = kept.iter().map(|(name, ..)| (*name).clone()).collect();
            files.push(File::Linked(part.path.clone(), names));
        }
    }
    let size = |indices: &[usize]| -> usize {
        let sizes = indices.iter().map(|index| tensors[*index].1.bytes());
        sizes.sum()
    };
    let all: Vec<usize> = (0..tensors.len()).collect();
    let left: Vec<usize> = all
        .iter()
        .copied()
        .filter(|index| !linked.contains(index))
        .collect();
    let (kept, changed): (Vec<_>, Vec<_>) =
        left.iter().copied().partition(|index| same.contains(index));
    if size(&kept) * WORTH >= size(&all) {
        files.extend([File::New(kept), File::New(changed)]);
    } else {
        files.push(File::New(left));
    }
    files.retain(|file| !matches!(file, File::New(indices) if indices.is_empty()));
    place(tensors, &files, folder)
}

/// Whether the stored tensor has the same shape and, as f32, the same bits.
fn is_same(stored: &StoredTensor, saved: &Saved) -> bool {
    let shape = safetensors::View::shape(saved);
    stored.shape[..] == *shape
        && bridge::into_data(stored.clone())
            .is_ok_and(|data| data.convert::<f32>().as_bytes() == &*safetensors::View::data(saved))
}

/// Puts `files` into `folder`, with an index if there is more than one.
fn place(tensors: Vec<(String, Saved)>, files: &[File], folder: &Path) -> Result<()> {
    let mut tensors: Vec<Option<(String, Saved)>> = tensors.into_iter().map(Some).collect();
    let total: usize = tensors
        .iter()
        .flatten()
        .map(|(_, saved)| saved.bytes())
        .sum();
    let mut names = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        let name = match files.len() {
            1 => SAFETENSORS.to_string(),
            count => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
        };
        let path = folder.join(&name);
        match file {
            File::Linked(from, linked) => {
                fs::hard_link(from, &path)
                    .or_else(|_| fs::copy(from, &path).map(drop))
                    .or_stage(|| format!("cannot write `{}`", path.display()))?;
                names.extend(linked.iter().map(|tensor| (tensor.clone(), name.clone())));
            }
            File::New(indices) => {
                let taken = indices.iter().filter_map(|index| tensors[*index].take());
                let taken: Vec<_> = taken.collect();
                names.extend(
                    taken
                        .iter()
                        .map(|(tensor, _)| (tensor.clone(), name.clone())),
                );
                write_file(taken, &path)?;
            }
        }
    }
    if files.len() == 1 {
        return Ok(());
    }
    let index = json!({ "metadata": { "total_size": total }, "weight_map": names });
    let path = folder.join(INDEX);
    let mut json = serde_json::to_vec_pretty(&index)
        .or_stage(|| format!("cannot write `{}`", path.display()))?;
    json.push(b'\n');
    write_new(&path, &json)
}
