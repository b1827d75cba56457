//! Figures as seqeval's, schemes, and tags that are none.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::outputs::Tags;
use super::scheme::{Found, Scheme, lenient};
use super::settings::{Invalid, check_label, parsed};
use crate::data::words::{Cut, Texts};
use crate::tasks::{Given, Naming, Outputs as _, Values};
use crate::train::{Mark, Marks, Targets};

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    scheme: Scheme,
    labels: Vec<String>,
    truth: Vec<Vec<String>>,
    said: Vec<Vec<String>>,
    figures: BTreeMap<String, f64>,
    types: BTreeMap<String, BTreeMap<String, f64>>,
}

fn tags(scheme: Scheme, labels: &[String]) -> Tags {
    Tags {
        labels: labels.to_vec(),
        text_column: Some("words".into()),
        column: Some("tags".into()),
        scheme,
        invalid: Invalid::Keep,
    }
}

fn class(labels: &[String], tag: &str) -> u32 {
    let class = labels.iter().position(|label| label == tag);
    u32::try_from(class.expect("a label")).expect("small")
}

/// Marks of words with these tags, and logits by which these others are said.
fn given(labels: &[String], truth: &[Vec<String>], said: &[Vec<String>]) -> (Targets, Vec<f32>) {
    let mark = |(place, tag): (u32, &String)| Mark {
        class: class(labels, tag),
        place: Some(place),
    };
    let samples: Vec<Vec<Mark>> = truth
        .iter()
        .map(|text| (0..).zip(text).map(mark).collect())
        .collect();
    let begins = vec![true; samples.len()];
    let logits = said.iter().flatten().flat_map(|tag| {
        let said = class(labels, tag);
        (0..)
            .take(labels.len())
            .map(move |label: u32| if label == said { 3.0 } else { 0.0 })
    });
    (Targets::Tokens(Marks { samples, begins }), logits.collect())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn figures_are_those_of_seqeval() {
    let reference = include_str!("../../../tests/reference/tags.json");
    let reference: Reference = serde_json::from_str(reference).expect("what the script writes");
    assert!(reference.cases.len() >= 19);
    for case in &reference.cases {
        let (targets, logits) = given(&case.labels, &case.truth, &case.said);
        let report = tags(case.scheme, &case.labels).score(&logits, &targets);
        let report = report.expect("finite");
        for (name, expected) in &case.figures {
            let found = report.figures[name];
            let apart = (found - expected).abs();
            assert!(
                apart < 1e-9,
                "{}: {name} is {found}, not {expected}",
                case.name
            );
        }
        assert_eq!(report.samples, case.truth.len());
        let types = report.details["types"].as_object().expect("a table");
        let names: Vec<&String> = types.keys().collect();
        assert_eq!(
            names,
            case.types.keys().collect::<Vec<_>>(),
            "{}",
            case.name
        );
        for (kind, figures) in &case.types {
            for (name, expected) in figures {
                let found = types[kind][name].as_f64().expect("a number");
                let apart = (found - expected).abs();
                assert!(apart < 1e-9, "{}: {name} of {kind} is {found}", case.name);
            }
        }
    }
}

#[test]
fn a_scheme_is_known_by_its_tags() {
    let of = |texts: &[&str]| {
        let texts: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
        let scheme = Scheme::of(&texts.iter().map(|tags| parsed(tags)));
        let misplaced = texts
            .iter()
            .map(|tags| scheme.misplaced(&parsed(tags)).len());
        (scheme.name(), misplaced.sum::<usize>())
    };
    assert_eq!(of(&["O I-PER I-PER", "I-LOC O"]), ("IO", 0));
    assert_eq!(of(&["I-PER B-PER I-PER O", "I-LOC"]), ("IOB1", 0));
    assert_eq!(of(&["B-PER I-PER O", "B-PER B-PER"]), ("IOB2", 0));
    assert_eq!(of(&["B-PER I-PER O I-LOC I-LOC", "I-PER"]), ("IOB2", 2));
    assert_eq!(of(&["S-PER O B-LOC I-LOC E-LOC"]), ("IOBES", 0));
    assert_eq!(of(&["S-PER O B-LOC E-PER I-PER"]), ("IOBES", 3));
    let texts = words("B-PER I-PER E-PER");
    assert_eq!(Scheme::Iob2.misplaced(&parsed(&texts)), [2]);
}

#[test]
fn what_begins_no_entity_begins_one_unless_it_has_to_keep_to_the_scheme() {
    let texts = words("I-PER I-PER O B-LOC I-PER");
    let tags = parsed(&texts);
    let found = |entities: Vec<Found<'_>>| -> Vec<(String, usize, usize)> {
        let entities = entities.into_iter();
        entities
            .map(|found| (found.kind.to_owned(), found.words.start, found.words.end))
            .collect()
    };
    let entity = |kind: &str, start, end| (kind.to_owned(), start, end);
    assert_eq!(
        found(lenient(&tags)),
        [
            entity("PER", 0, 2),
            entity("LOC", 3, 4),
            entity("PER", 4, 5)
        ]
    );
    assert_eq!(found(Scheme::Iob2.strict(&tags)), [entity("LOC", 3, 4)]);
}

#[test]
fn what_is_no_tag_is_refused() {
    for label in ["PER", "X-PER", "B-", "b-PER", "", "B_PER", "-PER"] {
        let error = check_label(label, None).expect_err(label);
        assert!(error.message().contains("is no tag of IO"), "{error}");
    }
    let error = check_label("S-PER", Some(Scheme::Iob2)).expect_err("it has none");
    assert_eq!(
        error.message(),
        "`S-PER` is no tag of the scheme IOB2, which has B-, I- and O"
    );
    assert!(check_label("S-a-b", Some(Scheme::Iobes)).is_ok());
}

#[test]
fn tokens_behind_the_first_one_are_inside() {
    let labels = words("B-LOC B-PER I-PER O");
    let tags = tags(Scheme::Iob2, &labels);
    let further = |tag: &str| labels[tags.further(class(&labels, tag)) as usize].clone();
    assert_eq!(further("B-PER"), "I-PER");
    assert_eq!(further("I-PER"), "I-PER");
    assert_eq!(further("O"), "O");
    // There is no `I-LOC` to learn.
    assert_eq!(further("B-LOC"), "B-LOC");
}

#[test]
fn entities_have_their_words_and_a_score() {
    let labels = words("B-PER I-PER O");
    let tags = tags(Scheme::Iob2, &labels);
    // The second text falls into two windows, and nothing is said of the last of its words.
    let mark = |place| Mark { class: 0, place };
    let targets = Targets::Tokens(Marks {
        samples: vec![
            vec![mark(Some(1)), mark(Some(2))],
            vec![mark(Some(1))],
            vec![mark(Some(3)), mark(None)],
            Vec::new(),
        ],
        begins: vec![true, true, false, true],
    });
    let texts = Texts {
        words: vec![words("Ada wrote"), words("by Ada Lovelace"), Vec::new()],
        cut: None,
    };
    #[rustfmt::skip]
    let outputs = [
        2.0, 0.0, 0.0,
        0.0, 0.0, 2.0,
        0.0, 0.0, 2.0,
        0.0, 2.0, 0.0,
    ];
    let given = Given {
        outputs: &outputs,
        samples: texts.words.len(),
        words: Some((&texts, &targets)),
        masks: None,
        raw: true,
    };
    let values = tags.values(&given).expect("finite");
    let names = tags.columns(&Naming {
        prefix: "",
        raw: true,
        of_texts: false,
    });
    assert_eq!(
        names,
        [
            "labels",
            "entities",
            "logit_B-PER",
            "logit_I-PER",
            "logit_O"
        ]
    );
    let lists = vec![words("B-PER O"), words("O I-PER O"), Vec::new()];
    assert_eq!(values[0], Values::Lists(lists, " ".into()));
    let Values::Entities(entities) = &values[1] else {
        panic!("{values:?}");
    };
    let shown = |entity: &crate::data::words::Entity| {
        (
            entity.label.clone(),
            entity.start,
            entity.end,
            entity.text.clone(),
        )
    };
    let found: Vec<Vec<_>> = entities
        .iter()
        .map(|list| list.iter().map(shown).collect())
        .collect();
    assert_eq!(found[0], [("PER".into(), 0, 1, "Ada".into())]);
    assert_eq!(found[1], [("PER".into(), 1, 2, "Ada".into())]);
    assert!(found[2].is_empty());
    let score = 2.0_f32.exp() / (2.0_f32.exp() + 2.0);
    assert!((entities[0][0].score - score).abs() < 1e-6, "{entities:?}");
    let gaps = vec![
        vec![Some(2.0), Some(0.0)],
        vec![Some(0.0), Some(0.0), None],
        Vec::new(),
    ];
    assert_eq!(values[2], Values::NumberLists(gaps));
    // A word of which nothing is said counts as outside.
    let report = tags.score(&outputs, &targets).expect("finite");
    assert!((report.figures["recall"] - 0.4).abs() < 1e-9, "{report:?}");

    // Of texts there are the words, and places are characters.
    let cut = ["Ada wrote", "\u{1f600}by Ada  Lovelace", ""];
    let cut = cut.map(|text| Cut::new(text.to_owned()));
    let texts = Texts {
        words: cut.iter().map(Cut::words).collect(),
        cut: Some(cut.into()),
    };
    let naming = Naming {
        prefix: "x_",
        raw: false,
        of_texts: true,
    };
    assert_eq!(tags.columns(&naming), ["x_words", "x_labels", "x_entities"]);
    let given = Given {
        words: Some((&texts, &targets)),
        raw: false,
        ..given
    };
    let values = tags.values(&given).expect("finite");
    assert_eq!(values.len(), 3);
    assert_eq!(values[0], Values::Lists(texts.words.clone(), " ".into()));
    let Values::Entities(entities) = &values[2] else {
        panic!("{values:?}");
    };
    assert_eq!(shown(&entities[1][0]), ("PER".into(), 4, 7, "Ada".into()));
}

#[test]
fn entities_become_tags_of_each_scheme() {
    let tags = |scheme: Scheme, words, follows| scheme.tags("X", words, follows).join(" ");
    assert_eq!(tags(Scheme::Io, 2, true), "I-X I-X");
    assert_eq!(tags(Scheme::Iob1, 2, false), "I-X I-X");
    assert_eq!(tags(Scheme::Iob1, 2, true), "B-X I-X");
    assert_eq!(tags(Scheme::Iob2, 3, false), "B-X I-X I-X");
    assert_eq!(tags(Scheme::Iobes, 1, false), "S-X");
    assert_eq!(tags(Scheme::Iobes, 3, false), "B-X I-X E-X");
    for scheme in [Scheme::Io, Scheme::Iob1, Scheme::Iob2, Scheme::Iobes] {
        let labels = scheme.labels(["X".to_owned()].iter());
        for words in 1..4 {
            for follows in [false, true] {
                let tags = scheme.tags("X", words, follows);
                assert!(tags.iter().all(|tag| labels.contains(tag)), "{scheme:?}");
            }
            let tags = scheme.tags("X", words, false);
            assert_eq!(scheme.strict(&parsed(&tags)).len(), 1, "{scheme:?}");
        }
    }
}
