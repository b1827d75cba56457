//! How much the samples of each label count: a word or a table.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much the samples of each label count.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::stages::finetune) enum ClassWeights {
    /// Every label has the same share.
    Balanced,
    /// By label.
    Table(BTreeMap<String, f64>),
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = ClassWeights;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"balanced\" or a table of weights by label")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<ClassWeights, E> {
                match word {
                    "balanced" => Ok(ClassWeights::Balanced),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ClassWeights, A::Error> {
                let table = serde::de::value::MapAccessDeserializer::new(map);
                BTreeMap::deserialize(table).map(ClassWeights::Table)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Balanced => serializer.serialize_str("balanced"),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

impl JsonSchema for ClassWeights {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClassWeights".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "const": "balanced" },
                { "type": "object", "additionalProperties": { "type": "number", "exclusiveMinimum": 0 } },
            ],
        })
    }
}
