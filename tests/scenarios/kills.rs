//! Kills at random moments, and what else may go wrong around a run: the result is the undisturbed one, bit by bit.
//!
//! `REFIRE_KILLS=200 cargo test --release kills` kills 200 times instead of 20.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::processes::{kill, processes, settle, start};
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

/// Every object of the cache has the content that it is named by; every record, manifest and lock is whole.
pub(crate) fn check_cache(cache: &Path) {
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
        let mut run = start(&project, &["run", "-j", "3"]);
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
    let run = || start(&project, &["run", "-j", "3"]);
    let runs = [run(), run()];
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

/// A cache that only others may write to: what it holds can be used, what it does not hold fails with a clear word.
#[cfg(target_os = "linux")]
#[test]
fn a_cache_that_can_only_be_read_serves_what_it_holds() {
    use std::os::unix::fs::PermissionsExt;
    let project = project();
    project.refire(&["run"]).succeeds();
    // What a run would write down beside its results: that it has hashed this file.
    project.write("words.txt", "pear\napple\n".repeat(500));
    let set = |mode: u32| {
        let mut folders = vec![project.path(".refire/cache")];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).expect("readable").flatten();
            folders.extend(
                entries
                    .map(|entry| entry.path())
                    .filter(|path| path.is_dir()),
            );
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&folder, permissions).expect("ours");
        }
    };
    let run = || {
        // Who may do everything is asked to do without: permissions would not stop them.
        let mut command = Command::new("setpriv");
        command.args([
            "--bounding-set=-dac_override,-dac_read_search",
            env!("CARGO_BIN_EXE_refire"),
        ]);
        command
            .args(["run", "--format", "plain"])
            .current_dir(project.path(""));
        let end = command
            .env_remove("REFIRE_CACHE_DIR")
            .output()
            .expect("setpriv, of util-linux, is there");
        (
            end.status.code(),
            String::from_utf8_lossy(&end.stderr).into_owned(),
        )
    };
    set(0o555);
    let cached = run();
    project.edit("cksum", "wc -c");
    let new = run();
    set(0o755);
    assert_eq!(cached.0, Some(0), "{}", cached.1);
    assert!(cached.1.contains("0 ran, 8 cached"), "{}", cached.1);
    assert_eq!(new.0, Some(1), "{}", new.1);
    assert!(new.1.contains("whether it is writable"), "{}", new.1);
    assert!(new.1.contains("7 cached, 1 failed"), "{}", new.1);
}

/// Two runs of different stages write the same lock; neither takes back what the other has written.
#[test]
fn runs_of_different_stages_keep_each_others_entries() {
    let project = Project::with(
        r#"
[stage.slow]
kind = "command"
argv = ["sh", "-c", "sleep 0.8; echo slow > out.txt"]
outputs = { text = "out.txt" }

[stage.quick]
kind = "command"
argv = ["sh", "-c", "echo quick > out.txt"]
outputs = { text = "out.txt" }
"#,
    );
    let slow = Command::new(env!("CARGO_BIN_EXE_refire"))
        .args(["run", "slow"])
        .current_dir(project.path(""))
        .env_remove("REFIRE_CACHE_DIR")
        .stderr(Stdio::null())
        .spawn();
    std::thread::sleep(Duration::from_millis(200));
    project.refire(&["run", "quick"]).succeeds();
    assert!(
        slow.expect("it starts")
            .wait()
            .expect("it is ours")
            .success()
    );
    let lock = project.read("refire.lock");
    assert!(
        lock.contains("[stage.slow]") && lock.contains("[stage.quick]"),
        "{lock}"
    );
    project
        .refire(&["run", "--locked"])
        .succeeds()
        .shows("0 ran, 2 cached");
}

/// A file that changes while a stage reads it: nothing is written down of which nobody knows what it was made of.
#[test]
fn what_was_made_of_a_moving_file_enters_no_lock() {
    let project = Project::with(
        r#"
[stage.read]
kind = "command"
argv = ["sh", "-c", "cp data.txt out.txt; sleep 0.6"]
files = ["data.txt"]
outputs = { text = "out.txt" }

[stage.after]
kind = "command"
argv = ["cp", "read/out.txt", "out.txt"]
inputs = { read = "read" }
outputs = { text = "out.txt" }
"#,
    );
    project.write("data.txt", "one\n");
    let run = Command::new(env!("CARGO_BIN_EXE_refire"))
        .arg("run")
        .current_dir(project.path(""))
        .env_remove("REFIRE_CACHE_DIR")
        .stderr(Stdio::null())
        .spawn();
    std::thread::sleep(Duration::from_millis(350));
    project.write("data.txt", "two\n");
    assert!(
        run.expect("it starts")
            .wait()
            .expect("it is ours")
            .success()
    );
    assert!(
        !project.path("refire.lock").exists(),
        "{}",
        project.read("refire.lock")
    );
    assert_eq!(project.outcomes(&[]), ["read ran", "after ran"]);
    project
        .refire(&["run", "--locked"])
        .succeeds()
        .shows("0 ran, 2 cached");
}
