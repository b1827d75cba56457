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
    let after = after.replace("max_length = 128", "max_length = 32");
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
