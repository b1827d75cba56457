//! Tuning a tuned model again: what holds on from the first time, and that it is told.

use super::*;
use crate::models::Card;

/// Tunes the encoder, puts the tuned model in its place, and tunes it with `settings`: its card, and what was said.
fn tuned_again(first: &str, settings: &str) -> (Card, String) {
    let bench = Bench::frozen();
    let (tuned, _) = bench.tune(first).expect("it trains");
    std::fs::remove_dir_all(bench.path("encoder")).expect("it goes");
    copy(&tuned, &bench.path("encoder"));
    bench.notices();
    let (tuned, _) = bench.tune(settings).expect("it trains again");
    (Card::read(&tuned).expect("a card"), bench.notices())
}

#[test]
fn length_pooling_and_freezing_hold_on_and_are_told() {
    let first = format!("max_length = 9\npooling = \"cls\"\n{FROZEN}");
    let (card, said) = tuned_again(&first, FROZEN);
    assert_eq!(card.max_length, Some(9));
    assert_eq!(card.pooling.map(crate::models::Pooling::name), Some("cls"));
    assert_eq!(card.freeze.and_then(|plan| plan.trainable_layers), Some(0));
    assert!(
        said.contains("`max_length` is 9, as when the model was tuned"),
        "{said}"
    );
    let frozen = "what was frozen when the model was tuned stays so: trainable_layers = 0;";
    assert!(said.contains(frozen), "{said}");
    assert!(!said.contains("a new head"), "{said}");

    let (card, said) = tuned_again(&first, &format!("max_length = 20\n{FROZEN}"));
    assert_eq!(card.max_length, Some(20));
    assert!(!said.contains("as when the model was tuned"), "{said}");
}

/// The tensors below the head in the model's folder, by name.
fn backbone(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = weights(folder);
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let below = tensors
        .tensors()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("classifier."));
    below
        .map(|(name, tensor)| (name, tensor.data().to_vec()))
        .collect()
}

#[test]
fn what_another_task_tuned_keeps_its_backbone_and_gets_a_new_head() {
    let bench = Bench::new("{}");
    let pace = "epochs = 2\nbatch_size = 8\nlearning_rate = 2e-3\nclassifier_dropout = 0.0\n";
    let (tuned, _) = bench.tune(pace).expect("it trains");
    let untouched = backbone(&bench.path("encoder"));
    std::fs::remove_dir_all(bench.path("encoder")).expect("it goes");
    copy(&tuned, &bench.path("encoder"));
    let first = backbone(&bench.path("encoder"));
    assert!(first != untouched, "the first task trains the backbone");
    let card = Card::read(&bench.path("encoder")).expect("a card");
    let frozen = Card {
        freeze: Some(serde_json::from_str(r#"{"trainable_layers": 0}"#).expect("a plan")),
        ..card
    };
    frozen.write(&bench.path("encoder")).expect("written");
    for part in ["train", "validation"] {
        let texts = ["good food", "bad film", "superb plot", "awful place"];
        let scores = [4.5, 1.5, 5.0, 1.0];
        let frame = df!("text" => texts, "score" => scores).expect("a frame");
        write(frame, &bench.path(part));
    }
    bench.notices();
    let ports = "model = \"encoder\"\ntrain = \"train\"\nvalidation = \"validation\"\n";
    let task = "task = \"text-regression\"\ntarget_column = \"score\"\n";
    let second = parse("finetune", &format!("{ports}{task}{FROZEN}")).expect("it parses");
    let (tuned, _) = bench
        .run(&*second, "tuned", &|| false)
        .expect("it trains on");
    let said = bench.notices();
    let told =
        "a new head is drawn for score: the model's own is for bad, good, one label a sample";
    assert!(said.contains(told), "{said}");
    assert!(
        backbone(&tuned) == first,
        "the second task begins with the backbone of the first"
    );
    let card = Card::read(&tuned).expect("a card");
    assert_eq!(card.task.as_deref(), Some("text-regression"));
    assert_eq!(card.labels, ["score"]);
}

#[test]
fn random_weights_are_told_where_they_are_frozen_and_are_none_once_all_have_trained() {
    let trained = |freeze: &str| {
        let bench = Bench::new("{}");
        let random = parse("initialize", "model = \"encoder\"").expect("it parses");
        let (random, _) = bench.run(&*random, "random", &|| false).expect("made");
        std::fs::remove_dir_all(bench.path("encoder")).expect("it goes");
        copy(&random, &bench.path("encoder"));
        let card = Card::read(&bench.path("encoder")).expect("a card");
        let freeze = serde_json::from_str(freeze).expect("a plan");
        let card = Card { freeze, ..card };
        card.write(&bench.path("encoder")).expect("written");
        bench.notices();
        let pace = "epochs = 2\nbatch_size = 8\nlearning_rate = 1e-3\nclassifier_dropout = 0.0\n";
        let (tuned, _) = bench.tune(pace).expect("it trains");
        let card = Card::read(&tuned).expect("a card");
        (card.random_weights.is_some(), bench.notices())
    };
    let (still, said) = trained("null");
    assert!(!still && !said.contains("random"), "{said}");
    let (still, said) = trained(r#"{"trainable_layers": 0}"#);
    let told = "the model's weights are random, and 23072 of them are frozen: what is frozen learns nothing";
    assert!(still && said.contains(told), "{said}");
}
