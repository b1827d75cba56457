//! Texts with spans: they become words and tags, and what is no span of its text is refused by its row.

use polars::prelude::{
    Column, DataFrame, IntoColumn, IntoSeries, NamedFrom, Series, StructChunked, df,
};

use super::*;
use crate::data::Table;
use crate::models::Card;

const TASK: &str = "model = \"encoder\"\ntrain = \"train\"\ntask = \"token-classification\"\ntext_column = \"text\"\n\
                    target_column = \"spans\"\nepochs = 2\nbatch_size = 4\nclassifier_dropout = 0.0\nlearning_rate = 0.01\n";

const GOOD_ROWS: [(&str, &str); 4] = [
    (
        "the food was good food.",
        r#"[{"start": 13, "end": 22, "label": "G", "text": "good food"}]"#,
    ),
    ("bad film!", "[]"),
    (
        "\u{1f600} lovely, and warm service",
        r#"[[2, 8, "G"], {"start_offset": 14, "end_offset": 26, "label": "G"}]"#,
    ),
    ("the place", r#"[{"start": 0, "end": 9, "labels": ["P"]}]"#),
];

/// A table of these texts, with spans as JSON.
fn spanned(bench: &Bench, part: &str, rows: &[(&str, &str)]) {
    let (texts, spans): (Vec<&str>, Vec<&str>) = rows.iter().copied().unzip();
    std::fs::create_dir_all(bench.path(part)).expect("a folder");
    write(
        df!("text" => texts, "spans" => spans).expect("a frame"),
        &bench.path(part),
    );
}

fn run(
    bench: &Bench,
    kind: &str,
    settings: &str,
    out: &str,
) -> Result<(PathBuf, BTreeMap<String, f64>)> {
    let stage = parse(kind, settings).unwrap_or_else(|error| panic!("{error}"));
    bench.run(&*stage, out, &|| false)
}

#[test]
fn spans_are_learnt_measured_and_said_of_texts() {
    let bench = Bench::new("{}");
    spanned(&bench, "train", &GOOD_ROWS);
    let (tuned, _) = run(
        &bench,
        "finetune",
        &format!("{TASK}epochs = 40\n").replacen("epochs = 2\n", "", 1),
        "tuned",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let notices = bench.notices();
    for word in [
        "`labels` are those of the samples: B-G, B-P, I-G, I-P, O",
        "spans become tags of the scheme IOB2",
    ] {
        assert!(notices.contains(word), "{word} is not in {notices}");
    }
    assert_eq!(
        Card::read(&tuned).expect("a card").scheme.as_deref(),
        Some("IOB2")
    );
    let (_, figures) = run(
        &bench,
        "evaluate",
        "model = \"tuned\"\ntable = \"train\"\n",
        "measured",
    )
    .expect("measured");
    assert!(figures["f1"] > 0.99, "{figures:?}");
    let settings = "model = \"tuned\"\ntable = \"train\"\nprefix = \"said_\"\n";
    let (said, _) = run(&bench, "predict", settings, "said").expect("said");
    let said = Table::read(&said).expect("a table");
    let words = crate::data::words::lists(&said, "said_words", 0).expect("lists");
    assert_eq!(words[1], ["bad", "film", "!"]);
    // What is said of texts are spans of them, and the same ones.
    let texts = crate::data::words::texts(&said, "text", 0)
        .expect("texts")
        .cut
        .expect("cut");
    let spans = |column| crate::data::spans::read(&said, column, &texts, 0).expect("spans");
    assert_eq!(spans("said_entities"), spans("spans"));
    assert_eq!(spans("spans")[2][1].characters, 14..26);

    // Another table, with other names for its columns, and structs.
    let of = |start: &[i64], label: &str| {
        let fields = [
            Series::new("start".into(), start.to_vec()),
            Series::new(
                "end".into(),
                start.iter().map(|start| start + 9).collect::<Vec<_>>(),
            ),
            Series::new("label".into(), vec![label; start.len()]),
            Series::new("text".into(), vec![None::<&str>; start.len()]),
        ];
        StructChunked::from_series("".into(), start.len(), fields.iter())
            .expect("structs")
            .into_series()
    };
    let rows = Series::new("entities".into(), [of(&[4], "G"), of(&[], "G")]);
    let texts = Column::new("sentence".into(), ["the warm food", "the film"]);
    let folder = bench.path("other");
    std::fs::create_dir_all(&folder).expect("a folder");
    write(
        DataFrame::new_infer_height(vec![texts, rows.into_column()]).expect("a frame"),
        &folder,
    );
    let settings = "model = \"tuned\"\ntable = \"other\"\ntext_column = \"sentence\"\ntarget_column = \"entities\"\n";
    run(&bench, "evaluate", settings, "measured").unwrap_or_else(|error| panic!("{error}"));
    let error = failure(run(
        &bench,
        "evaluate",
        "model = \"tuned\"\ntable = \"other\"\ntarget_column = \"entities\"\n",
        "measured",
    ));
    assert!(error.message().contains("no column `text`"), "{error}");
    // A label that the model does not know.
    spanned(
        &bench,
        "strange",
        &[GOOD_ROWS[0], ("the film", r#"[[4, 8, "H"]]"#)],
    );
    let error = failure(run(
        &bench,
        "evaluate",
        "model = \"tuned\"\ntable = \"strange\"\n",
        "measured",
    ));
    assert_eq!(
        error.message(),
        "the span from 4 to 8 in row 2 of column `spans`, `film`, has the label `H`, of which there is no tag in `labels`"
    );
}

#[test]
fn what_is_no_span_of_its_text_is_refused_with_its_row() {
    let text = "the warm  food \u{1f600}";
    let cases = [
        (
            "[[4, 8, \"G\"], [4, 4, \"G\"]]",
            "row 2 has a span in column `spans` from 4 to 4, which is no character",
        ),
        ("[[8, 4, \"G\"]]", "from 8 to 4, which is no character"),
        (
            "[[10, 17, \"G\"]]",
            "from 10 to 17, and its text has 16 characters",
        ),
        (
            "[[10, 14, \"G\"], [4, 14, \"P\"]]",
            "row 2 has a span in column `spans` from 4 to 14 (P) that overlaps with the one from 10 to 14 (G)",
        ),
        ("[[4, 8, \"G\"], [4, 8, \"G\"]]", "overlaps with the one"),
        (
            "[[8, 10, \"G\"]]",
            "the span from 8 to 10 in row 2 of column `spans`, `  `, is over no word",
        ),
        ("[[4, 6, \"G\"], [6, 8, \"P\"]]", "has no word of its own"),
        (
            "[[4, 8]]",
            "row 2 has a span in column `spans` that is a list of 2 values",
        ),
        (
            "[{\"end\": 8, \"label\": \"G\"}]",
            "whose `start` is no count of characters",
        ),
        (
            "[{\"start\": -1, \"end\": 8, \"label\": \"G\"}]",
            "whose `start` is no count of characters",
        ),
        (
            "[{\"start\": 4, \"end\": 8, \"label\": \"\"}]",
            "without a label",
        ),
        (
            "[{\"start\": 4, \"end\": 8, \"labels\": [\"G\", \"P\"]}]",
            "with 2 labels",
        ),
        (
            "[{\"start\": 4, \"end\": 8, \"label\": \"G\", \"text\": \"arm \"}]",
            "from 4 to 8 that says it is `arm `, but there stands `warm`",
        ),
        ("[\"G\"]", "that is none"),
        ("{}", "row 2 has no list of spans in column `spans`"),
        ("good", "row 2 has no list of spans in column `spans`"),
    ];
    for (spans, word) in cases {
        let bench = Bench::new("{}");
        spanned(&bench, "train", &[GOOD_ROWS[0], (text, spans)]);
        let error = failure(run(&bench, "finetune", TASK, "tuned"));
        assert!(error.message().contains(word), "{spans}: {error}");
        assert!(error.help_text().is_some(), "{spans}: {error}");
    }
    let bench = Bench::new("{}");
    spanned(&bench, "train", &[GOOD_ROWS[1]]);
    let error = failure(run(&bench, "finetune", TASK, "tuned"));
    assert!(
        error
            .message()
            .contains("all words at port `train` have the tag `O`"),
        "{error}"
    );
}

#[test]
fn parts_of_words_are_told_or_refused() {
    let bench = Bench::new("{}");
    let half = ("warm foods", r#"[[5, 9, "G"], [0, 4, "P"]]"#);
    spanned(&bench, "train", &[GOOD_ROWS[0], half]);
    run(&bench, "finetune", TASK, "tuned").unwrap_or_else(|error| panic!("{error}"));
    let notices = bench.notices();
    let told = "1 spans of column `spans` begin or end within a word, the first of them the span from 5 to 9 in row 2 of column `spans`, \
                `food`, and have the whole words";
    assert!(notices.contains(told), "{notices}");
    let error = failure(run(
        &bench,
        "finetune",
        &format!("{TASK}invalid_tags = \"error\"\n"),
        "tuned",
    ));
    assert!(
        error.message().ends_with("row 2 of column `spans`, `food`"),
        "{error}"
    );
}

#[test]
fn a_scheme_is_that_of_the_settings_and_columns_belong_together() {
    let bench = Bench::new("{}");
    spanned(&bench, "train", &GOOD_ROWS);
    let (tuned, _) = run(
        &bench,
        "finetune",
        &format!("{TASK}scheme = \"IOBES\"\n"),
        "tuned",
    )
    .expect("it trains");
    let card = Card::read(&tuned).expect("a card");
    assert_eq!(
        card.labels,
        ["B-G", "B-P", "E-G", "E-P", "I-G", "I-P", "O", "S-G", "S-P"]
    );
    run(
        &bench,
        "evaluate",
        "model = \"tuned\"\ntable = \"train\"\n",
        "measured",
    )
    .expect("measured");

    let lists = super::tasks::lists_of("words", 1, |_| vec!["a".to_owned(), "b".to_owned()]);
    let tags = super::tasks::lists_of("tags", 1, |_| vec!["O".to_owned(), "B-G".to_owned()]);
    let text = Column::new("text".into(), ["a b"]);
    let spans = Column::new("spans".into(), ["[[0, 1, \"G\"]]"]);
    write(
        DataFrame::new_infer_height(vec![lists, tags, text, spans]).expect("a frame"),
        &bench.path("train"),
    );
    for (columns, word) in [
        (
            ("words", "spans"),
            "column `words` holds lists of words, and column `spans` spans",
        ),
        (
            ("text", "tags"),
            "column `text` holds texts, and column `tags` lists of tags",
        ),
        (
            ("text", "text"),
            "row 1 has no list of spans in column `text`",
        ),
    ] {
        let settings = TASK
            .replace("\"text\"", &format!("\"{}\"", columns.0))
            .replace("\"spans\"", &format!("\"{}\"", columns.1));
        let error = failure(run(&bench, "finetune", &settings, "tuned"));
        assert!(error.message().contains(word), "{error}");
    }
}
