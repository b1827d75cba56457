//! A cache in which somebody has changed what stages came to: damage is found, and what agrees with itself is held against the
//! lock.

use std::path::PathBuf;

use crate::support::Project;
use crate::tiny;

/// The record of the stage of this kind: its file and its text.
fn record(project: &Project, kind: &str) -> (PathBuf, String) {
    let records = project.path(".refire/cache/records");
    let shards = std::fs::read_dir(records).expect("a folder").flatten();
    let files = shards.flat_map(|shard| std::fs::read_dir(shard.path()).expect("a folder"));
    let texts = files.flatten().map(|file| {
        let text = std::fs::read_to_string(file.path()).expect("readable");
        (file.path(), text)
    });
    let kind = format!("\"kind\":\"{kind}\"");
    let mut found = texts.filter(|(_, text)| text.contains(&kind));
    let record = found.next().expect("there is one");
    assert!(found.next().is_none(), "there is only one");
    record
}

/// The record's text with the digest that fits what it says: the work of somebody who knows the format.
fn sealed(text: &str) -> String {
    let at = text.find("\"record\":").expect("it is one");
    let (tag, rest) = ("refire record 2", &text[at..]);
    let mut hasher = blake3::Hasher::new();
    for field in [tag, rest] {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    let digest = hasher.finalize().to_hex();
    format!("{{\"version\":2,\"digest\":\"{digest}\",{rest}")
}

fn write(project: &Project, path: &std::path::Path, text: &str) {
    let name = path.strip_prefix(project.path("")).expect("inside");
    project.write(&name.display().to_string(), text);
}

/// Makes the accuracy in the record of the test another one.
fn better(text: &str) -> String {
    let at = text.find("\"accuracy\":").expect("a figure") + "\"accuracy\":".len();
    let end = at + text[at..].find([',', '}']).expect("it ends");
    assert_ne!(&text[at..end], "0.125");
    format!("{}0.125{}", &text[..at], &text[end..])
}

/// The parts of the split exchanged.
fn exchanged(text: &str) -> String {
    let parts = [("\"test\":", "\"?\":"), ("\"train\":", "\"test\":")];
    let text = parts.iter().fold(text.to_string(), |text, (old, new)| {
        assert!(text.contains(old), "{text}");
        text.replace(old, new)
    });
    text.replace("\"?\":", "\"train\":")
}

#[test]
fn a_changed_record_is_no_record() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    let lock = project.read("refire.lock");
    for (kind, change) in [
        ("evaluate", better as fn(&str) -> String),
        ("split", exchanged),
    ] {
        let (path, text) = record(&project, kind);
        assert_eq!(sealed(&text), text, "the test knows the format");
        write(&project, &path, &change(&text));
        project
            .refire(&["run"])
            .succeeds()
            .shows("was damaged and is dropped")
            .shows("1 ran");
        assert_eq!(project.read("refire.lock"), lock);
    }
}

#[test]
fn a_record_that_says_something_else_than_the_lock_is_told_and_is_no_result_for_a_locked_run() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    project.refire(&["run", "--locked"]).succeeds();
    let (path, text) = record(&project, "split");
    write(&project, &path, &sealed(&exchanged(&text)));
    let told = "stage `split` has other outputs than `refire.lock` says for the same key: it is not reproducible";
    project
        .refire(&["run", "--locked"])
        .fails_with(4)
        .shows(told);
    project.refire(&["run"]).succeeds().shows(told);
}

#[test]
fn figures_are_those_of_the_result_itself() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    let lock = project.read("refire.lock");
    for without_lock in [false, true] {
        let (path, text) = record(&project, "evaluate");
        write(&project, &path, &sealed(&better(&text)));
        if without_lock {
            std::fs::remove_file(project.path("refire.lock")).expect("it is there");
        }
        project
            .refire(&["run"])
            .succeeds()
            .shows("has other figures than its result and is dropped")
            .shows("1 ran");
        assert_eq!(project.read("refire.lock"), lock);
    }
}

#[test]
fn a_stage_that_is_not_reproducible_is_named() {
    let project = Project::with(
        "[stage.it]\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"mktemp -u > o\"]\noutputs = { o = \"o\" }\n",
    );
    let told = "stage `it` has other outputs than `refire.lock` says for the same key";
    let first = project.refire(&["run"]).succeeds().stderr();
    assert!(!first.contains(told), "{first}");
    project.refire(&["run", "--force"]).succeeds().shows(told);
    project
        .refire(&["run", "--force", "--locked"])
        .fails_with(4)
        .shows("make it anew with `refire run --force it` and compare");
    project.refire(&["run"]).succeeds();
}
