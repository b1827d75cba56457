//! The file that a page becomes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::config::Overrides;
use crate::error::{Context, Error, Result};
use crate::page;
use crate::store::write_atomic;

/// So much of a file tells whether refire wrote it.
const BEGINNING: u64 = 256;

/// What the page of the pipeline at `pipeline` is called where nothing else is said: `NAME.report.html`, with the profiles in it as in the
/// name of a lock, in the current folder.
#[must_use]
pub fn default_path(pipeline: &Path, overrides: &Overrides) -> PathBuf {
    let lock = crate::lock::Lock::path(pipeline, overrides);
    let name = lock.file_stem().unwrap_or_default();
    let mut name = name.to_os_string();
    name.push(".report.html");
    name.into()
}

/// Refuses a file that is there and was not written by refire as a page, unless `force` is given; and a folder that is not there.
///
/// # Errors
/// Of kind [`Usage`](crate::error::Kind::Usage), with what to do.
pub fn check(path: &Path, force: bool) -> Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Error::usage(format!("`{shown}` is a folder")).help("name a file in it"));
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(
            Error::usage(format!("cannot write `{shown}`: its folder does not exist"))
                .help("make the folder first"),
        );
    }
    let mut file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => {
            opened.or_usage(|| format!("cannot look at `{shown}`, which is there already"))?
        }
    };
    let mut beginning = Vec::new();
    file.by_ref()
        .take(BEGINNING)
        .read_to_end(&mut beginning)
        .or_usage(|| format!("cannot look at `{shown}`, which is there already"))?;
    if force || beginning.is_empty() || page::is_page(&beginning) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{shown}` is there already, and is no report of refire"
    ))
    .help("name another file, or write over it with `--force`"))
}

/// Writes `html`, whole or not at all, after [`check`] has let it.
///
/// # Errors
/// Those of the disk, and those of [`check`].
pub fn save(html: &str, path: &Path, force: bool) -> Result<()> {
    check(path, force)?;
    write_atomic(path, html.as_bytes())
}
