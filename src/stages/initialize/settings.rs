//! The settings of `initialize` as they are written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::config::{Spanned, resolve};
use crate::error::{Context, Error, Result, Span};
use crate::models::{Modality, WordPiece};
use crate::stages::Port;

/// A model with random weights, drawn as its library draws them: transformers, torchvision or timm. It is what a training from nothing
/// begins with.
///
/// `config`, `model` or both say what the network is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// A model whose network this is, without its weights; its tokenizer and what else belongs to it come along.
    pub(super) model: Option<Port>,
    /// What Hugging Face's `config.json` holds: as a table, or the path of such a file. `{ architecture = "mobilenet_v2" }` is enough for a
    /// network that torchvision or timm knows by that name. With `model`, a table is what is changed in that model's.
    pub(super) config: Option<Spanned<Config>>,
    /// A tokenizer to train on `table`: `{ kind = "wordpiece", vocab_size = 8000 }`. Networks for texts need it unless `model` brings one;
    /// they are made for as many pieces as it has.
    pub(super) tokenizer: Option<Spanned<TokenizerSettings>>,
    /// The texts that the tokenizer is trained on.
    pub(super) table: Option<Port>,
    /// The column that they are in.
    pub(super) text_column: Option<Spanned<String>>,
}

/// A tokenizer to train.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenizerSettings {
    /// What kind of tokenizer it is.
    pub(super) kind: TokenizerKind,
    /// How many pieces it has at most, special ones such as `[CLS]` with them.
    pub(super) vocab_size: Spanned<usize>,
    /// Whether words are in lower case and without accents. Default: true.
    #[serde(default = "yes")]
    pub(super) lowercase: bool,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TokenizerKind {
    /// BERT's: words, and pieces of them that do not begin a word after `##`.
    WordPiece,
}

fn yes() -> bool {
    true
}

impl TokenizerSettings {
    pub(super) fn wordpiece(&self) -> WordPiece {
        let TokenizerKind::WordPiece = self.kind;
        WordPiece {
            vocab_size: self.vocab_size.value,
            lowercase: self.lowercase,
        }
    }
}

/// A `config.json`, or where it is.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Config {
    File(String),
    Keys(BTreeMap<String, Spanned<Value>>),
}

impl Settings {
    /// Refuses settings that say nothing or do not go together.
    pub(super) fn check(&self, place: &Span) -> Result<()> {
        match (&self.model, &self.config) {
            (None, None) => {
                return Err(Error::usage("this stage does not say what the network is")
                    .at(place, "")
                    .help("set `config`, or `model` for the network of another model"));
            }
            (Some(model), Some(config)) if matches!(config.value, Config::File(_)) => {
                let error =
                    Error::usage("`model` and a file as `config` both say what the network is");
                return Err(config
                    .blame_also(&model.0, error)
                    .help("leave one out; with `model`, `config` is a table of what is changed"));
            }
            _ => {}
        }
        match (&self.tokenizer, &self.table, &self.text_column) {
            (Some(tokenizer), None, _) => {
                let error = Error::usage("`tokenizer` needs texts to be trained on");
                return Err(tokenizer
                    .blame(error, "")
                    .help("set `table`, and `text_column`"));
            }
            (Some(tokenizer), _, None) => {
                let error = Error::usage("`tokenizer` needs the column of the texts");
                return Err(tokenizer.blame(error, "").help("set `text_column`"));
            }
            (None, Some(table), _) => {
                return Err(table
                    .0
                    .blame(Error::usage("`table` is for a `tokenizer` to train"), ""));
            }
            (None, _, Some(column)) => {
                return Err(column.blame(
                    Error::usage("`text_column` is for a `tokenizer` to train"),
                    "",
                ));
            }
            _ => {}
        }
        self.check_vocabulary()
    }

    /// Refuses a table that says of the vocabulary what the tokenizer says otherwise.
    fn check_vocabulary(&self) -> Result<()> {
        let Some(tokenizer) = &self.tokenizer else {
            return Ok(());
        };
        let size = &tokenizer.value.vocab_size;
        let Some(Config::Keys(keys)) = self.config.as_ref().map(|config| &config.value) else {
            return Ok(());
        };
        if let Some(rows) = keys.get("vocab_size")
            && rows.value != size.value
        {
            let error = Error::usage(format!(
                "`vocab_size` is {} in `config`, but {} in `tokenizer`",
                rows.value, size.value
            ));
            return Err(rows
                .blame_also(size, error)
                .help("leave it out of `config`: the network is made for the tokenizer"));
        }
        match keys.get("pad_token_id") {
            Some(pad) if pad.value != 0 => {
                let error = Error::usage(format!(
                    "`pad_token_id` is {}, but the padding token of a new tokenizer is 0",
                    pad.value
                ));
                Err(pad.blame(error, "").help("leave it out of `config`"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a network of this modality without a tokenizer, or with one that it has no use for.
    pub(super) fn check_tokenizer(&self, modality: Modality, place: &Span) -> Result<()> {
        match (modality, &self.tokenizer) {
            (Modality::Images, Some(tokenizer)) => {
                Err(tokenizer.blame(Error::usage("a network for images has no tokenizer"), ""))
            }
            (Modality::Texts, None) if self.model.is_none() => {
                Err(Error::usage("a network for texts needs a tokenizer")
                    .at(place, "")
                    .help("train one: tokenizer = { kind = \"wordpiece\", vocab_size = 8000 }, with `table` and `text_column`; or name a `model` that has one"))
            }
            _ => Ok(()),
        }
    }

    /// The file that `config` names, and where it names it; `place` is the stage's.
    pub(super) fn config_file(&self, place: &Span) -> Option<(PathBuf, Span)> {
        let config = self.config.as_ref()?;
        match &config.value {
            Config::File(path) => {
                let span = config.span.as_ref().unwrap_or(place);
                Some((resolve(span, path), span.clone()))
            }
            Config::Keys(_) => None,
        }
    }

    /// What `config` says; nothing if it is not set.
    pub(super) fn config(&self, place: &Span) -> Result<Map<String, Value>> {
        if let Some((path, span)) = self.config_file(place) {
            let read = || -> Result<Map<String, Value>> {
                let cannot = || format!("`{}` is no config.json", path.display());
                let bytes = std::fs::read(&path)
                    .or_stage(|| format!("cannot read `{}`", path.display()))?;
                serde_json::from_slice(&bytes).or_stage(cannot)
            };
            return read().map_err(|error| error.or_at(&span, ""));
        }
        let keys = match self.config.as_ref().map(|config| &config.value) {
            Some(Config::Keys(keys)) => keys.iter(),
            _ => return Ok(Map::new()),
        };
        Ok(keys
            .map(|(key, value)| (key.clone(), value.value.clone()))
            .collect())
    }

    /// Adds to `error`, about a config, the places of the keys that it names, or else that of `config`.
    pub(super) fn blame(&self, error: Error, place: &Span) -> Error {
        let Some(config) = &self.config else {
            return error.or_at(place, "");
        };
        let Config::Keys(keys) = &config.value else {
            return config.blame(error, "");
        };
        let message = error.message().to_string();
        let named = keys
            .iter()
            .filter(|(key, _)| message.contains(&format!("`{key}`")));
        let places: Vec<&Span> = named.filter_map(|(_, value)| value.span.as_ref()).collect();
        if places.is_empty() {
            return config.blame(error, "");
        }
        places
            .into_iter()
            .fold(error, |error, span| error.at(span, ""))
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FileOrKeys;

        impl<'de> Visitor<'de> for FileOrKeys {
            type Value = Config;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table, or the path of a config.json")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<Config, E> {
                Ok(Config::File(path.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let mut keys = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    keys.insert(key, value);
                }
                Ok(Config::Keys(keys))
            }
        }

        deserializer.deserialize_any(FileOrKeys)
    }
}

impl JsonSchema for Config {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Config".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "object", "minProperties": 1 },
                { "type": "string" },
            ],
        })
    }
}
