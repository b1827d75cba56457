//! Files of a command: which ones of the project it declares, and how files get into its folder and out of it.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::config::{Spanned, resolve};
use crate::error::{Context, Error, Result, Span};
use crate::names;
use crate::stages::{LocalFile, StageContext};
use crate::store;

/// The project files that one entry of `files` names.
pub(super) fn project_files(entry: &Spanned<String>) -> Result<Vec<(String, LocalFile)>> {
    let pattern = &entry.value;
    relative(pattern).map_err(|error| entry.blame(error, ""))?;
    let Some(span) = &entry.span else {
        return Err(Error::usage(format!(
            "`{pattern}` did not come from a file"
        )));
    };
    let file = |path: String, from: PathBuf| {
        (
            path.clone(),
            LocalFile {
                role: path,
                path: from,
                span: span.clone(),
            },
        )
    };
    if !is_glob(pattern) {
        return Ok(vec![file(pattern.clone(), resolve(span, pattern))]);
    }
    let matcher = names::glob(pattern, &GlobBuilder::new(pattern)).map_err(|cause| {
        let error = Error::usage(format!("`{pattern}` is not a valid glob"));
        entry.blame(error.cause(cause), "")
    })?;
    let found = matches(&matcher, pattern, span);
    if found.is_empty() {
        return Err(entry.blame(Error::usage(format!("no file matches `{pattern}`")), ""));
    }
    Ok(found
        .into_iter()
        .map(|(path, from)| file(path, from))
        .collect())
}

/// Whether a path has a wildcard.
pub(super) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// The folders that a glob begins with.
pub(super) fn fixed(pattern: &str) -> String {
    let parts = pattern.split('/').take_while(|part| !is_glob(part));
    parts.collect::<Vec<_>>().join("/")
}

fn matches(matcher: &GlobMatcher, pattern: &str, span: &Span) -> Vec<(String, PathBuf)> {
    let fixed = fixed(pattern);
    let root = resolve(span, "");
    let start = if root.as_os_str().is_empty() {
        Path::new(".").join(fixed)
    } else {
        root.join(fixed)
    };
    let mut found: Vec<(String, PathBuf)> = ignore::WalkBuilder::new(start)
        .standard_filters(false)
        .filter_entry(|entry| !store::is_own(entry.path()))
        .build()
        .filter_map(std::result::Result::ok)
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| {
            let below = if root.as_os_str().is_empty() {
                Path::new(".")
            } else {
                root.as_path()
            };
            let path = entry.path().strip_prefix(below).ok()?.to_str()?.to_string();
            matcher.is_match(&path).then(|| (path, entry.into_path()))
        })
        .collect();
    found.sort();
    found
}

/// Refuses a path that leads out of the folder that it is relative to.
pub(super) fn relative(path: &str) -> Result<()> {
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if path.is_empty() || !inside {
        return Err(Error::usage(format!(
            "`{path}` must be a relative path without `..`"
        )));
    }
    Ok(())
}

/// Refuses what the command made if it, or a folder on the way to it, is a link out of the command's own `folder`: it is about
/// to be moved away from there, and others may need it. What is missing is told of elsewhere.
pub(super) fn refuse_detour(folder: &Path, made: &Path) -> Result<()> {
    let parent = made.parent().unwrap_or(folder);
    match (folder.canonicalize(), parent.canonicalize()) {
        (Ok(folder), Ok(real)) if !real.starts_with(&folder) => Err(Error::stage(format!(
            "`{}` is a link to `{}`, which is outside of the command's folder",
            parent.display(),
            real.display()
        ))
        .help("let the command make the file in its own folder")),
        _ => store::refuse_outside(made, folder),
    }
}

/// Makes a folder and those above it.
pub(super) fn create(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).or_stage(|| format!("cannot create `{}`", folder.display()))
}

/// Moves what the command made in its `folder`, of which nothing is needed any more, to `output`: a file, or what a folder
/// holds. What links lead to is copied: others may need it.
pub(super) fn collect(
    cx: &StageContext<'_>,
    folder: &Path,
    made: &Path,
    output: &Path,
) -> Result<()> {
    if made.is_dir() {
        for file in store::made(made, folder)? {
            let to = names::join(output, &file.relative)?;
            move_file(cx, &made.join(&file.relative), &to, file.linked)?;
        }
        return Ok(());
    }
    let to = output.join(made.file_name().unwrap_or_default());
    move_file(cx, made, &to, made.is_symlink())
}

fn move_file(cx: &StageContext<'_>, from: &Path, to: &Path, linked: bool) -> Result<()> {
    if let Some(parent) = to.parent() {
        create(parent)?;
    }
    if !linked && std::fs::rename(from, to).is_ok() {
        return Ok(());
    }
    copy_file(cx, from, to)
}

/// Copies a declared file, or the content of a declared folder: the files that count for its digest.
pub(super) fn lay_out(cx: &StageContext<'_>, from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return copy_file(cx, from, to);
    }
    create(to)?;
    for file in store::content(from)? {
        copy_file(cx, &from.join(&file.relative), &to.join(&file.relative))?;
    }
    Ok(())
}

/// Copies a file. The copy is writable: a command that changes its inputs changes its own copy only.
fn copy_file(cx: &StageContext<'_>, from: &Path, to: &Path) -> Result<()> {
    let fail = |path: &Path| format!("cannot copy `{}`", path.display());
    let metadata = std::fs::metadata(from).or_stage(|| fail(from))?;
    if !metadata.is_file() {
        return Err(Error::stage(format!(
            "`{}` is neither a file nor a folder",
            from.display()
        )));
    }
    if let Some(parent) = to.parent() {
        create(parent)?;
    }
    cx.copy_file(from, to).or_stage(|| fail(from))?;
    let mut permissions = metadata.permissions();
    #[expect(
        clippy::permissions_set_readonly_false,
        reason = "the copy belongs to the command alone"
    )]
    permissions.set_readonly(false);
    std::fs::set_permissions(to, permissions).or_stage(|| fail(to))
}
