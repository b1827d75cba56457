//! Which pipeline a command is about.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The file that is taken when none is named.
const DEFAULT: &str = "refire.toml";
/// The folder whose only file is taken otherwise.
const FOLDER: &str = "pipelines";

/// Takes the pipeline off the front of a verb's arguments, if it is named there, else finds the folder's default.
///
/// # Errors
/// If the file is not there, or none is named and there is no default.
pub(super) fn take(arguments: &mut Vec<String>) -> Result<PathBuf> {
    take_in(Path::new(""), arguments)
}

/// The stage that a verb about one stage is given.
///
/// # Errors
/// If there is none or more than one.
pub(super) fn only_stage(arguments: &[String]) -> Result<&str> {
    match arguments {
        [stage] => Ok(stage),
        [] => Err(Error::usage("no stage is named").help("name one after the pipeline file")),
        [_, second, ..] => Err(Error::usage(format!("`{second}` is one argument too many"))
            .help("a pipeline file may stand before the stage; its name ends in .toml")),
    }
}

/// The pipeline of a verb that takes nothing else.
///
/// # Errors
/// As [`take`], and if what is named is not a pipeline file.
pub(super) fn only(named: Option<String>) -> Result<PathBuf> {
    let mut arguments: Vec<String> = named.into_iter().collect();
    let path = take(&mut arguments)?;
    match arguments.first() {
        None => Ok(path),
        Some(first) => Err(Error::usage(format!("`{first}` is not a pipeline file"))
            .help("the name of a pipeline file ends in .toml")),
    }
}

fn take_in(folder: &Path, arguments: &mut Vec<String>) -> Result<PathBuf> {
    if !arguments
        .first()
        .is_some_and(|first| is_toml(Path::new(first)))
    {
        refuse_forgotten_extension(folder, arguments)?;
        return default_in(folder);
    }
    let path = folder.join(arguments.remove(0));
    if path.exists() {
        return Ok(path);
    }
    let names: Vec<String> = candidates(folder)
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let written = path.display().to_string();
    let error = Error::usage(format!("there is no file `{written}`"))
        .did_you_mean(&written, names.iter().map(String::as_str));
    Err(if names.is_empty() {
        error
    } else {
        error.note(format!("pipelines here: {}", names.join(", ")))
    })
}

fn is_toml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "toml")
}

/// `refire run pipelines/sentiment` would otherwise be a stage of that name.
fn refuse_forgotten_extension(folder: &Path, arguments: &[String]) -> Result<()> {
    match arguments.first() {
        Some(first) if folder.join(format!("{first}.toml")).is_file() && !first.is_empty() => {
            Err(Error::usage(format!("`{first}` is not a pipeline file"))
                .help(format!("did you mean `{first}.toml`?")))
        }
        _ => Ok(()),
    }
}

fn default_in(folder: &Path) -> Result<PathBuf> {
    let file = folder.join(DEFAULT);
    if file.is_file() {
        return Ok(file);
    }
    let mut files = candidates(folder);
    match files.len() {
        1 => Ok(files.remove(0)),
        0 => Err(Error::usage(format!("no pipeline here: neither `{DEFAULT}` nor a file in `{FOLDER}/`"))
            .help("name one, as in `refire run path/to/pipeline.toml`, or go to the folder of your project")),
        _ => {
            let names: Vec<String> = files.iter().map(|path| format!("`{}`", path.display())).collect();
            Err(Error::usage(format!("`{FOLDER}/` has several pipelines"))
                .note(names.join(", "))
                .help(format!("name one, as in `refire run {}`", files[0].display())))
        }
    }
}

/// The TOML files in the folder for pipelines, sorted.
fn candidates(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join(FOLDER)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_toml(path) && path.is_file())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("writable");
            std::fs::File::create(&path).expect("writable");
        }
        folder
    }

    /// The pipeline found, relative to the project, and the arguments left.
    fn found(files: &[&str], arguments: &[&str]) -> Result<(String, Vec<String>)> {
        let project = project(files);
        let mut arguments = arguments.iter().map(ToString::to_string).collect();
        let path = take_in(project.path(), &mut arguments)?;
        let path = path.strip_prefix(project.path()).expect("it is inside");
        Ok((path.display().to_string(), arguments))
    }

    #[test]
    fn a_first_argument_in_toml_is_the_pipeline() {
        let (path, rest) =
            found(&["refire.toml", "a/b.toml"], &["a/b.toml", "tune"]).expect("it is there");
        assert_eq!(
            (path.as_str(), rest),
            ("a/b.toml", vec!["tune".to_string()])
        );
    }

    #[test]
    fn refire_toml_comes_before_the_only_pipeline() {
        let (path, _) =
            found(&["refire.toml", "pipelines/a.toml"], &["tune"]).expect("it is there");
        assert_eq!(path, "refire.toml");
        let (path, _) = found(&["pipelines/a.toml", "pipelines/a.lock"], &[]).expect("it is there");
        assert_eq!(path, "pipelines/a.toml");
    }

    #[test]
    fn what_is_missing_or_ambiguous_is_said() {
        let none = found(&[], &[]).expect_err("there is none");
        assert!(none.message().contains("no pipeline here"));
        let several =
            found(&["pipelines/a.toml", "pipelines/b.toml"], &[]).expect_err("there are two");
        assert!(
            several.notes()[0].contains("a.toml`, `"),
            "{:?}",
            several.notes()
        );
        let misspelt = found(&["pipelines/reviews.toml"], &["pipelines/review.toml"])
            .expect_err("it is not there");
        assert!(
            misspelt
                .help_text()
                .is_some_and(|help| help.contains("reviews.toml"))
        );
        let stem =
            found(&["pipelines/reviews.toml"], &["pipelines/reviews"]).expect_err("it is no stage");
        assert!(
            stem.help_text()
                .is_some_and(|help| help.contains("reviews.toml"))
        );
    }
}
