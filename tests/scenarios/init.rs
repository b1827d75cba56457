//! `init` and `schema --guess`: a project for the data that is there, which runs at once; what it refuses; that it writes over nothing.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{Project, Ran};
use crate::{needs, tiny};

/// A folder with `data` in the file `name`.
fn folder(name: &str, data: impl AsRef<[u8]>) -> Project {
    let project = Project::new();
    project.write(name, data);
    project
}

/// Lets the pipeline take the tiny encoder instead of the one that it would fetch.
fn offline(project: &Project) {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let bytes = std::fs::read(model.join(file)).expect("it is in the repository");
        project.write(&format!("tiny-bert/{file}"), bytes);
    }
    let pipeline = project.read("refire.toml");
    let (before, rest) = pipeline.split_once("[stage.encoder]").expect("an encoder");
    let (_, after) = rest.split_once("[stage.data]").expect("data");
    let after = after
        .replace("max_length = 128", "max_length = 32")
        .replace("stride = 32", "stride = 8");
    project.write(
        "refire.toml",
        format!(
            "{before}[stage.encoder]\nkind = \"pretrained\"\nsource = \"tiny-bert\"\n\
             files = [\"config.json\", \"model.safetensors\", \"tokenizer.json\"]\n\n[stage.data]{after}"
        ),
    );
}

/// The pipeline as TOML.
fn pipeline(project: &Project) -> toml::Table {
    project.read("refire.toml").parse().expect("TOML")
}

/// Runs the project with few epochs; what its test measured.
fn measured(project: &Project) -> Value {
    offline(project);
    project
        .refire(&["run", "-S", "stage.tune.epochs=2"])
        .succeeds();
    let shown = project.refire(&["metrics", "--json", "-S", "stage.tune.epochs=2"]);
    let rows: Vec<Value> = serde_json::from_str(&shown.succeeds().stdout()).expect("JSON");
    let test = rows.iter().find(|row| row["stage"] == "test");
    test.expect("the test has figures")["metrics"].clone()
}

fn init(project: &Project, arguments: &[&str]) -> Ran {
    project.refire(&[&["init"], arguments].concat())
}

#[test]
fn a_table_of_texts_becomes_a_project_that_runs() {
    let project = folder("reviews.csv", tiny::reviews(120));
    init(&project, &["text"])
        .succeeds()
        .shows("the texts are in `text`")
        .shows("in `label`")
        .shows("text-classification: `label` has 2 labels")
        .shows("next: refire run");
    let written = pipeline(&project);
    assert_eq!(
        written["stage"]["data"]["source"].as_str(),
        Some("reviews.csv")
    );
    assert_eq!(
        written["stage"]["split"]["stratify"].as_str(),
        Some("label")
    );
    let tune = &written["stage"]["tune"];
    assert_eq!(tune["labels"].as_array().map(Vec::len), Some(2));
    assert!(project.read(".gitignore").contains(".refire/"));
    assert!(
        project
            .read("schema.toml")
            .contains("allowed = [\"bad\", \"good\"]")
    );
    let workflow = project.read(".github/workflows/refire.yml");
    assert!(workflow.contains("refire run --locked"), "{workflow}");
    project.refire(&["check"]).succeeds();
    assert!(measured(&project)["accuracy"].as_f64() > Some(0.4));
    // What the test, the schema and the pipeline say of labels is one: a row of another label is refused.
    project.write("reviews.csv", tiny::reviews(120) + "odd food,so-so\n");
    let arguments = ["run", "data"];
    project
        .refire(&arguments)
        .fails_with(1)
        .shows("`label` must be one of \"bad\", \"good\"");
}

#[test]
fn the_targets_choose_the_task() {
    let mut lists = String::new();
    let mut joined = String::from("text;topics\n");
    let mut numbers = String::from("text,price\n");
    for row in 0..60 {
        let word = ["good", "bad", "warm"][row % 3];
        let list = [vec!["a"], vec!["a", "b"], vec![]][row % 3].clone();
        let text = format!("{word} food number {row} of the list");
        let line = serde_json::json!({"text": text, "topics": list});
        let _ = writeln!(lists, "{line}");
        let _ = writeln!(joined, "{text};{}", ["a", "a, b", "c, a"][row % 3]);
        let _ = writeln!(numbers, "{text},{}.25", 300 + row * 7);
    }
    let several = folder("tickets.jsonl", lists);
    init(&several, &["text"])
        .succeeds()
        .shows("text-multi-label");
    assert!(measured(&several)["macro_f1"].is_number());

    let several = folder("tickets.csv", joined);
    init(&several, &["text"])
        .succeeds()
        .shows("`;` stands between the fields")
        .shows("any number of 3 labels");
    let tune = &pipeline(&several)["stage"]["tune"];
    assert_eq!(tune["label_separator"].as_str(), Some(","));
    assert!(measured(&several)["macro_f1"].is_number());

    let price = folder("prices.csv", numbers);
    init(&price, &["text"])
        .succeeds()
        .shows("text-regression")
        .shows("shifted and divided");
    assert!(measured(&price)["rmse"].as_f64() < Some(5.0));
}

#[test]
fn hostile_names_and_values_are_only_names_and_values() {
    let names = [
        "te\"xt\nof ${params.x} 'all'",
        "${la\tbel}\u{1b}[2J\\ \"\"\" \u{202e}",
    ];
    let field = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut table = format!("{},{}\n", field(names[0]), field(names[1]));
    for row in 0..60 {
        let text = format!("\u{1b}]0;x\u{7} good \"food\"\n${{y}} {row}");
        let label = ["${x}\"", "\u{1b}[31mred", "", "'''"][row % 4];
        let _ = writeln!(table, "{},{}", field(&text), field(label));
    }
    let project = folder("odd ${data}.csv", table);
    let told = init(&project, &["text"]).succeeds().stderr();
    assert!(!told.contains('\u{1b}'), "{told:?}");
    for file in ["refire.toml", "schema.toml"] {
        let text = project.read(file);
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        text.parse::<toml::Table>().expect(file);
    }
    assert!(measured(&project)["accuracy"].is_number());
}

#[test]
fn rows_with_gaps_are_left_out_and_it_is_said() {
    let mut table = String::from("id,text,stars\n");
    for row in 0..60 {
        let stars = ["1", "5", ""][row % 3];
        let _ = writeln!(table, "{row},good food {row} and more of it,{stars}");
    }
    let project = folder("reviews.csv", table);
    init(&project, &["text"])
        .succeeds()
        .shows("rows without a text or a label are left out");
    assert!(measured(&project)["accuracy"].is_number());
}

#[test]
fn what_the_guess_misses_is_said_by_flags() {
    let mut table = String::from("title,body,topic,source\n");
    for row in 0..60 {
        let (topic, source) = (["a", "b"][row % 2], ["x", "y", "z"][row % 3]);
        let _ = writeln!(
            table,
            "title number {row} x,body number {row} of it,{topic},{source}"
        );
    }
    let project = folder("posts.csv", &table);
    init(&project, &["text"])
        .succeeds()
        .shows("--text-column names another: `title`")
        .shows("--label-column names another: `source`");
    let tune = pipeline(&project)["stage"]["tune"].clone();
    assert_eq!(tune["text_column"].as_str(), Some("body"));
    assert_eq!(tune["target_column"].as_str(), Some("topic"));
    let project = folder("posts.csv", table);
    let arguments = ["text", "--text-column", "title", "--label-column", "source"];
    init(&project, &arguments).succeeds();
    let tune = pipeline(&project)["stage"]["tune"].clone();
    assert_eq!(tune["text_column"].as_str(), Some("title"));
    assert_eq!(tune["labels"].as_array().map(Vec::len), Some(3));
}

#[test]
fn what_nothing_can_be_learnt_from_is_refused_and_nothing_is_written() {
    let refused = |name: &str, data: &str, arguments: &[&str], shown: &str| {
        let project = folder(name, data);
        let arguments = [&["text"], arguments].concat();
        init(&project, &arguments).fails_with(2).shows(shown);
        for file in ["refire.toml", "schema.toml", ".gitignore", ".github"] {
            assert!(!project.path(file).exists(), "{data}: {file}");
        }
    };
    let rows = |row: &dyn Fn(usize) -> String| (0..30).map(row).collect::<String>();
    let one = format!("text\n{}", rows(&|row| format!("food {row}\n")));
    refused("a.csv", "", &[], "is empty");
    refused("a.csv", "text,label\n", &[], "has no rows");
    refused("a.csv", "text,label\ngood,1\n", &[], "too few rows: 1");
    refused("a.csv", &one, &[], "one column alone");
    let same = format!(
        "text,label\n{}",
        rows(&|row| format!("good food {row},1\n"))
    );
    refused("a.csv", &same, &[], "the same value in `label`");
    let free = format!(
        "text,note\n{}",
        rows(&|row| format!("good food {row},as {row}\n"))
    );
    refused("a.csv", &free, &[], "no column of `a.csv` holds labels");
    refused(
        "a.csv",
        &free,
        &["--label-column", "nte"],
        "did you mean `note`?",
    );
    refused(
        "a.csv",
        &free,
        &["--label-column", "note"],
        "nothing that can be learnt",
    );
    refused(
        "a.csv",
        &free,
        &["--task", "fill-mask"],
        "no project can be made",
    );
    refused("a.doc", &free, &[], "there is no table");
    refused(
        "a.csv",
        &free,
        &["--data", "b.csv"],
        "there is no file `b.csv`",
    );
    refused("a.csv", "text,label\n\u{fffd}\n", &[], "1 field");
    let several = folder("a.csv", &free);
    several.write("b.csv", &free);
    init(&several, &["text"]).fails_with(2).shows("--data");
    init(&several, &["text", "no-such-folder"]).fails_with(2);
    init(&several, &["images"])
        .fails_with(2)
        .shows("photos/cats/1.jpg");
}

#[test]
fn nothing_is_written_over_what_is_there() {
    for file in [
        "refire.toml",
        "schema.toml",
        ".gitignore",
        ".github/workflows/refire.yml",
    ] {
        let project = folder("reviews.csv", tiny::reviews(60));
        project.write(file, "# mine\n");
        let shown = init(&project, &["text"]).fails_with(2);
        assert!(shown.stderr().contains(file), "{}", shown.stderr());
        assert_eq!(project.read(file), "# mine\n");
        let written = [
            "refire.toml",
            "schema.toml",
            ".gitignore",
            ".github/workflows",
        ];
        for other in written.iter().filter(|other| !file.starts_with(**other)) {
            assert!(!project.path(other).exists(), "{other} beside {file}");
        }
        let kept = init(&project, &["text", "--keep"]);
        if file == "refire.toml" {
            kept.fails_with(2);
        } else {
            kept.succeeds();
            assert_eq!(project.read(file), "# mine\n");
        }
    }
}

#[test]
fn photos_become_a_project() {
    let project = Project::new();
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
    let photos: Vec<_> = std::fs::read_dir(images)
        .expect("readable")
        .flatten()
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|ending| ending == "png")
        })
        .collect();
    assert!(!photos.is_empty());
    for (label, place) in [("cats", 0), ("dogs", 1)] {
        for copy in 0..6 {
            let photo = &photos[(place + copy) % photos.len()];
            let bytes = std::fs::read(photo.path()).expect("readable");
            project.write(&format!("pets/{label}/{copy}.png"), bytes);
        }
    }
    init(&project, &["images"])
        .succeeds()
        .shows("`pets` has photos with 2 labels: cats 6, dogs 6");
    project.refire(&["check"]).succeeds();
    let written = pipeline(&project);
    assert_eq!(written["stage"]["photos"]["source"].as_str(), Some("pets"));
    // Photos right beside the pipeline would change with it.
    init(&project, &["images", "pets"])
        .fails_with(2)
        .shows("mkdir photos");
    project.write("empty/a/note.txt", "");
    let arguments = ["images", "new", "--data", "empty"];
    init(&project, &arguments).fails_with(2).shows("no image");
    assert!(!project.path("new").exists());
}

#[test]
#[cfg(unix)]
fn a_program_becomes_a_project() {
    let project = folder("work.sh", "wc -l < words.txt > count.txt\n");
    project.write("words.txt", "one\ntwo\n");
    init(&project, &["command"]).fails_with(2).shows("--output");
    let arguments = ["command", "--output", "../x"];
    init(&project, &arguments).fails_with(2);
    let arguments = [
        "command",
        "--output",
        "count.txt",
        "--",
        "sh",
        "work.sh",
        "words.txt",
        "it's ${x}",
    ];
    init(&project, &arguments)
        .succeeds()
        .shows("`work.sh`, `words.txt`");
    project.refire(&["run"]).succeeds();
    project.refire(&["get", "work", "made"]).succeeds();
    assert_eq!(project.read("made/count.txt").trim(), "2");
    assert_eq!(project.outcomes(&[]), ["work cached"]);
}

/// Every table of the shared data passes the schema that is guessed of it, read as the guess says.
#[test]
#[ignore = "needs shared data"]
fn a_guessed_schema_passes_every_shared_table() {
    let Some(data) = needs::shared("restaurant-reviews") else {
        return;
    };
    let mut folders = vec![data.parent().expect("it is in a folder").to_owned()];
    let mut passed = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "tsv") {
                continue;
            }
            let path = path.to_str().expect("UTF-8");
            let project = Project::new();
            let guessed = project.refire(&["schema", "--guess", path]).succeeds();
            let told = guessed.stderr();
            let settings: Vec<&str> = told
                .lines()
                .filter_map(|line| line.strip_suffix(')')?.rsplit_once(" ("))
                .map(|(_, setting)| setting)
                .filter(|setting| setting.contains(" = "))
                .collect();
            project.write("guessed.toml", guessed.stdout());
            project.write(
                "refire.toml",
                format!(
                    "[pipeline]\nname = \"x\"\n[stage.data]\nkind = \"dataset\"\nsource = \"{path}\"\n\
                     schema = \"guessed.toml\"\n{}\n",
                    settings.join("\n")
                ),
            );
            project.refire(&["run"]).succeeds();
            passed += 1;
        }
    }
    assert!(passed > 15, "{passed}");
}

#[test]
fn a_guessed_schema_passes_its_own_data() {
    let mut odd = String::from("a b,n,x,day,big,neg,flag\n");
    for row in 0..40_i64 {
        let _ = writeln!(
            odd,
            "\"v{}\",{row},{}e{},2026-01-{:02},{},-0.00{row},{}",
            row % 4,
            row + 1,
            row * 7 - 140,
            row % 28 + 1,
            i64::MAX - row,
            row % 2 == 0
        );
    }
    let ndjson = "{\"t\": \"a\\u0007\", \"l\": [\"x\", \"y\"], \"n\": null}\n{\"t\": \"\", \"l\": [], \"n\": 1.5, \"o\": {\"p\": 1}}\n";
    for (name, data) in [
        ("reviews.csv", tiny::reviews(120)),
        ("odd.csv", odd),
        ("two.jsonl", ndjson.into()),
        ("one.tsv", "only\n1\n".into()),
        ("gaps.csv", "a,b\n,1\n,\nx,\n".into()),
        ("words.conll", "Ada B-PER\nwrote O\n\nRome B-LOC\n".into()),
    ] {
        let project = folder(name, data);
        let schema = project.refire(&["schema", "--guess", name]).succeeds();
        project.write("guessed.toml", schema.stdout());
        project.write(
            "refire.toml",
            format!(
                "[pipeline]\nname = \"x\"\n[stage.data]\nkind = \"dataset\"\nsource = \"{name}\"\nschema = \"guessed.toml\"\n"
            ),
        );
        project.refire(&["run"]).succeeds();
    }
    let project = folder("gaps.csv", "a,b\n,1\n,\nx,\n");
    project
        .refire(&["schema", "--guess", "gaps.csv"])
        .succeeds()
        .prints("nullable = true # 2 of 3 rows have no value");
    for (name, code) in [("no.csv", 2), ("", 2), (".refire", 2)] {
        project
            .refire(&["schema", "--guess", name])
            .fails_with(code);
    }
}

/// Sentences of words with a tag each, in which the last word of a name is one.
fn sentences(count: usize) -> Vec<(Vec<&'static str>, Vec<&'static str>)> {
    let names = [["Ada", "Lovelace"], ["Alan", "Turing"], ["Grace", "Hopper"]];
    let verbs = ["wrote", "liked", "saw", "met"];
    let sentence = |row: usize| {
        let [first, last] = names[row % 3];
        let words = vec![first, last, verbs[row % 4], "Rome", "."];
        (words, vec!["B-PER", "I-PER", "O", "B-LOC", "O"])
    };
    (0..count).map(sentence).collect()
}

#[test]
fn pairs_of_texts_become_a_project_that_runs() {
    let mut labelled = String::from("index\tsentence1\tsentence2\tlabel\n");
    let mut scored = String::new();
    for row in 0..60 {
        let (word, other) = (["good", "bad"][row % 2], ["warm", "cold", "bad"][row % 3]);
        let (first, second) = (
            format!("the {word} food number {row} of a long list of them"),
            format!("{other} film {row}"),
        );
        let label = ["same", "other"][(row / 2) % 2];
        let _ = writeln!(labelled, "{row}\t{first}\t{second}\t{label}");
        // Numbers that are written in several ways are text to a table.
        let score = [format!("{}.50", row % 30), format!("{}.5", row % 30)][row % 2].clone();
        let _ = writeln!(scored, "{score}\t{first}\t{second}");
    }
    let project = folder("pairs.tsv", &labelled);
    init(&project, &["text"])
        .succeeds()
        .shows("each row is a pair of texts: `sentence1` and `sentence2`")
        .shows("--text-column names another: `sentence1`, `sentence2`")
        .shows("text-classification: `label` has 2 labels");
    let written = pipeline(&project);
    let tune = &written["stage"]["tune"];
    assert_eq!(tune["text_pair_column"].as_str(), Some("sentence2"));
    assert_eq!(tune["model"].as_str(), Some("encoder"));
    assert!(written["stage"].get("frozen").is_none());
    assert!(measured(&project)["accuracy"].is_number());

    // Without names, with scores.
    let project = folder("scores.tsv", &scored);
    init(&project, &["text"])
        .succeeds()
        .shows("each row is a pair of texts: `column_2` and `column_3`")
        .shows("`column_1` is text in which numbers are written in several ways")
        .shows("text-regression");
    assert!(project.read("schema.toml").contains("type = \"number\""));
    assert!(measured(&project)["spearman"].is_number());

    // One text alone, if it is asked for; and others than those that are called so.
    let project = folder("pairs.tsv", &labelled);
    init(&project, &["text", "--text-column", "sentence1"]).succeeds();
    let written = pipeline(&project);
    assert!(written["stage"]["tune"].get("text_pair_column").is_none());
    assert!(written["stage"].get("frozen").is_some());
    let renamed = labelled.replace("sentence1\tsentence2", "claim\tevidence");
    let project = folder("pairs.tsv", renamed);
    let arguments = ["text", "--text-pair-column", "evidence", "--keep"];
    init(&project, &arguments).succeeds();
    let tune = &pipeline(&project)["stage"]["tune"];
    assert_eq!(tune["text_column"].as_str(), Some("claim"));
    assert_eq!(tune["text_pair_column"].as_str(), Some("evidence"));
    let refused = |arguments: &[&str], shown: &str| {
        let project = folder("pairs.tsv", &labelled);
        let arguments = [&["text"], arguments].concat();
        init(&project, &arguments).fails_with(2).shows(shown);
        assert!(!project.path("refire.toml").exists());
    };
    refused(
        &["--text-pair-column", "sentence22"],
        "did you mean `sentence2`?",
    );
    refused(&["--text-pair-column", "index"], "holds no texts");
    let twice = [
        "--text-column",
        "sentence1",
        "--text-pair-column",
        "sentence1",
    ];
    refused(&twice, "would be paired with itself");
    let taken = [
        "--text-pair-column",
        "sentence1",
        "--label-column",
        "sentence1",
    ];
    refused(&taken, "holds the texts");
}

#[test]
fn a_gap_in_a_pair_leaves_its_row_out() {
    let mut table = String::from("premise,hypothesis,gold_label\n");
    for row in 0..60 {
        let second = if row % 6 == 0 {
            String::new()
        } else {
            format!("it is {row}")
        };
        let label = ["yes", "no"][row % 2];
        let _ = writeln!(table, "the food of day {row} is good,{second},{label}");
    }
    let project = folder("nli.csv", table);
    init(&project, &["text"])
        .succeeds()
        .shows("rows without a text or a label are left out");
    assert!(project.read("refire.toml").contains("IS NOT NULL AND"));
    assert!(measured(&project)["accuracy"].is_number());
}

#[test]
fn words_with_tags_become_a_project_that_runs() {
    let mut lines = String::new();
    let mut rows = String::new();
    for (place, (words, tags)) in sentences(60).into_iter().enumerate() {
        for (word, tag) in words.iter().zip(&tags) {
            let _ = writeln!(lines, "{word} {tag}");
        }
        lines.push('\n');
        // Some rows have no words: they are left out.
        let tokens = if place % 10 == 9 {
            serde_json::Value::Null
        } else {
            serde_json::json!(words)
        };
        let row =
            serde_json::json!({"id": place, "tokens": tokens, "ner_tags": tags, "topics": ["a"]});
        let _ = writeln!(rows, "{row}");
    }
    for name in ["names.conll", "names.conll.txt"] {
        let project = folder(name, &lines);
        init(&project, &["text"])
            .succeeds()
            .shows("the words are in `words`, and a tag for each in `tags`")
            .shows("token-classification: `tags` has 4 tags");
        let written = pipeline(&project);
        let format = written["stage"]["data"].get("format");
        assert_eq!(format.is_some(), name != "names.conll");
        assert_eq!(written["stage"]["tune"]["model"].as_str(), Some("encoder"));
        assert!(measured(&project)["f1"].is_number());
    }
    let project = folder("names.jsonl", &rows);
    init(&project, &["text"])
        .succeeds()
        .shows("the words are in `tokens`, and a tag for each in `ner_tags`")
        .shows("left out");
    assert!(measured(&project)["f1"].is_number());

    // The same as Parquet, which a run writes.
    project.refire(&["get", "data", "table"]).succeeds();
    let bytes = std::fs::read(project.path("table/table.parquet")).expect("readable");
    let parquet = folder("names.parquet", bytes);
    init(&parquet, &["text"]).succeeds().shows("`ner_tags`");
    assert!(measured(&parquet)["f1"].is_number());

    let refused = |name: &str, data: &str, arguments: &[&str], shown: &str| {
        let project = folder(name, data);
        let arguments = [&["text"], arguments].concat();
        init(&project, &arguments).fails_with(2).shows(shown);
        assert!(!project.path("refire.toml").exists());
    };
    let numbers = rows.replace("\"B-PER\"", "1").replace("\"I-PER\"", "2");
    let numbers = numbers.replace("\"B-LOC\"", "3").replace("\"O\"", "0");
    refused("a.jsonl", &numbers, &[], "are numbers");
    let same = lines.replace(" B-PER", " O").replace(" I-PER", " O");
    let same = same.replace(" B-LOC", " O");
    refused("a.conll", &same, &[], "the same tag in `tags`");
    refused("a.conll", "Ada B-PER\nran O\n\nIt O\n", &[], "too few rows");
    let task = ["--task", "token-classification"];
    refused(
        "a.csv",
        &tiny::reviews(60),
        &task,
        "no two columns of `a.csv` hold lists of words",
    );
    // Lists that are not as long as each other are no words and tags.
    let longer = rows.replace("\"B-LOC\",\"O\"", "\"B-LOC\"");
    refused("a.jsonl", &longer, &task, "no two columns");
}
