//! `history.jsonl`: a line for each step, or for several that followed each other, and one for each epoch.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::error::{Context, Result};
use crate::store::write_atomic;
use crate::train::{Outcome, StepFigures};

/// The name of the file.
pub(super) const FILE: &str = "history.jsonl";

/// The line after an epoch, or wherever the training was measured.
#[derive(Serialize)]
struct Measured<'e> {
    /// How many steps were taken until then.
    step: usize,
    /// How many samples were trained on until then.
    samples: usize,
    epoch: usize,
    train_loss: f64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    validation: &'e BTreeMap<String, f64>,
}

/// Writes into `folder` how the training went. What depends on the machine and its load, such as how fast it was, is not in it: the
/// journal of the run has that.
pub(super) fn write(outcome: &Outcome, folder: &Path) -> Result<()> {
    let mut text = Vec::new();
    let mut add = |line: serde_json::Result<Vec<u8>>| -> Result<()> {
        text.append(&mut line.or_stage(|| "cannot write how the training went")?);
        text.push(b'\n');
        Ok(())
    };
    let mut steps = outcome.steps.iter().peekable();
    let (mut step, mut samples) = (0, 0);
    for figures in &outcome.history {
        let before = |line: &&StepFigures| match figures.step {
            None => line.epoch <= figures.epoch,
            Some(step) => line.step <= step,
        };
        while let Some(line) = steps.next_if(before) {
            (step, samples) = (line.step, line.samples);
            add(serde_json::to_vec(line))?;
        }
        add(serde_json::to_vec(&Measured {
            step,
            samples,
            epoch: figures.epoch,
            train_loss: figures.train_loss,
            validation: &figures.validation,
        }))?;
    }
    write_atomic(&folder.join(FILE), &text)
}
