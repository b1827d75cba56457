//! Means of repeated runs, and how far they may be off.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The mean of some runs, and between which values the true one lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    /// The mean.
    pub(super) mean: f64,
    /// The ends of the interval; none for a single run, of which nobody knows how far it is off.
    pub(super) interval: Option<(f64, f64)>,
}

/// The mean of `values` with Student's interval: mean ± t(0.975, n − 1) · s / √n, for values that are drawn from a normal distribution
/// (Student 1908). None without values.
pub(super) fn estimate(values: &[f64]) -> Option<Estimate> {
    #[expect(clippy::cast_precision_loss, reason = "there are few runs")]
    let runs = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / runs;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let student = StudentsT::new(0.0, 1.0, runs - 1.0).ok();
    let interval = student.map(|student| {
        let half = student.inverse_cdf(0.975) * (squares / (runs - 1.0) / runs).sqrt();
        (mean - half, mean + half)
    });
    Some(Estimate { mean, interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_scipy() {
        // scipy.stats.t.interval(0.95, n - 1, numpy.mean(x), scipy.stats.sem(x))
        let cases: [(&[f64], [f64; 3]); 3] = [
            (
                &[0.71, 0.74, 0.72],
                [0.723_333_333_333, 0.685_387_502_997, 0.761_279_163_669],
            ),
            (&[1.0, 2.0], [1.5, -4.853_102_368_087, 7.853_102_368_087]),
            (
                &[0.5, 0.52, 0.49, 0.47, 0.55, 0.51, 0.5, 0.53],
                [0.508_75, 0.488_059_537_799, 0.529_440_462_201],
            ),
        ];
        for (values, expected) in cases {
            let found = estimate(values).expect("values");
            let (low, high) = found.interval.expect("several");
            for (found, expected) in [found.mean, low, high].into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
            }
        }
    }

    #[test]
    fn one_run_has_no_interval_and_equal_ones_have_an_empty_one() {
        assert_eq!(estimate(&[]), None);
        let one = estimate(&[0.5]).expect("a value");
        assert_eq!((one.mean, one.interval), (0.5, None));
        let equal = estimate(&[0.5, 0.5, 0.5]).expect("values");
        assert_eq!(equal.interval, Some((0.5, 0.5)));
    }
}
