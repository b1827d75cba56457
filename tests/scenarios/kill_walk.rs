//! Kills between any two changes of a file: whatever a run was about to write, the next run ends as one that was left alone.
//!
//! A walk tries some of the events of a command, others each time. `REFIRE_WALK=full cargo test --release walk` tries all of
//! them, a number so many of each command.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::collections::BTreeMap;

use crate::kills::check_cache;
use crate::support::Project;
use crate::tracing::{Deed, End, Event, trace};
use crate::walks::{chance, copy, files, project, say};

/// How many events of a command are tried.
const TRIED: usize = 14;

/// A command that is killed, and what it finds.
struct Scene<'a> {
    before: &'a Project,
    arguments: &'a [&'a str],
    /// It is interrupted as well, when the training has begun; it is killed after that.
    interrupted: bool,
}

impl Scene<'_> {
    /// Plays it once, with this done at the event of this number; gives how many events there were.
    fn play(&self, project: &Project, at: usize, deed: Deed) -> (End, usize) {
        let (mut events, mut skipped, mut begun) = (0, 0, !self.interrupted);
        let end = trace(project, self.arguments, &mut |event: &Event| {
            if !begun {
                begun = event.what.starts_with("write ") && event.what.ends_with("/tune.log");
                skipped = event.number + 1;
                return if begun {
                    Deed::Interrupt
                } else {
                    Deed::Nothing
                };
            }
            let number = event.number - skipped;
            events = number + 1;
            if number != at {
                return Deed::Nothing;
            }
            say(&format!("{deed:?} before event {number}, {}", event.what));
            deed
        });
        (end, events)
    }

    /// Kills at some events or all; `check` then looks at the project.
    fn walk(&self, check: &dyn Fn(&Project)) {
        let (end, events) = self.play(&copy(self.before), usize::MAX, Deed::Nothing);
        let expected = if self.interrupted { 130 } else { 0 };
        assert_eq!(end, End::Code(expected), "left alone");
        let tried = match std::env::var("REFIRE_WALK").as_deref() {
            Ok("full") => events,
            Ok(number) => number.parse().expect("`full` or a number"),
            Err(_) => TRIED,
        };
        let step = (events / tried.max(1)).max(1);
        let start = chance() % step;
        let mut killed = 0;
        for (trial, at) in (start..events).step_by(step).enumerate() {
            // The one process alone, too: the runner without its worker, the worker without its runner.
            let deed = [Deed::KillAll, Deed::KillOne][trial % 3 / 2];
            let project = copy(self.before);
            let (end, _) = self.play(&project, at, deed);
            killed += usize::from(end == End::Killed);
            check(&project);
        }
        say(&format!(
            "{} of {events} events were tried",
            (events - start).div_ceil(step)
        ));
        assert!(killed > 0, "nothing was killed");
    }
}

/// Runs the pipeline in what a kill has left, and compares with what it comes to when it is left alone.
fn goes_on(project: &Project, expected: &BTreeMap<String, Vec<u8>>) {
    check_cache(&project.path(".refire/cache"));
    if let Ok(lock) = std::fs::read_to_string(project.path("refire.lock")) {
        let whole = lock.starts_with('#') && lock.ends_with('\n');
        assert!(whole, "the lock is half-written");
    }
    project.refire(&["run"]).succeeds();
    check_cache(&project.path(".refire/cache"));
    assert_eq!(
        project.read("refire.lock").as_bytes(),
        expected["refire.lock"]
    );
    let left = files(&project.path("."));
    let names: Vec<_> = left.keys().collect();
    assert!(left == *expected, "other files than expected: {names:?}");
    let checkpoints = std::fs::read_dir(project.path(".refire/cache/checkpoints"));
    let checkpoints = checkpoints.into_iter().flatten().count();
    assert_eq!(checkpoints, 0, "checkpoints are left");
    project.refire(&["gc"]).succeeds();
    project.refire(&["status"]).succeeds();
    let locked = project.refire(&["run", "--locked"]).succeeds();
    locked.shows("0 ran, 8 cached");
}

/// A project whose training was interrupted.
pub(crate) fn interrupted() -> Project {
    let project = project();
    let scene = Scene {
        before: &project,
        arguments: &["run"],
        interrupted: true,
    };
    let (end, _) = scene.play(&project, usize::MAX, Deed::Nothing);
    assert_eq!(end, End::Code(130));
    let kept = std::fs::read_dir(project.path(".refire/cache/checkpoints"));
    assert_eq!(kept.expect("a folder").count(), 1, "a checkpoint is kept");
    project
}

/// What the project comes to.
fn undisturbed() -> (Project, BTreeMap<String, Vec<u8>>) {
    let project = project();
    project.refire(&["run"]).succeeds();
    let files = files(&project.path("."));
    (project, files)
}

#[test]
fn a_walk_of_kills_through_a_first_run() {
    let expected = undisturbed().1;
    let scene = Scene {
        before: &project(),
        arguments: &["run"],
        interrupted: false,
    };
    scene.walk(&|project| goes_on(project, &expected));
}

#[test]
fn a_walk_of_kills_through_a_run_that_is_interrupted() {
    let expected = undisturbed().1;
    let before = project();
    before.refire(&["run", "frozen", "split"]).succeeds();
    let scene = Scene {
        before: &before,
        arguments: &["run"],
        interrupted: true,
    };
    scene.walk(&|project| goes_on(project, &expected));
}

#[test]
fn a_walk_of_kills_through_a_run_that_goes_on_with_a_training() {
    let expected = undisturbed().1;
    let scene = Scene {
        before: &interrupted(),
        arguments: &["run"],
        interrupted: false,
    };
    scene.walk(&|project| goes_on(project, &expected));
}

#[test]
fn a_walk_of_kills_through_a_run_after_an_edit() {
    let (before, _) = undisturbed();
    before.edit("length(text) > 3", "length(text) > 9");
    before.write("words.txt", "plum\n");
    let after = copy(&before);
    after.refire(&["run"]).succeeds();
    let expected = files(&after.path("."));
    let scene = Scene {
        before: &before,
        arguments: &["run"],
        interrupted: false,
    };
    scene.walk(&|project| goes_on(project, &expected));
}

#[test]
fn a_walk_of_kills_through_a_copy_of_a_result() {
    let (before, _) = undisturbed();
    let get = ["get", "tune", "tuned"];
    let after = copy(&before);
    after.refire(&get).succeeds();
    let expected = files(&after.path("."));
    let scene = Scene {
        before: &before,
        arguments: &get,
        interrupted: false,
    };
    scene.walk(&|project| {
        // Whole, or not at all.
        if !project.path("tuned").exists() {
            project.refire(&get).succeeds();
        }
        let left = files(&project.path("."));
        let names: Vec<_> = left.keys().collect();
        assert!(left == expected, "other files than expected: {names:?}");
    });
}
