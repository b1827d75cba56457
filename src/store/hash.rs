//! The BLAKE3 digest of a file, read in parallel.
//!
//! Large files are cut along the nodes of BLAKE3's own tree; every block is read into a buffer that stays in the
//! processor's cache and is hashed there. Reading is preferred to mapping: a mapped file that another program
//! truncates kills the process, and reads of several blocks at once keep a cold disk busy.

use std::cell::RefCell;
use std::fs::File;
use std::io;

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};

use super::digest::Digest;
use crate::threads;

/// How much one thread reads and hashes at a time: a power of two times BLAKE3's chunk of 1 KiB.
const BLOCK: u64 = 1 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The digest of the first `length` bytes of `file`, which is its whole length.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] if the file is shorter.
pub(super) fn hash_file(file: &File, length: u64) -> io::Result<Digest> {
    if length <= BLOCK {
        return with_block(file, 0, length, Digest::of);
    }
    let (left, right) = halves(file, 0, length);
    Ok(hazmat::merge_subtrees_root(&left?, &right?, Mode::Hash).into())
}

fn halves(
    file: &File,
    offset: u64,
    length: u64,
) -> (io::Result<ChainingValue>, io::Result<ChainingValue>) {
    let left = hazmat::left_subtree_len(length);
    let halves = [(offset, left), (offset + left, length - left)];
    let [left, right] = halves.map(|(offset, length)| move || subtree(file, offset, length));
    if threads::start_all().is_ok() {
        rayon::join(left, right)
    } else {
        (left(), right())
    }
}

fn subtree(file: &File, offset: u64, length: u64) -> io::Result<ChainingValue> {
    if length <= BLOCK {
        return with_block(file, offset, length, |block| {
            blake3::Hasher::new()
                .set_input_offset(offset)
                .update(block)
                .finalize_non_root()
        });
    }
    let (left, right) = halves(file, offset, length);
    Ok(hazmat::merge_subtrees_non_root(&left?, &right?, Mode::Hash))
}

fn with_block<T>(
    file: &File,
    offset: u64,
    length: u64,
    use_block: impl FnOnce(&[u8]) -> T,
) -> io::Result<T> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        read_exact_at(file, &mut buffer[..length], offset)?;
        Ok(use_block(&buffer[..length]))
    })
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn equals_blake3_of_the_bytes_at_every_kind_of_length() {
        let block = usize::try_from(BLOCK).expect("fits");
        let bytes: Vec<u8> = (0..4 * block + 3)
            .map(|index| u8::try_from(index % 251).expect("below 251"))
            .collect();
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&bytes).expect("written");
        for length in [
            0,
            1,
            1024,
            1025,
            block - 1,
            block,
            block + 1,
            2 * block,
            2 * block + 1,
            3 * block + 1024,
            4 * block + 3,
        ] {
            let digest = hash_file(&file, length as u64).expect("read");
            assert_eq!(digest, Digest::of(&bytes[..length]), "{length} bytes");
        }
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_not_a_crash() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(BLOCK).expect("set");
        let error = hash_file(&file, 3 * BLOCK).expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
