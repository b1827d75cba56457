//! Texts to token ids, by the `tokenizer.json` of a model's folder.

mod words;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::{ModelWrapper, PostProcessor as _, TruncationParams, TruncationStrategy};

pub use words::{Window, Windows, WordTokens};

use super::{Network, folder, weights};
use crate::error::{Context, Error, Result, contained};

mod made;
mod pieces;
mod wordpiece;

pub use made::has_tokenizer;
pub use pieces::{Cut, Cutting, Piece};
pub use wordpiece::{Pieces, WordPiece};

/// A text as token ids, special tokens included, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The ids, at most as many as asked for and at least one.
    pub ids: Vec<u32>,
    /// The type of each, which tells a pair's second text from its first.
    pub types: Vec<u32>,
    /// Whether the text was longer.
    pub truncated: bool,
    /// Whether the text has no token, as an empty one where no special tokens are added: the id is that of the padding
    /// token then, because a network needs something to look at.
    pub is_empty: bool,
}

/// Which text of a pair is cut where both together are too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Token by token the longer one.
    #[default]
    LongestFirst,
    /// The first one alone.
    OnlyFirst,
    /// The second one alone.
    OnlySecond,
}

impl Truncation {
    /// The one that settings call `name`.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(name: &str) -> Result<Self> {
        match name {
            "longest_first" => Ok(Self::LongestFirst),
            "only_first" => Ok(Self::OnlyFirst),
            "only_second" => Ok(Self::OnlySecond),
            _ => Err(Error::stage(format!(
                "the model was tuned with the truncation `{name}`, which refire does not know"
            ))),
        }
    }

    fn strategy(self) -> TruncationStrategy {
        match self {
            Self::LongestFirst => TruncationStrategy::LongestFirst,
            Self::OnlyFirst => TruncationStrategy::OnlyFirst,
            Self::OnlySecond => TruncationStrategy::OnlySecond,
        }
    }
}

/// The tokenizer of a model.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    pad_id: u32,
    vocab_size: usize,
    digest: String,
    /// What it was made of, if there was no file of it.
    made: Option<String>,
    draws: bool,
}

impl Tokenizer {
    /// Reads the tokenizer of `network`, which is in the model's `folder`.
    ///
    /// # Errors
    /// As [`load`](Self::load), and those of [`check_fits`](Self::check_fits).
    pub fn of(network: &Network, folder: &Path) -> Result<Self> {
        let tokenizer = Self::load(folder)?;
        match network.vocabulary() {
            Some(rows) => tokenizer.check_fits(rows).map(|()| tokenizer),
            None => Ok(tokenizer),
        }
    }

    /// Reads the tokenizer in the model's `folder`, or makes it of the files that older programs wrote. Truncation and padding that it
    /// asks for itself are ignored, and so is that it draws its tokens at random: the same text has the same tokens, whenever it is
    /// asked for.
    ///
    /// # Errors
    /// A file that is missing or that is not a tokenizer; no token for padding.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let (bytes, made) = if path.exists() {
            let cannot = || format!("cannot read `{}`", path.display());
            (std::fs::read(&path).or_stage(cannot)?, None)
        } else {
            let made = made::make(folder)?.ok_or_else(|| {
                Error::stage(format!(
                    "the model has no `tokenizer.json` in `{}`",
                    folder.display()
                ))
                .help("name it among the stage's files, or what one is made of: vocab.txt, or vocab.json and merges.txt, or spm.model")
            })?;
            (made.json, Some(made.told))
        };
        let cannot = || format!("`{}` is not a tokenizer", path.display());
        let mut inner = tokenizers(cannot, || {
            tokenizers::Tokenizer::from_bytes(folder::unmarked(&bytes))
        })?;
        let pad_id = pad_id(folder, &inner)?;
        inner.with_padding(None);
        let cannot = || format!("cannot set up `{}`", path.display());
        tokenizers(cannot, || inner.with_truncation(None).map(drop))?;
        let draws = switch_off_drawing(&mut inner);
        let highest = highest(&inner).map_err(|cause| Error::stage(cannot()).cause(cause))?;
        let mut digest = blake3::Hasher::new();
        digest.update(&bytes).update(&pad_id.to_le_bytes());
        if draws {
            // What was kept of an earlier refire was drawn.
            digest.update(b"drawing switched off");
        }
        Ok(Self {
            path,
            inner,
            pad_id,
            vocab_size: highest.map_or(0, |id| id as usize + 1),
            digest: digest.finalize().to_hex().to_string(),
            made,
            draws,
        })
    }

    /// What the user should know of it, in a sentence.
    #[must_use]
    pub fn notice(&self) -> Option<&str> {
        let drawn = "`dropout` in tokenizer.json, by which a text has other tokens each time, is switched off; \
                     a model that is tuned has `\"dropout\": null` there";
        self.made.as_deref().or(self.draws.then_some(drawn))
    }

    /// Encodes texts, or the pairs that they are with `second`, on all threads; the result does not depend on how many there are.
    /// `max_length` counts special tokens too, which are never cut off.
    ///
    /// # Errors
    /// A `max_length` that leaves no room for a word beside the special tokens; a pair of which the text that is to be cut is too
    /// short for it.
    pub fn encode(
        &self,
        texts: &[String],
        second: Option<&[String]>,
        max_length: usize,
        truncation: Truncation,
    ) -> Result<Vec<Encoded>> {
        room(max_length, self.special_tokens(second.is_some())?)?;
        let mut inner = self.inner.clone();
        let truncation = TruncationParams {
            max_length,
            strategy: truncation.strategy(),
            ..TruncationParams::default()
        };
        tokenizers(
            || format!("cannot truncate to {max_length} tokens"),
            || inner.with_truncation(Some(truncation)).map(drop),
        )?;
        texts
            .par_iter()
            .enumerate()
            .map(|(row, text)| {
                let cannot = || {
                    let path = self.path.display();
                    format!("`{path}` cannot encode the text in row {}", row + 1)
                };
                let encoding = tokenizers(cannot, || match second {
                    None => inner.encode_fast(text.as_str(), true),
                    Some(second) => self.encode_pair(&inner, text, &second[row]),
                })?;
                let is_empty = encoding.get_ids().is_empty();
                Ok(Encoded {
                    ids: if is_empty {
                        vec![self.pad_id]
                    } else {
                        encoding.get_ids().to_vec()
                    },
                    types: if is_empty {
                        vec![0]
                    } else {
                        encoding.get_type_ids().to_vec()
                    },
                    truncated: !encoding.get_overflowing().is_empty(),
                    is_empty,
                })
            })
            .collect()
    }

    /// How many tokens are put around a text, or a pair of texts.
    fn special_tokens(&self, pair: bool) -> Result<usize> {
        let what = || format!("`{}` cannot encode", self.path.display());
        tokenizers(what, || {
            let processor = self.inner.get_post_processor();
            Ok(processor.map_or(0, |processor| processor.added_tokens(pair)))
        })
    }

    /// A pair of texts, cut as `cutting` says. Each is encoded as a whole first: a tokenizer that is to cut cuts the two to one length
    /// before it compares them, and then another of them gives way than in transformers.
    fn encode_pair(
        &self,
        cutting: &tokenizers::Tokenizer,
        first: &str,
        second: &str,
    ) -> tokenizers::Result<tokenizers::Encoding> {
        let first = self.inner.encode_fast(first, false)?;
        let mut second = self.inner.encode_fast(second, false)?;
        second.set_type_ids(vec![1; second.len()]);
        cutting.post_process(first, Some(second), true)
    }

    /// One more than the highest id that it can give.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
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
        .note(match &self.made {
            Some(made) => made.clone(),
            None => format!("the tokenizer is `{}`", self.path.display()),
        })
        .help("take the tokenizer and the weights from the same model"))
    }
}

/// How many tokens there is room for beside the special ones.
fn room(max_length: usize, special: usize) -> Result<usize> {
    if max_length > special {
        return Ok(max_length - special);
    }
    Err(Error::stage(format!(
        "a `max_length` of {max_length} leaves no room beside the {special} special tokens"
    )))
}

/// Calls the library, which panics on some of the tokenizers that it has read; `cannot` is the message of the error.
fn tokenizers<T>(
    cannot: impl Fn() -> String,
    library: impl FnOnce() -> tokenizers::Result<T>,
) -> Result<T> {
    match contained(library) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Error::stage(cannot()).because(&*error)),
        Err(panic) => Err(Error::stage(cannot()).cause(panic)),
    }
}

/// The highest id that `inner` can give, if it gives any: of its vocabulary, or of a token that it puts around every text, which
/// need not be in there. Otherwise, why it cannot be told.
fn highest(inner: &tokenizers::Tokenizer) -> Result<Option<u32>, String> {
    contained(|| {
        let around = inner
            .encode_fast("", true)
            .map_err(|error| error.to_string())?;
        let known = inner.get_vocab(true).into_values();
        Ok(known.chain(around.get_ids().iter().copied()).max())
    })
    .flatten()
}

/// Makes the model of `inner` give a text the same tokens each time, without BPE's dropout (<https://arxiv.org/abs/1910.13267>)
/// and Unigram's sampling (<https://arxiv.org/abs/1804.10959>): their generator cannot be seeded. Says whether it would have
/// drawn any.
fn switch_off_drawing(inner: &mut tokenizers::Tokenizer) -> bool {
    let drawn = |probability: f64| probability != 0.0;
    let steady: ModelWrapper = match inner.get_model() {
        ModelWrapper::BPE(model) if model.dropout.is_some_and(|rate| drawn(rate.into())) => {
            let mut model = model.clone();
            model.dropout = None;
            model.into()
        }
        ModelWrapper::Unigram(model) if model.alpha.is_some_and(drawn) => {
            let mut model = model.clone();
            (model.alpha, model.nbest_size) = (None, None);
            model.into()
        }
        _ => return false,
    };
    inner.with_model(steady);
    true
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

/// The files that a tokenizer is in.
pub(super) const TOKENIZER_FILES: [&str; 11] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    made::SENTENCEPIECE[0],
    made::SENTENCEPIECE[1],
    made::SENTENCEPIECE[2],
    made::SENTENCEPIECE[3],
];

/// Copies the files that turn texts into tokens from one model's folder to another's, as files of their own. Dropout in
/// tokenizer.json is `null` in the copy, so that whatever loads it gives the tokens that the model was tuned on. Where there is none, the
/// copy has the one that is made of the other files.
///
/// # Errors
/// Those of the disk; files that a tokenizer should be made of, and cannot.
pub fn copy_tokenizer(from: &Path, to: &Path) -> Result<()> {
    for name in TOKENIZER_FILES
        .iter()
        .filter(|name| from.join(name).exists())
    {
        let (from, copy) = (from.join(name), to.join(name));
        let steady = if *name == TOKENIZER_FILES[0] {
            steady(&from)
        } else {
            None
        };
        match steady {
            Some(json) => weights::write_new(&copy, &json)?,
            None => folder::copy_file(&from, &copy)
                .or_stage(|| format!("cannot copy `{name}` to `{}`", to.display()))?,
        }
    }
    if from.join(TOKENIZER_FILES[0]).exists() {
        return Ok(());
    }
    made::make(from)?.map_or(Ok(()), |made| made.write(to))
}

/// The tokenizer in the file at `path` with its dropout switched off; none if it has none, or is no tokenizer.
fn steady(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    let mut json: Value = serde_json::from_slice(folder::unmarked(&bytes)).ok()?;
    let dropout = json.get_mut("model")?.get_mut("dropout")?;
    if dropout.as_f64()? == 0.0 {
        return None;
    }
    *dropout = Value::Null;
    serde_json::to_vec_pretty(&json).ok()
}

#[cfg(test)]
mod tests;
