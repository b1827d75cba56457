//! Lists of words with a tag each: what is decided is told, and what cannot be meant refused.

use polars::prelude::{Column, DataFrame};

use super::tasks::lists_of;
use super::*;
use crate::data::Table;
use crate::models::Card;

const TASK: &str = "model = \"encoder\"\ntrain = \"train\"\ntask = \"token-classification\"\nepochs = 2\nbatch_size = 4\n\
                    classifier_dropout = 0.0\nlearning_rate = 0.01\n";

/// A table of these words and tags.
fn tagged(bench: &Bench, part: &str, rows: &[(&str, &str)]) {
    let list = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let columns: Vec<Column> = vec![
        lists_of("words", rows.len(), |row| list(rows[row].0)),
        lists_of("tags", rows.len(), |row| list(rows[row].1)),
    ];
    std::fs::create_dir_all(bench.path(part)).expect("a folder");
    let frame = DataFrame::new_infer_height(columns).expect("a frame");
    write(frame, &bench.path(part));
}

const GOOD_ROWS: [(&str, &str); 4] = [
    ("the food was good food", "O O O B-G I-G"),
    ("bad film", "O O"),
    ("lovely and warm service", "B-G O B-G I-G"),
    ("the place", "O O"),
];

fn run(bench: &Bench, settings: &str) -> Result<PathBuf> {
    // What is set here takes the place of what is usual.
    let usual = TASK.lines().filter(|line| {
        let key = line.split_once(" = ").map_or(*line, |(key, _)| key);
        !settings.contains(&format!("{key} = "))
    });
    let usual: Vec<&str> = usual.collect();
    let text = format!("{}\n{settings}", usual.join("\n"));
    let stage = parse("finetune", &text).expect("it parses");
    Ok(bench.run(&*stage, "tuned", &|| false)?.0)
}

#[test]
fn tags_that_are_none_are_refused_with_their_row() {
    let cases = [
        (
            ("the food", "O"),
            "",
            "row 2 has 2 words in column `words` and 1 tags",
        ),
        (("the food", "O PER"), "", "`PER` is no tag"),
        (
            ("the food", "O S-G"),
            "scheme = \"IOB2\"\n",
            "`S-G` is no tag of the scheme IOB2",
        ),
        (
            ("the food", "O I-G"),
            "invalid_tags = \"error\"\n",
            "`I-G` in row 2, word 2 of column `tags` cannot stand there by the scheme IOB2",
        ),
        (
            ("the food", "O B-H"),
            "labels = [\"O\", \"B-G\", \"I-G\"]\n",
            "row 2, word 2 has the tag `B-H` in column `tags`, which is not in `labels`",
        ),
        (
            ("the food", "O O"),
            "max_length = 2\n",
            "leaves no room beside the 2 special tokens",
        ),
        (
            ("the food", "O O"),
            "max_length = 4\nstride = 2\n",
            "leaves nothing new in a window",
        ),
        (
            ("the food", "O O"),
            "target_column = \"label\"\n",
            "no column `label`",
        ),
    ];
    for (row, settings, word) in cases {
        let bench = Bench::new("{}");
        tagged(&bench, "train", &[GOOD_ROWS[0], row]);
        let error = failure(run(&bench, settings));
        assert!(error.message().contains(word), "{settings}: {error}");
    }
    let bench = Bench::new("{}");
    let error = failure(run(
        &bench,
        "text_column = \"text\"\ntarget_column = \"label\"\n",
    ));
    assert!(
        error
            .message()
            .contains("row 1 has no list of spans in column `label`"),
        "{error}"
    );
    let error = failure(run(&bench, "target_column = \"text\"\n"));
    assert!(error.message().contains("no column `words`"), "{error}");
    tagged(&bench, "train", &[("", ""), ("", "")]);
    let error = failure(run(&bench, ""));
    assert!(
        error.message().contains("no row at port `train` has a tag"),
        "{error}"
    );
}

#[test]
fn settings_for_whole_texts_are_refused() {
    for (settings, word) in [
        ("pooling = \"mean\"", "`pooling` is for whole texts"),
        (
            "text_pair_column = \"x\"",
            "`text_pair_column` is for whole texts",
        ),
        ("labels = [\"O\", \"PER\"]", "`PER` is no tag"),
        ("scheme = \"BIO\"", "expected"),
        ("stride = -1", "stride"),
    ] {
        let error = refusal(parse("finetune", &format!("{TASK}{settings}\n")));
        assert!(error.message().contains(word), "{settings}: {error}");
        assert_eq!(error.kind(), Kind::Usage, "{settings}");
    }
    let text =
        "model = \"encoder\"\ntrain = \"train\"\ntask = \"text-classification\"\nstride = 4\n";
    let error = refusal(parse("finetune", text));
    assert!(
        error.message().contains("`stride` is no setting of"),
        "{error}"
    );
}

#[test]
fn what_is_decided_of_tags_is_told_and_kept() {
    let bench = Bench::new("{}");
    let mut rows = GOOD_ROWS.to_vec();
    rows.push(("warm food", "I-G I-G"));
    tagged(&bench, "train", &rows);
    let tuned = run(&bench, "max_length = 6\nlabel_all_tokens = true\n").expect("it trains");
    let notices = bench.notices();
    for word in [
        "`labels` are those of the samples: B-G, I-G, O",
        "`scheme` is IOB2, as the tags of the samples show",
        "1 tags of column `tags` cannot stand where they do by the scheme IOB2",
        "1 of 5 train texts (20 %) are longer than 6 tokens and are cut",
        "1 words of train are in no window",
    ] {
        assert!(notices.contains(word), "{word} is not in {notices}");
    }
    assert!(!notices.contains("pools by"), "{notices}");
    let card = Card::read(&tuned).expect("a card");
    assert_eq!(card.scheme.as_deref(), Some("IOB2"));
    assert_eq!(card.labels, ["B-G", "I-G", "O"]);
    // A head for the same tags is kept.
    let text = format!("{TASK}max_length = 6\n").replace("\"encoder\"", "\"tuned\"");
    let stage = parse("finetune", &text).expect("it parses");
    bench.events();
    bench.run(&*stage, "again", &|| false).expect("it trains");
    assert!(!bench.notices().contains("a new head is drawn"));
}

#[test]
fn windows_are_measured_as_they_predict() {
    let bench = Bench::new("{}");
    let long = (
        "the food was good food and the film was lovely film but the staff",
        "O O O B-G I-G O O O O B-G I-G O O O",
    );
    let mut rows = GOOD_ROWS.to_vec();
    rows.extend([long, ("", "")]);
    tagged(&bench, "train", &rows);
    run(&bench, "max_length = 8\nstride = 2\nepochs = 20\n")
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(
        bench.notices().contains(
            "1 of 6 train texts are longer than 8 tokens: all together fall into 8 windows"
        ),
        "{}",
        bench.notices()
    );
    let stage = parse("evaluate", "model = \"tuned\"\ntable = \"train\"\n").expect("it parses");
    let (_, figures) = bench.run(&*stage, "measured", &|| false).expect("measured");
    assert!(figures["f1"] > 0.99, "{figures:?}");
    let stage = parse("predict", "model = \"tuned\"\ntable = \"train\"\n").expect("it parses");
    let (said, _) = bench.run(&*stage, "said", &|| false).expect("said");
    let said = Table::read(&said).expect("a table");
    let truth = crate::data::words::lists(&said, "tags", 0).expect("lists");
    assert_eq!(
        crate::data::words::lists(&said, "labels", 0).expect("lists"),
        truth
    );
}

/// The names of the tensors in the files of weights in `folder`.
fn tensors(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("listed").flatten();
    let files = files.map(|entry| entry.path());
    let files = files.filter(|path| {
        path.extension()
            .is_some_and(|ending| ending == "safetensors")
    });
    let names = files.flat_map(|path| {
        let bytes = std::fs::read(path).expect("readable");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let names = file.names().into_iter();
        names.map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn exports_hold_what_transformers_expects() {
    let bench = Bench::new("{}");
    tagged(&bench, "train", &GOOD_ROWS);
    let tuned = run(&bench, "").expect("it trains");
    let out = bench.path("out");
    std::fs::create_dir(&out).expect("a folder");
    let how = crate::models::export(&tuned, &out).expect("exported");
    assert!(
        how.contains("AutoModelForTokenClassification.from_pretrained"),
        "{how}"
    );
    let config = std::fs::read(out.join("config.json")).expect("readable");
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["architectures"][0], "BertForTokenClassification");
    assert_eq!(config["id2label"]["0"], "B-G");
    assert!(config.get("problem_type").is_none(), "{config}");
    // A later task may pool; transformers' class has no pooler.
    let has = |folder: &Path, part: &str| tensors(folder).iter().any(|name| name.contains(part));
    assert!(has(&out, "classifier.weight") && has(&tuned, "classifier.weight"));
    assert_eq!(has(&tuned, "pooler"), has(&bench.path("encoder"), "pooler"));
    assert!(!has(&out, "pooler"));
    let readme = std::fs::read_to_string(out.join("README.md")).expect("readable");
    assert!(readme.contains("is_split_into_words=True"), "{readme}");
}
