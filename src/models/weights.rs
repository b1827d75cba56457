//! Checkpoints: tensors by name, read lazily from safetensors (memory-mapped) or PyTorch pickles, poured into a module
//! with an account of every one of them, and written back as safetensors.
//!
//! It knows no architecture: names are mapped by functions that the architecture gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::store::burn_pack::Tensor as StoredTensor;
use burn::store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};
use burn::tensor::{Tensor, TensorData};

use crate::error::{Context, Error, Result};

mod finite;
mod save;
mod state;
mod walk;

use finite::Broken;
pub use save::Saved;
pub(super) use save::{write, write_new};
pub(super) use state::{numbers, with_numbers};
use walk::{Place, in_checkpoint_order, transpose};
pub(super) use walk::{Seen, norms, parameters};

/// File names of checkpoints, the preferred one first.
const FILES: &[&str] = &[SAFETENSORS, "pytorch_model.bin"];
const SAFETENSORS: &str = "model.safetensors";

/// The tensors of a checkpoint, not yet read.
pub(super) struct Checkpoint {
    /// Its file.
    pub(super) file: PathBuf,
    /// Name → tensor.
    tensors: BTreeMap<String, StoredTensor>,
}

impl Checkpoint {
    /// Opens the checkpoint in a model's `folder`, with its names mapped by `rename`.
    ///
    /// # Errors
    /// No checkpoint, one that is damaged, one with two tensors of the same name.
    pub(super) fn open(folder: &Path, rename: impl Fn(&str) -> String) -> Result<Self> {
        let file = find(folder)?;
        let stored = if file.extension().is_some_and(|e| e == "safetensors") {
            tensors(&mut SafetensorsStore::from_file(&file))
        } else {
            // Names count: burn-store would number the parts of a sequence anew.
            tensors(&mut PytorchStore::from_file(&file).map_indices_contiguous(false))
        };
        let stored = stored.map_err(|cause| damaged(&file).cause(cause))?;
        let wrapped = wrapping(&stored);
        let mut tensors = BTreeMap::new();
        for (name, tensor) in stored {
            let renamed = rename(&name[wrapped..]);
            if tensors.insert(renamed.clone(), tensor).is_some() {
                return Err(Error::stage(format!(
                    "`{}` holds the tensor `{renamed}` twice, under different names",
                    file.display()
                )));
            }
        }
        Ok(Self { file, tensors })
    }

    /// Name and shape of every tensor.
    pub(super) fn shapes(&self) -> Shapes<'_> {
        let tensors = self.tensors.iter();
        tensors
            .map(|(name, tensor)| (name.as_str(), &tensor.shape[..]))
            .collect()
    }

    /// Whether it has the tensor `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Takes out the tensors whose names fulfil `which`, and returns the names.
    pub(super) fn remove(&mut self, which: impl Fn(&str) -> bool) -> Vec<String> {
        self.tensors
            .extract_if(.., |name, _| which(name))
            .map(|(name, _)| name)
            .collect()
    }

    /// Fills `module` with the tensors, as f32, and returns it with the names of the tensors that it has no place for.
    /// `name_of` maps a parameter's path to its name; parameters that fulfil `may_miss` may be left as they are.
    ///
    /// # Errors
    /// A parameter without a tensor, a tensor of another shape, a tensor that cannot be read, numbers that are NaN or infinite.
    pub(super) fn fill<M: Module>(
        self,
        module: M,
        name_of: fn(&str) -> String,
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
        let unused: Vec<String> = filler.checkpoint.tensors.into_keys().collect();
        let file = filler.checkpoint.file;
        if lost.is_empty() {
            return Ok((
                module,
                Account {
                    missing: new,
                    unused,
                    choices: Vec::new(),
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
        Err(error)
    }
}

/// Name → shape.
pub(super) type Shapes<'a> = BTreeMap<&'a str, &'a [usize]>;

/// How much of every name only says how a training script kept its network: in a dictionary beside its optimiser, or in
/// PyTorch's `DataParallel`.
fn wrapping(tensors: &BTreeMap<String, StoredTensor>) -> usize {
    const WRAPPERS: &[&str] = &["state_dict.", "model_state_dict.", "model.", "module."];
    let Some(name) = tensors.keys().next() else {
        return 0;
    };
    let mut length = 0;
    while let Some(wrapper) = WRAPPERS
        .iter()
        .find(|wrapper| name[length..].starts_with(**wrapper))
    {
        let longer = &name[..length + wrapper.len()];
        if !tensors.keys().all(|name| name.starts_with(longer)) {
            break;
        }
        length = longer.len();
    }
    length
}

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

/// The file with the weights in a model's `folder`.
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
    match <[PathBuf; 1]>::try_from(others) {
        Ok([only]) => Ok(only),
        Err(others) => Err(Error::stage(format!(
            "`{}` has {} files that could be its weights; it needs one",
            folder.display(),
            others.len()
        ))
        .help("name the weights model.safetensors, or pytorch_model.bin if they are a pickle")),
    }
}

/// Whether a file of that name holds weights.
pub(super) fn is_checkpoint(path: &Path) -> bool {
    let extensions = ["safetensors", "bin", "pth", "pt", "th"];
    path.extension()
        .is_some_and(|extension| extensions.iter().any(|known| extension == *known))
}

fn tensors<S: ModuleStore>(store: &mut S) -> Result<BTreeMap<String, StoredTensor>, String> {
    store
        .get_all_tensors()
        .cloned()
        .map_err(|error| error.to_string())
}

fn damaged(file: &Path) -> Error {
    Error::stage(format!("the checkpoint `{}` is damaged", file.display()))
        .help("fetch it again; a sha256 for the file would have told before")
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

struct Filler {
    place: Place,
    name_of: fn(&str) -> String,
    checkpoint: Checkpoint,
    reading: Reading,
    missing: Vec<String>,
    broken: Vec<Broken>,
    filled: usize,
    error: Option<Error>,
}

impl Filler {
    /// The data for the parameter here, which has `shape` in Burn's order.
    fn data(&mut self, shape: &[usize]) -> Result<Option<TensorData>> {
        let name = (self.name_of)(&self.place.path());
        let Some(stored) = self.checkpoint.tensors.remove(&name) else {
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

impl ModuleMapper for Filler {
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
