//! A training that is interrupted, wherever that is, and goes on ends in the bits of one that was left alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::unfreezing::without_dropout;
use super::*;

/// Unfreezes layer by layer, stops early if it must, and keeps the best epoch: everything that a checkpoint has to hold.
const SETTINGS: &str = "epochs = 4\nbatch_size = 8\nlearning_rate = 0.01\ngradual_unfreezing = true\n\
                        early_stopping_patience = 3\ngradient_accumulation_steps = 2\n";

/// Trains until it was asked `questions` times whether it should stop; whether it came to its end.
fn train(bench: &Bench, questions: usize) -> Option<Vec<u8>> {
    let asked = AtomicUsize::new(0);
    let cancelled = || asked.fetch_add(1, Ordering::Relaxed) >= questions;
    let end = bench.run(&*tuning(SETTINGS).expect("it parses"), "tuned", &cancelled);
    match end {
        Ok((folder, _)) => Some(all_of(&folder)),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Interrupted, "{error}");
            None
        }
    }
}

/// All that comes of a training: the card, the weights, and how it went.
pub(super) fn all_of(folder: &Path) -> Vec<u8> {
    let card = std::fs::read(folder.join("refire.json")).expect("a card");
    let history = folder.with_file_name("tuned-history").join("history.jsonl");
    let history = std::fs::read(history).expect("a history");
    [card, weights(folder), history].concat()
}

#[test]
fn an_interrupted_training_ends_in_the_same_bits() {
    let undisturbed = train(&without_dropout("{}"), usize::MAX).expect("it ends");
    for questions in [20, 26, 33] {
        let bench = without_dropout("{}");
        // What it goes on from is the first thing that it says; the questions before the first step come anew each time.
        let mut interruptions = 0;
        let again = loop {
            match train(&bench, questions) {
                Some(end) => break end,
                None => interruptions += 1,
            }
            assert!(interruptions < 100, "it gets no further");
        };
        assert!(interruptions > 0, "{questions}: it was not interrupted");
        let notices = bench.notices();
        assert_eq!(
            notices.matches("goes on where it was interrupted").count(),
            interruptions,
            "{notices}"
        );
        assert!(undisturbed == again, "{questions}: other bits");
    }
}

#[test]
fn a_checkpoint_that_is_damaged_is_left_alone() {
    let undisturbed = train(&without_dropout("{}"), usize::MAX).expect("it ends");
    let bench = without_dropout("{}");
    assert!(train(&bench, 30).is_none(), "it is interrupted");
    let file = bench.path("checkpoint");
    let mut bytes = std::fs::read(&file).expect("a checkpoint");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    crate::store::write_atomic(&file, &bytes).expect("written");
    bench.events();
    assert!(train(&bench, usize::MAX).expect("it ends") == undisturbed);
    assert!(
        bench
            .notices()
            .contains("is damaged (its digest is another): it begins anew")
    );
}

#[test]
fn a_checkpoint_of_another_stage_is_left_alone() {
    let undisturbed = train(&without_dropout("{}"), usize::MAX).expect("it ends");
    let bench = without_dropout("{}");
    assert!(train(&bench, 30).is_none(), "it is interrupted");
    let (file, other) = (bench.path("checkpoint"), bench.path("other"));
    assert!(crate::train::resumes_at(&file).is_some());
    std::fs::rename(&file, &other).expect("exchanged");
    assert_eq!(crate::train::resumes_at(&other), None);
    bench.checkpoint.set("other").expect("it is set once");
    bench.events();
    assert!(train(&bench, usize::MAX).expect("it ends") == undisturbed);
    let notices = bench.notices();
    assert!(
        notices.contains("is damaged (it is of another stage): it begins anew"),
        "{notices}"
    );
}
