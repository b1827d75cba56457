//! Texts that are compared: an embedding each, and how similar they are, by a score or because they belong together.

mod figures;
mod losses;
mod outputs;
mod settings;
mod vectors;

use outputs::Embeddings;
use schemars::{Schema, SchemaGenerator};
use settings::{Columns, LossSettings, SimilarReading, Vector};

use super::{Outputs, Reading, TargetKind, fields};
use crate::config::Parts;
use crate::error::Result;
use crate::models::{Card, Modality, Problem};
use crate::train::Metric;

/// Texts that are compared.
pub(super) const SIMILAR: SimilarTexts = SimilarTexts;

pub(super) struct SimilarTexts;

impl TargetKind for SimilarTexts {
    fn problem(&self) -> Problem {
        Problem::Embedding
    }

    fn metrics(&self) -> Vec<&'static Metric> {
        figures::METRICS.iter().collect()
    }

    fn tie_breaker(&self) -> &'static Metric {
        &figures::METRICS[figures::PEARSON]
    }

    fn keys(&self, _: Modality) -> Vec<&'static str> {
        [
            fields::<Columns>(),
            fields::<Vector>(),
            fields::<LossSettings>(),
        ]
        .concat()
    }

    fn parse(&self, parts: &mut Parts<'_>, _: Modality) -> Result<Box<dyn Reading>> {
        Ok(Box::new(SimilarReading::parse(parts)?))
    }

    fn schemas(&self, generator: &mut SchemaGenerator) -> Vec<Schema> {
        vec![
            generator.subschema_for::<Columns>(),
            generator.subschema_for::<Vector>(),
            generator.subschema_for::<LossSettings>(),
        ]
    }

    fn open(
        &self,
        card: &Card,
        _: Modality,
        columns: Option<Vec<String>>,
    ) -> Result<Box<dyn Outputs>> {
        Ok(Box::new(Embeddings::open(card, columns)))
    }
}
