//! Numbers with a unit.

use std::time::Duration;

use super::de::Spanned;
use crate::error::{Error, Result};

/// How long something takes: `"90s"`, `"15m"`.
pub(super) fn duration(text: &Spanned<String>) -> Result<Duration> {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    let seconds = quantity(text, &units, "15m", |number| number > 0.0)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| text.blame(Error::usage("too long").because(&error), ""))
}

/// A number of bytes, 0 among them: `"512MiB"`, `"2GiB"`.
///
/// # Errors
/// Anything but a number and a unit, with its place.
pub fn bytes(text: &Spanned<String>) -> Result<u64> {
    const KIB: f64 = 1024.0;
    let units = [
        ("KiB", KIB),
        ("MiB", KIB * KIB),
        ("GiB", KIB * KIB * KIB),
        ("TiB", KIB * KIB * KIB * KIB),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("B", 1.0),
    ];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and far below 2^64"
    )]
    quantity(text, &units, "8GiB", |number| number >= 0.0).map(|bytes| bytes as u64)
}

/// A number that is `good`, times its unit.
fn quantity(
    text: &Spanned<String>,
    units: &[(&str, f64)],
    example: &str,
    good: impl Fn(f64) -> bool,
) -> Result<f64> {
    let value = text.value.trim();
    let digits = value
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let factor = units
        .iter()
        .find(|(name, _)| *name == unit.trim())
        .map(|(_, factor)| factor);
    let number = number.parse::<f64>().ok().filter(|number| good(*number));
    number
        .zip(factor)
        .map(|(number, factor)| number * factor)
        .ok_or_else(|| {
            let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
            let error = Error::usage(format!("cannot read `{}`", text.value));
            text.blame(error, "").help(format!(
                "write a number and a unit, such as \"{example}\"; the units are {}",
                names.join(", ")
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_need_a_unit() {
        let bytes = |text: &str| bytes(&text.to_string().into());
        assert_eq!(bytes("1.5KiB").expect("a size"), 1536);
        assert_eq!(bytes("2 MB").expect("a size"), 2_000_000);
        assert_eq!(bytes("0B").expect("a size"), 0);
        for text in ["1024", "1 gig", "GiB", "-1GiB", ""] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert!(duration(&"0s".to_string().into()).is_err());
    }
}
