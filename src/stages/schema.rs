//! The JSON Schema of pipeline files, put together from the registry of stage kinds.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{StageKind, kinds};
use crate::config::RawLimits;

#[cfg(test)]
mod tests;

/// Where the definitions stand.
const DEFINITIONS: &str = "#/definitions/";

/// The JSON Schema (draft 7, which editors of TOML understand best) of a pipeline file.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let limits = generator.subschema_for::<RawLimits>();
    let (limits, _) = split(inline(limits, &mut generator));
    let kinds: Vec<(&str, Value)> = kinds()
        .map(|kind| (kind.name(), settings(kind, &limits, &mut generator)))
        .collect();
    let mut definitions = generator.take_definitions(true);
    let one_of: Vec<Value> = kinds
        .iter()
        .map(|(name, _)| json!({ "$ref": format!("{DEFINITIONS}{name}") }))
        .collect();
    definitions.extend(
        kinds
            .into_iter()
            .map(|(name, schema)| (name.to_string(), schema)),
    );
    definitions.insert("matrix".into(), matrix());
    for definition in definitions.values_mut() {
        accept_references(definition);
    }
    definitions.insert("reference".into(), reference());
    definitions.insert("stage".into(), json!({ "oneOf": one_of }));
    definitions.sort_keys();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "refire pipeline",
        "type": "object",
        "properties": {
            "pipeline": pipeline(),
            "tracking": tracking(),
            "params": {
                "description": "Values to refer to as \"${params.NAME}\" in stages; a reference that is the whole string keeps the type.",
                "type": "object",
            },
            "profile": {
                "description": "Changes that `--profile NAME` lays over the file: tables merge, everything else is replaced.",
                "type": "object",
                "additionalProperties": profile(),
            },
            "stage": {
                "description": "The stages, by name.",
                "type": "object",
                "propertyNames": { "pattern": "^[A-Za-z0-9_-]+$" },
                "additionalProperties": { "$ref": format!("{DEFINITIONS}stage") },
            },
        },
        "required": ["stage"],
        "additionalProperties": false,
        "definitions": definitions,
    })
}

/// The settings of `kind` with the keys that every stage has, `limits` among them.
fn settings(
    kind: &dyn StageKind,
    limits: &Map<String, Value>,
    generator: &mut SchemaGenerator,
) -> Value {
    let (own, mut schema) = split(inline(kind.schema(generator), generator));
    let mut properties = Map::new();
    properties.insert(
        "kind".into(),
        json!({ "const": kind.name(), "description": kind.about() }),
    );
    properties.extend(own);
    properties.insert("seed".into(), seed("Where its random numbers start; by default it follows from the pipeline's seed and the stage's name."));
    properties.extend(limits.clone());
    properties.insert(
        "matrix".into(),
        json!({
            "description": "Makes several stages of this one: key → the values that it takes, `{ lr = [1e-4, 3e-4] }`. Every combination is a stage, such as `tune@lr=1e-4`; `\"${matrix.lr}\"` is its value.",
            "$ref": format!("{DEFINITIONS}matrix"),
        }),
    );
    let mut required = vec![Value::from("kind")];
    if let Some(Value::Array(own)) = schema.remove("required") {
        required.extend(own);
    }
    schema.remove("title");
    schema
        .entry("description")
        .or_insert_with(|| kind.about().into());
    schema.insert("properties".into(), properties.into());
    schema.insert("required".into(), required.into());
    schema.insert("additionalProperties".into(), false.into());
    schema.into()
}

/// The properties of a schema of tables, and the rest of it.
fn split(schema: Value) -> (Map<String, Value>, Map<String, Value>) {
    let Value::Object(mut schema) = schema else {
        return (Map::new(), Map::new());
    };
    match schema.remove("properties") {
        Some(Value::Object(properties)) => (properties, schema),
        _ => (Map::new(), schema),
    }
}

/// The definition that `schema` refers to, taken out of the generator's; `schema` itself if it is no reference.
fn inline(schema: Schema, generator: &mut SchemaGenerator) -> Value {
    let name = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix(DEFINITIONS));
    let taken = name.and_then(|name| generator.definitions_mut().remove(name));
    taken.unwrap_or_else(|| schema.to_value())
}

/// The schema of a table whose settings fall into `parts`, described by `about`. Parts may come more than once; of two settings of one
/// name the first describes it, and may be written as either says.
pub(super) fn merged(about: &str, parts: Vec<Schema>, generator: &mut SchemaGenerator) -> Schema {
    let mut properties = Map::new();
    let mut required: Vec<Value> = Vec::new();
    let mut seen = Vec::new();
    for part in parts {
        if seen.contains(&part) {
            continue;
        }
        seen.push(part.clone());
        let (own, mut schema) = split(inline(part, generator));
        for (name, setting) in own {
            match properties.get_mut(&name) {
                None => {
                    properties.insert(name, setting);
                }
                Some(known) => *known = either(known, &setting),
            }
        }
        if let Some(Value::Array(own)) = schema.remove("required") {
            required.extend(own);
        }
    }
    json_schema!({
        "type": "object",
        "description": about,
        "properties": properties,
        "required": required,
    })
}

/// The schema of a setting that may be written as one or the other says; the first describes it.
fn either(one: &Value, other: &Value) -> Value {
    let bare = |schema: &Value| {
        let mut bare = schema.clone();
        if let Some(object) = bare.as_object_mut() {
            object.retain(|key, _| !["description", "default"].contains(&key.as_str()));
        }
        bare
    };
    let (first, second) = (bare(one), bare(other));
    if first == second {
        return one.clone();
    }
    let mut setting = json!({ "anyOf": [first, second] });
    for key in ["description", "default"] {
        if let Some(value) = one.get(key) {
            setting[key] = value.clone();
        }
    }
    setting
}

/// Lets every setting inside `schema` also be a `"${…}"`, unless it takes any string anyway.
fn accept_references(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for (name, setting) in properties {
            if name != "kind" {
                or_reference(setting);
            }
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key).filter(|inner| inner.is_object()) {
            or_reference(inner);
        }
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(forms)) = object.get_mut(key) {
            forms.iter_mut().for_each(accept_references);
        }
    }
}

fn or_reference(setting: &mut Value) {
    accept_references(setting);
    let Some(object) = setting.as_object_mut() else {
        return;
    };
    let any_string = object.get("type").is_some_and(takes_strings)
        && !["enum", "const", "pattern", "format"]
            .iter()
            .any(|key| object.contains_key(*key));
    if any_string || object.is_empty() {
        return;
    }
    // Said of what is not written into keys, which is no matter of the file's.
    object.remove("writeOnly");
    let mut outer = Map::new();
    for key in ["description", "default"] {
        if let Some(value) = object.remove(key) {
            outer.insert(key.into(), value);
        }
    }
    let reference = json!({ "$ref": format!("{DEFINITIONS}reference") });
    outer.insert("anyOf".into(), json!([setting.take(), reference]));
    *setting = outer.into();
}

fn takes_strings(of_type: &Value) -> bool {
    match of_type {
        Value::String(one) => one == "string",
        Value::Array(several) => several.iter().any(|one| one == "string"),
        _ => false,
    }
}

fn reference() -> Value {
    json!({
        "description": "A reference to a param, such as \"${params.epochs}\", or to a value of the stage's matrix: \"${matrix.lr}\".",
        "type": "string",
        "pattern": r"\$\{[^}]+\}",
    })
}

fn seed(description: &str) -> Value {
    json!({ "description": description, "type": "integer", "minimum": 0 })
}

/// The combinations that a stage is made in.
fn matrix() -> Value {
    let plain = || json!({ "type": ["string", "number", "boolean"] });
    let combinations = |description: &str| {
        json!({
            "description": description,
            "type": "array",
            "items": { "type": "object", "minProperties": 1, "additionalProperties": plain() },
        })
    };
    let list = || json!({ "type": "array", "minItems": 1, "items": plain() });
    let drawn = |how: &str, description: &str| {
        json!({
            "description": description,
            "type": "object",
            "properties": { how: { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 } },
            "required": [how],
            "additionalProperties": false,
        })
    };
    json!({
        "type": "object",
        "properties": {
            "include": combinations("Further combinations."),
            "exclude": combinations("Combinations to leave out; a key that is not named may have any value."),
            "sample": {
                "description": "How many combinations are drawn, instead of all of them. A list is a key like any other.",
                "anyOf": [{ "type": "integer", "minimum": 1 }, list(), reference()],
            },
            "sample_seed": { "description": "What they are drawn from; 0 by default.", "anyOf": [{ "type": "integer", "minimum": 0 }, list(), reference()] },
        },
        "additionalProperties": { "anyOf": [list(), drawn("uniform", "Any number between two, or any whole one if both are whole."), drawn("log_uniform", "The same for their logarithms: for learning rates and the like.")] },
    })
}

fn pipeline() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "description": "Its name; by default the file's.", "type": "string" },
            "seed": {
                "description": "What the seeds of the stages follow from; 0 by default.",
                "anyOf": [{ "type": "integer", "minimum": 0 }, { "$ref": format!("{DEFINITIONS}reference") }],
            },
            "device": { "description": "Where tensors live; \"cpu\" by default.", "type": "string" },
        },
        "additionalProperties": false,
    })
}

fn tracking() -> Value {
    json!({
        "description": "Where runs are tracked. It changes no result, and a tracker that does not answer fails no run.",
        "type": "object",
        "properties": {
            "tensorboard": {
                "description": "A folder for TensorBoard's event files, relative to this file: a folder a run, in it one a stage.",
                "type": "string",
            },
            "mlflow": {
                "description": "The address of an MLflow server, such as \"http://127.0.0.1:5000\". The usual variables hold the login: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
                "type": "string",
            },
            "experiment": {
                "description": "What runs are gathered under in MLflow; by default the name of the pipeline.",
                "type": "string",
            },
            "models": {
                "description": "Whether models are handed to MLflow, too; true by default.",
                "type": "boolean",
            },
        },
        "additionalProperties": false,
    })
}

fn profile() -> Value {
    json!({
        "type": "object",
        "properties": {
            "pipeline": pipeline(),
            "params": { "type": "object" },
            "tracking": tracking(),
            "stage": { "type": "object", "additionalProperties": { "type": "object" } },
        },
        "additionalProperties": false,
    })
}
