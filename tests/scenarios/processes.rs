//! Processes of a project: started without waiting, found whoever their parent is, killed.
#![cfg(target_os = "linux")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Project;

/// Starts a command of refire that is not waited for.
pub(crate) fn start(project: &Project, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_refire"))
        .current_dir(project.path(""))
        .args(arguments)
        .env_remove("REFIRE_CACHE_DIR")
        // A mark by which its processes are found again, whoever their parent is.
        .env("LANG", project.path("").display().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

/// The processes that carry the mark of `project`.
pub(crate) fn processes(project: &Project) -> Vec<i32> {
    let mark = format!("LANG={}", project.path("").display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux has it").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes())
        {
            found.push(pid);
        }
    }
    found
}

pub(crate) fn kill(pid: i32) {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    status.expect("kill is there");
}

/// Waits until no process of the project is left.
pub(crate) fn settle(project: &Project) {
    let begin = Instant::now();
    while !processes(project).is_empty() {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "processes are left: {:?}",
            processes(project)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
