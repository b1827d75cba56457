//! Clocks that are wrong: what a run under way needs stays, and what a killed one left goes.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Project;

/// Moves the clock of a program that is started with it: `SHIFT` seconds ahead.
const SHIFTED: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int end = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += atoi(getenv("SHIFT"));
    return end;
}
"#;

const TWO_HOURS: i64 = 2 * 60 * 60;

/// `b` waits until it may go on; `c` needs what `a` made before.
const CHAIN: &str = r#"
[stage.a]
kind = "command"
argv = ["sh", "-c", "echo a > o"]
outputs = { o = "o" }

[stage.b]
kind = "command"
argv = ["sh", "-ec", "touch PROJECT/waits; until [ -e PROJECT/go ]; do sleep 0.02; done; cat a/o > o"]
inputs = { a = "a" }
outputs = { o = "o" }

[stage.c]
kind = "command"
argv = ["sh", "-ec", "cat a/o b/o > o"]
inputs = { a = "a", b = "b" }
outputs = { o = "o" }
"#;

/// Lets the commands of `project` take their clock for so many seconds ahead.
fn shift(project: &mut Project, seconds: i64) {
    let (source, library) = (project.path("clock.c"), project.path("clock.so"));
    if !library.exists() {
        project.write("clock.c", SHIFTED);
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]);
        let built = compiler.arg(&library).arg(&source).arg("-ldl").status();
        assert!(built.expect("cc is there").success());
    }
    project.set("LD_PRELOAD", &library.display().to_string());
    project.set("SHIFT", &seconds.to_string());
}

fn wait_for(path: &std::path::Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(
            begin.elapsed() < Duration::from_mins(1),
            "{}",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A run, which is ended if the test is.
struct Running(Option<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(run) = &mut self.0 {
            let _ = run.kill();
            let _ = run.wait();
        }
    }
}

/// A run of the chain that has come to `b`, and its project.
fn under_way() -> (Project, Running) {
    let project = Project::new();
    let here = project.path("").display().to_string();
    project.write("refire.toml", CHAIN.replace("PROJECT/", &here));
    let mut command = Command::new(env!("CARGO_BIN_EXE_refire"));
    command.args(["run", "--format", "json"]);
    command
        .current_dir(project.path(""))
        .env_remove("REFIRE_CACHE_DIR");
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let run = Running(Some(command.spawn().expect("it starts")));
    wait_for(&project.path("waits"));
    (project, run)
}

/// Lets the run go on; no stage may have been made twice.
fn ends_undisturbed(project: &Project, mut run: Running, gc: &str) {
    project.write("go", "");
    let run = run.0.take().expect("it was started");
    let output = run.wait_with_output().expect("it ends");
    let events = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{gc}\n{events}");
    assert!(!events.contains("made again"), "{gc}\n{events}");
    assert!(events.contains(r#""ran":3,"cached":0"#), "{gc}\n{events}");
}

#[test]
fn a_collection_whose_clock_is_wrong_takes_nothing_from_a_run_under_way() {
    for seconds in [TWO_HOURS, 100 * 24 * TWO_HOURS, -TWO_HOURS] {
        // Another project that shares the cache knows nothing of the run's journal.
        for shares in [true, false] {
            let (mut project, run) = under_way();
            let mut other = Project::new();
            let cache = project.path(".refire/cache").display().to_string();
            other.set("REFIRE_CACHE_DIR", &cache);
            let collector = if shares { &mut other } else { &mut project };
            shift(collector, seconds);
            let gc = collector.refire(&["gc", "--keep-days", "0", "--max-size", "1B"]);
            let gc = gc.succeeds().stdout();
            assert!(gc.contains("dropped 0 results with 0 files"), "{gc}");
            ends_undisturbed(&project, run, &gc);
        }
    }
}

#[test]
fn a_run_whose_clock_is_wrong_sweeps_nothing_from_a_run_under_way() {
    let (project, run) = under_way();
    let mut other = Project::with(
        "[stage.x]\nkind = \"command\"\nargv = [\"touch\", \"o\"]\noutputs = { o = \"o\" }\n",
    );
    let cache = project.path(".refire/cache").display().to_string();
    other.set("REFIRE_CACHE_DIR", &cache);
    // As long as the other writes, it may take.
    let being_written = project.path(".refire/cache/tmp/.refire-a1B2c3.tmp");
    project.write(".refire/cache/tmp/.refire-a1B2c3.tmp", "half");
    shift(&mut other, TWO_HOURS);
    other.refire(&["run"]).succeeds();
    assert!(being_written.exists());
    ends_undisturbed(&project, run, "");
}

#[test]
fn what_a_killed_process_was_writing_beside_a_lock_is_swept_and_nothing_else_is() {
    let mut project = Project::with(
        "[stage.x]\nkind = \"command\"\nargv = [\"touch\", \"o\"]\noutputs = { o = \"o\" }\n",
    );
    let left = [".refire-a1B2c3.tmp", "pipelines/.refire-AAAAAA.tmp"];
    let others = [
        ".refire-config",
        ".refire-a1B2c3",
        ".refire-a1B2c3.tmp.bak",
        ".refire-toolong.tmp",
    ];
    project.write("pipelines/y.toml", project.read("refire.toml"));
    project.refire(&["run", "pipelines/y.toml"]).succeeds();
    for name in left.iter().chain(&others) {
        project.write(name, "half");
    }
    let link = project.path(".refire-linked.tmp");
    std::os::unix::fs::symlink(project.path("refire.toml"), &link).expect("linked");
    project.write(".refire-bbbbbb.tmp", "being written");
    let held = std::fs::File::open(project.path(".refire-bbbbbb.tmp")).expect("there");
    held.lock().expect("locked");

    let is_there = |name: &str| project.path(name).exists();
    project.refire(&["run"]).succeeds();
    assert!(is_there(left[0]), "it may be about to be locked");
    shift(&mut project, TWO_HOURS);
    project.edit("touch", "mkdir");
    project.refire(&["run"]).succeeds();
    let is_there = |name: &str| project.path(name).exists();
    assert!(!is_there(left[0]) && is_there(left[1]));
    project.refire(&["gc", "--dry-run"]).succeeds();
    assert!(is_there(left[1]));
    project.refire(&["gc"]).succeeds();
    assert!(!is_there(left[1]));
    let stays: Vec<PathBuf> = others.iter().map(|name| project.path(name)).collect();
    assert!(stays.iter().all(|path| path.exists()), "{stays:?}");
    assert!(link.is_symlink() && is_there(".refire-bbbbbb.tmp"));
    drop(held);
    project.refire(&["gc"]).succeeds();
    assert!(!is_there(".refire-bbbbbb.tmp"));
}
