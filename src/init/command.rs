//! A project for a program of the user's own: what it reads and what it makes is declared, so that it runs only when that changed.

use std::path::{Path, PathBuf};

use super::files::Draft;
use super::{Ask, list, name, value};
use crate::error::{Error, Result};
use crate::names;

/// What may be said on the command line.
#[derive(Clone, Debug, Default)]
pub struct CommandOptions {
    /// The program and its arguments; none to look for a script.
    pub argv: Vec<String>,
    /// The file or folder that it makes.
    pub output: Option<String>,
}

/// Endings of scripts, and what runs them.
const SCRIPTS: [(&str, &str); 4] = [
    ("py", "python3"),
    ("sh", "sh"),
    ("R", "Rscript"),
    ("jl", "julia"),
];

/// A project in `folder` that runs a program.
///
/// # Errors
/// Neither a program nor a script; an output that is not named, or lies elsewhere.
pub fn command(folder: &Path, options: &CommandOptions, ask: &mut dyn Ask) -> Result<Draft> {
    if !folder.is_dir() {
        let text = format!("there is no folder `{}`", folder.display());
        return Err(Error::usage(text).help("name the folder that the program is in"));
    }
    let mut told = Vec::new();
    let argv = if options.argv.is_empty() {
        let argv = find(folder, ask)?;
        told.push(format!("the command is `{}`", argv.join(" ")));
        argv
    } else {
        options.argv.clone()
    };
    let output = options.output.as_deref().ok_or_else(|| {
        Error::usage("nothing says which file the command makes")
            .help("name it, or the folder: --output result.csv")
    })?;
    if let Some(flaw) = names::flaw(output) {
        return Err(Error::usage(format!("the output `{output}` {flaw}"))
            .help("name it as the command does, which runs in an empty folder"));
    }
    let files: Vec<String> = argv
        .iter()
        .filter(|word| names::flaw(word).is_none() && folder.join(word).exists())
        .cloned()
        .collect();
    if !files.is_empty() {
        let files = files.join("`, `");
        told.push(format!("the command sees `{files}` and nothing else of the folder: add what it reads besides to `files`"));
    }
    let first = argv.iter().find(|word| files.contains(word));
    let named_after = first.or(argv.first()).map_or("", String::as_str);
    let text = format!(
        r#"# A program that runs when its command, its files or its inputs have changed. It runs in an empty folder, in which nothing is but what
# is declared here; its output is kept, and comes back when they do.
#   refire run                 runs it, or says that nothing changed
#   refire get work result     copies what it made into a folder `result`
[pipeline]
name = {name}
seed = 42

[stage.work]
kind = "command"
argv = {argv}
files = {files} # what it reads: files, folders, globs
outputs = {{ result = {output} }} # what it makes
"#,
        name = value(&name(Path::new(named_after))),
        argv = list(&argv),
        files = list(&files),
        output = value(output),
    );
    Ok(Draft::new(folder, text, told))
}

/// The command for the only script in `folder`.
fn find(folder: &Path, ask: &mut dyn Ask) -> Result<Vec<String>> {
    let runner = |path: &PathBuf| {
        let ending = path.extension()?.to_str()?;
        let (_, runner) = SCRIPTS.iter().find(|(known, _)| *known == ending)?;
        let name = path.file_name()?.to_str()?.to_owned();
        path.is_file().then(|| vec![(*runner).to_owned(), name])
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let mut found: Vec<Vec<String>> = paths.iter().filter_map(runner).collect();
    let shown: Vec<String> = found.iter().map(|argv| argv.join(" ")).collect();
    match found.len() {
        0 => Err(Error::usage(format!("there is no script in `{}`", folder.display()))
            .help("say what is to run, behind two dashes: refire init command --output result.csv -- python3 work.py")),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let flag = "-- COMMAND";
            let chosen = ask.choose("What is to run?", &shown, None, flag)?;
            Ok(found.swap_remove(chosen))
        }
    }
}
