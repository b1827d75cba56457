//! Checkpoints: tensors by name, read lazily from safetensors or PyTorch pickles, poured into a module one after the other with an account
//! of every one of them, and written back as safetensors.
//!
//! It knows no architecture: names are mapped by functions that the architecture gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::store::bridge;
use burn::store::burn_pack::Tensor as StoredTensor;
use burn::tensor::{Tensor, TensorData};

use crate::error::{Error, Result};

mod advice;
mod drawn;
mod files;
mod finite;
mod index;
mod lazy;
mod save;
mod sets;
mod shards;
mod state;
mod walk;

pub(super) use drawn::draw;
use files::{Opened, Part, damaged};
pub(super) use files::{SAFETENSORS, choose};
pub use files::{is_index, is_weights};
use finite::Broken;
pub use index::shards;
pub use save::Saved;
pub(super) use save::{Base, Target, named, write, write_file, write_new};
pub(super) use state::{numbers, with_numbers};
use walk::{Place, in_checkpoint_order, transpose};
pub(super) use walk::{Seen, norms, parameters};

/// The tensors of a checkpoint, not yet read.
pub(super) struct Checkpoint {
    /// Its file, or the index of its files.
    pub(super) file: PathBuf,
    /// Name → tensor.
    tensors: BTreeMap<String, StoredTensor>,
    /// The same for names that the file does not hold, because another has the same numbers.
    tied: BTreeMap<String, StoredTensor>,
    /// What was decided about the file that nobody asked for, as sentences for the user.
    choices: Vec<String>,
    /// Whether there is no file: the weights are still to be drawn.
    is_blank: bool,
}

/// The most layers that are made for a network without weights.
pub(super) const MOST_LAYERS: usize = 1000;

impl Checkpoint {
    /// Opens the checkpoint in a model's `folder`, of several sets of weights in it the one under `key`, with its names mapped by `rename`.
    ///
    /// # Errors
    /// No checkpoint, one that is damaged, one with two tensors of the same name, several sets of weights and no key.
    pub(super) fn open(
        folder: &Path,
        key: Option<&str>,
        rename: impl Fn(&str) -> String,
    ) -> Result<Self> {
        let Opened {
            file,
            parts,
            choice,
        } = files::open(folder, key)?;
        let (mut tensors, mut tied) = (BTreeMap::new(), BTreeMap::new());
        for part in parts {
            for (name, tensor) in part.tensors {
                let renamed = rename(&part.set.name(&name));
                if tensors.insert(renamed.clone(), tensor).is_some() {
                    return Err(Error::stage(format!(
                        "`{}` holds the tensor `{renamed}` twice, under different names",
                        file.display()
                    )));
                }
            }
            for (name, tensor) in part.tied {
                tied.insert(rename(&part.set.name(&name)), tensor);
            }
        }
        Ok(Self {
            file,
            tensors,
            tied,
            choices: choice.into_iter().collect(),
            is_blank: false,
        })
    }

    /// Opens the `file`, with its names mapped by `rename`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn open_file(file: &Path, rename: impl Fn(&str) -> String) -> Result<Self> {
        let part = Part::open(file)?;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in part.tensors {
            let renamed = rename(&name);
            if tensors.insert(renamed.clone(), tensor).is_some() {
                return Err(Error::stage(format!(
                    "`{}` holds the tensor `{renamed}` twice, under different names",
                    file.display()
                )));
            }
        }
        Ok(Self {
            file: file.into(),
            tensors,
            tied: part.tied,
            choices: Vec::new(),
            is_blank: false,
        })
    }

    /// Takes the tensors of `other` in place of its own of the same names.
    pub(super) fn overlay(&mut self, other: Self) {
        self.tensors.extend(other.tensors);
    }

    /// What stands in for the checkpoint of a network whose weights are still to be drawn, which `config` describes.
    pub(super) fn blank(config: PathBuf) -> Self {
        Self {
            file: config,
            tensors: BTreeMap::new(),
            tied: BTreeMap::new(),
            choices: Vec::new(),
            is_blank: true,
        }
    }

    /// Name and shape of every tensor.
    pub(super) fn shapes(&self) -> Shapes<'_> {
        let tensors = self.tensors.iter();
        tensors
            .map(|(name, tensor)| (name.as_str(), &tensor.shape[..]))
            .collect()
    }

    /// Whether it has the tensor `name`. Where weights are still to be drawn, all are there that a network can have.
    pub(super) fn has(&self, name: &str) -> bool {
        self.is_blank || self.tensors.contains_key(name) || self.tied.contains_key(name)
    }

    /// Refuses more layers than there are tensors, before any is made. `key` is what the config calls their number.
    ///
    /// # Errors
    /// A config of another model.
    pub(super) fn refuse_layers(&self, key: &str, layers: usize) -> Result<()> {
        if self.is_blank {
            return match layers {
                ..=MOST_LAYERS => Ok(()),
                _ => Err(Error::stage(format!(
                    "config.json: `{key}` is {layers}, and at most {MOST_LAYERS} are made"
                ))),
            };
        }
        let tensors = self.tensors.len();
        if layers <= tensors {
            return Ok(());
        }
        Err(Error::stage(format!(
            "config.json asks for {layers} layers, but `{}` holds {tensors} tensors in all",
            self.file.display()
        ))
        .help("take config.json and the weights from the same model"))
    }

    /// Takes out the tensors whose names fulfil `which`, and returns the names.
    pub(super) fn remove(&mut self, which: impl Fn(&str) -> bool) -> Vec<String> {
        self.tensors
            .extract_if(.., |name, _| which(name))
            .map(|(name, _)| name)
            .collect()
    }

    /// Takes out the tensors whose names fulfil `which`, as a checkpoint of its own.
    pub(super) fn split_off(&mut self, which: impl Fn(&str) -> bool) -> Self {
        let taken = self.tensors.extract_if(.., |name, _| which(name));
        Self {
            tensors: taken.collect(),
            tied: BTreeMap::new(),
            choices: Vec::new(),
            file: self.file.clone(),
            is_blank: self.is_blank,
        }
    }

    /// Fills `module` with the tensors, as f32, and returns it with the names of the tensors that it has no place for.
    /// `name_of` maps a parameter's path to its name; parameters that fulfil `may_miss` may be left as they are.
    ///
    /// # Errors
    /// A parameter without a tensor, a tensor of another shape, a tensor that cannot be read, numbers that are NaN or infinite.
    pub(super) fn fill<M: Module>(
        self,
        module: M,
        name_of: impl Fn(&str) -> String,
        may_miss: impl Fn(&str) -> bool,
        reading: Reading,
    ) -> Result<(M, Account)> {
        let mut filler = Filler {
            place: Place::default(),
            name_of,
            checkpoint: self,
            reading,
            missing: Vec::new(),
            broken: Vec::new(),
            filled: 0,
            error: None,
        };
        let module = module.map(&mut filler);
        if let Some(error) = filler.error {
            return Err(error);
        }
        finite::refuse(&filler.broken, &filler.checkpoint.file)?;
        let (new, lost): (Vec<_>, Vec<_>) =
            filler.missing.into_iter().partition(|name| may_miss(name));
        let Checkpoint {
            file,
            tensors,
            choices,
            ..
        } = filler.checkpoint;
        let unused: Vec<String> = tensors.into_keys().collect();
        if lost.is_empty() {
            return Ok((
                module,
                Account {
                    missing: new,
                    unused,
                    choices,
                    file,
                },
            ));
        }
        let mut error = Error::stage(format!(
            "`{}` lacks {} of the {} tensors that its config.json asks for",
            file.display(),
            lost.len(),
            lost.len() + filler.filled,
        ))
        .note(format!("missing: {}", list(&lost)))
        .help("take config.json and the weights from the same model");
        if !unused.is_empty() {
            error = error.note(format!("it has instead: {}", list(&unused)));
        }
        Err(choices.into_iter().fold(error, Error::note))
    }
}

/// Checks that the model in `folder` has weights, all files of them, under `key` in its checkpoint; nothing but names is read.
///
/// # Errors
/// Those of opening a model.
pub fn check_weights(folder: &Path, key: &str) -> Result<()> {
    files::open(folder, Some(key)).map(drop)
}

/// Name → shape.
pub(super) type Shapes<'a> = BTreeMap<&'a str, &'a [usize]>;

/// How much of a checkpoint to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Everything.
    Values,
    /// Names and shapes: the module stays without values.
    Headers,
}

/// What became of a checkpoint's tensors.
pub(super) struct Account {
    /// Parameters that the checkpoint has no tensor for.
    pub(super) missing: Vec<String>,
    /// Tensors that the module has no place for.
    pub(super) unused: Vec<String>,
    /// What was decided about them that nobody asked for, as sentences for the user.
    pub(super) choices: Vec<String>,
    /// The checkpoint's file.
    pub(super) file: PathBuf,
}

impl Account {
    /// Refuses tensors that the network has no place for, but those that are `spare`: of something that it goes without, such as
    /// the head of another task. Every architecture calls it, so that no weight of the network is ever passed over.
    ///
    /// # Errors
    /// The names of the tensors that are left over.
    pub(super) fn refuse_left_over(&self, spare: impl Fn(&str) -> bool) -> Result<()> {
        let left = self.unused.iter().filter(|name| !spare(name));
        let left: Vec<String> = left.cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        Err(Error::stage(format!(
            "`{}` holds {} tensors that the network in config.json has no place for",
            self.file.display(),
            left.len(),
        ))
        .note(format!("left over: {}", list(&left)))
        .help("take config.json and the weights from the same model"))
    }
}

/// At most eight names, and how many more there are.
pub(super) fn list(names: &[String]) -> String {
    const MANY: usize = 8;
    let shown = names[..names.len().min(MANY)].join(", ");
    match names.len().saturating_sub(MANY) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

struct Filler<F> {
    place: Place,
    name_of: F,
    checkpoint: Checkpoint,
    reading: Reading,
    missing: Vec<String>,
    broken: Vec<Broken>,
    filled: usize,
    error: Option<Error>,
}

impl<F: Fn(&str) -> String> Filler<F> {
    /// The data for the parameter here, which has `shape` in Burn's order.
    fn data(&mut self, shape: &[usize]) -> Result<Option<TensorData>> {
        let name = (self.name_of)(&self.place.path());
        let known = self.checkpoint.tensors.remove(&name);
        let Some(stored) = known.or_else(|| self.checkpoint.tied.get(&name).cloned()) else {
            self.missing.push(name);
            return Ok(None);
        };
        let transposed = self.place.is_transposed();
        let expected = in_checkpoint_order(shape, transposed);
        if stored.shape[..] != expected[..] {
            return Err(Error::stage(format!(
                "tensor `{name}` has shape {:?}, but config.json asks for {expected:?}",
                &stored.shape[..]
            ))
            .note(format!(
                "the weights are `{}`",
                self.checkpoint.file.display()
            ))
            .help("take config.json and the weights from the same model"));
        }
        if !stored.dtype.is_float() {
            return Err(Error::stage(format!(
                "tensor `{name}` holds numbers of the type {:?}, which are no weights of a network",
                stored.dtype
            ))
            .note(format!(
                "the weights are `{}`",
                self.checkpoint.file.display()
            ))
            .help("take weights that are not quantized, in full or half precision"));
        }
        self.filled += 1;
        if self.reading == Reading::Headers {
            return Ok(None);
        }
        let data = bridge::into_data(stored).map_err(|error| {
            damaged(&self.checkpoint.file)
                .cause(format!("tensor `{name}`"))
                .because(&error)
        })?;
        let data = data.convert::<f32>();
        self.broken.extend(Broken::find(&name, &data));
        Ok(Some(if transposed {
            transpose(&data, &name)?
        } else {
            data
        }))
    }
}

impl<F: Fn(&str) -> String> ModuleMapper for Filler<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        match self.data(&param.lazy_shape()) {
            Ok(Some(data)) => {
                let tensor = Tensor::from_data(data, &param.lazy_device());
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Ok(None) => param,
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

#[cfg(test)]
mod tests;
