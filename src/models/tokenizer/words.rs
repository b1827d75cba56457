//! Texts that are lists of words already: their tokens, and which of them speaks for which word.

use rayon::prelude::*;
use tokenizers::{Encoding, InputSequence, TruncationDirection};

use super::{Tokenizer, tokenizers};
use crate::error::{Error, Result};

/// A text of words, or a part of one, as token ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The ids, special tokens included, at least one.
    pub ids: Vec<u32>,
    /// The words for which the window speaks, in their order.
    pub words: Vec<WordTokens>,
}

/// The tokens of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordTokens {
    /// Which word of the text it is, counted from 0.
    pub word: usize,
    /// The place of its first token among those of the window.
    pub first: u32,
    /// The places of its other tokens, as far as they are in the window.
    pub further: Vec<u32>,
}

/// The windows of a text, and whether tokens of it are in none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The windows, in their order; at least one.
    pub windows: Vec<Window>,
    /// Whether the text is cut.
    pub truncated: bool,
}

impl Tokenizer {
    /// Encodes texts that are lists of words, on all threads; the result does not depend on how many there are. `max_length` counts special
    /// tokens too. A text that is longer is cut; with a `stride` it falls into windows of which each begins with so many of the last
    /// tokens of the one before, as in transformers. Each word is in the window that shows most of what is around it, on the side where
    /// that is less.
    ///
    /// # Errors
    /// A `max_length` that leaves no room for a word beside the special tokens, or for what is new in a window.
    pub fn encode_words(
        &self,
        texts: &[Vec<String>],
        max_length: usize,
        stride: Option<usize>,
    ) -> Result<Vec<Windows>> {
        let special = self.special_tokens(false)?;
        let room = super::room(max_length, special)?;
        if let Some(stride) = stride.filter(|stride| *stride >= room) {
            return Err(Error::stage(format!(
                "a `stride` of {stride} leaves nothing new in a window: a `max_length` of {max_length} has room for {room} tokens beside \
                 the {special} special ones"
            ))
            .help("choose a `stride` below that, or a larger `max_length`"));
        }
        let texts = texts.par_iter().enumerate();
        let encoded = texts.map(|(row, words)| {
            let cannot = || {
                let path = self.path.display();
                format!("`{path}` cannot encode the words in row {}", row + 1)
            };
            tokenizers(cannot, || self.windows(words, room, stride))
        });
        encoded.collect()
    }

    /// The windows of a text with room for so many tokens each.
    fn windows(
        &self,
        words: &[String],
        room: usize,
        stride: Option<usize>,
    ) -> tokenizers::Result<Windows> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut whole = self.inner.encode(InputSequence::from(words), false)?;
        let truncated = stride.is_none() && whole.len() > room;
        let pieces = Pieces {
            words: whole.get_word_ids().to_vec(),
            room,
            step: room - stride.unwrap_or(0),
        };
        whole.truncate(room, stride.unwrap_or(0), TruncationDirection::Right);
        let mut rest = whole.take_overflowing();
        if stride.is_none() {
            rest.clear();
        }
        let parts: Vec<Encoding> = std::iter::once(whole).chain(rest).collect();
        let count = parts.len();
        let windows = parts.into_iter().enumerate().map(|(number, part)| {
            let whole = self.inner.post_process(part, None, true)?;
            let places: Vec<u32> = (0..)
                .zip(whole.get_word_ids())
                .filter_map(|(place, word)| word.map(|_| place))
                .collect();
            Ok(Window {
                ids: match whole.get_ids() {
                    [] => vec![self.pad_id],
                    ids => ids.to_vec(),
                },
                words: pieces.of_window(number, count, &places),
            })
        });
        Ok(Windows {
            windows: windows.collect::<tokenizers::Result<_>>()?,
            truncated,
        })
    }
}

/// All tokens of a text without the special ones, cut into windows.
struct Pieces {
    /// The word of each.
    words: Vec<Option<u32>>,
    /// How many a window has, and from which to which each next one begins.
    room: usize,
    step: usize,
}

impl Pieces {
    /// The words for which window `number` of `count` speaks; `places` are those of its tokens in it.
    fn of_window(&self, number: usize, count: usize, places: &[u32]) -> Vec<WordTokens> {
        let start = number * self.step;
        let mut words = Vec::new();
        for (offset, place) in places.iter().enumerate() {
            let piece = start + offset;
            let Some(word) = self.words[piece] else {
                continue;
            };
            let is_first = piece == 0 || self.words[piece - 1] != Some(word);
            if !is_first || self.window_of(piece, count) != number {
                continue;
            }
            let own = |(offset, _): &(usize, &u32)| self.words[start + offset] == Some(word);
            let further = places.iter().enumerate().skip(offset + 1).take_while(own);
            words.push(WordTokens {
                word: word as usize,
                first: *place,
                further: further.map(|(_, place)| *place).collect(),
            });
        }
        words
    }

    /// The window that shows most of what is around `piece`, on the side where it shows less; of several the first.
    fn window_of(&self, piece: usize, count: usize) -> usize {
        let around = |number: usize| {
            let start = number * self.step;
            let end = (start + self.room).min(self.words.len());
            let before = match number {
                0 => usize::MAX,
                _ => piece - start,
            };
            let behind = if number + 1 == count {
                usize::MAX
            } else {
                end - 1 - piece
            };
            before.min(behind)
        };
        let last = (piece / self.step).min(count - 1);
        let holds = |number: &usize| piece < number * self.step + self.room;
        let windows = (0..=last).rev().take_while(holds);
        windows
            .reduce(|best, next| {
                if around(next) >= around(best) {
                    next
                } else {
                    best
                }
            })
            .unwrap_or(last)
    }
}
