//! `files`: what is fetched, pinned by digests or by name alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Spanned;
use crate::error::{Error, Result, Span};
use crate::sources::{self, Sha256};

/// The files with their digests, or their names alone.
#[derive(Debug, Clone)]
pub(super) enum Files {
    Pinned(BTreeMap<String, Spanned<Sha256>>),
    Named(Vec<Spanned<String>>),
}

impl Files {
    /// Name and digest of every file, in alphabetical order.
    pub(super) fn checked(&self, place: &Span) -> Result<BTreeMap<String, Option<Sha256>>> {
        let mut files = BTreeMap::new();
        match self {
            Self::Pinned(pinned) => {
                for (name, sha256) in pinned {
                    let span = sha256.span.as_ref().unwrap_or(place);
                    sources::check_file_name(name).map_err(|error| error.or_at(span, ""))?;
                    files.insert(name.clone(), Some(sha256.value));
                }
            }
            Self::Named(names) => {
                for name in names {
                    sources::check_file_name(&name.value).map_err(|error| name.blame(error, ""))?;
                    if files.insert(name.value.clone(), None).is_some() {
                        let twice = Error::usage(format!("`{}` is there twice", name.value));
                        return Err(name.blame(twice, ""));
                    }
                }
            }
        }
        if files.is_empty() {
            return Err(Error::usage("`files` is empty").at(place, "").help(
                "name the files of the model: files = [\"config.json\", \"model.safetensors\", \"tokenizer.json\"]",
            ));
        }
        Ok(files)
    }
}

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PinnedOrNamed;
        impl<'de> Visitor<'de> for PinnedOrNamed {
            type Value = Files;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of files and digests, or an array of files")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Files, A::Error> {
                let mut pinned = BTreeMap::new();
                while let Some((name, sha256)) = entries.next_entry()? {
                    pinned.insert(name, sha256);
                }
                Ok(Files::Pinned(pinned))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Files, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = items.next_element()? {
                    names.push(name);
                }
                Ok(Files::Named(names))
            }
        }
        deserializer.deserialize_any(PinnedOrNamed)
    }
}

impl Serialize for Files {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pinned(pinned) => pinned.serialize(serializer),
            Self::Named(names) => names.serialize(serializer),
        }
    }
}

impl JsonSchema for Files {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Files".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let sha256 = generator.subschema_for::<Sha256>();
        json_schema!({
            "anyOf": [
                { "type": "object", "additionalProperties": sha256, "minProperties": 1 },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
        })
    }
}
