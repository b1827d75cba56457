//! Kills at random moments, and what else may go wrong around a run: the result is the undisturbed one, bit by bit.
//!
//! `REFIRE_KILLS=200 cargo test --release kills` kills 200 times instead of 20.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Project;

/// Stages that take long enough to be hit: a fan, and a stage that gathers it. With `-e`, because the shell's own children
/// are hit as well, and a script that goes on after a killed `cat` is no one's fault but its own.
const FAN: &str = r#"
[stage.part]
kind = "command"
matrix = { n = [1, 2, 3, 4, 5, 6] }
argv = ["sh", "-ec", "for i in 1 2 3; do cat words.txt; sleep 0.02; echo ${matrix.n} $i; done > out.txt"]
files = ["words.txt"]
outputs = { text = "out.txt" }

[stage.all]
kind = "command"
argv = ["sh", "-ec", "cat parts/*/out.txt > all.txt; sleep 0.02"]
inputs = { parts = "part" }
outputs = { text = "all.txt" }

[stage.sum]
kind = "command"
argv = ["sh", "-ec", "cksum < all/all.txt > sum.txt"]
inputs = { all = "all" }
outputs = { text = "sum.txt" }
"#;

fn project() -> Project {
    let project = Project::with(FAN);
    project.write("words.txt", "pear\napple\n".repeat(500));
    project
}

/// Starts a run that is not waited for.
fn start(project: &Project) -> Child {
    Command::new(env!("CARGO_BIN_EXE_refire"))
        .current_dir(project.path(""))
        .args(["run", "-j", "3"])
        .env_remove("REFIRE_CACHE_DIR")
        // A mark by which its processes are found again, whoever their parent is.
        .env("LANG", project.path("").display().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

/// The processes that carry the mark of `project`.
#[cfg(target_os = "linux")]
fn processes(project: &Project) -> Vec<i32> {
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

#[cfg(target_os = "linux")]
fn kill(pid: i32) {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    status.expect("kill is there");
}

/// Waits until no process of the project is left.
#[cfg(target_os = "linux")]
fn settle(project: &Project) {
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

/// Every object of the cache has the content that it is named by; every record, manifest and lock is whole.
fn check_cache(cache: &Path) {
    let mut folders = vec![
        cache.join("objects"),
        cache.join("records"),
        cache.join("artifacts"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("readable");
            if path.starts_with(cache.join("objects")) {
                let shard = folder
                    .file_name()
                    .expect("a shard")
                    .to_string_lossy()
                    .into_owned();
                let name = format!("{shard}{}", entry.file_name().to_string_lossy());
                let digest = refire::store::Digest::of(&bytes).to_string();
                assert_eq!(digest, name, "an object was left half-written");
            } else {
                let whole = serde_json::from_slice::<serde_json::Value>(&bytes);
                assert!(whole.is_ok(), "{} is not whole", path.display());
            }
        }
    }
}

/// What the lock says, which names every output by its digest.
fn undisturbed() -> String {
    let project = project();
    project.refire(&["run", "-j", "3"]).succeeds();
    project.read("refire.lock")
}

/// A generator good enough to choose moments: <https://en.wikipedia.org/wiki/Xorshift>.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[cfg(target_os = "linux")]
#[test]
fn kills_at_random_moments_change_nothing() {
    let kills: u32 =
        std::env::var("REFIRE_KILLS").map_or(20, |text| text.parse().expect("a number"));
    let expected = undisturbed();
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut project = project();
    let (mut done, mut runner_hit, mut worker_hit) = (0, 0, 0);
    while done < kills {
        let mut run = start(&project);
        std::thread::sleep(Duration::from_millis(next(&mut state) % 250));
        let alive = run.try_wait().expect("it is ours").is_none();
        let runner = i32::try_from(run.id()).expect("a process id");
        if alive {
            let others: Vec<i32> = processes(&project)
                .into_iter()
                .filter(|pid| *pid != runner)
                .collect();
            let pick = usize::try_from(next(&mut state)).expect("64 bits");
            if pick.is_multiple_of(2) || others.is_empty() {
                kill(runner);
                runner_hit += 1;
            } else {
                kill(others[(pick / 2) % others.len()]);
                worker_hit += 1;
            }
            done += 1;
        }
        let _ = run.wait();
        settle(&project);
        check_cache(&project.path(".refire/cache"));
        if let Ok(lock) = std::fs::read_to_string(project.path("refire.lock")) {
            assert!(
                lock.starts_with('#') && lock.ends_with('\n'),
                "the lock is half-written"
            );
        }
        if !alive {
            // Nothing is left to be killed: begin anew.
            assert_eq!(project.read("refire.lock"), expected);
            project = self::project();
        }
    }
    project.refire(&["run", "-j", "3"]).succeeds();
    assert_eq!(project.read("refire.lock"), expected);
    assert!(
        runner_hit > 0 && worker_hit > 0,
        "{runner_hit} runners and {worker_hit} workers were hit"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn two_runs_at_once_in_one_folder_end_right() {
    let expected = undisturbed();
    let project = project();
    let runs = [start(&project), start(&project)];
    for mut run in runs {
        assert!(run.wait().expect("it is ours").success());
    }
    settle(&project);
    check_cache(&project.path(".refire/cache"));
    assert_eq!(project.read("refire.lock"), expected);
}

#[test]
fn two_checkouts_may_share_a_cache_at_once() {
    let expected = undisturbed();
    let cache = tempfile::tempdir().expect("a folder");
    let projects = [project(), project()];
    let run = |project: &Project| {
        Command::new(env!("CARGO_BIN_EXE_refire"))
            .current_dir(project.path(""))
            .args(["run", "-j", "2"])
            .env("REFIRE_CACHE_DIR", cache.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts")
    };
    let runs: Vec<Child> = projects.iter().map(run).collect();
    for mut run in runs {
        assert!(run.wait().expect("it is ours").success());
    }
    check_cache(cache.path());
    for project in &projects {
        assert_eq!(project.read("refire.lock"), expected);
    }
}

#[test]
fn objects_that_are_gone_are_made_again() {
    let project = project();
    project.refire(&["run"]).succeeds();
    let lock = project.read("refire.lock");
    std::fs::remove_dir_all(project.path(".refire/cache/objects")).expect("it is there");
    project.refire(&["run"]).succeeds().shows("8 ran");
    assert_eq!(project.read("refire.lock"), lock);
    project.refire(&["run"]).succeeds().shows("0 ran, 8 cached");
}

#[test]
fn a_clock_that_was_set_back_hides_no_edit() {
    let project = project();
    let ahead = refire::event::now() + Duration::from_hours(48);
    let times = std::fs::FileTimes::new().set_modified(ahead);
    let words = project.path("words.txt");
    std::fs::File::open(&words)
        .expect("there")
        .set_times(times)
        .expect("ours");
    project.refire(&["run"]).succeeds();
    // The same size and the same time, which lies ahead of the clock.
    project.write("words.txt", "plum\nolive\n".repeat(500));
    std::fs::File::open(&words)
        .expect("there")
        .set_times(times)
        .expect("ours");
    project.refire(&["run"]).succeeds().shows("8 ran");
    project.refire(&["run"]).succeeds().shows("0 ran, 8 cached");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_names_that_differ_in_case_refused() {
    let project = Project::with(
        r#"
[stage.read]
kind = "command"
argv = ["cp", "-r", "data", "out"]
files = ["data"]
outputs = { text = "out" }
"#,
    );
    project.write("elsewhere/a.txt", "one\n");
    std::os::unix::fs::symlink(project.path("elsewhere"), project.path("data")).expect("linked");
    assert_eq!(project.outcomes(&[]), ["read ran"]);
    project.write("elsewhere/a.txt", "two\n");
    assert_eq!(
        project.outcomes(&[]),
        ["read ran"],
        "what a link leads to is watched"
    );
    project.write("elsewhere/A.txt", "three\n");
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("differ only in upper and lower case");
}

/// A cache that only others may write to: what it holds can be used.
#[cfg(unix)]
#[test]
fn a_cache_that_can_only_be_read_serves_what_it_holds() {
    use std::os::unix::fs::PermissionsExt;
    let project = project();
    project.refire(&["run"]).succeeds();
    let mut modes = BTreeMap::new();
    let mut folders = vec![project.path(".refire/cache")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
        let permissions = std::fs::metadata(&folder).expect("there").permissions();
        modes.insert(folder.clone(), permissions);
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).expect("ours");
    }
    let ran = project.refire(&["run"]);
    for (folder, permissions) in modes {
        std::fs::set_permissions(folder, permissions).expect("ours");
    }
    ran.succeeds().shows("0 ran, 8 cached");
}
