//! Gates: conditions on what was measured, that must hold for what depends on a stage to run.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Kind, Result, Span};

/// A condition on a metric.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Name of the metric.
    pub metric: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub bound: Bound,
    /// Where it is written.
    pub span: Span,
}

/// How a gate compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
    /// `==`
    Equal,
}

/// What a gate compares with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// A number.
    Number(f64),
    /// So much more than the baseline: the same metric in the lock that was committed last.
    Baseline(f64),
}

const SIGNS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

impl Gate {
    /// Reads `>= 0.75`, or `>= baseline - 0.005`.
    ///
    /// # Errors
    /// If it has no comparison or no bound.
    pub fn parse(metric: &str, condition: &str, span: &Span) -> Result<Self> {
        let condition = condition.trim();
        let read = |(sign, comparison)| {
            let bound = Bound::parse(condition.strip_prefix(sign)?)?;
            Some(Self {
                metric: metric.into(),
                comparison,
                bound,
                span: span.clone(),
            })
        };
        SIGNS.into_iter().find_map(read).ok_or_else(|| {
            Error::usage(format!("cannot read the gate `{condition}` on `{metric}`"))
                .at(span, "")
                .help(
                    "write a comparison and a number, such as \">= 0.75\", or one with the lock that was committed, such as \
                     \">= baseline - 0.005\"; the comparisons are >= > <= < ==",
                )
        })
    }

    /// The number to compare with; none if there is no `baseline` of the metric.
    #[must_use]
    pub fn number(&self, baseline: &BTreeMap<String, f64>) -> Option<f64> {
        match self.bound {
            Bound::Number(number) => Some(number),
            Bound::Baseline(plus) => Some(baseline.get(&self.metric)? + plus),
        }
    }

    /// The condition as it is written in a pipeline: `>= 0.75`.
    #[must_use]
    pub fn condition(&self) -> String {
        format!("{} {}", self.comparison.sign(), self.bound)
    }

    /// Whether it compares with the lock that was committed.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        matches!(self.bound, Bound::Baseline(_))
    }

    /// The error if `metrics` do not pass. A metric that is missing does not; one without a `baseline` to compare with does.
    #[must_use]
    pub fn failure(
        &self,
        metrics: &BTreeMap<String, f64>,
        baseline: &BTreeMap<String, f64>,
    ) -> Option<Error> {
        let value = metrics.get(&self.metric).copied();
        let bound = self.number(baseline);
        let passes = match (value, bound) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(value), Some(bound)) => self.comparison.holds(value, bound),
        };
        if passes {
            return None;
        }
        let value = value.map_or("missing".into(), |value| format!("{value:.4}"));
        let wanted = match (self.bound, bound) {
            (Bound::Number(number), _) => number.to_string(),
            (relative, Some(bound)) => format!("{relative}, which is {bound:.4}"),
            (relative, None) => relative.to_string(),
        };
        let message = format!(
            "{} is {value}, but the gate asks for {} {wanted}",
            self.metric,
            self.comparison.sign()
        );
        Some(Error::new(Kind::Gate, message).at(&self.span, "the gate"))
    }
}

impl Bound {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let finite = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
        let Some(rest) = text.strip_prefix("baseline") else {
            return finite(text).map(Self::Number);
        };
        let rest = rest.trim();
        let (sign, size) = match rest.split_at_checked(1) {
            Some(("+", size)) => (1.0, size),
            Some(("-", size)) => (-1.0, size),
            _ => return rest.is_empty().then_some(Self::Baseline(0.0)),
        };
        let size = finite(size.trim()).filter(|size| !size.is_sign_negative())?;
        Some(Self::Baseline(sign * size))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Baseline(0.0) => f.write_str("baseline"),
            Self::Baseline(plus) if plus < 0.0 => write!(f, "baseline - {}", -plus),
            Self::Baseline(plus) => write!(f, "baseline + {plus}"),
        }
    }
}

impl Comparison {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::AtLeast => value >= bound,
            Self::Above => value > bound,
            Self::AtMost => value <= bound,
            Self::Below => value < bound,
            Self::Equal => (value - bound).abs() <= f64::EPSILON,
        }
    }

    fn sign(self) -> &'static str {
        let of = SIGNS
            .into_iter()
            .find(|(_, comparison)| *comparison == self);
        of.map_or("", |(sign, _)| sign)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Source;

    fn gate(condition: &str) -> Result<Gate> {
        let source = Arc::new(Source::new("refire.toml", ""));
        Gate::parse("accuracy", condition, &Span::new(&source, 0..0))
    }

    fn figures(accuracy: f64) -> BTreeMap<String, f64> {
        BTreeMap::from([("accuracy".to_owned(), accuracy)])
    }

    #[test]
    fn gates_compare_with_numbers_and_with_the_lock_that_was_committed() {
        let (none, past) = (BTreeMap::new(), figures(0.75));
        let cases = [
            (">= 0.75", 0.75, true),
            ("> 0.75", 0.75, false),
            ("<0.5", 0.25, true),
            ("== 0.5", 0.5, true),
            ("<= -1e-3", 0.0, false),
            (">= baseline", 0.75, true),
            (">=baseline-0.005", 0.746, true),
            (">= baseline - 0.005", 0.744, false),
            ("> baseline + 0.01", 0.76, false),
            ("< baseline", 0.5, true),
        ];
        for (condition, value, passes) in cases {
            let gate = gate(condition).expect(condition);
            let failure = gate.failure(&figures(value), &past);
            assert_eq!(failure.is_none(), passes, "{condition} of {value}");
            assert!(gate.failure(&none, &past).is_some(), "{condition}");
        }
        let relative = gate(">= baseline - 0.005").expect("it is one");
        assert!(relative.failure(&figures(0.1), &none).is_none());
        let failure = relative.failure(&figures(0.7), &past).expect("too low");
        assert_eq!(
            failure.message(),
            "accuracy is 0.7000, but the gate asks for >= baseline - 0.005, which is 0.7450"
        );
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for bad in [
            "",
            "0.5",
            ">= ",
            ">= nan",
            "~ 1",
            ">= baseline * 2",
            ">= baseline - -1",
            ">= base",
        ] {
            assert!(gate(bad).is_err(), "{bad}");
        }
    }
}
