//! Changes while a run goes on.

use std::time::{Duration, Instant};

use super::{PATIENCE, watch};
use crate::support::Project;

/// Two stages that never end by themselves; what decides about both is in the file.
const ENDLESS: &str = r#"
[params]
left = "1"
right = "1"

[stage.left]
kind = "command"
argv = ["sh", "-c", "echo ${params.left} > out.txt; while [ ! -e ${params.left} ]; do sleep 0.05; done"]
files = ["doors"]
outputs = { text = "out.txt" }

[stage.right]
kind = "command"
argv = ["sh", "-c", "echo ${params.right} > out.txt; sleep 1.5"]
outputs = { text = "out.txt" }
"#;

#[test]
fn a_restart_stops_only_what_the_change_makes_stale() {
    let project = Project::with(ENDLESS);
    project.write("doors", "shut\n");
    let watching = watch(&project, &["-j", "2", "--on-busy", "restart"]);
    watching.until("\"stage_started\",\"stage\":\"right\"");
    std::thread::sleep(Duration::from_millis(200));
    // `left` waits for a file that never comes; now for one that is there.
    project.edit("left = \"1\"", "left = \"doors\"");
    let (_, cancelled) = watching.until("\"stage\":\"left\",\"outcome\"");
    assert!(cancelled.contains("cancelled"), "{cancelled}");
    let (_, unharmed) = watching.until("\"stage\":\"right\",\"outcome\"");
    assert!(unharmed.contains("\"ran\""), "{unharmed}");
    watching.until("run_finished");
    assert_eq!(
        watching.run(),
        (1, 1),
        "`left` anew, `right` from the cache"
    );
}

#[test]
fn a_change_during_a_run_waits_for_its_end() {
    let project = Project::with(ENDLESS);
    project.write("doors", "shut\n");
    project.edit("left = \"1\"", "left = \"doors\"");
    let watching = watch(&project, &["-j", "2"]);
    watching.until("\"stage_started\",\"stage\":\"right\"");
    project.edit("right = \"1\"", "right = \"2\"");
    assert_eq!(watching.run(), (2, 0));
    assert_eq!(watching.run(), (1, 1));
}

/// Two stages, each of which says that it has begun and ends when its door is open; `left` reads a file.
fn doors() -> Project {
    let project = Project::new();
    let doors = project.path("doors");
    let doors = doors.display();
    project.write("doors/list", "");
    project.write("left.txt", "one\n");
    project.write(
        "refire.toml",
        format!(
            r#"
[stage.left]
kind = "command"
argv = ["sh", "-c", "touch {doors}/left-began; while [ ! -e {doors}/left ]; do sleep 0.05; done; cp left.txt out.txt"]
files = ["left.txt"]
outputs = {{ text = "out.txt" }}

[stage.right]
kind = "command"
argv = ["sh", "-c", "touch {doors}/right-began; while [ ! -e {doors}/right ]; do sleep 0.05; done; echo right > out.txt"]
outputs = {{ text = "out.txt" }}
"#
        ),
    );
    project
}

/// Waits until both stages of [`doors`] are at work.
fn both_began(project: &Project) {
    let begin = Instant::now();
    while !["left", "right"]
        .iter()
        .all(|stage| project.path(format!("doors/{stage}-began")).exists())
    {
        assert!(begin.elapsed() < PATIENCE, "they did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_change_that_was_taken_back_during_a_run_leaves_nothing_undone() {
    let project = doors();
    let watching = watch(&project, &["-j", "2", "--on-busy", "restart"]);
    both_began(&project);
    project.write("left.txt", "two\n");
    let (_, cancelled) = watching.until("\"stage\":\"left\",\"outcome\"");
    assert!(cancelled.contains("cancelled"), "{cancelled}");
    // The files are again what they were when the run began.
    project.write("left.txt", "one\n");
    project.write("doors/left", "");
    std::thread::sleep(Duration::from_millis(500));
    project.write("doors/right", "");
    watching.until("run_finished");
    assert_eq!(watching.run(), (1, 1), "`left` anew");
    watching.idle();
    watching.stays_quiet();
}

/// A stage that reads a file only when another one has ended, and one that keeps the run going.
const LATE: &str = r#"
[stage.first]
kind = "command"
argv = ["sh", "-c", "while [ ! -e DOORS/first ]; do sleep 0.05; done; echo > out.txt"]
outputs = { text = "out.txt" }

[stage.second]
kind = "command"
argv = ["sh", "-c", "cp word.txt out.txt"]
files = ["word.txt"]
inputs = { first = "first" }
outputs = { text = "out.txt" }

[stage.third]
kind = "command"
argv = ["sh", "-c", "while [ ! -e DOORS/third ]; do sleep 0.05; done; cp second/out.txt out.txt"]
inputs = { second = "second" }
outputs = { text = "out.txt" }
"#;

#[test]
fn what_was_made_of_a_passing_content_is_not_the_last_word() {
    let project = Project::new();
    let doors = project.path("doors").display().to_string();
    project.write("refire.toml", LATE.replace("DOORS", &doors));
    project.write("doors/list", "");
    project.write("word.txt", "one\n");
    let watching = watch(&project, &[]);
    watching.until("\"stage_started\",\"stage\":\"first\"");
    project.write("word.txt", "passing\n");
    // Longer than a look at a file holds.
    std::thread::sleep(Duration::from_millis(1500));
    project.write("doors/first", "");
    watching.until("\"stage_started\",\"stage\":\"third\"");
    project.write("word.txt", "one\n");
    project.write("doors/third", "");
    assert_eq!(watching.run(), (3, 0));
    assert_eq!(watching.run(), (2, 1), "`second` and `third` anew");
    watching.idle();
    project.refire(&["get", "third", "copy"]).succeeds();
    assert_eq!(project.read("copy/out.txt"), "one\n");
}

#[test]
fn a_file_saved_again_during_a_run_causes_no_other_run() {
    let project = doors();
    let watching = watch(&project, &["-j", "2"]);
    both_began(&project);
    project.write("notes.md", "nothing reads it\n");
    project.write("refire.lock", "");
    project.write("left.txt", "one\n");
    std::thread::sleep(Duration::from_millis(500));
    project.write("doors/left", "");
    project.write("doors/right", "");
    assert_eq!(watching.run(), (2, 0));
    watching.idle();
    watching.stays_quiet();
}

#[test]
fn looks_during_a_run_are_as_rare_as_was_asked_for() {
    let project = doors();
    let arguments = ["-j", "2", "--on-busy", "restart", "--poll", "600"];
    let watching = watch(&project, &arguments);
    both_began(&project);
    project.write("left.txt", "two\n");
    std::thread::sleep(Duration::from_secs(1));
    project.write("doors/left", "");
    let (_, unnoticed) = watching.until("\"stage\":\"left\",\"outcome\"");
    assert!(unnoticed.contains("\"ran\""), "{unnoticed}");
    project.write("doors/right", "");
    watching.until("run_finished");
    // It looks when the run has ended.
    assert_eq!(watching.run(), (1, 1));
}

#[test]
fn a_stage_that_failed_is_told_even_if_another_was_stopped() {
    let project = doors();
    let text = project.read("refire.toml");
    let failing = r#"
[stage.failing]
kind = "command"
argv = ["sh", "-c", "exit 7"]
outputs = { text = "out.txt" }
"#;
    project.write("refire.toml", text + failing);
    let arguments = ["-j", "3", "--keep-going", "--on-busy", "restart"];
    let watching = watch(&project, &arguments);
    watching.until("\"stage\":\"failing\",\"outcome\"");
    project.write("left.txt", "two\n");
    let (_, cancelled) = watching.until("\"stage\":\"left\",\"outcome\"");
    assert!(cancelled.contains("cancelled"), "{cancelled}");
    project.write("doors/right", "");
    project.write("doors/left", "");
    watching.until("run_finished");
    let (_, error) = watching.until("error: ");
    assert!(error.contains("`failing`"), "{error}");
    // The stage that was stopped runs again; that it was is no error.
    let (_, next) = watching.until("\"event\":\"run_started\"");
    assert!(!next.contains("interrupted"), "{next}");
    watching.until("run_finished");
}
