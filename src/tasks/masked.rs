//! Masked tokens: what stood there.

mod loss;
mod outputs;
mod settings;
#[cfg(test)]
mod tests;

use outputs::Fillings;
use schemars::{Schema, SchemaGenerator};
use settings::{MaskSettings, MaskedReading};

use super::{Outputs, Reading, TargetKind, fields};
use crate::config::Parts;
use crate::error::{Error, Result};
use crate::models::{Card, Modality, Problem};
use crate::train::Metric;

/// Masked tokens.
pub(super) const MASKED: MaskedTokens = MaskedTokens;

pub(super) struct MaskedTokens;

static PERPLEXITY: Metric = Metric {
    name: "perplexity",
    about: "e to the mean cross-entropy of masked tokens",
    higher_is_better: false,
};
static LOSS: Metric = Metric {
    name: "masked_loss",
    about: "the mean cross-entropy of masked tokens",
    higher_is_better: false,
};
static ACCURACY: Metric = Metric {
    name: "masked_accuracy",
    about: "the share of masked tokens of which none is more likely",
    higher_is_better: true,
};

impl TargetKind for MaskedTokens {
    fn problem(&self) -> Problem {
        Problem::MaskedLanguage
    }

    fn metrics(&self) -> Vec<&'static Metric> {
        vec![&PERPLEXITY, &LOSS, &ACCURACY]
    }

    fn tie_breaker(&self) -> &'static Metric {
        &LOSS
    }

    fn masks(&self) -> bool {
        true
    }

    fn keys(&self, _: Modality) -> Vec<&'static str> {
        fields::<MaskSettings>().to_vec()
    }

    fn parse(&self, parts: &mut Parts<'_>, _: Modality) -> Result<Box<dyn Reading>> {
        Ok(Box::new(MaskedReading::parse(parts)?))
    }

    fn schemas(&self, generator: &mut SchemaGenerator) -> Vec<Schema> {
        vec![generator.subschema_for::<MaskSettings>()]
    }

    fn open(&self, card: &Card, _: Modality, _: Option<Vec<String>>) -> Result<Box<dyn Outputs>> {
        let masking = card.masking.ok_or_else(|| {
            Error::stage("the model does not say how tokens were masked when it was tuned")
                .note("`masking` in its refire.json says it")
        })?;
        Ok(Box::new(Fillings { masking }))
    }
}
