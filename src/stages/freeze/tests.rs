//! `freeze` on the tiny BERT: what it writes, and what it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::*;
use crate::error::{Kind, Source};
use crate::event::Event;
use crate::models::Card;
use crate::stages::Job;
use crate::store::Store;

fn parse(toml: &str) -> Result<Box<dyn Stage>> {
    let source = Arc::new(Source::new("pipeline.toml", toml));
    FreezeKind.parse(&Table::parse(&source)?)
}

fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert")
}

/// Runs the stage on the tiny BERT: its output and its notices.
fn run(toml: &str) -> Result<(tempfile::TempDir, Vec<String>)> {
    run_on(&tiny_bert(), toml)
}

/// The same on the model in the folder `model`.
fn run_on(model: &Path, toml: &str) -> Result<(tempfile::TempDir, Vec<String>)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("cache")).expect("opened");
    let output = folder.path().join("output");
    std::fs::create_dir(&output).expect("made");
    let job = Job {
        stage: "frozen".into(),
        inputs: BTreeMap::from([(MODEL.into(), model.to_path_buf())]),
        outputs: BTreeMap::from([(MODEL.into(), output)]),
        ..Job::default()
    };
    let notices = Mutex::new(Vec::new());
    let sink = |event: &Event| {
        if let Event::Notice { text, .. } = event {
            notices.lock().expect("no panic").push(text.clone());
        }
    };
    parse(toml)?.run(&mut StageContext::new(&job, &store, &sink, &|| false))?;
    Ok((folder, notices.into_inner().expect("no panic")))
}

#[test]
fn the_plan_and_what_it_freezes_are_in_the_card() {
    let (folder, notices) = run("model = 'a'\ntrainable_layers = 1").expect("it runs");
    let card = Card::read(&folder.path().join("output")).expect("a card");
    assert_eq!(card.freeze.expect("a plan").trainable_layers, Some(1));
    let frozen = card.frozen.expect("what it comes to");
    // A layer has four 32 × 32 and two 32 × 64 matrices, seven biases of 32 or 64 and two norms.
    let layer = 4 * 32 * 32 + 2 * 32 * 64 + 5 * 32 + 64 + 4 * 32;
    assert_eq!(frozen.trainable, layer);
    assert_eq!(frozen.total, 24_128);
    assert_eq!(
        frozen.names.first().map(String::as_str),
        Some("bert.embeddings.word_embeddings.weight")
    );
    assert_eq!(
        notices,
        ["1 of 2 layers train: 8,544 of 24,128 parameters, and the head"]
    );
}

#[test]
fn an_encoder_of_embeddings_without_a_layer_on_top_may_stay_as_a_whole() {
    let model = tempfile::tempdir().expect("a folder");
    models::copy_folder(&tiny_bert(), model.path()).expect("copied");
    let card = Card {
        problem: models::Problem::Embedding,
        ..Card::default()
    };
    card.write(model.path()).expect("written");
    let (folder, notices) =
        run_on(model.path(), "model = 'a'\ntrainable_layers = 0").expect("it runs");
    let frozen = Card::read(&folder.path().join("output"))
        .expect("a card")
        .frozen;
    assert_eq!(frozen.expect("what it comes to").trainable, 0);
    assert!(
        notices[0].starts_with("0 of 2 layers train: 0 of "),
        "{notices:?}"
    );
    assert!(
        notices[0].ends_with("parameters, and the head"),
        "{notices:?}"
    );
}

#[test]
fn every_other_file_is_the_models_own() {
    let (folder, _) = run("model = 'a'\ntrainable_layers = 0").expect("it runs");
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "1_Pooling/config.json",
    ] {
        let copy = std::fs::read(folder.path().join("output").join(name)).expect("copied");
        assert_eq!(
            copy,
            std::fs::read(tiny_bert().join(name)).expect("there"),
            "{name}"
        );
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused_where_they_stand() {
    let error = parse("model = 'a'\ntrainable_layers = 1\ntrainable = ['*.bias']")
        .err()
        .expect("refused");
    assert_eq!(error.kind(), Kind::Usage);
    let lines: Vec<usize> = error
        .labels()
        .iter()
        .map(|label| label.span.line())
        .collect();
    assert_eq!(lines, [2, 3]);
    let error = parse("model = 'a'").err().expect("refused");
    assert_eq!(error.message(), "this stage does not say what to freeze");
}

#[test]
fn bitfit_and_train_bn_are_refused_where_they_mean_nothing() {
    let cases = [
        (
            "bitfit = true\ntrainable = ['*.bias']",
            "both say what trains",
            2,
        ),
        ("bitfit = true\ntrainable_layers = 0", "leaves none", 2),
        ("bitfit = false", "does not say what to freeze", 1),
        ("train_bn = true", "does not say what to freeze", 1),
    ];
    for (settings, words, labels) in cases {
        let error = parse(&format!("model = 'a'\n{settings}"))
            .err()
            .expect("refused");
        assert!(error.message().contains(words), "{settings}: {error}");
        assert_eq!(error.labels().len(), labels, "{settings}");
        assert_eq!(error.kind(), Kind::Usage);
    }
    let error = run("model = 'a'\ntrainable_layers = 0\ntrain_bn = true").expect_err("fails");
    assert_eq!(
        error.message(),
        "`train_bn` is set, but the network has no batch normalisation"
    );
    assert_eq!(error.labels()[0].span.line(), 3);
}

#[test]
fn bitfit_leaves_biases() {
    let (folder, notices) = run("model = 'a'\nbitfit = true").expect("it runs");
    let card = Card::read(&folder.path().join("output")).expect("a card");
    assert!(card.freeze.expect("a plan").bitfit);
    let frozen = card.frozen.expect("what it comes to");
    let still = |name: &String| name.ends_with("weight") || name.contains("pooler");
    assert!(frozen.names.iter().all(still));
    // Each layer has six biases of 32 and one of 64, and the embeddings' norm one of 32.
    assert_eq!(frozen.trainable, 2 * (7 * 32 + 64) + 32);
    assert_eq!(
        notices,
        ["2 of 2 layers train: 608 of 24,128 parameters, and the head"]
    );
}

#[test]
fn a_broken_pattern_is_a_mistake_in_the_file() {
    let error = parse("model = 'a'\nfrozen = ['*.bias', 'encoder.[']")
        .err()
        .expect("refused");
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(error.labels()[0].span.range, 32..43);
}

#[test]
fn a_pattern_that_matches_nothing_fails_the_stage_at_its_place() {
    let error = run("model = 'a'\nfrozen = ['encoder.layers.0.*']").expect_err("fails");
    assert_eq!(error.kind(), Kind::Stage);
    assert_eq!(error.labels()[0].span.line(), 2);
    assert_eq!(error.help_text(), Some("did you mean `encoder.layer.0.*`?"));
}

#[test]
fn something_must_be_left_to_train() {
    let error =
        run("model = 'a'\ntrainable_layers = 0\nfrozen = ['classifier.*']").expect_err("fails");
    assert_eq!(
        error.message(),
        "nothing is left to train: every parameter is frozen, the head too"
    );
    let error = run("model = 'a'\ntrainable_layers = 3").expect_err("fails");
    assert_eq!(
        error.message(),
        "`trainable_layers` is 3, but the network has 2 layers"
    );
}

#[test]
fn thousands_are_set_apart() {
    assert_eq!(thousands(0), "0");
    assert_eq!(thousands(999), "999");
    assert_eq!(thousands(22_713_216), "22,713,216");
}

#[test]
fn freezing_adds_up_unless_the_later_stage_says_otherwise() {
    let settings = |toml: &str| -> Settings {
        let source = Arc::new(Source::new("pipeline.toml", format!("model = 'a'\n{toml}")));
        from_table(&Table::parse(&source).expect("TOML")).expect("settings")
    };
    for (earlier, later, together) in [
        (
            "trainable_layers = 2",
            "frozen = ['*.bias']",
            r#"trainable_layers = 2, frozen = ["*.bias"]"#,
        ),
        (
            "frozen = ['pooler.*']\ntrain_bn = true",
            "frozen = ['*.bias', 'pooler.*']",
            r#"frozen = ["pooler.*","*.bias"], train_bn = true"#,
        ),
        (
            "trainable_layers = 0\nfrozen = ['*.bias']",
            "trainable_layers = 1",
            r#"trainable_layers = 1, frozen = ["*.bias"]"#,
        ),
        (
            "trainable_layers = 0",
            "trainable = ['encoder.layer.1.*']",
            r#"trainable = ["encoder.layer.1.*"]"#,
        ),
        (
            "trainable = ['encoder.*']",
            "bitfit = true",
            r#"trainable = ["encoder.*"], bitfit = true"#,
        ),
        (
            "bitfit = true\nfrozen = ['pooler.*']",
            "bitfit = false\nfrozen = []\ntrainable = ['*']",
            r#"trainable = ["*"]"#,
        ),
    ] {
        let plan = settings(earlier).plan(FreezePlan::default());
        let plan = settings(later).plan(plan);
        let parts = |text: &str| {
            let mut parts: Vec<String> = text.split(", ").map(str::to_owned).collect();
            parts.sort();
            parts
        };
        assert_eq!(
            parts(&plan.to_string()),
            parts(together),
            "{earlier}, {later}"
        );
    }
}

#[test]
fn an_earlier_plan_is_told_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    models::copy_folder(&tiny_bert(), folder.path()).expect("copied");
    let mut card = Card::read(folder.path()).expect("a card");
    card.freeze = Some(FreezePlan {
        trainable_layers: Some(1),
        ..FreezePlan::default()
    });
    card.write(folder.path()).expect("written");
    let (_, notices) = run_on(folder.path(), "model = 'a'\nfrozen = ['*.bias']").expect("it runs");
    assert_eq!(
        notices[0],
        "the model's earlier plan, trainable_layers = 1, holds on; together: frozen = [\"*.bias\"], trainable_layers = 1"
    );
    let (_, notices) = run_on(folder.path(), "model = 'a'\ntrainable_layers = 0").expect("it runs");
    assert_eq!(
        notices[0],
        "the model's earlier plan, trainable_layers = 1, is replaced"
    );
}

#[test]
fn frozen_random_weights_are_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    crate::models::copy_folder(&tiny_bert(), folder.path()).expect("copied");
    let card = Card {
        random_weights: Some(crate::models::RandomWeights { seed: 1 }),
        ..Card::default()
    };
    card.write(folder.path()).expect("written");
    let (frozen, notices) =
        run_on(folder.path(), "model = 'a'\ntrainable_layers = 1").expect("it runs");
    assert!(notices.contains(&RANDOM.to_string()), "{notices:?}");
    let card = Card::read(&frozen.path().join("output")).expect("a card");
    assert!(card.random_weights.is_some());
    let (_, notices) = run_on(folder.path(), "model = 'a'\ntrainable = ['*']").expect("it runs");
    assert_eq!(notices.len(), 1, "{notices:?}");
}
