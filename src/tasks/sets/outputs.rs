//! What the outputs mean: for each label a logit of its own, and the threshold from which on a sample has it.

use super::figures;
use crate::data::{Table, targets as of_tables};
use crate::error::{Error, Result};
use crate::models::{Card, Modality, Problem};
use crate::tasks::labels::OF_IMAGES;
use crate::tasks::{Given, Look, Naming, Outputs, Read, Report, Values};
use crate::train::{Rows, Targets};

/// What stands between two labels where a list has to be written as text, and nothing else was said.
const BETWEEN: &str = "|";

/// Where the labels of samples are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// In a column of lists, or of text with a separator.
    Lists(String, Option<String>),
    /// In a 0/1 column for each label.
    Flags(Vec<String>),
    /// With the images, as text with a separator.
    Images(Option<String>),
}

/// For each label a logit.
#[derive(Clone, Debug)]
pub(super) struct Sets {
    pub(super) labels: Vec<String>,
    pub(super) thresholds: Vec<f32>,
    /// None where nobody says it.
    pub(super) source: Option<Source>,
}

impl Source {
    /// The labels of each sample.
    pub(super) fn lists(&self, table: &Table) -> Result<Vec<Vec<String>>> {
        match self {
            Self::Lists(column, separator) => {
                of_tables::label_lists(table, column, separator.as_deref())
            }
            Self::Images(None) => {
                let labels = table.values(OF_IMAGES)?.into_iter();
                let some = |label: String| (!label.is_empty()).then_some(label);
                Ok(labels
                    .map(|label| some(label).into_iter().collect())
                    .collect())
            }
            Self::Images(separator) => {
                of_tables::label_lists(table, OF_IMAGES, separator.as_deref())
            }
            Self::Flags(columns) => {
                let flags = of_tables::flags(table, columns)?;
                let rows = flags.chunks_exact(columns.len().max(1));
                let labels = rows.map(|row| {
                    let there = row.iter().zip(columns).filter(|(flag, _)| **flag > 0.0);
                    there.map(|(_, column)| column.clone()).collect()
                });
                Ok(labels.collect())
            }
        }
    }

    fn column(&self) -> &str {
        match self {
            Self::Lists(column, _) => column,
            Self::Flags(_) | Self::Images(_) => OF_IMAGES,
        }
    }
}

impl Sets {
    pub(super) fn open(card: &Card, modality: Modality, columns: Option<Vec<String>>) -> Self {
        let tuned = card.tuned_by();
        let separator = || tuned.word("label_separator").map(String::from);
        let lists = |column: String| Source::Lists(column, separator());
        let source = match (modality, columns) {
            (Modality::Images, _) => Some(Source::Images(separator())),
            (Modality::Texts, Some(columns)) => match &columns[..] {
                [column] if card.labels != columns => Some(lists(column.clone())),
                _ => Some(Source::Flags(columns)),
            },
            (Modality::Texts, None) => tuned.target_columns().map(Source::Flags).or_else(|| {
                let column = tuned.word("target_column")?;
                Some(lists(column.to_owned()))
            }),
        };
        let thresholds = match &card.thresholds[..] {
            [] => vec![Card::THRESHOLD; card.labels.len()],
            thresholds => thresholds.to_vec(),
        };
        Self {
            labels: card.labels.clone(),
            thresholds,
            source,
        }
    }

    /// The labels that a sample with these probabilities has.
    fn chosen(&self, row: &[f64]) -> Vec<String> {
        let labels = row.iter().zip(&self.thresholds).zip(&self.labels);
        let there = labels.filter(|((found, least), _)| figures::is_there(**found, **least));
        there.map(|(_, label)| label.clone()).collect()
    }
}

impl Outputs for Sets {
    fn names(&self) -> &[String] {
        &self.labels
    }

    fn write(&self, card: &mut Card) {
        card.problem = Problem::MultiLabelClassification;
        card.labels.clone_from(&self.labels);
        let usual = self
            .thresholds
            .iter()
            .all(|least| *least == Card::THRESHOLD);
        card.thresholds = if usual {
            Vec::new()
        } else {
            self.thresholds.clone()
        };
    }

    fn read(&self, table: &Table) -> Result<Read> {
        let source = self.source.as_ref();
        let source = source.ok_or_else(|| crate::tasks::unknown_column("target_column"))?;
        let numbers = match source {
            Source::Flags(columns) if *columns == self.labels => of_tables::flags(table, columns)?,
            source => {
                let rows = source.lists(table)?;
                of_tables::flags_of_lists(&rows, source.column(), &self.labels)?
            }
        };
        let width = self.labels.len();
        Ok(Read {
            targets: Targets::Sets(Rows { width, numbers }),
            told: Vec::new(),
        })
    }

    fn look(&self, port: &str, sample: &str, targets: &Targets) -> Result<Look> {
        let rows = targets.rows();
        let count = |label: usize| rows.column(label).filter(|there| *there > 0.0).count();
        let counts: Vec<usize> = (0..self.labels.len()).map(count).collect();
        let pairs = self.labels.iter().zip(&counts);
        let pairs = pairs.map(|(label, count)| format!("{label} {count}"));
        let without = rows
            .iter()
            .filter(|row| row.iter().all(|there| *there <= 0.0));
        let counted = format!(
            "{}; {} without a label",
            pairs.collect::<Vec<_>>().join(", "),
            without.count()
        );
        if port == "train" && counts.iter().all(|count| *count == 0) && !rows.is_empty() {
            return Err(Error::stage(format!("no {sample} of `train` has a label"))
                .help("look at how the samples were made"));
        }
        let so = match port {
            "train" => "the model cannot learn it",
            _ => "it cannot be measured",
        };
        let mut told = Vec::new();
        for (all, what) in [(0, "no"), (rows.len(), "every")] {
            let labels = self.labels.iter().zip(&counts);
            let labels: Vec<_> = labels
                .filter(|(_, count)| **count == all && !rows.is_empty())
                .map(|(label, _)| format!("`{label}`"))
                .collect();
            if !labels.is_empty() {
                let labels = labels.join(", ");
                told.push(format!(
                    "{what} {sample} of `{port}` has the label {labels}: {so}"
                ));
            }
        }
        Ok(Look { told, counted })
    }

    fn score(&self, outputs: &[f32], targets: &Targets) -> Result<Report> {
        figures::report(outputs, targets.rows(), &self.thresholds, &self.labels)
    }

    fn truth(&self, targets: &Targets) -> Vec<(String, Values)> {
        let labels = |row: &[f32]| {
            let all = row.iter().zip(&self.labels);
            let there = all.filter(|(there, _)| **there > 0.0);
            there.map(|(_, label)| label.clone()).collect()
        };
        let lists = targets.rows().iter().map(labels).collect();
        vec![("truth".into(), Values::Lists(lists, BETWEEN.into()))]
    }

    fn losses(&self, outputs: &[f32], targets: &Targets) -> Result<Option<Values>> {
        let width = self.labels.len();
        crate::tasks::check_finite(outputs, width)?;
        let rows = outputs.chunks_exact(width).zip(targets.rows().iter());
        let losses = rows.map(|(logits, truth)| Some(figures::loss(logits, truth)));
        Ok(Some(Values::Figures(losses.collect())))
    }

    fn columns(&self, names: &Naming<'_>) -> Vec<String> {
        let labels = format!("{}labels", names.prefix);
        let scores = self.labels.iter().map(|label| names.score(label));
        std::iter::once(labels).chain(scores).collect()
    }

    fn values(&self, given: &Given<'_>) -> Result<Vec<Values>> {
        let Given { outputs, raw, .. } = *given;
        let width = self.labels.len();
        let probabilities = figures::probabilities(outputs, width)?;
        let rows = probabilities.chunks_exact(width);
        let lists = rows.map(|row| self.chosen(row)).collect();
        let between = match &self.source {
            Some(Source::Lists(_, Some(separator)) | Source::Images(Some(separator))) => separator,
            _ => BETWEEN,
        };
        #[expect(clippy::cast_possible_truncation, reason = "logits are f32, too")]
        let scores: Vec<f32> = if raw {
            outputs.to_vec()
        } else {
            probabilities.iter().map(|number| *number as f32).collect()
        };
        let column = |label| scores.iter().skip(label).step_by(width).copied().collect();
        let numbers = (0..width).map(|label| Values::Numbers(column(label)));
        let lists = Values::Lists(lists, between.into());
        Ok(std::iter::once(lists).chain(numbers).collect())
    }
}
