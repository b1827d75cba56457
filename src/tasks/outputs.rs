//! What the outputs of a network mean: how targets are read, what the figures are, what is said of a sample.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::resampling::part;
use super::{Report, resampling};
use crate::data::Table;
use crate::data::words::{self, Entity};
use crate::error::Result;
use crate::models::{Card, Masking, Tokenizer};
use crate::train::{Marks, Targets};

/// What outputs mean, and what the user is to be told of how that was decided.
#[derive(Debug)]
pub struct Decided {
    /// What they mean.
    pub outputs: Box<dyn Outputs>,
    /// What was decided, in sentences.
    pub told: Vec<String>,
}

impl From<Box<dyn Outputs>> for Decided {
    fn from(outputs: Box<dyn Outputs>) -> Self {
        Self {
            outputs,
            told: Vec::new(),
        }
    }
}

/// What the outputs of a network mean.
pub trait Outputs: Debug + Send + Sync {
    /// What they are called, in their order.
    fn names(&self) -> &[String];

    /// How many numbers a layer on top makes of a sample's vector where that is the output; none if it stays as it is.
    fn embedding_size(&self) -> Option<usize> {
        None
    }

    /// The columns beside a pair's with texts of a sample, where each text of a sample is taken on its own; none where a pair is one text.
    fn apart(&self) -> Option<&[String]> {
        None
    }

    /// How tokens are masked, where samples are texts of which some are.
    fn masking(&self) -> Option<Masking> {
        None
    }

    /// Takes `column` as the one with the texts that targets are parts of.
    fn set_text_column(&mut self, _column: &str) {}

    /// Writes down what [`TargetKind::open`] reads.
    fn write(&self, card: &mut Card);

    /// The targets of the samples in `table`.
    ///
    /// # Errors
    /// A column that is not there, a value that is missing or no target, with its row.
    fn read(&self, table: &Table) -> Result<Read>;

    /// Looks at the targets of the samples at `port`, which are `sample`s: what is to be told, and what to be logged.
    ///
    /// # Errors
    /// Samples to train on that nothing can be learnt from.
    fn look(&self, port: &str, sample: &str, targets: &Targets) -> Result<Look>;

    /// Where words have targets: the class of the tokens behind the first one of a word of this class.
    fn further(&self, class: u32) -> u32 {
        class
    }

    /// The figures of what a network gives for samples with these targets, `[rows × outputs]`, row by row.
    ///
    /// # Errors
    /// Outputs that are no numbers.
    fn score(&self, outputs: &[f32], targets: &Targets) -> Result<Report>;

    /// What gives the figures of some of the samples, each as often as it is named: for intervals, which ask for a thousand of them.
    /// `units` are the samples that a number stands for: one, or the windows of a text.
    ///
    /// # Errors
    /// As for [`score`](Self::score).
    fn sampled<'o>(&'o self, outputs: &'o [f32], targets: &'o Targets) -> Result<Sampled<'o>> {
        let units = resampling::Units::new(targets);
        Ok(Box::new(move |chosen| {
            let (outputs, targets) = part(outputs, targets, &units, chosen);
            Ok(self.score(&outputs, &targets)?.figures)
        }))
    }

    /// What each sample comes to, as columns with these names.
    fn truth(&self, targets: &Targets) -> Vec<(String, Values)>;

    /// How far from the truth a network is on each sample: the mean loss of what it says of it. None where that is of several samples
    /// together.
    ///
    /// # Errors
    /// Outputs that are no numbers.
    fn losses(&self, outputs: &[f32], targets: &Targets) -> Result<Option<Values>>;

    /// What `evaluate` says of each sample beside its truth and its loss, as columns with their names: what `predict` adds.
    ///
    /// # Errors
    /// Outputs that are no numbers.
    fn judged(&self, given: &Given<'_>, _targets: &Targets) -> Result<Vec<(String, Values)>> {
        let names = self.columns(&Naming {
            prefix: "",
            raw: given.raw,
            of_texts: given.words.is_some_and(|(words, _)| words.cut.is_some()),
        });
        Ok(names.into_iter().zip(self.values(given)?).collect())
    }

    /// The columns that `predict` adds, of these names.
    fn columns(&self, names: &Naming<'_>) -> Vec<String>;

    /// Their values for samples of which a network gives this, column by column.
    ///
    /// # Errors
    /// Outputs that are no numbers.
    fn values(&self, given: &Given<'_>) -> Result<Vec<Values>>;
}

/// What gives the figures of some of the samples, which it is given by number.
pub type Sampled<'o> = Box<dyn Fn(&[usize]) -> Result<BTreeMap<String, f64>> + Sync + 'o>;

/// What a network gives for some samples.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// The numbers, `[rows × outputs]`, row by row.
    pub outputs: &'g [f32],
    /// How many samples there are.
    pub samples: usize,
    /// Of samples that are lists of words: the words of each text, and which of them the rows are for.
    pub words: Option<(&'g words::Texts, &'g Targets)>,
    /// Of texts with masks: the texts, which of their tokens the rows are for, and what tokens are called.
    pub masks: Option<(&'g [String], &'g Targets, &'g Tokenizer)>,
    /// Whether columns are to hold the numbers, and not what they mean.
    pub raw: bool,
}

impl<'g> Given<'g> {
    /// The words of each text, and which of them the rows are for.
    ///
    /// # Panics
    /// If the samples are no lists of words.
    pub(super) fn of_words(&self) -> (&'g words::Texts, &'g Marks) {
        let (words, targets) = self.words.expect("the samples are lists of words");
        (words, targets.marks())
    }

    /// The texts, which of their tokens the rows are for, and what tokens are called.
    ///
    /// # Panics
    /// If the samples are no texts with masks.
    pub(super) fn of_masks(&self) -> (&'g [String], &'g Marks, &'g Tokenizer) {
        let (texts, targets, tokenizer) = self.masks.expect("the samples are texts with masks");
        (texts, targets.marks(), tokenizer)
    }
}

/// Targets that were read, and what is to be told of how.
#[derive(Debug)]
pub struct Read {
    /// The targets, in the order of the samples.
    pub targets: Targets,
    /// What was decided, in sentences.
    pub told: Vec<String>,
}

/// What there is to say about some targets.
#[derive(Debug, Default)]
pub struct Look {
    /// What the user may not expect.
    pub told: Vec<String>,
    /// How many there are of what, in a few words.
    pub counted: String,
}

/// How columns that `predict` adds are called.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'n> {
    /// What they begin with.
    pub prefix: &'n str,
    /// Whether they hold what the network gives, and not what that means.
    pub raw: bool,
    /// Of samples that are lists of words: whether these come from texts.
    pub of_texts: bool,
}

impl Naming<'_> {
    /// The name of the column for what the network says about `label`.
    pub(super) fn score(&self, label: &str) -> String {
        let what = if self.raw { "logit" } else { "probability" };
        format!("{}{what}_{label}", self.prefix)
    }
}

/// A column that `predict` adds.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Words.
    Words(Vec<String>),
    /// Lists of words, and what stands between two where a list has to be text.
    Lists(Vec<Vec<String>>, String),
    /// Numbers.
    Numbers(Vec<f32>),
    /// Numbers, with gaps where there is none.
    Figures(Vec<Option<f64>>),
    /// Lists of numbers, with gaps where there is none.
    NumberLists(Vec<Vec<Option<f32>>>),
    /// Lists of entities.
    Entities(Vec<Vec<Entity>>),
    /// Lists of numbers that are one thing.
    Vectors(Vec<Vec<f32>>),
}
