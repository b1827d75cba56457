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
    /// Each sample has texts that are compared.
    Compared(Compared),
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
    /// Samples of texts of which nothing is known yet, as many as there are `scores`, or so many without.
    #[must_use]
    pub fn new(samples: usize, scores: Vec<f32>) -> Self {
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        Self {
            members: 1,
            texts: (0..samples).collect(),
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
            Self::Compared(compared) => compared.len(),
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
