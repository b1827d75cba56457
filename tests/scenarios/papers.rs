//! What the README and the book say is true: their pipelines, their tables, their commands, their links.

mod book;
mod commands;
mod links;
mod pipelines;
mod reference;

use std::path::Path;

use refire::stages::KINDS;
use refire::tasks::TASKS;

use crate::support::Project;

/// A file of the repository, by its path there.
struct Page {
    path: String,
    text: String,
}

fn page(path: &str) -> Page {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(file);
    Page {
        path: path.to_owned(),
        text: text.unwrap_or_else(|error| panic!("cannot read {path}: {error}")),
    }
}

/// The README, then the pages of the book in their order.
fn pages() -> Vec<Page> {
    let summary = page("docs/src/SUMMARY.md").text;
    let linked = summary.split("](").skip(1);
    let linked = linked.map(|rest| rest.split(')').next().unwrap_or_default());
    let pages = linked.map(|path| page(&format!("docs/src/{path}")));
    std::iter::once(page("README.md")).chain(pages).collect()
}

/// The blocks of a text between fences, each with its language.
fn fenced(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for fence in text.split("\n```").skip(1).step_by(2) {
        let (language, block) = fence.split_once('\n').unwrap_or((fence, ""));
        found.push((language, block));
    }
    found
}

/// The blocks of code in `language`, each with its last line feed.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    let blocks = text.split(fence.as_str()).skip(1);
    blocks
        .map(|rest| rest.split("```").next().expect("the block ends"))
        .collect()
}

/// The text under a heading, up to the next one of its level.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let (_, rest) = text
        .split_once(&format!("\n{heading}\n"))
        .expect("there is such a heading");
    let level = heading.split(' ').next().unwrap_or_default();
    rest.split(&format!("\n{level} ")).next().unwrap_or(rest)
}

/// The first words of a table's rows: what stands in the first pair of backticks, up to a space or a colon.
fn first_column(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(['`', ' ', ':']).next())
        .collect()
}

#[test]
fn the_book_lists_every_kind_every_scheme_and_every_verb() {
    let pipeline = page("docs/src/reference/pipeline.md").text;
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
    let listed = first_column(section(&pipeline, "## Kinds of stages"));
    assert!(
        kinds.iter().all(|kind| listed.contains(kind)),
        "{kinds:?} and {listed:?} differ"
    );

    let listed = page("docs/src/how-to/tasks.md").text;
    let listed = first_column(listed.split("\n## ").next().unwrap_or_default());
    let tasks: Vec<&str> = TASKS.iter().map(|task| task.name).collect();
    assert_eq!(listed, tasks, "the table of tasks");

    let sources = page("docs/src/reference/sources.md").text;
    let listed = first_column(&sources);
    for scheme in ["https", "hf", "pip", "npm"] {
        assert!(
            listed.contains(&scheme),
            "the book does not list `{scheme}:`"
        );
    }

    let help = Project::new().refire(&["--help"]).succeeds().stdout();
    let verbs = page("docs/src/reference/command-line.md").text;
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .expect("help lists them")
        .split("\n\n")
        .next()
        .expect("a list");
    let verb = |line: &'_ str| {
        line.strip_prefix("  ")
            .filter(|rest| !rest.starts_with(' '))
            .map(str::to_string)
    };
    for line in commands.lines().filter_map(verb) {
        let name = line.split_whitespace().next().expect("a name");
        assert!(
            verbs.contains(&format!("`{name}")),
            "the book does not list `{name}`"
        );
    }
}

#[test]
fn the_book_names_every_exit_code_and_the_last_event() {
    let text = page("docs/src/reference/command-line.md").text;
    assert!(text.contains(
        r#"{"event":"run_finished","ran":2,"cached":5,"failed":0,"skipped":0,"seconds":1.93}"#
    ));
    let help = Project::new().refire(&["--help"]).succeeds().stdout();
    let codes = text.split("Exit codes:").nth(1).expect("they are listed");
    for (code, word) in [
        ("0", "done"),
        ("1", "stage"),
        ("2", "wrong"),
        ("3", "gate"),
        ("4", "lock"),
        ("130", "interrupted"),
    ] {
        for text in [codes, help.as_str()] {
            assert!(
                text.contains(code) && text.contains(word),
                "exit code {code} is not explained"
            );
        }
    }
}

#[test]
fn the_table_of_imports_in_the_architecture_is_the_one_that_is_held() {
    let architecture = page("ARCHITECTURE.md").text;
    let table = section(&architecture, "## Who may import whom");
    for (module, allowed) in crate::house::MAY_IMPORT {
        let names: Vec<String> = allowed.iter().map(|name| format!("`{name}`")).collect();
        let row = format!("| `{module}` | {} |", names.join(", "));
        assert!(table.contains(&row), "ARCHITECTURE.md lacks the row\n{row}");
    }
    assert_eq!(first_column(table).len(), crate::house::MAY_IMPORT.len());
}
