//! The settings of texts that are compared.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::figures;
use super::losses::{CosineSimilarity, Measure, Ranking, Triplets};
use super::outputs::Embeddings;
use crate::config::{Parts, Spanned};
use crate::data::Table;
use crate::error::{Error, Result};
use crate::tasks::{Decided, Outputs, Reading, object};
use crate::train::{Loss, Metric, Targets};

/// Which texts and scores a sample has beside its pair.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub(super) struct Columns {
    /// The column with the score of each pair, from -1 to 1: 1 for texts that mean the same. Without one, the texts of a row belong
    /// together.
    pub(super) target_column: Option<Spanned<String>>,
    /// Columns with texts that those of `text_column` do not belong to, although they look like it (hard negatives).
    pub(super) negative_columns: Option<Vec<Spanned<String>>>,
}

/// What an embedding is.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub(super) struct Vector {
    /// How many numbers an embedding has: a linear layer on top makes them, the only one that trains on a frozen encoder. Default: the
    /// encoder's own, without a layer.
    pub(super) embedding_size: Option<NonZeroUsize>,
}

/// What is made small.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(super) struct LossSettings {
    /// What training makes small: `cosine-similarity`, the squared difference between the cosine and the score;
    /// `multiple-negatives-ranking`, how unlikely a text finds its partner among those of the whole batch; `triplet`, how little closer a
    /// text is to its partner than to a negative. Default: the first if there is a `target_column`, else the second.
    loss: Option<Spanned<Objective>>,
    /// What cosines are divided by in `multiple-negatives-ranking`: the lower, the more the closest negatives count.
    /// sentence-transformers' `scale` is 1 / temperature. Default: 0.05.
    #[schemars(extend("exclusiveMinimum" = 0))]
    temperature: Option<Spanned<f64>>,
    /// Whether `multiple-negatives-ranking` also counts how unlikely the second text finds the first. Default: false.
    symmetric: Option<Spanned<bool>>,
    /// How many texts go through the network at a time in `multiple-negatives-ranking`, so that memory does not grow with `batch_size`
    /// (`GradCache`, arXiv:2101.06983): the same gradient, for a second pass through the network. Default: all of a batch.
    mini_batch_size: Option<Spanned<NonZeroUsize>>,
    /// How `triplet` measures: `euclidean`, or `cosine`, 1 less the cosine. Default: `euclidean`.
    distance: Option<Spanned<Measure>>,
    /// How much closer than a negative a partner is to be in `triplet`. Default: 5.
    #[schemars(extend("exclusiveMinimum" = 0))]
    margin: Option<Spanned<f64>>,
}

/// The losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Objective {
    /// The squared difference between the cosine and the score.
    CosineSimilarity,
    /// Cross-entropy over the texts of the batch (Henderson et al. 2017, arXiv:1705.00652).
    MultipleNegativesRanking,
    /// How little closer a text is to its partner than to a negative (Schroff et al. 2015, arXiv:1503.03832).
    Triplet,
}

impl Objective {
    fn name(self) -> &'static str {
        match self {
            Self::CosineSimilarity => "cosine-similarity",
            Self::MultipleNegativesRanking => "multiple-negatives-ranking",
            Self::Triplet => "triplet",
        }
    }
}

const TEMPERATURE: f64 = 0.05;
const MARGIN: f64 = 5.0;

#[derive(Debug)]
pub(super) struct SimilarReading {
    columns: Columns,
    vector: Vector,
    loss: LossSettings,
    objective: Objective,
    /// What was decided for the user.
    told: Option<String>,
}

impl SimilarReading {
    pub(super) fn parse(parts: &mut Parts<'_>) -> Result<Self> {
        let columns: Columns = parts.read()?;
        let vector = parts.read()?;
        let mut loss: LossSettings = parts.read()?;
        let (usual, why) = match columns.target_column {
            Some(_) => (Objective::CosineSimilarity, "there is a `target_column`"),
            None => (
                Objective::MultipleNegativesRanking,
                "there is no `target_column`",
            ),
        };
        let told = format!("`loss` is \"{}\", since {why}", usual.name());
        let told = loss.loss.is_none().then_some(told);
        let objective = loss.loss.get_or_insert_with(|| usual.into()).value;
        let reading = Self {
            columns,
            vector,
            loss,
            objective,
            told,
        };
        let place = parts.table().span.clone();
        reading
            .check_columns()
            .and_then(|()| reading.check_loss())
            .map_err(|error| error.or_at(&place, ""))?;
        Ok(reading)
    }

    /// Refuses columns that do not suit each other or the loss.
    fn check_columns(&self) -> Result<()> {
        let Columns {
            target_column,
            negative_columns,
        } = &self.columns;
        let loss = self.objective.name();
        let negatives = negative_columns.iter().flatten();
        let mut seen = BTreeSet::new();
        for column in negatives.clone() {
            if !seen.insert(&column.value) {
                let error = Error::usage(format!("the column `{}` comes twice", column.value));
                return Err(column.blame(error, "again"));
            }
        }
        let first = negatives.clone().next();
        match (self.objective, target_column, first) {
            (Objective::CosineSimilarity, None, _) => Err(Error::usage(format!(
                "loss = \"{loss}\" needs scores, and there is no `target_column`"
            ))),
            (Objective::CosineSimilarity, _, Some(negative)) => {
                let error = Error::usage(format!(
                    "`negative_columns` are not for loss = \"{loss}\", which goes by scores"
                ));
                Err(negative.blame(error, ""))
            }
            (Objective::MultipleNegativesRanking | Objective::Triplet, Some(score), _) => {
                let error = Error::usage(format!(
                    "`target_column` is not for loss = \"{loss}\", for which the texts of a row belong together"
                ));
                Err(score.blame(error, "").help(
                    "leave the pairs with low scores out in a `preprocess` stage, and `target_column` too",
                ))
            }
            (Objective::Triplet, None, None) => Err(Error::usage(format!(
                "loss = \"{loss}\" needs negatives, and there are no `negative_columns`"
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses settings of other losses, and numbers that cannot be meant.
    fn check_loss(&self) -> Result<()> {
        let LossSettings {
            loss: _,
            temperature,
            symmetric,
            mini_batch_size,
            distance,
            margin,
        } = &self.loss;
        let ranking = Objective::MultipleNegativesRanking;
        self.is_for("temperature", temperature.as_ref(), ranking)?;
        self.is_for("symmetric", symmetric.as_ref(), ranking)?;
        self.is_for("mini_batch_size", mini_batch_size.as_ref(), ranking)?;
        self.is_for("distance", distance.as_ref(), Objective::Triplet)?;
        self.is_for("margin", margin.as_ref(), Objective::Triplet)?;
        for (name, number) in [("temperature", temperature), ("margin", margin)] {
            let Some(number) = number else { continue };
            if !(number.value.is_finite() && number.value > 0.0) {
                let error =
                    Error::usage(format!("`{name}` is {}; it must be above 0", number.value));
                return Err(number.blame(error, ""));
            }
        }
        Ok(())
    }

    /// Refuses a setting that is for another loss.
    fn is_for<T>(&self, name: &str, setting: Option<&Spanned<T>>, loss: Objective) -> Result<()> {
        match setting {
            Some(setting) if self.objective != loss => {
                let error = Error::usage(format!("`{name}` is for loss = \"{}\"", loss.name()));
                Err(setting.blame(error, ""))
            }
            _ => Ok(()),
        }
    }

    fn negatives(&self) -> Vec<String> {
        let columns = self.columns.negative_columns.iter().flatten();
        columns.map(|column| column.value.clone()).collect()
    }
}

impl Reading for SimilarReading {
    fn settings(&self) -> [Map<String, Value>; 2] {
        let mut read = object(&self.columns);
        read.append(&mut object(&self.vector));
        [read, object(&self.loss)]
    }

    fn first_metric(&self) -> Option<&'static Metric> {
        Some(match self.columns.target_column {
            Some(_) => &figures::METRICS[figures::SPEARMAN],
            None => &figures::METRICS[figures::NDCG],
        })
    }

    fn compares(&self) -> bool {
        true
    }

    fn outputs(&self, _: &[(&str, Table)], _: &[String]) -> Result<Decided> {
        let score = self.columns.target_column.as_ref();
        let outputs: Box<dyn Outputs> = Box::new(Embeddings {
            score: score.map(|column| column.value.clone()),
            negatives: self.negatives(),
            size: self.vector.embedding_size.map(NonZeroUsize::get),
            is_bounded: self.objective == Objective::CosineSimilarity,
        });
        Ok(Decided {
            outputs,
            told: self.told.iter().cloned().collect(),
        })
    }

    fn loss(&self, _: &[String], _: &Targets) -> Result<Arc<dyn Loss>> {
        let value = |number: &Option<Spanned<f64>>, usual: f64| {
            number.as_ref().map_or(usual, |number| number.value)
        };
        Ok(match self.objective {
            Objective::CosineSimilarity => Arc::new(CosineSimilarity),
            Objective::MultipleNegativesRanking => Arc::new(Ranking {
                temperature: value(&self.loss.temperature, TEMPERATURE),
                symmetric: self.loss.symmetric.as_ref().is_some_and(|both| both.value),
                piece: self
                    .loss
                    .mini_batch_size
                    .as_ref()
                    .map(|size| size.value.get()),
            }),
            Objective::Triplet => Arc::new(Triplets {
                distance: self
                    .loss
                    .distance
                    .as_ref()
                    .map_or_else(Measure::default, |distance| distance.value),
                margin: value(&self.loss.margin, MARGIN),
            }),
        })
    }
}
