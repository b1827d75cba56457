//! Texts that are compared: every loss, figures of what is known of them, encoders that are not tuned, and what cannot be compared.

use polars::prelude::{Column, DataFrame};

use super::tasks::smallest;
use super::*;
use crate::data::Table;
use crate::models::{Modality, Network};

/// Texts that belong together, with scores.
fn compared(bench: &Bench, part: &str, rows: &[(&str, &str, f64)]) {
    let column = |name: &str, of: &dyn Fn(&(&str, &str, f64)) -> String| {
        Column::new(name.into(), rows.iter().map(of).collect::<Vec<_>>())
    };
    let columns = vec![
        column("text", &|row| row.0.into()),
        column("second", &|row| row.1.into()),
        column("other", &|row| format!("not {}", row.0)),
        Column::new(
            "score".into(),
            rows.iter().map(|row| row.2).collect::<Vec<_>>(),
        ),
    ];
    let frame = DataFrame::new_infer_height(columns).expect("a frame");
    std::fs::create_dir_all(bench.path(part)).expect("a folder");
    write(frame, &bench.path(part));
}

const COMPARED: [(&str, &str, f64); 6] = [
    ("good food", "the food is lovely", 0.9),
    ("a bad film", "the film is terrible", 0.8),
    ("warm service", "the service is awful", -0.5),
    ("good food", "we love this place", 0.3),
    ("the plot is boring", "a slow story", 0.7),
    ("my place", "the worst place of all", 0.0),
];

fn compare(bench: &Bench, settings: &str) -> Result<(PathBuf, BTreeMap<String, f64>)> {
    let text = format!(
        "model = \"encoder\"\ntrain = \"train\"\ntask = \"sentence-similarity\"\ntext_pair_column = \"second\"\n\
         epochs = 2\nlearning_rate = 0.001\nbatch_size = 3\n{settings}"
    );
    bench.run(&*parse("finetune", &text)?, "tuned", &|| false)
}

#[test]
fn texts_are_compared_by_every_loss_and_measured_by_what_is_known_of_them() {
    let model = smallest(Modality::Texts);
    let bench = Bench::of(model.path());
    compared(&bench, "train", &COMPARED);
    compared(&bench, "validation", &COMPARED);
    let validation = "validation = \"validation\"\n";
    for (settings, figure) in [
        ("target_column = \"score\"\n", "spearman_cosine"),
        ("", "ndcg@10"),
        (
            "loss = \"multiple-negatives-ranking\"\nsymmetric = true\ntemperature = 0.1\n",
            "ndcg@10",
        ),
        (
            "negative_columns = [\"other\"]\nmini_batch_size = 2\n",
            "ndcg@10",
        ),
        (
            "negative_columns = [\"other\"]\nloss = \"triplet\"\n",
            "ndcg@10",
        ),
    ] {
        let tuned = compare(&bench, &format!("{settings}{validation}"));
        let (_, figures) = tuned.unwrap_or_else(|error| panic!("{settings}: {error}"));
        assert!(
            figures.contains_key(&format!("validation_{figure}")),
            "{settings}: {figures:?}"
        );
        let evaluate = "model = \"tuned\"\ntable = \"validation\"\n";
        let stage = parse("evaluate", evaluate).expect("it parses");
        let measured = bench.run(&*stage, "measured", &|| false).expect("measured");
        assert!(measured.1.contains_key(figure), "{:?}", measured.1);
        let triplets = settings.contains("negative_columns");
        assert_eq!(measured.1.contains_key("cosine_accuracy"), triplets);
    }
    let notices = bench.notices();
    assert!(
        notices.contains("`loss` is \"multiple-negatives-ranking\""),
        "{notices}"
    );
    assert!(
        notices.contains("2 of 6 pairs have a text that another one has too"),
        "{notices}"
    );
}

#[test]
fn pieces_of_a_batch_make_the_same_network() {
    let model = smallest(Modality::Texts);
    let bench = Bench::of(model.path());
    compared(&bench, "train", &COMPARED);
    let numbers = |settings: &str| {
        let tuned = compare(&bench, settings).expect("it trains").0;
        let loaded = Network::open(&tuned, &burn::tensor::Device::flex());
        loaded.expect("it loads").network.numbers()
    };
    let (whole, pieces) = (numbers(""), numbers("mini_batch_size = 2\n"));
    for (name, whole) in whole {
        let pieces = pieces[&name].iter::<f32>();
        for (one, other) in whole.iter::<f32>().zip(pieces) {
            assert!((one - other).abs() < 1e-4, "{name}: {one} and {other}");
        }
    }
}

#[test]
fn an_encoder_that_is_not_tuned_is_measured_and_gives_embeddings() {
    let model = smallest(Modality::Texts);
    let bench = Bench::of(model.path());
    compared(&bench, "test", &COMPARED);
    let measure = |settings: &str| {
        let text = format!(
            "model = \"encoder\"\ntable = \"test\"\ntask = \"sentence-similarity\"\ntext_column = \"text\"\n{settings}"
        );
        bench.run(&*parse("evaluate", &text)?, "measured", &|| false)
    };
    let (_, figures) = measure("text_pair_column = \"second\"\n").expect("it is measured");
    assert!(figures.contains_key("mrr@10"), "{figures:?}");
    let scored = "text_pair_column = \"second\"\ntarget_column = \"score\"\n";
    let (_, figures) = measure(scored).expect("it is measured");
    assert_eq!(figures.len(), 2, "{figures:?}");
    let error = failure(measure(""));
    assert!(error.message().contains("`text_pair_column`"), "{error}");
    let error = failure(measure(&format!("{scored}metrics = [\"mrr@10\"]\n")));
    assert!(
        error.message().contains("`mrr@10` cannot be measured"),
        "{error}"
    );
    let other = "model = \"m\"\ntable = \"t\"\ntask = \"text-regression\"\n";
    let error = refusal(parse("evaluate", other));
    assert!(error.message().contains("has to be tuned"), "{error}");
    let text = "model = \"encoder\"\ntable = \"test\"\ntask = \"sentence-similarity\"\n";
    let stage = parse("predict", text).expect("it parses");
    let (said, _) = bench.run(&*stage, "said", &|| false).expect("it predicts");
    let said = Table::read(&said).expect("a table");
    assert_eq!(said.columns().last(), Some(&"embedding"));
    assert_eq!(said.rows(), 6);
}

#[test]
fn an_encoder_that_is_frozen_as_a_whole_is_measured_as_it_was() {
    let model = smallest(Modality::Texts);
    let bench = Bench::of(model.path());
    compared(&bench, "test", &COMPARED);
    let text = "model = \"encoder\"\ntable = \"test\"\ntask = \"sentence-similarity\"\ntext_column = \"text\"\n\
                text_pair_column = \"second\"\ntarget_column = \"score\"\n";
    let measure = || {
        let stage = parse("evaluate", text).expect("it parses");
        let measured = bench.run(&*stage, "measured", &|| false);
        measured.expect("it is measured").1
    };
    let free = measure();
    assert_eq!(bench.features_computed(), 0);
    bench.freeze(r#"{"freeze": {"trainable_layers": 0}}"#);
    let frozen = measure();
    // Two of the twelve texts are the same.
    assert_eq!(bench.features_computed(), 11, "what is frozen is kept");
    assert_eq!(free.len(), 2);
    for (name, figure) in free {
        let apart = (figure - frozen[&name]).abs();
        assert!(apart < 1e-6, "{name}: {figure} and {}", frozen[&name]);
    }
}

#[test]
fn texts_that_cannot_be_compared_are_refused_with_their_row() {
    let model = smallest(Modality::Texts);
    let bench = Bench::of(model.path());
    let mut rows = COMPARED;
    rows[3].1 = "  ";
    compared(&bench, "train", &rows);
    let error = failure(compare(&bench, ""));
    assert!(
        error
            .message()
            .contains("row 4 has an empty text in column `second`"),
        "{error}"
    );
    rows = COMPARED;
    rows[2].2 = 4.5;
    compared(&bench, "train", &rows);
    let error = failure(compare(&bench, "target_column = \"score\""));
    assert!(
        error
            .message()
            .contains("row 3 has the score 4.5 in column `score`"),
        "{error}"
    );
    compared(&bench, "train", &COMPARED[..1]);
    let error = failure(compare(&bench, ""));
    assert!(error.message().contains("one pair to train on"), "{error}");
    compared(&bench, "train", &COMPARED);
    let error = failure(compare(&bench, "pooling = \"pooler\""));
    assert!(error.message().contains("for classifiers"), "{error}");
    bench.freeze(r#"{"freeze": {"trainable_layers": 0}}"#);
    let error = failure(compare(&bench, ""));
    assert!(
        error
            .help_text()
            .is_some_and(|help| help.contains("embedding_size")),
        "{error}: {:?}",
        error.help_text()
    );
}

#[test]
fn settings_of_comparisons_are_refused_where_they_are_wrong() {
    let ports = "model = \"encoder\"\ntrain = \"train\"\ntask = \"sentence-similarity\"\n";
    let cases = [
        ("", "missing key `text_pair_column`"),
        ("loss = \"cosine-similarity\"", "needs scores"),
        ("loss = \"triplet\"", "needs negatives"),
        (
            "target_column = \"score\"\nloss = \"multiple-negatives-ranking\"",
            "belong together",
        ),
        ("temperature = -1.0", "above 0"),
        ("margin = 1.0", "is for loss = \"triplet\""),
        (
            "text_pair_column = \"second\"\nclassifier_dropout = 0.1",
            "its vector is the output",
        ),
        (
            "text_pair_column = \"second\"\ntruncation = \"only_first\"",
            "taken on its own",
        ),
    ];
    for (settings, word) in cases {
        let error = refusal(parse("finetune", &format!("{ports}{settings}")));
        assert!(error.message().contains(word), "{settings}: {error}");
        assert_eq!(error.kind(), Kind::Usage, "{settings}");
        assert!(!error.labels().is_empty(), "{settings}: no place");
    }
}
