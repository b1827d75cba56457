//! What a command makes: where it lies in its folder, and of which type it is to other stages.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::stages::ArtifactType;

/// One output: a path, which other stages know as files, or a path and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// The file or folder, relative to the command's folder.
    pub(super) path: String,
    /// What it is to other stages.
    pub(super) artifact: ArtifactType,
}

/// An output as it is written with its type.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Typed {
    /// The file or folder, relative to the command's folder.
    path: String,
    /// What it is to other stages.
    #[serde(rename = "type")]
    artifact: ArtifactType,
}

impl Made {
    /// Refuses an output in `folder` that is not what it is declared to be.
    ///
    /// # Errors
    /// If the file is missing that makes it one.
    pub(super) fn check(&self, folder: &Path) -> Result<()> {
        match self.artifact.file() {
            Some(file) if !folder.join(file).is_file() => Err(Error::stage(format!(
                "`{}` is not {}: there is no `{file}` in it",
                self.path,
                self.artifact.with_article()
            ))
            .help("let the command make that file, or leave out `type`")),
            _ => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Made {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathOrTyped;
        impl<'de> Visitor<'de> for PathOrTyped {
            type Value = Made;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a table with `path` and `type`")
            }

            fn visit_str<E>(self, path: &str) -> Result<Made, E> {
                Ok(Made {
                    path: path.into(),
                    artifact: ArtifactType::Files,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Made, A::Error> {
                let typed = Typed::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Made {
                    path: typed.path,
                    artifact: typed.artifact,
                })
            }
        }
        deserializer.deserialize_any(PathOrTyped)
    }
}

impl Serialize for Made {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.artifact {
            ArtifactType::Files => self.path.serialize(serializer),
            artifact => Typed {
                path: self.path.clone(),
                artifact,
            }
            .serialize(serializer),
        }
    }
}

impl JsonSchema for Made {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Made".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let typed = Typed::json_schema(generator);
        json_schema!({ "anyOf": [{ "type": "string" }, typed] })
    }
}
