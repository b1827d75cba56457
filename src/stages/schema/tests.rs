//! Tests of the schema: what it holds, and which files it takes.

use std::sync::Arc;

use regex::Regex;

use super::super::{KINDS, find};
use super::*;
use crate::config::{self, LIMIT_KEYS, Overrides};
use crate::error::Source;

#[test]
fn every_kind_is_in_it_with_the_keys_that_all_stages_have() {
    let schema = schema();
    for kind in KINDS {
        let settings = &schema["definitions"][kind.name()];
        assert_eq!(settings["properties"]["kind"]["const"], kind.name());
        assert!(
            settings["properties"]["seed"].is_object(),
            "{}",
            kind.name()
        );
        for key in LIMIT_KEYS.into_iter().chain(["matrix"]) {
            assert!(
                settings["properties"][key].is_object(),
                "`{key}` is not among the keys of `{}`",
                kind.name()
            );
        }
        assert_eq!(settings["required"][0], "kind", "{}", kind.name());
        assert_eq!(settings["additionalProperties"], false, "{}", kind.name());
    }
}

#[test]
fn every_setting_says_what_it_is() {
    let schema = schema();
    for kind in KINDS {
        let properties = schema["definitions"][kind.name()]["properties"]
            .as_object()
            .expect("a table");
        for (name, setting) in properties {
            assert!(
                setting["description"].is_string(),
                "`{name}` of `{}` has no doc comment",
                kind.name()
            );
        }
    }
}

#[test]
fn every_reference_inside_it_leads_somewhere() {
    fn walk(value: &Value, definitions: &Map<String, Value>) {
        match value {
            Value::Object(object) => {
                if let Some(name) = object.get("$ref").and_then(Value::as_str) {
                    let name = name.strip_prefix(DEFINITIONS).expect("a definition");
                    assert!(definitions.contains_key(name), "no definition `{name}`");
                }
                object.values().for_each(|value| walk(value, definitions));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, definitions)),
            _ => {}
        }
    }
    let schema = schema();
    walk(&schema, schema["definitions"].as_object().expect("a table"));
}

#[test]
fn settings_that_are_not_strings_may_be_references() {
    let mut number = json!({ "type": "integer", "description": "x" });
    or_reference(&mut number);
    assert_eq!(number["anyOf"][1]["$ref"], "#/definitions/reference");
    assert_eq!(number["description"], "x");
    let mut text = json!({ "type": ["string", "null"] });
    or_reference(&mut text);
    assert!(text.get("anyOf").is_none());
}

/// A file with everything that a file can have at its top, in a profile, and in a stage besides its kind's settings.
const WHOLE: &str = r#"
[pipeline]
name = "whole"
seed = "${params.seed}"
device = "cpu"

[params]
seed = 1
rates = [1e-4, 3e-4]
grid = { depth = [0, 2] }

[profile.smoke.pipeline]
device = "libtorch"

[profile.smoke.params]
rates = [1e-3]

[profile.smoke.stage.tune]
batch_size = 4
timeout = "1m"
matrix = { lr = [1e-3] }

[stage.tune]
kind = "finetune"
model = "encoder"
train = "reviews"
task = "text-classification"
labels = ["bad", "good"]
learning_rate = "${matrix.lr}"
epochs = "${matrix.epochs}"
seed = "${matrix.seed}"
timeout = "2h"
retries = 2
resources = { cpus = "${params.seed}", memory = "8GiB", gpus = 1 }

[stage.tune.matrix]
lr = "${params.rates}"
epochs = [2, "${params.seed}"]
seed = [1, 2]
note = ["one", true]
include = [{ lr = 1.0, epochs = 3, seed = 4, note = "by hand" }]
exclude = [{ epochs = 2, note = true }, { seed = "${params.seed}" }]

[stage.sweep]
kind = "command"
argv = ["true"]
outputs = { out = "out" }
matrix = "${params.grid}"
retries = "${params.seed}"
timeout = "90s"
"#;

#[test]
fn it_takes_files_that_refire_takes() {
    for profiles in [Vec::new(), vec!["smoke".to_string()]] {
        let overrides = Overrides {
            profiles,
            ..Overrides::default()
        };
        let source = Arc::new(Source::new("whole.toml", WHOLE));
        let pipeline = config::parse(&source, &overrides).expect("valid");
        for stage in &pipeline.stages {
            let kind = find(&stage.kind.0).expect("known");
            assert!(kind.parse(&stage.settings).is_ok(), "{}", stage.name);
        }
        assert!(pipeline.stages.len() > 3, "the matrices make stages");
    }
    assert_eq!(misfits(WHOLE), Vec::<String>::new());
    let pipelines = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let files = std::fs::read_dir(pipelines).expect("it is there").flatten();
    let mut seen = 0;
    for path in files.map(|file| file.path()) {
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let text = std::fs::read_to_string(&path).expect("readable");
            assert_eq!(misfits(&text), Vec::<String>::new(), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 3, "there are pipelines in the repository");
}

#[test]
fn it_refuses_what_refire_refuses() {
    for (right, wrong) in [
        ("timeout = \"2h\"", "timout = \"2h\""),
        ("retries = 2", "retries = -2"),
        ("retries = 2", "retries = \"twice\""),
        ("cpus = \"${params.seed}\"", "cpus = 0"),
        ("gpus = 1", "gpu = 1"),
        ("seed = [1, 2]", "seed = []"),
        ("seed = [1, 2]", "seed = [[1], [2]]"),
        ("seed = [1, 2]", "seed = 1"),
        ("exclude = [{", "exclude = [{}, {"),
        ("[profile.smoke.params]", "[profile.smoke.prams]"),
        ("name = \"whole\"", "nam = \"whole\""),
    ] {
        assert!(WHOLE.contains(right), "{right}");
        let text = WHOLE.replacen(right, wrong, 1);
        assert_ne!(misfits(&text), Vec::<String>::new(), "{wrong}");
    }
}

/// Where a pipeline file does not fit the schema.
fn misfits(text: &str) -> Vec<String> {
    let file: Value = toml::from_str(text).expect("TOML");
    let schema = schema();
    let mut found = Vec::new();
    look(&file, &schema, &schema, "", &mut found);
    found
}

/// Holds `value` against `schema`, with those keywords of JSON Schema that ours uses; another one is a failure.
fn look(value: &Value, schema: &Value, root: &Value, at: &str, found: &mut Vec<String>) {
    let keywords = match schema {
        Value::Bool(true) => return,
        Value::Object(keywords) => keywords,
        _ => return found.push(format!("{at}: nothing may be here")),
    };
    let fits = |schema: &Value| {
        let mut found = Vec::new();
        look(value, schema, root, at, &mut found);
        found.is_empty()
    };
    for (keyword, rule) in keywords {
        let holds = match keyword.as_str() {
            "$schema"
            | "title"
            | "description"
            | "default"
            | "definitions"
            | "format"
            | "properties"
            | "additionalProperties"
            | "items" => true,
            "$ref" => {
                let name = rule
                    .as_str()
                    .and_then(|name| name.strip_prefix(DEFINITIONS));
                fits(&root["definitions"][name.expect("a definition")])
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is(value, one)),
                one => is(value, one),
            },
            "const" => value == rule,
            "enum" => each(rule).any(|one| one == value),
            "allOf" => each(rule).all(fits),
            "anyOf" => each(rule).any(fits),
            "oneOf" => each(rule).filter(|one| fits(one)).count() == 1,
            "required" => value.as_object().is_none_or(|table| {
                each(rule).all(|key| table.contains_key(key.as_str().unwrap_or_default()))
            }),
            "propertyNames" => value
                .as_object()
                .is_none_or(|table| table.keys().all(|key| matches(key, &rule["pattern"]))),
            "pattern" => value.as_str().is_none_or(|text| matches(text, rule)),
            "minItems" => value
                .as_array()
                .is_none_or(|items| items.len() >= count(rule)),
            "maxItems" => value
                .as_array()
                .is_none_or(|items| items.len() <= count(rule)),
            "minProperties" => value
                .as_object()
                .is_none_or(|table| table.len() >= count(rule)),
            "minimum" => value.as_f64().is_none_or(|value| value >= number(rule)),
            "exclusiveMinimum" => value.as_f64().is_none_or(|value| value > number(rule)),
            "maximum" => value.as_f64().is_none_or(|value| value <= number(rule)),
            other => panic!("the test does not know the keyword `{other}`"),
        };
        if !holds {
            found.push(format!("{at}: `{keyword}` does not hold"));
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(schema) = keywords.get("items") {
            look(item, schema, root, &format!("{at}[{index}]"), found);
        }
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let named = keywords.get("properties").and_then(|named| named.get(key));
        if let Some(schema) = named.or_else(|| keywords.get("additionalProperties")) {
            look(value, schema, root, &format!("{at}.{key}"), found);
        }
    }
}

fn each(rule: &Value) -> impl Iterator<Item = &Value> {
    rule.as_array().into_iter().flatten()
}

fn number(rule: &Value) -> f64 {
    rule.as_f64().expect("a number")
}

fn count(rule: &Value) -> usize {
    let count = rule.as_u64().expect("a count");
    usize::try_from(count).expect("small")
}

fn matches(text: &str, pattern: &Value) -> bool {
    let pattern = pattern.as_str().expect("a pattern");
    Regex::new(pattern).expect("valid").is_match(text)
}

fn is(value: &Value, of_type: &Value) -> bool {
    match of_type.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("the test does not know the type `{other}`"),
    }
}
