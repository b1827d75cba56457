//! Files as they were at a revision, from the user's own git.

use std::path::Path;
use std::process::Command;

use crate::error::{Context, Error, Result};

/// The text of the file at `path` at `revision`; none if it was not there.
///
/// # Errors
/// No git, no repository, a revision that git does not know.
pub(super) fn text_at(path: &Path, revision: &str) -> Result<Option<String>> {
    let path =
        std::path::absolute(path).or_usage(|| format!("cannot find `{}`", path.display()))?;
    let (folder, name) = (path.parent(), path.file_name());
    let (Some(folder), Some(name)) = (folder, name.and_then(|name| name.to_str())) else {
        return Err(Error::usage(format!("`{}` has no name", path.display())));
    };
    // What begins with a dash would be an option of git.
    let commit = format!("{revision}^{{commit}}");
    let known = git(
        folder,
        &[
            "rev-parse",
            "--quiet",
            "--verify",
            "--end-of-options",
            &commit,
        ],
    )?;
    if !known.status.success() {
        let error = Error::usage(format!("git knows no revision `{revision}`"));
        let reason = String::from_utf8_lossy(&known.stderr).trim().to_string();
        let error = if reason.is_empty() {
            error
        } else {
            error.cause(reason)
        };
        return Err(error.help("name a commit, a branch or a tag, such as HEAD~1 or main"));
    }
    let commit = String::from_utf8_lossy(&known.stdout).trim().to_string();
    let found = git(folder, &["show", &format!("{commit}:./{name}")])?;
    if !found.status.success() {
        return Ok(None);
    }
    String::from_utf8(found.stdout)
        .map(Some)
        .or_usage(|| format!("`{name}` at {revision} is not UTF-8"))
}

fn git(folder: &Path, arguments: &[&str]) -> Result<std::process::Output> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output();
    output
        .or_usage(|| "cannot run git, which knows what the files were")
        .map_err(|error| error.help("install git"))
}
