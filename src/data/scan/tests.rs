//! What is read in pieces is what is read at once; what is written in pieces comes back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;

fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
    std::fs::write(&path, text).expect("written");
    (folder, path)
}

fn together(scan: &Scan) -> Table {
    let mut tables = scan
        .tables()
        .expect("begun")
        .map(|table| table.expect("read"));
    let mut frame = tables.next().expect("a table").frame;
    for table in tables {
        frame
            .vstack_mut_owned(table.frame)
            .expect("the same columns");
    }
    Table::new(frame)
}

/// Some thousands of rows with a number, a text of several lines, and a column that is mostly empty.
fn rows() -> String {
    let mut text = "id,text,note\n".to_owned();
    for row in 0..40_000 {
        let note = if row == 39_999 { "the last one" } else { "" };
        let said = "x".repeat(row % 50);
        let _ = writeln!(text, "{row},\"row {row},\nsaid \"\"{said}\"\"\",{note}");
    }
    text
}

#[test]
fn pieces_of_a_delimited_file_are_the_file() {
    let (_folder, path) = file("rows.csv", &rows());
    let scan = Scan::open(&path, Format::Csv).expect("scanned");
    assert_eq!(
        (scan.rows(), scan.columns()),
        (40_000, vec!["id", "text", "note"])
    );
    assert!(scan.tables().expect("begun").count() > 1);
    let bytes = std::fs::read(&path).expect("read");
    let dialect = Dialect::of(Format::Csv).expect("it is delimited");
    let whole = csv::read("rows.csv", &bytes, &dialect, &BTreeMap::new()).expect("read");
    assert!(together(&scan).frame.equals_missing(&whole.table.frame));
    let text = together(&scan.with_text(|_| true));
    assert!(text.column("id").expect("id").dtype().is_string());
}

#[test]
fn a_file_may_be_written_in_another_way() {
    let text = "1;he said \"no\n2;\"\n";
    let (_folder, path) = file("rows.txt", text);
    let dialect = Dialect {
        separator: b';',
        quote: None,
        names: csv::Names::Numbered,
        null_values: Vec::new(),
    };
    let scan = Scan::delimited(&path, dialect.clone()).expect("scanned");
    assert_eq!(
        (scan.rows(), scan.columns()),
        (2, vec!["column_1", "column_2"])
    );
    let whole = csv::read("rows.txt", text.as_bytes(), &dialect, &BTreeMap::new());
    let whole = whole.expect("read").table;
    assert!(together(&scan).frame.equals_missing(&whole.frame));
    let said = whole.as_text("column_2").expect("text");
    assert_eq!(
        said,
        [Some("he said \"no".to_owned()), Some("\"".to_owned())]
    );
}

#[test]
fn every_format_gives_back_what_is_written_to_it() {
    let (folder, path) = file("rows.csv", &rows());
    let scan = Scan::open(&path, Format::Csv).expect("scanned");
    let whole = together(&scan);
    for (name, format) in [
        ("a.csv", Format::Csv),
        ("a.tsv", Format::Tsv),
        ("a.jsonl", Format::Ndjson),
        ("a.parquet", Format::Parquet),
    ] {
        let path = folder.path().join(name);
        let mut sink = Sink::create(&path, format).expect("created");
        for table in scan.tables().expect("begun") {
            sink.write(table.expect("read")).expect("written");
            assert!(!path.exists());
        }
        sink.finish().expect("finished");
        let back = Scan::open(&path, format).expect("scanned");
        assert!(together(&back).frame.equals_missing(&whole.frame), "{name}");
    }
    // Nothing else was left behind.
    let files = std::fs::read_dir(folder.path()).expect("listed").count();
    assert_eq!(files, 5);
}

#[test]
fn what_is_not_finished_is_not_seen() {
    let (folder, path) = file("old.csv", "a\n1\n");
    let scan = Scan::open(&path, Format::Csv).expect("scanned");
    let mut sink = Sink::create(&path, Format::Csv).expect("created");
    for table in scan.tables().expect("begun") {
        sink.write(table.expect("read")).expect("written");
    }
    drop(sink);
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "a\n1\n");
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
}

#[test]
fn lines_of_wrong_rows_are_those_of_the_file() {
    let message = |name: &str, text: &str, format| {
        let (_folder, path) = file(name, text);
        Scan::open(&path, format).expect_err("refused").to_string()
    };
    let text = rows();
    let lines = text.lines().count();
    let ragged = message("rows.csv", &(text.clone() + "1,2\n"), Format::Csv);
    let expected = format!(
        "line {} of `rows.csv` has 2 fields, but there are 3 columns",
        lines + 1
    );
    assert_eq!(ragged, expected);
    let open = message("rows.csv", &(text + "1,\"2,\n"), Format::Csv);
    let expected = format!(
        "the quote that opens on line {} of `rows.csv` is never closed",
        lines + 1
    );
    assert_eq!(open, expected);
    let json = "{\"text\": \"good\"}\n".repeat(100_000) + "{\"text\": 1}\n";
    assert_eq!(
        message("rows.jsonl", &json, Format::Ndjson),
        "line 100001 of `rows.jsonl` has an integer in column `text`, which is a string on line 1"
    );
    assert_eq!(
        message("a.csv", "text\n\n\n", Format::Csv),
        "`a.csv` has no rows"
    );
    assert_eq!(message("a.csv", "", Format::Csv), "`a.csv` has no rows");
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let frame = polars::prelude::df!("photo" => [b"JPEG".as_slice()]).expect("a frame");
    for format in [Format::Csv, Format::Ndjson] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut sink = Sink::create(&folder.path().join("a"), format).expect("created");
        let error = sink.write(Table::new(frame.clone())).expect_err("refused");
        assert!(
            error
                .message()
                .starts_with("column `photo` holds values of type binary")
        );
    }
}

#[test]
fn numbers_that_would_change_pass_through_as_text() {
    let ids = ["11898508762506083200", "12e400"];
    let lines = format!(
        "{{\"id\":{},\"n\":1}}\n{{\"id\":{},\"n\":2.5}}\n",
        ids[0], ids[1]
    );
    let rows = format!("id,n\n{},1\n{},2.5\n", ids[0], ids[1]);
    for (name, text, format) in [
        ("t.ndjson", lines, Format::Ndjson),
        ("t.csv", rows, Format::Csv),
    ] {
        let (_folder, path) = file(name, &text);
        let table = together(&Scan::open(&path, format).expect("scanned"));
        assert_eq!(table.values("id").expect("ids"), ids, "{name}");
        assert_eq!(
            table.values("n").expect("numbers"),
            ["1.0", "2.5"],
            "{name}"
        );
    }
}
