//! `lora` on the tiny BERT: what it writes, and what it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::*;
use crate::error::{Kind, Source};
use crate::event::Event;
use crate::models::CARD_FILE;
use crate::models::small::small_models;
use crate::stages::Job;
use crate::store::{Store, write_atomic};

fn parse(toml: &str) -> Result<Box<dyn Stage>> {
    let source = Arc::new(Source::new("pipeline.toml", toml));
    LoraKind.parse(&Table::parse(&source)?)
}

fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert")
}

/// Runs the stage on the model in the folder `model`: its output's card and its notices.
fn run_on(model: &Path, toml: &str) -> Result<(Card, String)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("cache")).expect("opened");
    let output = folder.path().join("output");
    std::fs::create_dir(&output).expect("made");
    let job = Job {
        stage: "adapted".into(),
        inputs: BTreeMap::from([(MODEL.into(), model.to_path_buf())]),
        outputs: BTreeMap::from([(MODEL.into(), output.clone())]),
        ..Job::default()
    };
    let notices = Mutex::new(Vec::new());
    let sink = |event: &Event| {
        if let Event::Notice { text, .. } = event {
            notices.lock().expect("no panic").push(text.clone());
        }
    };
    parse(toml)?.run(&mut StageContext::new(&job, &store, &sink, &|| false))?;
    let notices = notices.into_inner().expect("no panic");
    Ok((Card::read(&output)?, notices.join("\n")))
}

fn run(toml: &str) -> Result<(Card, String)> {
    run_on(&tiny_bert(), toml)
}

/// The message and the help of a stage that fails.
fn refusal(toml: &str) -> String {
    match run(toml) {
        Ok((card, _)) => panic!("`{toml}` gave {:?}", card.lora),
        Err(error) => {
            let notes = error.notes().join("\n");
            format!(
                "{error}\n{notes}\n{}",
                error.help_text().unwrap_or_default()
            )
        }
    }
}

#[test]
fn all_linear_layers_below_the_head_get_adapters_unless_some_are_named() {
    let (card, notices) = run("model = 'a'\nr = 4").expect("it runs");
    let lora = card.lora.expect("adapters");
    assert_eq!(lora.target_modules.len(), 12);
    assert_eq!((lora.r, lora.lora_alpha), (4, 8.0));
    // Two layers of four 32 × 32 and two 32 × 64 matrices: 4 · (inputs + outputs) numbers each. The pooler is not used.
    let trained = 2 * (4 * 4 * 64 + 2 * 4 * 96);
    assert!(
        notices.contains(&format!(
            "12 of 12 linear layers get adapters of rank 4: {} of {} parameters train, and the head",
            super::thousands(trained),
            super::thousands(24_128 + trained),
        )),
        "{notices}"
    );
}

#[test]
fn names_mean_what_they_mean_in_peft_or_as_patterns() {
    let layers = |targets: &str| {
        let toml = format!("model = 'a'\ntarget_modules = {targets}");
        let (card, _) = run(&toml).unwrap_or_else(|error| panic!("{targets}: {error}"));
        card.lora.expect("adapters").target_modules
    };
    let of_layer = |part: &str| [0, 1].map(|layer| format!("encoder.layer.{layer}.{part}"));
    assert_eq!(layers("['query']"), of_layer("attention.self.query"));
    assert_eq!(layers("['self.query']"), of_layer("attention.self.query"));
    assert_eq!(
        layers("['bert.encoder.layer.1.output.dense']"),
        ["encoder.layer.1.output.dense"]
    );
    assert_eq!(
        layers("['*.attention.self.key']"),
        of_layer("attention.self.key")
    );
    assert_eq!(
        layers(r"['re:bert\.encoder\.layer\.1\..*\.(query|value)', 'value']"),
        [
            "encoder.layer.1.attention.self.query",
            "encoder.layer.1.attention.self.value",
            "encoder.layer.0.attention.self.value",
        ]
    );
    assert_eq!(layers("'all-linear'").len(), 12);
}

#[test]
fn modules_to_save_train_beside_the_adapters() {
    let toml = "model = 'a'\ntarget_modules = ['query']\nmodules_to_save = ['embeddings.LayerNorm', 'layer.1.intermediate', 'classifier']";
    let (card, notices) = run(toml).expect("it runs");
    let saved = card.lora.expect("adapters").modules_to_save;
    assert_eq!(
        saved,
        ["embeddings.LayerNorm", "encoder.layer.1.intermediate"]
    );
    assert!(
        notices.contains(
            "beside them train as a whole: embeddings.LayerNorm, encoder.layer.1.intermediate"
        ),
        "{notices}"
    );
    let trained = 2 * 8 * 64 + 2 * 32 + 32 * 64 + 64;
    assert!(notices.contains(&super::thousands(trained)), "{notices}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused_at_their_place() {
    for (settings, expected) in [
        ("r = 0", "`r` is 0"),
        ("r = -1", "-1"),
        (
            "r = 33",
            "`r` is 33, and `encoder.layer.0.attention.self.query` is a matrix of 32 × 32",
        ),
        ("lora_alpha = 0.0", "`lora_alpha` must be above 0, and is 0"),
        ("lora_alpha = -8", "`lora_alpha` must be above 0, and is -8"),
        (
            "lora_alpha = inf",
            "`lora_alpha` must be above 0, and is inf",
        ),
        (
            "lora_alpha = nan",
            "`lora_alpha` must be above 0, and is NaN",
        ),
        (
            "lora_dropout = 1.0",
            "`lora_dropout` must be at least 0 and below 1, and is 1",
        ),
        (
            "lora_dropout = -0.1",
            "`lora_dropout` must be at least 0 and below 1, and is -0.1",
        ),
        ("target_modules = []", "no layer gets an adapter"),
        (
            "target_modules = 'query'",
            "\"all-linear\" or an array of names of layers",
        ),
        (
            "target_modules = ['querry']",
            "`querry` means no linear layer below the head",
        ),
        ("target_modules = ['querry']", "did you mean `query`"),
        (
            "target_modules = ['querry']",
            "the linear layers end in: dense, key, query, value",
        ),
        (
            "target_modules = ['word_embeddings']",
            "it means `embeddings.word_embeddings`, which can have no adapter",
        ),
        (
            "target_modules = ['classifier']",
            "means no linear layer below the head",
        ),
        ("target_modules = ['re:(']", "is not a pattern"),
        (
            "modules_to_save = ['intermedate']",
            "did you mean `intermediate`",
        ),
        (
            "modules_to_save = ['intermediate']",
            "`encoder.layer.0.intermediate.dense` is to have an adapter, and to be saved as a whole",
        ),
        (
            "modules_to_save = ['pooler']",
            "it means `pooler`, which the network does not use as it pools",
        ),
        (
            "target_modules = ['pooler.dense']",
            "it means `pooler.dense`, which the network does not use as it pools",
        ),
        ("rank = 8", "rank"),
    ] {
        let said = refusal(&format!("model = 'a'\n{settings}"));
        assert!(said.contains(expected), "`{settings}`: {said}");
    }
    let source = "model = 'a'\nr = 0";
    let Err(error) = parse(source) else {
        panic!("it parses");
    };
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(error.labels().len(), 1, "{error}");
}

#[test]
fn adapters_are_put_on_a_model_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    models::copy_folder(&tiny_bert(), folder.path()).expect("copied");
    let (card, _) = run("model = 'a'\ntarget_modules = ['query']").expect("it runs");
    card.write(folder.path()).expect("written");
    let Err(error) = run_on(folder.path(), "model = 'a'") else {
        panic!("it runs");
    };
    assert!(
        error
            .message()
            .contains("has adapters of rank 8 on 2 layers already"),
        "{error}"
    );
}

#[test]
fn a_freeze_plan_holds_for_adapters_and_must_leave_some() {
    let on = |freeze: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        models::copy_folder(&tiny_bert(), folder.path()).expect("copied");
        let card = format!("{{\"freeze\": {freeze}}}");
        write_atomic(&folder.path().join(CARD_FILE), card.as_bytes()).expect("written");
        run_on(folder.path(), "model = 'a'\ntarget_modules = ['query']")
    };
    let (_, notices) = on(r#"{"trainable_layers": 1}"#).expect("one layer is left");
    assert!(
        notices.contains("freeze plan says of them holds, too: trainable_layers = 1"),
        "{notices}"
    );
    assert!(notices.contains(": 512 of "), "{notices}");
    for (plan, expected) in [
        (r#"{"trainable_layers": 0}"#, "lets none train"),
        (r#"{"frozen": ["encoder.*"]}"#, "lets none train"),
        (r#"{"bitfit": true}"#, "`bitfit` lets biases alone train"),
    ] {
        let Err(error) = on(plan) else {
            panic!("{plan} leaves adapters");
        };
        assert!(error.message().contains(expected), "{plan}: {error}");
    }
}

#[test]
fn every_network_takes_adapters_or_says_why_not() {
    let mut taken = 0;
    for model in small_models() {
        match run_on(model.path(), "model = 'a'\nr = 1") {
            Ok((card, _)) => {
                assert!(!card.lora.expect("adapters").target_modules.is_empty());
                taken += 1;
            }
            Err(error) => assert!(
                error
                    .message()
                    .contains("the network has no linear layer below its head"),
                "{}: {error}",
                model.name
            ),
        }
    }
    assert!(taken >= 5, "transformers have linear layers");
}
