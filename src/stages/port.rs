//! References from one stage to another, as they stand in a pipeline file.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Spanned;

/// A reference to another stage's output: `stage`, or `stage.port`.
///
/// It serialises as nothing, because what it refers to enters a key by content and not by name.
#[derive(Clone, Debug)]
pub struct Port(pub Spanned<String>);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

impl JsonSchema for Port {
    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A stage with one output, or `stage.port`.",
        })
    }
}

/// Several references, each with a name of its own: `tables = { reviews = "clean" }`.
pub type Ports = std::collections::BTreeMap<String, Port>;
