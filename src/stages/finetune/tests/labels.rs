//! Labels: how values of the target column become them, and where they come from.

use polars::prelude::NamedFrom as _;
use polars::prelude::{Column, DataFrame, Series, df};

use super::*;

/// Texts, every other of them good.
fn texts(rows: usize) -> (Vec<String>, Vec<bool>) {
    let good = |row: usize| row.is_multiple_of(2);
    let word = |row| if good(row) { GOOD } else { BAD }[row / 2 % 6];
    let text = |row: usize| format!("{} {} in {}", word(row), THINGS[row / 12 % 5], row % 10);
    ((0..rows).map(text).collect(), (0..rows).map(good).collect())
}

/// The tables of a bench, with targets made of whether a text is good.
fn bench(target: impl Fn(&[bool]) -> Series) -> Bench {
    let bench = Bench::frozen();
    for (name, rows) in [("train", 40), ("validation", 20), ("test", 20)] {
        let (texts, good) = texts(rows);
        let columns = vec![
            Column::new("text".into(), texts),
            target(&good).with_name("label".into()).into(),
        ];
        let frame = DataFrame::new_infer_height(columns).expect("a frame");
        write(frame, &bench.path(name));
    }
    bench
}

fn with_labels(labels: &str) -> Box<dyn Stage> {
    let ports = "model = \"encoder\"\ntrain = \"train\"\nvalidation = \"validation\"\n";
    let task = "task = \"text-classification\"\n";
    parse("finetune", &format!("{ports}{task}{labels}\n{FROZEN}")).expect("it parses")
}

#[test]
fn booleans_train_the_label_that_means_them() {
    let labels = "labels = [\"True\", \"False\"]";
    let tuned = |bench: &Bench| {
        let (folder, _) = bench
            .run(&*with_labels(labels), "tuned", &|| false)
            .expect("it trains");
        weights(&folder)
    };
    let words = bench(|good| {
        let word = |good: &bool| if *good { "True" } else { "False" };
        Series::new("".into(), good.iter().map(word).collect::<Vec<_>>())
    });
    let booleans = bench(|good| Series::new("".into(), good));
    assert!(tuned(&words) == tuned(&booleans), "they train upside down");
    assert!(!booleans.notices().contains("by position"));
}

#[test]
fn labels_by_position_are_told_once() {
    let numbers = bench(|good| {
        let number = |good: &bool| i64::from(*good);
        Series::new("".into(), good.iter().map(number).collect::<Vec<_>>())
    });
    numbers
        .run(
            &*with_labels("labels = [\"negative\", \"positive\"]"),
            "tuned",
            &|| false,
        )
        .expect("it trains");
    let told = "labels by position: 0 = negative, 1 = positive";
    assert_eq!(numbers.notices().matches(told).count(), 1);
    let evaluate = "model = \"tuned\"\ntable = \"test\"";
    numbers
        .run(
            &*parse("evaluate", evaluate).expect("it parses"),
            "measured",
            &|| false,
        )
        .expect("it is measured");
    assert_eq!(numbers.notices().matches(told).count(), 1);
}

#[test]
fn labels_that_nobody_wrote_are_those_of_the_samples() {
    let bench = bench(|good| {
        let word = |good: &bool| if *good { "good" } else { "bad" };
        Series::new("".into(), good.iter().map(word).collect::<Vec<_>>())
    });
    let tune = |labels| {
        let (folder, _) = bench
            .run(&*with_labels(labels), "tuned", &|| false)
            .expect("it trains");
        weights(&folder)
    };
    let found = tune("");
    assert!(
        bench
            .notices()
            .contains("`labels` are those of the samples: bad, good")
    );
    assert!(found == tune("labels = [\"bad\", \"good\"]"));

    let file = bench.path("labels.txt");
    let from_file = format!("labels_file = {file:?}");
    crate::store::write_atomic(&file, b"\xef\xbb\xbfgood\r\n bad\n\n").expect("written");
    let stage = with_labels(&from_file);
    assert_eq!(stage.files()[0].path, file);
    stage.check().expect("two labels");
    assert!(tune(&from_file) == tune("labels = [\"good\", \"bad\"]"));

    crate::store::write_atomic(&file, b"good\nbad\ngood\n").expect("written");
    let error = failure(with_labels(&from_file).check());
    assert_eq!(error.message(), "the label `good` comes twice");
    assert_eq!(error.labels()[0].span.line(), 3);
    let both = refusal(parse(
        "finetune",
        "model = \"m\"\ntrain = \"t\"\ntask = \"text-classification\"\nlabels = [\"a\", \"b\"]\nlabels_file = \"x\"",
    ));
    assert_eq!(
        both.message(),
        "`labels` and `labels_file` cannot both be set"
    );
}

#[test]
fn a_label_without_a_sample_in_one_part_is_told_before_training() {
    let bench = Bench::frozen();
    let three = df!("text" => ["good", "bad", "odd food", "good"], "label" => ["good", "bad", "odd", "good"]);
    write(three.expect("a frame"), &bench.path("validation"));
    for labels in ["", "labels = [\"bad\", \"good\", \"odd\"]"] {
        bench
            .run(&*with_labels(labels), "tuned", &|| false)
            .expect("it trains");
        let events = bench.events();
        let told = events.iter().position(|event| {
            let wanted = "no row of `train` has the label `odd`: the model cannot learn it";
            matches!(event, Event::Notice { text, .. } if text == wanted)
        });
        let measured = |event: &Event| matches!(event, Event::Measured { .. });
        let trained = events.iter().position(measured);
        assert!(told.expect("told") < trained.expect("trained"));
    }
    let evaluate = parse("evaluate", "model = \"tuned\"\ntable = \"test\"").expect("it parses");
    bench
        .run(&*evaluate, "measured", &|| false)
        .expect("it is measured");
    assert!(
        bench
            .notices()
            .contains("no row of `table` has the label `odd`")
    );
}
