//! A tag a word.

mod figures;
mod loss;
mod outputs;
mod scheme;
mod settings;
mod spans;
#[cfg(test)]
mod tests;

use outputs::Tags;
use schemars::{Schema, SchemaGenerator};
use settings::{Columns, Labels, Smoothing, TagsReading, TagsSettings};

use super::{Outputs, Reading, TargetKind, fields};
use crate::config::Parts;
use crate::error::Result;
use crate::models::{Card, Modality, Problem};
use crate::train::Metric;

/// A tag a word.
pub(super) const TAGS: TagAWord = TagAWord;

pub(super) struct TagAWord;

impl TargetKind for TagAWord {
    fn problem(&self) -> Problem {
        Problem::TokenClassification
    }

    fn metrics(&self) -> Vec<&'static Metric> {
        figures::METRICS.iter().map(|known| &known.metric).collect()
    }

    fn tie_breaker(&self) -> &'static Metric {
        &figures::LOG_LOSS
    }

    fn by_word(&self) -> bool {
        true
    }

    fn keys(&self, _: Modality) -> Vec<&'static str> {
        [
            fields::<Columns>(),
            fields::<Labels>(),
            fields::<TagsSettings>(),
            fields::<Smoothing>(),
        ]
        .concat()
    }

    fn parse(&self, parts: &mut Parts<'_>, _: Modality) -> Result<Box<dyn Reading>> {
        Ok(Box::new(TagsReading::parse(parts)?))
    }

    fn schemas(&self, generator: &mut SchemaGenerator) -> Vec<Schema> {
        vec![
            generator.subschema_for::<Columns>(),
            generator.subschema_for::<Labels>(),
            generator.subschema_for::<TagsSettings>(),
            generator.subschema_for::<Smoothing>(),
        ]
    }

    fn open(
        &self,
        card: &Card,
        _: Modality,
        columns: Option<Vec<String>>,
    ) -> Result<Box<dyn Outputs>> {
        Ok(Box::new(Tags::open(card, columns)?))
    }
}
