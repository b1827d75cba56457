//! Intervals beside scipy's, and what is drawn.

use serde::Deserialize;

use super::*;
use crate::models::{Card, Modality};
use crate::tasks;
use crate::train::{Mark, Marks, Rows};

#[derive(Deserialize)]
struct Reference {
    labels: OfLabels,
    scores: OfScores,
}

#[derive(Deserialize)]
struct OfLabels {
    truth: Vec<u32>,
    logits: Vec<f32>,
    intervals: BTreeMap<String, Interval>,
}

#[derive(Deserialize)]
struct OfScores {
    truth: Vec<f32>,
    found: Vec<f32>,
    intervals: BTreeMap<String, Interval>,
}

#[derive(Deserialize)]
struct Interval {
    low: f64,
    high: f64,
    spread: f64,
}

/// What a model of this task with these labels says.
fn meaning(task: &str, labels: &[&str]) -> Box<dyn Outputs> {
    let task = tasks::find(task).expect("a task");
    let card = Card {
        labels: labels.iter().map(ToString::to_string).collect(),
        ..Card::default()
    };
    task.targets
        .open(&card, Modality::Texts, None)
        .expect("a card")
}

fn draw(meaning: &dyn Outputs, outputs: &[f32], targets: &Targets) -> BTreeMap<String, [f64; 2]> {
    intervals(meaning, outputs, targets, 1000, &|_| Ok(())).expect("finite outputs")
}

#[test]
fn intervals_are_scipys_within_the_noise_of_a_thousand_draws() {
    let json = include_str!("../../../tests/reference/bootstrap.json");
    let reference: Reference = serde_json::from_str(json).expect("what the script writes");
    let OfLabels {
        truth,
        logits,
        intervals,
    } = reference.labels;
    let labels = meaning("text-classification", &["a", "b", "c"]);
    let of_labels = draw(&*labels, &logits, &Targets::Classes(truth));
    let scores = reference.scores;
    let truth = Rows {
        width: 1,
        numbers: scores.truth,
    };
    let of_scores = draw(
        &*meaning("text-regression", &["score"]),
        &scores.found,
        &Targets::Numbers(truth),
    );
    for (found, expected) in [(of_labels, intervals), (of_scores, scores.intervals)] {
        for (metric, expected) in expected {
            let [low, high] = found[&metric];
            // An end of 1,000 draws has a standard deviation of 0.085 spreads where the figure is normal; this is four of them.
            let noise = 0.35 * expected.spread;
            for (ours, theirs) in [(low, expected.low), (high, expected.high)] {
                assert!(
                    (ours - theirs).abs() <= noise,
                    "{metric}: {ours} and {theirs}, {noise} apart at the most"
                );
            }
        }
    }
}

#[test]
fn windows_of_a_text_are_drawn_together() {
    let mark = Mark {
        class: 1,
        place: Some(0),
    };
    let targets = Targets::Tokens(Marks {
        samples: vec![vec![mark], vec![mark, mark], vec![]],
        begins: vec![true, false, true],
    });
    let units = Units::new(&targets);
    assert_eq!(units.len(), 2);
    let outputs: Vec<f32> = (0..6_u8).map(f32::from).collect();
    let (numbers, chosen) = part(&outputs, &targets, &units, &[0, 1, 0]);
    assert_eq!(numbers, [outputs.clone(), outputs].concat());
    assert_eq!(chosen.rows_of_outputs(), [1, 2, 0, 1, 2]);
}

#[test]
fn one_sample_says_nothing_about_others() {
    let labels = meaning("text-classification", &["a", "b"]);
    assert!(draw(&*labels, &[1.0, 0.0], &Targets::Classes(vec![0])).is_empty());
}

#[test]
fn quantiles_lie_on_the_line_between_two_numbers() {
    let sorted = [0.0, 1.0, 2.0, 4.0];
    let found = [
        quantile(&sorted, 0.5),
        quantile(&sorted, 1.0),
        quantile(&[3.0], 0.975),
    ];
    assert_eq!(found.map(|number| number.to_string()), ["1.5", "4", "3"]);
}
