//! Pieces of texts of which some tokens are masked, for a network that learns what stood there (Devlin et al., arXiv:1810.04805, section
//! 3.1).

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use crate::error::{Error, Result};
use crate::models::{Cutting, Masking, Piece, Tokenizer};
use crate::random::{Random, derive};
use crate::train::{Inputs, Mark, Marks, Rewritten, Samples, Targets, Texts};

/// Of the tokens that are chosen: the share that a mask stands for, and up to where another token does. The rest stays.
const MASKED: f64 = 0.8;
const REPLACED: f64 = 0.9;

/// Pieces that are masked anew in each epoch.
#[derive(Debug)]
struct Masked {
    pieces: Vec<Piece>,
    masking: Masking,
    mask_id: u32,
    pad_id: u32,
    /// How many different tokens there are to stand for another one.
    vocabulary: usize,
    seed: u64,
}

impl Masked {
    /// A piece as it looks in `epoch`, counted from 0, and what the tokens that were chosen were.
    fn draw(&self, sample: usize, epoch: usize) -> (Vec<u32>, Vec<Mark>) {
        let piece = &self.pieces[sample];
        let mut random = Random::new(derive(self.seed, "mask", &[epoch as u64, sample as u64]));
        let mut ids = piece.ids.clone();
        let mut marks = Vec::new();
        let mut before = None;
        let mut chosen = false;
        for (place, word) in piece.words.iter().enumerate() {
            let goes_on = self.masking.whole_words && word.is_some() && *word == before;
            before = *word;
            if word.is_none() {
                continue;
            }
            if !goes_on {
                chosen = random.chance(self.masking.probability);
            }
            if !chosen {
                continue;
            }
            marks.push(Mark {
                class: piece.ids[place],
                place: u32::try_from(place).ok(),
            });
            let share = random.unit();
            if share < MASKED {
                ids[place] = self.mask_id;
            } else if share < REPLACED {
                ids[place] = u32::try_from(random.below(self.vocabulary)).unwrap_or(self.mask_id);
            }
        }
        (ids, marks)
    }
}

impl Rewritten for Masked {
    fn pad_id(&self) -> u32 {
        self.pad_id
    }

    fn original(&self, sample: usize) -> &[u32] {
        &self.pieces[sample].ids
    }

    fn signature(&self) -> String {
        let Masking {
            probability,
            whole_words,
            ..
        } = self.masking;
        format!(
            "masked {probability}, whole words {whole_words}, mask {}, seed {}",
            self.mask_id, self.seed
        )
    }

    fn view(&self, view: usize) -> (Vec<u32>, Vec<Mark>) {
        self.draw(view % self.pieces.len(), view / self.pieces.len())
    }
}

/// The texts of a port as samples of masked pieces.
#[derive(Debug)]
pub struct MaskedTexts {
    masked: Masked,
    /// How many texts have no token that could be masked.
    pub without: usize,
    /// How many there are.
    pub texts: usize,
}

impl MaskedTexts {
    /// Takes texts apart.
    ///
    /// # Errors
    /// Texts that cannot be encoded, or of which none has a token that could be masked; so few that none is, as they are drawn first; a
    /// tokenizer without a token for masks.
    pub fn new(
        tokenizer: &Tokenizer,
        texts: &[String],
        max_length: usize,
        masking: Masking,
        seed: u64,
    ) -> Result<Self> {
        let mask_id = tokenizer.mask_id()?;
        let cut = tokenizer.pieces(
            texts,
            Cutting {
                max_length,
                packing: masking.packing,
            },
        )?;
        if cut.pieces.is_empty() {
            return Err(Error::stage("no text has a token that could be masked")
                .note("special tokens and unknown ones are not masked")
                .help("look at the column of the texts, and whether the tokenizer is for their language"));
        }
        let masked = Masked {
            pieces: cut.pieces,
            masking,
            mask_id,
            pad_id: tokenizer.pad_id(),
            vocabulary: tokenizer.vocab_size(),
            seed,
        };
        if (0..masked.pieces.len()).all(|sample| masked.draw(sample, 0).1.is_empty()) {
            let words = masked.pieces.iter().flat_map(|piece| &piece.words);
            let tokens = words.flatten().count();
            return Err(Error::stage(format!(
                "none of the {tokens} tokens that could be masked happens to be: they are too few"
            ))
            .help("take more texts, or raise `mask_probability`"));
        }
        Ok(Self {
            masked,
            without: cut.without,
            texts: texts.len(),
        })
    }

    /// How many pieces of these are among those of `others`.
    #[must_use]
    pub fn also_in(&self, others: &Self) -> usize {
        let others: BTreeSet<&[u32]> = others.ids().collect();
        self.ids().filter(|ids| others.contains(ids)).count()
    }

    fn ids(&self) -> impl Iterator<Item = &[u32]> {
        self.masked.pieces.iter().map(|piece| &piece.ids[..])
    }

    /// What the user is to be told of the texts called `name`.
    #[must_use]
    pub fn told(&self, name: &str) -> Option<String> {
        let Self { without, texts, .. } = self;
        (*without > 0).then(|| {
            format!("{without} of {texts} {name} texts have no token that could be masked, and are left out")
        })
    }

    /// How many pieces, and tokens in them.
    #[must_use]
    pub fn counted(&self) -> (usize, usize) {
        let pieces = &self.masked.pieces;
        (
            pieces.len(),
            pieces.iter().map(|piece| piece.ids.len()).sum(),
        )
    }

    /// Samples that are masked once.
    #[must_use]
    pub fn fixed(&self) -> Samples {
        let pieces = 0..self.masked.pieces.len();
        let (tokens, samples): (Vec<_>, Vec<_>) =
            pieces.map(|sample| self.masked.draw(sample, 0)).unzip();
        let begins = vec![true; samples.len()];
        Samples {
            inputs: Inputs::Texts(Texts {
                tokens,
                members: NonZeroUsize::MIN,
                types: None,
                pad_id: self.masked.pad_id,
            }),
            targets: Targets::Masked(Marks { samples, begins }),
        }
    }

    /// Samples that are masked anew in each epoch.
    #[must_use]
    pub fn changing(self) -> Samples {
        let Samples { targets, .. } = self.fixed();
        Samples {
            inputs: Inputs::Rewritten(Box::new(self.masked)),
            targets,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXTS: [&str; 3] = [
        "the film is a story of the food and the 7th place",
        "",
        "very good food",
    ];

    fn tokenizer() -> Tokenizer {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
        Tokenizer::load(&folder).expect("a tokenizer")
    }

    fn masked(max_length: usize, masking: Masking, seed: u64) -> MaskedTexts {
        let texts = TEXTS.map(String::from);
        MaskedTexts::new(&tokenizer(), &texts, max_length, masking, seed).expect("pieces")
    }

    const MASKING: Masking = Masking {
        probability: 0.5,
        whole_words: false,
        packing: false,
    };

    #[test]
    fn texts_are_cut_to_pieces_and_those_without_a_word_are_told() {
        let cut = masked(8, MASKING, 1);
        assert_eq!(
            cut.told("train").expect("one is empty"),
            "1 of 3 train texts have no token that could be masked, and are left out"
        );
        let lengths: Vec<usize> = cut.ids().map(<[u32]>::len).collect();
        assert_eq!(lengths, [8, 8, 4, 5]);
        let whole = masked(64, MASKING, 1);
        let all = whole.masked.pieces[0].ids[1..15].to_vec();
        let pieces = cut.ids().take(3).flat_map(|ids| &ids[1..ids.len() - 1]);
        assert_eq!(pieces.copied().collect::<Vec<_>>(), all);

        let packed = masked(
            8,
            Masking {
                packing: true,
                ..MASKING
            },
            1,
        );
        let lengths: Vec<usize> = packed.ids().map(<[u32]>::len).collect();
        // 14 and 3 tokens, each with a separator behind it; the last one is alone and left out.
        assert_eq!(lengths, [8, 8, 8]);
        let nothing = [String::new(), "  ".to_string()];
        let error = MaskedTexts::new(&tokenizer(), &nothing, 8, MASKING, 1).expect_err("no word");
        assert_eq!(error.message(), "no text has a token that could be masked");
        let seldom = Masking {
            probability: 0.001,
            ..MASKING
        };
        let texts = TEXTS.map(String::from);
        let error = MaskedTexts::new(&tokenizer(), &texts, 8, seldom, 1).expect_err("too few");
        let told = "none of the 17 tokens that could be masked happens to be: they are too few";
        assert_eq!(error.message(), told);
    }

    #[test]
    fn masks_follow_from_seed_epoch_and_sample() {
        let one = masked(64, MASKING, 1);
        let again = masked(64, MASKING, 1);
        let other = masked(64, MASKING, 2);
        assert_eq!(one.masked.view(0), again.masked.view(0));
        assert_eq!(one.masked.view(0), one.masked.draw(0, 0));
        assert_ne!(one.masked.view(0), other.masked.view(0));
        let epochs: BTreeSet<Vec<u32>> = (0..8).map(|epoch| one.masked.view(2 * epoch).0).collect();
        assert!(epochs.len() > 4);
    }

    #[test]
    fn eighty_percent_are_masks_ten_are_others_and_ten_stay() {
        let fifteen = Masking {
            probability: 0.15,
            ..MASKING
        };
        let texts = masked(64, fifteen, 3).masked;
        let (mut all, mut chosen, mut hidden, mut same) = (0.0, 0.0, 0.0, 0.0);
        for epoch in 0..4000 {
            let (ids, marks) = texts.draw(0, epoch);
            let original = &texts.pieces[0].ids;
            assert_eq!((ids[0], ids[15]), (original[0], original[15]));
            all += 14.0;
            for mark in marks {
                let place = mark.place.expect("it is there") as usize;
                assert_eq!(mark.class, original[place]);
                chosen += 1.0;
                hidden += f64::from(u8::from(ids[place] == texts.mask_id));
                same += f64::from(u8::from(ids[place] == original[place]));
            }
        }
        let shares: [f64; 3] = [chosen / all, hidden / chosen, same / chosen];
        for (share, expected) in shares.into_iter().zip([0.15, 0.8, 0.1]) {
            assert!((share - expected).abs() < 0.015, "{share}, not {expected}");
        }
    }

    #[test]
    fn words_are_masked_as_a_whole_if_that_is_asked_for() {
        let pieces_of_7th = |whole_words| {
            let texts = masked(
                64,
                Masking {
                    whole_words,
                    ..MASKING
                },
                1,
            )
            .masked;
            let words = &texts.pieces[0].words;
            let of_7th: Vec<u32> = (0..)
                .zip(words)
                .filter(|(place, word)| {
                    let same = words.iter().filter(|other| *other == *word).count();
                    word.is_some() && same == 3 && *place > 0
                })
                .map(|(place, _)| place)
                .collect();
            assert_eq!(of_7th.len(), 3);
            let chosen = (0..40).map(|epoch| {
                let marks = texts.draw(0, epoch).1;
                of_7th
                    .iter()
                    .filter(|place| marks.iter().any(|mark| mark.place == Some(**place)))
                    .count()
            });
            chosen.collect::<BTreeSet<usize>>()
        };
        assert_eq!(pieces_of_7th(true), BTreeSet::from([0, 3]));
        assert!(pieces_of_7th(false).len() > 2);
    }
}
