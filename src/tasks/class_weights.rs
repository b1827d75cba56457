//! How much the samples of each label count: a word or a table.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// How much the samples of each label count.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ClassWeights {
    /// Every label has the same share.
    Balanced,
    /// By label.
    Table(BTreeMap<String, f64>),
}

impl ClassWeights {
    /// Refuses a table that is not for exactly `labels`. `setting` is its name, and `blame` adds its place to an error.
    pub(super) fn check(
        &self,
        setting: &str,
        labels: &[String],
        blame: impl Fn(Error) -> Error,
    ) -> Result<()> {
        let Self::Table(table) = self else {
            return Ok(());
        };
        let labels = || labels.iter().map(String::as_str);
        for (label, weight) in table {
            if !labels().any(|known| known == label) {
                let error = Error::usage(format!(
                    "`{setting}` has the label `{label}`, which is not one of the labels"
                ));
                return Err(blame(error.did_you_mean(label, labels())));
            }
            if !(weight.is_finite() && *weight > 0.0) {
                let name = setting.trim_end_matches('s').replace('_', " ");
                return Err(blame(Error::usage(format!(
                    "the {name} of `{label}` is {weight}; it must be above 0"
                ))));
            }
        }
        match labels().find(|label| !table.contains_key(*label)) {
            Some(label) => Err(blame(Error::usage(format!(
                "`{setting}` has no weight for the label `{label}`"
            )))),
            None => Ok(()),
        }
    }
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
