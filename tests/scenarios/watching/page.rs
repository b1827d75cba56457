//! The page that follows a watch.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use super::{PATIENCE, project, watch};
use crate::support::Project;

/// What is answered to a request with this head, in full.
fn answer(port: u16, head: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    write!(stream, "{head}\r\n\r\n").expect("it takes a request");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer in UTF-8");
    answer
}

fn get(port: u16, path: &str) -> String {
    answer(
        port,
        &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}"),
    )
}

fn until(port: u16, text: &str) -> String {
    let begin = Instant::now();
    loop {
        let page = get(port, "/");
        if page.contains(text) {
            return page;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "the page does not come to have `{text}`:\n{page}"
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn the_page_follows_the_runs_and_only_this_machine_reads_it() {
    let project: Project = project();
    let watching = watch(&project, &["--report"]);
    let (_, line) = watching.until("the report is at http://127.0.0.1:");
    let port = line
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .expect("a port");
    let port: u16 = port.parse().expect("a port");
    watching.idle();
    let page = until(port, "all 2 stages are fresh");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("connect-src 'self'") && page.contains("data-served"));
    let version = get(port, "/version");

    project.edit("word = \"one\"", "word = \"two\"");
    watching.run();
    until(port, "echo two");
    assert_ne!(get(port, "/version"), version);

    // A mistake in the file is what the page says then.
    project.edit("kind = \"command\"", "kind = \"dance\"");
    let page = until(port, "unknown stage kind");
    assert!(page.contains("No report"));

    // Another name for this machine, as a site gives it, and anything but reading are refused.
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost: evil.example", "403"),
        ("GET / HTTP/1.1", "403"),
        (
            &*format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example"),
            "403",
        ),
        (
            &*format!("POST / HTTP/1.1\r\nHost: localhost:{port}"),
            "405",
        ),
        (
            &*format!("GET /../refire.toml HTTP/1.1\r\nHost: localhost:{port}"),
            "404",
        ),
        ("\0\u{fffd}", "403"),
    ] {
        let said = answer(port, head);
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head:?}: {said}"
        );
        assert!(!said.contains("<html"));
    }
    // A port that is taken.
    project
        .refire(&["watch", &format!("--report={port}")])
        .fails_with(2)
        .shows(&format!("cannot serve the report on port {port}"));
}
