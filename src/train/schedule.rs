//! Learning rates by step, as Hugging Face's `get_scheduler` gives them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate moves after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// In a straight line down to 0.
    #[default]
    Linear,
    /// Down to 0 along half a cosine wave.
    Cosine,
    /// It stays, and there is no warm-up.
    Constant,
    /// It stays after the warm-up.
    ConstantWithWarmup,
    /// Down to 0 along half a cosine wave, `num_cycles` times, each from the top.
    CosineWithRestarts,
    /// Down to `lr_end` by the power `power`.
    Polynomial,
    /// By one over the root of the step, as if the warm-up had been `timescale` steps long.
    InverseSqrt,
    /// It stays, and goes down to `min_lr_ratio` in the last `num_decay_steps` steps.
    WarmupStableDecay,
    /// Up from 1/25 along half a cosine wave, and down to 1/250,000 along another, as PyTorch's `OneCycleLR`: the warm-up is how long it
    /// rises, three tenths of all steps if none is set.
    OneCycle,
    /// Times `factor` whenever `metric_for_best_model` was no better for more than `patience` times, as PyTorch's `ReduceLROnPlateau`.
    /// There is no warm-up.
    ReduceLrOnPlateau,
}

/// How a curve goes down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decay {
    /// Along half a cosine wave.
    #[default]
    #[serde(rename = "cosine")]
    Cosine,
    /// In a straight line.
    #[serde(rename = "linear")]
    Linear,
    /// By one less the root of the way.
    #[serde(rename = "1-sqrt")]
    OneMinusSqrt,
}

/// The last rate of [`Shape::Polynomial`] if none is set.
const LR_END: f64 = 1e-7;

/// What some shapes can be told beside, under the names of `transformers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// Of `cosine_with_restarts`: how often it starts at the top; 1 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub num_cycles: Option<u32>,
    /// Of `polynomial`: the power; 1 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<f64>,
    /// Of `polynomial`: the last rate; 1e-7 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr_end: Option<f64>,
    /// Of `inverse_sqrt`: the steps from the end of the warm-up to 1/√2 of the highest rate; as many as the warm-up has if not set, 10,000
    /// where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timescale: Option<u32>,
    /// Of `warmup_stable_decay`: the steps in which it goes down; a tenth of all if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_decay_steps: Option<u32>,
    /// Of `warmup_stable_decay`: how it goes down; "cosine" if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay_type: Option<Decay>,
    /// Of `warmup_stable_decay`: the lowest rate as a share of the highest; 0 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub min_lr_ratio: Option<f64>,
    /// Of `reduce_lr_on_plateau`: what the rate is multiplied by; 0.1 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub factor: Option<f64>,
    /// Of `reduce_lr_on_plateau`: how often the figure may be no better; 10 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Of `reduce_lr_on_plateau`: by which part of the best figure a better one must differ; 1e-4 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub threshold: Option<f64>,
    /// Of `reduce_lr_on_plateau`: how often the figure does not count after the rate went down; 0 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<u32>,
    /// Of `reduce_lr_on_plateau`: the lowest rate; 0 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_lr: Option<f64>,
}

impl Details {
    /// What cannot be meant of a schedule with this shape, whose highest rate is `peak` if that is set.
    ///
    /// # Errors
    /// A detail of another shape, or a number that cannot be meant, in words.
    pub fn check(&self, shape: Shape, peak: Option<f64>) -> Result<(), String> {
        let given = [
            (
                "num_cycles",
                self.num_cycles.is_some(),
                Shape::CosineWithRestarts,
            ),
            ("power", self.power.is_some(), Shape::Polynomial),
            ("lr_end", self.lr_end.is_some(), Shape::Polynomial),
            ("timescale", self.timescale.is_some(), Shape::InverseSqrt),
            (
                "num_decay_steps",
                self.num_decay_steps.is_some(),
                Shape::WarmupStableDecay,
            ),
            (
                "decay_type",
                self.decay_type.is_some(),
                Shape::WarmupStableDecay,
            ),
            (
                "min_lr_ratio",
                self.min_lr_ratio.is_some(),
                Shape::WarmupStableDecay,
            ),
            ("factor", self.factor.is_some(), Shape::ReduceLrOnPlateau),
            (
                "patience",
                self.patience.is_some(),
                Shape::ReduceLrOnPlateau,
            ),
            (
                "threshold",
                self.threshold.is_some(),
                Shape::ReduceLrOnPlateau,
            ),
            (
                "cooldown",
                self.cooldown.is_some(),
                Shape::ReduceLrOnPlateau,
            ),
            ("min_lr", self.min_lr.is_some(), Shape::ReduceLrOnPlateau),
        ];
        if let Some((name, _, of)) = given
            .iter()
            .find(|(_, is_given, of)| *is_given && *of != shape)
        {
            return Err(format!(
                "`{name}` is a detail of the schedule \"{}\"",
                of.name()
            ));
        }
        for (name, count) in [
            ("num_cycles", self.num_cycles),
            ("timescale", self.timescale),
        ] {
            if count == Some(0) {
                return Err(format!("`{name}` must be at least 1"));
            }
        }
        let within = |number: Option<f64>, good: fn(f64) -> bool| number.is_none_or(good);
        if !within(self.power, |power| power > 0.0 && power.is_finite()) {
            return Err("`power` must be above 0".into());
        }
        if !within(self.min_lr_ratio, |ratio| (0.0..=1.0).contains(&ratio)) {
            return Err("`min_lr_ratio` must be between 0 and 1".into());
        }
        if !within(self.factor, |factor| factor > 0.0 && factor < 1.0) {
            return Err("`factor` must be above 0 and below 1".into());
        }
        if !within(self.threshold, |part| (0.0..1.0).contains(&part)) {
            return Err("`threshold` must be at least 0 and below 1".into());
        }
        if !within(self.min_lr, |rate| rate >= 0.0 && rate.is_finite()) {
            return Err("`min_lr` must be at least 0".into());
        }
        if !within(self.lr_end, |rate| rate >= 0.0 && rate.is_finite()) {
            return Err("`lr_end` must be at least 0".into());
        }
        let end = (shape == Shape::Polynomial).then(|| self.lr_end.unwrap_or(LR_END));
        match (end, peak) {
            (Some(end), Some(peak)) if end >= peak => Err(format!(
                "the last rate, `lr_end`, is {end}: it must be below the learning rate, {peak}"
            )),
            (Some(_), None) if self.lr_end.is_some() => {
                Err("`lr_end` needs a `learning_rate` that is set".into())
            }
            _ => Ok(()),
        }
    }
}

impl Shape {
    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Constant => "constant",
            Self::ConstantWithWarmup => "constant_with_warmup",
            Self::CosineWithRestarts => "cosine_with_restarts",
            Self::Polynomial => "polynomial",
            Self::InverseSqrt => "inverse_sqrt",
            Self::WarmupStableDecay => "warmup_stable_decay",
            Self::OneCycle => "one_cycle",
            Self::ReduceLrOnPlateau => "reduce_lr_on_plateau",
        }
    }
}

/// The learning rate of every optimizer step of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// How it moves after the warm-up.
    pub shape: Shape,
    /// What the shape is told beside.
    pub details: Details,
    /// The highest rate: `learning_rate`.
    pub peak: f64,
    /// Steps over which it rises to the peak: from 0 in a straight line, but for [`Shape::OneCycle`].
    pub warmup: u64,
    /// Steps of the whole training.
    pub total: u64,
}

impl Schedule {
    /// The rate of `step`, counted from 0. With a warm-up the first rate is 0, as in `transformers`.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        let warmup = match self.shape {
            Shape::Constant | Shape::ReduceLrOnPlateau => 0,
            Shape::OneCycle => return self.peak * self.one_cycle(step),
            _ => self.warmup,
        };
        if step < warmup {
            let lowest = self.details.min_lr_ratio.unwrap_or(0.0);
            return self.peak * above(lowest, as_float(step) / as_float(warmup));
        }
        let decay = as_float(self.total.saturating_sub(warmup).max(1));
        let progress = as_float(step - warmup) / decay;
        match self.shape {
            Shape::Linear => self.peak * (1.0 - progress).max(0.0),
            Shape::Cosine => self.peak * wave(progress.min(1.0)).max(0.0),
            Shape::CosineWithRestarts if progress >= 1.0 => 0.0,
            Shape::CosineWithRestarts => {
                let cycles = f64::from(self.details.num_cycles.unwrap_or(1));
                self.peak * wave((cycles * progress) % 1.0).max(0.0)
            }
            Shape::Polynomial => {
                let end = self.details.lr_end.unwrap_or(LR_END).min(self.peak);
                let left = (1.0 - progress).max(0.0);
                (self.peak - end) * left.powf(self.details.power.unwrap_or(1.0)) + end
            }
            Shape::InverseSqrt => {
                let own = if warmup == 0 {
                    10_000.0
                } else {
                    as_float(warmup)
                };
                let timescale = self.details.timescale.map_or(own, f64::from);
                self.peak / ((as_float(step - warmup) + timescale) / timescale).sqrt()
            }
            Shape::WarmupStableDecay => self.peak * self.stable(step, warmup),
            Shape::Constant
            | Shape::ConstantWithWarmup
            | Shape::OneCycle
            | Shape::ReduceLrOnPlateau => self.peak,
        }
    }

    /// The rate of [`Shape::ReduceLrOnPlateau`] after these figures, in their order.
    #[must_use]
    pub fn on_plateau(
        &self,
        higher_is_better: bool,
        figures: impl IntoIterator<Item = f64>,
    ) -> f64 {
        /// PyTorch leaves a rate alone that would change by less.
        const LEAST: f64 = 1e-8;
        let threshold = self.details.threshold.unwrap_or(1e-4);
        let patience = self.details.patience.unwrap_or(10);
        let (factor, lowest) = (
            self.details.factor.unwrap_or(0.1),
            self.details.min_lr.unwrap_or(0.0),
        );
        let (mut rate, mut best) = (self.peak, None);
        let (mut bad, mut cooling) = (0, 0);
        for figure in figures {
            let is_better = match best {
                None => true,
                Some(best) if higher_is_better => figure > best * (1.0 + threshold),
                Some(best) => figure < best * (1.0 - threshold),
            };
            if is_better {
                (best, bad) = (Some(figure), 0);
            } else {
                bad += 1;
            }
            if cooling > 0 {
                (cooling, bad) = (cooling - 1, 0);
            }
            if bad > patience {
                let lower = (rate * factor).max(lowest);
                if rate - lower > LEAST {
                    rate = lower;
                }
                (cooling, bad) = (self.details.cooldown.unwrap_or(0), 0);
            }
        }
        rate
    }

    /// The share of the peak at `step` of a rate that stays before it goes down.
    fn stable(&self, step: u64, warmup: u64) -> f64 {
        let decay = self.details.num_decay_steps.map(u64::from);
        let after_warmup = self.total.saturating_sub(warmup);
        let decay = decay.unwrap_or(self.total.div_ceil(10)).min(after_warmup);
        let begin = self.total - decay;
        if step < begin {
            return 1.0;
        }
        let lowest = self.details.min_lr_ratio.unwrap_or(0.0);
        if step >= self.total {
            return lowest;
        }
        let progress = as_float(step - begin) / as_float(decay.max(1));
        let factor = match self.details.decay_type.unwrap_or_default() {
            Decay::Cosine => wave(progress),
            Decay::Linear => 1.0 - progress,
            Decay::OneMinusSqrt => 1.0 - progress.sqrt(),
        };
        above(lowest, factor)
    }

    /// The share of the peak at `step` of a rate that goes up and down once. PyTorch counts steps from the first to the last: the peak is
    /// one before the end of the warm-up.
    fn one_cycle(&self, step: u64) -> f64 {
        const FIRST: f64 = 1.0 / 25.0;
        const LAST: f64 = FIRST / 1e4;
        let total = as_float(self.total);
        let rising = if self.warmup == 0 {
            0.3 * total
        } else {
            as_float(self.warmup)
        };
        let (peak, end) = (rising - 1.0, total - 1.0);
        let step = as_float(step).min(end);
        let (from, to, progress) = if step <= peak {
            (FIRST, 1.0, step / peak)
        } else {
            (1.0, LAST, (step - peak) / (end - peak))
        };
        // A training of one step, or one that only rises, has nowhere to go.
        let progress = if progress.is_finite() { progress } else { 1.0 };
        to + (from - to) * wave(progress)
    }
}

/// What lies at `factor` of the way from `lowest` to 1.
fn above(lowest: f64, factor: f64) -> f64 {
    factor * (1.0 - lowest) + lowest
}

/// Half a cosine wave: from 1 at 0 down to 0 at 1.
fn wave(progress: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of steps stay far below 2^53"
)]
fn as_float(steps: u64) -> f64 {
    steps as f64
}

#[cfg(test)]
mod tests;
