//! How a training went, step by step: the lines of `history.jsonl`.

use serde::{Deserialize, Serialize};

/// About so many lines say how the steps of a training went; of a longer one, each line is the mean of several steps.
const LINES: usize = 1000;

/// The figures of some steps that followed each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepFigures {
    /// The last of them, counted from 1 over the whole training.
    pub step: usize,
    /// Its epoch, counted from 1.
    pub epoch: usize,
    /// How many samples were trained on until then, over the whole training.
    pub samples: usize,
    /// Their mean loss.
    pub loss: f64,
    /// The learning rate of the last of them.
    pub learning_rate: f64,
    /// The mean norm of their gradients, before clipping.
    pub gradient_norm: f64,
}

/// A step that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// The mean loss of its samples.
    pub(super) loss: f64,
    /// The norm of its gradients before clipping.
    pub(super) norm: f64,
    /// The learning rate.
    pub(super) rate: f64,
    /// How many samples it trained on.
    pub(super) samples: usize,
}

/// The steps since the last line. Numbers with a fraction are kept as their bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    steps: usize,
    loss: u64,
    norm: u64,
}

impl Window {
    /// Adds a step.
    pub(super) fn add(&mut self, taken: &Taken) {
        let more = |sum: u64, number: f64| (f64::from_bits(sum) + number).to_bits();
        self.steps += 1;
        self.loss = more(self.loss, taken.loss);
        self.norm = more(self.norm, taken.norm);
    }

    /// Whether there are steps for a line, where each is of `steps`.
    pub(super) fn is_full(&self, steps: usize) -> bool {
        self.steps >= steps
    }

    /// The mean loss, and the mean norm of gradients.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of steps stay far below 2^53"
    )]
    pub(super) fn means(&self) -> [f64; 2] {
        let mean = |sum: u64| f64::from_bits(sum) / self.steps.max(1) as f64;
        [mean(self.loss), mean(self.norm)]
    }
}

/// Of how many steps each line is, where a training has `steps` in all.
pub(super) fn steps_a_line(steps: usize) -> usize {
    steps.div_ceil(LINES).max(1)
}

/// `number` with six digits, which is what a reader can use and 32-bit sums can hold.
pub(super) fn short(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_mean_of_its_steps() {
        let mut window = Window::default();
        for loss in [1.0, 2.0, 6.0] {
            assert!(!window.is_full(3));
            window.add(&Taken {
                loss,
                norm: loss * 2.0,
                rate: 0.1,
                samples: 4,
            });
        }
        assert!(window.is_full(3));
        assert_eq!(window.means().map(|mean| mean.to_string()), ["3", "6"]);
    }

    #[test]
    fn long_trainings_have_longer_lines() {
        assert_eq!(
            [0, 1, 1000, 1001, 25_000].map(steps_a_line),
            [1, 1, 1, 2, 25]
        );
    }

    #[test]
    fn numbers_are_six_digits_long() {
        let found = [4.999_999_999_999e-5, 0.123_456_789, 0.0].map(short);
        assert_eq!(
            found.map(|number| number.to_string()),
            ["0.00005", "0.123457", "0"]
        );
    }
}
