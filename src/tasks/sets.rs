//! Any number of labels a sample.

mod cross_entropy;
mod figures;
mod outputs;
mod settings;

use cross_entropy::BinaryCrossEntropy;
use outputs::Sets;
use schemars::{Schema, SchemaGenerator};
use settings::{Columns, Labels, SetsReading, Weights};

use super::{Outputs, Reading, TargetKind, fields};
use crate::config::Parts;
use crate::error::Result;
use crate::models::{Card, Modality, Problem};
use crate::train::Metric;

/// Any number of labels a sample.
pub(super) const SEVERAL_LABELS: SeveralLabels = SeveralLabels;

pub(super) struct SeveralLabels;

impl TargetKind for SeveralLabels {
    fn problem(&self) -> Problem {
        Problem::MultiLabelClassification
    }

    fn metrics(&self) -> Vec<&'static Metric> {
        figures::METRICS.iter().map(|known| &known.metric).collect()
    }

    fn tie_breaker(&self) -> &'static Metric {
        &figures::LOG_LOSS
    }

    fn keys(&self, _: Modality) -> Vec<&'static str> {
        [fields::<Columns>(), fields::<Labels>(), fields::<Weights>()].concat()
    }

    fn parse(&self, parts: &mut Parts<'_>, modality: Modality) -> Result<Box<dyn Reading>> {
        Ok(Box::new(SetsReading::parse(parts, modality)?))
    }

    fn schemas(&self, generator: &mut SchemaGenerator) -> Vec<Schema> {
        vec![
            generator.subschema_for::<Columns>(),
            generator.subschema_for::<Labels>(),
            generator.subschema_for::<Weights>(),
        ]
    }

    fn open(
        &self,
        card: &Card,
        modality: Modality,
        columns: Option<Vec<String>>,
    ) -> Result<Box<dyn Outputs>> {
        Ok(Box::new(Sets::open(card, modality, columns)))
    }
}
