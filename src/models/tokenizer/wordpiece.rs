//! A `WordPiece` tokenizer out of texts: the pieces are joined as in byte pair encoding, and written as the `tokenizer.json` of a BERT.
//!
//! The tokenizers crate trains one too, but which pieces it joins depends there on the order of a hash map; here the same texts give the
//! same tokenizer. What texts become words by, and all that is done with the tokenizer afterwards, is the crate's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Map, Value, json};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use super::tokenizers as contained;
use crate::error::{Context, Error, Result};
use crate::models::weights::write_new;

/// The tokens that are no pieces of words, in the order of the tokenizers library's `BertWordPieceTokenizer`.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// What a piece begins with that does not begin a word.
const PREFIX: &str = "##";
/// How often two pieces have to stand side by side to be joined, as in `BertWordPieceTokenizer`.
const MIN_FREQUENCY: u64 = 2;
/// How many characters are pieces, the most frequent ones, as in `BertWordPieceTokenizer`. Words with others are unknown.
const ALPHABET: usize = 1000;
/// The longest word that is no unknown one, as in transformers' `BertTokenizer`.
const LONGEST: usize = 100;

/// What a `WordPiece` tokenizer is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordPiece {
    /// How many pieces it has at most, with those that are no words: `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`.
    pub vocab_size: usize,
    /// Whether words are in lower case and without accents.
    pub lowercase: bool,
}

/// What came of training a tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// How many it has.
    pub count: usize,
    /// How many characters of the texts are in none, because they are too rare.
    pub rare: usize,
}

impl WordPiece {
    /// Trains a tokenizer on `texts` and writes it into `folder`: `tokenizer.json` and `tokenizer_config.json`. Texts are taken apart as
    /// for BERT (arXiv:1810.04805): at spaces, around punctuation and Chinese characters. Beginning with the characters, the two
    /// pieces that stand side by side most often are joined (arXiv:1508.07909), the first in the order of the pieces where
    /// several do.
    ///
    /// # Errors
    /// Texts without a word, or with more characters than there are to be pieces; those of the disk.
    pub fn train(
        &self,
        texts: &[String],
        max_length: Option<usize>,
        folder: &Path,
    ) -> Result<Pieces> {
        let words = self.words(texts)?;
        let (pieces, rare) = self.pieces(&words)?;
        let count = pieces.len();
        let write = |name: &str, json: &Value| {
            let path = folder.join(name);
            let mut bytes = serde_json::to_vec_pretty(json)
                .or_stage(|| format!("cannot write `{}`", path.display()))?;
            bytes.push(b'\n');
            write_new(&path, &bytes)
        };
        write("tokenizer.json", &self.json(pieces))?;
        write("tokenizer_config.json", &self.config(max_length))?;
        Ok(Pieces { count, rare })
    }

    /// The words of `texts`, and how often each is there.
    fn words(&self, texts: &[String]) -> Result<BTreeMap<String, u64>> {
        let normalizer = BertNormalizer::new(true, true, None, self.lowercase);
        let of_text = |(row, text): (usize, &String)| {
            contained(
                || format!("the text in row {} cannot be taken apart", row + 1),
                || {
                    let mut text = NormalizedString::from(text.as_str());
                    normalizer.normalize(&mut text)?;
                    let mut words = PreTokenizedString::from(text);
                    BertPreTokenizer.pre_tokenize(&mut words)?;
                    let mut counts = BTreeMap::new();
                    for (word, ..) in
                        words.get_splits(OffsetReferential::Original, OffsetType::None)
                    {
                        *counts.entry(word.to_string()).or_insert(0) += 1;
                    }
                    Ok(counts)
                },
            )
        };
        let counted = texts.par_iter().enumerate().map(of_text);
        counted.try_reduce(BTreeMap::new, |mut one, mut other| {
            if one.len() < other.len() {
                std::mem::swap(&mut one, &mut other);
            }
            for (word, count) in other {
                *one.entry(word).or_insert(0) += count;
            }
            Ok(one)
        })
    }

    /// The pieces in the order of their ids, and how many characters are in none.
    fn pieces(&self, words: &BTreeMap<String, u64>) -> Result<(Vec<String>, usize)> {
        let mut characters: BTreeMap<char, u64> = BTreeMap::new();
        for (word, count) in words {
            for character in word.chars() {
                *characters.entry(character).or_insert(0) += count;
            }
        }
        if characters.is_empty() {
            return Err(Error::stage(
                "the texts have no word to train a tokenizer on",
            ));
        }
        let rare = characters.len().saturating_sub(ALPHABET);
        let mut frequent: Vec<(char, u64)> = characters.into_iter().collect();
        frequent.sort_by_key(|(character, count)| (Reverse(*count), *character));
        frequent.truncate(ALPHABET);
        let alphabet: BTreeSet<char> = frequent
            .into_iter()
            .map(|(character, _)| character)
            .collect();

        let known = |word: &&String| {
            word.chars().count() <= LONGEST
                && word.chars().all(|character| alphabet.contains(&character))
        };
        let known: Vec<&String> = words.keys().filter(known).collect();
        let inside: BTreeSet<char> = known.iter().flat_map(|word| word.chars().skip(1)).collect();
        let mut pieces: Vec<String> = SPECIAL.map(String::from).to_vec();
        pieces.extend(alphabet.iter().map(char::to_string));
        pieces.extend(
            inside
                .iter()
                .map(|character| format!("{PREFIX}{character}")),
        );
        if pieces.len() > self.vocab_size {
            return Err(Error::stage(format!(
                "`vocab_size` is {}, but the characters of the texts alone make {} pieces",
                self.vocab_size,
                pieces.len()
            )));
        }
        let mut joined = Joined::new(pieces);
        for word in known {
            joined.add(word, words[word]);
        }
        Ok((joined.up_to(self.vocab_size), rare))
    }

    /// The tokenizer as tokenizers writes that of a BERT.
    fn json(&self, pieces: Vec<String>) -> Value {
        let id = |token: &str| SPECIAL.iter().position(|special| *special == token);
        let added = SPECIAL.iter().enumerate().map(|(id, token)| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        });
        let added: Vec<Value> = added.collect();
        let ids = pieces.into_iter().enumerate();
        let vocab: Map<String, Value> = ids.map(|(id, piece)| (piece, id.into())).collect();
        let special =
            |token: &str, of: u32| json!({ "SpecialToken": { "id": token, "type_id": of } });
        let text = |text: &str, of: u32| json!({ "Sequence": { "id": text, "type_id": of } });
        let named = |token: &str| json!({ "id": token, "ids": [id(token)], "tokens": [token] });
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": self.lowercase,
            },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)],
                "pair": [
                    special("[CLS]", 0), text("A", 0), special("[SEP]", 0), text("B", 1), special("[SEP]", 1),
                ],
                "special_tokens": { "[CLS]": named("[CLS]"), "[SEP]": named("[SEP]") },
            },
            "decoder": { "type": "WordPiece", "prefix": PREFIX, "cleanup": true },
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": PREFIX,
                "max_input_chars_per_word": LONGEST, "vocab": vocab,
            },
        })
    }

    /// What transformers has to know beside it.
    fn config(&self, max_length: Option<usize>) -> Value {
        let mut config = json!({
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": self.lowercase,
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        });
        if let Some(max_length) = max_length {
            config["model_max_length"] = max_length.into();
        }
        config
    }
}

/// Two pieces, by their ids.
type Pair = (usize, usize);

/// Words as pieces, and how often which of them stand side by side.
struct Joined {
    pieces: Vec<String>,
    ids: HashMap<String, usize>,
    /// The pieces of each word, and how often it is there.
    words: Vec<(Vec<usize>, u64)>,
    counts: HashMap<Pair, u64>,
    /// The words that a pair may be in.
    places: HashMap<Pair, BTreeSet<usize>>,
}

impl Joined {
    /// No word yet.
    fn new(pieces: Vec<String>) -> Self {
        let ids = pieces.iter().cloned().zip(0..).collect();
        Self {
            pieces,
            ids,
            words: Vec::new(),
            counts: HashMap::new(),
            places: HashMap::new(),
        }
    }

    /// Adds a word, whose characters are pieces.
    fn add(&mut self, word: &str, count: u64) {
        let pieces = word.chars().enumerate().map(|(place, character)| {
            let piece = match place {
                0 => character.to_string(),
                _ => format!("{PREFIX}{character}"),
            };
            self.ids[&piece]
        });
        let pieces: Vec<usize> = pieces.collect();
        let place = self.words.len();
        self.words.push((pieces, count));
        self.count(place);
    }

    /// Counts the pairs of a word in.
    fn count(&mut self, place: usize) -> Vec<Pair> {
        let (pieces, count) = &self.words[place];
        let pairs: Vec<Pair> = pieces.windows(2).map(|two| (two[0], two[1])).collect();
        for pair in &pairs {
            *self.counts.entry(*pair).or_insert(0) += count;
            self.places.entry(*pair).or_default().insert(place);
        }
        pairs
    }

    /// Counts the pairs of a word out.
    fn discount(&mut self, place: usize) {
        let (pieces, count) = &self.words[place];
        for two in pieces.windows(2) {
            if let Some(all) = self.counts.get_mut(&(two[0], two[1])) {
                *all -= count;
            }
        }
    }

    /// The pieces, when the most frequent pairs have been joined until there are so many, or no pair is frequent.
    fn up_to(mut self, vocab_size: usize) -> Vec<String> {
        let pairs: BTreeSet<Pair> = self
            .words
            .iter()
            .flat_map(|(pieces, _)| pieces.windows(2).map(|two| (two[0], two[1])))
            .collect();
        let entry = |counts: &HashMap<Pair, u64>, pair| (counts[&pair], Reverse(pair));
        let mut queue: BinaryHeap<(u64, Reverse<Pair>)> = pairs
            .into_iter()
            .map(|pair| entry(&self.counts, pair))
            .collect();
        while self.pieces.len() < vocab_size
            && let Some((count, Reverse(pair))) = queue.pop()
        {
            let now = self.counts[&pair];
            if now != count {
                // It was counted before others were joined; its place in the queue is another one now.
                queue.push((now, Reverse(pair)));
                continue;
            }
            if count < MIN_FREQUENCY {
                break;
            }
            for changed in self.join(pair) {
                queue.push(entry(&self.counts, changed));
            }
        }
        self.pieces
    }

    /// Makes one piece of a pair wherever it stands; gives the pairs that the piece is in.
    fn join(&mut self, pair: Pair) -> BTreeSet<Pair> {
        let (first, second) = pair;
        let end = &self.pieces[second];
        let text = format!(
            "{}{}",
            self.pieces[first],
            end.strip_prefix(PREFIX).unwrap_or(end)
        );
        let piece = if let Some(piece) = self.ids.get(&text) {
            *piece
        } else {
            self.ids.insert(text.clone(), self.pieces.len());
            self.pieces.push(text);
            self.pieces.len() - 1
        };
        let mut new = BTreeSet::new();
        for place in self.places.remove(&pair).unwrap_or_default() {
            self.discount(place);
            let (pieces, _) = &mut self.words[place];
            let mut from = 0;
            while from + 1 < pieces.len() {
                if (pieces[from], pieces[from + 1]) == pair {
                    pieces[from] = piece;
                    pieces.remove(from + 1);
                }
                from += 1;
            }
            let pairs = self.count(place);
            new.extend(
                pairs
                    .into_iter()
                    .filter(|(one, other)| *one == piece || *other == piece),
            );
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Tokenizer;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().copied().map(String::from).collect()
    }

    fn trained(texts: &[String], vocab_size: usize) -> (Result<Pieces>, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let wordpiece = WordPiece {
            vocab_size,
            lowercase: true,
        };
        (wordpiece.train(texts, Some(128), folder.path()), folder)
    }

    #[test]
    fn the_most_frequent_pair_is_joined_first() {
        let texts = texts(&["ab ab ab Ab", "cb cb", "abc, abc"]);
        let (pieces, folder) = trained(&texts, 15);
        // Five special ones, six characters, ab (6 times); then cb and abc (both twice), the pair of lower ids first.
        assert_eq!(pieces.expect("trained"), Pieces { count: 14, rare: 0 });
        let json = std::fs::read(folder.path().join("tokenizer.json")).expect("written");
        let json: Value = serde_json::from_slice(&json).expect("JSON");
        let vocab: Vec<&String> = json["model"]["vocab"]
            .as_object()
            .expect("a map")
            .keys()
            .collect();
        assert_eq!(
            vocab[5..],
            [",", "a", "b", "c", "##b", "##c", "ab", "cb", "abc"]
                .map(String::from)
                .each_ref()
        );
        let tokenizer = Tokenizer::load(folder.path()).expect("a tokenizer");
        let encoded = tokenizer.encode(
            &["AB cb".into()],
            None,
            16,
            super::super::Truncation::default(),
        );
        assert_eq!(encoded.expect("encoded")[0].ids, [2, 11, 12, 3]);
        assert_eq!(tokenizer.pad_id(), 0);
    }
}
