//! Data files through the whole stage, with their schemas.

use super::*;
use crate::error::Kind;
use crate::needs;
use crate::stages::bench::{Bench, place};

#[test]
fn csv_becomes_a_table() {
    let bench = Bench::new();
    bench.write("r.csv", "text,label\ngood,1\n\"bad, really\",0\n");
    let made = bench
        .run("kind = 'dataset'\nsource = 'r.csv'", &[], 0)
        .expect("ran");
    let table = made.table(TABLE);
    assert_eq!(table.columns(), ["text", "label"]);
    assert_eq!(
        table.as_text("text").expect("text")[1].as_deref(),
        Some("bad, really")
    );
    // A local file needs no pin.
    assert_eq!(made.notices, Vec::<String>::new());
}

#[test]
fn ndjson_and_parquet_become_the_same_table() {
    let bench = Bench::new();
    bench.write(
        "r.jsonl",
        "{\"text\":\"good\",\"label\":1}\n{\"text\":\"bad\",\"label\":0}\n",
    );
    let first = bench
        .run("kind = 'dataset'\nsource = 'r.jsonl'", &[], 0)
        .expect("ran");
    bench.write("r.bin", first.bytes(TABLE));
    let settings = "kind = 'dataset'\nsource = 'r.bin'\nformat = 'parquet'";
    let second = bench.run(settings, &[], 0).expect("ran");
    assert_eq!(first.bytes(TABLE), second.bytes(TABLE));
}

#[test]
fn a_broken_schema_is_a_wrong_file_and_a_bad_row_a_failed_stage() {
    let bench = Bench::new();
    bench.write("r.csv", "text,label\ngood,1\nbad,2\n");
    let settings = "kind = 'dataset'\nsource = 'r.csv'\nschema = 's.toml'";

    let error = bench.run(settings, &[], 0).expect_err("no schema");
    assert_eq!((error.kind(), place(&error)), (Kind::Usage, "'s.toml'"));

    bench.write("s.toml", "[columns.label]\ntyp = 'integer'\n");
    let error = bench.run(settings, &[], 0).expect_err("misspelt");
    assert_eq!((error.kind(), place(&error)), (Kind::Usage, "typ"));
    assert_eq!(error.help_text(), Some("did you mean `type`?"));

    bench.write("s.toml", "[columns.label]\ntype = 'string'\nminimum = 0\n");
    let error = bench.run(settings, &[], 0).expect_err("cannot be meant");
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(
        error.message(),
        "`label`: bounds are for columns of type integer or number"
    );
    assert_eq!(place(&error), "[columns.label]");

    bench.write(
        "s.toml",
        "[columns.label]\ntype = 'integer'\nallowed = [0, 1]\n",
    );
    let error = bench.run(settings, &[], 0).expect_err("label 2");
    assert_eq!((error.kind(), place(&error)), (Kind::Stage, "'s.toml'"));
    assert_eq!(
        error.notes(),
        ["column `label` must be one of 0, 1; 1 row:\n  row 2 (line 3): 2"]
    );
}

#[test]
fn declared_types_decide_how_a_csv_is_read() {
    let bench = Bench::new();
    bench.write("r.csv", "code,n\n1,2\n");
    bench.write("s.toml", "[columns.code]\ntype = 'string'\n");
    let settings = "kind = 'dataset'\nsource = 'r.csv'\nschema = 's.toml'";
    let table = bench.run(settings, &[], 0).expect("ran").table(TABLE);
    assert!(crate::data::text::texts(&table, "code").is_ok());
    assert!(crate::data::text::texts(&table, "n").is_err());
}

#[test]
fn bytes_that_are_not_utf8_are_named() {
    let bench = Bench::new();
    bench.write("r.csv", b"text\ncaf\xe9\n");
    let error = bench
        .run("kind = 'dataset'\nsource = 'r.csv'", &[], 0)
        .expect_err("latin-1");
    assert_eq!((error.kind(), place(&error)), (Kind::Stage, "'r.csv'"));
    assert_eq!(
        error.message(),
        "`r.csv` is not UTF-8: byte 0xe9 at offset 8, on line 2"
    );
}

#[test]
fn a_pin_is_compared() {
    let bench = Bench::new();
    bench.write("r.csv", "a\n1\n");
    let digest = Sha256::of(b"a\n1\n");
    let settings = format!("kind = 'dataset'\nsource = 'r.csv'\nsha256 = '{digest}'");
    bench.run(&settings, &[], 0).expect("the same bytes");
    bench.write("r.csv", "a\n2\n");
    let error = bench.run(&settings, &[], 0).expect_err("other bytes");
    assert_eq!(error.kind(), Kind::Stage);
}

#[test]
fn the_first_source_that_has_the_file_gives_it() {
    let bench = Bench::new();
    bench.write("r.csv", "a\n1\n");
    let made = bench
        .run("kind = 'dataset'\nsource = ['gone.csv', 'r.csv']", &[], 0)
        .expect("ran");
    assert_eq!(made.table(TABLE).rows(), 1);
    assert!(
        made.notices
            .iter()
            .any(|notice| notice.contains("gone.csv")),
        "{:?}",
        made.notices
    );
}

#[test]
fn a_pinned_source_may_move_without_a_rerun() {
    let bench = Bench::new();
    let digest = Sha256::of(b"a\n1\n");
    let (pinned, skipped) = bench.described(&format!(
        "kind = 'dataset'\nsource = 'r.csv'\nsha256 = '{digest}'"
    ));
    assert_eq!(skipped, ["source"]);
    assert!(pinned["sha256"].contains(&digest.to_string()));
    // Defaults count as if they were written.
    let written = format!(
        "kind = 'dataset'\nsource = 'https://host/other.csv'\nsha256 = '{digest}'\nseparator = ','\nheader = true"
    );
    assert_eq!(bench.described(&written).0, pinned);
    let remote = bench.described("kind = 'dataset'\nsource = 'https://host/r.csv'");
    assert_eq!(remote.0["source"], "[\"https://host/r.csv\"]");
}

#[test]
fn settings_that_cannot_be_meant_are_refused_at_their_place() {
    let bench = Bench::new();
    let refused = |settings: &str, message: &str, at: &str| {
        let error = bench.refusal(&format!("kind = 'dataset'\n{settings}"));
        assert_eq!(
            (error.kind(), error.message(), place(&error)),
            (Kind::Usage, message, at)
        );
    };
    refused(
        "source = 'r.txt'",
        "the name `r.txt` does not tell the format",
        "'r.txt'",
    );
    refused(
        "source = 'r.parquet'\nquote = ''",
        "`quote` is for CSV and TSV files",
        "''",
    );
    refused(
        "source = 'r.csv'\nseparator = '||'",
        "`separator` must be one ASCII character, not \"||\"",
        "'||'",
    );
    refused(
        "source = 'r.csv'\nheader = true\ncolumns = ['a']",
        "`columns` is for files without a header",
        "['a']",
    );
    refused(
        "source = 'r.csv'\nheader = false",
        "without a header, `columns` must name the columns",
        "false",
    );
    refused(
        "source = 'r.csv'\nseparator = ';'\nquote = ';'",
        "`quote` and `separator` are the same",
        "';'",
    );
    let error = bench.refusal("kind = 'dataset'\nsource = 'r.csv'\nseperator = ';'");
    assert_eq!(error.help_text(), Some("did you mean `separator`?"));
}

#[test]
fn a_missing_file_is_found_by_check() {
    let bench = Bench::new();
    let stage = bench
        .parse("kind = 'dataset'\nsource = 'r.csv'")
        .expect("parsed");
    let error = stage.check().expect_err("missing");
    assert_eq!((error.kind(), place(&error)), (Kind::Usage, "'r.csv'"));
}

#[test]
fn file_names_come_without_what_an_address_adds() {
    assert_eq!(file_name("data/r.csv"), "r.csv");
    assert_eq!(file_name("https://host/r.csv?download=1"), "r.csv");
    assert_eq!(file_name("pip:reviews==1.0#data/r.csv"), "r.csv");
    assert_eq!(file_name("hf:datasets/a/b@main#r.parquet"), "r.parquet");
}

fn repository_schema(name: &str) -> String {
    format!("{}/schemas/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
#[ignore = "needs shared data"]
fn restaurant_reviews_fit_their_schema() {
    let Some(path) = needs::shared("restaurant-reviews/Restaurant_Reviews.tsv") else {
        return;
    };
    let bench = Bench::new();
    let settings = format!(
        "kind = 'dataset'\nsource = '{}'\nquote = ''\nschema = '{}'",
        path.display(),
        repository_schema("restaurant-reviews.toml")
    );
    let table = bench.run(&settings, &[], 0).expect("fits").table(TABLE);
    assert_eq!(table.rows(), 1000);
}

#[test]
fn conll_becomes_a_row_a_sentence() {
    let bench = Bench::new();
    bench.write("n.conll", "-DOCSTART- O\n\nAda I-PER\nwrote O\n\nIt O\n");
    let made = bench
        .run("kind = 'dataset'\nsource = 'n.conll'", &[], 0)
        .expect("ran");
    let table = made.table(TABLE);
    assert_eq!((table.rows(), table.columns()), (2, vec!["words", "tags"]));
    assert!(
        made.notices[0].contains("`-DOCSTART-`"),
        "{:?}",
        made.notices
    );
    // What is not set is in no key, so that other formats keep theirs.
    let (settings, _) = bench.described("kind = 'dataset'\nsource = 'n.csv'");
    assert!(!settings.contains_key("comment"), "{settings:?}");

    bench.write("n.txt", "1 Ada I-PER\n2 wrote\n");
    let settings =
        "kind = 'dataset'\nsource = 'n.txt'\nformat = 'conll'\ncolumns = ['_', 'w', 't']";
    let (error, _) = bench.fails(settings);
    assert_eq!(
        error.message(),
        "line 2 of `n.txt` has 2 fields, and `columns` names 3"
    );
    for (setting, word) in [
        ("quote = ''", "`quote` is for CSV and TSV files"),
        ("comment = ''", "`comment` is empty"),
        ("columns = ['_']", "names no column"),
        ("columns = ['a', 'a']", "comes twice"),
    ] {
        let error = bench.refusal(&format!("kind = 'dataset'\nsource = 'n.conll'\n{setting}"));
        assert!(error.message().contains(word), "{setting}: {error}");
        assert_eq!(error.kind(), Kind::Usage);
    }
    let error = bench.refusal("kind = 'dataset'\nsource = 'n.csv'\ncomment = '#'");
    assert_eq!(error.message(), "`comment` is for CoNLL files");
}
