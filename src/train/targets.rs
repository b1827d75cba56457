//! What samples are to come to, whatever the task.

use std::collections::HashMap;

use super::Texts;

/// The targets of samples, in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Nothing is known of so many samples: they are to be predicted.
    Unknown(usize),
    /// Each sample belongs to one class: an index into the outputs.
    Classes(Vec<u32>),
    /// Each sample has any of the labels: for each sample a row of so many numbers, 1 for a label that it has and 0 for others.
    Sets(Rows),
    /// Each sample has so many numbers.
    Numbers(Rows),
    /// Some of the tokens of each sample belong to a class each.
    Tokens(Marks),
    /// Each sample has texts that are compared.
    Compared(Compared),
    /// Some of the tokens of each sample stood for others, whose classes these are. A network is asked how likely those are, and what is
    /// the most likely, and not for all of its outputs: [`WIDTH_OF_MASKED`](super::WIDTH_OF_MASKED) numbers.
    Masked(Marks),
}

/// What some of the tokens of each sample are to come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// The marks of each sample, in the order of its tokens.
    pub samples: Vec<Vec<Mark>>,
    /// Whether each sample begins a text; one that does not goes on with the text of the sample before.
    pub begins: Vec<bool>,
}

/// One token, and what it is to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its class: an index into the outputs.
    pub class: u32,
    /// Which of the tokens of its sample it is, counted from 0; none if it is not among them, so that the network has nothing to say.
    pub place: Option<u32>,
}

impl Marks {
    /// The marks of texts of so many words each, of which nothing is known: each word is a token of its own, of the first class.
    #[must_use]
    pub fn unknown(texts: impl Iterator<Item = usize>) -> Self {
        let words = |words: usize| {
            (0..).take(words).map(|place| Mark {
                class: 0,
                place: Some(place),
            })
        };
        let samples: Vec<Vec<Mark>> = texts.map(|text| words(text).collect()).collect();
        Self {
            begins: vec![true; samples.len()],
            samples,
        }
    }

    fn take(&self, samples: impl Iterator<Item = usize>) -> Self {
        let (samples, begins) = samples
            .map(|sample| (self.samples[sample].clone(), self.begins[sample]))
            .unzip();
        Self { samples, begins }
    }

    /// Of each sample the tokens that the network has something to say of.
    fn places(&self) -> Vec<Vec<u32>> {
        let places = |marks: &Vec<Mark>| marks.iter().filter_map(|mark| mark.place).collect();
        self.samples.iter().map(places).collect()
    }

    /// The marks of each text, in its order: those of the samples that go on with it behind those of the one that begins it.
    #[must_use]
    pub fn texts(&self) -> Vec<Vec<Mark>> {
        let mut texts: Vec<Vec<Mark>> = Vec::new();
        for (marks, begins) in self.samples.iter().zip(&self.begins) {
            match texts.last_mut() {
                Some(text) if !begins => text.extend(marks),
                _ => texts.push(marks.clone()),
            }
        }
        texts
    }
}

/// Texts that are compared, and how similar they are to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// How many texts a sample has.
    pub members: usize,
    /// Which text each is, sample by sample: what is the same to the network has the same number.
    pub texts: Vec<u32>,
    /// How similar the first two texts of each sample are; empty where nobody says it, and they belong together.
    pub scores: Vec<f32>,
}

impl Compared {
    /// Samples of so many texts each, none of which is known to be the same as another.
    ///
    /// # Panics
    /// If there are more than 2³² texts.
    #[must_use]
    pub fn new(samples: usize, members: usize, scores: Vec<f32>) -> Self {
        let texts = u32::try_from(samples * members).expect("there are fewer texts");
        Self {
            members,
            texts: (0..texts).collect(),
            scores,
        }
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len().checked_div(self.members).unwrap_or(0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts of each sample.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u32]> + ExactSizeIterator {
        self.texts.chunks_exact(self.members.max(1))
    }

    /// Says which of `texts` are the same, by their tokens.
    ///
    /// # Panics
    /// If there are more than 2³² texts.
    pub(super) fn identify(&mut self, texts: &Texts) {
        let mut known = HashMap::new();
        let numbers = texts.tokens.iter().map(|tokens| {
            let next = u32::try_from(known.len()).expect("there are fewer texts");
            *known.entry(&tokens[..]).or_insert(next)
        });
        let by_member: Vec<u32> = numbers.collect();
        self.members = texts.members.get();
        let samples = by_member.len() / self.members;
        let of_sample =
            |sample| (0..texts.members.get()).map(move |member| member * samples + sample);
        self.texts = (0..samples)
            .flat_map(of_sample)
            .map(|place| by_member[place])
            .collect();
    }

    fn take(&self, samples: &[usize]) -> Self {
        let texts = |sample: &usize| &self.texts[sample * self.members..][..self.members];
        let scores = self.scores.first().map(|_| {
            let scores = samples.iter().map(|sample| self.scores[*sample]);
            scores.collect()
        });
        Self {
            members: self.members,
            texts: samples.iter().flat_map(texts).copied().collect(),
            scores: scores.unwrap_or_default(),
        }
    }
}

/// Rows of numbers, all of the same width.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Numbers in a row.
    pub width: usize,
    /// The rows, one after the other.
    pub numbers: Vec<f32>,
}

impl Rows {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len().checked_div(self.width).unwrap_or(0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[f32]> + ExactSizeIterator {
        self.numbers.chunks_exact(self.width.max(1))
    }

    /// The numbers of one column.
    pub fn column(&self, column: usize) -> impl Iterator<Item = f32> {
        self.iter().map(move |row| row[column])
    }

    fn take(&self, rows: impl Iterator<Item = usize>) -> Self {
        let row = |row: usize| &self.numbers[row * self.width..][..self.width];
        Self {
            width: self.width,
            numbers: rows.flat_map(row).copied().collect(),
        }
    }
}

impl Targets {
    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Unknown(samples) => *samples,
            Self::Classes(classes) => classes.len(),
            Self::Sets(rows) | Self::Numbers(rows) => rows.len(),
            Self::Tokens(marks) | Self::Masked(marks) => marks.samples.len(),
            Self::Compared(compared) => compared.len(),
        }
    }

    /// Of each sample the tokens that a network is to say something of; none if it says one thing of a whole sample.
    #[must_use]
    pub fn places(&self) -> Option<Vec<Vec<u32>>> {
        match self {
            Self::Tokens(marks) | Self::Masked(marks) => Some(marks.places()),
            Self::Unknown(_)
            | Self::Classes(_)
            | Self::Sets(_)
            | Self::Numbers(_)
            | Self::Compared(_) => None,
        }
    }

    /// How many rows of numbers a network gives for each sample: one, or one for each of its tokens or texts that is asked.
    #[must_use]
    pub fn rows_of_outputs(&self) -> Vec<usize> {
        match self {
            Self::Tokens(marks) | Self::Masked(marks) => {
                marks.places().iter().map(Vec::len).collect()
            }
            Self::Compared(compared) => vec![compared.members; compared.len()],
            Self::Unknown(_) | Self::Classes(_) | Self::Sets(_) | Self::Numbers(_) => {
                vec![1; self.len()]
            }
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets of these samples.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn take(&self, samples: impl IntoIterator<Item = usize>) -> Self {
        let samples = samples.into_iter();
        match self {
            Self::Unknown(_) => Self::Unknown(samples.count()),
            Self::Classes(classes) => {
                Self::Classes(samples.map(|sample| classes[sample]).collect())
            }
            Self::Sets(rows) => Self::Sets(rows.take(samples)),
            Self::Numbers(rows) => Self::Numbers(rows.take(samples)),
            Self::Tokens(marks) => Self::Tokens(marks.take(samples)),
            Self::Masked(marks) => Self::Masked(marks.take(samples)),
            Self::Compared(compared) => Self::Compared(compared.take(&samples.collect::<Vec<_>>())),
        }
    }

    /// The same targets from the last sample to the first.
    #[must_use]
    pub fn reversed(&self) -> Self {
        self.take((0..self.len()).rev())
    }

    /// The class of each sample.
    ///
    /// # Panics
    /// If these are other targets.
    #[must_use]
    pub fn classes(&self) -> &[u32] {
        match self {
            Self::Classes(classes) => classes,
            other => panic!("these targets are no classes: {other:?}"),
        }
    }

    /// The marks of tokens.
    ///
    /// # Panics
    /// If these are other targets.
    #[must_use]
    pub fn marks(&self) -> &Marks {
        match self {
            Self::Tokens(marks) | Self::Masked(marks) => marks,
            other => panic!("these targets are no tokens: {other:?}"),
        }
    }

    /// The texts that are compared.
    ///
    /// # Panics
    /// If these are other targets.
    #[must_use]
    pub fn compared(&self) -> &Compared {
        match self {
            Self::Compared(compared) => compared,
            other => panic!("these targets are no texts to compare: {other:?}"),
        }
    }

    /// The rows of several labels or numbers.
    ///
    /// # Panics
    /// If these are other targets.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        match self {
            Self::Sets(rows) | Self::Numbers(rows) => rows,
            other => panic!("these targets are no rows: {other:?}"),
        }
    }
}
