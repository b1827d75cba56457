//! Axes: which numbers stand on them.

/// Numbers from `low` to `high` on a length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale over all of `values` that are finite, from pixel `from` to pixel `to`. Values that are all the same get some room around them.
    pub(super) fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low <= low.abs().max(high.abs()) * 1e-9 {
            let room = (low.abs() * 0.1).max(1e-9);
            (low, high) = (low - room, high + room);
        }
        Self {
            low,
            high,
            from,
            to,
        }
    }

    /// A scale from `low` to `high`.
    pub(super) fn new(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self {
            low,
            high,
            from,
            to,
        }
    }

    /// The same with a little room at both ends.
    pub(super) fn padded(self, share: f64) -> Self {
        let room = (self.high - self.low) * share;
        Self {
            low: self.low - room,
            high: self.high + room,
            ..self
        }
    }

    /// Where `value` lies.
    pub(super) fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The ends of the scale.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// About `count` round numbers on the scale: multiples of 1, 2 or 5 times a power of ten.
    pub(super) fn ticks(&self, count: f64) -> Vec<f64> {
        let rough = (self.high - self.low) / count;
        if !(rough.is_finite() && rough > 0.0) {
            return Vec::new();
        }
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
        let step = step
            .into_iter()
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * power);
        let mut ticks = Vec::new();
        let mut tick = (self.low / step).ceil() * step;
        while tick <= self.high + step * 1e-6 && ticks.len() < 50 {
            // Sums of 0.1 are not quite round.
            ticks.push((tick / step).round() * step);
            tick += step;
        }
        ticks
    }
}

/// A number on an axis, as short as it can be told.
pub(super) fn label(value: f64) -> String {
    let size = value.abs();
    if size < 1e-12 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_an_axis_are_round() {
        let ticks = |values: &[f64]| {
            let scale = Scale::over(values.iter().copied(), 0.0, 100.0);
            scale.ticks(4.0).into_iter().map(label).collect::<Vec<_>>()
        };
        assert_eq!(ticks(&[0.0, 1.0]), ["0", "0.5", "1"]);
        assert_eq!(ticks(&[0.31, 0.74]), ["0.4", "0.6"]);
        assert_eq!(ticks(&[0.0, 5e-5]), ["0", "2e-5", "4e-5"]);
        assert_eq!(ticks(&[0.0, 187.0]), ["0", "50", "100", "150"]);
        // Nothing to draw, and nothing that differs.
        assert!(!ticks(&[]).is_empty() && !ticks(&[f64::NAN]).is_empty());
        assert!(!ticks(&[3.0, 3.0]).is_empty() && !ticks(&[0.0]).is_empty());
    }

    #[test]
    fn a_value_lies_where_its_share_of_the_scale_is() {
        let scale = Scale::new(10.0, 20.0, 100.0, 0.0);
        assert!((scale.place(12.5) - 75.0).abs() < 1e-9);
    }
}
