//! What the outputs of a classifier mean: the logits of its labels.

use std::collections::BTreeSet;

use super::figures::{self, Predictions, probabilities};
use crate::data::Table;
use crate::data::labels as of_tables;
use crate::error::{Error, Result};
use crate::models::{Card, Modality, Problem};
use crate::tasks::labels::{OF_IMAGES, PATH};
use crate::tasks::{Given, Look, Naming, Outputs, Read, Report, Values};
use crate::train::Targets;

/// Logits of labels, of which a sample has one.
#[derive(Clone, Debug)]
pub(in crate::tasks) struct Classes {
    pub(super) labels: Vec<String>,
    /// The column with the labels of texts; none for images, and where nobody says it.
    pub(super) column: Option<String>,
    pub(super) modality: Modality,
}

/// How many samples have each of `labels` labels.
pub(super) fn counts(classes: &[u32], labels: usize) -> Vec<usize> {
    let mut counts = vec![0; labels];
    for class in classes {
        counts[*class as usize] += 1;
    }
    counts
}

impl Outputs for Classes {
    fn names(&self) -> &[String] {
        &self.labels
    }

    fn write(&self, card: &mut Card) {
        card.problem = Problem::SingleLabelClassification;
        card.labels.clone_from(&self.labels);
        card.thresholds.clear();
    }

    fn read(&self, table: &Table) -> Result<Read> {
        if self.modality == Modality::Images {
            return Ok(Read {
                targets: Targets::Classes(self.of_images(table)?),
                told: Vec::new(),
            });
        }
        let column = self.column.as_deref();
        let column = column.ok_or_else(|| crate::tasks::unknown_column("target_column"))?;
        let found = of_tables::classes(table, column, &self.labels)?;
        let told = found.by_position;
        Ok(Read {
            targets: Targets::Classes(found.of_rows),
            told: told
                .map(|pairs| format!("labels by position: {pairs}"))
                .into_iter()
                .collect(),
        })
    }

    fn look(&self, port: &str, sample: &str, targets: &Targets) -> Result<Look> {
        let counts = counts(targets.classes(), self.labels.len());
        let counts = || self.labels.iter().zip(&counts);
        let pairs = counts().map(|(label, count)| format!("{label} {count}"));
        let counted = pairs.collect::<Vec<_>>().join(", ");
        let missing: Vec<_> = counts()
            .filter(|(_, count)| **count == 0)
            .map(|(label, _)| format!("`{label}`"))
            .collect();
        if missing.is_empty() || targets.is_empty() {
            return Ok(Look {
                told: Vec::new(),
                counted,
            });
        }
        if port == "train" && missing.len() + 1 == self.labels.len() {
            let only = counts().find(|(_, count)| **count > 0);
            let only = only.map_or("", |(label, _)| label);
            return Err(Error::stage(format!(
                "all {sample}s of `train` have the label `{only}`: a classifier needs two"
            ))
            .help("look at how the samples were made"));
        }
        let so = match port {
            "train" => "the model cannot learn it",
            _ => "it cannot be measured",
        };
        let told = format!(
            "no {sample} of `{port}` has the label {}: {so}",
            missing.join(", ")
        );
        Ok(Look {
            told: vec![told],
            counted,
        })
    }

    fn score(&self, outputs: &[f32], targets: &Targets) -> Result<Report> {
        let predictions = Predictions::from_logits(outputs, targets.classes(), self.labels.len())?;
        Ok(figures::report(&predictions, &self.labels))
    }

    fn truth(&self, targets: &Targets) -> Vec<(String, Values)> {
        let label = |class: &u32| self.labels[*class as usize].clone();
        let labels = targets.classes().iter().map(label).collect();
        vec![("truth".into(), Values::Words(labels))]
    }

    fn losses(&self, outputs: &[f32], targets: &Targets) -> Result<Option<Values>> {
        let predictions = Predictions::from_logits(outputs, targets.classes(), self.labels.len())?;
        let losses = predictions.losses().map(Some);
        Ok(Some(Values::Figures(losses.collect())))
    }

    fn columns(&self, names: &Naming<'_>) -> Vec<String> {
        let label = format!("{}label", names.prefix);
        let scores = self.labels.iter().map(|label| names.score(label));
        std::iter::once(label).chain(scores).collect()
    }

    fn values(&self, given: &Given<'_>) -> Result<Vec<Values>> {
        let Given { outputs, raw, .. } = *given;
        let classes = self.labels.len();
        // They say also which logits are no numbers.
        let probabilities = probabilities(outputs, classes)?;
        let rows = outputs.chunks_exact(classes);
        let most_likely = |row: &[f32]| {
            let better = |best, class| if row[class] > row[best] { class } else { best };
            self.labels[(0..row.len()).fold(0, better)].clone()
        };
        let words = Values::Words(rows.map(most_likely).collect());
        #[expect(clippy::cast_possible_truncation, reason = "logits are f32, too")]
        let scores: Vec<f32> = if raw {
            outputs.to_vec()
        } else {
            probabilities.iter().map(|number| *number as f32).collect()
        };
        let column = |class| {
            scores
                .iter()
                .skip(class)
                .step_by(classes)
                .copied()
                .collect()
        };
        let numbers = (0..classes).map(|class| Values::Numbers(column(class)));
        Ok(std::iter::once(words).chain(numbers).collect())
    }
}

impl Classes {
    /// The label of each image, as its number in the labels.
    fn of_images(&self, table: &Table) -> Result<Vec<u32>> {
        let found = table.values(OF_IMAGES)?;
        let class = |label: &String| self.labels.iter().position(|known| known == label);
        let classes = found
            .iter()
            .map(|label| class(label).and_then(|class| u32::try_from(class).ok()));
        if let Some(classes) = classes.clone().collect() {
            return Ok(classes);
        }
        let index = classes.clone().position(|class| class.is_none());
        let index = index.unwrap_or_default();
        let strange: BTreeSet<&str> = found
            .iter()
            .filter(|label| class(label).is_none())
            .map(String::as_str)
            .collect();
        let strange: Vec<&str> = strange.into_iter().collect();
        let label = &found[index];
        let paths = table.values(PATH)?;
        Err(Error::stage(format!(
            "the image `{}` has the label `{label}`, which the model is not for",
            paths[index]
        ))
        .note(format!("the model's labels: {}", self.labels.join(", ")))
        .note(format!("labels that it lacks: {}", strange.join(", ")))
        .did_you_mean(label, self.labels.iter().map(String::as_str)))
    }
}
