//! The settings of samples with numbers.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::losses::{Distance, MeanDistance};
use super::outputs::{Numbers, Source};
use crate::config::{Parts, Spanned};
use crate::data::Table;
use crate::error::{Error, Result};
use crate::models::Modality;
use crate::tasks::{Decided, Reading, object};
use crate::train::{Loss, Targets};

/// Where the numbers of a sample are.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub(super) struct Columns {
    /// The column with the number of each text. Default: `label`.
    pub(super) target_column: Option<Spanned<String>>,
    /// Instead of `target_column`: several columns with a number each.
    pub(super) target_columns: Option<Vec<Spanned<String>>>,
}

/// What is made small.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(super) struct LossSettings {
    /// What training makes small: `mse`, the mean of the squared differences; `mae`, of the absolute ones; `huber`, which is the first
    /// below `huber_delta` and the second above.
    #[serde(default)]
    loss: Distance,
    /// From which difference on `huber` is a line. Default: 1.
    huber_delta: Option<Spanned<f64>>,
}

#[derive(Debug)]
pub(super) struct NumbersReading {
    columns: Columns,
    loss: LossSettings,
    source: Source,
}

impl NumbersReading {
    pub(super) fn parse(parts: &mut Parts<'_>, modality: Modality) -> Result<Self> {
        let mut columns = match modality {
            Modality::Texts => parts.read()?,
            Modality::Images => Columns::default(),
        };
        let loss: LossSettings = parts.read()?;
        if let Some(delta) = &loss.huber_delta {
            if loss.loss != Distance::Huber {
                let error = Error::usage("`huber_delta` is for loss = \"huber\"");
                return Err(delta.blame(error, ""));
            }
            if !(delta.value.is_finite() && delta.value > 0.0) {
                let error = Error::usage(format!(
                    "`huber_delta` is {}; it must be above 0",
                    delta.value
                ));
                return Err(delta.blame(error, ""));
            }
        }
        let source = match modality {
            Modality::Images => Source::Images,
            Modality::Texts => Source::Columns(names(&mut columns)?),
        };
        Ok(Self {
            columns,
            loss,
            source,
        })
    }
}

/// The columns with the targets; fills in the default.
fn names(columns: &mut Columns) -> Result<Vec<String>> {
    match (&columns.target_column, &columns.target_columns) {
        (Some(one), Some(_)) => Err(one.blame(
            Error::usage("`target_column` and `target_columns` cannot both be set"),
            "",
        )),
        (None, Some(several)) => {
            let mut seen = std::collections::BTreeSet::new();
            for column in several {
                if !seen.insert(&column.value) {
                    let error = Error::usage(format!("the column `{}` comes twice", column.value));
                    return Err(column.blame(error, "again"));
                }
            }
            if several.is_empty() {
                return Err(Error::usage("`target_columns` names no column"));
            }
            Ok(several.iter().map(|column| column.value.clone()).collect())
        }
        (column, None) => {
            let column = column.clone().unwrap_or_else(|| "label".to_string().into());
            columns.target_column = Some(column.clone());
            Ok(vec![column.value])
        }
    }
}

impl Reading for NumbersReading {
    fn settings(&self) -> [Map<String, Value>; 2] {
        [object(&self.columns), object(&self.loss)]
    }

    fn outputs(&self, _: &[(&str, Table)], _: &[String]) -> Result<Decided> {
        let outputs = Numbers::new(Some(self.source.clone()), self.source.names());
        Ok(Decided {
            outputs: Box::new(outputs),
            told: Vec::new(),
        })
    }

    fn loss(&self, _: &[String], _: &Targets) -> Result<Arc<dyn Loss>> {
        Ok(Arc::new(MeanDistance {
            distance: self.loss.loss,
            delta: self
                .loss
                .huber_delta
                .as_ref()
                .map_or(1.0, |delta| delta.value),
        }))
    }
}
