//! How far figures may be from those of all samples that there could be: 95 % intervals by the percentile bootstrap (Efron 1979,
//! "Bootstrap methods: another look at the jackknife"; Efron and Tibshirani 1993, chapter 13).

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use super::Outputs;
use crate::error::Result;
use crate::random::{Random, derive};
use crate::train::Targets;

/// The share of draws between whose figures the interval lies.
const INSIDE: f64 = 0.95;

/// A figure that is undefined in more draws than one in ten has no interval.
const DEFINED: f64 = 0.9;

/// What belongs together and is drawn together: a sample, or the windows of a text.
pub(super) struct Units {
    samples: Vec<Range<usize>>,
    /// The rows of outputs of each.
    rows: Vec<Range<usize>>,
    /// All rows.
    all: usize,
}

impl Units {
    pub(super) fn new(targets: &Targets) -> Self {
        let goes_on = |sample: usize| match targets {
            Targets::Tokens(marks) => !marks.begins[sample],
            _ => false,
        };
        let mut units = Self {
            samples: Vec::new(),
            rows: Vec::new(),
            all: 0,
        };
        for (sample, rows) in targets.rows_of_outputs().into_iter().enumerate() {
            let begin = units.all;
            units.all += rows;
            match (units.samples.last_mut(), units.rows.last_mut()) {
                (Some(samples), Some(rows)) if goes_on(sample) => {
                    (samples.end, rows.end) = (sample + 1, units.all);
                }
                _ => {
                    units.samples.push(sample..sample + 1);
                    units.rows.push(begin..units.all);
                }
            }
        }
        units
    }

    fn len(&self) -> usize {
        self.samples.len()
    }
}

/// The outputs and targets of the units that `chosen` names.
pub(super) fn part(
    outputs: &[f32],
    targets: &Targets,
    units: &Units,
    chosen: &[usize],
) -> (Vec<f32>, Targets) {
    let width = outputs.len().checked_div(units.all).unwrap_or(0);
    let rows = chosen.iter().map(|unit| units.rows[*unit].clone());
    let rows = rows.flat_map(|rows| &outputs[rows.start * width..rows.end * width]);
    let samples = chosen.iter().flat_map(|unit| units.samples[*unit].clone());
    (rows.copied().collect(), targets.take(samples))
}

/// The outputs and targets of some samples, where each of them is a row of a table or an image.
#[must_use]
pub fn part_of(outputs: &[f32], targets: &Targets, chosen: &[usize]) -> (Vec<f32>, Targets) {
    part(outputs, targets, &Units::new(targets), chosen)
}

/// For each figure between which numbers it lies in 95 of 100 of `draws` sets of as many samples, drawn with replacement. The same
/// samples have the same intervals, wherever and whenever. `each` is called now and then, and may stop it.
///
/// # Errors
/// Outputs that are no numbers, and what `each` says.
pub fn intervals(
    meaning: &dyn Outputs,
    outputs: &[f32],
    targets: &Targets,
    draws: usize,
    each: &dyn Fn(usize) -> Result<()>,
) -> Result<BTreeMap<String, [f64; 2]>> {
    const AT_ONCE: usize = 20;
    let samples = Units::new(targets).len();
    if samples < 2 || draws == 0 {
        return Ok(BTreeMap::new());
    }
    let figures = meaning.sampled(outputs, targets)?;
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for begin in (0..draws).step_by(AT_ONCE) {
        each(begin)?;
        let now = (begin..draws.min(begin + AT_ONCE)).into_par_iter();
        let now = now.map(|draw| {
            let mut random = Random::new(derive(0, "bootstrap", &[draw as u64]));
            let chosen: Vec<usize> = (0..samples).map(|_| random.below(samples)).collect();
            figures(&chosen)
        });
        for figures in now.collect::<Result<Vec<_>>>()? {
            for (name, figure) in figures {
                found.entry(name).or_default().push(figure);
            }
        }
    }
    let interval = |mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        let outside = (1.0 - INSIDE) / 2.0;
        [outside, 1.0 - outside].map(|share| quantile(&figures, share))
    };
    let found = found
        .into_iter()
        .filter(|(_, figures)| float(figures.len()) >= DEFINED * float(draws));
    Ok(found
        .map(|(name, figures)| (name, interval(figures)))
        .collect())
}

/// The number below which so large a `share` of sorted numbers lies, between two of them on the line through both (Hyndman and Fan 1996,
/// type 7, which is NumPy's).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among numbers"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * float(sorted.len() - 1);
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let part = place - place.floor();
    sorted[below] + part * (sorted[above] - sorted[below])
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
