//! What the papers of this repository tell to type is what the command line takes.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::ErrorKind;

use super::Cli;

/// The papers, each with its text: everything in Markdown, and the pipelines with what their comments say.
fn papers() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut papers = Vec::new();
    let book =
        ["tutorial", "how-to", "reference", "explanation"].map(|part| format!("docs/src/{part}"));
    let folders = ["", "benches", "docs/src", "pipelines", "examples"].map(str::to_owned);
    for folder in folders.iter().chain(&book) {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path
                .extension()
                .is_some_and(|ending| ending == "md" || ending == "toml")
            {
                let text = std::fs::read_to_string(&path).expect("readable");
                papers.push((path, text));
            }
        }
    }
    papers
}

/// The words of a line for a shell, up to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut open = None;
    for letter in line.chars() {
        match letter {
            '\'' | '"' if open.is_none() => open = Some(letter),
            letter if open == Some(letter) => open = None,
            '#' | '|' | '>' if open.is_none() => break,
            ' ' if open.is_none() => words.push(String::new()),
            _ => words.last_mut().expect("one at least").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Why refire would not take these arguments; more may have to follow if they are `only_begun`.
fn refused(arguments: &[String], only_begun: bool) -> Option<String> {
    let all = std::iter::once("refire").chain(arguments.iter().map(String::as_str));
    match Cli::try_parse_from(all).err()?.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::TooFewValues
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if only_begun =>
        {
            None
        }
        kind => Some(format!("{kind:?}")),
    }
}

/// What is wrong with a command of an example.
fn wrong(command: &[String], recipes: &str) -> Option<String> {
    let has = |word: &str| command.iter().any(|other| other == word);
    // Variables that are set for it stand before a command.
    let is_set = |word: &String| {
        word.split('=')
            .next()
            .is_some_and(|name| word.contains('=') && name == name.to_uppercase())
    };
    let command = &command[command.iter().take_while(|word| is_set(word)).count()..];
    match command.first()?.as_str() {
        "refire" => refused(&command[1..], false),
        "cargo" if has("run") => {
            let start = command.iter().position(|word| word == "--")?;
            refused(&command[start + 1..], false)
        }
        "just" => {
            let recipe = command.get(1)?;
            if !recipes
                .lines()
                .any(|line| line.starts_with(recipe.as_str()))
            {
                return Some("there is no such recipe".into());
            }
            (recipe == "libtorch").then(|| refused(&command[2..], false))?
        }
        "cargo" | "git" | "cd" => None,
        "pip" if has("install") => None,
        _ => Some("nothing tells whether it is right".into()),
    }
}

#[test]
fn every_command_of_an_example_is_one() {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("justfile");
    let recipes = std::fs::read_to_string(recipes).expect("readable");
    let mut seen = 0;
    for (path, text) in papers() {
        let prompts = text.lines().filter_map(|line| line.strip_prefix("$ "));
        // A comment of a pipeline that shows how to run it.
        let comments = text.lines().filter_map(|line| line.strip_prefix("#   "));
        let comments = comments.filter(|line| line.starts_with("refire "));
        for command in prompts.chain(comments).flat_map(|line| line.split(" && ")) {
            seen += 1;
            let wrong = wrong(&words(command), &recipes);
            assert_eq!(wrong, None, "`{command}` in {}", path.display());
        }
    }
    assert!(seen >= 15, "{seen} commands");
}

#[test]
fn every_command_in_a_sentence_begins_like_one() {
    let mut seen = 0;
    for (path, text) in papers() {
        for code in text.split("`refire ").skip(1) {
            let code = code.split('`').next().unwrap_or_default();
            seen += 1;
            let wrong = refused(&words(&code.replace('\n', " ")), true);
            assert_eq!(wrong, None, "`refire {code}` in {}", path.display());
        }
    }
    assert!(seen >= 15, "{seen} commands");
}
