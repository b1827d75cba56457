//! `refire report`: one HTML page, whatever there is to show.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Project, Ran};
use crate::tiny;

/// A test of so many samples, whose figures stand in the pipeline itself.
const TESTED: &str = r#"
[stage.tune]
kind = "command"
argv = ["sh", "-c", "mkdir history && cp told.jsonl history/history.jsonl"]
files = ["told.jsonl"]
outputs = { history = "history" }

[stage.test]
kind = "command"
argv = ["cp", "figures.json", "metrics.json"]
files = ["figures.json"]
inputs = { history = "tune" }
outputs = { metrics = { path = "metrics.json", type = "metrics" } }
"#;

const TOLD: &str = r#"{"step":1,"epoch":1,"samples":32,"loss":0.71,"learning_rate":0.001,"gradient_norm":1.5}
{"step":2,"epoch":1,"samples":64,"loss":0.62,"learning_rate":0.0005,"gradient_norm":1.25}
{"step":2,"epoch":1,"samples":64,"train_loss":0.66,"validation":{"accuracy":0.75,"log_loss":0.5}}
"#;

const FIGURES: &str = r#"{
"samples": 8, "figures": {"accuracy": 0.75, "log_loss": 0.5},
"intervals": {"accuracy": [0.5, 0.95]},
"classes": [{"label": "cold", "f1": 0.5, "support": 4}, {"label": "warm", "f1": 0.6, "support": 4}],
"confusion": [[3, 1], [1, 3]],
"reliability": [{"from": 0.7, "to": 0.8, "samples": 8, "confidence": 0.75, "accuracy": 0.625}],
"slices": [{"slice": "source = \"imdb\"", "samples": 3, "figures": {"accuracy": 1.0}, "intervals": {"accuracy": [0.6, 1.0]}}]
}"#;

impl Project {
    /// Writes a report and reads it.
    fn page(&self, arguments: &[&str]) -> (Ran, String) {
        let arguments = [&["report", "-o", "page.html"], arguments].concat();
        let ran = self.refire(&arguments).succeeds().prints("page.html");
        (ran, self.read("page.html"))
    }
}

#[track_caller]
fn has(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "the page does not have `{text}`");
    }
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

#[test]
fn a_page_shows_what_ran_and_why_and_what_came_of_it() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    let (_, page) = project.page(&[]);
    has(
        &page,
        &[
            "<title>tiny – refire report</title>",
            "7</b> ran",
            "all 7 stages are fresh",
            "no earlier result",
            "learning_rate",
            "✓ gate &gt;= 0",
            "Confusion",
            "data-name=\"training\"",
            "39 frozen parameters",
            "120 rows, 2 columns",
            "default-src 'none'",
        ],
    );
    // What the model says of each sample is looked through.
    let wrong = ["mistakes in 24 samples", "None of 24 samples"];
    assert!(wrong.iter().any(|said| page.contains(said)));
    // Every stage has its place, to which the graph leads without a script too.
    for stage in 0..7 {
        has(
            &page,
            &[
                &format!("href=\"#stage-{stage}\""),
                &format!("id=\"stage-{stage}\""),
            ],
        );
    }
    for other in ["http://", "https://", "src=\"//"] {
        let namespaces = page.matches("http://www.w3.org/2000/svg").count();
        let found = page.matches(other).count();
        assert_eq!(
            found,
            if other == "http://" { namespaces } else { 0 },
            "{other}"
        );
    }

    // A setting changes: what was drawn of the training is of other settings now, and is not drawn as if it were not.
    project.edit("learning_rate = 0.05", "learning_rate = 0.04");
    let (ran, page) = project.page(&[]);
    has(
        &page,
        &[
            "learning_rate: 0.05 → 0.04",
            "These are of other settings or inputs",
        ],
    );
    assert!(!page.contains("data-name=\"training\""));
    ran.shows("only results of other settings or inputs are known");
}

#[test]
fn curves_intervals_reliability_and_slices_are_drawn_where_they_are_kept() {
    let project = Project::with(TESTED);
    project.write("told.jsonl", TOLD);
    project.write("figures.json", FIGURES);
    project.refire(&["run"]).succeeds();
    let (_, page) = project.page(&[]);
    has(
        &page,
        &[
            "<figcaption>Loss</figcaption>",
            "<figcaption>Learning rate</figcaption>",
            "<figcaption>Gradient norm</figcaption>",
            "data-values=\"1,0.71 2,0.62\"",
            "95 %: 0.5000–0.9500",
            "8 samples with a confidence of 0.75 are right 0.62 of the time",
            "source = &quot;imdb&quot;",
            "0.6000–1.0000",
        ],
    );
}

#[test]
fn what_changed_against_the_committed_lock_is_said() {
    let project = tiny::project();
    project.edit("epochs = 4", "epochs = 1");
    git(&project, &["init", "--quiet"]);
    let (ran, _) = project.page(&[]);
    ran.shows("Nothing is compared with a committed lock");
    project.refire(&["run"]).succeeds();
    git(&project, &["add", "--all", "--", ":!.refire"]);
    git(&project, &["commit", "--quiet", "--message", "a state"]);
    let (_, page) = project.page(&[]);
    has(&page, &["= lock"]);
    project.edit("epochs = 1", "epochs = 8");
    project.refire(&["run"]).succeeds();
    let (_, page) = project.page(&[]);
    has(&page, &["in the committed lock: ", "at commit "]);
    assert!(page.contains('▲') || page.contains('▼'));
}

#[test]
fn a_run_that_failed_half_way_is_shown_as_far_as_it_came() {
    let project = Project::with(&TESTED.replace(
        "\"cp\", \"figures.json\"",
        "\"sh\", \"-c\", \"echo out of <luck> >&2; exit 3\"",
    ));
    project.write("told.jsonl", TOLD);
    project.write("figures.json", FIGURES);
    project.refire(&["run"]).fails_with(1);
    let (ran, page) = project.page(&[]);
    has(
        &page,
        &[
            "last run failed",
            "1</b> ran",
            "1</b> failed",
            "data-values=\"1,0.71 2,0.62\"",
            "class=\"node failed\"",
        ],
    );
    assert!(!page.contains("<luck>"));
    ran.shows("note: Nothing is compared");
}

#[test]
fn without_any_run_the_page_shows_the_plan() {
    let project = Project::with(TESTED);
    project.write("told.jsonl", TOLD);
    project.write("figures.json", FIGURES);
    let (ran, page) = project.page(&[]);
    has(
        &page,
        &[
            "No run of this file is known here.",
            "class=\"node missing\"",
            "told.jsonl",
        ],
    );
    ran.shows("No run of this pipeline is known here: `refire run` makes one.");
    // With other settings than those of the runs that are known.
    project.refire(&["run"]).succeeds();
    let (ran, page) = project.page(&["-S", "pipeline.seed=3"]);
    has(&page, &["pipeline.seed=3"]);
    ran.shows("No run with just these settings is known here");
}

#[test]
fn of_a_lock_whose_cache_is_gone_the_figures_are_left() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    std::fs::remove_dir_all(project.path(".refire/cache")).expect("removable");
    let (ran, page) = project.page(&[]);
    let lock = project.read("refire.lock");
    let accuracy = lock
        .lines()
        .find_map(|line| line.strip_prefix("accuracy = "));
    let accuracy: f64 = accuracy.expect("there").parse().expect("a number");
    has(
        &page,
        &[&format!("{accuracy:.4}"), "class=\"node missing\""],
    );
    assert!(!page.contains("data-values="));
    ran.shows("The cache has no result of `encoder`, `reviews`");
}

#[test]
fn only_an_earlier_report_is_written_over() {
    let project = Project::with(TESTED);
    project.write("told.jsonl", TOLD);
    project.write("figures.json", FIGURES);
    project
        .refire(&["report"])
        .succeeds()
        .prints("refire.report.html");
    project.refire(&["report"]).succeeds();
    project.write("mine.html", "<p>my thesis");
    project
        .refire(&["report", "-o", "mine.html"])
        .fails_with(2)
        .shows("`mine.html` is there already, and is no report of refire")
        .shows("name another file, or write over it with `--force`");
    assert_eq!(project.read("mine.html"), "<p>my thesis");
    project
        .refire(&["report", "-o", "mine.html", "--force"])
        .succeeds();
    has(&project.read("mine.html"), &["refire report"]);
    project
        .refire(&["report", "-o", "none/page.html"])
        .fails_with(2)
        .shows("its folder does not exist");
    project
        .refire(&["report", "-o", ".refire"])
        .fails_with(2)
        .shows("`.refire` is a folder");
}

#[test]
fn what_data_columns_and_figures_are_called_stays_text() {
    let evil = "<script>alert(1)</script>";
    let project = Project::with(
        r#"
[pipeline]
name = "</title><script>alert(1)</script>"

[params]
note = "<script>alert(1)</script>"

[stage.rows]
kind = "dataset"
source = "<script>.csv"

[stage.clean]
kind = "preprocess"
tables = { rows = "rows" }
sql = "SELECT * FROM rows WHERE '<script>' <> ''"

[stage.test]
kind = "command"
argv = ["cp", "<script>.json", "metrics.json"]
files = ["<script>.json"]
outputs = { metrics = { path = "metrics.json", type = "metrics" } }
"#,
    );
    let rows = format!("{evil},\"\"\"onload=\"\"alert(1)\"\n").repeat(20);
    project.write(
        "<script>.csv",
        format!("{evil},\"\"\"><img src=x onerror=alert(1)>\"\n{rows}"),
    );
    project.write(
        "<script>.json",
        r#"{"<script>alert(1)</script>": 0.5, "samples": 2,
            "classes": [{"label": "<script>alert(1)</script>", "f1": 1}, {"label": "'><img>", "f1": 1}],
            "confusion": [[1, 0], [0, 1]], "undefined": ["<script>alert(1)</script>"]}"#,
    );
    let ran = project.refire(&["run"]);
    assert!(ran.code().is_some());
    let (_, page) = project.page(&[]);
    assert_eq!(page.matches("<script").count(), 1, "its own alone");
    assert_eq!(page.matches("</script").count(), 1);
    assert!(!page.contains("<img"), "no element of the data's");
    assert!(page.matches("&lt;script&gt;").count() > 10, "it is shown");
    has(&page, &["20 rows, 2 columns"]);
}

#[test]
fn a_matrix_of_a_hundred_instances_is_one_table_and_a_small_page() {
    let numbers = |count: usize| {
        (0..count)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let project = Project::with(&format!(
        r#"
[stage.test]
kind = "command"
argv = ["sh", "-c", "echo \"{{\\\"accuracy\\\": 0.${{matrix.depth}}${{matrix.rate}}}}\" > metrics.json; mkdir history; sed s/@/${{matrix.depth}}/ told.jsonl > history/history.jsonl"]
files = ["told.jsonl"]
outputs = {{ metrics = {{ path = "metrics.json", type = "metrics" }}, history = "history" }}
matrix = {{ rate = [{}], depth = [{}] }}
"#,
        numbers(20),
        numbers(5)
    ));
    let mut told = String::new();
    for step in 0..1000 {
        let loss = 1000 - step;
        let _ = writeln!(told, "{{\"step\":{step},\"epoch\":1,\"loss\":0.@{loss}}}");
        if step % 100 == 99 {
            let _ = writeln!(
                told,
                "{{\"step\":{step},\"validation\":{{\"accuracy\":0.@{step}}}}}"
            );
        }
    }
    project.write("told.jsonl", told);
    project.refire(&["run", "-j", "4"]).succeeds();
    let started = Instant::now();
    let (_, page) = project.page(&[]);
    // A machine that builds something beside it takes several times as long.
    assert!(started.elapsed() < Duration::from_secs(10));
    has(
        &page,
        &[
            "100 instances; the best by <code>accuracy</code> is <b>rate = 9, depth = 4</b>",
            "<figcaption>accuracy by rate</figcaption>",
            "<figcaption>accuracy by depth</figcaption>",
            "test ×100",
            "<figcaption>loss of the instances</figcaption>",
            "<figcaption>accuracy on the validation</figcaption>",
            "12 of 100 instances are drawn: the best and the last by accuracy, and evenly between them.",
        ],
    );
    // The best stands out, over the others.
    for chart in page.split("of the instances</figcaption>").skip(1) {
        let (chart, _) = chart.split_once("</svg>").expect("a drawing");
        assert_eq!(chart.matches("class=\"series many\"").count(), 11);
        let (_, best) = chart
            .split_once("class=\"series s0 best\"")
            .expect("the best");
        assert!(!best.contains("series many") && best.contains("<title>9 4</title>"));
    }
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

#[test]
fn a_run_writes_the_page_in_the_end_however_it_went() {
    let project = tiny::project();
    project
        .refire(&["run", "--report"])
        .succeeds()
        .shows("refire.report.html");
    has(&project.read("refire.report.html"), &["test", "accuracy"]);
    project.edit("\">= 0\"", "\">= 1.5\"");
    project
        .refire(&["run", "--report=failed.html"])
        .fails_with(3)
        .shows("failed.html");
    has(&project.read("failed.html"), &["failed"]);
    // What is no report is refused before anything runs.
    project.write("notes.html", "mine");
    let refused = project.refire(&["run", "--report=notes.html", "--force"]);
    refused.fails_with(2).shows("notes.html");
    assert_eq!(project.read("notes.html"), "mine");
}

#[test]
fn other_revisions_stand_beside_the_figures_of_now() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    git(&project, &["init", "-q"]);
    git(&project, &["add", "refire.toml", "refire.lock"]);
    git(&project, &["commit", "-qm", "first"]);
    git(&project, &["tag", "first-try"]);
    project.edit("epochs = 4", "epochs = 1");
    project.refire(&["run"]).succeeds();
    let (_, page) = project.page(&["first-try", "HEAD"]);
    has(
        &page,
        &["Revisions", ">first-try</th>", ">HEAD</th>", ">now</th>"],
    );
    let refused = project.refire(&["report", "no-such-tag"]);
    refused.fails_with(2).shows("no-such-tag");
}
