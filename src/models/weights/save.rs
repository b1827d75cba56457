//! Weights on their way to a file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::files::SAFETENSORS;
use super::shards;
use super::walk::{Place, transpose};
use crate::error::{Context, Error, Result};

/// Where a network is saved.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Target<'a> {
    /// The folder.
    pub(in crate::models) folder: &'a Path,
    /// The model that it was made from, whose files are used again for what is the same; none for one file with everything.
    pub(in crate::models) base: Option<Base<'a>>,
}

/// A model that another one was made from.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Base<'a> {
    /// Its folder.
    pub(in crate::models) folder: &'a Path,
    /// Which of several sets of weights in its checkpoint counts.
    pub(in crate::models) key: Option<&'a str>,
}

/// Writes the parameters of `module` as safetensors, as f32, with names given by `name_of`, which leaves out those without; `canonical` gives a name in any checkpoint
/// the form in which it is compared with others. The same values give the same bytes.
///
/// # Errors
/// Those of the disk; a base that cannot be read.
pub(in crate::models) fn write<M: Module>(
    module: &M,
    to: Target<'_>,
    name_of: impl Fn(&str) -> Option<String>,
    canonical: impl Fn(&str) -> String,
) -> Result<()> {
    let tensors = named(module, name_of)?;
    match to.base {
        None => write_file(tensors, &to.folder.join(SAFETENSORS)),
        Some(base) => shards::write(tensors, base, to.folder, canonical),
    }
}

/// The parameters of `module` as a checkpoint has them, as f32, with names given by `name_of`, which leaves out those without.
///
/// # Errors
/// Parameters that are not made of numbers.
pub(in crate::models) fn named<M: Module>(
    module: &M,
    name_of: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, Saved)>> {
    struct Visitor<F> {
        place: Place,
        name_of: F,
        tensors: Vec<(String, Saved)>,
        error: Option<Error>,
    }

    impl<F: Fn(&str) -> Option<String>> ModuleVisitor for Visitor<F> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.place.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.place.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(name) = (self.name_of)(&self.place.path()) else {
                return;
            };
            let data = param.val().to_data().convert::<f32>();
            let data = if self.place.is_transposed() {
                transpose(&data, &name)
            } else {
                Ok(data)
            };
            match data {
                Ok(data) => self.tensors.push((name, Saved::new(data))),
                Err(error) => self.error = Some(error),
            }
        }
    }

    let mut visitor = Visitor {
        place: Place::default(),
        name_of,
        tensors: Vec::new(),
        error: None,
    };
    module.visit(&mut visitor);
    if let Some(error) = visitor.error {
        return Err(error);
    }
    Ok(visitor.tensors)
}

/// Writes `tensors` to a file.
pub(in crate::models) fn write_file(
    tensors: Vec<(String, impl safetensors::View)>,
    path: &Path,
) -> Result<()> {
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize_to_file(tensors, Some(metadata), path)
        .or_stage(|| format!("cannot write `{}`", path.display()))
}

/// f32 values on their way to a file.
pub struct Saved(TensorData);

impl Saved {
    /// `data`, as f32.
    #[must_use]
    pub fn new(data: TensorData) -> Self {
        Self(data.convert::<f32>())
    }

    /// Its size in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_bytes().len()
    }
}

impl safetensors::View for Saved {
    fn dtype(&self) -> safetensors::Dtype {
        safetensors::Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.0.as_bytes())
    }

    fn data_len(&self) -> usize {
        self.0.as_bytes().len()
    }
}

/// Writes `bytes` to a file of a stage's output, which nobody reads before the stage has ended.
pub(in crate::models) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    // The old file may be a hard link to someone else's: it is replaced, not written over.
    let replaced = match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::fs::File::create(path).and_then(|mut file| file.write_all(bytes)),
    };
    replaced.or_stage(|| format!("cannot write `{}`", path.display()))
}
