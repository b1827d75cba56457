//! Earlier runs and other revisions: log, logs, metrics diff, params diff, why --against, gc, graph, plan.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Project;

const TWO: &str = r#"
[params]
greeting = "hello"

[stage.greet]
kind = "command"
argv = ["sh", "-c", "cat who.txt; echo ${params.greeting} > out.txt"]
files = ["who.txt"]
outputs = { text = "out.txt" }

[stage.shout]
kind = "command"
argv = ["sh", "-c", "tr a-z A-Z < greet/out.txt > out.txt"]
inputs = { greet = "greet" }
outputs = { text = "out.txt" }
"#;

fn project() -> Project {
    let project = Project::with(TWO);
    project.write("who.txt", "world\n");
    project
}

fn git(project: &Project, arguments: &[&str]) {
    let done = Command::new("git")
        .current_dir(project.path(""))
        .args(["-c", "user.name=test", "-c", "user.email=test@example.org"])
        .args(arguments)
        .output()
        .expect("git is installed");
    assert!(done.status.success(), "git {arguments:?}: {done:?}");
}

fn commit(project: &Project) {
    git(project, &["add", "--all", "--", ":!.refire"]);
    git(project, &["commit", "--quiet", "--message", "a state"]);
}

#[test]
fn earlier_runs_and_what_a_stage_wrote_in_them() {
    let project = project();
    project.refire(&["log"]).succeeds().shows("no run is known");
    project.refire(&["run"]).succeeds();
    project.refire(&["run"]).succeeds();
    let log = project.refire(&["log", "--json"]).succeeds().stdout();
    let runs: serde_json::Value = serde_json::from_str(&log).expect("JSON");
    assert_eq!(
        (&runs[0]["ran"], &runs[0]["cached"]),
        (&0.into(), &2.into())
    );
    assert_eq!(
        (&runs[1]["ran"], &runs[1]["cached"]),
        (&2.into(), &0.into())
    );
    project
        .refire(&["log", "-n", "1"])
        .succeeds()
        .prints("refire");
    // The second run ran nothing, so the log is the first one's.
    let text = project.refire(&["logs", "greet"]).succeeds().stdout();
    assert_eq!(text, "world\n");
    let first = runs[1]["run"].as_str().expect("a name");
    let text = project
        .refire(&["logs", "greet", "--run", first])
        .succeeds();
    assert_eq!(text.stdout(), "world\n");
    project
        .refire(&["logs", "shout"])
        .fails_with(2)
        .shows("stage `shout` has written no log");
    project
        .refire(&["logs", "greet", "--run", "yesterday"])
        .fails_with(2)
        .shows("there is no run `yesterday`");
    project
        .refire(&["logs", "greets"])
        .fails_with(2)
        .shows("the pipeline has no stage `greets`")
        .shows("did you mean `greet`?");
    // A stage that is gone from the file is not gone from its runs.
    project.edit("[stage.shout]", "[stage.cry]");
    project.edit("greet]", "say]");
    project.edit("greet = \"greet\"", "greet = \"say\"");
    let text = project.refire(&["logs", "greet"]).succeeds().stdout();
    assert_eq!(text, "world\n");
}

/// Two pipelines of one project, with a stage of the same name in each.
fn two_pipelines() -> Project {
    let project = Project::new();
    for name in ["a", "b"] {
        let pipeline = format!(
            "[params]\nend = 0\n[stage.say]\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"echo {name}; touch out; exit ${{params.end}}\"]\noutputs = {{ out = \"out\" }}\n[stage.other]\nkind = \"command\"\nargv = [\"touch\", \"out\"]\noutputs = {{ out = \"out\" }}\n"
        );
        project.write(&format!("pipelines/{name}.toml"), pipeline);
    }
    project
}

#[test]
fn logs_are_those_of_the_pipeline() {
    let project = two_pipelines();
    let (a, b) = ("pipelines/a.toml", "pipelines/b.toml");
    project.refire(&["run", a]).succeeds();
    project
        .refire(&["logs", b, "say"])
        .fails_with(2)
        .shows("stage `say` has written no log");
    project.refire(&["run", b]).succeeds();
    let log = |pipeline| project.refire(&["logs", pipeline, "say"]).succeeds();
    assert_eq!(
        (log(a).stdout(), log(b).stdout()),
        ("a\n".into(), "b\n".into())
    );
    let runs = project.refire(&["log", a, "--json"]).succeeds().stdout();
    let runs: Vec<serde_json::Value> = serde_json::from_str(&runs).expect("JSON");
    assert_eq!(runs.len(), 1);
    let all = project.refire(&["log", a, "--all", "--json"]).succeeds();
    let all: Vec<serde_json::Value> = serde_json::from_str(&all.stdout()).expect("JSON");
    assert_eq!(all.len(), 2);
    // A run that is named is that run.
    let run = runs[0]["run"].as_str().expect("a name");
    let named = project.refire(&["logs", b, "say", "--run", run]);
    assert_eq!(named.succeeds().stdout(), "a\n");
}

#[test]
fn a_failure_is_remembered_until_the_stage_ends_otherwise() {
    let project = two_pipelines();
    let (a, b) = ("pipelines/a.toml", "pipelines/b.toml");
    let fails = project.read(a).replace("end = 0", "end = 3");
    project.write(a, &fails);
    project.refire(&["run", a, "say"]).fails_with(1);
    let failed = "say    failed";
    project.refire(&["status", a]).succeeds().prints(failed);
    // Neither another pipeline's run nor one of other stages says anything about it.
    project.refire(&["run", b]).succeeds();
    project.refire(&["run", a, "other"]).succeeds();
    project.refire(&["status", a]).succeeds().prints(failed);
    project
        .refire(&["status", b])
        .succeeds()
        .prints("say    fresh");
    project.write(a, fails.replace("end = 3", "end = 0"));
    project.refire(&["run", a]).succeeds();
    project
        .refire(&["status", a])
        .succeeds()
        .prints("say    fresh");
    // A change makes it stale, and the failure before is forgotten.
    project.write(a, fails.replace("echo a", "echo aa"));
    project
        .refire(&["status", a])
        .succeeds()
        .prints("say    stale");
}

#[cfg(unix)]
#[test]
fn a_run_under_way_is_told_from_one_that_was_killed() {
    let project = Project::with(
        "[stage.wait]\nkind = \"command\"\nargv = [\"sleep\", \"120\"]\noutputs = { out = \"out\" }\n",
    );
    let mut running = Command::new(env!("CARGO_BIN_EXE_refire"))
        .current_dir(project.path(""))
        .arg("run")
        .env_remove("REFIRE_CACHE_DIR")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let log = || project.refire(&["log"]).succeeds().stdout();
    let end = Instant::now() + Duration::from_mins(1);
    while !log().contains("running") {
        assert!(Instant::now() < end, "{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    project
        .refire(&["log", "--json"])
        .succeeds()
        .prints("\"running\": true");
    running.kill().expect("it runs");
    running.wait().expect("it has ended");
    assert!(log().contains("did not end"), "{}", log());
    project
        .refire(&["log", "--json"])
        .succeeds()
        .prints("\"running\": false");
}

#[test]
fn a_run_whose_journal_cannot_be_written_goes_on() {
    let project = project();
    project.refire(&["run"]).succeeds();
    std::fs::remove_dir_all(project.path(".refire/runs")).expect("it is there");
    project.write(".refire/runs", "in the way");
    let ran = project.refire(&["run"]).succeeds();
    ran.shows("this run leaves no journal and no logs: cannot create")
        .shows("0 ran, 2 cached");
    // What has to run still runs.
    project.edit("greeting = \"hello\"", "greeting = \"good day\"");
    assert_eq!(project.outcomes(&[]), ["greet ran", "shout ran"]);
    project.refire(&["log"]).succeeds().shows("no run is known");
}

#[cfg(unix)]
#[test]
fn more_stages_than_files_may_be_open_keep_their_logs() {
    let mut pipeline = String::new();
    for stage in 0..80 {
        let text = format!(
            "[stage.s{stage}]\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"echo {stage}; touch out\"]\noutputs = {{ out = \"out\" }}\n"
        );
        pipeline.push_str(&text);
    }
    let project = Project::with(&pipeline);
    let ran = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" run"])
        .arg(env!("CARGO_BIN_EXE_refire"))
        .current_dir(project.path(""))
        .env_remove("REFIRE_CACHE_DIR")
        .output()
        .expect("a shell");
    assert!(ran.status.success(), "{ran:?}");
    for stage in ["s0", "s70", "s79"] {
        let log = project.refire(&["logs", stage]).succeeds().stdout();
        assert_eq!(log, format!("{}\n", &stage[1..]));
    }
}

#[test]
fn params_and_reasons_against_a_revision() {
    let project = project();
    git(&project, &["init", "--quiet"]);
    project.refire(&["run"]).succeeds();
    commit(&project);
    project
        .refire(&["params", "diff"])
        .succeeds()
        .shows("no param differs");
    project.edit("greeting = \"hello\"", "greeting = \"good day\"");
    project
        .refire(&["params", "diff"])
        .succeeds()
        .prints("\"hello\"")
        .prints("\"good day\"");
    let why = ["why", "greet", "--against", "HEAD"];
    project
        .refire(&why)
        .succeeds()
        .prints("`greet` differs from HEAD")
        .prints("echo hello > out.txt")
        .prints("echo good day > out.txt");
    project.refire(&["run"]).succeeds();
    project
        .refire(&["why", "shout", "--against", "HEAD"])
        .succeeds()
        .prints("input `greet` changed");
    // Without the cache of that time, settings and inputs still tell; files do not.
    project.refire(&["gc"]).succeeds();
    std::fs::remove_dir_all(project.path(".refire/cache/records")).expect("it is there");
    project.write("who.txt", "everybody\n");
    project
        .refire(&why)
        .succeeds()
        .prints("echo good day > out.txt")
        .prints("files are not compared");
    commit(&project);
    project
        .refire(&["params", "diff", "HEAD~1", "HEAD", "--json"])
        .succeeds()
        .prints("\"old\": \"\\\"hello\\\"\"");
    project
        .refire(&["params", "diff", "no-such-branch"])
        .fails_with(2)
        .shows("git knows no revision `no-such-branch`");
}

/// A lock in which stage `test` has this accuracy.
fn lock(accuracy: &str) -> String {
    let digest = "0e2f9b94b5a8e866c40c0346af0a54a3bd945bb91b28eb89aa60b00ae95bb92f";
    format!(
        "version = 1\n\n[stage.test]\nrecipe = \"{digest}\"\nkey = \"{digest}\"\n\n[stage.test.metrics]\naccuracy = {accuracy}\nloss = 0.5\n"
    )
}

#[test]
fn metrics_of_two_locks() {
    let project = project();
    project.edit("[stage.shout]", "[stage.test]");
    git(&project, &["init", "--quiet"]);
    project.write("refire.lock", lock("0.75"));
    commit(&project);
    project
        .refire(&["metrics", "diff"])
        .succeeds()
        .shows("no metric differs");
    project.write("refire.lock", lock("0.7625"));
    let text = project.refire(&["metrics", "diff"]).succeeds().stdout();
    insta::assert_snapshot!(text, @"
    stage  metric       old     new   change
    test   accuracy  0.7500  0.7625  +0.0125
    ");
    commit(&project);
    project.write("refire.lock", lock("0.5"));
    let between = ["metrics", "diff", "HEAD~1", "HEAD"];
    assert_eq!(project.refire(&between).succeeds().stdout(), text);
    let json = project
        .refire(&["metrics", "refire.toml", "--json", "diff", "HEAD~1", "HEAD"])
        .succeeds()
        .stdout();
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&rows[0]["old"], &rows[0]["new"]),
        (&0.75.into(), &0.7625.into())
    );
}

#[test]
fn the_pipeline_of_a_diff_stands_before_or_behind_the_word() {
    let project = project();
    git(&project, &["init", "--quiet"]);
    project.write("refire.lock", lock("0.75"));
    project.write("other.toml", "[params]\nx = 1\n[profile.p.params]\nx = 2\n[stage.test]\nkind = \"command\"\nargv = [\"true\"]\noutputs = { a = \"a\" }\n");
    project.write("other.lock", lock("0.25"));
    commit(&project);
    project.write("other.lock", lock("0.5"));
    project.write(
        "other.toml",
        project.read("other.toml").replace("x = 1", "x = 3"),
    );
    for arguments in [
        ["metrics", "diff", "other.toml"],
        ["metrics", "other.toml", "diff"],
    ] {
        project
            .refire(&arguments)
            .succeeds()
            .prints("0.2500  0.5000");
    }
    project
        .refire(&["params", "other.toml", "diff"])
        .succeeds()
        .prints("x      1    3");
    // What stands before the word holds for the comparison: under this profile nothing differs.
    project
        .refire(&["params", "other.toml", "--profile", "p", "diff"])
        .succeeds()
        .shows("no param differs");
    project
        .refire(&["metrics", "other", "diff"])
        .fails_with(2)
        .shows("did you mean `other.toml`?");
    project
        .refire(&["metrics", "something", "diff"])
        .fails_with(2)
        .shows("`something` is not a pipeline file");
}

#[test]
fn what_git_does_not_know_is_told_apart() {
    let project = project();
    let diff = ["metrics", "diff"];
    project
        .refire(&diff)
        .fails_with(2)
        .shows("`refire.lock` is in no git repository")
        .shows("git init");
    git(&project, &["init", "--quiet"]);
    project
        .refire(&diff)
        .fails_with(2)
        .shows("git knows no revision `HEAD`")
        .shows("nothing is committed yet");
    commit(&project);
    project
        .refire(&diff)
        .fails_with(2)
        .shows("`refire.lock` was not there at HEAD")
        .shows("git log -- refire.lock");
    project
        .refire(&["why", "greet", "--against", "HEAD"])
        .fails_with(2)
        .shows("`refire.lock` was not there at HEAD");
    project
        .refire(&["why", "greet", "--against", "nowhere"])
        .fails_with(2)
        .shows("git knows no revision `nowhere`");
    project.write("later.toml", TWO);
    project
        .refire(&["params", "later.toml", "diff"])
        .fails_with(2)
        .shows("`later.toml` was not there at HEAD");
}

#[test]
fn a_pipeline_in_a_folder_or_behind_a_link_has_its_history() {
    let project = Project::new();
    project.write("deep/er/p.toml", TWO);
    project.write("deep/er/who.txt", "world\n");
    git(&project, &["init", "--quiet"]);
    project.refire(&["run", "deep/er/p.toml"]).succeeds();
    #[cfg(unix)]
    std::os::unix::fs::symlink("deep/er/p.toml", project.path("link.toml")).expect("writable");
    commit(&project);
    let good = TWO.replace("greeting = \"hello\"", "greeting = \"good day\"");
    project.write("deep/er/p.toml", &good);
    project
        .refire(&["why", "deep/er/p.toml", "greet", "--against", "HEAD"])
        .succeeds()
        .prints("echo hello > out.txt")
        .prints("echo good day > out.txt");
    if cfg!(unix) {
        project
            .refire(&["params", "link.toml", "diff"])
            .succeeds()
            .prints("\"hello\"")
            .prints("\"good day\"");
        // A file that was a link at that revision.
        std::fs::remove_file(project.path("link.toml")).expect("it is there");
        project.write("link.toml", &good);
        project
            .refire(&["params", "link.toml", "diff"])
            .succeeds()
            .prints("\"hello\"");
    }
}

#[test]
fn what_no_lock_and_no_recent_run_needs_is_dropped() {
    let project = project();
    project.refire(&["run"]).succeeds();
    project.edit("greeting = \"hello\"", "greeting = \"good day\"");
    project.refire(&["run"]).succeeds();
    let runs = || {
        std::fs::read_dir(project.path(".refire/runs"))
            .expect("runs")
            .count()
    };
    assert_eq!(runs(), 2);
    project
        .refire(&["gc", "--keep-days", "0", "--dry-run"])
        .succeeds()
        .prints("would drop 0 results with 0 files: 0 B")
        .prints("spared 2 results and ")
        .prints("that are younger than 1 h 00 m: they may belong to a run that is under way")
        .prints("the logs of 1 run");
    assert_eq!(runs(), 2);
    project.refire(&["gc", "--keep-days", "0"]).succeeds();
    assert_eq!(runs(), 1, "the latest run is kept");
    // What was made within the last hour may still be on its way into a record, and what the lock names stays anyway.
    assert_eq!(project.outcomes(&[]), ["greet cached", "shout cached"]);
    project
        .refire(&["gc", "--max-size", "5B"])
        .succeeds()
        .prints("that is more than --max-size 5 B: locks and runs under way need ")
        .prints("are too young to go");
    let roomy = project.refire(&["gc", "--max-size", "1GB"]).succeeds();
    assert!(!roomy.stdout().contains("spared"), "{}", roomy.stdout());
    project
        .refire(&["gc", "--max-size", "lots"])
        .fails_with(2)
        .shows("cannot read `lots`");
}

#[test]
fn the_graph_in_three_ways() {
    let project = project();
    let drawn = project.refire(&["graph"]).succeeds().stdout();
    insta::assert_snapshot!(drawn, @"
    ●  greet  command
    ●  shout  command
    ");
    project
        .refire(&["graph", "--format", "mermaid"])
        .succeeds()
        .prints("flowchart LR")
        .prints("s0 -->|\"greet\"| s1");
    project
        .refire(&["graph", "--format", "dot"])
        .succeeds()
        .prints("s0 -> s1 [label=\"greet\"];");
}

#[test]
fn a_plan_says_how_long_and_what_comes_from_the_cache() {
    let project = project();
    project
        .refire(&["plan"])
        .succeeds()
        .prints("1 to run, never timed here; 1 may have to run, never timed here");
    project.refire(&["run"]).succeeds();
    project.edit("greeting = \"hello\"", "greeting = \"good day\"");
    project
        .refire(&["plan"])
        .succeeds()
        .prints("1 to run, about");
    project.refire(&["run"]).succeeds();
    project.edit("greeting = \"good day\"", "greeting = \"hello\"");
    let plan = project.refire(&["plan", "--json"]).succeeds().stdout();
    let rows: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    assert_eq!(rows[0]["action"], "restore");
    assert_eq!(rows[1]["action"], "restore");
}
