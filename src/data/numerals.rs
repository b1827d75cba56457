//! Numbers as they are written: which of them a 64-bit float gives back.

/// More digits than any float has: 767 decide the nearest one.
const MOST_DIGITS: usize = 800;

/// Whether the float nearest to the number `text` gives back its digits: printed with as many, it is the same number.
///
/// So do `0.1` and `1.10`, but neither `9007199254740993` nor `12e400`.
pub(super) fn comes_back(text: &str) -> bool {
    let Ok(value) = text.parse::<f64>() else {
        return false;
    };
    // So few digits always survive, unless an exponent makes the number too large or too small.
    if text.len() <= 15 && !text.contains(['e', 'E']) {
        return true;
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => value == 0.0,
        1..=15 if value.is_normal() => true,
        length @ 1..=MOST_DIGITS if value.is_finite() => {
            let printed = format!("{:.*e}", length - 1, value.abs());
            let printed = printed.split('e').next().unwrap_or(&printed);
            printed.replace('.', "") == digits
        }
        _ => false,
    }
}

/// How the numbers of a column are written.
///
/// Where all have as many decimals (`1.10`, `2.50`), or none has a needless digit or sign (`1.1`, `2`), no number comes in
/// two ways. Otherwise `1.1` and `1.10` may be two names, which become one number.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says what was seen, whatever else was"
)]
pub(super) struct Spelling {
    /// The first number with a needless zero at its end: `1.10`.
    padded: Option<String>,
    /// The first number that is written as no program writes it: `+1`, `.5`, `12e4`.
    odd: Option<String>,
    /// The fewest and the most decimals.
    decimals: Option<(usize, usize)>,
    /// Whether there are whole numbers without a point, and with one.
    whole: bool,
    pointed: bool,
    /// Whether there are numbers with an exponent, and without one.
    scientific: bool,
    plain: bool,
    /// The first exponent that only a column of exponents has.
    small_exponent: Option<String>,
}

impl Spelling {
    /// Looks at another number.
    pub(super) fn see(&mut self, text: &str) {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()),
            None => (text, None),
        };
        let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (before, after) = match unsigned.split_once('.') {
            Some((before, after)) => (before, Some(after)),
            None => (unsigned, None),
        };
        let keep = |slot: &mut Option<String>, is: bool| {
            if is && slot.is_none() {
                *slot = Some(text.to_owned());
            }
        };
        let is_scientific = text.len() > mantissa.len();
        let odd = unsigned.starts_with('+')
            || before.is_empty()
            || after == Some("")
            || (is_scientific && before.len() > 1)
            || matches!(text, "-0");
        keep(&mut self.odd, odd);
        let padded = after.is_some_and(|after| after.len() > 1 && after.ends_with('0'));
        keep(&mut self.padded, padded);
        let small = exponent.is_some_and(|exponent| (-3..5).contains(&exponent));
        keep(&mut self.small_exponent, small);
        self.scientific |= is_scientific;
        self.plain |= !is_scientific;
        self.whole |= after.is_none() && !is_scientific;
        self.pointed |= after == Some("0") && !is_scientific;
        let decimals = after.map_or(0, str::len);
        let (fewest, most) = self.decimals.unwrap_or((decimals, decimals));
        self.decimals = Some((fewest.min(decimals), most.max(decimals)));
    }

    /// A number that may be another one, written in another way; none if there is no such.
    pub(super) fn ambiguous(&self) -> Option<String> {
        let aligned = self.decimals.is_none_or(|(fewest, most)| fewest == most);
        let mixed = self.scientific && self.plain;
        self.odd
            .clone()
            .or_else(|| self.padded.clone().filter(|_| !aligned))
            .or_else(|| self.small_exponent.clone().filter(|_| mixed))
            .or_else(|| (self.whole && self.pointed).then(|| "1.0".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_a_float_holds_come_back() {
        for text in [
            "0",
            "-0.0",
            "0.1",
            "1.10",
            "100",
            "1e5",
            "-2.5E-3",
            "9007199254740992",
            "100000000000000000000",
            "1.000000000000000056e-01",
            "5e-324",
            "1.7976931348623157e308",
        ] {
            assert!(comes_back(text), "{text}");
        }
        let long = "1".repeat(1000);
        for text in [
            "9007199254740993",
            "11898508762506083200",
            "12e400",
            "1e-400",
            "0.1000000000000000001",
            "99999999999999999999",
            "1.0000000000000000000000001",
            "x",
            &long,
        ] {
            assert!(!comes_back(text), "{text}");
        }
    }

    fn ambiguous(texts: &[&str]) -> Option<String> {
        let mut spelling = Spelling::default();
        texts.iter().for_each(|text| spelling.see(text));
        spelling.ambiguous()
    }

    #[test]
    fn numbers_as_programs_write_them_are_not_ambiguous() {
        let columns: [&[&str]; 8] = [
            &["1.10", "2.50", "-3.00"],
            &["1", "2.5", "-0.25"],
            &["1.0", "2.5", "1e-05", "1e+16"],
            &["1e-7", "5", "1e21"],
            &["1.00e+00", "2.50e+01"],
            &["1e+05", "99999"],
            &["0.0", "-0.0"],
            &[],
        ];
        for texts in columns {
            assert_eq!(ambiguous(texts), None, "{texts:?}");
        }
    }

    #[test]
    fn numbers_that_may_be_another_written_otherwise_are_ambiguous() {
        assert_eq!(ambiguous(&["1.1", "1.10"]).as_deref(), Some("1.10"));
        assert_eq!(ambiguous(&["1", "1.50"]).as_deref(), Some("1.50"));
        assert_eq!(ambiguous(&["1", "1.0"]).as_deref(), Some("1.0"));
        assert_eq!(ambiguous(&["12e4", "120000"]).as_deref(), Some("12e4"));
        assert_eq!(ambiguous(&["1e3", "1000"]).as_deref(), Some("1e3"));
        for odd in ["+1", ".5", "5.", "-0"] {
            assert_eq!(ambiguous(&["1", odd]).as_deref(), Some(odd));
        }
    }

    proptest! {
        #[test]
        fn what_a_float_prints_comes_back(value in any::<f64>().prop_filter("a number", |value| value.is_finite())) {
            // Zeros that only fill a large number up are digits of it as well.
            let plain = if value.abs() < 1e15 { format!("{value}") } else { format!("{value:e}") };
            for text in [plain, format!("{value:e}"), format!("{value:.20e}")] {
                prop_assert!(comes_back(&text), "{}", text);
            }
        }

        #[test]
        fn whole_numbers_come_back_if_a_float_holds_them(value in any::<i64>()) {
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "that is what is asked")]
            let held = i128::from(value) == (value as f64) as i128;
            prop_assert_eq!(comes_back(&value.to_string()), held);
        }
    }
}
