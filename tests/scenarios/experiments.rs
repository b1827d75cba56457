//! Which experiment a log, a figure and a state are of: the file, the profiles and the settings that the command names.

use serde_json::Value;

use crate::support::Project;
use crate::tiny;

const SAY: &str = r#"
[pipeline]
name = "same"

[params]
word = "one"
end = 0

[profile.loud.params]
word = "LOUD"

[profile.bad.params]
end = 3

[stage.say]
kind = "command"
argv = ["sh", "-c", "echo ${params.word}; touch out; exit ${params.end}"]
outputs = { out = "out" }
"#;

#[test]
fn a_log_is_of_the_settings_that_are_named() {
    let project = Project::with(SAY);
    let log = |flags: &[&str]| {
        let arguments = [&["logs", "say"], flags].concat();
        project.refire(&arguments).succeeds()
    };
    project.refire(&["run"]).succeeds();
    project.refire(&["run", "-S", "word=two"]).succeeds();
    project.refire(&["run", "--profile", "loud"]).succeeds();
    assert_eq!(log(&[]).stdout(), "one\n");
    assert_eq!(log(&["-S", "word=two"]).stdout(), "two\n");
    assert_eq!(log(&["--profile", "loud"]).stdout(), "LOUD\n");
    project
        .refire(&["logs", "say", "-S", "word=three"])
        .fails_with(2)
        .shows("stage `say` has written no log with -S word=three")
        .shows("of refire.toml --profile loud: add --run ");
    // The same settings are the same experiment, whatever named them.
    project.edit("word = \"one\"", "word = \"two\"");
    let found = log(&[]);
    assert_eq!(
        (found.stdout().as_str(), found.stderr().as_str()),
        ("two\n", "")
    );
    // Of others only the last log of this file is known, and it says so.
    project.edit("word = \"two\"", "word = \"four\"");
    let old = log(&[]).shows("not of the stage as it is now: argv: ");
    assert_eq!(old.stdout(), "one\n");

    let runs = |flags: &[&str]| {
        let arguments = [&["log", "--json"], flags].concat();
        let text = project.refire(&arguments).succeeds().stdout();
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        rows.len()
    };
    assert_eq!(runs(&[]), 3);
    assert_eq!(runs(&["--profile", "loud"]), 1);
    assert_eq!(runs(&["-S", "word=two"]), 1);
    assert_eq!(runs(&["-S", "word=three"]), 0);
    project
        .refire(&["log"])
        .succeeds()
        .prints("refire.toml --profile loud")
        .prints("refire.toml -S word=two");
    for flags in [
        ["logs", "say", "--run", "x", "-S", "word=two"],
        ["log", "--all", "--profile", "loud", "-n", "1"],
    ] {
        project
            .refire(&flags)
            .fails_with(2)
            .shows("cannot be used with");
    }
}

#[test]
fn two_files_of_one_name_share_no_history() {
    let project = Project::new();
    project.write("a.toml", SAY);
    project.write("b.toml", SAY.replace("echo", "echo b"));
    project
        .refire(&["run", "a.toml", "--profile", "bad"])
        .fails_with(1);
    project.refire(&["run", "a.toml"]).succeeds();
    project
        .refire(&["log", "b.toml"])
        .succeeds()
        .shows("no run is known");
    project
        .refire(&["logs", "b.toml", "say"])
        .fails_with(2)
        .shows("stage `say` has written no log");
    project
        .refire(&["status", "b.toml", "--profile", "bad"])
        .succeeds()
        .prints("say    missing");
    // However the command line spells it, it is the same file.
    project.write("deep/x", "");
    project
        .refire(&["log", "deep/../a.toml"])
        .succeeds()
        .prints("a.toml --profile bad");
}

#[test]
fn a_failure_is_of_the_settings_that_failed() {
    let project = Project::with(SAY);
    let state = |flags: &[&str], expected: &str| {
        let arguments = [&["status"], flags].concat();
        project.refire(&arguments).succeeds().prints(expected);
    };
    project.refire(&["run", "-S", "end=3"]).fails_with(1);
    state(&[], "say    missing");
    state(&["-S", "end=3"], "say    failed");
    // As a profile it is the same.
    state(&["--profile", "bad"], "say    failed");
    project.refire(&["run"]).succeeds();
    state(&[], "say    fresh");
    state(&["-S", "end=3"], "say    failed");
    state(&["-S", "end=4"], "say    stale");
    // What failed is a failure no more once its file says something else.
    project.edit("end = 0", "end = 3");
    state(&[], "say    failed");
    project.edit("end = 3", "end = 5");
    state(&[], "say    stale");
}

#[test]
fn several_profiles_are_laid_over_the_file_in_order() {
    let project = Project::with(SAY);
    project.edit(
        "[stage.say]",
        "[profile.soft.params]\nword = \"soft\"\n\n[stage.say]",
    );
    let both = ["--profile", "loud", "--profile", "soft"];
    project.refire(&[&["run"][..], &both].concat()).succeeds();
    let log = project.refire(&[&["logs", "say"][..], &both].concat());
    assert_eq!(log.succeeds().stdout(), "soft\n");
    assert!(project.path("refire.loud+soft.lock").exists());
    assert!(!project.path("refire.lock").exists());
    let locked = [&["run", "--locked"][..], &both].concat();
    project.refire(&locked).succeeds();
    project
        .refire(&["run", "--locked", "--profile", "soft", "--profile", "loud"])
        .fails_with(4)
        .shows("`refire.soft+loud.lock` is out of date");
    project
        .refire(&["check", "--profile", "soft", "--profile", "soft"])
        .fails_with(2)
        .shows("profile `soft` is named twice");
    project
        .refire(&["check", "--profile", "soft", "--profile", "lout"])
        .fails_with(2)
        .shows("did you mean `loud`?");
    project.edit("[profile.soft.params]", "[profile.\"a+b\".params]");
    project
        .refire(&["check", "--profile", "a+b"])
        .fails_with(2)
        .shows("`a+b` cannot be the name of a profile");
}

/// The tiny pipeline with a gate that does not hold, and a stage behind it.
fn gated() -> Project {
    let project = tiny::project();
    project.edit(">= 0\"", "> 1\"");
    let behind = "\n[stage.publish]\nkind = \"command\"\nargv = [\"touch\", \"out\"]\ninputs = { figures = \"test\" }\noutputs = { out = \"out\" }\n";
    let text = project.read("refire.toml");
    project.write("refire.toml", text + behind);
    project
}

#[test]
fn a_failed_gate_is_a_failed_stage_everywhere() {
    let project = gated();
    project.refire(&["run"]).fails_with(3);
    let says = "but the gate asks for > 1";
    for arguments in [
        &["status"][..],
        &["plan"],
        &["run", "--dry-run"],
        &["metrics"],
    ] {
        project.refire(arguments).succeeds().prints(says);
    }
    let rows = |verb: &str| -> Vec<Value> {
        let text = project.refire(&[verb, "--json"]).succeeds().stdout();
        serde_json::from_str(&text).expect("JSON")
    };
    let of = |rows: &[Value], key: &str| -> Vec<String> {
        let last = rows.iter().filter(|row| {
            let stage = row["stage"].as_str().unwrap_or_default();
            ["tune", "test", "publish"].contains(&stage)
        });
        last.map(|row| row[key].as_str().unwrap_or_default().to_string())
            .collect()
    };
    assert_eq!(of(&rows("status"), "state"), ["fresh", "failed", "stale"]);
    assert_eq!(of(&rows("plan"), "action"), ["cached", "fail", "skip"]);
    assert_eq!(of(&rows("metrics"), "state"), ["fresh", "failed"]);
    project
        .refire(&["why", "test"])
        .succeeds()
        .prints("`test` is up to date and fails: accuracy is");
    project
        .refire(&["why", "publish"])
        .succeeds()
        .prints("`publish` would not run: `test` does not end well");
    // What it came to can be looked at, but nothing is built on it.
    project
        .refire(&["get", "test", "figures"])
        .succeeds()
        .shows("note: the stage failed: accuracy is");
    project
        .refire(&["run", "publish", "--single"])
        .fails_with(3)
        .shows("stage `test` is needed, but accuracy is");
    // A gate that holds makes it a good one again, without a run.
    project.edit("> 1\"", ">= 0\"");
    assert_eq!(of(&rows("status"), "state"), ["fresh", "fresh", "missing"]);
}

#[test]
fn figures_are_of_what_the_files_say_now_or_marked_as_old() {
    let project = tiny::project();
    project
        .refire(&["metrics"])
        .succeeds()
        .shows("no metrics are known yet");
    project.refire(&["run"]).succeeds();
    assert!(project.read("refire.lock").contains("\nbest_epoch = "));
    assert!(!project.read("refire.lock").contains("best_epoch = 1.0"));
    let rows = |flags: &[&str]| -> Vec<Value> {
        let arguments = [&["metrics", "--json"], flags].concat();
        let text = project.refire(&arguments).succeeds().stdout();
        serde_json::from_str(&text).expect("JSON")
    };
    let first = rows(&[]);
    assert!(first.iter().all(|row| row["state"] == "fresh"));
    assert!(first[0]["metrics"]["best_epoch"].is_u64(), "{first:?}");

    // With settings that never ran there are none, and with those that did there are theirs.
    let changed = ["-S", "stage.tune.learning_rate=0.0001"];
    let without = project.refire(&[&["metrics"][..], &changed].concat());
    without
        .succeeds()
        .shows("with these settings no metrics are known of `tune`, `test`");
    project
        .refire(&[&["run"][..], &changed].concat())
        .succeeds();
    let other = rows(&changed);
    assert_eq!(other.len(), 2);
    assert_ne!(other[0]["metrics"], first[0]["metrics"]);
    assert_eq!(rows(&[]), first);

    // An edit makes those of the lock old.
    project.edit("learning_rate = 0.05", "learning_rate = 0.04");
    let old = project.refire(&["metrics"]).succeeds();
    old.prints("tune (stale)")
        .prints("test (stale)")
        .prints("tune: learning_rate: 0.05 → 0.04");
    assert_eq!(rows(&[])[1]["state"], "stale");
    // What another experiment has made is known.
    project.edit("learning_rate = 0.04", "learning_rate = 0.0001");
    assert_eq!(rows(&[]), other);

    // A file that is gone leaves doubt, and the figures of the lock.
    std::fs::remove_file(project.path("reviews.csv")).expect("it is there");
    let doubt = project.refire(&["metrics"]).succeeds();
    doubt.prints("tune (unknown)").shows("cannot be told: ");
}

#[test]
fn a_clone_without_a_cache_knows_the_figures_of_the_lock() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    let known = project.refire(&["metrics"]).succeeds().stdout();
    std::fs::remove_dir_all(project.path(".refire")).expect("it is there");
    std::fs::create_dir(project.path(".refire")).expect("it is gone");
    let cloned = project.refire(&["metrics"]).succeeds().stdout();
    assert_eq!(cloned, known);
}

#[test]
fn git_leaves_what_refire_keeps_alone() {
    let mut project = Project::with(SAY);
    let git = |project: &Project, arguments: &[&str]| {
        let done = std::process::Command::new("git")
            .current_dir(project.path(""))
            .args(arguments)
            .output()
            .expect("git is installed");
        assert!(done.status.success(), "git {arguments:?}: {done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    git(&project, &["init", "--quiet"]);
    std::fs::remove_dir(project.path(".refire")).expect("it is empty");
    project.refire(&["status"]).succeeds();
    project.refire(&["run"]).succeeds();
    // A cache that was moved, and the logs that were not.
    let moved = project.path("cache").display().to_string();
    project.set("REFIRE_CACHE_DIR", &moved);
    project.refire(&["run"]).succeeds();
    git(&project, &["add", "--all"]);
    let added = git(&project, &["diff", "--cached", "--name-only"]);
    assert_eq!(added, "refire.lock\nrefire.toml\n");
    // What a user says there counts.
    project.write(".refire/.gitignore", "cache\n");
    project.refire(&["run"]).succeeds();
    assert_eq!(project.read(".refire/.gitignore"), "cache\n");
}
