//! Which folders are caches: those that bear refire's tag. Refire removes what is old in its cache, so a folder that may hold
//! anything else is refused.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::disk::{OnDisk, is_folder, open, read_small, replace};
use crate::error::{Error, Result};
use crate::names::TEMPORARY;

/// The file that says what a folder is.
const TAG: &str = "CACHEDIR.TAG";
/// What is in it: a signature that tells backup programs that the folder can be made again
/// (<https://bford.info/cachedir/>), and whose it is.
const CONTENT: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n# made by refire\n";
/// The cache may have been moved into a repository.
const IGNORE: (&str, &[u8]) = (".gitignore", b"# made by refire\n*\n");

/// The folders of a cache that hold files by their digests.
const SHELVES: [&str; 3] = ["objects", "artifacts", "records"];
/// Its other folders.
const OTHERS: [&str; 4] = ["tmp", "downloads", "checkpoints", "pins"];
/// Its files.
const FILES: [&str; 3] = ["stat", TAG, IGNORE.0];

/// Makes `root` a cache if it is missing or empty. Says whether it is one of before that was taken over: one without a tag,
/// in which nothing lies but what refire puts there.
///
/// # Errors
/// A folder with something else in it; a link in place of one of the cache's own folders; a folder that cannot be read. One
/// that is missing and may not be made is an empty cache that can only be read.
pub(super) fn claim(root: &Path) -> Result<bool> {
    if !root.is_dir() {
        match fs::create_dir_all(root) {
            // Nothing is in it. Who only reads need not know, and whoever writes is refused then.
            Err(error) if is_refusal(&error) => return Ok(false),
            made => made.doing("make the cache folder", root)?,
        }
    }
    let mut taken_over = false;
    if !is_tagged(root)? {
        let names = names(root)?;
        let is_empty = names.iter().all(|name| is_nothing(name));
        let is_cache = looks_like_cache(root, &names);
        // Another process may have tagged it meanwhile.
        if !is_tagged(root)? {
            if !is_empty && !is_cache {
                return Err(refused(root));
            }
            taken_over = tag(root)? && is_cache;
        }
    }
    let mut folders = SHELVES.iter().chain(&OTHERS);
    match folders.find(|name| root.join(name).is_symlink()) {
        None => Ok(taken_over),
        Some(link) => Err(Error::usage(format!(
            "`{}` is a link, and refire follows none in its cache",
            root.join(link).display()
        ))
        .help(
            "remove the link; REFIRE_CACHE_DIR says where the whole cache is, and may name a link",
        )),
    }
}

fn refused(root: &Path) -> Error {
    let shown = root.display();
    Error::usage(format!("`{shown}` is not empty and no cache of refire"))
        .note("refire removes what is old in its cache, so the folder must be its own")
        .help(format!(
            "let REFIRE_CACHE_DIR name a folder that is new or empty, such as `{}`",
            root.join("refire").display()
        ))
}

/// Whether there is a cache at `path`, as its tag says.
pub(super) fn is_cache(path: &Path) -> bool {
    is_folder(path) && is_tagged(path).unwrap_or(false)
}

fn is_tagged(root: &Path) -> Result<bool> {
    let tag = root.join(TAG);
    match open(&tag).and_then(read_small) {
        // A link is no tag.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            Ok(false)
        }
        content => Ok(content.doing("read", &tag)? == CONTENT),
    }
}

/// Writes the tag. A folder that can only be read goes without: nothing will be put there. Says whether it is tagged.
fn tag(root: &Path) -> Result<bool> {
    let ignore = root.join(IGNORE.0);
    let write = || {
        replace(&root.join(TAG), root, CONTENT)?;
        if ignore.exists() {
            return Ok(());
        }
        replace(&ignore, root, IGNORE.1)
    };
    match write() {
        Err(error) if is_refusal(&error) => Ok(false),
        written => written
            .doing("write the tag of the cache", &root.join(TAG))
            .map(|()| true),
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
    )
}

/// Whether a folder with nothing but this in it is empty: what file systems put there, what another process that claims the
/// folder at the same time writes.
fn is_nothing(name: &str) -> bool {
    ["lost+found", IGNORE.0].contains(&name) || name.starts_with(TEMPORARY.0)
}

/// Whether `names` in `root` are those of a cache, with the digests of a cache below them.
fn looks_like_cache(root: &Path, names: &[String]) -> bool {
    let has = |name: &str| names.iter().any(|known| known == name);
    let is_ours = |name: &String| {
        let path = root.join(name);
        let name = name.as_str();
        if SHELVES.contains(&name) {
            is_shelf(&path)
        } else if OTHERS.contains(&name) {
            is_folder(&path)
        } else {
            is_nothing(name) || (FILES.contains(&name) && !is_folder(&path))
        }
    };
    has("objects") && has("records") && names.iter().all(is_ours)
}

/// Whether there is a folder with a folder for pairs of hexadecimal digits, and nothing else.
fn is_shelf(path: &Path) -> bool {
    let is_pair = |name: &String| is_hex(name, 2) && is_folder(&path.join(name));
    is_folder(path) && names(path).is_ok_and(|names| names.iter().all(is_pair))
}

/// Whether `text` is `digits` lower-case hexadecimal digits.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(is_digit)
}

/// The names in a folder, which may be a link; those that are not UTF-8 as well as can be told.
fn names(folder: &Path) -> Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| -> io::Result<String> {
        Ok(entry?.file_name().to_string_lossy().into_owned())
    };
    let names = fs::read_dir(folder).and_then(|entries| entries.map(name).collect());
    names.doing("list", folder)
}
