//! The settings of masked tokens.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::loss::OverMasked;
use super::outputs::Fillings;
use crate::config::{Parts, Spanned};
use crate::data::Table;
use crate::error::{Error, Result};
use crate::models::Masking;
use crate::tasks::{Decided, Reading, object};
use crate::train::{Loss, Targets};

/// How tokens are masked.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(super) struct MaskSettings {
    /// The probability with which a token is chosen. Of those that are, a mask stands for 80 %, another token for 10 %, and 10 % stay
    /// as they are (arXiv:1810.04805). Which ones follows from the seed, the epoch and the sample. Default: 0.15.
    #[serde(default = "probability")]
    mask_probability: Spanned<f64>,
    /// Whether all tokens of a word are chosen together. Default: false.
    #[serde(default)]
    whole_words: bool,
    /// Whether texts follow each other in a sample, so that all samples but the last have `max_length` tokens; else each text is cut to
    /// samples of its own. Default: false.
    #[serde(default)]
    packing: bool,
}

fn probability() -> Spanned<f64> {
    0.15.into()
}

#[derive(Debug)]
pub(super) struct MaskedReading {
    settings: MaskSettings,
}

impl MaskedReading {
    pub(super) fn parse(parts: &mut Parts<'_>) -> Result<Self> {
        let settings: MaskSettings = parts.read()?;
        let probability = &settings.mask_probability;
        // Not a number is refused, too.
        if !(probability.value > 0.0 && probability.value < 1.0) {
            let error = Error::usage(format!(
                "`mask_probability` is {}; it must be above 0 and below 1",
                probability.value
            ));
            return Err(probability.blame(error, ""));
        }
        Ok(Self { settings })
    }
}

impl Reading for MaskedReading {
    fn settings(&self) -> [Map<String, Value>; 2] {
        [object(&self.settings), Map::new()]
    }

    fn outputs(&self, _: &[(&str, Table)], _: &[String]) -> Result<Decided> {
        let outputs: Box<dyn crate::tasks::Outputs> = Box::new(Fillings {
            masking: Masking {
                probability: self.settings.mask_probability.value,
                whole_words: self.settings.whole_words,
                packing: self.settings.packing,
            },
        });
        Ok(outputs.into())
    }

    fn loss(&self, _: &[String], _: &Targets) -> Result<Arc<dyn Loss>> {
        Ok(Arc::new(OverMasked))
    }
}
