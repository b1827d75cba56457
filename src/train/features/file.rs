//! The file with the features of a bucket.

use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Context, Error, Result};

const FILE: &str = "features.safetensors";
const TENSOR: &str = "features";

/// Writes vectors of `width` numbers into `folder`.
pub(super) fn write(folder: &Path, numbers: &[f32], width: usize) -> Result<()> {
    let path = folder.join(FILE);
    let bytes = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect::<Vec<_>>();
    let shape = vec![numbers.len() / width, width];
    TensorView::new(Dtype::F32, shape, &bytes)
        .and_then(|view| safetensors::serialize_to_file([(TENSOR, view)], None, &path))
        .or_stage(|| format!("cannot write `{}`", path.display()))
}

/// Reads so many vectors of `width` numbers from `folder`.
pub(super) fn read(folder: &Path, vectors: usize, width: usize) -> Result<Vec<f32>> {
    let path = folder.join(FILE);
    let bytes = std::fs::read(&path).or_stage(|| format!("cannot read `{}`", path.display()))?;
    let unreadable = || {
        format!(
            "`{}` does not hold the features that its key promises",
            path.display()
        )
    };
    let file = SafeTensors::deserialize(&bytes).or_stage(unreadable)?;
    let tensor = file.tensor(TENSOR).or_stage(unreadable)?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != [vectors, width] {
        return Err(Error::stage(unreadable()));
    }
    let (numbers, _) = tensor.data().as_chunks::<4>();
    Ok(numbers
        .iter()
        .map(|number| f32::from_le_bytes(*number))
        .collect())
}
