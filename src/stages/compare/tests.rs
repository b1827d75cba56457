//! Comparisons: grouping, means, gains, order, and what is told.

use std::collections::BTreeMap;
use std::path::Path;

use super::results::Results;
use super::rows::{Baseline, Order, Rows};
use crate::data::Table;
use crate::store::write_atomic;

/// Lays out `NAME/INSTANCE/metrics.json` as a port that gathers does.
fn laid_out(results: &[(&str, &str, f64)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, instance, accuracy) in results {
        let to = folder.path().join(name).join(instance);
        std::fs::create_dir_all(&to).expect("a folder");
        let json = format!(
            r#"{{"samples": 10, "figures": {{"accuracy": {accuracy}, "log_loss": {}}}}}"#,
            1.0 - accuracy
        );
        write_atomic(&to.join("metrics.json"), json.as_bytes()).expect("written");
    }
    folder
}

fn read(folder: &Path, names: &[&str]) -> Results {
    let paths: BTreeMap<&str, std::path::PathBuf> = names
        .iter()
        .map(|name| (*name, folder.join(name)))
        .collect();
    let took = |_: &str, instance: &str| instance.ends_with("seed=0").then_some(12.345);
    let names = names.iter().copied();
    Results::read(names, |name| &paths[name], |_| None, took, "seed").expect("results")
}

const RUNS: [(&str, &str, f64); 12] = [
    ("tuned", "labels=32,seed=0", 0.60),
    ("tuned", "labels=32,seed=1", 0.62),
    ("tuned", "labels=32,seed=2", 0.64),
    ("tuned", "labels=128,seed=0", 0.70),
    ("tuned", "labels=128,seed=1", 0.72),
    ("tuned", "labels=128,seed=2", 0.71),
    ("scratch", "labels=32,seed=0", 0.50),
    ("scratch", "labels=32,seed=1", 0.53),
    ("scratch", "labels=32,seed=2", 0.51),
    ("scratch", "labels=128,seed=0", 0.55),
    ("scratch", "labels=128,seed=1", 0.56),
    ("scratch", "labels=128,seed=2", 0.60),
];

fn lower(name: &str) -> bool {
    name == "log_loss"
}

#[test]
fn means_are_over_seeds_and_gains_over_pairs_of_them() {
    let folder = laid_out(&RUNS);
    let results = read(folder.path(), &["scratch", "tuned"]);
    assert!(results.has_repetitions());
    let metrics = results.common_figures();
    assert_eq!(metrics, ["accuracy", "log_loss"]);
    let baseline = Baseline::Name("scratch".into());
    let rows =
        Rows::new(&results, &metrics, Some(&baseline), Order::Metrics, &lower).expect("rows");
    assert_eq!(rows.told().count(), 0);
    insta::assert_snapshot!(rows.lines().join("\n"));
    let figures = rows.figures();
    let close = |name: &str, expected: f64| {
        let found = figures[name];
        assert!((found - expected).abs() < 1e-6, "{name}: {found}");
    };
    close("accuracy", 0.71);
    close("log_loss", 0.29);
    // The pairs of 32 labels differ by 0.10, 0.09 and 0.13, those of 128 by 0.15, 0.16 and 0.11.
    close("accuracy_gain", 0.32 / 3.0);
    close("log_loss_gain", 0.32 / 3.0);
    close("accuracy_gain_low", 0.054_955_217);
}

#[test]
fn rows_go_by_the_values_of_the_matrix_where_that_is_asked_for() {
    let folder = laid_out(&RUNS);
    let results = read(folder.path(), &["scratch", "tuned"]);
    let metrics = ["accuracy".to_owned()];
    let rows = Rows::new(&results, &metrics, None, Order::Matrix, &lower).expect("rows");
    insta::assert_snapshot!(rows.lines().join("\n"));
    let made = tempfile::tempdir().expect("a folder");
    rows.table()
        .expect("a table")
        .write(made.path())
        .expect("written");
    let table = Table::read(made.path()).expect("a table");
    assert_eq!(
        table.values("labels").expect("there"),
        ["32", "32", "128", "128"]
    );
    assert_eq!(
        table.columns(),
        [
            "results",
            "labels",
            "runs",
            "accuracy",
            "accuracy_low",
            "accuracy_high"
        ]
    );
}

#[test]
fn values_of_a_matrix_may_be_the_baseline() {
    let folder = laid_out(&[
        ("test", "learning_rate=1e-3,depth=1,seed=0", 0.7),
        ("test", "learning_rate=1e-4,depth=1,seed=0", 0.6),
        ("test", "learning_rate=1e-3,depth=2,seed=0", 0.8),
        ("test", "learning_rate=1e-4,depth=2,seed=0", 0.85),
    ]);
    let results = read(folder.path(), &["test"]);
    let metrics = ["accuracy".to_owned()];
    let ports = super::Ports::default();
    let baseline = Baseline::parse("learning_rate=1e-3", &ports).expect("values");
    let rows =
        Rows::new(&results, &metrics, Some(&baseline), Order::Metrics, &lower).expect("rows");
    insta::assert_snapshot!(rows.lines().join("\n"));
    assert_eq!(
        rows.told().collect::<Vec<_>>(),
        ["every row is a single run: nothing says how far its figures are off by chance"]
    );
    let missing = Baseline::parse("learning_rate=7", &ports).expect("values");
    let error =
        Rows::new(&results, &metrics, Some(&missing), Order::Metrics, &lower).expect_err("7");
    assert_eq!(error.message(), "no result has these values");
    assert!(Baseline::parse("tset", &ports).is_err());
}

#[test]
fn figures_that_some_runs_lack_are_told() {
    let folder = laid_out(&RUNS[..3]);
    let odd = folder.path().join("tuned/labels=32,seed=1/metrics.json");
    write_atomic(&odd, br#"{"accuracy": 0.5}"#).expect("written");
    let results = read(folder.path(), &["tuned"]);
    assert_eq!(results.common_figures(), ["accuracy"]);
    let error = results.check_figure("f1").expect_err("nobody has it");
    assert_eq!(error.message(), "no result has the figure `f1`");
    let metrics = ["accuracy".to_owned(), "log_loss".to_owned()];
    let rows = Rows::new(&results, &metrics, None, Order::Metrics, &lower).expect("rows");
    assert_eq!(
        rows.told().collect::<Vec<_>>(),
        ["1 of 1 rows have runs without `log_loss`: it is left out there"]
    );
    write_atomic(&odd, b"[]").expect("written");
    let names = ["tuned"];
    let path = folder.path().join("tuned");
    let names = names.into_iter();
    let error = Results::read(names, |_| &path, |_| None, |_, _| None, "seed").expect_err("a list");
    assert!(
        error
            .message()
            .ends_with("metrics.json` holds no figures by name"),
        "{error}"
    );
}
