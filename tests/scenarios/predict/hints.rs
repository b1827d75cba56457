//! What `refire predict` advises: flags that it has, which help.

use std::path::Path;

use super::{network, tuned};
use crate::support::Project;

/// Labelling `input` fails, and the help names `flags`; with `more` it goes well.
#[track_caller]
fn advised(project: &Project, arguments: [&str; 2], code: i32, flags: &[&str], more: &[&str]) {
    let [model, input] = arguments;
    let arguments = ["predict", model, input, "-o", "out.jsonl"];
    let error = project.refire(&arguments).fails_with(code).error();
    let (_, help) = error.split_once("= help: ").expect("there is help");
    for flag in flags {
        assert!(help.contains(flag), "`{flag}` is not in:\n{error}");
    }
    for setting in [
        "quote = ",
        "`separator`",
        "`text_column`",
        "`image_column`",
        "format = ",
        "on_error",
        "max_pixels",
        "prefix = ",
    ] {
        assert!(!error.contains(setting), "`{setting}` is no flag:\n{error}");
    }
    project.refire(&[&arguments[..], more].concat()).succeeds();
}

#[test]
fn hints_about_tables_name_flags_that_help() {
    let project = tuned();
    let advised = |input, code, flags: &[&str], more: &[&str]| {
        advised(&project, ["tune", input], code, flags, more);
    };
    project.write("stray.csv", "id,text\n1,a \"good film\n2,bad food\n");
    advised("stray.csv", 1, &["set `--quote ''`"], &["--quote", ""]);
    project.write("open.csv", "id,text\n1,\"good film\n");
    advised("open.csv", 1, &["set `--quote ''`"], &["--quote", ""]);
    project.write("semicolons.csv", "id;text\n1;good, warm film\n");
    advised(
        "semicolons.csv",
        1,
        &["`--separator`", "`--quote`"],
        &["--separator", ";"],
    );
    project.write("table.txt", "id\ttext\n1\tgood film\n");
    advised("table.txt", 2, &["`--format csv`"], &["--format", "tsv"]);
    advised(
        "table.txt",
        2,
        &["`--format csv`"],
        &["--format", "csv", "--separator", "\\t"],
    );
    project.write("labelled.csv", "text,label\ngood film,good\n");
    advised(
        "labelled.csv",
        1,
        &["`--prefix predicted_`"],
        &["--prefix", "predicted_"],
    );
    project.write("other.csv", "id,review\n1,good film\n");
    advised(
        "other.csv",
        1,
        &["`--text-column`"],
        &["--text-column", "review"],
    );
    project.write("bare.csv", "good film\nbad food\n");
    advised(
        "bare.csv",
        1,
        &["`--text-column`"],
        &["--no-header", "--text-column", "column_1"],
    );
    let last = project.read("out.jsonl");
    assert_eq!(last.lines().count(), 2, "{last}");
    // Words that a column is called by are left alone.
    project.write("quote.csv", "quotes,separator\ngood,film\n");
    let arguments = ["predict", "tune", "quote.csv", "-o", "out.jsonl"];
    project
        .refire(&[&arguments[..], &["--text-column", "quote"]].concat())
        .fails_with(1)
        .shows("did you mean `quotes`?");
}

#[test]
fn flags_that_do_not_fit_are_refused() {
    let project = tuned();
    project.write("a.jsonl", "{\"text\":\"good\"}\n");
    let refused = |input: &str, more: &[&str], message: &str| {
        let arguments = ["predict", "tune", input, "-o", "out.csv"];
        let ran = project.refire(&[&arguments[..], more].concat());
        ran.fails_with(2).shows(message);
    };
    refused(
        "a.jsonl",
        &["--quote", "'"],
        "is read as ndjson, which knows no",
    );
    refused("split.test", &["--no-header"], "is no table in a file");
    refused(
        "new.csv",
        &["--separator", "\""],
        "quoted by the character that",
    );
    refused("new.csv", &["--separator", ""], "`--separator` is empty");
    refused(
        "new.csv",
        &["--quote", "''"],
        "`--quote` must be one ASCII character",
    );
    refused(
        "new.csv",
        &["--format", "xlsx"],
        "csv, tsv, ndjson or parquet",
    );
}

#[test]
fn hints_about_photos_name_flags_that_help() {
    let project = Project::new();
    network(&project);
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
    let photo = std::fs::read(photos.join("rgb.jpg")).expect("it is in the repository");
    project.write("photos/a.jpg", &photo);
    project.write("photos/b.jpg", b"\xff\xd8\xff\xe0 this is not all of it");
    advised(
        &project,
        ["resnet", "photos"],
        1,
        &["`--skip-broken`"],
        &["--skip-broken"],
    );
    project.write("table.csv", "file\nphotos/a.jpg\n");
    advised(
        &project,
        ["resnet", "table.csv"],
        1,
        &["`--image-column`"],
        &["--image-column", "file"],
    );
    let arguments = ["predict", "resnet", "table.csv", "-o", "out.csv"];
    let few = ["--image-column", "file", "--max-pixels", "10"];
    project
        .refire(&[&arguments[..], &few].concat())
        .fails_with(1)
        .shows("more than the 10 that are allowed")
        .shows("raise `--max-pixels`");
}

#[test]
fn in_a_file_the_same_hints_name_settings() {
    let project = tuned();
    project.write("stray.csv", "id,text\n1,a \"good film\n");
    project.edit("source = \"reviews.csv\"", "source = \"stray.csv\"");
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("set `quote = \"\"`");
}
