//! Verbs that only read, where nothing can be written: a cache of others, a home that is not there.
#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::Project;
use crate::tiny;

/// Takes from all folders below `folder`, or gives them back, what it takes to write there.
fn set(folder: &Path, mode: u32) {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("readable").flatten();
        let paths = entries.map(|entry| entry.path());
        folders.extend(paths.filter(|path| path.is_dir() && !path.is_symlink()));
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&folder, permissions).expect("ours");
    }
}

/// Runs refire in `project` as somebody whom permissions stop, and whose home nobody has made.
fn refire(project: &Project, arguments: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-dac_override,-dac_read_search"])
        .arg(env!("CARGO_BIN_EXE_refire"))
        .args(arguments)
        .current_dir(project.path(""))
        .env_remove("REFIRE_CACHE_DIR")
        .env("HOME", "/nonexistent");
    command.output().expect("setpriv, of util-linux, is there")
}

fn succeeds(project: &Project, arguments: &[&str]) -> String {
    let output = refire(project, arguments);
    let shown = [output.stdout, output.stderr].concat();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(output.status.success(), "refire {arguments:?}: {shown}");
    shown
}

/// The verbs that take nothing but the pipeline, or a stage of it, and only read.
const READING: [&[&str]; 12] = [
    &["status"],
    &["status", "--json"],
    &["plan"],
    &["why", "tune"],
    &["check"],
    &["graph"],
    &["log"],
    &["metrics"],
    &["params"],
    &["gc", "--dry-run"],
    &["run", "--dry-run"],
    &["devices"],
];

#[test]
fn a_cache_that_can_only_be_read_serves_every_verb_that_only_reads() {
    let project = tiny::project();
    project.edit("epochs = 4", "epochs = 1");
    project.write(
        "refire.toml",
        project.read("refire.toml")
            + "[stage.says]\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"echo hello | tee o\"]\noutputs = { o = \"o\" }\n",
    );
    project.refire(&["run"]).succeeds();
    project.refire(&["get", "tune", "model"]).succeeds();
    let mine = tempfile::tempdir().expect("a temporary folder");
    let out = |name: &str| mine.path().join(name).display().to_string();
    set(&project.path(""), 0o555);
    for arguments in READING {
        succeeds(&project, arguments);
    }
    assert!(succeeds(&project, &["logs", "says"]).contains("hello"));
    assert!(succeeds(&project, &["status"]).contains("fresh"));
    succeeds(&project, &["get", "tune", &out("copy")]);
    succeeds(&project, &["export", "tune", &out("exported")]);
    for (model, output) in [("tune", "a.csv"), ("model", "b.csv")] {
        succeeds(
            &project,
            &[
                "predict",
                model,
                "reviews.csv",
                "--prefix",
                "p_",
                "-o",
                &out(output),
            ],
        );
    }
    set(&project.path(""), 0o755);
    let read = |name: &str| std::fs::read_to_string(mine.path().join(name)).expect("written");
    assert_eq!(read("a.csv"), read("b.csv"));
    assert_eq!(read("a.csv").lines().count(), 121);
}

#[test]
fn where_there_is_no_cache_and_none_can_be_made_nothing_is_in_it() {
    let project = tiny::project();
    std::fs::remove_dir_all(project.path(".refire")).expect("ours");
    set(&project.path(""), 0o555);
    for arguments in READING {
        succeeds(&project, arguments);
    }
    assert!(succeeds(&project, &["status"]).contains("missing"));
    let run = refire(&project, &["run"]);
    set(&project.path(""), 0o755);
    let shown = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{shown}");
    assert!(shown.contains("whether it is writable"), "{shown}");
}
