//! Schemas that cannot be meant, and tables that break their rules.

use polars::prelude::{DataFrame, NamedFrom, PolarsResult, Series, df};

use super::*;
use crate::data::Table;

/// Reads a schema from TOML by serde alone; places in the file are `config`'s.
fn schema(text: &str) -> DataSchema {
    toml::from_str(text).expect("a schema")
}

fn refusal(text: &str) -> String {
    let error = toml::from_str::<DataSchema>(text).expect_err("refused");
    error.message().to_owned()
}

fn table(frame: PolarsResult<DataFrame>) -> Table {
    Table::new(frame.expect("a frame"))
}

fn notes(schema: &str, table: &Table, lines: &[usize]) -> Vec<String> {
    match self::schema(schema).check("t.csv", table, lines) {
        Ok(()) => Vec::new(),
        Err(error) => error.notes().to_vec(),
    }
}

#[test]
fn settings_that_do_not_fit_together_are_refused() {
    let column = |rules: &str| refusal(&format!("[columns.a]\n{rules}\n"));
    assert_eq!(
        column("type = \"integer\"\nmin_length = 1"),
        "`min_length`, `max_length` and `pattern` are for strings"
    );
    assert_eq!(
        column("type = \"string\"\nminimum = 1"),
        "bounds are for columns of type integer or number"
    );
    assert_eq!(
        column("type = \"integer\"\nallowed = [1, \"2\"]"),
        "each of `allowed` must be an integer"
    );
    assert_eq!(column("allowed = []"), "`allowed` lists no value");
    assert_eq!(
        column("minimum = 2\nmaximum = 1"),
        "`minimum` is larger than `maximum`"
    );
    assert!(column("pattern = \"(\"").starts_with("`pattern` is not a regular expression"));
    assert!(refusal("[column.a]\n").starts_with("unknown field `column`"));
}

#[test]
fn a_table_that_fits_passes() {
    let schema = "
        strict = true
        min_rows = 2
        unique = [[\"text\", \"label\"]]
        [columns.text]
        type = \"string\"
        min_length = 1
        [columns.label]
        allowed = [0, 1]
        [columns.score]
        type = \"number\"
        minimum = 0
        nullable = true
        [columns.note]
        required = false
    ";
    let table =
        table(df!("text" => ["a", "a"], "label" => [0i64, 1], "score" => [Some(0.5), None]));
    assert_eq!(notes(schema, &table, &[]), Vec::<String>::new());
}

#[test]
fn violations_name_row_line_value_and_rule() {
    let schema = "
        [columns.text]
        type = \"string\"
        min_length = 2
        unique = true
        [columns.label]
        type = \"integer\"
        allowed = [0, 1]
        [columns.score]
        exclusive_minimum = 0
        maximum = 1
    ";
    let table = table(df!(
        "text" => [Some("good"), None, Some("x"), Some("good")],
        "label" => [0i64, 1, 2, 1],
        "score" => [0.5, 0.0, f64::NAN, 1.0],
    ));
    assert_eq!(
        notes(schema, &table, &[2, 3, 5, 6]),
        [
            "column `label` must be one of 0, 1; 1 row:\n  row 3 (line 5): 2",
            "column `score` must be at most 1; 1 row:\n  row 3 (line 5): NaN",
            "column `score` must be above 0; 2 rows:\n  row 2 (line 3): 0.0\n  row 3 (line 5): NaN",
            "column `text` must have a value; 1 row:\n  row 2 (line 3): nothing",
            "column `text` must have at least 2 characters; 1 row:\n  row 3 (line 5): \"x\"",
            "column `text` must not repeat a value; 1 row:\n  row 4 (line 6): the same as in row 1",
        ]
    );
}

#[test]
fn only_ten_violations_of_a_rule_are_shown() {
    let many = table(df!("a" => (0..25i64).collect::<Vec<_>>()));
    let notes = notes("[columns.a]\nmaximum = 4", &many, &[]);
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with("column `a` must be at most 4; 20 rows:\n  row 6: 5\n"));
    assert!(notes[0].ends_with("row 15: 14\n  and 10 more"));
}

#[test]
fn wrong_types_are_named_by_row_where_text_could_not_be_read() {
    let texts = table(df!("n" => ["1", "one"]));
    assert_eq!(
        notes("[columns.n]\ntype = \"integer\"", &texts, &[2, 3]),
        ["column `n` must hold an integer in each row; 1 row:\n  row 2 (line 3): \"one\""]
    );
    let numbers = table(df!("n" => [1.5]));
    assert_eq!(
        notes("[columns.n]\ntype = \"integer\"", &numbers, &[]),
        ["column `n` must hold an integer in each row, and its type is number"]
    );
}

#[test]
fn columns_and_rows_that_are_missing_or_too_many() {
    let table = table(df!("lable" => [1i64], "extra" => [1i64]));
    let schema = "strict = true\nmin_rows = 2\n[columns.label]\n[columns.lable]";
    assert_eq!(
        notes(schema, &table, &[]),
        [
            "column `label` must be there; did you mean `lable`?",
            "column `extra` must not be there",
            "there must be at least 2 rows, and there are 1",
        ]
    );
}

#[test]
fn sets_of_columns_are_unique_together() {
    let both = table(
        df!("a" => [Some(1i64), Some(1), Some(1), None, None], "b" => ["x", "y", "x", "x", "x"]),
    );
    assert_eq!(
        notes("unique = [[\"a\", \"b\"]]", &both, &[]),
        ["columns `a`, `b` together must not repeat; 1 row:\n  row 3: the same as in row 1"]
    );
    let error = schema("unique = [[\"a\", \"c\"]]").check("t", &both, &[]);
    let error = error.expect_err("no column c");
    assert_eq!(error.message(), "the table has no column `c`");
}

#[test]
fn long_values_are_cut_at_a_character() {
    let long = "é".repeat(200);
    let series = Series::new("a".into(), [long.as_str()]);
    let table = table(DataFrame::new_infer_height(vec![series.into()]));
    let notes = notes("[columns.a]\nmax_length = 3", &table, &[]);
    assert!(notes[0].ends_with("é…"), "{}", notes[0]);
}

#[test]
fn patterns_match_anywhere_unless_anchored() {
    let codes = table(df!("a" => ["xab", "abx"]));
    assert_eq!(
        notes("[columns.a]\npattern = \"ab\"", &codes, &[]),
        Vec::<String>::new()
    );
    let anchored = notes("[columns.a]\npattern = \"^ab\"", &codes, &[]);
    assert_eq!(
        anchored,
        ["column `a` must match the pattern ^ab; 1 row:\n  row 1: \"xab\""]
    );
}
