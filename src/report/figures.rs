//! How figures are written: durations, sizes and metrics.

use std::fmt::Write as _;

use crate::event::is_count;

/// A duration: `0.04 s`, `12.4 s`, `2 m 05 s`, `1 h 02 m`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 9.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a float saturates"
    )]
    let whole = seconds.round() as u64;
    if whole < 3600 {
        format!("{} m {:02} s", whole / 60, whole % 60)
    } else {
        format!("{} h {:02} m", whole / 3600, whole % 3600 / 60)
    }
}

/// The figure `name`: four decimals; counts and whole numbers above one without, very small ones with an exponent.
#[must_use]
pub fn metric(name: &str, value: f64) -> String {
    if is_count(name) {
        return format!("{value:.0}");
    }
    if value.fract() == 0.0 && value.abs() > 1.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else if value != 0.0 && value.abs() < 0.000_05 {
        format!("{value:.1e}")
    } else {
        format!("{value:.4}")
    }
}

/// Metrics on one line: `accuracy 0.7543, loss 0.4873`.
#[must_use]
pub fn metrics<'a>(metrics: impl IntoIterator<Item = (&'a String, &'a f64)>) -> String {
    let mut line = String::new();
    for (name, value) in metrics {
        let separator = if line.is_empty() { "" } else { ", " };
        let _ = write!(line, "{separator}{name} {}", metric(name, *value));
    }
    line
}

/// An amount of something: `90.9 MB` for bytes, else `143 steps`.
#[must_use]
pub fn amount(count: u64, unit: &str) -> String {
    if unit == "bytes" {
        bytes(count)
    } else {
        format!("{count} {unit}")
    }
}

/// A part of a whole: `143/267 steps`, `12.0/90.9 MB`; only the part when the whole is not known.
#[must_use]
pub fn part(done: u64, total: u64, unit: &str) -> String {
    match (total, unit) {
        (0, _) => amount(done, unit),
        (_, "bytes") => format!("{} of {}", bytes(done), bytes(total)),
        _ => format!("{done}/{total} {unit}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut units = ["kB", "MB", "GB", "TB"].into_iter();
    let Some(mut unit) = units.next().filter(|_| count >= 1000) else {
        return format!("{count} B");
    };
    value /= 1000.0;
    for next in units {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits() {
        let written = [0.0, 0.04, 9.99, 9.996, 59.94, 59.96, 125.0, 3599.9, 3725.0].map(seconds);
        let expected = [
            "0.00 s", "0.04 s", "9.99 s", "10.0 s", "59.9 s", "1 m 00 s", "2 m 05 s", "1 h 00 m",
            "1 h 02 m",
        ];
        assert_eq!(written, expected);
    }

    #[test]
    fn metrics_have_four_decimals_and_counts_none() {
        let written = [0.754_32, 1.0, 0.0, -0.25, 770.0, 0.000_03, f64::NAN];
        let written = written.map(|value| metric("loss", value));
        assert_eq!(
            written,
            [
                "0.7543", "1.0000", "0.0000", "-0.2500", "770", "3.0e-5", "NaN"
            ]
        );
        assert_eq!(
            [1.0, 12.0].map(|epoch| metric("best_epoch", epoch)),
            ["1", "12"]
        );
    }

    #[test]
    fn sizes_change_unit_before_they_round_up_to_it() {
        let written = [0, 999, 1000, 999_949, 999_951, 90_900_000, u64::MAX].map(bytes);
        assert_eq!(
            written,
            [
                "0 B",
                "999 B",
                "1.0 kB",
                "999.9 kB",
                "1.0 MB",
                "90.9 MB",
                "18446744.1 TB"
            ]
        );
        assert_eq!(part(12, 0, "steps"), "12 steps");
        assert_eq!(part(12, 40, "steps"), "12/40 steps");
    }
}
