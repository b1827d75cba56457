//! Texts that are lists of words: how they become tokens, and which token is asked about which word.

use std::num::NonZeroUsize;

use super::texts::Encoder;
use crate::data::{Table, words};
use crate::error::Result;
use crate::models::{Window, WordTokens};
use crate::train::{Mark, Marks, Texts};

/// Lists of words as tokens, and what happened to them on the way.
#[derive(Debug)]
pub struct Words {
    /// The tokens: a sample for each text, or for each window of one.
    pub inputs: Texts,
    /// How many texts were cut.
    pub cut: usize,
    /// How many fell into windows.
    pub split: usize,
    /// How many words have no token that is asked about them: because they are cut off, or made of nothing that the tokenizer knows.
    pub lost: usize,
    /// The most tokens of a sample.
    max_length: usize,
    /// For each text the words that each of its samples speaks for.
    spoken_for: Vec<Vec<Vec<WordTokens>>>,
}

/// The words in column `name` of `table`, which may hold texts; `first` is the number of the first row, counted from 0.
///
/// # Errors
/// No such column, one that holds neither texts nor lists of text, rows without one.
pub fn read(table: &Table, name: &str, first: usize) -> Result<words::Texts> {
    words::texts(table, name, first)
}

impl Encoder {
    /// Lists of words as tokens.
    ///
    /// # Errors
    /// Words that the tokenizer cannot encode, or for which there is no room.
    pub fn encode_words(&self, texts: &[Vec<String>]) -> Result<Words> {
        let (max_length, stride) = (self.max_length(), self.stride());
        let encoded = self.tokenizer().encode_words(texts, max_length, stride)?;
        let cut = encoded.iter().filter(|text| text.truncated).count();
        let split = encoded.iter().filter(|text| text.windows.len() > 1).count();
        let mut tokens = Vec::with_capacity(texts.len());
        let mut spoken_for = Vec::with_capacity(texts.len());
        for text in encoded {
            let (ids, words): (Vec<_>, Vec<_>) = text
                .windows
                .into_iter()
                .map(|Window { ids, words }| (ids, words))
                .unzip();
            tokens.extend(ids);
            spoken_for.push(words);
        }
        let words: usize = texts.iter().map(Vec::len).sum();
        let found: usize = spoken_for.iter().flatten().map(Vec::len).sum();
        Ok(Words {
            inputs: Texts {
                tokens,
                members: NonZeroUsize::MIN,
                types: None,
                pad_id: self.tokenizer().pad_id(),
            },
            cut,
            split,
            lost: words - found,
            max_length,
            spoken_for,
        })
    }
}

impl Words {
    /// The marks of all samples, given those of all words, text by text. With `further`, which says to which class the further tokens of a
    /// word of a class belong, these are marked, too.
    #[must_use]
    pub fn marks(&self, words: &Marks, further: Option<&dyn Fn(u32) -> u32>) -> Marks {
        let mut marks = Marks::default();
        for (text, samples) in words.samples.iter().zip(&self.spoken_for) {
            let mut rest = text.iter().enumerate().peekable();
            let last = samples.len().saturating_sub(1);
            for (number, sample) in samples.iter().enumerate() {
                let mut own = Vec::with_capacity(sample.len());
                for tokens in sample {
                    while let Some((_, mark)) = rest.next_if(|(word, _)| *word < tokens.word) {
                        own.push(silent(mark));
                    }
                    let Some((_, mark)) = rest.next() else {
                        break;
                    };
                    own.push(Mark {
                        place: Some(tokens.first),
                        ..*mark
                    });
                    let others = further.iter().flat_map(|class| {
                        let class = class(mark.class);
                        tokens.further.iter().map(move |place| (class, *place))
                    });
                    own.extend(others.map(|(class, place)| Mark {
                        class,
                        place: Some(place),
                    }));
                }
                if number == last {
                    own.extend(rest.by_ref().map(|(_, mark)| silent(mark)));
                }
                marks.samples.push(own);
                marks.begins.push(number == 0);
            }
        }
        marks
    }

    /// What the user is to be told of what happened to the texts called `name`.
    #[must_use]
    pub fn told(&self, name: &str) -> Vec<String> {
        let (all, longest) = (self.spoken_for.len(), self.max_length);
        let mut told = Vec::new();
        if self.cut > 0 {
            let percent = 100 * self.cut / all;
            told.push(format!(
                "{} of {all} {name} texts ({percent} %) are longer than {longest} tokens and are cut; `stride` would let them fall into \
                 windows",
                self.cut
            ));
        }
        if self.split > 0 {
            let samples = self.inputs.tokens.len();
            told.push(format!(
                "{} of {all} {name} texts are longer than {longest} tokens: all together fall into {samples} windows",
                self.split
            ));
        }
        if self.lost > 0 {
            told.push(format!(
                "{} words of {name} are in no window, or have no token: the model says nothing of them, which counts as outside of \
                 everything",
                self.lost
            ));
        }
        told
    }
}

/// The same mark of a word that the network says nothing of.
fn silent(mark: &Mark) -> Mark {
    Mark {
        place: None,
        ..*mark
    }
}
