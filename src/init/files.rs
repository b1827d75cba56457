//! The files of a new project, written all or none, and never over what is there.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Context as _, Error, Result};
use crate::names::TEMPORARY;

/// The pipeline's file.
pub(super) const PIPELINE: &str = "refire.toml";
/// The data schema's.
pub(super) const SCHEMA: &str = "schema.toml";
const IGNORED: &str = ".gitignore";
const WORKFLOW: &str = ".github/workflows/refire.yml";

/// A project that is not written yet.
#[derive(Debug)]
pub struct Draft {
    folder: PathBuf,
    /// Path within the folder → text.
    files: Vec<(String, String)>,
    /// What was decided for the user, in sentences.
    pub told: Vec<String>,
}

impl Draft {
    /// One with this pipeline, and with the files that any project has.
    pub(super) fn new(folder: &Path, pipeline: String, told: Vec<String>) -> Self {
        let mut draft = Self {
            folder: folder.into(),
            files: vec![(PIPELINE.into(), pipeline)],
            told,
        };
        draft.add(IGNORED, include_str!("gitignore").into());
        match repository(folder) {
            Some(above) => draft.told.push(format!(
                "no workflow for GitHub is written: it would belong into the repository's top folder, `{}`",
                above.display()
            )),
            None => draft.add(WORKFLOW, include_str!("workflow.yml").into()),
        }
        draft
    }

    pub(super) fn add(&mut self, path: &str, text: String) {
        self.files.push((path.into(), text));
    }

    /// Writes the files; with `keep`, those besides the pipeline that are there already stay as they are. Returns the paths of those
    /// that were written.
    ///
    /// # Errors
    /// Files of these names, and those of the disk; nothing is left behind then.
    pub fn write(mut self, keep: bool) -> Result<Vec<PathBuf>> {
        // A link that leads nowhere is there as well.
        let folder = self.folder.clone();
        let is_there = |path: &str| folder.join(path).symlink_metadata().is_ok();
        if keep {
            self.files
                .retain(|(path, _)| path == PIPELINE || !is_there(path));
        }
        let there: Vec<&str> = self.files.iter().map(|(path, _)| path.as_str()).collect();
        let there: Vec<&str> = there.into_iter().filter(|path| is_there(path)).collect();
        if !there.is_empty() {
            return Err(exist(&folder, &there));
        }
        let cannot = |path: &Path| format!("cannot write `{}`", path.display());
        let mut ready = Vec::new();
        let mut folders = Vec::new();
        let written = (|| {
            for (path, text) in &self.files {
                let path = folder.join(path);
                let parent = path.parent().unwrap_or(&folder);
                make(parent, &mut folders).or_stage(|| cannot(&path))?;
                let mut builder = tempfile::Builder::new();
                builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
                // What anybody's new file may be; the umask takes away what it does.
                #[cfg(unix)]
                builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
                let mut file = builder.tempfile_in(parent).or_stage(|| cannot(&path))?;
                file.write_all(text.as_bytes())
                    .and_then(|()| file.as_file().sync_all())
                    .or_stage(|| cannot(&path))?;
                ready.push((path, file));
            }
            let mut written = Vec::new();
            for (path, file) in ready.drain(..) {
                if let Err(error) = file.persist_noclobber(&path) {
                    for path in &written {
                        drop(fs::remove_file(path));
                    }
                    return Err(error.error).or_stage(|| cannot(&path));
                }
                written.push(path);
            }
            Ok(written)
        })();
        if written.is_err() {
            drop(ready);
            // Only those that are empty go.
            folders
                .iter()
                .rev()
                .for_each(|path| drop(fs::remove_dir(path)));
        }
        written
    }
}

fn exist(folder: &Path, there: &[&str]) -> Error {
    let list: Vec<String> = there.iter().map(|path| format!("`{path}`")).collect();
    let (are, them) = match list.len() {
        1 => ("is", "it"),
        _ => ("are", "them"),
    };
    let error = Error::usage(format!(
        "{} {are} in `{}` already; nothing was written",
        list.join(", "),
        folder.display()
    ));
    if there.contains(&PIPELINE) {
        return error
            .help("name another folder, or go on with the pipeline that is there: refire check");
    }
    error.help(format!(
        "move {them} away, or leave {them} as {them} {are} and write the others: --keep",
    ))
}

/// Makes `folder` and what is missing above it, and remembers what it made.
fn make(folder: &Path, made: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make(parent, made)?;
    }
    fs::create_dir(folder)?;
    made.push(folder.into());
    Ok(())
}

/// The repository that `folder` lies within, below its top.
fn repository(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let top = folder
        .ancestors()
        .find(|above| above.join(".git").exists())?;
    (top != folder).then(|| top.into())
}
