//! Texts as pieces that a network takes whole: what it learns a language from.

use rayon::prelude::*;

use super::{Tokenizer, tokenizers};
use crate::error::{Error, Result};

/// A piece of a text, special tokens around it included, without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Its token ids.
    pub ids: Vec<u32>,
    /// The word that each token is of, by a number that its neighbours do not have; none for special and for unknown tokens.
    pub words: Vec<Option<u32>>,
}

/// How texts become pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutting {
    /// The most tokens of a piece, special ones included.
    pub max_length: usize,
    /// Whether texts follow each other in a piece, so that all but the last are full.
    pub packing: bool,
}

/// Pieces, and what happened to the texts on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The pieces.
    pub pieces: Vec<Piece>,
    /// How many texts have no word, and are in no piece.
    pub without: usize,
}

impl Tokenizer {
    /// The id of the token that stands for a masked one.
    ///
    /// # Errors
    /// A tokenizer that has none.
    pub fn mask_id(&self) -> Result<u32> {
        let found = self.inner.token_to_id(self.mask_token());
        found.ok_or_else(|| {
            Error::stage(format!(
                "`{}` has no token for what is masked",
                self.path.display()
            ))
            .note("it is called [MASK] or <mask>")
        })
    }

    /// The text of that token: BERT's, unless only RoBERTa's is there.
    #[must_use]
    pub fn mask_token(&self) -> &'static str {
        let known = ["[MASK]", "<mask>"];
        let found = known
            .into_iter()
            .find(|token| self.inner.token_to_id(token).is_some());
        found.unwrap_or(known[0])
    }

    /// The text of a token.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Texts as pieces.
    ///
    /// # Errors
    /// Texts that the tokenizer cannot encode; a `max_length` that leaves no room for a word beside the special tokens.
    pub fn pieces(&self, texts: &[String], cutting: Cutting) -> Result<Cut> {
        let (before, after) = self.around()?;
        let special = before.len() + after.len();
        let Some(room) = cutting
            .max_length
            .checked_sub(special)
            .filter(|room| *room > 0)
        else {
            return Err(Error::stage(format!(
                "a `max_length` of {} leaves no room beside the {special} special tokens",
                cutting.max_length
            )));
        };
        let texts = texts
            .par_iter()
            .enumerate()
            .map(|(row, text)| self.words(row, text));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let all = texts.len();
        let texts: Vec<Piece> = texts
            .into_iter()
            .filter(|text| text.words.iter().any(Option::is_some))
            .collect();
        let without = all - texts.len();
        let texts = if cutting.packing {
            vec![joined(texts, &after)]
        } else {
            texts
        };
        let none = |tokens: &[u32]| vec![None; tokens.len()];
        let wrap = |(ids, words): (&[u32], &[Option<u32>])| Piece {
            ids: [&before, ids, &after].concat(),
            words: [&none(&before), words, &none(&after)].concat(),
        };
        let pieces = texts.iter().flat_map(|text| {
            let pieces = text.ids.chunks(room).zip(text.words.chunks(room));
            pieces
                .filter(|(_, words)| words.iter().any(Option::is_some))
                .map(wrap)
        });
        Ok(Cut {
            pieces: pieces.collect(),
            without,
        })
    }

    /// The special tokens before and after a text.
    fn around(&self) -> Result<(Vec<u32>, Vec<u32>)> {
        let what = || format!("`{}` cannot encode", self.path.display());
        let encoding = tokenizers(what, || {
            let text = self.inner.encode_fast("a", false)?;
            self.inner.post_process(text, None, true)
        })?;
        let special = encoding.get_special_tokens_mask();
        let (first, last) = (
            special.iter().position(|special| *special == 0),
            special.iter().rposition(|special| *special == 0),
        );
        let ids = encoding.get_ids();
        Ok(match (first, last) {
            (Some(first), Some(last)) => (ids[..first].to_vec(), ids[last + 1..].to_vec()),
            _ => (ids.to_vec(), Vec::new()),
        })
    }

    /// A whole text without special tokens around it.
    fn words(&self, row: usize, text: &str) -> Result<Piece> {
        let cannot = || {
            let path = self.path.display();
            format!("`{path}` cannot encode the text in row {}", row + 1)
        };
        let encoding = tokenizers(cannot, || self.inner.encode(text, false))?;
        let special = self.inner.get_added_vocabulary();
        let unknown = ["[UNK]", "<unk>"].map(|token| self.inner.token_to_id(token));
        let is_special = |id: u32| {
            let token = self.inner.id_to_token(id);
            unknown.contains(&Some(id))
                || token.is_some_and(|token| special.is_special_token(&token))
        };
        let ids = encoding.get_ids().to_vec();
        let words = ids.iter().zip(encoding.get_word_ids()).enumerate();
        let words = words.map(|(place, (id, word))| {
            let alone = u32::try_from(place).unwrap_or(u32::MAX);
            (!is_special(*id)).then(|| word.unwrap_or(alone))
        });
        Ok(Piece {
            words: words.collect(),
            ids,
        })
    }
}

/// Texts one after the other, with `between` behind each; words have numbers of their own.
fn joined(texts: Vec<Piece>, between: &[u32]) -> Piece {
    let mut all = Piece::default();
    let mut next = 0;
    for text in texts {
        let words = text
            .words
            .iter()
            .map(|word| word.map(|word| word.wrapping_add(next)));
        all.words.extend(words);
        let last = text.words.iter().flatten().max();
        next = next.wrapping_add(last.map_or(0, |last| last + 1));
        all.ids.extend(text.ids);
        all.ids.extend(between);
        all.words.extend(vec![None; between.len()]);
    }
    all
}
