//! Files and arguments that nobody means: each is an error that says what is wrong, and never a panic.

use serde_json::{Value, json};

use crate::support::Project;
use crate::tiny;

const COMMAND: &str =
    "[stage.a]\nkind = \"command\"\nargv = [\"touch\", \"o\"]\noutputs = { o = \"o\" }\n";

/// What is wrong, the pipeline, the arguments, the exit code, a piece of the message.
type Case = (&'static str, String, Vec<String>, i32, &'static str);

fn case(what: &'static str, pipeline: String, verb: &str, code: i32, says: &'static str) -> Case {
    let arguments = verb.split(' ').map(String::from).collect();
    (what, pipeline, arguments, code, says)
}

/// A pipeline that asks this of a table of two rows.
fn query(sql: &str) -> String {
    format!(
        "[stage.t]\nkind = \"dataset\"\nsource = \"t.csv\"\n\
         [stage.q]\nkind = \"preprocess\"\ntables = {{ t = \"t\" }}\nsql = '''{sql}'''\n"
    )
}

/// A pipeline that splits what the query gives.
fn split(sql: &str, by: &str) -> String {
    let parts = "parts = { one = 0.5, other = 0.5 }";
    format!(
        "{}[stage.s]\nkind = \"split\"\ntable = \"q\"\n{by}\n{parts}\n",
        query(sql)
    )
}

fn queries() -> Vec<Case> {
    let chain = |one: &str, by: &str, times: usize| vec![one; times].join(by);
    let brackets = format!("SELECT {}a{} FROM t", "(".repeat(5000), ")".repeat(5000));
    let ors = |times| format!("SELECT a FROM t WHERE {}", chain("a = 1", " OR ", times));
    let cases = format!(
        "SELECT CASE {} END AS y FROM t",
        "WHEN a = 1 THEN 2 ".repeat(5000)
    );
    let day = "SELECT a, CAST(2147483647 AS DATE) AS w FROM t";
    let moment = "SELECT a, CAST(9223372036854775807 AS TIMESTAMP) AS w FROM t";
    let unread = "cannot be read as text";
    vec![
        case(
            "two arguments",
            query("SELECT GREATEST(a, b) AS y FROM t"),
            "check",
            0,
            "is fine",
        ),
        case(
            "no argument",
            query("SELECT LEAST() AS y FROM t"),
            "check",
            2,
            "`LEAST` needs an argument",
        ),
        case(
            "5,000 ORs",
            query(&ors(5000)),
            "check",
            2,
            "more than 3000 operators",
        ),
        case(
            "a million ORs",
            query(&ors(1_000_000)),
            "check",
            2,
            "more than 3000 operators",
        ),
        case(
            "5,000 cases",
            query(&cases),
            "run",
            2,
            "more than 3000 operators",
        ),
        case(
            "5,000 brackets",
            query(&brackets),
            "check",
            2,
            "more than 3000 operators",
        ),
        case(
            "5,000 signs",
            query(&format!("SELECT {}a FROM t", "- ".repeat(5000))),
            "check",
            2,
            "more than 3000",
        ),
        case(
            "5,000 unions",
            query(&chain("SELECT a FROM t", " UNION ALL ", 5000)),
            "check",
            2,
            "more than 3000 operators",
        ),
        case("a day by value", split(day, "by = \"w\""), "run", 1, unread),
        case(
            "a day as a class",
            split(day, "stratify = \"w\""),
            "run",
            1,
            unread,
        ),
        case(
            "a moment as a group",
            split(moment, "group = \"w\""),
            "run",
            1,
            unread,
        ),
        // Rows with such values are told apart all the same.
        case("copies of a day", split(day, ""), "run", 0, "3 ran"),
        case("copies of a moment", split(moment, ""), "run", 0, "3 ran"),
    ]
}

fn with(line: &str) -> String {
    format!("{COMMAND}{line}\n")
}

fn numbers() -> Vec<Case> {
    let axes: Vec<String> = (0..20)
        .map(|axis| format!("k{axis} = [0,1,2,3,4,5,6,7,8,9]"))
        .collect();
    let values: Vec<String> = (0..10_001).map(|value| value.to_string()).collect();
    let combined = with(&format!("[stage.a.matrix]\n{}", axes.join("\n")));
    let listed = with(&format!("matrix = {{ k = [{}] }}", values.join(",")));
    let much = "resources = { cpus = 9223372036854775807, memory = \"99999999999TiB\" }";
    let never = with("timeout = \"9999999999999999d\"");
    let wait = with("timeout = \"200000000000000d\"");
    let seed = with("seed = 99999999999999999999");
    vec![
        case("10^20 instances", combined, "check", 2, "at most 10000"),
        case(
            "10,001 instances",
            listed,
            "check",
            2,
            "makes 10001 instances",
        ),
        case("a time of no size", never, "run", 2, "too long"),
        case("a long time", wait, "run", 0, "1 ran"),
        case("much of everything", with(much), "run", 0, "1 ran"),
        case("a seed below 0", with("seed = -1"), "check", 2, "seed"),
        case(
            "a seed of no size",
            seed,
            "check",
            2,
            "does not fit 64 bits",
        ),
    ]
}

fn names() -> Vec<Case> {
    let files = |glob: &str| with(&format!("files = [\"{glob}\"]"));
    let open = "{a,".repeat(1000);
    let closed = files(&(open.clone() + &"}".repeat(1000)));
    let long = "{a,b}".repeat(1_000_000);
    let variables = with(&format!("env = [\"{long}\"]"));
    let stages = format!("run {open}");
    vec![
        case(
            "a path",
            with(""),
            "check --profile a/b",
            2,
            "has no profile `a/b`",
        ),
        case(
            "a path up",
            with(""),
            "run --profile ../../x",
            2,
            "has no profile",
        ),
        case("braces in braces", closed, "check", 2, "braces"),
        case(
            "open braces",
            files(&"{".repeat(4000)),
            "check",
            2,
            "braces",
        ),
        case(
            "a long glob",
            files(&long),
            "check",
            2,
            "more than 4096 bytes",
        ),
        case(
            "a glob of variables",
            variables,
            "run",
            2,
            "more than 4096 bytes",
        ),
        case(
            "a glob of stages",
            with(""),
            &stages,
            2,
            "is not a valid pattern",
        ),
    ]
}

fn nested() -> Vec<Case> {
    let within = |open: &str, close: &str| {
        with(&format!(
            "x = {}1{}",
            open.repeat(100_000),
            close.repeat(100_000)
        ))
    };
    let key = |parts: usize| vec!["a"; parts].join(".");
    let header = with(&format!("[{}]", key(100_000)));
    let argument = format!("check -S stage.a.{}=1", key(30_000));
    let list = format!("check -S stage.a.x={}", "[".repeat(50_000));
    vec![
        case("arrays in arrays", within("[", "]"), "check", 2, "recurs"),
        case("tables in tables", within("{a=", "}"), "check", 2, "recurs"),
        case("a long key", header, "check", 2, "recurs"),
        case("a long argument", with(""), &argument, 2, "at most 80"),
        case("a list in an argument", with(""), &list, 2, "unknown key"),
    ]
}

#[test]
fn what_nobody_means_is_an_error_and_no_panic() {
    let all = [queries(), numbers(), names(), nested()].concat();
    let mut wrong = Vec::new();
    for (what, pipeline, arguments, code, says) in all {
        let project = Project::with(&pipeline);
        project.write("t.csv", "a,b\n1,2\n1,2\n");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = project.refire(&arguments);
        let shown = ran.stdout() + &ran.stderr();
        if shown.contains("panicked") || !shown.contains(says) || ran.code() != Some(code) {
            let begin: String = shown.chars().take(1000).collect();
            wrong.push(format!(
                "{what}: not {code} with `{says}`, but {:?}: {begin}",
                ran.code()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The tiny pipeline with a file of its model changed.
fn with_model(file: &str, change: impl Fn(&mut Value)) -> String {
    let project = tiny::project();
    let path = format!("tiny-bert/{file}");
    let mut json: Value = serde_json::from_str(&project.read(&path)).expect("JSON");
    change(&mut json);
    project.write(&path, json.to_string());
    let ran = project.refire(&["run"]).fails_with(1);
    let shown = ran.stdout() + &ran.stderr();
    assert!(
        !shown.contains("panicked") && !shown.contains("a bug in refire"),
        "{json}: {shown}"
    );
    shown
}

#[test]
fn a_model_of_no_size_is_refused() {
    for (key, value, says) in [
        (
            "num_hidden_layers",
            json!(1_000_000_000_u64),
            "asks for 1000000000 layers",
        ),
        ("num_hidden_layers", json!(1_u64 << 63), "layers, but"),
        ("hidden_size", json!(32_u64 << 40), "config.json asks for"),
        ("hidden_size", json!(0), "`hidden_size` is 0"),
        ("vocab_size", json!(1_u64 << 63), "config.json asks for"),
        (
            "max_position_embeddings",
            json!(u64::MAX),
            "config.json asks for",
        ),
        (
            "intermediate_size",
            json!(1_u64 << 62),
            "config.json asks for",
        ),
        ("type_vocab_size", json!(0), "`type_vocab_size` is 0"),
        ("layer_norm_eps", json!(-1), "`layer_norm_eps` is -1"),
    ] {
        let shown = with_model("config.json", |config| config[key] = value.clone());
        assert!(
            shown.contains(says),
            "{key} = {value} does not say `{says}`: {shown}"
        );
    }
}

#[test]
fn a_tokenizer_that_gives_what_the_embedding_has_not_is_refused() {
    let around = |ids: Value| {
        json!({
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "[X]", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
            "special_tokens": { "[X]": { "id": "[X]", "ids": ids, "tokens": ["[X]"] } },
        })
    };
    for (part, value, says) in [
        (
            "post_processor",
            around(json!([99_999])),
            "gives ids up to 99999",
        ),
        (
            "normalizer",
            json!({ "type": "Precompiled", "precompiled_charsmap": "AAAA" }),
            "is not a tokenizer",
        ),
        (
            "model",
            json!({ "type": "BPE", "vocab": { "a": 0 }, "merges": ["a b"] }),
            "is not a tokenizer",
        ),
    ] {
        let shown = with_model("tokenizer.json", |tokenizer| {
            tokenizer[part] = value.clone();
        });
        assert!(
            shown.contains(says),
            "{value} does not say `{says}`: {shown}"
        );
    }
}
