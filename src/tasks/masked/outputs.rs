//! What the outputs mean: how likely each token is where a mask stands.

use crate::data::Table;
use crate::error::Result;
use crate::models::{Card, Masking, Problem, Tokenizer};
use crate::tasks::{Given, Look, Naming, Outputs, Read, Report, Values, check_finite};
use crate::train::{Marks, Targets, WIDTH_OF_MASKED};

/// What stands behind masks.
#[derive(Clone, Debug)]
pub(super) struct Fillings {
    pub(super) masking: Masking,
}

impl Outputs for Fillings {
    /// They have no names of their own: they are the tokens of the tokenizer.
    fn names(&self) -> &[String] {
        &[]
    }

    fn masking(&self) -> Option<Masking> {
        Some(self.masking)
    }

    fn write(&self, card: &mut Card) {
        card.problem = Problem::MaskedLanguage;
        card.labels.clear();
        card.thresholds.clear();
        card.masking = Some(self.masking);
    }

    /// A text needs no target.
    fn read(&self, table: &Table) -> Result<Read> {
        Ok(Read {
            targets: Targets::Unknown(table.rows()),
            told: Vec::new(),
        })
    }

    fn look(&self, _: &str, sample: &str, targets: &Targets) -> Result<Look> {
        Ok(Look {
            told: Vec::new(),
            counted: format!("{} {sample}s", targets.len()),
        })
    }

    fn score(&self, outputs: &[f32], targets: &Targets) -> Result<Report> {
        check_finite(outputs, WIDTH_OF_MASKED)?;
        let tokens = outputs.len() / WIDTH_OF_MASKED;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let mean = |of: usize| {
            let sum: f64 = outputs
                .iter()
                .skip(of)
                .step_by(WIDTH_OF_MASKED)
                .map(|number| f64::from(*number))
                .sum();
            (tokens > 0).then(|| sum / tokens as f64)
        };
        let loss = mean(0).map(|likelihood| -likelihood);
        let mut report = Report::new(
            targets.len(),
            [
                ("perplexity", loss.map(f64::exp)),
                ("masked_loss", loss),
                ("masked_accuracy", mean(1)),
            ],
        );
        report.table.push(format!("{tokens} tokens were masked"));
        Ok(report)
    }

    fn truth(&self, _: &Targets) -> Vec<(String, Values)> {
        Vec::new()
    }

    /// The mean over the tokens that were masked.
    fn losses(&self, outputs: &[f32], targets: &Targets) -> Result<Option<Values>> {
        check_finite(outputs, WIDTH_OF_MASKED)?;
        let mut rows = outputs.chunks_exact(WIDTH_OF_MASKED);
        let losses = asked(targets.marks()).map(|tokens| {
            let likelihoods = rows.by_ref().take(tokens).map(|row| f64::from(row[0]));
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let mean = -likelihoods.sum::<f64>() / tokens as f64;
            (tokens > 0).then_some(mean)
        });
        Ok(Some(Values::Figures(losses.collect())))
    }

    /// How many tokens were masked. Which ones and what was said of them is not kept.
    fn judged(&self, _: &Given<'_>, targets: &Targets) -> Result<Vec<(String, Values)>> {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^24")]
        let masked = asked(targets.marks()).map(|tokens| tokens as f32);
        Ok(vec![("masked".into(), Values::Numbers(masked.collect()))])
    }

    fn columns(&self, names: &Naming<'_>) -> Vec<String> {
        let Naming { prefix, raw, .. } = names;
        let how_likely = if *raw {
            "log_probabilities"
        } else {
            "probabilities"
        };
        ["filled", "tokens", how_likely]
            .map(|column| format!("{prefix}{column}"))
            .to_vec()
    }

    fn values(&self, given: &Given<'_>) -> Result<Vec<Values>> {
        check_finite(given.outputs, WIDTH_OF_MASKED)?;
        let (texts, marks, tokenizer) = given.of_masks();
        let mut found = given.outputs.chunks_exact(WIDTH_OF_MASKED);
        let (mut filled, mut tokens, mut probabilities) = (Vec::new(), Vec::new(), Vec::new());
        for (text, of_text) in texts.iter().zip(asked(marks)) {
            let rows: Vec<&[f32]> = found.by_ref().take(of_text).collect();
            let words: Vec<String> = rows.iter().map(|row| token(row, tokenizer)).collect();
            filled.push(fill(text, &words, tokenizer));
            tokens.push(words);
            let likely = rows
                .iter()
                .map(|row| Some(if given.raw { row[3].ln() } else { row[3] }));
            probabilities.push(likely.collect());
        }
        Ok(vec![
            Values::Words(filled),
            Values::Lists(tokens, " ".into()),
            Values::NumberLists(probabilities),
        ])
    }
}

/// How many tokens of each text are asked for.
fn asked(marks: &Marks) -> impl Iterator<Item = usize> {
    marks.samples.iter().map(Vec::len)
}

/// The most likely token of a row, as its tokenizer writes it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it was a token's id"
)]
fn token(row: &[f32], tokenizer: &Tokenizer) -> String {
    tokenizer.token(row[2] as u32).unwrap_or_default()
}

/// A text with the first of its masks as these tokens; what goes on with a word has no space before it.
fn fill(text: &str, words: &[String], tokenizer: &Tokenizer) -> String {
    let mask = tokenizer.mask_token();
    let mut filled = String::new();
    let mut rest = text;
    for word in words {
        let Some((before, after)) = rest.split_once(mask) else {
            break;
        };
        filled.push_str(before);
        match word.strip_prefix("##") {
            Some(end) => {
                filled.truncate(filled.trim_end().len());
                filled.push_str(end);
            }
            None => filled.push_str(word),
        }
        rest = after;
    }
    filled + rest
}
