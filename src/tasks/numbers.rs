//! Numbers: one a sample, or several.

mod figures;
mod losses;
mod outputs;
mod settings;

use outputs::Numbers;
use schemars::{Schema, SchemaGenerator};
use settings::{Columns, LossSettings, NumbersReading};

use super::{Outputs, Reading, TargetKind, fields};
use crate::config::Parts;
use crate::error::Result;
use crate::models::{Card, Modality, Problem};
use crate::train::Metric;

/// Numbers.
pub(super) const NUMBERS: SomeNumbers = SomeNumbers;

pub(super) struct SomeNumbers;

impl TargetKind for SomeNumbers {
    fn problem(&self) -> Problem {
        Problem::Regression
    }

    fn metrics(&self) -> Vec<&'static Metric> {
        figures::METRICS.iter().map(|known| &known.metric).collect()
    }

    fn tie_breaker(&self) -> &'static Metric {
        &figures::MSE
    }

    fn keys(&self, modality: Modality) -> Vec<&'static str> {
        let columns = match modality {
            Modality::Texts => fields::<Columns>(),
            Modality::Images => &[],
        };
        [columns, fields::<LossSettings>()].concat()
    }

    fn parse(&self, parts: &mut Parts<'_>, modality: Modality) -> Result<Box<dyn Reading>> {
        Ok(Box::new(NumbersReading::parse(parts, modality)?))
    }

    fn schemas(&self, generator: &mut SchemaGenerator) -> Vec<Schema> {
        vec![
            generator.subschema_for::<Columns>(),
            generator.subschema_for::<LossSettings>(),
        ]
    }

    fn open(
        &self,
        card: &Card,
        modality: Modality,
        columns: Option<Vec<String>>,
    ) -> Result<Box<dyn Outputs>> {
        Ok(Box::new(Numbers::open(card, modality, columns)))
    }
}
