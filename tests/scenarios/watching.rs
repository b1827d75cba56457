//! `refire watch`: what it notices, what it leaves alone, how soon it begins, and how it ends.

mod busy;
mod disks;
mod page;
mod paths;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Project;

const TWO: &str = r#"
[params]
word = "one"

[stage.copy]
kind = "command"
argv = ["sh", "-c", "cat words/*.txt > out.txt"]
files = ["words/*.txt"]
outputs = { text = "out.txt" }

[stage.say]
kind = "command"
argv = ["sh", "-c", "echo ${params.word} > out.txt"]
outputs = { text = "out.txt" }
"#;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A watch in progress; it ends with this.
struct Watching {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn project() -> Project {
    let project = Project::with(TWO);
    project.write("words/a.txt", "a\n");
    project
}

fn watch(project: &Project, arguments: &[&str]) -> Watching {
    watch_in(&project.path(""), arguments)
}

/// Watches the pipeline in `folder`.
fn watch_in(folder: &Path, arguments: &[&str]) -> Watching {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refire"));
    command
        .args(["watch", "--format", "json"])
        .args(arguments)
        .current_dir(folder)
        .env_remove("REFIRE_CACHE_DIR");
    start(&mut command)
}

fn start(command: &mut Command) -> Watching {
    // One pipe for both, so that lines come in the order in which they were written.
    let (output, pipe) = std::io::pipe().expect("a pipe");
    let errors = pipe.try_clone().expect("a pipe");
    let child = command
        .stdin(Stdio::null())
        .stdout(pipe)
        .stderr(errors)
        .spawn()
        .expect("the binary starts");
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = sender.send((Instant::now(), line));
        }
    });
    Watching { child, lines }
}

impl Watching {
    /// Waits for a line that has `text` in it.
    fn until(&self, text: &str) -> (Instant, String) {
        let begin = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            let line = self.lines.recv_timeout(left);
            let (at, line) = line.unwrap_or_else(|_| panic!("`{text}` did not come"));
            if line.contains(text) {
                return (at, line);
            }
        }
    }

    /// Waits for the end of a run: how many stages ran and how many were cached.
    fn run(&self) -> (u64, u64) {
        let (_, line) = self.until("run_finished");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        let count = |key: &str| event[key].as_u64().expect("a number");
        (count("ran"), count("cached"))
    }

    /// Waits until it waits.
    fn idle(&self) {
        self.until("watching ");
    }

    /// Presses Ctrl-C.
    #[cfg(unix)]
    fn interrupt(&self) {
        let number = self.child.id().to_string();
        let status = Command::new("kill").args(["-INT", &number]).status();
        assert!(status.expect("kill is there").success());
    }

    /// Waits for its end: the exit code, and what it still had to say.
    #[cfg(unix)]
    fn end(mut self) -> (Option<i32>, String) {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                let lines: Vec<String> = self.lines.iter().map(|(_, line)| line).collect();
                return (status.code(), lines.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not end");
    }

    /// Nothing may happen for a while.
    fn stays_quiet(&self) {
        if let Ok((_, line)) = self.lines.recv_timeout(Duration::from_millis(400)) {
            panic!("`{line}` came");
        }
    }
}

#[test]
fn saves_run_what_they_change_and_nothing_else() {
    let project = project();
    let watching = watch(&project, &[]);
    assert_eq!(watching.run(), (2, 0));
    watching.idle();
    // The same bytes again, a file beside, a touched one.
    project.write("words/a.txt", "a\n");
    project.write("notes.md", "nothing reads it\n");
    watching.stays_quiet();
    project.write("words/a.txt", "b\n");
    assert_eq!(watching.run(), (1, 1));
    watching.idle();
    // As editors save: another file, renamed.
    project.write("words/.a.swp", "c\n");
    std::fs::rename(project.path("words/.a.swp"), project.path("words/a.txt")).expect("renamed");
    assert_eq!(watching.run(), (1, 1));
    watching.idle();
    // A file that the glob did not know.
    project.write("words/b.txt", "d\n");
    assert_eq!(watching.run(), (1, 1));
    watching.idle();
    project.edit("word = \"one\"", "word = \"two\"");
    assert_eq!(watching.run(), (1, 1));
    watching.idle();
    watching.stays_quiet();
}

#[test]
fn folders_may_go_and_come_and_files_be_wrong_for_a_while() {
    let project = project();
    let watching = watch(&project, &[]);
    assert_eq!(watching.run(), (2, 0));
    watching.idle();
    std::fs::remove_dir_all(project.path("words")).expect("removed");
    watching.until("no file matches");
    project.write("words/a.txt", "back\n");
    assert_eq!(watching.run(), (1, 1));
    watching.idle();
    project.write("words/a.txt", "again\n");
    assert_eq!(watching.run(), (1, 1));
    watching.idle();
    project.edit("[params]", "[params");
    watching.until("error");
    // After the error it says again that it waits, and not the error again.
    watching.idle();
    watching.stays_quiet();
    project.edit("[params", "[params]");
    assert_eq!(watching.run(), (0, 2));
}

#[test]
fn without_word_from_the_system_it_looks_from_time_to_time() {
    let project = project();
    let watching = watch(&project, &["--poll", "0.1"]);
    assert_eq!(watching.run(), (2, 0));
    watching.until("looking from time to time");
    project.write("words/a.txt", "b\n");
    assert_eq!(watching.run(), (1, 1));
}

/// Writes rows to a file in pieces, with a pause between them longer than that between two words of the system.
fn write_in_pieces(project: &Project, word: &str, reopened: bool) -> String {
    let path = project.path("words/a.txt");
    let mut file = std::fs::File::create(&path).expect("writable");
    let mut text = String::new();
    for row in 0..20 {
        if reopened {
            let append = std::fs::File::options().append(true).open(&path);
            file = append.expect("writable");
        }
        let line = format!("row {row} {word} {reopened}\n");
        std::io::Write::write_all(&mut file, line.as_bytes()).expect("writable");
        text.push_str(&line);
        std::thread::sleep(Duration::from_millis(30));
    }
    text
}

#[test]
fn a_file_that_is_written_in_pieces_costs_one_run() {
    let project = project();
    for (word, arguments) in [("told", &[][..]), ("polled", &["--poll", "0.05"])] {
        let watching = watch(&project, arguments);
        watching.run();
        watching.idle();
        for reopened in [false, true] {
            let text = write_in_pieces(&project, word, reopened);
            assert_eq!(watching.run(), (1, 1));
            watching.idle();
            watching.stays_quiet();
            project.refire(&["get", "copy", "got"]).succeeds();
            assert_eq!(project.read("got/out.txt"), text);
            std::fs::remove_dir_all(project.path("got")).expect("it is there");
        }
    }
}

#[test]
fn a_file_that_is_written_while_a_run_ends_is_waited_for() {
    let project = project();
    project.edit("cat words/*.txt", "sleep 0.3; cat words/*.txt");
    let watching = watch(&project, &[]);
    watching.until("\"stage_started\",\"stage\":\"copy\"");
    let text = write_in_pieces(&project, "late", false);
    watching.run();
    watching.run();
    watching.idle();
    watching.stays_quiet();
    project.refire(&["get", "copy", "got"]).succeeds();
    assert_eq!(project.read("got/out.txt"), text);
}

/// From a save to the first stage: 150 ms on an idle machine; the bound leaves room for a busy one.
#[test]
fn a_stage_begins_soon_after_a_save() {
    const BOUND: Duration = Duration::from_millis(1500);
    let project = project();
    let watching = watch(&project, &[]);
    watching.run();
    watching.idle();
    let mut took: Vec<Duration> = (0..5)
        .map(|round| {
            project.write("words.new", format!("{round}\n"));
            let saved = Instant::now();
            std::fs::rename(project.path("words.new"), project.path("words/a.txt"))
                .expect("renamed");
            let (started, _) = watching.until("stage_started");
            watching.run();
            watching.idle();
            started - saved
        })
        .collect();
    took.sort();
    eprintln!("from a save to the first stage: {took:?}");
    assert!(took[2] <= BOUND, "{took:?}");
}

/// The same where thousands of files go into a stage.
#[test]
fn a_stage_with_thousands_of_files_begins_soon_after_a_save() {
    const BOUND: Duration = Duration::from_secs(3);
    let project = Project::with(TWO);
    project.edit("words/*.txt\"]\n", "words/*/*.txt\"]\n");
    project.edit("cat words/*.txt", "cat words/*/a.txt");
    for folder in 0..5 {
        for number in 0..400 {
            project.write(&format!("words/{folder}/{number}.txt"), "a word\n");
        }
        project.write(&format!("words/{folder}/a.txt"), "a\n");
    }
    let watching = watch(&project, &[]);
    assert_eq!(watching.run(), (2, 0));
    watching.idle();
    let mut took: Vec<Duration> = (0..3)
        .map(|round| {
            let saved = Instant::now();
            project.write("words/3/a.txt", format!("{round}\n"));
            let (started, _) = watching.until("stage_started");
            assert_eq!(watching.run(), (1, 1));
            watching.idle();
            started - saved
        })
        .collect();
    took.sort();
    eprintln!("from a save to the first stage, 2,000 files: {took:?}");
    assert!(took[1] <= BOUND, "{took:?}");
}

/// Ctrl-C is how a watch ends, so it is no error; but scripts can tell that it did not end by itself.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_whether_it_waits_or_runs() {
    let project = project();
    let watching = watch(&project, &[]);
    watching.run();
    watching.idle();
    watching.interrupt();
    let (code, words) = watching.end();
    assert_eq!(code, Some(130), "{words}");
    assert!(!words.contains("error"), "{words}");

    project.edit("echo ${params.word}", "sleep 60; echo ${params.word}");
    let watching = watch(&project, &[]);
    watching.until("\"stage_started\",\"stage\":\"say\"");
    watching.interrupt();
    let (code, words) = watching.end();
    assert_eq!(code, Some(130), "{words}");
    assert!(words.contains("\"cancelled\""), "{words}");
    assert!(!words.contains("error"), "{words}");
}
