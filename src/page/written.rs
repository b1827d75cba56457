//! How things are written on the page: figures, changes, digests, places in the document.

use maud::{Markup, html};

use super::{Figure, GateFact};
use crate::report::figures;

/// How many characters of a digest tell it apart for people.
const SHORT: usize = 12;

/// A length in a drawing.
pub(super) fn px(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A count as a length.
#[expect(clippy::cast_precision_loss, reason = "counts on a page are small")]
pub(super) fn count(count: usize) -> f64 {
    count as f64
}

/// A whole number with groups of three digits.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A digest: its beginning, with the whole of it for those who hover or copy.
pub(super) fn digest(digest: &str) -> Markup {
    html! {
        @if digest.is_empty() { span.quiet { "–" } }
        @else { code.digest title=(digest) { (digest.chars().take(SHORT).collect::<String>()) } }
    }
}

/// The place of a stage's details in the document. Names hold characters that an address would not.
pub(super) fn anchor(index: usize) -> String {
    format!("stage-{index}")
}

/// The figure's value, with its interval.
pub(super) fn value(figure: &Figure) -> Markup {
    html! {
        (figures::metric(&figure.name, figure.value))
        @if let Some((low, high)) = figure.interval {
            " " span.interval title="95 % interval" {
                (figures::metric(&figure.name, low)) "–" (figures::metric(&figure.name, high))
            }
        }
    }
}

/// What changed against the committed lock. A sign and words say what the colour does.
pub(super) fn change(figure: &Figure) -> Markup {
    let Some(old) = figure.committed else {
        return html! {};
    };
    let new = figure.value;
    if new.to_bits() == old.to_bits() || (new.is_nan() && old.is_nan()) {
        return html! { span.change.same title="as in the committed lock" { "= lock" } };
    }
    let (sign, rises) = if new > old {
        ("▲", true)
    } else {
        ("▼", false)
    };
    let (class, word) = match figure.higher_is_better {
        Some(higher) if higher == rises => ("better", "better than"),
        Some(_) => ("worse", "worse than"),
        None => ("same", "other than"),
    };
    let was = figures::metric(&figure.name, old);
    let by = figures::metric(&figure.name, (new - old).abs());
    html! {
        span class={ "change " (class) } title={ (word) " in the committed lock: " (was) } {
            (sign) " " (by)
        }
    }
}

/// Whether the gate on a figure holds.
pub(super) fn gate(gate: &GateFact) -> Markup {
    html! {
        @if gate.passes { span.gate.pass { "✓ gate " (gate.condition) } }
        @else { span.gate.fail { "✕ gate " (gate.condition) } }
    }
}

/// The share of a whole in percent.
pub(super) fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "–".into();
    }
    format!("{:.1} %", 100.0 * count(part) / count(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([1.0, 1.25, -0.5].map(px), ["1", "1.2", "-0.5"]);
        assert_eq!(
            (percent(1, 3), percent(0, 0)),
            ("33.3 %".into(), "–".into())
        );
    }

    #[test]
    fn a_change_is_told_by_more_than_its_colour() {
        let figure = |value, committed, higher_is_better| Figure {
            name: "accuracy".into(),
            value,
            committed,
            higher_is_better,
            ..Figure::default()
        };
        let said = |figure| change(&figure).into_string();
        assert_eq!(said(figure(0.5, None, None)), "");
        assert!(said(figure(0.5, Some(0.5), None)).contains("= lock"));
        let better = said(figure(0.75, Some(0.5), Some(true)));
        assert!(
            better.contains("▲ 0.2500") && better.contains("better than"),
            "{better}"
        );
        let worse = said(figure(0.75, Some(0.5), Some(false)));
        assert!(
            worse.contains("▲") && worse.contains("worse than"),
            "{worse}"
        );
    }
}
