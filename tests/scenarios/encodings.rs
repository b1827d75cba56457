//! Text as editors and other systems write it: byte order marks, control characters, letters composed in two ways.

use crate::support::Project;
use crate::tiny;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// The file with a byte order mark in front.
fn mark(project: &Project, path: &str) {
    let bytes = std::fs::read(project.path(path)).expect("it is there");
    project.write(path, [MARK, &bytes].concat());
}

#[test]
fn files_with_byte_order_marks_are_read() {
    let project = tiny::project();
    project.edit(
        "sql = \"SELECT text, label FROM reviews WHERE length(text) > 3\"",
        "sql_file = \"clean.sql\"",
    );
    project.edit(
        "labels = [\"bad\", \"good\"]",
        "labels_file = \"labels.txt\"",
    );
    project.edit(
        "source = \"reviews.csv\"",
        "source = \"reviews.csv\"\nschema = \"reviews.schema.toml\"",
    );
    project.write(
        "clean.sql",
        "SELECT text, label FROM reviews WHERE length(text) > 3",
    );
    project.write("labels.txt", "bad\r\ngood\r\n");
    project.write(
        "reviews.schema.toml",
        "[columns.label]\nallowed = [\"bad\", \"good\"]\n",
    );
    for path in [
        "refire.toml",
        "reviews.csv",
        "reviews.schema.toml",
        "clean.sql",
        "labels.txt",
        "tiny-bert/config.json",
        "tiny-bert/tokenizer.json",
    ] {
        mark(&project, path);
    }
    project.refire(&["check"]).succeeds();
    project.refire(&["run"]).succeeds();
}

#[test]
fn another_file_of_labels_trains_again() {
    let project = tiny::project();
    project.edit(
        "labels = [\"bad\", \"good\"]",
        "labels_file = \"labels.txt\"",
    );
    project.write("labels.txt", "bad\ngood\n");
    project.refire(&["run"]).succeeds();
    project.write("labels.txt", "good\nbad\n");
    let outcomes = project.outcomes(&["tune"]);
    assert!(outcomes.contains(&"tune ran".to_owned()), "{outcomes:?}");
    project.write("labels.txt", "good\n");
    let error = project.refire(&["check"]).fails_with(2).error();
    assert!(error.contains("a classifier needs two labels"), "{error}");
    assert!(error.contains("labels.txt:1:1"), "{error}");
}

#[test]
fn control_characters_are_written_out() {
    let project = tiny::project();
    let reviews = project.read("reviews.csv");
    project.write(
        "reviews.csv",
        reviews.replacen(",good\n", ",go\0od\u{feff}\n", 1),
    );
    let error = project.refire(&["run"]).fails_with(1).error();
    assert!(
        error.contains("has the label `go\\u0000od\\ufeff`"),
        "{error}"
    );
    assert!(!error.contains(['\0', '\u{feff}']), "{error}");
}

#[test]
#[cfg(unix)]
fn control_characters_in_a_log_are_written_out() {
    let project = Project::with(
        r#"
[stage.a]
kind = "command"
argv = ["sh", "-c", 'printf "a\000b\007\302\205c\n"; touch out.txt']
outputs = { text = "out.txt" }
"#,
    );
    project.refire(&["run"]).succeeds();
    project
        .refire(&["logs", "a"])
        .succeeds()
        .prints("a\\u0000b\\u0007\\u0085c");
}

#[test]
fn names_that_look_the_same_are_told_apart() {
    let project = Project::with(
        "[stage.a]\nkind = \"dataset\"\nsource = \"a.csv\"\n\n[stage.b]\nkind = \"split\"\ntable = \"a\"\ngroup = \"caf\u{e9}\"\nparts = { x = 0.5, y = 0.5 }\n",
    );
    project.write("a.csv", "cafe\u{301},LABEL\na,1\nb,0\nc,1\nd,0\n");
    let error = project.refire(&["run"]).fails_with(1).error();
    assert!(error.contains("looks the same"), "{error}");
    assert!(
        error.contains("`cafe\\u0301` there, `caf\\u00e9` here"),
        "{error}"
    );
    project.edit("caf\u{e9}", "label");
    let error = project.refire(&["run"]).fails_with(1).error();
    assert!(error.contains("did you mean `LABEL`?"), "{error}");
}

#[test]
fn versions_that_one_number_would_be_stay_apart() {
    let project = Project::with(
        "[stage.a]\nkind = \"dataset\"\nsource = \"a.csv\"\n\n[stage.b]\nkind = \"split\"\ntable = \"a\"\ngroup = \"version\"\nparts = { x = 0.5, y = 0.5 }\n",
    );
    project.write("a.csv", "text,version\na,1.1\nb,1.10\nc,1.1\nd,1.10\n");
    // As one number they would be one group, and a part would be empty.
    let ran = project.refire(&["run"]).succeeds();
    ran.shows(
        "column `version` is text, because numbers are written in several ways, such as `1.10`",
    );
}
