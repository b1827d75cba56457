//! Texts to token ids, by the `tokenizer.json` of a model's folder.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tokenizers::TruncationParams;

use super::folder;
use crate::error::{Context, Error, Result};

/// A text as token ids, special tokens included, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The ids, at most as many as asked for and at least one.
    pub ids: Vec<u32>,
    /// Whether the text was longer.
    pub truncated: bool,
    /// Whether the text has no token, as an empty one where no special tokens are added: the id is that of the padding
    /// token then, because a network needs something to look at.
    pub is_empty: bool,
}

/// The tokenizer of a model.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    pad_id: u32,
    digest: String,
}

impl Tokenizer {
    /// Reads the tokenizer in the model's `folder`. Truncation and padding that it asks for itself are ignored.
    ///
    /// # Errors
    /// A file that is missing or that is not a tokenizer; no token for padding.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            return Err(Error::stage(format!(
                "the model has no `tokenizer.json` in `{}`",
                folder.display()
            ))
            .help("name it among the stage's files; a vocab.txt alone is not enough"));
        }
        let bytes =
            std::fs::read(&path).or_stage(|| format!("cannot read `{}`", path.display()))?;
        let mut inner =
            tokenizers::Tokenizer::from_bytes(folder::unmarked(&bytes)).map_err(|error| {
                Error::stage(format!("`{}` is not a tokenizer", path.display())).because(&*error)
            })?;
        let pad_id = pad_id(folder, &inner)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| {
            Error::stage(format!("cannot set up `{}`", path.display())).because(&*error)
        })?;
        let digest = blake3::Hasher::new()
            .update(&bytes)
            .update(&pad_id.to_le_bytes())
            .finalize()
            .to_hex()
            .to_string();
        Ok(Self {
            path,
            inner,
            pad_id,
            digest,
        })
    }

    /// Encodes `texts` on all threads; the result does not depend on how many there are. `max_length` counts special
    /// tokens too, which are never cut off.
    ///
    /// # Errors
    /// A `max_length` that leaves no room for a word beside the special tokens.
    pub fn encode(&self, texts: &[String], max_length: usize) -> Result<Vec<Encoded>> {
        let special = self.inner.get_post_processor().map_or(0, |processor| {
            tokenizers::PostProcessor::added_tokens(processor, false)
        });
        if max_length <= special {
            return Err(Error::stage(format!(
                "a `max_length` of {max_length} leaves no room beside the {special} special tokens"
            )));
        }
        let mut inner = self.inner.clone();
        inner
            .with_truncation(Some(TruncationParams {
                max_length,
                ..TruncationParams::default()
            }))
            .map_err(|error| {
                Error::stage(format!("cannot truncate to {max_length} tokens")).because(&*error)
            })?;
        texts
            .par_iter()
            .enumerate()
            .map(|(row, text)| {
                let encoding = inner.encode_fast(text.as_str(), true).map_err(|error| {
                    Error::stage(format!(
                        "`{}` cannot encode the text in row {}",
                        self.path.display(),
                        row + 1
                    ))
                    .because(&*error)
                })?;
                let is_empty = encoding.get_ids().is_empty();
                Ok(Encoded {
                    ids: if is_empty {
                        vec![self.pad_id]
                    } else {
                        encoding.get_ids().to_vec()
                    },
                    truncated: !encoding.get_overflowing().is_empty(),
                    is_empty,
                })
            })
            .collect()
    }

    /// One more than the highest id that it can give.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner
            .get_vocab(true)
            .into_values()
            .max()
            .map_or(0, |id| id as usize + 1)
    }

    /// The id to fill shorter texts of a batch with.
    #[must_use]
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// The text of that token, if it has one.
    #[must_use]
    pub fn pad_token(&self) -> Option<String> {
        self.inner.id_to_token(self.pad_id)
    }

    /// A digest of everything that can change what it encodes to, apart from `max_length`.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Checks that every id has a row in an embedding of `rows`.
    ///
    /// # Errors
    /// A tokenizer that is larger than the embedding.
    pub fn check_fits(&self, rows: usize) -> Result<()> {
        let size = self.vocab_size().max(self.pad_id as usize + 1);
        if size <= rows {
            return Ok(());
        }
        Err(Error::stage(format!(
            "the tokenizer gives ids up to {}, but the embedding has {rows} rows",
            size - 1
        ))
        .note(format!("the tokenizer is `{}`", self.path.display()))
        .help("take tokenizer.json and the weights from the same model"))
    }
}

/// The padding token's id: what the tokenizer, its configuration or the network's configuration says.
fn pad_id(folder: &Path, inner: &tokenizers::Tokenizer) -> Result<u32> {
    if let Some(padding) = inner.get_padding() {
        return Ok(padding.pad_id);
    }
    let named = folder::optional(&folder.join("tokenizer_config.json"))?.and_then(|settings| {
        let token = settings.get("pad_token")?;
        let text = token.as_str().or_else(|| token.get("content")?.as_str())?;
        inner.token_to_id(text)
    });
    let configured = || -> Result<Option<u32>> {
        Ok(folder::optional(&folder.join("config.json"))?
            .and_then(|settings| settings.get("pad_token_id")?.as_u64())
            .and_then(|id| u32::try_from(id).ok()))
    };
    match named {
        Some(id) => Ok(id),
        None => configured()?.ok_or_else(|| {
            Error::stage("nothing in the model's folder says which token is for padding")
                .help("add `pad_token_id` to its config.json")
        }),
    }
}

/// Copies the files that turn texts into tokens from one model's folder to another's, as files of their own.
///
/// # Errors
/// Those of the disk.
pub fn copy_tokenizer(from: &Path, to: &Path) -> Result<()> {
    const FILES: [&str; 7] = [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
    ];
    for name in FILES.iter().filter(|name| from.join(name).exists()) {
        folder::copy_file(&from.join(name), &to.join(name))
            .or_stage(|| format!("cannot copy `{name}` to `{}`", to.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer of this model, which adds no special tokens.
    fn tokenizer(model: &serde_json::Value) -> Tokenizer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let json = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null, "decoder": null, "model": model,
        });
        for (file, json) in [
            ("tokenizer.json", json.to_string()),
            ("config.json", r#"{"pad_token_id": 2}"#.to_owned()),
        ] {
            crate::store::write_atomic(&folder.path().join(file), json.as_bytes())
                .expect("written");
        }
        Tokenizer::load(folder.path()).expect("a tokenizer")
    }

    #[test]
    fn a_text_without_tokens_is_one_padding_token_whatever_the_tokenizer() {
        let vocab = serde_json::json!({ "a": 0, "b": 1, "c": 2 });
        for model in [
            serde_json::json!({ "type": "WordLevel", "vocab": vocab, "unk_token": "c" }),
            serde_json::json!({
                "type": "WordPiece", "vocab": vocab, "unk_token": "c", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 9,
            }),
            serde_json::json!({ "type": "BPE", "vocab": vocab, "merges": [] }),
            serde_json::json!({
                "type": "Unigram", "vocab": [["a", -1.0], ["b", -1.0], ["c", -2.0]], "unk_id": 2,
            }),
        ] {
            let texts = ["", "  ", "a b"].map(String::from);
            let encoded = tokenizer(&model).encode(&texts, 8).expect("encoded");
            let ids: Vec<_> = encoded.iter().map(|text| &text.ids[..]).collect();
            assert_eq!(ids, [&[2][..], &[2], &[0, 1]], "{model}");
            let empty: Vec<_> = encoded.iter().map(|text| text.is_empty).collect();
            assert_eq!(empty, [true, true, false], "{model}");
        }
    }
}
