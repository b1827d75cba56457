//! Tests of reading pipeline files.

use std::sync::Arc;

use serde::Deserialize;

use super::{Data, Overrides, Pipeline, Spanned, from_table, parse};
use crate::error::{Error, Source};

fn load(text: &str, overrides: &Overrides) -> Result<Pipeline, Error> {
    parse(&Arc::new(Source::new("dir/p.toml", text)), overrides)
}

fn fails(text: &str) -> (String, String) {
    let error = load(text, &Overrides::default()).expect_err("it must fail");
    let label = error.labels().first();
    let excerpt = label.map_or(String::new(), |label| {
        label.span.source.text[label.span.range.clone()].to_string()
    });
    (error.message().to_string(), excerpt)
}

const FILE: &str = r#"
[params]
epochs = 10
name = "reviews"
rate = 1e-3

[profile.smoke.params]
epochs = 1

[profile.smoke.stage.b]
batch = 4

[stage.b]
kind = "x"
epochs = "${params.epochs}"
path = "data/${params.name}-${params.epochs}.csv"
literal = "$${params.name}"

[stage.a]
kind = "y"
seed = 7
"#;

#[test]
fn references_keep_their_type_and_stages_their_order() {
    let pipeline = load(FILE, &Overrides::default()).expect("valid");
    assert_eq!(pipeline.name, "p");
    assert_eq!(
        pipeline
            .stages
            .iter()
            .map(|stage| stage.name.as_str())
            .collect::<Vec<_>>(),
        ["b", "a"]
    );
    let b = &pipeline.stages[0].settings;
    assert_eq!(b.get("epochs").expect("set").data, Data::Integer(10));
    assert_eq!(
        b.get("path").and_then(|value| value.as_str()),
        Some("data/reviews-10.csv")
    );
    assert_eq!(
        b.get("literal").and_then(|value| value.as_str()),
        Some("${params.name}")
    );
    assert_eq!(pipeline.stages[1].seed, Some(7));
}

#[test]
fn profiles_merge_and_the_command_line_wins() {
    let overrides = Overrides {
        profiles: vec!["smoke".into()],
        set: Vec::new(),
    };
    let b = load(FILE, &overrides).expect("valid").stages[0]
        .settings
        .clone();
    assert_eq!(b.get("epochs").expect("set").data, Data::Integer(1));
    assert_eq!(b.get("batch").expect("set").data, Data::Integer(4));

    let set = vec![
        "epochs=3".into(),
        "stage.b.path=plain words".into(),
        "stage.b.batch = [1, 2]".into(),
    ];
    let overrides = Overrides {
        profiles: vec!["smoke".into()],
        set,
    };
    let b = load(FILE, &overrides).expect("valid").stages[0]
        .settings
        .clone();
    assert_eq!(b.get("epochs").expect("set").data, Data::Integer(3));
    assert_eq!(
        b.get("path").and_then(|value| value.as_str()),
        Some("plain words")
    );
    assert!(matches!(&b.get("batch").expect("set").data, Data::Array(items) if items.len() == 2));
}

#[test]
fn several_profiles_are_laid_over_each_other_in_order() {
    let text = format!("{FILE}\n[profile.long.params]\nepochs = 30\n");
    let epochs = |profiles: &[&str]| {
        let overrides = Overrides {
            profiles: profiles.iter().map(ToString::to_string).collect(),
            set: Vec::new(),
        };
        let b = &load(&text, &overrides).expect("valid").stages[0].settings;
        let Data::Integer(epochs) = b.get("epochs").expect("set").data else {
            panic!("not a number");
        };
        let batch = b.get("batch").map(|batch| batch.data.clone());
        (epochs, batch == Some(Data::Integer(4)))
    };
    assert_eq!(epochs(&["smoke", "long"]), (30, true));
    assert_eq!(epochs(&["long", "smoke"]), (1, true));
}

#[test]
fn bad_files_name_the_place() {
    let cases = [
        (
            "[stage.a]\nkind = \"x\"\nn = \"${params.m}\"",
            "unknown param `m`",
            "params.m",
        ),
        (
            "[stage.a]\nkind = \"x\"\nn = \"${env.HOME}\"",
            "cannot refer to `env.HOME`",
            "env.HOME",
        ),
        (
            "[stage.a]\nkind = \"x\"\nn = \"a${params\"",
            "`${` without its `}`",
            "${",
        ),
        ("[stage.a]\nn = 1", "stage `a` has no `kind`", "a"),
        (
            "[stage.\"a.b\"]\nkind = \"x\"",
            "`a.b` cannot be the name of a stage",
            "\"a.b\"",
        ),
        (
            "[stages.a]\nkind = \"x\"",
            "unknown key `stages` in a pipeline file",
            "stages",
        ),
        (
            "[pipeline]\nseed = -1\n[stage.a]\nkind = \"x\"",
            "`seed` must not be negative",
            "-1",
        ),
        ("stage = 3", "`stage` must be a table, not an integer", "3"),
        (
            "[params]\na = \"${params.b}\"\n[stage.a]\nkind = \"${params.a}\"",
            "param `a` refers to another param",
            "\"${params.b}\"",
        ),
    ];
    for (text, message, excerpt) in cases {
        assert_eq!(
            fails(text),
            (message.to_string(), excerpt.to_string()),
            "{text}"
        );
    }
    let (message, _) = fails("[stage.a\nkind = 1");
    assert!(!message.is_empty());
    assert_eq!(fails("").0, "`dir/p.toml` has no stage");
}

#[test]
fn unknown_profiles_and_params_on_the_command_line_are_refused() {
    let unknown = Overrides {
        profiles: vec!["smok".into()],
        set: Vec::new(),
    };
    assert_eq!(
        load(FILE, &unknown).expect_err("unknown").help_text(),
        Some("did you mean `smoke`?")
    );
    let unknown = Overrides {
        profiles: Vec::new(),
        set: vec!["epoch=3".into()],
    };
    assert_eq!(
        load(FILE, &unknown).expect_err("unknown").help_text(),
        Some("did you mean `epochs`?")
    );
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    rate: f64,
    #[serde(default)]
    name: Option<Spanned<String>>,
    #[serde(default)]
    count: Option<std::num::NonZeroU32>,
    #[serde(default)]
    mode: Option<Mode>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Linear,
    Cosine,
}

fn settings(text: &str) -> Result<Settings, Error> {
    let table = super::Table::parse(&Arc::new(Source::new("p.toml", text))).expect("valid TOML");
    from_table(&table)
}

#[test]
fn settings_are_read_with_places() {
    let read = settings("rate = 1\nname = \"n\"\nmode = \"cosine\"\ncount = 2").expect("valid");
    assert!((read.rate - 1.0).abs() < f64::EPSILON);
    assert_eq!(
        read.name.expect("set").span.expect("from a file").range,
        16..19
    );
    assert_eq!(read.mode, Some(Mode::Cosine));
    assert_eq!(read.count.map(std::num::NonZeroU32::get), Some(2));
}

#[test]
fn bad_settings_name_the_key() {
    let cases = [
        (
            "rate = \"a\"",
            "`rate`: expected a number, found a string",
            "\"a\"",
        ),
        (
            "rate = 1\ncount = -1",
            "`count`: expected a positive integer, found -1",
            "-1",
        ),
        (
            "rate = 1\ncount = 0",
            "`count`: expected a positive integer, found 0",
            "0",
        ),
        (
            "rate = 1\nmode = \"cosin\"",
            "`mode`: expected one of \"linear\", \"cosine\", found \"cosin\"",
            "\"cosin\"",
        ),
        ("rate = 1\nnam = 1", "unknown key `nam`", "nam"),
        ("name = \"n\"", "missing key `rate`", ""),
    ];
    for (text, message, excerpt) in cases {
        let error = settings(text).expect_err(text);
        let span = &error.labels()[0].span;
        assert_eq!(
            (error.message(), &span.source.text[span.range.clone()]),
            (message, excerpt),
            "{text}"
        );
    }
}

#[test]
fn a_matrix_makes_instances() {
    let text = r#"
[stage.tune]
kind = "x"
matrix = { lr = [1e-4, 3e-4], depth = [0, 2], exclude = [{ lr = 3e-4, depth = 0 }], include = [{ lr = 1.0, depth = 9 }] }
learning_rate = "${matrix.lr}"
name = "run-${matrix.lr}"

[stage.word]
kind = "x"
matrix = { text = ["a,b=c", "a/b"] }
"#;
    let pipeline = load(text, &Overrides::default()).expect("valid");
    let names: Vec<&str> = pipeline
        .stages
        .iter()
        .map(|stage| stage.name.as_str())
        .collect();
    let expected = [
        "tune@lr=1e-4,depth=0",
        "tune@lr=1e-4,depth=2",
        "tune@lr=3e-4,depth=2",
        "tune@lr=1.0,depth=9",
        "word@text=a%2Cb%3Dc",
        "word@text=a%2Fb",
    ];
    assert_eq!(names, expected);
    let second = &pipeline.stages[2].settings;
    assert_eq!(
        second.get("learning_rate").expect("set").data,
        Data::Float(3e-4)
    );
    assert_eq!(
        second.get("name").and_then(|value| value.as_str()),
        Some("run-3e-4")
    );
}

#[test]
fn bad_matrices_are_refused() {
    let cases = [
        ("matrix = 3", "`matrix` must be a table"),
        (
            "matrix = { a = [] }",
            "`matrix.a` must be an array with at least one value",
        ),
        ("matrix = { a = [1, 1] }", "this matrix makes `@a=1` twice"),
        (
            "matrix = { a = [[1]] }",
            "a matrix takes plain values, not an array",
        ),
        (
            "matrix = { a = [1], exclude = [{ b = 1 }] }",
            "the matrix has no `b`",
        ),
        (
            "matrix = { a = [1], exclude = [{ a = 1 }] }",
            "this matrix makes no stage",
        ),
        (
            "matrix = { a = [1], b = [2], include = [{ a = 3 }] }",
            "this combination has no `b`",
        ),
        (
            "matrix = { \"a.b\" = [1] }",
            "`a.b` cannot be a key of a matrix",
        ),
        (
            "matrix = { a = [1, 2], exclude = [{ a = 1.0 }] }",
            "this `exclude` matches no instance",
        ),
        (
            "matrix = { a = [\"Adam\", \"adam\"] }",
            "this matrix makes `@a=Adam` and `@a=adam`, which differ in nothing but their case",
        ),
        (
            "matrix = { a = [\"${matrix.b}\"] }",
            "`matrix.b` has no value here",
        ),
        ("matrix = \"${params.b}\"", "unknown param `b`"),
        (
            "matrix = { a = [1] }\nx = \"${matrix.b}\"",
            "the stage's matrix has no `b`",
        ),
        ("x = \"${matrix.b}\"", "the stage's matrix has no `b`"),
    ];
    for (settings, message) in cases {
        assert_eq!(
            fails(&format!("[stage.a]\nkind = \"x\"\n{settings}")).0,
            message,
            "{settings}"
        );
    }
}

#[test]
fn a_matrix_may_refer_to_params() {
    let text = r#"
[params]
rates = [1e-4, 0.000_3]
base = 1E-2
grid = { seed = [3, 4], exclude = [{ seed = 3 }] }
words = ["a b", "c"]

[stage.tune]
kind = "x"
matrix = { lr = "${params.rates}", from = ["${params.base}"], word = ["${params.base}x"] }
learning_rate = "${matrix.lr}"
name = "run-${matrix.lr}-${matrix.from}"

[stage.whole]
kind = "x"
matrix = "${params.grid}"
seed = "${matrix.seed}"
retries = "${matrix.seed}"

[stage.said]
kind = "x"
matrix = { word = "${params.words}" }
argv = ["echo", "-${matrix.word}-"]
"#;
    let overrides = Overrides {
        profiles: Vec::new(),
        set: vec!["base=0.5".into()],
    };
    let pipeline = load(text, &overrides).expect("valid");
    let names: Vec<&str> = pipeline
        .stages
        .iter()
        .map(|stage| stage.name.as_str())
        .collect();
    // A number in a name is written as where it comes from.
    let expected = [
        "tune@lr=1e-4,from=0.5,word=0.5x",
        "tune@lr=0.000_3,from=0.5,word=0.5x",
        "whole@seed=4",
        "said@word=a%20b",
        "said@word=c",
    ];
    assert_eq!(names, expected);
    let tune = &pipeline.stages[1].settings;
    assert_eq!(
        tune.get("learning_rate").expect("set").data,
        Data::Float(3e-4)
    );
    assert_eq!(
        tune.get("name").and_then(|value| value.as_str()),
        Some("run-0.000_3-0.5")
    );
    assert_eq!(pipeline.stages[2].seed, Some(4));
    assert_eq!(pipeline.stages[2].limits.retries, 4);
    // A string is put into strings as it is, not as it stands in names.
    let said = pipeline.stages[3].settings.get("argv").expect("set");
    assert_eq!(said.to_toml(), "[\"echo\", \"-a b-\"]");
}

#[test]
fn long_values_are_cut_off_in_names_and_long_names_are_refused() {
    let long = "select a, b from c where d is not null and e is not null ".repeat(4);
    let text = format!(
        "[stage.a]\nkind = \"x\"\nmatrix = {{ sql = [\"{long}\", \"{long};\"] }}\nsql = \"${{matrix.sql}}\"\n"
    );
    let pipeline = load(&text, &Overrides::default()).expect("valid");
    let names: Vec<&str> = pipeline
        .stages
        .iter()
        .map(|stage| stage.name.as_str())
        .collect();
    assert_ne!(names[0], names[1]);
    for name in &names {
        assert!(name.starts_with("a@sql=select%20a%2C%20b%20from"), "{name}");
        assert!(name.len() <= "a@sql=".len() + 64, "{name}");
        let (begin, digest) = name.split_once('~').expect("a digest");
        assert_eq!(digest.len(), 12);
        assert!(!begin.ends_with(['%', '2']), "no half of a `%20`: {name}");
    }
    let sql = pipeline.stages[0].settings.get("sql").expect("set");
    assert_eq!(sql.as_str(), Some(long.as_str()));

    let keys: Vec<String> = (0..20).map(|key| format!("key-{key} = [100000]")).collect();
    let text = format!(
        "[stage.a]\nkind = \"x\"\nmatrix = {{ {} }}\n",
        keys.join(", ")
    );
    let (message, excerpt) = fails(&text);
    assert!(message.ends_with("bytes; 200 are the most"), "{message}");
    assert_eq!(excerpt, "a");
}

#[test]
fn the_keys_of_a_matrix_keep_their_order() {
    let text = r#"
[stage.tune]
kind = "x"
matrix = { rate = [1, 2], depth = [3] }

[profile.smoke.stage.tune.matrix]
rate = [9]
"#;
    for (profile, set, name) in [
        (None, None, "tune@rate=1,depth=3"),
        (Some("smoke"), None, "tune@rate=9,depth=3"),
        (
            None,
            Some("stage.tune.matrix.rate=[8]"),
            "tune@rate=8,depth=3",
        ),
        (
            None,
            Some("stage.tune.matrix.depth=[7]"),
            "tune@rate=1,depth=7",
        ),
    ] {
        let overrides = Overrides {
            profiles: profile.into_iter().map(String::from).collect(),
            set: set.map(String::from).into_iter().collect(),
        };
        let pipeline = load(text, &overrides).expect("valid");
        assert_eq!(pipeline.stages[0].name, name);
    }
}
