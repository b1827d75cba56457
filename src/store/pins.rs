//! What those who share a cache still need, so that one of them can collect without knowing the others.
//!
//! Each lock has a file in `pins/`, named by the digest of the lock's path: the path, then the keys that it names. A pin
//! holds as long as its lock is there or, for locks of other machines, as long as it is used.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Store;
use super::claim::is_hex;
use super::digest::Digest;
use super::disk::{OnDisk, open, place, read_small, touch};
use super::folder::Folder;
use super::stamp::age;
use crate::error::Result;

const MAGIC: &[u8] = b"refire pin 1\n";

/// A pin that is used is made young again after this time.
const STALE: Duration = Duration::from_hours(1);

/// What a lock needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Where the lock is, or was.
    pub lock: PathBuf,
    /// The keys that it names.
    pub keys: Vec<Digest>,
    /// What the pin's own file is called.
    name: String,
    /// How long ago it was last used.
    pub age: Duration,
}

impl Store {
    /// Writes down that the lock at `lock` needs `keys`.
    ///
    /// # Errors
    /// If the cache is not writable or the disk is full.
    pub fn pin<'k>(&self, lock: &Path, keys: impl Iterator<Item = &'k Digest>) -> Result<()> {
        let lock = std::path::absolute(lock).doing("find", lock)?;
        let lock = lock.as_os_str().as_encoded_bytes();
        let mut bytes = [MAGIC, lock, b"\n"].concat();
        keys.for_each(|key| bytes.extend_from_slice(key.as_bytes()));
        let folder = self.root.join("pins");
        let file = folder.join(Digest::of(lock).to_string());
        if fs::read(&file).is_ok_and(|old| old == bytes) {
            let stale = fs::metadata(&file).is_ok_and(|metadata| age(&metadata) > STALE);
            return if stale {
                touch(&file).doing("write", &file)
            } else {
                Ok(())
            };
        }
        fs::create_dir_all(&folder).doing("make the folder", &folder)?;
        place(&file, &self.tmp()?, &bytes).doing("write", &file)
    }

    /// What others have pinned. What is not a whole pin is none.
    ///
    /// # Errors
    /// If the cache cannot be read: what it holds must not be dropped then.
    pub fn pins(&self) -> Result<Vec<Pin>> {
        let mut pins = Vec::new();
        let path = self.root.join("pins");
        let Some(folder) = Folder::open(&path).doing("open", &path)? else {
            return Ok(pins);
        };
        for name in folder.names().doing("list", &path)? {
            let file = path.join(&name);
            // What is called otherwise is not ours.
            let Some(seen) = folder.look(&name).filter(|_| is_hex(&name, 64)) else {
                continue;
            };
            if seen.is_folder || file.is_symlink() {
                continue;
            }
            let bytes = open(&file).and_then(read_small).doing("read", &file)?;
            pins.extend(parse(&bytes).map(|(lock, keys)| Pin {
                lock,
                keys,
                name,
                age: seen.age,
            }));
        }
        Ok(pins)
    }

    /// Forgets what a lock needed.
    pub fn unpin(&self, pin: &Pin) {
        if let Ok(Some(folder)) = Folder::open(&self.root.join("pins")) {
            // One that cannot be removed is found again the next time.
            let _ = folder.remove(&pin.name);
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(PathBuf, Vec<Digest>)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let lock = String::from_utf8_lossy(&rest[..end]).into_owned();
    let (keys, rest) = rest[end + 1..].as_chunks::<32>();
    let keys = keys.iter().map(|key| Digest::from(*key)).collect();
    rest.is_empty().then(|| (lock.into(), keys))
}

#[cfg(test)]
mod tests {
    use super::super::tests::place;
    use super::*;

    #[test]
    fn what_a_lock_needs_is_written_once_and_comes_back() {
        let place = place();
        let keys = [Digest::of(b"a"), Digest::of(b"b")];
        let lock = place.path.join("project/refire.lock");
        place.store.pin(&lock, keys.iter()).expect("pinned");
        let pins = place.store.pins().expect("readable");
        assert_eq!(pins.len(), 1);
        assert_eq!((&pins[0].lock, &pins[0].keys[..]), (&lock, &keys[..]));

        let file = place.store.root().join("pins").join(&pins[0].name);
        let written = || fs::metadata(&file).expect("there").modified();
        let before = written().expect("a time");
        place.store.pin(&lock, keys.iter()).expect("pinned");
        assert_eq!(written().expect("a time"), before, "nothing is new");
        place.store.pin(&lock, keys[..1].iter()).expect("pinned");
        let pins = place.store.pins().expect("readable");
        assert_eq!((pins.len(), pins[0].keys.len()), (1, 1));
    }
}
