//! Weights that are no numbers: they are refused where they are read, since a network may hide what they do to it.

use std::path::Path;

use burn::tensor::TensorData;

use crate::error::{Error, Result};

/// A tensor with values that are NaN or infinite.
pub(super) struct Broken {
    name: String,
    /// How many are NaN.
    nan: usize,
    /// How many are infinite.
    infinite: usize,
    /// How many values it has.
    len: usize,
    /// Where the first one of them is, counted from 0 in each dimension.
    first: Vec<usize>,
}

impl Broken {
    /// What is wrong with the f32 values of tensor `name`; none if all are finite.
    pub(super) fn find(name: &str, data: &TensorData) -> Option<Self> {
        let values = data.as_slice::<f32>().ok()?;
        let first = values.iter().position(|value| !value.is_finite())?;
        let count = |which: fn(f32) -> bool| values.iter().filter(|value| which(**value)).count();
        Some(Self {
            name: name.to_string(),
            nan: count(f32::is_nan),
            infinite: count(f32::is_infinite),
            len: values.len(),
            first: place(first, data.shape()),
        })
    }
}

/// The place of value `index` in a tensor of `shape`.
fn place(index: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = index;
    let mut place: Vec<usize> = shape
        .iter()
        .rev()
        .map(|size| {
            let at = rest % size;
            rest /= size;
            at
        })
        .collect();
    place.reverse();
    place
}

/// Refuses the checkpoint in `file` if any of its tensors is broken.
pub(super) fn refuse(broken: &[Broken], file: &Path) -> Result<()> {
    let Some(first) = broken.first() else {
        return Ok(());
    };
    let Broken {
        name,
        nan,
        infinite,
        len,
        first: place,
    } = first;
    let what = match (nan, infinite) {
        (nan, 0) => format!("{nan} of its {len} values are NaN"),
        (0, infinite) => format!("{infinite} of its {len} values are infinite"),
        (nan, infinite) => format!("{nan} of its {len} values are NaN and {infinite} infinite"),
    };
    let error = Error::stage(format!(
        "tensor `{name}` is broken: {what}, the first at {place:?}"
    ))
    .note(format!("the weights are `{}`", file.display()))
    .help(
        "take other weights: these come from a training that diverged, or were damaged on the way",
    );
    Err(match broken.len() - 1 {
        0 => error,
        more => {
            let others: Vec<String> = broken[1..]
                .iter()
                .map(|tensor| tensor.name.clone())
                .collect();
            error.note(format!("{more} more: {}", super::list(&others)))
        }
    })
}
