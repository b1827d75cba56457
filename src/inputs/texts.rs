//! Texts and pairs of texts: which columns hold them, and how they become tokens.

use std::num::NonZeroUsize;
use std::path::Path;

use crate::data::{Table, text, words};
use crate::error::{Error, Result};
use crate::models::{Card, Encoded, Loaded, Network, Tokenizer, Truncation};
use crate::train::{Inputs, Texts};

/// The most tokens of a text that count unless something says otherwise.
const MAX_LENGTH: usize = 256;

/// The columns of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The texts, or the first texts of pairs.
    pub first: String,
    /// The second texts of pairs.
    pub second: Option<String>,
    /// Where the texts of a sample are each taken on their own: further ones. None where a pair is one text with a mark between.
    pub apart: Option<Vec<String>>,
}

/// Texts, or pairs of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentences {
    /// The texts, or the first texts of pairs.
    pub first: Vec<String>,
    /// The second texts of pairs.
    pub second: Option<Vec<String>>,
    /// The texts beside the first of samples whose texts are each taken on their own, column by column.
    pub apart: Vec<Vec<String>>,
}

impl Columns {
    /// Those that a model was tuned on.
    #[must_use]
    pub fn of_tuned(card: &Card) -> Option<Self> {
        let tuned = card.tuned_by();
        Some(Self {
            first: tuned.word("text_column")?.to_owned(),
            second: tuned.word("text_pair_column").map(String::from),
            apart: None,
        })
    }

    /// What the column of texts, or of lists of words, is called unless something else is said.
    #[must_use]
    pub fn usual(by_word: bool) -> &'static str {
        if by_word { words::COLUMN } else { "text" }
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.first)
            .chain(&self.second)
            .chain(self.apart.iter().flatten())
            .map(String::as_str)
    }

    /// The texts in `table`.
    ///
    /// # Errors
    /// Columns that are not there or hold no text, rows without one; an empty text that is to be compared.
    pub fn read(&self, table: &Table) -> Result<Sentences> {
        if self.apart.is_some() {
            let mut columns = self.names().map(|column| not_empty(table, column));
            return Ok(Sentences {
                first: columns.next().unwrap_or_else(|| Ok(Vec::new()))?,
                second: None,
                apart: columns.collect::<Result<_>>()?,
            });
        }
        let second = self.second.as_ref();
        Ok(Sentences {
            first: text::texts(table, &self.first)?,
            second: second
                .map(|column| text::texts(table, column))
                .transpose()?,
            apart: Vec::new(),
        })
    }
}

/// The texts in a column, none of which may be empty: nothing is like an empty text, or unlike it.
fn not_empty(table: &Table, column: &str) -> Result<Vec<String>> {
    let texts = text::texts(table, column)?;
    match texts.iter().position(|text| text.trim().is_empty()) {
        None => Ok(texts),
        Some(row) => Err(Error::stage(format!(
            "row {} has an empty text in column `{column}`, with which nothing can be compared",
            row + 1
        ))
        .help("fill it, or leave such rows out in a `preprocess` stage")),
    }
}

impl Sentences {
    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

/// How texts become a network's tokens. There is no other way to do it.
#[derive(Clone, Debug)]
pub struct Encoder {
    tokenizer: Tokenizer,
    max_length: usize,
    truncation: Truncation,
    stride: Option<usize>,
}

/// Texts as tokens, and what happened to them on the way.
#[derive(Debug)]
pub struct Tokens {
    /// The tokens.
    pub inputs: Texts,
    /// How many samples were cut.
    pub cut: usize,
    /// How many have no token, and are one padding token instead.
    pub empty: usize,
}

impl Encoder {
    /// The encoder of the model in `folder`. `max_length` is what the settings say; else it is what the model was tuned with, else
    /// the usual. What is to be told of that comes with it.
    ///
    /// # Errors
    /// A tokenizer that cannot be read or that gives ids which the network does not know; more tokens than the network takes.
    pub fn new(
        folder: &Path,
        loaded: &Loaded,
        max_length: Option<usize>,
        truncation: Option<Truncation>,
    ) -> Result<(Self, Option<String>)> {
        let most = most(&loaded.network);
        let default = MAX_LENGTH.min(most);
        let tuned = loaded.card.max_length.unwrap_or(default).min(most);
        let told = (max_length.is_none() && tuned != default)
            .then(|| format!("`max_length` is {tuned}, as when the model was tuned"));
        let max_length = max_length.unwrap_or(tuned);
        if max_length > most {
            return Err(Error::stage(format!(
                "`max_length` is {max_length}, but the model takes {most} tokens at most"
            ))
            .help(format!("set max_length = {most} or lower")));
        }
        let encoder = Self {
            tokenizer: tokenizer(folder, &loaded.network)?,
            max_length,
            truncation: truncation.unwrap_or_default(),
            stride: None,
        };
        Ok((encoder, told))
    }

    /// The encoder of the tuned model in `folder`, which does what it did in its training.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_tuned(folder: &Path, loaded: &Loaded) -> Result<Self> {
        let (network, card) = (&loaded.network, &loaded.card);
        let most = most(network);
        let tuned = card.tuned_by();
        let truncation = tuned.word("truncation").map(Truncation::find).transpose()?;
        Ok(Self {
            tokenizer: tokenizer(folder, network)?,
            max_length: card.max_length.unwrap_or(most).min(most),
            truncation: truncation.unwrap_or_default(),
            stride: tuned.number("stride"),
        })
    }

    /// The same for lists of words that fall into windows where they are too long: each begins with so many of the last tokens of the one
    /// before.
    #[must_use]
    pub fn with_stride(self, stride: Option<usize>) -> Self {
        Self { stride, ..self }
    }

    /// How many tokens a window has in common with the one before; none if texts are cut.
    pub(super) fn stride(&self) -> Option<usize> {
        self.stride
    }

    /// Its tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What the user should know of its tokenizer, in a sentence.
    #[must_use]
    pub fn notice(&self) -> Option<&str> {
        self.tokenizer.notice()
    }

    /// The most tokens of a sample that count.
    #[must_use]
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Texts as tokens.
    ///
    /// # Errors
    /// Texts that the tokenizer cannot encode or that cannot be cut as they are to be.
    pub fn encode(&self, sentences: &Sentences) -> Result<Tokens> {
        let encode = |first: &[String], second: Option<&[String]>| {
            let (longest, truncation) = (self.max_length, self.truncation);
            self.tokenizer.encode(first, second, longest, truncation)
        };
        let mut encoded = encode(&sentences.first, sentences.second.as_deref())?;
        for texts in &sentences.apart {
            encoded.extend(encode(texts, None)?);
        }
        let count = |has: fn(&Encoded) -> bool| encoded.iter().filter(|text| has(text)).count();
        let (cut, empty) = (count(|text| text.truncated), count(|text| text.is_empty));
        let pairs = sentences.second.is_some();
        let (tokens, types): (Vec<_>, Vec<_>) = encoded
            .into_iter()
            .map(|text| (text.ids, text.types))
            .unzip();
        Ok(Tokens {
            inputs: Texts {
                tokens,
                members: NonZeroUsize::MIN.saturating_add(sentences.apart.len()),
                types: pairs.then_some(types),
                pad_id: self.tokenizer.pad_id(),
            },
            cut,
            empty,
        })
    }
}

impl Tokens {
    /// What the user is to be told of what happened to the texts called `name`, of which at most `max_length` tokens count.
    #[must_use]
    pub fn told(&self, name: &str, max_length: usize) -> Vec<String> {
        let all = self.inputs.tokens.len();
        let mut told = Vec::new();
        if self.cut > 0 {
            let (cut, percent) = (self.cut, 100 * self.cut / all);
            told.push(format!(
                "{cut} of {all} {name} texts ({percent} %) are longer than {max_length} tokens and are cut"
            ));
        }
        if self.empty > 0 {
            let empty = self.empty;
            told.push(format!(
                "{empty} of {all} {name} texts have no token: each counts as one padding token"
            ));
        }
        told
    }
}

impl From<Tokens> for Inputs {
    fn from(tokens: Tokens) -> Self {
        Self::Texts(tokens.inputs)
    }
}

fn most(network: &Network) -> usize {
    network.max_tokens().unwrap_or(usize::MAX)
}

fn tokenizer(folder: &Path, network: &Network) -> Result<Tokenizer> {
    Tokenizer::of(network, folder)
}
