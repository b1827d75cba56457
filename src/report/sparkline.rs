//! A row of numbers in a few characters.

/// Bars from the lowest to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The most characters.
const WIDTH: usize = 20;

/// `numbers` as bars between the least and the largest of them; of more than twenty the means of neighbours. Nothing of fewer than three,
/// which are read faster.
#[must_use]
pub fn sparkline(numbers: &[f64]) -> String {
    if numbers.len() < 3 || numbers.iter().any(|number| !number.is_finite()) {
        return String::new();
    }
    let columns = numbers.len().min(WIDTH);
    let begin = |column: usize| column * numbers.len() / columns;
    let means = (0..columns).map(|column| mean(&numbers[begin(column)..begin(column + 1)]));
    let means: Vec<f64> = means.collect();
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    let most = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = most - least;
    let bar = |number: &f64| {
        let share = if range > 0.0 {
            (number - least) / range
        } else {
            0.0
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of seven"
        )]
        let place = (share * 7.0).round() as usize;
        BARS[place.min(7)]
    };
    means.iter().map(bar).collect()
}

#[expect(clippy::cast_precision_loss, reason = "few numbers")]
fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_bars() {
        assert_eq!(sparkline(&[0.7, 0.5, 0.3, 0.0]), "█▆▄▁");
        assert_eq!(sparkline(&[1.0, 1.0, 1.0]), "▁▁▁");
        assert_eq!(sparkline(&[2.0, 1.0]), "");
        assert_eq!(sparkline(&[2.0, f64::NAN, 1.0]), "");
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(sparkline(&many).chars().count(), 20);
    }
}
