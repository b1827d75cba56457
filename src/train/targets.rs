//! What samples are to come to, whatever the task.

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
