//! Queries, their errors with places, and their order.

mod calls;

use std::sync::Arc;

use polars::prelude::{DataFrame, PolarsResult, df};

use super::*;
use crate::error::{Kind, Source};

fn table(frame: PolarsResult<DataFrame>) -> Table {
    Table::new(frame.expect("a frame"))
}

fn tables() -> BTreeMap<String, Table> {
    let reviews = table(df!(
        "text" => ["good", "bad", "fine", "bad"],
        "label" => [1i64, 0, 1, 0],
        "stars" => [5.0, 1.5, 3.0, 2.0],
    ));
    let names = table(df!("label" => [0i64, 1], "name" => ["negative", "positive"]));
    BTreeMap::from([("reviews".into(), reviews), ("names".into(), names)])
}

fn ask(text: &str) -> Result<Table> {
    let source = Arc::new(Source::new("query.sql", text));
    let locate = |range| Span::new(&source, range);
    let tables = tables();
    let names: Vec<&str> = tables.keys().map(String::as_str).collect();
    Query::parse(text, &names, &locate)?.run(&tables, &locate)
}

fn column(text: &str, name: &str) -> Vec<String> {
    let values = ask(text)
        .expect("an answer")
        .as_text(name)
        .expect("a column");
    values.into_iter().map(Option::unwrap_or_default).collect()
}

/// Kind, message, place and help of the error that `text` gives.
fn refusal(text: &str) -> (Kind, String, String, Option<String>) {
    let error = ask(text).expect_err("an error");
    let span = &error.labels().first().expect("a place").span;
    (
        error.kind(),
        error.message().to_owned(),
        span.source.text[span.range.clone()].to_owned(),
        error.help_text().map(str::to_owned),
    )
}

#[test]
fn filters_and_projections_keep_the_order() {
    assert_eq!(
        column(
            "SELECT text FROM reviews WHERE label = 0 OR stars > 4",
            "text"
        ),
        ["good", "bad", "bad"]
    );
    assert_eq!(
        column("select stars * 2 as s from reviews limit 2", "s"),
        ["10.0", "3.0"]
    );
}

#[test]
fn groups_and_distinct_rows_come_as_they_appear() {
    assert_eq!(
        column(
            "SELECT label, COUNT(*) AS n FROM reviews GROUP BY label",
            "label"
        ),
        ["1", "0"]
    );
    assert_eq!(
        column("SELECT DISTINCT text FROM reviews", "text"),
        ["good", "bad", "fine"]
    );
    let union = "SELECT text FROM reviews WHERE label = 0 UNION SELECT text FROM reviews";
    assert_eq!(column(union, "text"), ["bad", "good", "fine"]);
}

#[test]
fn joins_go_by_the_left_table() {
    let join = "SELECT name FROM reviews JOIN names ON reviews.label = names.label";
    assert_eq!(
        column(join, "name"),
        ["positive", "negative", "positive", "negative"]
    );
}

#[test]
fn equals_keep_their_order_under_a_sort() {
    let sorted = "WITH t AS (SELECT * FROM reviews) SELECT stars FROM t ORDER BY label LIMIT 3";
    assert_eq!(column(sorted, "stars"), ["1.5", "2.0", "5.0"]);
}

#[test]
fn syntax_errors_point_to_the_word() {
    assert_eq!(
        refusal("SELECT text,\n  FORM reviews WHRE label = 1"),
        (
            Kind::Usage,
            "SQL syntax error: Expected: end of statement, found: WHRE".into(),
            "WHRE".into(),
            None
        )
    );
    assert_eq!(
        refusal("SELECT text FROM\n"),
        (
            Kind::Usage,
            "SQL syntax error: Expected: identifier, found: EOF".into(),
            "FROM".into(),
            None
        )
    );
    assert_eq!(refusal("  \n").1, "the query is empty");
    assert_eq!(
        refusal("DELETE FROM reviews").1,
        "the query must be a SELECT"
    );
    assert_eq!(
        refusal("SELECT 1; SELECT 2").1,
        "the query must be one SELECT, and there are 2 statements"
    );
    assert_eq!(refusal("SELECT 'open FROM reviews").2, "'");
}

#[test]
fn unknown_tables_and_functions_are_found_without_data() {
    assert_eq!(
        refusal("SELECT * FROM review"),
        (
            Kind::Usage,
            "the query reads `review`, which is not among `tables`".into(),
            "review".into(),
            Some("did you mean `reviews`?".into())
        )
    );
    assert_eq!(
        refusal("SELECT lowr(text) FROM reviews"),
        (
            Kind::Usage,
            "polars has no SQL function `lowr`".into(),
            "lowr".into(),
            Some("did you mean `lower`?".into())
        )
    );
    let (kind, message, place, _) = refusal("SELECT * FROM read_csv('/etc/passwd')");
    assert_eq!((kind, place.as_str()), (Kind::Usage, "read_csv"));
    assert_eq!(
        message,
        "`read_csv` as a table would read what is not declared"
    );
}

#[test]
fn what_differs_from_run_to_run_is_refused() {
    for call in ["RANDOM()", "NOW()", "CURRENT_TIMESTAMP"] {
        let (kind, message, ..) = refusal(&format!("SELECT text FROM reviews ORDER BY {call}"));
        assert_eq!(kind, Kind::Usage);
        assert!(
            message.ends_with("would give another result on every run"),
            "{message}"
        );
    }
}

#[test]
fn functions_under_any_of_their_names_pass() {
    let calls = "COUNT(*) AS n, VAR_SAMP(stars) AS v, CEILING(MAX(stars)) AS c, STDDEV(label), GROUP_CONCAT(text)";
    ask(&format!("SELECT {calls} FROM reviews")).expect("known functions");
    assert!(
        ask("SELECT SUBSTR(text, 1, 2), CONCAT(text, 'x') AS c, ROUND(stars), TRIM(text) AS t FROM reviews")
            .is_ok()
    );
}

#[test]
fn missing_columns_are_found_in_the_query() {
    let (kind, message, place, help) = refusal("SELECT text, lable FROM reviews");
    assert_eq!((kind, place.as_str()), (Kind::Stage, "lable"));
    assert!(
        message.starts_with(
            "polars refuses the query: unable to find column \"lable\"; valid columns:"
        ),
        "{message}"
    );
    assert_eq!(help.as_deref(), Some("did you mean `label`?"));
    let (_, _, place, _) = refusal("SELECT r.text FROM reviews r WHERE r.txt = 'a'");
    assert_eq!(place, "txt");
}

#[test]
fn errors_on_values_are_those_of_polars() {
    let (kind, message, ..) = refusal("SELECT CAST(text AS INT) AS n FROM reviews");
    assert_eq!(kind, Kind::Stage);
    assert!(message.contains("conversion"), "{message}");
}

#[test]
fn ctes_aliases_and_subqueries_are_tables() {
    let text = "WITH good AS (SELECT * FROM reviews WHERE label = 1)
        SELECT g.text FROM good AS g
        WHERE g.label IN (SELECT label FROM names)
        AND g.text IN (SELECT d.text FROM (SELECT text FROM reviews) AS d)";
    assert_eq!(column(text, "text"), ["good", "fine"]);
}

/// The digest of the answers to queries whose order and sums polars leaves open.
fn fingerprint() -> String {
    let rows = 300_000u64;
    let scrambled = |row: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    // Of very different sizes, so that the order of an addition shows.
    let magnitudes = |row: u64| {
        let bits = u32::try_from(scrambled(row)).expect("24 bits");
        f64::from(bits) * 10f64.powi(i32::try_from(row % 13).expect("small"))
    };
    let frame = df!(
        "k" => (0..rows).map(|row| format!("key {}", scrambled(row) % 5000)).collect::<Vec<_>>(),
        "x" => (0..rows).map(magnitudes).collect::<Vec<_>>(),
        "i" => (0..rows).collect::<Vec<_>>(),
    );
    let tables = BTreeMap::from([("t".to_owned(), table(frame))]);
    let source = Arc::new(Source::new("query.sql", ""));
    let locate = |_| Span::new(&source, 0..0);
    let queries = [
        "SELECT k, SUM(x) AS s, AVG(x) AS a, FIRST(i) AS f FROM t GROUP BY k",
        "SELECT SUM(x) AS s, AVG(x) AS a, STDDEV(x) AS d FROM t WHERE x > 10 AND i > 5",
        "SELECT DISTINCT k FROM t",
        "SELECT a.i, b.x FROM t a JOIN t b ON a.k = b.k AND a.i < 2000 LIMIT 100000",
        "SELECT k, i FROM t ORDER BY k LIMIT 1000",
        "SELECT k, SUM(x) OVER (PARTITION BY k) AS s FROM t",
        "SELECT k FROM t WHERE i < 10 UNION SELECT k FROM t WHERE i < 1000",
    ];
    let mut hasher = blake3::Hasher::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for text in queries {
        let query = Query::parse(text, &["t"], &locate).expect(text);
        query
            .run(&tables, &locate)
            .expect(text)
            .write(folder.path())
            .expect(text);
        let bytes = std::fs::read(folder.path().join("table.parquet")).expect(text);
        hasher.update(&bytes);
        println!("{text}: {}", blake3::hash(&bytes).to_hex());
    }
    hasher.finalize().to_hex().to_string()
}

#[test]
fn answers_are_the_same_in_every_process_on_any_number_of_threads() {
    if std::env::var_os("REFIRE_TEST_FINGERPRINT").is_some() {
        println!("fingerprint {}", fingerprint());
        return;
    }
    let this = "data::sql::tests::answers_are_the_same_in_every_process_on_any_number_of_threads";
    let run = |threads: &str| {
        let output = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", this, "--nocapture"])
            .env("REFIRE_TEST_FINGERPRINT", "1")
            .env("POLARS_MAX_THREADS", threads)
            .output()
            .expect("ran");
        String::from_utf8(output.stdout).expect("text")
    };
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with("SELECT") || line.starts_with("fingerprint"))
            .map(str::to_owned)
            .collect()
    };
    let [one, two, four] = ["1", "2", "4"].map(run);
    assert!(one.contains("fingerprint "), "{one}");
    assert_eq!(lines(&one), lines(&two));
    assert_eq!(lines(&one), lines(&four));
}
