//! `refire lr-find`: what it tries, shows and leaves alone.

use crate::tiny;

#[test]
fn a_rate_is_found_and_nothing_else_changes() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    let lock = project.read("refire.lock");
    let found = project
        .refire(&["lr-find", "tune", "-o", "rates.svg"])
        .succeeds();
    let shown = found.stdout();
    assert!(shown.contains("\ntune\n"), "{shown}");
    assert!(shown.contains("a suggestion: learning_rate = "), "{shown}");
    assert!(shown.contains("1e-7") && shown.contains('•'), "{shown}");
    let picture = project.read("rates.svg");
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    assert_eq!(project.read("refire.lock"), lock, "the lock stays");
    // Everything is cached, what was tried too.
    project.refire(&["run"]).succeeds().shows("0 ran");
    project
        .refire(&["lr-find", "refire.toml", "tune"])
        .succeeds()
        .shows("0 ran")
        .prints("a suggestion");
    // Other rates are tried anew.
    let short = project
        .refire(&[
            "lr-find",
            "tune",
            "--max-lr",
            "1e-6",
            "--num-training",
            "20",
        ])
        .succeeds();
    assert!(short.stdout().contains("1e-7"), "{}", short.stdout());
}

#[test]
fn what_has_no_rate_is_refused() {
    let project = tiny::project();
    for (arguments, said) in [
        (&["lr-find", "split"][..], "it has no learning rate"),
        (&["lr-find", "tunes"], "did you mean"),
        (&["lr-find"], "STAGE"),
        (&["lr-find", "tune", "--min-lr", "0"], "above 0"),
        (&["lr-find", "tune", "--max-lr", "1e-9"], "above `min_lr`"),
        (&["lr-find", "tune", "--num-training", "3"], "20..=100000"),
        (&["lr-find", "tune", "--min-lr", "nan"], "above 0"),
        (&["lr-find", "tune", "--min-lr", "-1"], "above 0"),
    ] {
        project.refire(arguments).fails_with(2).shows(said);
    }
    assert!(!project.path("refire.lock").exists());
}
