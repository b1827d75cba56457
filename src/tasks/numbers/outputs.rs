//! What the outputs mean: the numbers themselves.

use super::figures;
use crate::data::{Table, targets as of_tables};
use crate::error::{Error, Result};
use crate::models::{Card, Modality, Problem};
use crate::tasks::labels::OF_IMAGES;
use crate::tasks::{Given, Look, Naming, Outputs, Read, Report, Values, check_finite};
use crate::train::{Rows, Targets};

/// Where the numbers of samples are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// In these columns.
    Columns(Vec<String>),
    /// With the images, as text.
    Images,
}

impl Source {
    /// What the numbers are called.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Columns(columns) => columns.clone(),
            Self::Images => vec![OF_IMAGES.into()],
        }
    }
}

/// Numbers.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    names: Vec<String>,
    /// None where nobody says it.
    source: Option<Source>,
}

impl Numbers {
    pub(super) fn new(source: Option<Source>, names: Vec<String>) -> Self {
        Self { names, source }
    }

    pub(super) fn open(card: &Card, modality: Modality, columns: Option<Vec<String>>) -> Self {
        let tuned = card.tuned_by();
        let one = || Some(vec![tuned.word("target_column")?.to_owned()]);
        let source = match modality {
            Modality::Images => Some(Source::Images),
            Modality::Texts => columns
                .or_else(|| tuned.target_columns())
                .or_else(one)
                .map(Source::Columns),
        };
        Self::new(source, card.labels.clone())
    }
}

impl Outputs for Numbers {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn write(&self, card: &mut Card) {
        card.problem = Problem::Regression;
        card.labels.clone_from(&self.names);
        card.thresholds.clear();
    }

    fn read(&self, table: &Table) -> Result<Read> {
        let source = self.source.as_ref();
        let source = source.ok_or_else(|| crate::tasks::unknown_column("target_column"))?;
        let columns = source.names();
        if columns.len() != self.names.len() {
            return Err(Error::stage(format!(
                "the model gives {} numbers, and {} columns are named for them",
                self.names.len(),
                columns.len()
            ))
            .note(format!("the model's numbers: {}", self.names.join(", "))));
        }
        let numbers = of_tables::numbers(table, &columns)?;
        let width = self.names.len();
        Ok(Read {
            targets: Targets::Numbers(Rows { width, numbers }),
            told: Vec::new(),
        })
    }

    fn look(&self, port: &str, sample: &str, targets: &Targets) -> Result<Look> {
        let rows = targets.rows();
        let mut look = Look::default();
        let mut counted = Vec::new();
        for (place, name) in self.names.iter().enumerate() {
            let least = rows.column(place).fold(f32::INFINITY, f32::min);
            let most = rows.column(place).fold(f32::NEG_INFINITY, f32::max);
            counted.push(format!("{name} from {least} to {most}"));
            if rows.len() > 1 && least.total_cmp(&most).is_eq() {
                let all = format!("every {sample} of `{port}` has the same {name}, {least}");
                if port == "train" {
                    return Err(Error::stage(format!("{all}: there is nothing to learn"))
                        .help("look at how the samples were made"));
                }
                look.told.push(format!("{all}: its correlations are 0"));
            }
        }
        look.counted = format!("{} {sample}s, {}", rows.len(), counted.join(", "));
        Ok(look)
    }

    fn score(&self, outputs: &[f32], targets: &Targets) -> Result<Report> {
        check_finite(outputs, self.names.len())?;
        Ok(figures::report(outputs, targets.rows(), &self.names))
    }

    fn truth(&self, targets: &Targets) -> Vec<(String, Values)> {
        let column = |place| Values::Numbers(targets.rows().column(place).collect());
        match &self.names[..] {
            [_] => vec![("truth".into(), column(0))],
            several => several
                .iter()
                .enumerate()
                .map(|(place, name)| (format!("truth_{name}"), column(place)))
                .collect(),
        }
    }

    /// The squared error, of several numbers its mean.
    fn losses(&self, outputs: &[f32], targets: &Targets) -> Result<Option<Values>> {
        let width = self.names.len();
        check_finite(outputs, width)?;
        let rows = outputs.chunks_exact(width).zip(targets.rows().iter());
        let losses = rows.map(|(found, truth)| {
            let apart = found.iter().zip(truth);
            let squares =
                apart.map(|(found, truth)| (f64::from(*found) - f64::from(*truth)).powi(2));
            Some(figures::mean(squares))
        });
        Ok(Some(Values::Figures(losses.collect())))
    }

    fn columns(&self, names: &Naming<'_>) -> Vec<String> {
        let prefix = names.prefix;
        match &self.names[..] {
            [_] => vec![format!("{prefix}prediction")],
            several => several
                .iter()
                .map(|name| format!("{prefix}prediction_{name}"))
                .collect(),
        }
    }

    fn values(&self, given: &Given<'_>) -> Result<Vec<Values>> {
        let outputs = given.outputs;
        let width = self.names.len();
        check_finite(outputs, width)?;
        let column = |place| outputs.iter().skip(place).step_by(width).copied().collect();
        Ok((0..width)
            .map(|place| Values::Numbers(column(place)))
            .collect())
    }
}
