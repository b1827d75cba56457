//! Good and bad delimited files, small ones and real ones.

use proptest::prelude::*;

use super::*;
use crate::needs;

fn comma() -> Dialect {
    Dialect {
        separator: b',',
        quote: Some(b'"'),
        names: Names::Header,
        null_values: Vec::new(),
    }
}

fn load(bytes: impl AsRef<[u8]>) -> Result<Loaded> {
    read("t.csv", bytes.as_ref(), &comma(), &BTreeMap::new())
}

fn message(bytes: impl AsRef<[u8]>) -> String {
    load(bytes).expect_err("refused").message().to_owned()
}

fn column(loaded: &Loaded, name: &str) -> Vec<Option<String>> {
    loaded.table.as_text(name).expect("a column")
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values
        .iter()
        .map(|value| Some((*value).to_owned()))
        .collect()
}

#[test]
fn fields_are_read_as_they_are_written() {
    let loaded = load("\u{feff}id,text,score\r\n1,\"a, \"\"b\"\"\nc\",0.5\r\n2, d\u{85}e ,\r\n")
        .expect("read");
    assert_eq!(loaded.table.columns(), ["id", "text", "score"]);
    assert_eq!(loaded.lines, [2, 4]);
    assert_eq!(column(&loaded, "id"), some(&["1", "2"]));
    assert_eq!(
        column(&loaded, "text"),
        some(&["a, \"b\"\nc", " d\u{85}e "])
    );
    assert_eq!(column(&loaded, "score"), [Some("0.5".to_owned()), None]);
}

#[test]
fn empty_is_null_and_quoted_empty_is_empty() {
    let loaded = load("a,b\n,\"\"\nx,y\n").expect("read");
    assert_eq!(column(&loaded, "a"), [None, Some("x".to_owned())]);
    assert_eq!(column(&loaded, "b"), some(&["", "y"]));
}

#[test]
fn a_single_column_may_have_empty_rows_inside() {
    let loaded = load("a\nx\n\ny\n\n\n").expect("read");
    assert_eq!(
        column(&loaded, "a"),
        [Some("x".to_owned()), None, Some("y".to_owned())]
    );
    assert_eq!(loaded.lines, [2, 3, 4]);
}

#[test]
fn what_looks_like_a_mark_or_a_compressed_file_is_text() {
    let loaded = load("x^2,b\nx^2,1\n").expect("read");
    assert_eq!(loaded.table.columns(), ["x^2", "b"]);
    assert_eq!(column(&loaded, "x^2"), some(&["x^2"]));
    let loaded = load("a,b\n\u{feff},1\n").expect("read");
    assert_eq!(column(&loaded, "a"), some(&["\u{feff}"]));
}

#[test]
fn null_values_become_null_and_do_not_decide_the_type() {
    let dialect = Dialect {
        null_values: vec!["NA".into()],
        ..comma()
    };
    let loaded = read("t.csv", b"a,b\n1,NA\nNA,x\n", &dialect, &BTreeMap::new()).expect("read");
    assert_eq!(column(&loaded, "a"), [Some("1".to_owned()), None]);
    assert_eq!(
        loaded.table.column("a").expect("a").dtype(),
        &DataType::Int64
    );
    assert_eq!(column(&loaded, "b"), [None, Some("x".to_owned())]);
}

#[test]
fn declared_types_win_over_what_values_look_like() {
    let types = BTreeMap::from([
        ("a".to_owned(), Type::String),
        ("b".to_owned(), Type::Integer),
    ]);
    let loaded = read("t.csv", b"a,b\n1,2\n3,x\n", &comma(), &types).expect("read");
    assert_eq!(
        loaded.table.column("a").expect("a").dtype(),
        &DataType::String
    );
    // A value that is no integer leaves the column as text, so that the schema can name the row.
    assert_eq!(
        loaded.table.column("b").expect("b").dtype(),
        &DataType::String
    );
}

#[test]
fn names_come_from_the_settings_when_there_is_no_header() {
    let dialect = Dialect {
        names: Names::Given(vec!["text".into(), "label".into()]),
        ..comma()
    };
    let loaded = read("t.csv", b"x,1\ny,0\n", &dialect, &BTreeMap::new()).expect("read");
    assert_eq!(loaded.table.columns(), ["text", "label"]);
    assert_eq!(loaded.lines, [1, 2]);
}

#[test]
fn header_names_are_trimmed_and_filled_in() {
    let loaded = load(",\" a \"\n0,1\n").expect("read");
    assert_eq!(loaded.table.columns(), ["column_1", "a"]);
}

#[test]
fn bad_files_name_their_place() {
    assert_eq!(
        message(b"a,b\n1,caf\xe9\n"),
        "`t.csv` is not UTF-8: byte 0xe9 at offset 9, on line 2"
    );
    assert_eq!(
        message("a,b\n1,2\n3\n"),
        "line 3 of `t.csv` has 1 field, but there are 2 columns"
    );
    assert_eq!(
        message("a,b\n1,2,3\n"),
        "line 2 of `t.csv` has 3 fields, but there are 2 columns"
    );
    assert_eq!(message(""), "`t.csv` is empty");
    assert_eq!(message("a,b\n"), "`t.csv` has no rows");
    assert_eq!(message("a,a\n1,2\n"), "`t.csv` has two columns called `a`");
}

#[test]
fn the_help_for_bad_bytes_is_a_command() {
    let error = load(b"\xff\xfea\x00").expect_err("refused");
    assert_eq!(
        error.help_text(),
        Some("convert it, for example: iconv -f UTF-16 -t UTF-8 t.csv > utf8-t.csv")
    );
}

fn shared(file: &str) -> Option<Vec<u8>> {
    let path = needs::shared(&format!("restaurant-reviews/{file}"))?;
    Some(std::fs::read(path).expect("readable"))
}

#[test]
#[ignore = "needs shared data"]
fn restaurant_reviews_are_read_without_quoting() {
    let Some(bytes) = shared("Restaurant_Reviews.tsv") else {
        return;
    };
    let quoted = Dialect {
        separator: b'\t',
        ..comma()
    };
    let error = read("r.tsv", &bytes, &quoted, &BTreeMap::new()).expect_err("stray quotes");
    assert!(
        error
            .help_text()
            .is_some_and(|help| help.contains("quote = \"\""))
    );

    let dialect = Dialect {
        quote: None,
        ..quoted
    };
    let loaded = read("r.tsv", &bytes, &dialect, &BTreeMap::new()).expect("read");
    assert_eq!(loaded.table.rows(), 1000);
    assert_eq!(loaded.table.columns(), ["Review", "Liked"]);
    let liked = column(&loaded, "Liked");
    assert_eq!(
        liked
            .iter()
            .filter(|value| value.as_deref() == Some("1"))
            .count(),
        500
    );
    let literal = column(&loaded, "Review");
    assert_eq!(
        literal
            .iter()
            .flatten()
            .filter(|text| text.contains('"'))
            .count(),
        12
    );
}

#[test]
#[ignore = "needs shared data"]
fn next_line_characters_stay_inside_their_rows() {
    let Some(bytes) = shared("imdb_labelled.txt") else {
        return;
    };
    let dialect = Dialect {
        separator: b'\t',
        quote: None,
        names: Names::Given(vec!["text".into(), "label".into()]),
        null_values: Vec::new(),
    };
    let loaded = read("imdb_labelled.txt", &bytes, &dialect, &BTreeMap::new()).expect("read");
    assert_eq!(loaded.table.rows(), 1000);
    let texts = column(&loaded, "text");
    assert!(texts.iter().flatten().any(|text| text.contains('\u{85}')));
}

/// `cell` as a file holds it: quoted if it must be, or at will.
fn written(cell: &str, quoted: bool) -> String {
    let needs = cell.is_empty() || cell.contains(['"', ',', '\n', '\r']);
    if quoted || needs {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

proptest! {
    #[test]
    fn any_text_comes_back_as_it_was_written(
        rows in prop::collection::vec((".{0,6}|[\"',\\n\\r\\t x\u{85}]{0,6}", any::<bool>(), ".{0,4}"), 1..40),
        ending in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let mut text = format!("a,b{ending}");
        for (left, quoted, right) in &rows {
            text += &[&written(left, *quoted), ",", &written(right, !*quoted), ending].concat();
        }
        let types = BTreeMap::from([("a".to_owned(), Type::String), ("b".to_owned(), Type::String)]);
        let loaded = read("t.csv", text.as_bytes(), &comma(), &types).expect("well-formed");
        let (left, right): (Vec<_>, Vec<_>) =
            rows.iter().map(|(left, _, right)| (Some(left.clone()), Some(right.clone()))).unzip();
        prop_assert_eq!(column(&loaded, "a"), left);
        prop_assert_eq!(column(&loaded, "b"), right);
        for (row, line) in loaded.lines.iter().enumerate() {
            let before: usize = rows[..row].iter().map(|(left, _, right)| {
                (left.to_owned() + right).matches('\n').count()
            }).sum();
            prop_assert_eq!(*line, 2 + row + before);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = load(&bytes);
    }

    #[test]
    fn any_mess_of_separators_is_read_or_refused(text in "[ab\",\\n\\r]{0,40}") {
        if let Err(error) = load(&text) {
            prop_assert!(!error.help_text().unwrap_or_default().contains("defect"), "{} {:?}", error, text);
        }
    }
}

#[test]
fn other_encodings_and_old_lines_are_named() {
    let refused = |bytes: &[u8]| {
        let error = load(bytes).expect_err("refused");
        let help = error.help_text().unwrap_or_default().to_owned();
        (error.message().to_owned(), help)
    };
    let wide = |to: fn(u16) -> [u8; 2]| {
        let units = "text,label\ngood,1\n".encode_utf16();
        units.flat_map(to).collect::<Vec<u8>>()
    };
    let (message, help) = refused(&wide(u16::to_le_bytes));
    assert_eq!(message, "`t.csv` is not UTF-8 but UTF-16LE");
    assert!(help.contains("iconv -f UTF-16LE -t UTF-8"), "{help}");
    let (message, _) = refused(&wide(u16::to_be_bytes));
    assert_eq!(message, "`t.csv` is not UTF-8 but UTF-16BE");

    let (message, help) = refused(b"text,label\rgood,1\rbad,0\r");
    assert_eq!(
        message,
        "the lines of `t.csv` end in carriage returns alone, not in line feeds"
    );
    assert!(help.contains("tr '\\r' '\\n' < t.csv"), "{help}");
    assert!(load("a,b\r\n1,\"x\ry\"\r\n").is_ok());
    assert!(load("a\n\"x\0y\"\n").is_ok());
}

#[test]
fn columns_whose_numbers_would_change_are_text_and_that_is_said() {
    let text =
        "id,version,price,n\n11898508762506083200,1.1,1.10,1\n11898508762506083201,1.10,2.50,2\n";
    let loaded = load(text).expect("read");
    let strings = |name: &str| {
        column(&loaded, name)
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        strings("id"),
        ["11898508762506083200", "11898508762506083201"]
    );
    assert_eq!(strings("version"), ["1.1", "1.10"]);
    assert_eq!(strings("price"), ["1.1", "2.5"]);
    assert_eq!(loaded.notices.len(), 2);
    assert_eq!(
        loaded.notices[0],
        "column `id` is text, because no 64-bit number is exactly `11898508762506083200`; if its numbers are to be numbers, \
         declare type = \"number\" in the data schema"
    );
    let types = BTreeMap::from([
        ("id".to_owned(), Type::Number),
        ("version".to_owned(), Type::String),
    ]);
    let declared = read("t.csv", text.as_bytes(), &comma(), &types).expect("read");
    assert!(declared.notices.is_empty());
    assert_eq!(
        declared.table.column("id").expect("id").dtype(),
        &DataType::Float64
    );
}
