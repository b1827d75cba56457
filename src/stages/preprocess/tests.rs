//! Queries through the whole stage: results, places of errors, expectations.

use super::*;
use crate::error::Kind;
use crate::stages::bench::{Bench, Made, place, table};

fn reviews() -> Table {
    table("text,label,source\ngood,1,a\nbad,0,b\nfine,1,a\n")
}

fn run(settings: &str) -> Result<Made> {
    let settings = format!("kind = 'preprocess'\ntables = {{ reviews = 'x' }}\n{settings}");
    Bench::new().run(&settings, &[("tables.reviews", &reviews())], 0)
}

fn refusal(settings: &str) -> Error {
    let settings = format!("kind = 'preprocess'\ntables = {{ reviews = 'x' }}\n{settings}");
    Bench::new().refusal(&settings)
}

#[test]
fn a_query_makes_a_table() {
    let made = run("sql = \"SELECT text, label FROM reviews WHERE source = 'a'\"").expect("ran");
    let result = made.table(TABLE);
    assert_eq!(result.columns(), ["text", "label"]);
    let texts = result.as_text("text").expect("a column");
    assert_eq!(texts, [Some("good".to_owned()), Some("fine".to_owned())]);
}

#[test]
fn errors_point_into_the_query_in_the_pipeline() {
    let error = refusal("sql = '''\n  SELECT text,\n  FORM reviews WHRE label = 1'''");
    assert_eq!((error.kind(), place(&error)), (Kind::Usage, "WHRE"));
    assert_eq!(error.labels()[0].span.line(), 6);

    let error = refusal("sql = \"SELECT \\\"text\\\" FROM revews\"");
    assert_eq!((error.kind(), place(&error)), (Kind::Usage, "revews"));
    assert_eq!(error.help_text(), Some("did you mean `reviews`?"));

    let error = run("sql = \"\"\"\nSELECT text \\\n  FROM reviews\nWHERE lable = 1\"\"\"")
        .expect_err("no column");
    assert_eq!((error.kind(), place(&error)), (Kind::Stage, "lable"));
    assert_eq!(error.help_text(), Some("did you mean `label`?"));
}

#[test]
fn errors_point_into_a_file_and_to_the_setting_that_names_it() {
    let bench = Bench::new();
    let settings = "kind = 'preprocess'\ntables = { reviews = 'x' }\nsql_file = 'q.sql'";
    let error = bench.run(settings, &[], 0).expect_err("no file");
    assert_eq!((error.kind(), place(&error)), (Kind::Usage, "'q.sql'"));

    bench.write("q.sql", "SELECT text\nFROM review\n");
    let error = bench
        .parse(settings)
        .expect("parsed")
        .check()
        .expect_err("no table");
    assert_eq!((error.kind(), place(&error)), (Kind::Usage, "review"));
    assert_eq!(error.labels()[1].text, "the query");

    bench.write("q.sql", "SELECT text FROM reviews");
    let made = bench
        .run(settings, &[("tables.reviews", &reviews())], 0)
        .expect("ran");
    assert_eq!(made.table(TABLE).rows(), 3);
}

#[test]
fn a_query_with_params_shows_what_they_made_of_it() {
    let stage = "sql = 'SELECT text FROM ${params.from}'\n[params]\nfrom = 'revews'";
    let error = refusal(stage);
    assert_eq!(error.labels()[0].span.source.name, "sql");
    assert_eq!(place(&error), "revews");
    let named = &error.labels()[1].span;
    assert_eq!(
        &named.source.text[named.range.clone()],
        "'SELECT text FROM ${params.from}'"
    );
}

#[test]
fn what_is_expected_is_checked() {
    let error = run("sql = 'SELECT * FROM reviews'\nexpect = { min_rows = 5, columns = { label = { allowed = [1] } } }")
        .expect_err("not as expected");
    assert_eq!(error.kind(), Kind::Stage);
    assert_eq!(error.message(), "`it` breaks 2 rules of its schema");
    assert_eq!(
        error.notes(),
        [
            "there must be at least 5 rows, and there are 3",
            "column `label` must be one of 1; 1 row:\n  row 2: 0"
        ]
    );
    let error = refusal("sql = 'SELECT * FROM reviews'\nexpect = { min_row = 5 }");
    assert_eq!(
        (place(&error), error.help_text()),
        ("min_row", Some("did you mean `min_rows`?"))
    );

    let bench = Bench::new();
    bench.write("s.toml", "strict = true\n[columns.text]\ntype = 'string'\n");
    let settings =
        "kind = 'preprocess'\ntables = { reviews = 'x' }\nexpect = { schema = 's.toml' }\n";
    let run = |sql: &str| {
        bench.run(
            &format!("{settings}{sql}"),
            &[("tables.reviews", &reviews())],
            0,
        )
    };
    run("sql = 'SELECT text FROM reviews'").expect("fits");
    let error = run("sql = 'SELECT text, label FROM reviews'").expect_err("one column too many");
    assert_eq!((error.kind(), place(&error)), (Kind::Stage, "'s.toml'"));
}

#[test]
fn a_result_without_rows_must_be_meant() {
    let error = run("sql = 'SELECT * FROM reviews WHERE label = 2'").expect_err("no rows");
    assert_eq!(error.message(), "the query gives no rows");
    let made = run("sql = 'SELECT * FROM reviews WHERE label = 2'\nexpect = { min_rows = 0 }")
        .expect("meant");
    assert_eq!(made.table(TABLE).rows(), 0);
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    assert_eq!(refusal("").message(), "missing key `sql`");
    let error = refusal("sql = 'SELECT 1'\nsql_file = 'q.sql'");
    assert_eq!(error.message(), "`sql` and `sql_file` cannot both be set");
    assert_eq!(error.labels().len(), 2);
    let error =
        Bench::new().refusal("kind = 'preprocess'\ntables = { 'a-b' = 'x' }\nsql = 'SELECT 1'");
    assert_eq!(
        error.message(),
        "`a-b` cannot be the name of a table in SQL"
    );
}

#[test]
fn the_query_and_what_is_expected_enter_the_key() {
    let bench = Bench::new();
    let settings = "kind = 'preprocess'\ntables = { t = 'x' }\nsql = 'SELECT a FROM t'\n";
    let (plain, _) = bench.described(settings);
    assert_eq!(plain["sql"], "\"SELECT a FROM t\"");
    assert!(!plain.contains_key("expect"));
    let (expecting, _) = bench.described(&format!(
        "{settings}expect = {{ columns = {{ a = {{ minimum = 1 }} }} }}"
    ));
    let expected = &expecting["expect"];
    assert!(
        expected.contains("\"minimum\":1.0") && !expected.contains("maximum"),
        "{expected}"
    );
}
