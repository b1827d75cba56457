//! The learning rate range test (Smith 2015, arXiv:1506.01186, section 3.3): a short training whose rate rises from step to step until
//! the loss grows. Where the loss falls fastest is a good rate.

use serde::{Deserialize, Serialize};

use super::training::State;
use super::{Progress, Training};
use crate::error::{Error, Result};
use crate::models::Network;

/// How much of the mean loss each step keeps, as fastai and Lightning have it.
const KEPT: f64 = 0.98;

/// The test ends where the mean loss is so many times the least one.
const GROWN: f64 = 4.0;

/// Steps at the start, and at the end, that say nothing of where the loss falls fastest.
const SKIPPED: [usize; 2] = [10, 1];

/// Which rates are tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateRange {
    /// The first of them.
    pub lowest: f64,
    /// The one after the last of them.
    pub highest: f64,
    /// How many there are, each the same multiple of the one before.
    pub steps: usize,
}

/// A rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateTried {
    /// The step, counted from 1.
    pub step: usize,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// The loss before the step.
    pub loss: f64,
    /// The mean of the losses so far, of which later ones count more.
    pub smoothed_loss: f64,
}

impl RateRange {
    fn rate(&self, step: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "steps are few")]
        let way = step as f64 / self.steps as f64;
        self.lowest * (self.highest / self.lowest).powf(way)
    }
}

impl Training<'_> {
    /// Trains a copy of `network`, with all of it that is ever to train, at rates that rise through `range`. It ends before where the loss
    /// has grown to a multiple of its least or is no number.
    ///
    /// # Errors
    /// A loss that is no number at the lowest rate; that the user asked to stop.
    ///
    /// # Panics
    /// Never: a step asks for its own batches.
    pub fn try_rates(&self, network: &Network, range: &RateRange) -> Result<Vec<RateTried>> {
        let phase = self
            .phases
            .last()
            .ok_or_else(|| Error::stage("nothing trains"))?;
        let loader = self.loaders(phase)?.train;
        let state = State {
            network: network.clone(),
            optimizer: self.recipe.optimizer.fresh(),
            average: None,
            moving: std::collections::BTreeSet::new(),
        };
        let mut state = self.enter(state, phase);
        let mut progress = Progress::new(self.host, "rates", range.steps, "steps");
        let steps = (1..).flat_map(|epoch| self.whole_epoch(&loader, epoch));
        let mut tried: Vec<RateTried> = Vec::new();
        let (mut mean, mut least) = (0.0, f64::INFINITY);
        for (number, step) in steps.take(range.steps).enumerate() {
            progress.at(number)?;
            let batches = step.jobs().map(|(views, seed)| loader.batch(views, seed));
            let mut batches = batches.collect::<Vec<_>>().into_iter();
            let mut next = || batches.next().expect("a batch for each that is asked for");
            let (loss, gradients) = self.gradients(&state.network, &loader, &step, &mut next);
            if !loss.is_finite() {
                break;
            }
            mean = KEPT * mean + (1.0 - KEPT) * loss;
            let count = i32::try_from(number + 1).unwrap_or(i32::MAX);
            let smoothed_loss = mean / (1.0 - KEPT.powi(count));
            let learning_rate = range.rate(number);
            tried.push(RateTried {
                step: number + 1,
                learning_rate,
                loss,
                smoothed_loss,
            });
            if number > 0 && smoothed_loss > GROWN * least {
                break;
            }
            least = least.min(smoothed_loss);
            (state.network, _) = state
                .optimizer
                .step(state.network, &gradients, learning_rate);
        }
        progress.at(range.steps)?;
        if tried.is_empty() {
            return Err(
                Error::stage("the loss is not a number before a step was made")
                    .help("`refire run` says what makes it so"),
            );
        }
        Ok(tried)
    }
}

/// The rate at which the smoothed loss falls fastest from step to step, as `suggestion` of Lightning's finder, but on the way to its least:
/// what it does where it has begun to grow says nothing. None if the test was too short or the loss falls nowhere.
#[must_use]
pub fn steepest(tried: &[RateTried]) -> Option<f64> {
    let [first, last] = SKIPPED;
    let kept = tried.get(..tried.len().checked_sub(last)?)?;
    let kept = kept.get(first..=least(kept)?)?;
    let at = |place: usize| kept[place].smoothed_loss;
    let end = kept.len().checked_sub(1).filter(|end| *end > 0)?;
    // The slopes of numpy's `gradient`.
    let slope = |place: usize| match place {
        0 => at(1) - at(0),
        place if place == end => at(end) - at(end - 1),
        place => (at(place + 1) - at(place - 1)) / 2.0,
    };
    let steepest = (0..=end).min_by(|one, other| slope(*one).total_cmp(&slope(*other)))?;
    (slope(steepest) < 0.0).then(|| kept[steepest].learning_rate)
}

/// A tenth of the rate at which the smoothed loss is least (fastai's `minimum`).
#[must_use]
pub fn below_least(tried: &[RateTried]) -> Option<f64> {
    Some(tried[least(tried)?].learning_rate / 10.0)
}

/// Where the smoothed loss is least.
fn least(tried: &[RateTried]) -> Option<usize> {
    let by_loss = |place: &usize, other: &usize| {
        let loss = |place: &usize| tried[*place].smoothed_loss;
        loss(place).total_cmp(&loss(other))
    };
    (0..tried.len()).min_by(by_loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test whose smoothed losses are these.
    fn tried(losses: &[f64]) -> Vec<RateTried> {
        let range = RateRange {
            lowest: 1e-7,
            highest: 10.0,
            steps: losses.len(),
        };
        let losses = losses.iter().enumerate();
        losses
            .map(|(number, loss)| RateTried {
                step: number + 1,
                learning_rate: range.rate(number),
                loss: *loss,
                smoothed_loss: *loss,
            })
            .collect()
    }

    #[test]
    fn rates_rise_by_the_same_factor() {
        let all = tried(&[1.0; 8]);
        let factor = all[1].learning_rate / all[0].learning_rate;
        assert!((factor - 10.0).abs() < 1e-9);
        assert!((all[7].learning_rate - 1.0).abs() < 1e-9);
    }

    #[test]
    fn it_suggests_where_the_loss_falls_fastest() {
        // numpy: np.gradient(losses[10:-1]).argmin() + 10 = 15.
        let losses = [
            1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.99, 0.97, 0.93, 0.85, 0.7,
            0.6, 0.55, 0.54, 0.6, 0.9, 0.1,
        ];
        let all = tried(&losses);
        assert_eq!(steepest(&all), Some(all[15].learning_rate));
        assert_eq!(below_least(&all[..21]), Some(all[18].learning_rate / 10.0));
        // After its least it may fall as fast as it will.
        let mut wild = losses;
        (wild[19], wild[20]) = (3.0, 0.9);
        assert_eq!(steepest(&tried(&wild)), Some(all[15].learning_rate));
        // A loss that never falls, and a test that ended at once.
        assert_eq!(steepest(&tried(&[1.0; 30])), None);
        assert_eq!(steepest(&all[..11]), None);
        assert_eq!(steepest(&[]), None);
    }
}
