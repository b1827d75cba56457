//! `matrix = { sample = 20, lr = { log_uniform = [1e-5, 1e-2] } }`: combinations that are drawn, where a grid would be too many (Bergstra
//! and Bengio 2012, "Random search for hyper-parameter optimization").

use std::collections::BTreeSet;

use super::{Axis, Instance, MOST, check_key, text};
use crate::config::value::{Data, Table, Value};
use crate::error::{Error, Result, Span};
use crate::random::{Random, derive};

/// The keys of a matrix that say how it is drawn.
pub(super) const COUNT: &str = "sample";
const SEED: &str = "sample_seed";

/// How many draws that were there before are passed over for each that is wanted.
const PATIENCE: u64 = 50;

/// What a key's values are drawn from.
enum Range {
    /// These, each as likely.
    List(Vec<Value>),
    /// Whole numbers from the first to the last, each as likely.
    Whole(i64, i64),
    /// Numbers between two, each as likely.
    Uniform([f64; 2]),
    /// The same for their logarithms.
    LogUniform([f64; 2]),
}

/// Takes `sample` out of a matrix: how many combinations are to be drawn, and from which seed; none if it is a grid. A list called `sample`
/// is a key like any other.
pub(super) fn take(matrix: &mut Table) -> Result<Option<(usize, u64)>> {
    let Some(Value {
        data: Data::Integer(count),
        span,
    }) = matrix.get(COUNT).cloned()
    else {
        return Ok(None);
    };
    matrix.remove(COUNT);
    let count = usize::try_from(count).ok();
    let Some(count) = count.filter(|count| (1..=MOST).contains(count)) else {
        return Err(
            Error::usage(format!("`matrix.sample` must be between 1 and {MOST}")).at(&span, ""),
        );
    };
    let seed = match matrix.remove(SEED) {
        None => 0,
        Some(Value {
            data: Data::Integer(seed),
            span,
        }) => u64::try_from(seed)
            .map_err(|_| Error::usage("`sample_seed` must not be negative").at(&span, ""))?,
        Some(other) => {
            return Err(Error::usage(format!(
                "`sample_seed` must be an integer, not {}",
                other.type_name()
            ))
            .at(&other.span, ""));
        }
    };
    Ok(Some((count, seed)))
}

/// As many different combinations. Each key of each draw has random numbers of its own, so that neither more draws nor further keys change
/// those before.
pub(super) fn draw(matrix: Table, count: usize, seed: u64, span: &Span) -> Result<Vec<Instance>> {
    let mut ranges: Vec<(String, [Span; 2], Range)> = Vec::new();
    for (key, (key_span, value)) in matrix.entries {
        check_key(&key, &key_span)?;
        let places = [key_span, value.span.clone()];
        let range = range(&key, value)?;
        ranges.push((key, places, range));
    }
    ranges.sort_by_key(|(_, [key, _], _)| key.range.start);
    if ranges.is_empty() {
        return Err(Error::usage("there is nothing to draw from")
            .at(span, "")
            .help("matrix = { sample = 20, lr = { log_uniform = [1e-5, 1e-2] } }"));
    }
    let mut instances = Vec::new();
    let mut drawn = BTreeSet::new();
    for number in 0..(count as u64).saturating_mul(PATIENCE) {
        let mut instance = Instance::default();
        for (key, [_, place], range) in &ranges {
            let mut random = Random::new(derive(seed, &format!("matrix {key}"), &[number]));
            let value = range.draw(&mut random, place);
            let text = text_of(&value)?;
            instance.0.push((key.clone(), value, text));
        }
        if drawn.insert(instance.suffix()) {
            instances.push(instance);
        }
        if instances.len() == count {
            return Ok(instances);
        }
    }
    Err(Error::usage(format!(
        "of {count} combinations only {} are different",
        instances.len()
    ))
    .at(span, "")
    .help("draw fewer, or list all of them: without `sample` every combination is an instance"))
}

/// The text of a value in a name; a number that was drawn is written as TOML writes it.
fn text_of(value: &Value) -> Result<String> {
    match value.data {
        Data::Float(_) | Data::Integer(_) => Ok(value.to_toml()),
        _ => text(value),
    }
}

fn range(key: &str, value: Value) -> Result<Range> {
    let expected = || {
        Error::usage(format!("`matrix.{key}` says not what to draw from")).help(
            "list values, or write { uniform = [0.0, 0.5] }, { uniform = [1, 6] } for whole numbers, or { log_uniform = [1e-5, 1e-2] }",
        )
    };
    let span = value.span.clone();
    let table = match value.data {
        Data::Array(values) if !values.is_empty() => return Ok(Range::List(values)),
        Data::Table(table) => table,
        _ => return Err(expected().at(&span, "")),
    };
    let mut entries = table.entries.into_iter();
    let (Some((name, (_, bounds))), None) = (entries.next(), entries.next()) else {
        return Err(expected().at(&span, ""));
    };
    let Data::Array(bounds) = bounds.data else {
        return Err(expected().at(&span, ""));
    };
    let whole: Vec<i64> = bounds.iter().filter_map(integer).collect();
    let numbers: Vec<f64> = bounds.iter().filter_map(number).collect();
    let (&[low, high], 2) = (&numbers[..], bounds.len()) else {
        return Err(expected().at(&span, ""));
    };
    if !(low.is_finite() && high.is_finite() && low < high) {
        return Err(Error::usage(format!(
            "`matrix.{key}` goes from {low} to {high}; the first must be the smaller"
        ))
        .at(&span, ""));
    }
    match (name.as_str(), &whole[..]) {
        ("uniform", &[first, last]) => Ok(Range::Whole(first, last)),
        ("uniform", _) => Ok(Range::Uniform([low, high])),
        ("log_uniform", _) if low > 0.0 => Ok(Range::LogUniform([low, high])),
        ("log_uniform", _) => Err(Error::usage(format!(
            "`matrix.{key}` begins at {low}, which has no logarithm"
        ))
        .at(&span, "")),
        _ => Err(expected().at(&span, "")),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value.data {
        Data::Integer(number) => Some(number),
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bounds that a person writes are far below 2^53"
)]
fn number(value: &Value) -> Option<f64> {
    match value.data {
        Data::Integer(number) => Some(number as f64),
        Data::Float(number) => Some(number),
        _ => None,
    }
}

impl Range {
    fn draw(&self, random: &mut Random, span: &Span) -> Value {
        let data = match self {
            Self::List(values) => return values[random.below(values.len())].clone(),
            Self::Whole(first, last) => {
                let count = last.abs_diff(*first).saturating_add(1);
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                let steps = i64::try_from(random.below(count)).unwrap_or(0);
                Data::Integer(first.saturating_add(steps))
            }
            Self::Uniform(bounds) => Data::Float(short(random.between(*bounds))),
            Self::LogUniform(bounds) => Data::Float(short(random.log_between(*bounds))),
        };
        Value {
            data,
            span: span.clone(),
        }
    }
}

/// Three digits of a number: enough to search with, and short enough for names.
fn short(number: f64) -> f64 {
    format!("{number:.2e}").parse().unwrap_or(number)
}

/// The keys of what was drawn, as those of a grid.
pub(super) fn axes(instances: &[Instance], span: &Span) -> Vec<Axis> {
    let keys = instances.first().into_iter().flat_map(Instance::keys);
    keys.map(|key| (key.to_owned(), span.clone(), Vec::new()))
        .collect()
}
