//! Where the output goes: a screen that is gone ends no run, a result that cannot be written is an error.
#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::Project;

/// A run of two stages of which the first waits until `go` is there.
const WAITING: &str = r#"
[stage.first]
kind = "command"
argv = ["sh", "-c", "touch HEREbegun; while ! [ -e HEREgo ]; do sleep 0.05; done; echo one > o"]
outputs = { o = "o" }

[stage.second]
kind = "command"
argv = ["cp", "first/o", "o"]
inputs = { first = "first" }
outputs = { o = "o" }
"#;

fn waiting() -> Project {
    let project = Project::new();
    let here = project.path("").display().to_string();
    project.write("refire.toml", WAITING.replace("HERE", &here));
    project
}

fn refire(project: &Project, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(project.path(""))
        .args(arguments)
        .env_remove("REFIRE_CACHE_DIR")
        .env_remove("TERM");
    command
}

/// Takes the screen away in the middle of a run, as `lose` does it, and sees it through.
fn lose_the_screen(project: &Project, mut command: Command, lose: impl FnOnce()) -> ExitStatus {
    let mut child = command.spawn().expect("it starts");
    // The other ends are the child's alone.
    drop(command);
    let begin = Instant::now();
    let patient = || assert!(begin.elapsed() < Duration::from_mins(1), "it does not end");
    while !project.path("begun").exists() {
        patient();
        std::thread::sleep(Duration::from_millis(10));
    }
    lose();
    // The spinner turns ten times a second.
    std::thread::sleep(Duration::from_millis(300));
    project.write("go", "");
    loop {
        if let Some(status) = child.try_wait().expect("it is a child") {
            return status;
        }
        patient();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Both stages are in the lock, and nothing is left to do.
fn is_whole(project: &Project) {
    let lock = project.read("refire.lock");
    assert!(lock.contains("first") && lock.contains("second"), "{lock}");
    assert_eq!(project.outcomes(&[]), ["first cached", "second cached"]);
}

/// A terminal: the user's end, and the program's.
fn terminal() -> (OwnedFd, OwnedFd) {
    let pair = nix::pty::openpty(None, None).expect("Linux has terminals");
    (pair.master, pair.slave)
}

fn on(terminal: &OwnedFd, mut command: Command) -> Command {
    let end = || Stdio::from(terminal.try_clone().expect("a file"));
    command.stdin(end()).stdout(end()).stderr(end());
    command
}

#[test]
fn a_terminal_that_is_closed_ends_no_run() {
    let binary = env!("CARGO_BIN_EXE_refire");
    // `setsid --ctty` makes it the terminal that tells its programs when it goes.
    for (program, arguments) in [
        (binary, vec!["run"]),
        ("setsid", vec!["--ctty", binary, "run"]),
        ("setsid", vec!["--ctty", binary, "run", "--format", "plain"]),
    ] {
        let project = waiting();
        let (user, program_end) = terminal();
        let command = on(&program_end, refire(&project, program, &arguments));
        drop(program_end);
        let status = lose_the_screen(&project, command, || drop(user));
        assert_eq!(status.code(), Some(0), "{arguments:?}: {status:?}");
        is_whole(&project);
    }
}

#[test]
fn a_pipe_that_is_closed_ends_no_run() {
    for format in ["pretty", "plain", "json"] {
        let project = waiting();
        let binary = env!("CARGO_BIN_EXE_refire");
        let mut command = refire(&project, binary, &["run", "--format", format]);
        let (out, out_end) = std::io::pipe().expect("a pipe");
        let (errors, errors_end) = std::io::pipe().expect("a pipe");
        command.stdout(out_end).stderr(errors_end);
        let status = lose_the_screen(&project, command, || drop((out, errors)));
        assert_eq!(status.code(), Some(0), "{format}: {status:?}");
        is_whole(&project);
    }
}

fn full() -> File {
    let full = OpenOptions::new().write(true).open("/dev/full");
    full.expect("Linux has it")
}

#[test]
fn a_run_ends_as_it_does_wherever_its_output_goes() {
    for format in ["pretty", "plain", "json"] {
        for (argv, code) in [("touch", 0), ("false", 1)] {
            let project = Project::with(&format!(
                "[stage.a]\nkind = \"command\"\nargv = [\"{argv}\", \"o\"]\noutputs = {{ o = \"o\" }}\n"
            ));
            let mut command = refire(
                &project,
                env!("CARGO_BIN_EXE_refire"),
                &["run", "--format", format],
            );
            let status = command.stdout(full()).stderr(full()).status();
            assert_eq!(status.expect("it starts").code(), Some(code), "{format}");
        }
    }
}

/// What each verb prints that is there to print.
const RESULTS: [&str; 16] = [
    "status",
    "status --json",
    "plan",
    "plan --json",
    "run --dry-run",
    "why a",
    "graph",
    "log",
    "logs a",
    "params",
    "schema",
    "devices",
    "completions bash",
    "man",
    "--help",
    "--version",
];

fn done() -> Project {
    let project = Project::with(
        "[params]\nn = 1\n\n[stage.a]\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"echo hello | tee o\"]\n\
         outputs = { o = \"o\" }\n",
    );
    project.refire(&["run"]).succeeds();
    project
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let project = done();
    for verb in RESULTS {
        let arguments: Vec<&str> = verb.split(' ').collect();
        let mut command = refire(&project, env!("CARGO_BIN_EXE_refire"), &arguments);
        let output = command.stdout(full()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{verb}: {said}");
        assert!(
            said.contains("error: cannot write to standard output"),
            "{verb}: {said}"
        );
        assert!(said.contains("No space left on device"), "{verb}: {said}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let project = done();
    for verb in RESULTS {
        let arguments: Vec<&str> = verb.split(' ').collect();
        let mut command = refire(&project, env!("CARGO_BIN_EXE_refire"), &arguments);
        let (out, out_end) = std::io::pipe().expect("a pipe");
        drop(out);
        let output = command.stdout(out_end).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{verb}");
    }
    // As `refire schema | head -1`.
    let mut command = refire(&project, env!("CARGO_BIN_EXE_refire"), &["schema"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "{");
    drop(lines);
    let mut said = String::new();
    let errors = child.stderr.take().expect("a pipe");
    BufReader::new(errors)
        .read_to_string(&mut said)
        .expect("text");
    assert_eq!(
        (child.wait().expect("it ends").code(), &*said),
        (Some(0), "")
    );
}
