//! Values of a table as text that differs wherever they do: what polars prints is rounded and cut.

use polars::prelude::AnyValue;

use crate::error::contained;

/// `value` as text; another value has another text.
pub(super) fn exact(value: &AnyValue<'_>) -> String {
    match value {
        // Adding nothing makes one zero of the two.
        AnyValue::Float32(value) => format!("{:?}", value + 0.0),
        AnyValue::Float64(value) => format!("{:?}", value + 0.0),
        AnyValue::Binary(bytes) => hex(bytes),
        AnyValue::BinaryOwned(bytes) => hex(bytes),
        AnyValue::List(values) => joined(values.iter()),
        AnyValue::Struct(..) | AnyValue::StructOwned(_) => joined(value._iter_struct_av()),
        value => value
            .get_str()
            .map_or_else(|| printed(value), str::to_owned),
    }
}

/// `value` as polars prints it; of a moment that no calendar has, how far it is from 1970.
fn printed(value: &AnyValue<'_>) -> String {
    contained(|| value.to_string()).unwrap_or_else(|_| match value.clone().to_physical() {
        AnyValue::Int32(days) => format!("{days} days"),
        AnyValue::Int64(units) => format!("{units} units"),
        _ => "a moment that no calendar has".into(),
    })
}

fn hex(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Each with its length, so that no other values look the same.
fn joined<'v>(values: impl Iterator<Item = AnyValue<'v>>) -> String {
    let values = values.map(|value| {
        let text = exact(&value);
        format!("{}:{text}", text.len())
    });
    values.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use polars::prelude::{NamedFrom as _, Series};

    use super::*;

    #[test]
    fn values_that_polars_prints_alike_are_told_apart() {
        let (one, other) = (
            AnyValue::Float64(0.123_456_71),
            AnyValue::Float64(0.123_456_74),
        );
        assert_eq!(one.to_string(), other.to_string());
        assert_ne!(exact(&one), exact(&other));
        assert_eq!(
            exact(&AnyValue::Float64(-0.0)),
            exact(&AnyValue::Float64(0.0))
        );
        let bytes = |last: u8| [vec![0; 1000], vec![last]].concat();
        let (one, other) = (bytes(1), bytes(2));
        assert_ne!(
            exact(&AnyValue::Binary(&one)),
            exact(&AnyValue::Binary(&other))
        );
        let list = |last: i64| {
            let values: Vec<i64> = (0..100).chain([last]).collect();
            AnyValue::List(Series::new("".into(), values))
        };
        assert_ne!(exact(&list(1)), exact(&list(2)));
        assert_eq!(exact(&AnyValue::String("a")), "a");
    }
}
