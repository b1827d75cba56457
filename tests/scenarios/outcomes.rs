//! What a training and a test leave behind: how the training went, what the model says of each sample, how sure figures are.

use serde_json::Value;

use crate::support::Project;
use crate::tiny;

/// The lines of a file, each of which is JSON.
fn lines(project: &Project, path: &str) -> Vec<Value> {
    let text = project.read(path);
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON a line")
}

#[test]
fn a_training_says_how_it_went_and_a_test_what_it_found() {
    let project = tiny::project();
    project.edit(
        "metrics = [\"accuracy\", \"f1\"]",
        "metrics = [\"accuracy\", \"f1\"]\nslices = [\"label\", \"sql: text LIKE '%very%'\"]",
    );
    project.refire(&["run"]).succeeds();

    project.refire(&["get", "tune.history", "how"]).succeeds();
    let history = lines(&project, "how/history.jsonl");
    let (epochs, steps): (Vec<&Value>, Vec<&Value>) = history
        .iter()
        .partition(|line| line.get("train_loss").is_some());
    // 72 samples in batches of 8, four times.
    assert_eq!((epochs.len(), steps.len()), (4, 36));
    assert_eq!(steps[35]["step"], 36);
    assert_eq!(steps[35]["samples"], 288);
    assert_eq!(history.last(), epochs.last().copied());
    for line in &epochs {
        assert!(line["validation"]["accuracy"].is_number(), "{line}");
    }
    let mean = steps[..9].iter().map(|line| line["loss"].as_f64());
    let mean = mean.sum::<Option<f64>>().expect("numbers") / 9.0;
    let epoch = epochs[0]["train_loss"].as_f64().expect("a loss");
    assert!((mean - epoch).abs() < 1e-5, "{mean}, {epoch}");
    // `tune` alone is still the model.
    project.refire(&["get", "tune", "model"]).succeeds();
    project.read("model/config.json");

    project
        .refire(&["get", "test.metrics", "figures"])
        .succeeds();
    let metrics: Value = serde_json::from_str(&project.read("figures/metrics.json")).expect("JSON");
    let bounds = metrics["intervals"]["accuracy"].as_array().expect("bounds");
    let bounds: Vec<f64> = bounds.iter().filter_map(Value::as_f64).collect();
    let accuracy = metrics["figures"]["accuracy"].as_f64().expect("a figure");
    assert!(
        bounds[0] <= accuracy && accuracy <= bounds[1],
        "{bounds:?}, {accuracy}"
    );
    assert!(metrics["intervals"].get("auroc").is_none());
    let slices = metrics["slices"].as_array().expect("slices");
    let names: Vec<&str> = slices
        .iter()
        .filter_map(|slice| slice["slice"].as_str())
        .collect();
    assert_eq!(names, ["label = bad", "label = good", "text LIKE '%very%'"]);
    let samples: u64 = slices[..2]
        .iter()
        .filter_map(|slice| slice["samples"].as_u64())
        .sum();
    assert_eq!(metrics["samples"], samples);
    project
        .refire(&["logs", "test"])
        .succeeds()
        .prints("label = bad: ")
        .prints(", 95 % interval ");

    // The table of predictions is one like any other.
    let text = project.read("refire.toml")
        + "\n[stage.wrong]\nkind = \"preprocess\"\ntables = { said = \"test.predictions\" }\n\
           sql = \"SELECT * FROM said ORDER BY loss DESC LIMIT 3\"\n";
    project.write("refire.toml", text);
    project.refire(&["run"]).succeeds();
    project.refire(&["get", "wrong", "wrong"]).succeeds();
    project.path("wrong/table.parquet");
}

#[test]
fn a_slice_that_is_none_is_refused_where_it_stands() {
    let project = tiny::project();
    let with = |slice: &str| {
        project.write(
            "refire.toml",
            format!("{}slices = ['{slice}']\n", tiny::PIPELINE),
        );
    };
    with("sql: 1 +");
    project
        .refire(&["check"])
        .fails_with(2)
        .shows("slices = ['sql: 1 +']");
    project.write(
        "refire.toml",
        format!("{}bootstrap = 1000000\n", tiny::PIPELINE),
    );
    project
        .refire(&["check"])
        .fails_with(2)
        .shows("`bootstrap` is 1000000; 100000 are the most");
    with("colour");
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("no column `colour`")
        .shows("slices = ['colour']");
}

#[test]
fn what_changed_against_the_lock_stands_beside_the_figures() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    project.edit("epochs = 4", "epochs = 1");
    let ran = project.refire(&["run"]).succeeds();
    assert!(
        ran.stdout().contains('▲') || ran.stdout().contains('▼'),
        "{}",
        ran.stdout()
    );
    let again = project.refire(&["run"]).succeeds();
    assert!(!again.stdout().contains('▲'), "{}", again.stdout());
}
