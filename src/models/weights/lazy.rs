//! The tensors of a safetensors file: their names at once, their numbers when they are asked for, as f32 whatever floating-point type
//! they are stored in.
//!
//! The file is read and not mapped: one that another program cuts off while it is mapped ends the process, and pages of a mapped file
//! count as memory beside the network that is made of them. Pieces are converted as they arrive, so that no tensor is there twice.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::store::bridge;
use burn::store::burn_pack::{Error as PackError, Tensor as StoredTensor};
use burn::tensor::{BoolStore, DType, Shape, TensorData, bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::files::damaged;
use crate::error::{Context, Error, Result};

/// The longest header that the format allows, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;
/// How much of a tensor is read at a time, in bytes: a multiple of the size of every type.
const PIECE: usize = 1 << 20;

/// The tensors of a file.
pub(super) struct Contents {
    /// Name → tensor.
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    /// The same for names that the file does not hold, because it holds the same tensor under another one: what safetensors'
    /// `save_model` notes in the metadata, dropped name → kept name.
    pub(super) tied: BTreeMap<String, StoredTensor>,
}

/// Reads the header of the file at `path`.
///
/// # Errors
/// A file that is damaged, or that holds numbers of a type that refire does not read.
pub(super) fn open(path: &Path) -> Result<Contents> {
    let mut file = File::open(path).or_stage(|| format!("cannot read `{}`", path.display()))?;
    let (start, metadata) = header(&mut file).map_err(|cause| damaged(path).cause(cause))?;
    let file = Arc::new(Mutex::new(file));
    let infos: BTreeMap<String, &TensorInfo> = metadata.tensors().into_iter().collect();
    let mut tensors = BTreeMap::new();
    for (name, info) in infos {
        let Some(dtype) = burn_type(info.dtype) else {
            return Err(unknown_type(path, &name, info.dtype));
        };
        let stored = stored(&file, start, &name, info, dtype);
        tensors.insert(name, stored);
    }
    let noted: BTreeMap<&String, &String> = metadata.metadata().iter().flatten().collect();
    let tied = noted.into_iter().filter_map(|(dropped, kept)| {
        let stored = tensors.get(kept)?.clone();
        (!tensors.contains_key(dropped)).then(|| (dropped.clone(), stored))
    });
    Ok(Contents {
        tied: tied.collect(),
        tensors,
    })
}

/// Where the numbers begin, and what the header says of them; in words, why there is no header.
fn header(file: &mut File) -> Result<(u64, Metadata), String> {
    let words = |error: io::Error| error.to_string();
    let length = file.metadata().map_err(words)?.len();
    let mut size = [0; 8];
    file.read_exact(&mut size)
        .map_err(|_| format!("it has {length} bytes, too few for a header"))?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER || size > length - 8 {
        return Err(format!(
            "it has {length} bytes, and its header is said to have {size}"
        ));
    }
    let mut json = vec![0; usize::try_from(size).map_err(|error| error.to_string())?];
    file.read_exact(&mut json).map_err(words)?;
    let metadata: Metadata = serde_json::from_slice(&json)
        .map_err(|error| format!("its header cannot be read: {error}"))?;
    let end = (8 + size).checked_add(metadata.data_len() as u64);
    if end != Some(length) {
        let end = end.map_or("more than fit".to_string(), |end| end.to_string());
        return Err(format!(
            "it has {length} bytes, and by its header it should have {end}"
        ));
    }
    Ok((8 + size, metadata))
}

/// How numbers of this type are given on: fractions as f32; none for types that refire does not read.
fn burn_type(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => DType::F32,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}

fn unknown_type(path: &Path, name: &str, dtype: Dtype) -> Error {
    Error::stage(format!(
        "the tensor `{name}` in `{}` holds numbers of the type {dtype:?}, which refire does not read",
        path.display()
    ))
    .help("take the weights in full or half precision: F32, F16 or BF16")
}

/// The tensor that `info` describes, in the file whose numbers begin at `start`.
fn stored(
    file: &Arc<Mutex<File>>,
    start: u64,
    name: &str,
    info: &TensorInfo,
    dtype: DType,
) -> StoredTensor {
    let shape = Shape::from(info.shape.clone());
    let source = Stored {
        file: Arc::clone(file),
        from: start + info.data_offsets.0 as u64,
        bytes: info.data_offsets.1 - info.data_offsets.0,
    };
    let (stored_as, declared) = (info.dtype, shape.clone());
    bridge::deferred(name.to_string(), dtype, shape, None, move || {
        let numbers = source.read(stored_as, &declared, dtype);
        numbers.map_err(|error| PackError::IoError(error.to_string()))
    })
}

/// The numbers of a tensor in a file.
struct Stored {
    file: Arc<Mutex<File>>,
    from: u64,
    bytes: usize,
}

impl Stored {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "networks compute with f32; what does not fit becomes infinite and is found"
    )]
    fn read(&self, stored_as: Dtype, shape: &Shape, dtype: DType) -> io::Result<TensorData> {
        let floats = match stored_as {
            Dtype::F32 => self.floats(f32::from_le_bytes)?,
            Dtype::F64 => self.floats(|bytes| f64::from_le_bytes(bytes) as f32)?,
            Dtype::F16 => self.floats(|bytes| f16::from_le_bytes(bytes).to_f32())?,
            Dtype::BF16 => self.floats(|bytes| bf16::from_le_bytes(bytes).to_f32())?,
            _ => {
                let mut bytes = room(self.bytes)?;
                self.pieces(|piece| bytes.extend_from_slice(piece))?;
                return TensorData::try_from_bytes_vec(bytes, shape.clone(), dtype)
                    .map_err(io::Error::other);
            }
        };
        Ok(TensorData::new(floats, shape.clone()))
    }

    /// Numbers of `N` bytes each.
    fn floats<const N: usize>(&self, convert: impl Fn([u8; N]) -> f32) -> io::Result<Vec<f32>> {
        let mut floats = room(self.bytes / N)?;
        self.pieces(|piece| {
            let (numbers, _) = piece.as_chunks::<N>();
            floats.extend(numbers.iter().map(|number| convert(*number)));
        })?;
        Ok(floats)
    }

    fn pieces(&self, mut use_piece: impl FnMut(&[u8])) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.from))?;
        let mut piece = vec![0; self.bytes.min(PIECE)];
        let mut left = self.bytes;
        while left > 0 {
            let piece = &mut piece[..left.min(PIECE)];
            file.read_exact(piece)?;
            use_piece(piece);
            left -= piece.len();
        }
        Ok(())
    }
}

/// An empty vector with room for so many values: a file may be as long as no memory is.
fn room<T>(count: usize) -> io::Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(io::Error::other)?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(bytes: &[u8]) -> Result<Contents> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.safetensors");
        crate::store::write_atomic(&path, bytes).expect("written");
        open(&path)
    }

    /// A file with this header, and so many zeros behind it.
    fn file(header: &str, zeros: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; zeros]);
        bytes
    }

    #[test]
    fn a_file_that_is_none_is_told_with_the_reason() {
        let tensor = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let huge = r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#;
        for (bytes, reason) in [
            (Vec::new(), "it has 0 bytes, too few for a header"),
            (vec![7; 5], "it has 5 bytes, too few for a header"),
            (
                vec![255; 64],
                "its header is said to have 18446744073709551615",
            ),
            (file("{", 0), "its header cannot be read"),
            (
                file(tensor, 7),
                "it has 69 bytes, and by its header it should have 70",
            ),
            (
                file(tensor, 9),
                "it has 71 bytes, and by its header it should have 70",
            ),
            (file(huge, 8), "its header cannot be read"),
        ] {
            let error = opened(&bytes).err().expect("it is refused");
            assert!(error.message().ends_with("is damaged"), "{error}");
            assert!(error.causes()[0].contains(reason), "{reason}: {error}");
        }
        assert!(opened(&file(tensor, 8)).is_ok());
    }

    #[test]
    fn a_type_that_is_not_read_is_named() {
        let header = r#"{"a.b":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}"#;
        let error = opened(&file(header, 2)).err().expect("it is refused");
        assert!(error.message().contains("`a.b`"), "{error}");
        assert!(error.message().contains("F8_E4M3"), "{error}");
    }

    #[test]
    fn every_type_of_fractions_becomes_f32() {
        let values = [1.5_f32, -0.25, 3e-5, 65504.0, 1e30];
        // More than a piece of each, so that pieces have to fit together.
        let count = PIECE / 4 + 3;
        let value = |index: usize| values[index % values.len()];
        for (dtype, size, write) in [
            (
                "F32",
                4,
                (|value| f32::to_le_bytes(value).to_vec()) as fn(f32) -> Vec<u8>,
            ),
            ("F64", 8, |value| f64::from(value).to_le_bytes().to_vec()),
            ("F16", 2, |value| {
                f16::from_f32(value).to_le_bytes().to_vec()
            }),
            ("BF16", 2, |value| {
                bf16::from_f32(value).to_le_bytes().to_vec()
            }),
        ] {
            let header = format!(
                r#"{{"a":{{"dtype":"{dtype}","shape":[{count}],"data_offsets":[0,{}]}}}}"#,
                count * size
            );
            let mut bytes = file(&header, 0);
            bytes.extend((0..count).flat_map(|index| write(value(index))));
            let mut contents = opened(&bytes).expect("it is read");
            let stored = contents.tensors.remove("a").expect("it is there");
            let data = bridge::into_data(stored).expect("it is read");
            let expected = |index| match dtype {
                "F16" => f16::from_f32(value(index)).to_f32(),
                "BF16" => bf16::from_f32(value(index)).to_f32(),
                _ => value(index),
            };
            let read = data.as_slice::<f32>().expect("f32");
            assert_eq!(read.len(), count);
            assert!(
                (0..count).all(|index| read[index].to_bits() == expected(index).to_bits()),
                "{dtype}"
            );
        }
    }
}
