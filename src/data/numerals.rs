//! Numbers as they are written: which of them a 64-bit float gives back.

/// More digits than any float has: 767 decide the nearest one.
const MOST_DIGITS: usize = 800;

/// Whether the float nearest to the number `text` gives back its digits: printed with as many, or with no more than it takes to
/// tell the float from others, it is the same number. A whole number has to be the float itself.
///
/// So `0.1` and `1.10` come back, but neither `9007199254740993` nor `12e400`.
pub(super) fn comes_back(text: &str) -> bool {
    let Ok(value) = text.parse::<f64>() else {
        return false;
    };
    let is_whole = !text.contains(['.', 'e', 'E']);
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
            let printed = digits_of(&format!("{:.*e}", length - 1, value.abs()));
            let shortest = digits_of(&format!("{:e}", value.abs()));
            printed == digits || (!is_whole && shortest == digits.trim_end_matches('0'))
        }
        _ => false,
    }
}

/// The digits of a number in scientific notation, its exponent left out.
fn digits_of(printed: &str) -> String {
    let mantissa = printed.split('e').next().unwrap_or(printed);
    mantissa.replace('.', "")
}

/// How the numbers of a column are written, and so whether one number may be there in two ways, as `1.1` and `1.10`: as text they
/// are two names, as numbers one.
#[derive(Clone, Debug, Default)]
pub(super) struct Spelling {
    /// How many decimals there are, a bit for each number of them: without an exponent, and with one.
    decimals: [u64; 2],
    /// With how many decimals numbers with needless zeros could be written instead.
    fewer: [u64; 2],
    /// The first number with needless zeros at its end.
    padded: Option<String>,
    /// The first number that is written as no program writes it: `+1`, `.5`, `12e4`.
    odd: Option<String>,
    /// The first with an exponent so small that only columns of exponents have it.
    small_exponent: Option<String>,
    /// Whether there are numbers without an exponent.
    plain: bool,
}

impl Spelling {
    /// Looks at another number.
    pub(super) fn see(&mut self, text: &str) {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
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
        let odd = unsigned.starts_with('+')
            || before.is_empty()
            || after == Some("")
            || (exponent.is_some() && before.len() > 1)
            || text == "-0";
        keep(&mut self.odd, odd);
        let power = exponent.and_then(|exponent| exponent.parse::<i32>().ok());
        let is_small = power.is_some_and(|power| (-3..5).contains(&power));
        keep(&mut self.small_exponent, is_small);
        self.plain |= exponent.is_none();
        let decimals = after.unwrap_or_default();
        let needed = decimals.trim_end_matches('0');
        keep(&mut self.padded, needed.len() < decimals.len());
        let form = usize::from(exponent.is_some());
        self.decimals[form] |= bit(decimals.len());
        for fewer in needed.len()..decimals.len().min(64) {
            self.fewer[form] |= bit(fewer);
        }
    }

    /// A number that may be there in another way, too; none if there is no such.
    pub(super) fn ambiguous(&self) -> Option<String> {
        let small_exponent = self.small_exponent.as_ref().filter(|_| self.plain);
        let twice = |form: usize| self.decimals[form] & self.fewer[form] != 0;
        let padded = self.padded.as_ref().filter(|_| twice(0) || twice(1));
        self.odd.as_ref().or(padded).or(small_exponent).cloned()
    }
}

/// The bit for a number of decimals; as many as one likes from 63 on.
fn bit(decimals: usize) -> u64 {
    1 << decimals.min(63)
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
            "273174515982444.13",
            "2.7317451598244413e14",
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
        for text in texts {
            spelling.see(text);
        }
        spelling.ambiguous()
    }

    #[test]
    fn numbers_as_programs_write_them_are_not_ambiguous() {
        let columns: [&[&str]; 10] = [
            &["1.10", "2.50", "-3.00"],
            &["4", "1.50"],
            &["1", "2.5", "-0.25"],
            &["1.0", "2.5", "1e-05", "1e+16"],
            &["1e-7", "5", "1e21"],
            &["1.00e+00", "2.50e+01"],
            &["1.0", "2.50e+20"],
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
        assert_eq!(ambiguous(&["1.5", "2.00"]).as_deref(), Some("2.00"));
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
