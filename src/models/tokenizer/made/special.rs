//! The tokens of a tokenizer that are found in a text before it is taken apart: those for masks, padding and the like, and those that
//! somebody has added. What the folder says of them stands in three files; they are read as transformers reads them
//! (`tokenization_utils_base.py`, `_from_pretrained`, and `tokenization_utils_tokenizers.py`, `__init__`).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::models::folder;

/// The names of special tokens, in the order in which they are added.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// A token that is found as it stands.
#[expect(clippy::struct_excessive_bools, reason = "the fields of `AddedToken`")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) content: String,
    lstrip: bool,
    rstrip: bool,
    single_word: bool,
    /// Whether it is looked for in the normalised text.
    normalized: bool,
    special: bool,
}

impl Token {
    /// A special token that takes nothing of what is around it.
    pub(super) fn special(content: impl Into<String>) -> Self {
        Self::added(content, true)
    }

    /// One that is looked for in the text as it is.
    pub(super) fn added(content: impl Into<String>, special: bool) -> Self {
        Self {
            content: content.into(),
            lstrip: false,
            rstrip: false,
            single_word: false,
            normalized: false,
            special,
        }
    }

    /// The same with the space before it.
    pub(super) fn with_lstrip(mut self) -> Self {
        self.lstrip = true;
        self
    }

    /// What a file says: a text, or an object as `AddedToken` has them.
    fn read(value: &Value) -> Option<Self> {
        if let Some(text) = value.as_str() {
            return Some(Self::special(text));
        }
        let object = value.as_object()?;
        let is = |key: &str| object.get(key).and_then(Value::as_bool);
        let special = is("special").unwrap_or(false);
        Some(Self {
            content: object.get("content")?.as_str()?.into(),
            lstrip: is("lstrip").unwrap_or(false),
            rstrip: is("rstrip").unwrap_or(false),
            single_word: is("single_word").unwrap_or(false),
            normalized: is("normalized").unwrap_or(!special),
            special,
        })
    }
}

/// What the folder of a tokenizer says of it, `tokenizer.json` aside.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// `tokenizer_config.json`, with `special_tokens_map.json` over it.
    config: Map<String, Value>,
    /// The tokens that somebody has added, by the ids that they had.
    added: BTreeMap<u64, Token>,
}

impl Settings {
    /// Reads the files in `folder`.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let optional = |name: &str| folder::optional(&path.join(name));
        let config = optional("tokenizer_config.json")?.unwrap_or_default();
        let mut settings = Self {
            config,
            added: BTreeMap::new(),
        };
        if let Some(Value::Object(added)) = settings.config.get("added_tokens_decoder") {
            for (id, token) in added {
                let read = id.parse().ok().zip(Token::read(token));
                let (id, token) = read.ok_or_else(|| not_a_token("added_tokens_decoder", token))?;
                settings.added.insert(id, token);
            }
            return Ok(settings);
        }
        for (key, value) in optional("special_tokens_map.json")?.unwrap_or_default() {
            let mut value = value;
            if let Some(token) = value.as_object_mut() {
                token.insert("special".into(), true.into());
            }
            settings.config.insert(key, value);
        }
        for (text, id) in optional("added_tokens.json")?.unwrap_or_default() {
            let Some(id) = id.as_u64() else {
                let message = format!("added_tokens.json gives `{text}` no id");
                return Err(Error::stage(message));
            };
            let special = settings.named().any(|(_, token)| token.content == text);
            let mut token = Token::added(text, special);
            token.normalized = !special;
            settings.added.insert(id, token);
        }
        Ok(settings)
    }

    /// What the setting `key` is, if it is a word.
    pub(super) fn word(&self, key: &str) -> Option<&str> {
        self.config.get(key)?.as_str()
    }

    /// What the setting `key` is; none where nothing is said of it.
    ///
    /// # Errors
    /// What is neither true nor false.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.config.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(Error::stage(format!(
                "tokenizer_config.json: `{key}` is neither true nor false, but {other}"
            ))),
        }
    }

    /// The special token called `name`, or `usual` where nothing is said of it.
    ///
    /// # Errors
    /// What is no token.
    pub(super) fn token(&self, name: &str, usual: &str) -> Result<Token> {
        match self.config.get(name) {
            None | Some(Value::Null) => Ok(Token::special(usual)),
            Some(value) => {
                let token = Token::read(value).ok_or_else(|| not_a_token(name, value))?;
                let known = self
                    .added
                    .values()
                    .find(|known| known.content == token.content);
                Ok(known.cloned().unwrap_or(token))
            }
        }
    }

    /// Special tokens beside those with usual names: those with other names first.
    ///
    /// # Errors
    /// What is no list of tokens.
    fn extra(&self) -> Result<Option<Vec<Token>>> {
        let mut extra = Vec::new();
        for (name, value) in &self.config {
            if name.ends_with("_token") && !NAMES.contains(&name.as_str()) {
                extra.extend(Token::read(value));
            }
        }
        let listed = ["extra_special_tokens", "additional_special_tokens"]
            .into_iter()
            .find_map(|key| Some((key, self.config.get(key).filter(|value| !value.is_null())?)));
        let Some((key, listed)) = listed else {
            return Ok((!extra.is_empty()).then_some(extra));
        };
        let tokens: Vec<&Value> = match listed {
            Value::Array(tokens) => tokens.iter().collect(),
            Value::Object(named) => named.values().collect(),
            other => return Err(not_a_token(key, other)),
        };
        for token in tokens {
            extra.push(Token::read(token).ok_or_else(|| not_a_token(key, token))?);
        }
        Ok(Some(extra))
    }

    fn named(&self) -> impl Iterator<Item = (&str, Token)> {
        let named = NAMES
            .iter()
            .filter_map(|name| Some((*name, self.config.get(*name)?)));
        named.filter_map(|(name, value)| Some((name, Token::read(value)?)))
    }
}

fn not_a_token(key: &str, value: &Value) -> Error {
    let shown: String = value.to_string().chars().take(80).collect();
    Error::stage(format!(
        "`{key}` in the tokenizer's files is no token: {shown}"
    ))
}

/// The special tokens that a class of transformers has, by their names in [`NAMES`].
pub(super) type Usual = [&'static str; 7];

/// The tokens of a tokenizer that are found before anything else, with their ids.
#[derive(Debug)]
pub(super) struct Added {
    tokens: Vec<(u64, Token)>,
    /// Name → token, of those with usual names.
    named: BTreeMap<&'static str, Token>,
}

impl Added {
    /// Those of a tokenizer with the vocabulary `ids`, of `size` tokens. `usual` are the special tokens of its class, where the folder says
    /// nothing else; `mask` is made of the usual token for masks; `of_model` are those that its model says are special.
    ///
    /// # Errors
    /// What is no token.
    pub(super) fn new(
        settings: &Settings,
        usual: &Usual,
        mask: fn(Token) -> Token,
        of_model: Vec<Token>,
        ids: &dyn Fn(&str) -> Option<u64>,
        size: usize,
    ) -> Result<Self> {
        let mut named = BTreeMap::new();
        let mut tokens: Vec<Token> = settings.added.values().cloned().collect();
        for (name, usual) in NAMES.iter().zip(usual) {
            let mut token = settings.token(name, usual)?;
            let is_plain = !settings.config.get(*name).is_some_and(Value::is_object)
                && token == Token::special(&token.content);
            if *name == "mask_token" && is_plain {
                token = mask(token);
            }
            named.insert(*name, token.clone());
            tokens.push(token);
        }
        tokens.extend(settings.extra()?.unwrap_or(of_model));
        for token in &mut tokens {
            token.special |= named.values().any(|known| known.content == token.content);
        }
        let mut next = size as u64;
        let mut added: Vec<(u64, Token)> = Vec::new();
        for token in tokens {
            let is_known = added
                .iter()
                .any(|(_, known)| known.content == token.content);
            if is_known || token.content.is_empty() {
                continue;
            }
            let id = ids(&token.content).unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            added.push((id, token));
        }
        added.sort_by_key(|(id, _)| *id);
        Ok(Self {
            tokens: added,
            named,
        })
    }

    /// The text and the id of the special token called `name`.
    pub(super) fn named(&self, name: &str) -> (&str, u64) {
        let content = self.named.get(name).map_or("", |token| &token.content);
        (content, self.id(content))
    }

    /// The id of the token with this text.
    pub(super) fn id(&self, content: &str) -> u64 {
        let mut tokens = self.tokens.iter();
        let found = tokens.find(|(_, token)| token.content == content);
        found.map_or(0, |(id, _)| *id)
    }

    /// As `added_tokens` in `tokenizer.json`.
    pub(super) fn json(&self) -> Value {
        let tokens = self.tokens.iter().map(|(id, token)| {
            json!({
                "id": id, "content": token.content, "single_word": token.single_word, "lstrip": token.lstrip,
                "rstrip": token.rstrip, "normalized": token.normalized, "special": token.special,
            })
        });
        tokens.collect()
    }

    /// What `tokenizer_config.json` says of them.
    pub(super) fn config(&self) -> Map<String, Value> {
        let named = self.named.iter();
        let named = named.filter(|(_, token)| !token.content.is_empty());
        let named = named.map(|(name, token)| ((*name).to_string(), token.content.as_str().into()));
        named.collect()
    }

    /// As `padding` in `tokenizer.json`: it says which token is for it.
    pub(super) fn padding(&self) -> Value {
        let (token, id) = self.named("pad_token");
        json!({
            "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null, "pad_id": id, "pad_type_id": 0,
            "pad_token": token,
        })
    }
}
