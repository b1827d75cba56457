//! `resize`: a number, a word, or a table with one of each.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Unexpected, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::data::images::ResizeMode;

const SHORTER: &str = "shorter";
const SQUASH: &str = "squash";

/// What a photo is resized to before a square is cut out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stages::images) struct Resize {
    /// Which of its sides.
    pub(in crate::stages::images) mode: ResizeMode,
    /// To how many pixels, if that is said.
    pub(in crate::stages::images) pixels: Option<u32>,
}

/// As it is written; the shorter side to a length is the length alone.
impl Serialize for Resize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.mode, self.pixels) {
            (ResizeMode::Shorter, Some(pixels)) => serializer.serialize_u32(pixels),
            (ResizeMode::Shorter, None) => serializer.serialize_str(SHORTER),
            (ResizeMode::Squash, None) => serializer.serialize_str(SQUASH),
            (ResizeMode::Squash, Some(pixels)) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(SQUASH, &pixels)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Resize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberWordOrTable;
        impl<'de> Visitor<'de> for NumberWordOrTable {
            type Value = Resize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of pixels, \"shorter\", \"squash\", or { squash = PIXELS }")
            }

            fn visit_i64<E: serde::de::Error>(self, pixels: i64) -> Result<Resize, E> {
                match u64::try_from(pixels) {
                    Ok(pixels) => self.visit_u64(pixels),
                    Err(_) => Err(E::invalid_value(Unexpected::Signed(pixels), &self)),
                }
            }

            fn visit_u64<E: serde::de::Error>(self, pixels: u64) -> Result<Resize, E> {
                match u32::try_from(pixels) {
                    Ok(pixels) => Ok(Resize {
                        mode: ResizeMode::Shorter,
                        pixels: Some(pixels),
                    }),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(pixels), &self)),
                }
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Resize, E> {
                let mode =
                    mode(word).ok_or_else(|| E::invalid_value(Unexpected::Str(word), &self))?;
                Ok(Resize { mode, pixels: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Resize, A::Error> {
                use serde::de::Error;
                let one = "one of the keys `shorter` and `squash` is expected";
                let entry = entries.next_entry::<String, u32>()?;
                let (word, pixels) = entry.ok_or_else(|| A::Error::custom(one))?;
                let mode = mode(&word).ok_or_else(|| A::Error::custom(one))?;
                if entries.next_entry::<String, u32>()?.is_some() {
                    return Err(A::Error::custom(one));
                }
                Ok(Resize {
                    mode,
                    pixels: Some(pixels),
                })
            }
        }
        deserializer.deserialize_any(NumberWordOrTable)
    }
}

fn mode(word: &str) -> Option<ResizeMode> {
    match word {
        SHORTER => Some(ResizeMode::Shorter),
        SQUASH => Some(ResizeMode::Squash),
        _ => None,
    }
}

impl JsonSchema for Resize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Resize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pixels = json_schema!({ "type": "integer", "minimum": 1, "maximum": 8192 });
        json_schema!({
            "anyOf": [
                pixels,
                { "enum": [SHORTER, SQUASH] },
                {
                    "type": "object",
                    "properties": { SHORTER: pixels, SQUASH: pixels },
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ],
        })
    }
}
