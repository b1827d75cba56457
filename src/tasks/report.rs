//! The figures of one set of outputs, whatever the task.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// A list of a task's own `Figure`s: a name, what it is, whether higher is better, and how it is computed.
macro_rules! figures {
    ($(($name:literal, $about:literal, $higher:literal, $compute:expr)),* $(,)?) => {
        &[$(Figure {
            metric: Metric { name: $name, about: $about, higher_is_better: $higher },
            compute: $compute,
        }),*]
    };
}
pub(in crate::tasks) use figures;

/// The figures of one set of outputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many samples they are over.
    pub samples: usize,
    /// Metric → figure, for every metric that is defined.
    pub figures: BTreeMap<String, f64>,
    /// The metrics that these samples leave undefined.
    pub undefined: Vec<String>,
    /// The metrics that are for samples of another kind, and why: they are not measured, which is told where they are asked for.
    #[serde(skip)]
    pub elsewhere: BTreeMap<String, &'static str>,
    /// What else the task has to say, such as figures by label.
    #[serde(flatten)]
    pub details: Map<String, Value>,
    /// Lines for a log.
    #[serde(skip)]
    pub table: Vec<String>,
}

impl Report {
    /// A report on so many samples, of figures by name; those that are none are undefined.
    #[must_use]
    pub fn new(
        samples: usize,
        figures: impl IntoIterator<Item = (&'static str, Option<f64>)>,
    ) -> Self {
        let mut report = Self {
            samples,
            figures: BTreeMap::new(),
            undefined: Vec::new(),
            elsewhere: BTreeMap::new(),
            details: Map::new(),
            table: Vec::new(),
        };
        for (name, figure) in figures {
            match figure.filter(|figure| figure.is_finite()) {
                Some(figure) => {
                    report.figures.insert(name.into(), figure);
                }
                None => report.undefined.push(name.into()),
            }
        }
        report
    }
}
