//! What a terminal would obey, wherever it comes from, reaches no terminal: a project that is hostile in every place, and every
//! verb on it.
#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::process::Command;

use crate::support::Project;

/// Clears the screen, sets the title, colours (in two ways), rings, goes back, and turns the direction of text.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;pwned\u{7}\u{1b}[35m\u{9b}35m\u{8}x\r\u{202e}\u{2066}";

/// The same as TOML writes it.
const QUOTED: &str = r"\u001b[2J\u001b]0;pwned\u0007\u001b[35m\u009b35m\u0008x\r\u202e\u2066";

fn project() -> Project {
    let project = Project::with(&format!(
        r#"
[pipeline]
name = "{QUOTED}"

[params]
word = "{QUOTED}"

[stage.talks]
kind = "command"
argv = ["sh", "-c", "cat evil*; echo x > o", "${{params.word}}"]
files = ["evil*"]
outputs = {{ o = "o" }}

[stage.fails]
kind = "command"
argv = ["sh", "-c", "cat evil*; exit 3", "{QUOTED}"]
files = ["evil*"]
outputs = {{ o = "o" }}

[stage.reads]
kind = "dataset"
source = "data.csv"

[stage.asks]
kind = "preprocess"
tables = {{ t = "reads" }}
sql = "SELECT nothing FROM t"

[stage.loads]
kind = "pretrained"
source = "hf:a/b"
files = ["config.json"]
"#
    ));
    project.write(&format!("evil{EVIL}"), format!("{EVIL}\n"));
    project.write("data.csv", format!("a,{}\n1,2\n", EVIL.replace('\r', "")));
    project
}

/// What is left of `text` without refire's own styles; `35`, which is none of them, stays.
fn without_styles(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        left.push_str(&rest[..at]);
        let (parameters, after) = rest[at + 2..].split_once('m').unwrap_or(("?", ""));
        let is_style = parameters
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b';');
        if is_style && parameters != "35" {
            rest = after;
        } else {
            left.push_str("\u{1b}[");
            rest = &rest[at + 2..];
        }
    }
    left + rest
}

/// The characters of `text` that a terminal would obey, or that show as nothing.
fn obeyed(text: &str) -> Vec<char> {
    let is_obeyed = |c: &char| {
        let is_line = matches!(c, '\n' | '\t');
        (c.is_control() && !is_line)
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(is_obeyed).collect()
}

/// Runs refire with colours, and neither output may hold anything that is obeyed but refire's own styles, and those of a stage in
/// its own log.
fn harmless(project: &Project, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refire"));
    command.current_dir(project.path("")).args(arguments);
    command
        .env_remove("REFIRE_CACHE_DIR")
        .env("CLICOLOR_FORCE", "1")
        .env("HF_HUB_OFFLINE", "1");
    let output = command.output().expect("it starts");
    let shown = [output.stdout, output.stderr].concat();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    let without_own = |line: &str| match line.strip_prefix("fails | ") {
        Some(line) => line.replace("\u{1b}[35m", ""),
        None => line.into(),
    };
    let lines: Vec<String> = shown.split('\n').map(without_own).collect();
    let obeyed = obeyed(&without_styles(&lines.join("\n")));
    assert!(
        obeyed.is_empty(),
        "refire {arguments:?}: {obeyed:?} in {shown:?}"
    );
    shown
}

/// What refire writes to a terminal.
fn on_a_terminal(project: &Project, verb: &str) -> String {
    let line = format!("'{}' {verb}", env!("CARGO_BIN_EXE_refire"));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]);
    command.current_dir(project.path(""));
    command
        .env_remove("REFIRE_CACHE_DIR")
        .env("TERM", "xterm-256color");
    let output = command.output().expect("script, of util-linux, is there");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server that answers everything with a refusal that it decorates.
fn hostile_server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut stream, mut request) = (stream, [0; 4096]);
            let _ = stream.read(&mut request);
            let header = EVIL.replace(['\r', '\u{8}', '\u{7}', '\u{1b}'], "");
            let body = format!("{{\"error\":\"{EVIL}\"}}");
            let _ = write!(
                stream,
                "HTTP/1.1 403 {header}\r\nX-Error-Message: {header}\r\nX-Error-Code: {header}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn no_verb_passes_on_what_a_terminal_obeys() {
    let project = project();
    // Before there is anything, after a run, and after a setting has changed.
    for _ in 0..2 {
        for verb in [
            "check", "plan", "status", "graph", "params", "metrics", "log", "report",
        ] {
            harmless(&project, &[verb]);
        }
        for format in ["pretty", "plain", "json"] {
            harmless(
                &project,
                &["run", "-k", "--format", format, "talks", "fails", "asks"],
            );
        }
        for stage in ["talks", "fails", "reads", "asks"] {
            harmless(&project, &["why", stage]);
            harmless(&project, &["run", stage]);
        }
        for format in ["text", "mermaid", "dot"] {
            harmless(&project, &["graph", "--format", format]);
        }
        for verb in ["plan", "status", "params", "metrics", "log"] {
            harmless(&project, &[verb, "--json"]);
        }
        harmless(&project, &["log", "--all"]);
        harmless(&project, &["gc"]);
        project.edit(
            "[\"sh\", \"-c\", \"cat evil*; echo",
            "[\"sh\", \"-ec\", \"cat evil*; echo",
        );
        project.write(
            "refire.toml",
            project.read("refire.toml").replacen("pwned", "owned", 2),
        );
        project.edit("\"-ec\"", "\"-c\"");
    }
}

#[test]
fn a_stage_may_colour_its_log_and_do_nothing_else() {
    let project = project();
    project
        .refire(&["run", "-k", "talks", "fails"])
        .fails_with(1);
    let coloured = project.refire(&["logs", "talks", "--color", "always"]);
    let coloured = coloured.succeeds().stdout();
    assert!(coloured.contains("\u{1b}[35m"), "{coloured:?}");
    assert!(coloured.ends_with("\u{1b}[0m"), "{coloured:?}");
    let left = obeyed(&without_styles(&coloured.replace("\u{1b}[35m", "")));
    assert!(left.is_empty(), "{left:?}");
    // To a pipe or a file goes plain text.
    let plain = project.refire(&["logs", "talks"]).succeeds().stdout();
    assert!(obeyed(&plain).is_empty(), "{plain:?}");
    assert!(
        plain.starts_with("\\u001b[2J\\u001b]0;pwned\\u0007\\u009b35m\\u0008x"),
        "{plain}"
    );
}

#[test]
fn what_is_quoted_of_files_and_arguments_is_written_out() {
    let project = project();
    let name = format!("a{}.toml", EVIL.replace('/', ""));
    project.write(&name, project.read("refire.toml").replace("talks", "evil"));
    for verb in ["check", "status", "run"] {
        harmless(&project, &[verb, &name]);
    }
    for (name, broken) in [
        ("key", "[stage.x]\nkind = \"command\"\n\"EVIL\" = 1\n".to_string()),
        ("stage", "[stage.\"EVIL\"]\nkind = \"command\"\n".into()),
        ("kind", "[stage.x]\nkind = \"EVIL\"\n".into()),
        ("matrix", "[stage.x]\nkind = \"command\"\nmatrix = { m = [\"EVIL\", \"b\"] }\nargv = [\"false\"]\noutputs = { o = \"o\" }\n".into()),
        ("reference", "[stage.x]\nkind = \"command\"\nargv = [\"${params.EVIL}\"]\n".into()),
        ("raw", format!("[stage.x]\nkind = \"{}\n", EVIL.replace('\r', ""))),
        ("raw comment", format!("# {}\n[stage.x]\nkind = 1 # {EVIL}\n", EVIL.replace('\r', ""))),
    ] {
        project.write("broken.toml", broken.replace("EVIL", QUOTED));
        for verb in ["check", "status", "run", "graph", "log"] {
            let shown = harmless(&project, &[verb, "broken.toml"]);
            assert!(!shown.is_empty() || verb == "graph", "{name}");
        }
    }
    for arguments in [
        &[EVIL][..],
        &["run", EVIL],
        &["run", &format!("--{EVIL}")],
        &["run", "--format", EVIL],
        &["run", "-S", EVIL],
        &["run", "-S", &format!("params.word={EVIL}"), "--dry-run"],
        &["run", "--profile", EVIL],
        &["run", &format!("{EVIL}.toml")],
        &["why", EVIL],
        &["why", "talks", "--against", EVIL],
        &["logs", EVIL],
        &["logs", "talks", "--run", EVIL],
        &["get", EVIL, "x"],
        &["get", "talks", &format!("none{EVIL}/x")],
        &["predict", EVIL, EVIL, "-o", &format!("{EVIL}.csv")],
        &["predict", EVIL, EVIL, "-o", EVIL],
        &["predict", "talks", EVIL, "-o", "x.csv", "--separator", EVIL],
        &["export", EVIL, EVIL],
        &["gc", "--max-size", EVIL],
        &["gc", EVIL],
        &["metrics", "diff", EVIL],
        &["report", "-o", EVIL],
        &["report", EVIL],
        &["params", "diff", EVIL],
        &["man", EVIL],
        &["completions", EVIL],
    ] {
        harmless(&project, arguments);
    }
}

#[test]
fn what_others_have_written_is_written_out() {
    let mut project = project();
    let started = serde_json::json!({
        "event": "run_started", "pipeline": EVIL, "file": EVIL, "profiles": [EVIL], "set": [EVIL],
        "run": EVIL, "stages": [EVIL],
    });
    for run in ["20260101-000000", &format!("20260101-000001{EVIL}")] {
        project.write(
            &format!(".refire/runs/{run}/events.jsonl"),
            format!("{started}\n"),
        );
    }
    harmless(&project, &["log", "--all"]);
    harmless(&project, &["log", "--all", "--json"]);
    // A lock from elsewhere, with a stage and a figure of that name.
    let digest = "ab".repeat(32);
    let table = |stage: &str| {
        format!(
            "[stage.\"{stage}\"]\nrecipe = \"{digest}\"\nkey = \"{digest}\"\n\n\
             [stage.\"{stage}\".metrics]\n\"{QUOTED}\" = 1.0\n\n"
        )
    };
    project.write(
        "refire.lock",
        format!("version = 1\n\n{}{}", table("talks"), table(QUOTED)),
    );
    let shown = harmless(&project, &["metrics"]);
    assert!(shown.contains("\\u001b[2J"), "{shown}");
    for verb in ["status", "plan", "run"] {
        harmless(&project, &[verb, "talks"]);
    }
    project.write("refire.lock", format!("version = \"{QUOTED}\"\n"));
    harmless(&project, &["status"]);
    std::fs::remove_file(project.path("refire.lock")).expect("ours");

    let server = hostile_server();
    project.set("HF_ENDPOINT", &server);
    project.set("CLICOLOR_FORCE", "1");
    let refused = project.refire(&["run", "loads"]);
    let shown = refused.fails_with(1).stderr();
    assert!(shown.contains("403"), "{shown}");
    assert!(obeyed(&without_styles(&shown)).is_empty(), "{shown:?}");
}

#[test]
fn nor_does_it_reach_a_real_terminal() {
    let project = project();
    let shown = on_a_terminal(&project, "run -k talks fails asks");
    assert!(shown.contains("\\u001b[2J"), "{shown:?}");
    for verb in [
        "status",
        "plan",
        "why talks",
        "logs talks",
        "metrics",
        "log",
        "params",
    ] {
        let shown = on_a_terminal(&project, verb);
        let without = shown.replace("\r\n", "\n").replace("\u{1b}[35m", "");
        let left = obeyed(&without_styles(&without));
        assert!(left.is_empty(), "{verb}: {left:?} in {shown:?}");
    }
    // Of what moves the cursor, only the progress bars may do so, and only as they do.
    for evil in [
        "\u{1b}[2J",
        "\u{1b}]",
        "\u{7}",
        "\u{8}",
        "\u{9b}",
        "\u{202e}",
        "\u{2066}",
    ] {
        assert!(!shown.contains(evil), "{evil:?} in {shown:?}");
    }
}
