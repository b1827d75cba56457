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
