//! Trackers: what they are handed, and that none of them can make a run fail. `tests/python/tracking.py` reads it all with the trackers' own
//! packages.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::Project;
use crate::tiny;

/// A tiny pipeline with these trackers.
fn tracked(trackers: &str) -> Project {
    let project = tiny::project();
    let pipeline = project.read("refire.toml");
    project.write("refire.toml", format!("[tracking]\n{trackers}\n{pipeline}"));
    project
}

/// How many runs wait to be sent.
fn waiting(project: &Project) -> usize {
    let boxes = std::fs::read_dir(project.path(".refire/outbox")).expect("a folder");
    let letters = boxes.flatten().flat_map(|folder| {
        let letters = std::fs::read_dir(folder.path()).expect("a folder");
        letters.flatten().map(|letter| letter.path())
    });
    letters
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .count()
}

/// A server on loopback that says `answer` to everything: its address, and the first line of what it was asked.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let line = head.lines().next().unwrap_or_default().to_string();
            seen.lock().expect("not poisoned").push(line);
            answer(&mut stream);
        }
    });
    (address, asked)
}

fn says(status: &'static str, body: &'static str) -> impl Fn(&mut TcpStream) + Send + 'static {
    move |stream| {
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
    }
}

#[test]
fn tensorboard_gets_a_folder_a_run_and_in_it_one_a_stage() {
    let project = tracked("tensorboard = \"curves\"");
    project.refire(&["run"]).succeeds();
    let folders = |path: &str| -> Vec<String> {
        let entries = std::fs::read_dir(project.path(path)).expect("a folder");
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let runs = folders("curves");
    assert_eq!(runs.len(), 1);
    let stages = folders(&format!("curves/{}", runs[0]));
    assert_eq!(stages, ["test", "tune"]);
    let files = folders(&format!("curves/{}/tune", runs[0]));
    assert!(
        files.len() == 1 && files[0].starts_with("events.out.tfevents."),
        "{files:?}"
    );
    // Nothing waits, and a run of nothing has nothing to tell.
    assert_eq!(waiting(&project), 0);
    project.refire(&["run"]).succeeds();
    assert_eq!(folders("curves").len(), 1);
}

#[test]
fn a_tracker_that_is_down_fails_no_run_and_hears_later() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let project = tracked(&format!("mlflow = \"http://{address}\""));
    project
        .refire(&["run"])
        .succeeds()
        .shows("could not be sent to mlflow, and will be with the next run")
        .shows("does not answer");
    // The next run has nothing to do, and tries again all the same.
    project.refire(&["run"]).succeeds().shows("does not answer");
    project
        .refire(&["run", "--offline"])
        .succeeds()
        .shows("hears of this run with the next one that is not `--offline`");
}

#[test]
fn what_a_tracker_says_that_is_none_is_told() {
    let cases = [
        (says("200 OK", "<html>hello</html>"), "answers with no JSON"),
        (says("200 OK", "{\"a\": 1}"), "is it an MLflow server?"),
        (
            says("401 Unauthorized", ""),
            "it wants a login: set MLFLOW_TRACKING_TOKEN",
        ),
        (
            says("500 Internal Server Error", "{\"message\": \"no room\"}"),
            "no room",
        ),
        (says("302 Found", ""), "it redirects"),
    ];
    for (answer, word) in cases {
        let (address, asked) = server(answer);
        let project = tracked(&format!("mlflow = \"{address}\""));
        project.refire(&["run"]).succeeds().shows(word);
        let asked = asked.lock().expect("not poisoned");
        // One failure is enough to leave it alone.
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(asked[0].starts_with("GET /api/2.0/mlflow/experiments/get-by-name"));
    }
}

#[test]
fn a_slow_tracker_holds_a_run_up_for_seconds_at_the_most() {
    let (address, _) = server(|_| std::thread::sleep(Duration::from_mins(2)));
    let project = tracked(&format!("mlflow = \"{address}\""));
    let begun = Instant::now();
    project.refire(&["run"]).succeeds().shows("does not answer");
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[test]
fn settings_of_trackers_are_checked_and_enter_no_key() {
    for (wrong, word) in [
        ("mlflow = \"127.0.0.1:5000\"", "is no address of a server"),
        ("mlflow = \"http://me:secret@host\"", "holds a login"),
        ("tensorbord = \"x\"", "tensorboard"),
        ("models = 3", "models"),
    ] {
        tracked(wrong).refire(&["check"]).fails_with(2).shows(word);
    }
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    let pipeline = project.read("refire.toml");
    project.write(
        "refire.toml",
        format!("[tracking]\ntensorboard = \"curves\"\n{pipeline}"),
    );
    let again = project.refire(&["run", "--format", "json"]).succeeds();
    assert!(
        again
            .outcomes()
            .iter()
            .all(|outcome| outcome.ends_with("cached"))
    );
}

#[test]
fn what_one_pipeline_has_to_tell_is_no_other_s_business() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let project = tracked(&format!("mlflow = \"http://{address}\""));
    project.refire(&["run"]).succeeds();
    let other = format!(
        "[tracking]\ntensorboard = \"curves\"\n{}",
        tiny::PIPELINE.replace("name = \"tiny\"", "name = \"other\"")
    );
    project.write("other.toml", other.replace("epochs = 4", "epochs = 2"));
    project.refire(&["run", "other.toml"]).succeeds();
    let runs = std::fs::read_dir(project.path("curves")).expect("a folder");
    assert_eq!(runs.count(), 1, "the first pipeline asked for no curves");
    assert_eq!(
        waiting(&project),
        1,
        "what the first could not send still waits"
    );
}
