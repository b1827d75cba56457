//! Slices.

use super::slices::{Slice, check, read};
use crate::config::Spanned;
use crate::error::{Result, Source, Span};
use crate::stages::bench::table;

const TABLE: &str = "text,source,stars\ngood food,web,5\nbad,,1\nwarm and good,app,4\n";

fn place() -> Span {
    let source = Source::new("pipeline.toml", "slices = []".to_string());
    Span::new(&source.into(), 0..6)
}

fn slices(setting: &str) -> Result<Vec<Slice>> {
    let settings = [Spanned::from(setting.to_string())];
    check(&settings, &place())?;
    read(&settings, &place(), &table(TABLE))
}

fn slice(name: &str, samples: &[usize]) -> Slice {
    Slice {
        name: name.into(),
        samples: samples.to_vec(),
    }
}

#[test]
fn a_column_gives_a_slice_for_each_value() {
    let found = slices("source").expect("slices");
    let expected = [
        slice("source is missing", &[1]),
        slice("source = app", &[2]),
        slice("source = web", &[0]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_condition_gives_the_samples_for_which_it_holds() {
    let found = slices("sql: stars >= 4 AND text LIKE '%good%' -- praise").expect("slices");
    assert_eq!(
        found,
        [slice(
            "stars >= 4 AND text LIKE '%good%' -- praise",
            &[0, 2]
        )]
    );
    assert!(
        slices("sql: stars > 9").expect("none")[0]
            .samples
            .is_empty()
    );
    let of_missing = slices("sql: source = 'web'").expect("slices");
    assert_eq!(of_missing[0].samples, [0]);
}

#[test]
fn what_is_no_slice_is_refused_where_it_is_written() {
    let cases = [
        ("colour", "no column `colour`"),
        ("sql: stars +", ""),
        ("sql: stars", "is 5 for row 1: it must say yes or no"),
        ("sql: SUM(stars) > 3", "gives 1 values for 3 samples"),
        ("sql: 1) FROM samples; DROP TABLE samples --", ""),
        ("sql: colour > 3", ""),
    ];
    for (setting, word) in cases {
        let error = slices(setting).expect_err(setting);
        assert!(error.message().contains(word), "{setting}: {error}");
        assert!(!error.labels().is_empty(), "{setting}: no place");
    }
}
