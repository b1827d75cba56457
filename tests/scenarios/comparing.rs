//! Runs of a matrix side by side: `compare` and `select`.

use serde_json::Value;

use crate::support::Project;

/// Two ways at two budgets and three seeds, whose figures stand in the pipeline itself; one of each is a model.
const RUNS: &str = r#"
[params.grid]
labels = [8, 16]
seed = [0, 1, 2]

[stage.tuned]
kind = "command"
argv = ["sh", "-c", "echo \"{\\\"accuracy\\\": 0.7${matrix.labels}${matrix.seed}, \\\"log_loss\\\": 0.5}\" > metrics.json"]
outputs = { metrics = { path = "metrics.json", type = "metrics" } }
matrix = "${params.grid}"

[stage.scratch]
kind = "command"
argv = ["sh", "-c", "echo \"{\\\"accuracy\\\": 0.5${matrix.labels}${matrix.seed}, \\\"log_loss\\\": 0.75}\" > metrics.json"]
outputs = { metrics = { path = "metrics.json", type = "metrics" } }
matrix = "${params.grid}"

[stage.gain]
kind = "compare"
results = { tuned = "tuned", scratch = "scratch" }
baseline = "scratch"
sort = "matrix"
gate = { accuracy_gain = "> 0.1" }
"#;

#[test]
fn a_comparison_is_shown_kept_and_gated() {
    let project = Project::with(RUNS);
    let ran = project.refire(&["run"]).succeeds();
    ran.shows("means over `seed` ± half of the 95 % interval; `seconds` is the mean time of a run; * is the best by `accuracy`");
    let log = project.refire(&["logs", "gain"]).succeeds().stdout();
    let (log, seconds) = without_seconds(&log);
    assert_eq!(seconds.len(), 4);
    insta::assert_snapshot!(log, @"
    means over `seed` ± half of the 95 % interval; `seconds` is the mean time of a run; * is the best by `accuracy`
       results  labels  runs  accuracy         gain
       scratch       8     3  0.5810 ± 0.0025
    *  tuned         8     3  0.7810 ± 0.0025  +0.2000 ± 0.0000
       scratch      16     3  0.5161 ± 0.0002
       tuned        16     3  0.7161 ± 0.0002  +0.2000 ± 0.0000

       results  labels  log_loss         gain
       scratch       8  0.7500 ± 0.0000
    *  tuned         8  0.5000 ± 0.0000  +0.2500 ± 0.0000
       scratch      16  0.7500 ± 0.0000
       tuned        16  0.5000 ± 0.0000  +0.2500 ± 0.0000
    ");
    project
        .refire(&["get", "gain.metrics", "figures"])
        .succeeds();
    let kept: Value = serde_json::from_str(&project.read("figures/metrics.json")).expect("JSON");
    let rows = kept["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[1]["results"], "tuned");
    assert_eq!(rows[1]["matrix"]["labels"], "8");
    let gain = rows[1]["figures"]["accuracy"]["gain"]["mean"].as_f64();
    assert!((gain.expect("a number") - 0.2).abs() < 1e-9);
    // Lower is better for a loss, which is known of the figure's name.
    assert_eq!(kept["figures"]["log_loss_gain"], 0.25);

    project.edit("> 0.1", "> 0.3");
    project
        .refire(&["run"])
        .fails_with(3)
        .shows("accuracy_gain is 0.2000, but the gate asks for > 0.3");
    project.edit("baseline = \"scratch\"", "");
    project
        .refire(&["check"])
        .fails_with(2)
        .shows("the gate on `accuracy_gain` needs a `baseline` to gain over");
}

/// A comparison without its column of seconds, and what stands in that.
fn without_seconds(log: &str) -> (String, Vec<f64>) {
    let head = log.lines().nth(1).expect("a head");
    let from = head.find("seconds").expect("there are times");
    let after = from + "seconds  ".len();
    // Figures that do not fit stand below.
    let rows = log.lines().skip(1).take_while(|line| !line.is_empty());
    let count = rows.clone().count();
    let seconds = rows.skip(1).map(|row| row[from..after].trim().parse());
    let seconds = seconds.collect::<Result<_, _>>().expect("numbers");
    let mut lines: Vec<String> = log.lines().map(str::to_owned).collect();
    for line in &mut lines[1..=count] {
        line.replace_range(from..after, "");
    }
    (lines.join("\n"), seconds)
}

/// Two runs of each way, one of which takes its time over the model and none over measuring it.
const TIMED: &str = r#"
[stage.tune]
kind = "command"
argv = ["sh", "-c", "sleep ${matrix.rest}; mkdir m; echo '{}' > m/config.json"]
outputs = { model = { path = "m", type = "model" } }
matrix = { rest = [0, 0.4], seed = [0, 1] }

[stage.test]
kind = "command"
argv = ["sh", "-c", "echo \"{\\\"accuracy\\\": 0.7${matrix.seed}}\" > metrics.json"]
inputs = { model = "tune@rest=${matrix.rest},seed=${matrix.seed}" }
outputs = { metrics = { path = "metrics.json", type = "metrics" } }
matrix = { rest = [0, 0.4], seed = [0, 1] }

[stage.gain]
kind = "compare"
results = { test = "test" }
sort = "matrix"
"#;

#[test]
#[cfg(unix)]
fn times_are_shown_and_in_no_artifact() {
    let project = Project::with(TIMED);
    project.refire(&["run"]).succeeds();
    let seconds = || {
        let log = project.refire(&["logs", "gain"]).succeeds().stdout();
        without_seconds(&log).1
    };
    let outputs = || {
        let lock = project.read("refire.lock");
        let (_, gain) = lock.split_once("[stage.gain]").expect("it ran");
        gain.to_owned()
    };
    let (times, made) = (seconds(), outputs());
    assert!(
        times[0] < 0.4 && times[1] >= 0.4,
        "of the models: {times:?}"
    );
    // Made anew, from trainings that were cached: the time is that of their records, and the result is the same.
    let again = project.refire(&["run", "--force", "gain"]).succeeds();
    again.shows("`seconds` is the mean time of a run");
    assert_eq!(seconds(), times);
    // Other times, and all else the same: the comparison is up to date.
    project.refire(&["run", "--force", "tune"]).succeeds();
    project.refire(&["run", "--force", "gain"]).succeeds();
    assert!(seconds()[1] >= 0.4);
    assert_eq!(outputs(), made);
    for (port, file) in [
        ("gain.metrics", "metrics.json"),
        ("gain.table", "table.parquet"),
    ] {
        project.refire(&["get", port, port]).succeeds();
        let bytes = std::fs::read(project.path(format!("{port}/{file}"))).expect("readable");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("seconds"), "{file}");
    }

    // Of instances the figures say their times as well, and the page beside its comparison.
    let shown = project.refire(&["metrics"]).succeeds().stdout();
    assert!(!shown.contains("time"), "no figure is recorded: {shown}");
    project.refire(&["report", "-o", "page.html"]).succeeds();
    let page = project.read("page.html");
    let (_, comparison) = page.split_once("comparison gain").expect("it is there");
    let (head, _) = comparison.split_once("</thead>").expect("a table");
    let place = |name: &str| {
        head.find(name)
            .unwrap_or_else(|| panic!("{name} in {head}"))
    };
    assert!(place("runs") < place("seconds") && place("seconds") < place("accuracy"));
}

#[test]
fn what_cannot_be_compared_is_refused_where_it_is_written() {
    let project = Project::with(RUNS);
    project.edit("baseline = \"scratch\"", "baseline = \"scrathc\"");
    project
        .refire(&["check"])
        .fails_with(2)
        .shows("`results` has no `scrathc`")
        .shows("did you mean `scratch`?");
    project.edit("baseline = \"scrathc\"", "baseline = \"labels=32\"");
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("no result has these values")
        .shows("baseline = \"labels=32\"");
    project.edit("baseline = \"labels=32\"", "over = \"sead\"");
    project.edit("gate = { accuracy_gain = \"> 0.1\" }", "");
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("no result has the key `sead`")
        .shows("the keys of the matrices: labels, seed");
    project.edit("over = \"sead\"", "metrics = [\"acuracy\"]");
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("no result has the figure `acuracy`")
        .shows("did you mean `accuracy`?");
    project.edit("metrics = [\"acuracy\"]", "metrics = []");
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("the results have no figure in common");
    project.edit("metrics = []", "models = { other = \"tuned\" }");
    project
        .refire(&["check"])
        .fails_with(2)
        .shows("`results` has no `other`");
}

#[test]
fn the_best_model_is_chosen_by_a_figure_that_each_has() {
    let project = Project::with(
        r#"
[stage.tune]
kind = "command"
argv = ["sh", "-c", "mkdir m; echo '{}' > m/config.json; echo ${matrix.rate} > m/rate"]
outputs = { model = { path = "m", type = "model" } }
matrix = { rate = [1, 2, 3] }

[stage.check]
kind = "command"
argv = ["sh", "-c", "echo \"{\\\"rmse\\\": 0.${matrix.rate}, \\\"cost\\\": 5}\" > metrics.json"]
inputs = { model = "tune@rate=${matrix.rate}" }
outputs = { metrics = { path = "metrics.json", type = "metrics" } }
matrix = { rate = [1, 2, 3] }

[stage.best]
kind = "select"
models = "tune"
results = "check"
metric = "rmse"
"#,
    );
    project
        .refire(&["run"])
        .succeeds()
        .shows("the best of 3 is rate=1, with rmse 0.1000");
    project.refire(&["get", "best", "model"]).succeeds();
    assert_eq!(project.read("model/rate"), "1\n");

    // Equals: the first of the matrix.
    project.edit("metric = \"rmse\"", "metric = \"cost\"");
    project
        .refire(&["run"])
        .succeeds()
        .shows("the best of 3 is rate=1, with cost 5.0000");
    project.edit("metric = \"cost\"", "metric = \"accuracy\"");
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("the result of `rate=1` has no figure `accuracy`")
        .shows("its figures: cost, rmse");
    project.edit(
        "outputs = { model = { path = \"m\", type = \"model\" } }\nmatrix = { rate = [1, 2, 3] }",
        "outputs = { model = { path = \"m\", type = \"model\" } }\nmatrix = { rate = [1, 2, 4] }",
    );
    project.edit("inputs = { model = \"tune@rate=${matrix.rate}\" }\n", "");
    project.edit("metric = \"accuracy\"", "metric = \"rmse\"");
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("`results` has the instance `rate=3`, and `models` has not");
}

#[test]
fn a_gate_compares_with_the_lock_that_was_committed() {
    let project = Project::with(
        r#"
[params]
accuracy = 0.75

[stage.measure]
kind = "command"
argv = ["sh", "-c", "echo \"{\\\"accuracy\\\": ${params.accuracy}}\" > metrics.json"]
outputs = { metrics = { path = "metrics.json", type = "metrics" } }

[stage.gain]
kind = "compare"
results = { measured = "measure" }
gate = { accuracy = ">= baseline - 0.005" }
"#,
    );
    let lonely = "gain: note: no committed lock says what `accuracy` was: the gate that compares with it passes";
    project.refire(&["run"]).succeeds().shows(lonely);
    let git = |arguments: &[&str]| {
        let status = std::process::Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(arguments)
            .current_dir(project.path(""))
            .output()
            .expect("git runs");
        assert!(status.status.success(), "{status:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "first"]);
    let quiet = project.refire(&["run"]).succeeds();
    assert!(!quiet.stderr().contains("no committed lock"));
    let head = std::fs::read_to_string(project.path(".git/HEAD")).expect("HEAD");
    let branch = head.trim().strip_prefix("ref: ").expect("a branch");
    let commit = project.read(&format!(".git/{branch}"));
    git(&["pack-refs", "--all"]);
    project.refire(&["run"]).succeeds();
    let log = project.refire(&["log", "--json"]).succeeds().stdout();
    let runs: Vec<Value> = serde_json::from_str(&log).expect("JSON");
    let commits: Vec<Option<&str>> = runs.iter().map(|run| run["revision"].as_str()).collect();
    assert_eq!(commits, [Some(commit.trim()), Some(commit.trim()), None]);

    project.edit("accuracy = 0.75", "accuracy = 0.7475");
    project.refire(&["run"]).succeeds();
    project.edit("accuracy = 0.7475", "accuracy = 0.74");
    let worse = "accuracy is 0.7400, but the gate asks for >= baseline - 0.005, which is 0.7450";
    // Again and again: the lock that a run writes is not the one that was committed.
    for _ in 0..2 {
        project.refire(&["run"]).fails_with(3).shows(worse);
    }
    project.refire(&["status"]).succeeds().prints("failed");
    git(&["commit", "-q", "-a", "-m", "worse, and meant so"]);
    project.refire(&["run"]).succeeds();
}
