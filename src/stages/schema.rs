//! The JSON Schema of pipeline files, put together from the registry of stage kinds.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{StageKind, kinds};

/// Where the definitions stand.
const DEFINITIONS: &str = "#/definitions/";

/// The JSON Schema (draft 7, which editors of TOML understand best) of a pipeline file.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let kinds: Vec<(&str, Value)> = kinds()
        .map(|kind| (kind.name(), settings(kind, &mut generator)))
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

/// The settings of `kind` with the keys that every stage has.
fn settings(kind: &dyn StageKind, generator: &mut SchemaGenerator) -> Value {
    let schema = inline(kind.schema(generator), generator);
    let Value::Object(mut schema) = schema else {
        return schema;
    };
    let own = match schema.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    };
    let mut properties = Map::new();
    properties.insert(
        "kind".into(),
        json!({ "const": kind.name(), "description": kind.about() }),
    );
    properties.extend(own);
    properties.insert("seed".into(), seed("Where its random numbers start; by default it follows from the pipeline's seed and the stage's name."));
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

/// The definition that `schema` refers to, taken out of the generator's; `schema` itself if it is no reference.
fn inline(schema: Schema, generator: &mut SchemaGenerator) -> Value {
    let name = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix(DEFINITIONS));
    let taken = name.and_then(|name| generator.definitions_mut().remove(name));
    taken.unwrap_or_else(|| schema.to_value())
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
        "description": "A reference to a param, such as \"${params.epochs}\".",
        "type": "string",
        "pattern": r"\$\{[^}]+\}",
    })
}

fn seed(description: &str) -> Value {
    json!({ "description": description, "type": "integer", "minimum": 0 })
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

fn profile() -> Value {
    json!({
        "type": "object",
        "properties": {
            "pipeline": pipeline(),
            "params": { "type": "object" },
            "stage": { "type": "object", "additionalProperties": { "type": "object" } },
        },
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::KINDS;
    use super::*;

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
}
