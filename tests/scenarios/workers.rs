//! What becomes of a stage whose worker or command does not end as it should: one clear failure, and nothing left behind.
#![cfg(target_os = "linux")]

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::processes::{kill, processes, settle, start};
use crate::support::{Project, Ran};

/// A project with one stage that runs `script`, and one beside it; `more` are further settings of the first.
fn project(script: &str, more: &str) -> Project {
    let mut project = Project::with(&format!(
        r#"
[stage.it]
kind = "command"
argv = ["sh", "-c", '''{script}''']
outputs = {{ text = "out.txt" }}
{more}

[stage.beside]
kind = "command"
argv = ["sh", "-c", "echo beside > out.txt"]
outputs = {{ text = "out.txt" }}
"#
    ));
    // By which `processes` finds what was started.
    let mark = project.path("").display().to_string();
    project.set("LANG", &mark);
    project
}

/// Runs it; whatever became of it, it takes no longer than `seconds` and leaves no process.
fn run(project: &Project, arguments: &[&str], seconds: u64) -> Ran {
    let begin = Instant::now();
    let ran = project.refire(&[&["run"], arguments].concat());
    assert!(
        begin.elapsed() < Duration::from_secs(seconds),
        "it took {:?}",
        begin.elapsed()
    );
    let left: Vec<i32> = processes(project);
    assert!(left.is_empty(), "processes are left: {left:?}");
    ran
}

/// The processes of the project whose command line contains `text`.
fn called(project: &Project, text: &str) -> Vec<i32> {
    let is_called = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .contains(text)
    };
    processes(project).into_iter().filter(is_called).collect()
}

/// Waits until a process of the project has `text` in its command line.
fn until_called(project: &Project, text: &str) -> i32 {
    let begin = Instant::now();
    loop {
        if let [pid, ..] = called(project, text)[..] {
            return pid;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "`{text}` did not start"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn exit_code(run: &mut Child) -> Option<i32> {
    run.wait().expect("it is ours").code()
}

#[test]
fn a_worker_that_is_killed_is_one_failed_stage_and_takes_its_command_with_it() {
    let project = project("sleep 61", "");
    let mut run = start(&project, &["run", "-k"]);
    until_called(&project, "sleep 61");
    let begin = Instant::now();
    kill(until_called(&project, "refire worker"));
    assert_eq!(exit_code(&mut run), Some(1));
    settle(&project);
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "the command lives on"
    );
    project
        .refire(&["status"])
        .prints("ended before its work: signal: 9");
    project
        .refire(&["run", "beside"])
        .succeeds()
        .shows("0 ran, 1 cached");
}

#[test]
fn a_worker_that_crashes_is_one_failed_stage() {
    let project = project("kill -ABRT $PPID; sleep 62", "");
    run(&project, &["-k"], 20)
        .fails_with(1)
        .shows("the worker of stage `it` ended before its work: signal: 6")
        .shows("1 ran, 0 cached, 1 failed");
}

#[test]
fn a_command_that_is_killed_may_have_been_too_large() {
    let project = project("kill -9 $$", "");
    run(&project, &[], 20)
        .fails_with(1)
        .shows("the system does so when memory runs out");
}

#[test]
fn a_stage_that_takes_too_long_is_stopped_and_killed_if_it_does_not_listen() {
    let deaf = r#"trap "" TERM; while :; do sleep 63; done"#;
    for script in ["sleep 63", deaf, "exec >&- 2>&-; sleep 63"] {
        let project = project(script, "timeout = \"0.4s\"");
        run(&project, &["it"], 20)
            .fails_with(1)
            .shows("stage `it` did not end within 0.4 s")
            .shows("raise its `timeout`");
    }
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let flood = "(while :; do echo more; done) & echo done > out.txt";
    let silent = "sleep 64 & echo done > out.txt";
    let closed = "exec >&- 2>&-; sleep 0.2; echo done > out.txt";
    for script in [flood, silent, closed] {
        run(&project(script, ""), &[], 20).succeeds().shows("2 ran");
    }
}

#[test]
fn what_a_command_writes_is_in_its_log_whatever_it_is() {
    let project = project(r"printf 'a\377b\nno end'; echo > out.txt", "");
    run(&project, &[], 20).succeeds();
    let log = project.refire(&["logs", "it"]).succeeds().stdout();
    assert_eq!(log.trim_end(), "a\u{fffd}b\nno end");
}

#[test]
fn a_stage_says_what_it_used() {
    let script = "dd if=/dev/zero of=/dev/null bs=64M count=8 2>&-; echo > out.txt";
    let project = project(script, "");
    let events = run(&project, &["it", "--format", "json"], 30)
        .succeeds()
        .events();
    let used = events
        .iter()
        .find(|event| event["event"] == "used")
        .expect("it is told");
    let figure = |name: &str| used[name].as_f64().unwrap_or_default();
    assert!(figure("cpu_seconds") > 0.0, "{used}");
    assert!(figure("peak_memory") > 64e6, "{used}");
}

#[test]
fn a_command_sees_the_variables_that_its_key_is_made_of() {
    let mut project = project(
        "echo threads: $OMP_NUM_THREADS > out.txt",
        "env = [\"OMP_*\"]",
    );
    project.set("OMP_NUM_THREADS", "7");
    run(&project, &["it"], 20).succeeds();
    project.refire(&["get", "it", "made"]).succeeds();
    assert_eq!(project.read("made/out.txt"), "threads: 7\n");
}

/// Stages that run at once share the accelerators out among them; the user's choice of them holds, and stays out of keys.
#[test]
fn no_two_stages_at_once_see_the_same_accelerator() {
    let mut project = Project::with(
        r#"
[stage.it]
kind = "command"
matrix = { run = [1, 2] }
argv = ["sh", "-c", "sleep 0.${matrix.run}; echo $CUDA_VISIBLE_DEVICES > out.txt"]
env = ["CUDA_*"]
outputs = { text = "out.txt" }
resources = { gpus = 1 }

[stage.none]
kind = "command"
argv = ["sh", "-c", "echo none: $CUDA_VISIBLE_DEVICES > out.txt"]
outputs = { text = "out.txt" }
"#,
    );
    project.set("CUDA_VISIBLE_DEVICES", "4,6");
    run(&project, &["-j", "3"], 20).succeeds();
    let mut seen = ["it@run=1", "it@run=2", "none"].map(|stage| {
        project.refire(&["get", stage, stage]).succeeds();
        project.read(&format!("{stage}/out.txt"))
    });
    seen.sort();
    assert_eq!(seen, ["4\n", "6\n", "none:\n"]);
    run(&project, &["-j", "3"], 20).shows("0 ran, 3 cached");
}

#[test]
fn an_interrupted_run_stops_its_commands_and_says_130() {
    let project = project("sleep 65", "");
    let mut run = start(&project, &["run", "it"]);
    until_called(&project, "sleep 65");
    let pid = run.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(sent.expect("kill is there").success());
    let begin = Instant::now();
    assert_eq!(exit_code(&mut run), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(10));
    settle(&project);
}

/// With `-k`, a stage that fails keeps nothing from running that does not need it; the exit code is the failure's.
#[test]
fn a_failure_and_a_broken_gate_are_told_apart() {
    let project = project("exit 7", "");
    run(&project, &["-k"], 20)
        .fails_with(1)
        .shows("1 ran, 0 cached, 1 failed");
    let events = run(&project, &["-k", "--format", "json"], 20)
        .fails_with(1)
        .events();
    let last: &Value = events.last().expect("an end");
    assert_eq!(
        (last["failed"].as_u64(), last["cached"].as_u64()),
        (Some(1), Some(1))
    );
}
