//! What becomes of what a command writes and of what it starts, whatever ends it; and of a system that allows no more.
#![cfg(target_os = "linux")]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::needs;
use crate::processes::{kill, processes, settle, start};
use crate::support::Project;

/// A project with one stage that runs `script`; `more` are further settings of it.
fn project(script: &str, more: &str) -> Project {
    let mut project = Project::with(&format!(
        r#"
[stage.it]
kind = "command"
argv = ["sh", "-c", '''{script}''']
outputs = {{ text = "out.txt" }}
{more}
"#
    ));
    // By which `processes` finds what was started.
    let mark = project.path("").display().to_string();
    project.set("LANG", &mark);
    project
}

/// The log of its stage after a run, and all that the run has printed.
fn log(project: &Project) -> (String, String) {
    let ran = project.refire(&["run", "--format", "json"]);
    let printed = ran.stdout() + &ran.stderr();
    let left: Vec<i32> = processes(project);
    assert!(left.is_empty(), "processes are left: {left:?}");
    (project.refire(&["logs", "it"]).stdout(), printed)
}

#[test]
fn the_last_that_a_command_writes_is_kept_however_much_it_is() {
    // More than a pipe holds, in lines that take their time; nobody waits for what was left behind.
    let much = "yes | head -n 100000; echo LAST; echo > out.txt";
    let one_line = "head -c 300000 /dev/zero | tr '\\0' x; printf LAST; echo > out.txt";
    let beside = "(sleep 66 & yes | head -n 30000; echo LAST; echo > out.txt)";
    for script in [much, one_line, beside] {
        let (log, _) = log(&project(script, ""));
        assert!(log.trim_end().ends_with("LAST"), "{script}");
    }
}

#[test]
fn what_a_command_writes_when_it_is_stopped_is_kept() {
    let script =
        r#"trap "yes | head -n 20000; echo LAST; exit 1" TERM; while :; do sleep 0.1; done"#;
    let project = project(script, "timeout = \"0.4s\"");
    let (log, printed) = log(&project);
    assert!(log.trim_end().ends_with("LAST"), "{printed}");
    assert!(printed.contains("did not end within 0.4 s"), "{printed}");
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n";

#[test]
fn no_secret_is_seen_in_logs_events_and_errors() {
    let script = r#"
        echo "$KEY"; printf "%s" "$KEY" | tail -n 2 | head -n 1
        echo "$TOKEN_LONG $TOKEN"
        printf "%s" "$TOKEN" | head -c 3; sleep 0.3; printf "%s\n" "$TOKEN" | tail -c +4
        head -c 65530 /dev/zero | tr "\0" x; echo "$TOKEN"
        mkdir out.txt; touch "out.txt/$TOKEN" "out.txt/A$TOKEN_LONG" "out.txt/a$TOKEN_LONG"
        "#;
    let mut project = project(script, r#"secret_env = ["KEY", "TOKEN*"]"#);
    project.set("KEY", KEY);
    project.set("TOKEN", "hunter2-abcdef");
    project.set("TOKEN_LONG", "hunter2-abcdef-ghijkl");
    let (log, printed) = log(&project);
    assert!(log.contains("*** ***\n"), "{log}");
    // The error names files that are called after secrets.
    assert!(
        printed.contains("differ only in upper and lower case"),
        "{printed}"
    );
    let mut seen = vec![log, printed, project.refire(&["status"]).stdout()];
    let mut folders = vec![project.path(".refire")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).expect("readable");
                seen.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    for text in seen {
        for part in [
            "hunter2",
            "abcdef",
            "ghijkl",
            "MIIEvQ",
            "BKcwgg",
            "BEGIN PRIVATE",
        ] {
            assert!(!text.contains(part), "`{part}` is seen in {text}");
        }
    }
}

#[test]
fn what_leaves_its_group_and_its_session_ends_with_its_command() {
    let daemon = "setsid sleep 67 & sleep 0.1; echo > out.txt";
    // A daemon's child, one that holds the pipe, one that is stopped, and one with a family.
    let family =
        r#"setsid sh -c "setsid sh -c \"sleep 68; :\" & sleep 68; :" & sleep 0.2; echo > out.txt"#;
    let stopped = "setsid sh -c \"kill -STOP \\$\\$\" & sleep 0.2; echo > out.txt";
    let flood = "setsid yes & sleep 0.1; echo > out.txt";
    let fails = "setsid sleep 67 & sleep 0.1; exit 3";
    for script in [daemon, family, stopped, flood, fails] {
        let begin = Instant::now();
        log(&project(script, ""));
        assert!(begin.elapsed() < Duration::from_secs(20), "{script}");
    }
    let deaf = r#"trap "" TERM; setsid sleep 69 & while :; do sleep 0.1; done"#;
    let (_, printed) = log(&project(deaf, "timeout = \"0.4s\""));
    assert!(printed.contains("did not end within 0.4 s"), "{printed}");
}

/// The runner, the keeper, the worker and the first process of a command that has begun.
fn begun(project: &Project) -> (Child, [i32; 4]) {
    let run = start(project, &["run"]);
    let begin = Instant::now();
    let runner = i32::try_from(run.id()).expect("a process id");
    // Each is the parent of the next, and the command has started all that it starts.
    let all = loop {
        let found = processes(project);
        let child = |parent: i32| {
            found
                .iter()
                .copied()
                .find(|pid| parent_of(*pid) == Some(parent))
        };
        let chain = child(runner).and_then(|keeper| {
            let worker = child(keeper)?;
            Some([runner, keeper, worker, child(worker)?])
        });
        match chain {
            Some(chain) if found.len() >= 6 => break chain,
            _ => assert!(
                begin.elapsed() < Duration::from_secs(20),
                "it did not begin"
            ),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    (run, all)
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[test]
fn whoever_of_runner_keeper_and_worker_is_killed_nothing_is_left() {
    let [runner, keeper, worker, command] = [0, 1, 2, 3];
    for killed in [
        vec![worker],
        vec![keeper],
        vec![runner, worker],
        vec![runner, keeper],
        vec![worker, command],
    ] {
        let project = project("setsid sleep 70 & sleep 70; echo > out.txt", "");
        let (mut run, all) = begun(&project);
        let begin = Instant::now();
        for who in &killed {
            kill(all[*who]);
        }
        let code = run.wait().expect("it is ours").code();
        settle(&project);
        assert!(begin.elapsed() < Duration::from_secs(10), "{killed:?}");
        if killed[0] != runner {
            assert_eq!(code, Some(1), "{killed:?}");
            project
                .refire(&["status"])
                .prints("ended before its work: signal: 9");
        }
    }
}

/// Runs the project as a user who may have so many processes and threads; none where there is nobody to be.
fn with_processes(most: u32, project: &Project) -> Option<(Option<i32>, String)> {
    // Nobody else's processes count: no other test is this user.
    const SOMEBODY: u32 = 54_321;
    let become_somebody = |command: &mut Command| {
        command.args([&format!("--reuid={SOMEBODY}"), "--clear-groups"]);
        // The binary may lie where only its owner looks.
        command.args([
            "--inh-caps=-all,+dac_override",
            "--ambient-caps=+dac_override",
        ]);
    };
    let mut allowed = Command::new("setpriv");
    become_somebody(&mut allowed);
    let found = match allowed.arg("true").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    };
    needs::met("root", found)?;
    let mut command = Command::new("timeout");
    command.args(["30", "setpriv"]);
    become_somebody(&mut command);
    let output = command
        .args(["prlimit", &format!("--nproc={most}:{most}")])
        .args([env!("CARGO_BIN_EXE_refire"), "run", "-j", "2"])
        .current_dir(project.path(""))
        .env_remove("REFIRE_CACHE_DIR")
        .output()
        .expect("timeout, of coreutils, is there");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    Some((output.status.code(), printed))
}

#[test]
#[ignore = "needs root"]
fn a_system_that_allows_no_more_threads_is_an_error_that_says_so() {
    let text = |most: u32| {
        let project = Project::with(
            r#"
[stage.it]
kind = "command"
argv = ["sh", "-c", "echo > out.txt"]
outputs = { text = "out.txt" }

[stage.data]
kind = "dataset"
source = "data.csv"

[stage.count]
kind = "preprocess"
tables = { data = "data" }
sql = "SELECT x, COUNT(*) AS n FROM data GROUP BY x ORDER BY x"
"#,
        );
        project.write("data.csv", "x\na\nb\na\n");
        with_processes(most, &project)
    };
    let mut done = false;
    for most in (1..40).chain([400]) {
        let Some((code, printed)) = text(most) else {
            return;
        };
        assert!(!printed.contains("panicked"), "with {most}:\n{printed}");
        done = code == Some(0);
        assert!(done || code == Some(1), "with {most}: {code:?}\n{printed}");
        assert!(
            done || printed.contains("`ulimit -u`"),
            "with {most}:\n{printed}"
        );
    }
    assert!(done, "with enough of them it runs");
}

#[test]
fn an_output_that_is_not_what_it_is_said_to_be_is_told_apart_where_it_is_declared() {
    let project = Project::with(
        r#"
[stage.make]
kind = "command"
argv = ["mkdir", "scores"]
outputs = { model = { path = "scores", type = "model" } }
"#,
    );
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("`scores` is not a model: there is no `config.json` in it")
        .shows("declared here");
}
