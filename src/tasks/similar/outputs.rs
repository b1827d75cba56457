//! What embeddings mean: how scores are read, figures, what `predict` adds.

use super::figures;
use crate::data::{Table, targets as of_tables};
use crate::error::{Error, Result};
use crate::models::{Card, Problem};
use crate::tasks::{Given, Look, Naming, Outputs, Read, Report, Sampled, Values, check_finite};
use crate::train::{Compared, Targets};

/// Embeddings of texts.
#[derive(Clone, Debug, Default)]
pub(super) struct Embeddings {
    /// The column with scores; none where the texts of a row belong together.
    pub(super) score: Option<String>,
    /// The columns with texts that those of the first column do not belong to.
    pub(super) negatives: Vec<String>,
    /// How many numbers a layer on top makes; none if there is no layer.
    pub(super) size: Option<usize>,
    /// Whether the scores to train on must be cosines.
    pub(super) is_bounded: bool,
}

impl Embeddings {
    pub(super) fn open(card: &Card, columns: Option<Vec<String>>) -> Self {
        let tuned = card.tuned_by();
        let own = tuned.word("target_column").map(String::from);
        Self {
            score: columns.map(|mut columns| columns.swap_remove(0)).or(own),
            negatives: tuned.negative_columns().unwrap_or_default(),
            size: card.embedding_size,
            is_bounded: false,
        }
    }

    /// Refuses scores that no cosine comes to.
    fn check_bounds(&self, sample: &str, scores: &[f32]) -> Result<()> {
        let is_cosine = |score: &f32| (-1.0..=1.0).contains(score);
        let Some(row) = scores.iter().position(|score| !is_cosine(score)) else {
            return Ok(());
        };
        let column = self.score.as_deref().unwrap_or_default();
        let most = scores.iter().fold(0.0_f32, |most, score| most.max(*score));
        let error = Error::stage(format!(
            "{sample} {} has the score {} in column `{column}`, and cosines go from -1 to 1",
            row + 1,
            scores[row]
        ));
        Err(error.help(format!(
            "divide scores that go up to {most} by that in a `preprocess` stage: SELECT {column} / {most:?} AS {column}"
        )))
    }
}

impl Outputs for Embeddings {
    fn names(&self) -> &[String] {
        &[]
    }

    fn embedding_size(&self) -> Option<usize> {
        self.size
    }

    fn apart(&self) -> Option<&[String]> {
        Some(&self.negatives)
    }

    fn write(&self, card: &mut Card) {
        card.problem = Problem::Embedding;
        card.labels.clear();
        card.thresholds.clear();
        card.embedding_size = self.size;
    }

    fn read(&self, table: &Table) -> Result<Read> {
        let scores = match &self.score {
            None => Vec::new(),
            Some(column) => of_tables::numbers(table, std::slice::from_ref(column))?,
        };
        let members = 2 + self.negatives.len();
        Ok(Read {
            targets: Targets::Compared(Compared::new(table.rows(), members, scores)),
            told: Vec::new(),
        })
    }

    fn look(&self, port: &str, sample: &str, targets: &Targets) -> Result<Look> {
        let compared = targets.compared();
        let samples = compared.len();
        let scores = &compared.scores;
        let mut look = Look {
            counted: format!("{samples} {sample}s of texts that belong together"),
            told: Vec::new(),
        };
        let Some(column) = self.score.as_ref().filter(|_| !scores.is_empty()) else {
            return Ok(look);
        };
        if port == "train" && self.is_bounded {
            self.check_bounds(sample, scores)?;
        }
        let least = scores.iter().copied().fold(f32::INFINITY, f32::min);
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        look.counted = format!("{samples} {sample}s, {column} from {least} to {most}");
        if samples > 1 && least.total_cmp(&most).is_eq() {
            let all = format!("every {sample} of `{port}` has the same {column}, {least}");
            if port == "train" {
                return Err(Error::stage(format!("{all}: there is nothing to learn"))
                    .help("look at how the samples were made"));
            }
            look.told.push(format!("{all}: its correlations are 0"));
        }
        Ok(look)
    }

    fn score(&self, outputs: &[f32], targets: &Targets) -> Result<Report> {
        let compared = targets.compared();
        check_finite(outputs, outputs.len() / compared.len().max(1))?;
        Ok(figures::report(outputs, compared))
    }

    fn sampled<'o>(&'o self, outputs: &'o [f32], targets: &'o Targets) -> Result<Sampled<'o>> {
        let compared = targets.compared();
        check_finite(outputs, outputs.len() / compared.len().max(1))?;
        let prepared = figures::Prepared::new(outputs, compared);
        Ok(Box::new(move |chosen| Ok(prepared.figures(chosen))))
    }

    fn truth(&self, targets: &Targets) -> Vec<(String, Values)> {
        let scores = &targets.compared().scores;
        let some = (!scores.is_empty()).then(|| ("truth".into(), Values::Numbers(scores.clone())));
        some.into_iter().collect()
    }

    /// What is learnt of a sample depends on those beside it.
    fn losses(&self, _: &[f32], _: &Targets) -> Result<Option<Values>> {
        Ok(None)
    }

    /// How close together the first two texts are.
    fn judged(&self, given: &Given<'_>, targets: &Targets) -> Result<Vec<(String, Values)>> {
        let cosines = figures::cosines(given.outputs, targets.compared());
        Ok(vec![("cosine".into(), Values::Numbers(cosines))])
    }

    fn columns(&self, names: &Naming<'_>) -> Vec<String> {
        vec![format!("{}embedding", names.prefix)]
    }

    fn values(&self, given: &Given<'_>) -> Result<Vec<Values>> {
        let outputs = given.outputs;
        let width = outputs.len() / given.samples.max(1);
        check_finite(outputs, width)?;
        let vectors = outputs.chunks_exact(width.max(1)).map(<[f32]>::to_vec);
        Ok(vec![Values::Vectors(vectors.collect())])
    }
}
