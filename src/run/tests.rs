//! Tests of whole runs, on `command` stages in a temporary project.
#![expect(clippy::disallowed_methods, reason = "tests write files of their own")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::collect::{Wanted, collect_beyond};
use super::{Project, Request, run};
use crate::config::Overrides;
use crate::error::Kind;
use crate::event::{Event, Outcome};
use crate::exec::{Forecast, InProcess, Summary, in_words};
use crate::plan::Goal;

struct Sandbox {
    folder: tempfile::TempDir,
}

/// Three stages in a row: `upper` makes capitals of a file, `sorted` sorts the lines, `count` counts them.
const PIPELINE: &str = r#"
[params]
order = "-f"

[stage.upper]
kind = "command"
argv = ["sh", "-c", "tr a-z A-Z < words.txt > out.txt"]
files = ["words.txt"]
outputs = { text = "out.txt" }

[stage.sorted]
kind = "command"
argv = ["sh", "-c", "sort ${params.order} upper/out.txt > out.txt"]
inputs = { upper = "upper" }
outputs = { text = "out.txt" }

[stage.count]
kind = "command"
argv = ["sh", "-c", "wc -l < sorted/out.txt > out.txt"]
inputs = { sorted = "sorted" }
outputs = { text = "out.txt" }
"#;

impl Sandbox {
    fn new(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(".refire")).expect("a workspace");
        let sandbox = Self { folder };
        sandbox.write("words.txt", "pear\napple\n");
        sandbox.write("p.toml", pipeline);
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    fn project(&self) -> Project {
        Project::open(&self.path("p.toml"), &Overrides::default()).expect("a valid pipeline")
    }

    fn run(&self, request: &Request) -> Summary {
        run(
            &mut self.project(),
            request,
            &InProcess,
            &|_: &Event| {},
            &|| false,
        )
        .expect("the run begins")
    }

    /// How each stage ended: one letter a stage.
    fn outcomes(&self, request: &Request) -> String {
        let letter = |outcome: &Option<Outcome>| match outcome {
            None => '-',
            Some(Outcome::Ran) => 'r',
            Some(Outcome::Cached) => 'c',
            Some(Outcome::Failed) => 'f',
            Some(Outcome::Skipped) => 's',
            Some(Outcome::Cancelled) => 'x',
        };
        self.run(request).outcomes.iter().map(letter).collect()
    }

    fn plan(&self) -> Vec<String> {
        let project = self.project();
        let previews = project.preview(&Goal::default(), false).expect("a plan");
        let text = |forecast: &Forecast| match forecast {
            Forecast::Cached(_) => "cached".to_string(),
            Forecast::Fails(_, error) => format!("fails: {error}"),
            Forecast::Skipped { needs } => format!("skipped: `{needs}`"),
            Forecast::Run(reasons) => format!("run: {}", in_words(reasons)),
            Forecast::Depends(reasons) => format!("depends: {}", in_words(reasons)),
        };
        previews
            .iter()
            .map(|preview| text(&preview.forecast))
            .collect()
    }
}

fn everything() -> Request {
    Request::default()
}

fn stages(names: &[&str]) -> Request {
    let stages = names.iter().map(ToString::to_string).collect();
    Request {
        goal: Goal {
            stages,
            ..Goal::default()
        },
        ..Request::default()
    }
}

#[test]
fn only_what_changed_runs() {
    let sandbox = Sandbox::new(PIPELINE);
    assert_eq!(
        sandbox.plan(),
        [
            "run: no earlier result",
            "depends: `upper` runs first",
            "depends: `sorted` runs first"
        ]
    );
    assert_eq!(sandbox.outcomes(&everything()), "rrr");
    assert_eq!(sandbox.outcomes(&everything()), "ccc");
    let lock = fs::read_to_string(sandbox.path("p.lock")).expect("a lock");

    // The same words in another order: `sorted` gives the same, so `count` need not run.
    sandbox.write("words.txt", "apple\npear\n");
    assert_eq!(sandbox.plan()[0], "run: file `words.txt` changed");
    assert_eq!(sandbox.outcomes(&everything()), "rrc");

    // Back to what it was: nothing runs, and the lock is the old one.
    sandbox.write("words.txt", "pear\napple\n");
    assert_eq!(sandbox.outcomes(&everything()), "ccc");
    assert_eq!(
        fs::read_to_string(sandbox.path("p.lock")).expect("a lock"),
        lock
    );

    sandbox.write("p.toml", &PIPELINE.replace("\"-f\"", "\"-r\""));
    assert_eq!(
        sandbox.plan()[1..],
        [
            r#"run: argv: ["sh","-c","sort -f upper/out.txt > out.txt"] → ["sh","-c","sort -r upper/out.txt > out.txt"]"#,
            "depends: `sorted` runs first"
        ]
    );
    assert_eq!(sandbox.outcomes(&everything()), "crr");
}

#[test]
fn goals_force_and_single() {
    let sandbox = Sandbox::new(PIPELINE);
    assert_eq!(sandbox.outcomes(&stages(&["sorted"])), "rr-");
    let mut single = stages(&["count"]);
    single.goal.single = true;
    assert_eq!(sandbox.outcomes(&single), "--r");
    let mut forced = stages(&["upper"]);
    forced.force = true;
    forced.goal.downstream = true;
    assert_eq!(sandbox.outcomes(&forced), "rrr");
    let mut forced = stages(&["sorted"]);
    forced.force = true;
    assert_eq!(sandbox.outcomes(&forced), "cr-");

    sandbox.write("words.txt", "fig\n");
    let error = run(
        &mut sandbox.project(),
        &single,
        &InProcess,
        &|_: &Event| {},
        &|| false,
    )
    .err()
    .expect("inputs are missing");
    assert_eq!(
        error.message(),
        "stage `upper` is needed, but its result is not in the cache"
    );
}

#[test]
fn a_failure_skips_what_depends_on_it() {
    let sandbox = Sandbox::new(&PIPELINE.replace("sort ${params.order}", "echo no >&2; exit 3;"));
    let summary = sandbox.run(&everything());
    assert_eq!(
        summary.outcomes,
        [
            Some(Outcome::Ran),
            Some(Outcome::Failed),
            Some(Outcome::Skipped)
        ]
    );
    let error = summary.verdict().expect("a failure");
    assert_eq!(error.kind(), Kind::Stage);
    assert!(error.message().ends_with("exit status: 3"), "{error}");
    // What ended well is kept.
    assert_eq!(sandbox.outcomes(&everything()), "cfs");
}

#[test]
fn commands_see_only_what_is_declared() {
    let sandbox = Sandbox::new(&PIPELINE.replace("files = [\"words.txt\"]", ""));
    assert_eq!(sandbox.outcomes(&everything()), "fss");
    let sandbox =
        Sandbox::new(&PIPELINE.replace("> out.txt\"]\nfiles", "> elsewhere.txt\"]\nfiles"));
    let summary = sandbox.run(&everything());
    assert_eq!(
        summary.verdict().expect("a failure").message(),
        "the command made no `out.txt`"
    );
}

#[test]
fn locks_are_checked_and_left_alone() {
    let sandbox = Sandbox::new(PIPELINE);
    let locked = Request {
        locked: true,
        ..Request::default()
    };
    let refused = |sandbox: &Sandbox| {
        run(
            &mut sandbox.project(),
            &locked,
            &InProcess,
            &|_: &Event| {},
            &|| false,
        )
        .err()
        .expect("out of date")
        .kind()
    };
    assert_eq!(refused(&sandbox), Kind::Locked);
    assert_eq!(sandbox.outcomes(&everything()), "rrr");
    assert_eq!(sandbox.outcomes(&locked), "ccc");
    sandbox.write("words.txt", "fig\n");
    assert_eq!(refused(&sandbox), Kind::Locked);
}

#[test]
fn damage_in_the_cache_is_found_and_mended() {
    let sandbox = Sandbox::new(PIPELINE);
    let first = sandbox.run(&everything());
    let objects: Vec<PathBuf> = walk(&sandbox.path(".refire/cache/objects"));
    assert_eq!(objects.len(), 3);
    for object in objects {
        let mut bytes = fs::read(&object).expect("an object");
        bytes[0] ^= 1;
        fs::remove_file(&object).expect("removed");
        fs::write(&object, bytes).expect("damaged");
        let again = sandbox.run(&everything());
        assert_eq!(again.count(&[Outcome::Failed, Outcome::Skipped]), 0);
        let outputs = |summary: &Summary| -> Vec<_> {
            summary
                .results
                .iter()
                .flatten()
                .map(|record| record.outputs.clone())
                .collect()
        };
        assert_eq!(outputs(&again), outputs(&first));
        assert!(
            again.count(&[Outcome::Ran]) >= 1,
            "the damage to {} was not noticed",
            object.display()
        );
    }
    assert_eq!(sandbox.outcomes(&everything()), "ccc");
}

#[test]
fn an_interrupted_run_keeps_what_was_finished() {
    let sandbox = Sandbox::new(&PIPELINE.replace("wc -l", "sleep 60; wc -l"));
    let started = std::time::Instant::now();
    let stop = || started.elapsed().as_millis() > 700;
    let summary = run(
        &mut sandbox.project(),
        &everything(),
        &InProcess,
        &|_: &Event| {},
        &stop,
    )
    .expect("the run begins");
    assert_eq!(
        summary.verdict().map(crate::error::Error::kind),
        Some(Kind::Interrupted)
    );
    assert!(started.elapsed().as_secs() < 10);
    assert_eq!(sandbox.plan()[..2], ["cached", "cached"]);
}

#[test]
fn stages_run_side_by_side_and_equal_ones_once() {
    // Each of two commands waits for the other one to begin.
    let folder = tempfile::tempdir().expect("a folder");
    let marks = folder.path().display();
    let stage = |name: &str, own: &str, other: &str| {
        format!(
            "[stage.{name}]\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"touch {marks}/{own}; n=0; \
             until test -e {marks}/{other}; do n=$((n + 1)); test $n -lt 600 || exit 1; sleep 0.1; done; echo {own} > out.txt\"]\n\
             outputs = {{ text = \"out.txt\" }}\n"
        )
    };
    let sandbox = Sandbox::new(
        &[
            stage("a", "x", "y"),
            stage("b", "y", "x"),
            stage("c", "x", "y"),
        ]
        .concat(),
    );
    let summary = sandbox.run(&Request {
        jobs: 3,
        ..Request::default()
    });
    assert_eq!(
        summary.outcomes,
        [
            Some(Outcome::Ran),
            Some(Outcome::Ran),
            Some(Outcome::Cached)
        ]
    );
}

#[test]
fn failed_stages_are_tried_again_and_others_go_on() {
    // The command fails until it finds the mark that its first attempt left beside the project.
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("mark").display().to_string();
    let flaky = format!(
        "[stage.flaky]\nkind = \"command\"\nretries = 1\nargv = [\"sh\", \"-c\", \"test -e {mark} || {{ touch {mark}; exit 1; }}; echo > out.txt\"]\n\
         outputs = {{ text = \"out.txt\" }}\n[stage.bad]\nkind = \"command\"\nargv = [\"false\"]\noutputs = {{ text = \"out.txt\" }}\n"
    );
    let sandbox = Sandbox::new(
        &(flaky
            + &PIPELINE
                .replace("[params]\norder = \"-f\"", "")
                .replace("${params.order}", "")),
    );
    let summary = sandbox.run(&Request {
        keep_going: true,
        ..Request::default()
    });
    assert_eq!(summary.count(&[Outcome::Ran]), 4);
    assert_eq!(summary.count(&[Outcome::Failed]), 1);
}

#[cfg(unix)]
#[test]
fn what_others_on_the_same_cache_need_is_not_collected() {
    let (ours, theirs) = (Sandbox::new(PIPELINE), Sandbox::new(PIPELINE));
    theirs.write("words.txt", "plum\n");
    ours.run(&everything());
    std::os::unix::fs::symlink(ours.path(".refire/cache"), theirs.path(".refire/cache"))
        .expect("linked");
    theirs.run(&everything());
    let lock = fs::read(theirs.path("p.lock")).expect("a lock");
    let wanted = Wanted {
        recent: Duration::ZERO,
        max_bytes: None,
        dry_run: false,
    };
    let collect = || {
        let workspace = ours.project().workspace;
        collect_beyond(&workspace, wanted, Duration::ZERO).expect("collected")
    };
    assert_eq!(collect().cache.records, 0);
    assert_eq!(theirs.outcomes(&everything()), "ccc");
    // A project that is gone needs nothing.
    fs::remove_file(theirs.path("p.lock")).expect("removed");
    assert_eq!(collect().cache.records, 3);
    fs::write(theirs.path("p.lock"), lock).expect("written");
    assert_eq!(theirs.outcomes(&everything()), "rrr");
    assert_eq!(ours.outcomes(&everything()), "ccc");
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
