//! The settings about what the network is given: columns of texts, how much of them counts, what is put on the model.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{number, refused};
use crate::config::Spanned;
use crate::error::{Error, Result};
use crate::models::{Pooling, Truncation};

/// The columns of texts.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub(in crate::stages::finetune) struct Columns {
    /// The column with the texts, or with lists of their words where each word has a target; texts are cut into words there. Default:
    /// `text`, or `words`.
    pub(in crate::stages::finetune) text_column: Option<Spanned<String>>,
    /// The column with the second text of each pair, for tasks on pairs of texts.
    pub(in crate::stages::finetune) text_pair_column: Option<Spanned<String>>,
}

/// What is put on the model, and how much of a text it sees.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(in crate::stages::finetune) struct Input {
    /// How the states of a text's tokens become one vector. Default: what the model's folder says, else the checkpoint's pooler; a
    /// sentence encoder whose folder lacks what says it (`1_Pooling/config.json`) is refused.
    #[serde(default)]
    pub(in crate::stages::finetune) pooling: Option<Spanned<Pooling>>,
    /// Dropout before the classifier. Default: what the model's `config.json` says.
    #[serde(default)]
    pub(in crate::stages::finetune) classifier_dropout: Option<Spanned<f64>>,
    /// The most tokens of a text that count, special ones included; longer texts are cut. Default: what the model was tuned with before,
    /// else 256, or fewer if the model takes fewer.
    #[serde(default)]
    pub(in crate::stages::finetune) max_length: Option<Spanned<NonZeroUsize>>,
    /// Which text of a pair is cut where both are longer than `max_length`: `longest_first`, token by token the longer one;
    /// `only_first`; `only_second`. Default: `longest_first`.
    #[serde(default)]
    pub(in crate::stages::finetune) truncation: Option<Spanned<Truncation>>,
}

const FOR_WHOLE_TEXTS: &str = "is for whole texts, and here each word has a target";

const FOR_OTHERS: &str = "is for other tasks: of these texts some tokens are masked";

const FOR_TEXTS: &str = "is for texts, not for images";

impl Columns {
    /// Fills in the default.
    pub(super) fn complete(&mut self, by_word: bool) {
        let usual = crate::inputs::texts::Columns::usual(by_word);
        self.text_column
            .get_or_insert_with(|| usual.to_owned().into());
    }

    /// Refuses what is for pairs of texts.
    pub(super) fn refuse_pairs(&self) -> Result<()> {
        let pairs = self.text_pair_column.as_ref();
        refused("text_pair_column", pairs, FOR_WHOLE_TEXTS).map_or(Ok(()), Err)
    }

    /// Refuses texts without others to compare them with.
    pub(super) fn need_pairs(&self) -> Result<()> {
        if self.text_pair_column.is_some() {
            return Ok(());
        }
        Err(Error::usage("missing key `text_pair_column`")
            .help("name the column with the texts that those of `text_column` are compared with"))
    }

    /// Refuses pairs where texts are masked.
    pub(super) fn refuse_pairs_of_masked(&self) -> Result<()> {
        let pairs = self.text_pair_column.as_ref();
        refused("text_pair_column", pairs, FOR_OTHERS).map_or(Ok(()), Err)
    }

    /// Refuses all of them, where there are no texts.
    pub(super) fn refuse_all(&self) -> Result<()> {
        let errors = [
            refused("text_column", self.text_column.as_ref(), FOR_TEXTS),
            refused(
                "text_pair_column",
                self.text_pair_column.as_ref(),
                FOR_TEXTS,
            ),
        ];
        errors.into_iter().flatten().next().map_or(Ok(()), Err)
    }
}

impl Input {
    /// Refuses those that are for texts.
    pub(super) fn refuse_for_texts(&self) -> Result<()> {
        let errors = [
            refused("pooling", self.pooling.as_ref(), FOR_TEXTS),
            refused("max_length", self.max_length.as_ref(), FOR_TEXTS),
            refused("truncation", self.truncation.as_ref(), FOR_TEXTS),
        ];
        errors.into_iter().flatten().next().map_or(Ok(()), Err)
    }

    /// Refuses those that mean nothing where tokens are masked.
    pub(super) fn refuse_for_masked(&self) -> Result<()> {
        let errors = [
            refused("pooling", self.pooling.as_ref(), FOR_OTHERS),
            refused(
                "classifier_dropout",
                self.classifier_dropout.as_ref(),
                FOR_OTHERS,
            ),
            refused("truncation", self.truncation.as_ref(), FOR_OTHERS),
        ];
        errors.into_iter().flatten().next().map_or(Ok(()), Err)
    }

    /// Refuses those that are for texts as a whole.
    pub(super) fn refuse_for_words(&self) -> Result<()> {
        let pooling = refused("pooling", self.pooling.as_ref(), FOR_WHOLE_TEXTS);
        let truncation = self.truncation.as_ref();
        let truncation = refused("truncation", truncation, FOR_WHOLE_TEXTS);
        pooling.or(truncation).map_or(Ok(()), Err)
    }

    /// Refuses those that are not for texts of which each is taken on its own, and comes to a vector.
    pub(super) fn refuse_for_compared(&self) -> Result<()> {
        let one = "is for pairs that are one text, and here each text is taken on its own";
        let none =
            "is for a layer that says something of a text, and here its vector is the output";
        let errors = [
            refused("truncation", self.truncation.as_ref(), one),
            refused("classifier_dropout", self.classifier_dropout.as_ref(), none),
        ];
        errors.into_iter().flatten().next().map_or(Ok(()), Err)
    }

    /// Refuses what cannot be meant.
    pub(super) fn check(&self, columns: &Columns) -> Result<()> {
        if let Some(dropout) = &self.classifier_dropout {
            let good = |number| (0.0..1.0).contains(&number);
            number(
                "classifier_dropout",
                dropout,
                good,
                "at least 0 and below 1",
            )?;
        }
        match &self.truncation {
            Some(truncation) if columns.text_pair_column.is_none() => {
                let error = Error::usage(
                    "`truncation` is for pairs of texts, and there is no `text_pair_column`",
                );
                Err(truncation.blame(error, ""))
            }
            _ => Ok(()),
        }
    }
}
