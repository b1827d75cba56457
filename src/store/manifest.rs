//! What an artifact consists of: its manifest, and the digest that names it.
//!
//! The digest is taken over a canonical encoding, not over the JSON that is stored. Version 1, every number a
//! little-endian u64, every string preceded by its length in bytes:
//!
//! ```text
//! string "refire artifact 1"
//! number of files, then for each, sorted by the bytes of its path:
//!   string path ("a/b.txt")   string digest (32 bytes)   size in bytes   1 if executable else 0
//! ```
//!
//! Empty folders, owners and times are not part of an artifact. An artifact without files is allowed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, Fields};
use crate::error::{Error, Result};
use crate::names;

/// The version of the JSON and of the encoding.
const VERSION: u32 = 1;

/// One file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its path within the artifact, with `/` between the parts.
    pub path: String,
    /// The digest of its bytes, which names the object that holds them.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// The files of an artifact, sorted by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    files: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<F> {
    version: u32,
    files: F,
}

impl Manifest {
    /// A manifest that every system can hold as files.
    ///
    /// # Errors
    /// Paths that are absolute, go up, or hold what some system takes for a separator; two paths that are the same
    /// where upper and lower case are; a file that is also a folder.
    pub fn new(files: Vec<Entry>) -> Result<Self> {
        let manifest = Self::sorted(files);
        check_paths(&manifest.files)?;
        Ok(manifest)
    }

    /// A manifest that only names content and will never become files.
    pub(super) fn sorted(mut files: Vec<Entry>) -> Self {
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }

    /// The files, sorted by path.
    #[must_use]
    pub fn files(&self) -> &[Entry] {
        &self.files
    }

    /// How many bytes all files have together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The name of the artifact.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut fields = Fields::new("refire artifact 1");
        fields.number(self.files.len() as u64);
        for file in &self.files {
            fields.push(file.path.as_bytes());
            fields.push(file.digest.as_bytes());
            fields.number(file.size);
            fields.number(u64::from(file.executable));
        }
        fields.digest()
    }

    /// As it is stored: JSON, one line.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let stored = Stored {
            version: VERSION,
            files: &self.files,
        };
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// Reads what is stored, if it is the manifest of `artifact` to the last bit, and one that could have been published.
    pub(super) fn from_json(json: &[u8], artifact: &Digest) -> Option<Self> {
        let stored: Stored<Vec<Entry>> = serde_json::from_slice(json).ok()?;
        let manifest = Self {
            files: stored.files,
        };
        let is_it = stored.version == VERSION && manifest.digest() == *artifact;
        (is_it && manifest.check().is_ok()).then_some(manifest)
    }

    /// A manifest as a record describes it, of which thousands are read at once: its paths are plain and no two are the same.
    /// What else there is to check is checked before it becomes files.
    pub(super) fn described(files: Vec<Entry>) -> Option<Self> {
        let is_sorted = files.is_sorted_by(|one, other| one.path < other.path);
        let are_plain = || files.iter().all(|file| names::flaw(&file.path).is_none());
        (is_sorted && are_plain()).then_some(Self { files })
    }

    /// Checks what [`new`](Self::new) checks: a digest proves only that a manifest is the one that it is called, not that
    /// anybody has published it.
    pub(super) fn check(&self) -> Result<()> {
        check_paths(&self.files)
    }
}

/// See [`Manifest::new`].
fn check_paths(files: &[Entry]) -> Result<()> {
    // Every file and every folder above one: lower-case path → (path as written, whether it is a file).
    let mut seen: BTreeMap<String, (&str, bool)> = BTreeMap::new();
    for Entry { path, .. } in files {
        check_path(path)?;
        let folders = path
            .match_indices('/')
            .map(|(end, _)| (&path[..end], false));
        for (part, is_file) in folders.chain([(path.as_str(), true)]) {
            match seen.entry(part.to_lowercase()) {
                Slot::Vacant(slot) => {
                    slot.insert((part, is_file));
                }
                Slot::Occupied(slot) => collide(*slot.get(), (part, is_file))?,
            }
        }
    }
    Ok(())
}

fn collide(earlier: (&str, bool), (path, is_file): (&str, bool)) -> Result<()> {
    if earlier.0 != path {
        return Err(Error::stage(format!(
            "`{}` and `{path}` differ only in upper and lower case",
            earlier.0
        ))
        .note("macOS and Windows take them for the same file")
        .help("rename one of them"));
    }
    if is_file || earlier.1 {
        return Err(Error::stage(format!("`{path}` is named twice")));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<()> {
    match names::flaw(path) {
        Some(flaw) => {
            Err(Error::stage(format!("the path `{path}` {flaw}")).help("rename the file"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str, content: u8, executable: bool) -> Entry {
        Entry {
            path: path.into(),
            digest: Digest::of(&[content]),
            size: 1,
            executable,
        }
    }

    fn tree() -> impl Strategy<Value = Vec<Entry>> {
        let path = prop::collection::vec("[ab]{1,2}", 1..4).prop_map(|parts| parts.join("/"));
        prop::collection::btree_map(path, (0_u8..3, any::<bool>()), 0..5).prop_map(|files| {
            files
                .into_iter()
                .map(|(path, (content, executable))| entry(&path, content, executable))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn two_trees_share_a_digest_only_if_they_are_equal(a in tree(), b in tree()) {
            let same = Manifest::sorted(a.clone()).digest() == Manifest::sorted(b.clone()).digest();
            prop_assert_eq!(same, a == b);
        }

        #[test]
        fn the_order_of_files_does_not_count(
            (files, shuffled) in tree().prop_flat_map(|files| (Just(files.clone()), Just(files).prop_shuffle()))
        ) {
            prop_assert_eq!(Manifest::sorted(files), Manifest::sorted(shuffled));
        }

        #[test]
        fn json_gives_back_the_manifest(files in tree()) {
            let manifest = Manifest::sorted(files);
            let digest = manifest.digest();
            let read = Manifest::from_json(&manifest.to_json(), &digest);
            prop_assert_eq!(read, manifest.check().is_ok().then_some(manifest));
        }

        #[test]
        fn no_flipped_bit_of_the_json_goes_unseen(files in tree(), at: prop::sample::Index, bit in 0..8_u32) {
            let manifest = Manifest::sorted(files);
            let digest = manifest.digest();
            let mut json = manifest.to_json();
            let at = at.index(json.len());
            json[at] ^= 1_u8 << bit;
            // A flip may leave the meaning as it is (a hexadecimal digit's case), but never change it.
            if let Some(read) = Manifest::from_json(&json, &digest) {
                prop_assert_eq!(read, manifest);
            }
        }
    }

    #[test]
    fn the_encoding_is_pinned() {
        // Computed from the module's description with Python's blake3. They may only change together with the
        // version in the encoding's first string.
        let files = vec![entry("b/c", 1, true), entry("a", 0, false)];
        let digest = Manifest::new(files).expect("portable").digest();
        insta::assert_snapshot!(digest, @"899628588ff2139a9b8f0d1e4d28a04acf2cbfe614276aa6b8166458aba2ba03");
        let empty = Manifest::sorted(Vec::new()).digest();
        insta::assert_snapshot!(empty, @"8a690eefcd75fe7868d6588248467897b01e508d93eb20e345b02dab6476e9d3");
    }

    #[test]
    fn paths_that_some_system_cannot_hold_are_refused() {
        for (paths, part) in [
            (
                vec!["a", "A"],
                "`A` and `a` differ only in upper and lower case",
            ),
            (vec!["x/a", "X/b"], "`X` and `x` differ only"),
            (vec!["Ä.txt", "ä.txt"], "differ only"),
            (vec!["a", "a/b"], "`a` is named twice"),
            (vec!["/etc/passwd"], "plain relative path"),
            (vec!["a/../b"], "plain relative path"),
            (vec![""], "plain relative path"),
            (vec!["a\\b"], "backslash"),
        ] {
            let files: Vec<Entry> = paths.iter().map(|path| entry(path, 0, false)).collect();
            let json = Manifest::sorted(files.clone());
            let read = Manifest::from_json(&json.to_json(), &json.digest());
            assert_eq!(read, None, "{paths:?} is not read either");
            let error = Manifest::new(files).expect_err("refused");
            assert!(error.message().contains(part), "{error}");
        }
    }
}
