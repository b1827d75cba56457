//! Labelled texts as token ids.

/// Texts as token ids, special tokens included and padding not, with the index of the label of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// The token ids of each text.
    pub tokens: Vec<Vec<u32>>,
    /// The label of each text.
    pub labels: Vec<u32>,
}

impl Samples {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// How many tokens each text has.
    ///
    /// # Panics
    /// If a text has more than 2³² tokens.
    #[must_use]
    pub fn lengths(&self) -> Vec<u32> {
        let length = |tokens: &Vec<u32>| u32::try_from(tokens.len()).expect("texts are shorter");
        self.tokens.iter().map(length).collect()
    }

    /// How many texts have each of `classes` labels.
    ///
    /// # Panics
    /// If a label is not below `classes`.
    #[must_use]
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for label in &self.labels {
            counts[*label as usize] += 1;
        }
        counts
    }
}
