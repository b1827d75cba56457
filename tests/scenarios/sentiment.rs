//! A text classifier from a TOML file, end to end, on a tiny model: what runs, what is kept, what comes out.

use crate::tiny;

#[test]
fn a_model_is_tuned_and_measured_and_then_nothing_is_left_to_do() {
    let project = tiny::project();
    let first = project.refire(&["run"]).succeeds().shows("7 ran, 0 cached");
    let table = first.prints("accuracy").stdout();
    assert_eq!(
        table.lines().count(),
        3,
        "a head, `tune` and `test`:\n{table}"
    );
    let again = project.refire(&["run"]).succeeds().shows("0 ran, 7 cached");
    assert_eq!(again.stdout(), table, "cached figures are shown again");
    project.refire(&["metrics"]).succeeds().prints("accuracy");
}

#[test]
fn the_whole_network_learns_what_the_words_say() {
    let project = tiny::project();
    project.edit("trainable_layers = 0", "trainable_layers = 2");
    project.edit("learning_rate = 0.05", "learning_rate = 0.005");
    project.edit("epochs = 4", "epochs = 8");
    project.edit(">= 0\"", ">= 0.9\"");
    project.refire(&["run"]).succeeds().shows("7 ran");
}

#[test]
fn a_learning_rate_reruns_the_training_and_what_is_behind_it() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    project.edit("learning_rate = 0.05", "learning_rate = 0.04");
    project
        .refire(&["why", "tune"])
        .succeeds()
        .prints("learning_rate: 0.05 → 0.04");
    let expected = ["cached"; 5].iter().chain(&["ran"; 2]);
    let outcomes = project.outcomes(&[]);
    for (outcome, word) in outcomes.iter().zip(expected) {
        assert!(outcome.ends_with(word), "{outcomes:?}");
    }
    project.edit("learning_rate = 0.04", "learning_rate = 0.05");
    project.refire(&["run"]).succeeds().shows("0 ran, 7 cached");
}

#[test]
fn other_sql_with_the_same_rows_reruns_only_itself() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    project.edit("length(text) > 3", "length(text) > 4");
    let outcomes = project.outcomes(&[]);
    let ran: Vec<&String> = outcomes
        .iter()
        .filter(|outcome| outcome.ends_with("ran"))
        .collect();
    assert_eq!(ran, ["clean ran"], "{outcomes:?}");
}

#[test]
fn a_gate_that_does_not_hold_is_exit_code_3() {
    let project = tiny::project();
    project.edit(">= 0\"", "> 1.0\"");
    let ran = project.refire(&["run"]).fails_with(3);
    assert!(
        ran.error().contains("but the gate asks for > 1"),
        "{}",
        ran.error()
    );
    assert!(ran.error().contains("--> refire.toml:"), "{}", ran.error());
    project.refire(&["run"]).fails_with(3).shows("1 failed");
    project.edit("> 1.0", ">= 0");
    project.refire(&["run"]).succeeds().shows("0 ran, 7 cached");
}
