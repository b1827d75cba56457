//! A data schema that fits a table, with some room for rows that are still to come.

use std::fmt::Write as _;

use crate::data::facts::{ColumnFacts, Facts, Shape};
use crate::data::types::Type;
use crate::names::{is_name, quoted};

/// The most values that a column may have for them to be listed.
const FEW: usize = 20;

/// The same for whole numbers, which may as well be amounts.
const FEW_NUMBERS: usize = 10;

/// The most characters of a value that is listed.
const LONGEST: f64 = 60.0;

/// A file with a data schema that the table passes of which `facts` are: types, what may be missing, the values of columns with few,
/// bounds that leave some room. `title` says in a line what it is of.
#[must_use]
pub fn guess(facts: &Facts, title: &str) -> String {
    let mut text = format!("# {}\n", title.replace(|c: char| c.is_control(), " "));
    for column in &facts.columns {
        let name = &column.name;
        let key = if is_name(name) {
            name.clone()
        } else {
            quoted(name)
        };
        let _ = writeln!(text, "\n[columns.{key}]");
        describe(column, facts.rows, &mut text);
    }
    text
}

fn describe(column: &ColumnFacts, rows: usize, text: &mut String) {
    let mut line = |what: String| {
        text.push_str(&what);
        text.push('\n');
    };
    if let Shape::Of(kind) = column.shape {
        line(format!("type = \"{}\"", word(kind)));
    }
    if column.nulls > 0 {
        line(format!(
            "nullable = true # {} of {rows} rows have no value",
            column.nulls
        ));
    }
    if let Some(allowed) = allowed(column, rows - column.nulls) {
        line(format!("allowed = [{}]", allowed.join(", ")));
        return;
    }
    if let (Shape::Of(Type::String), Some((least, _, _))) = (column.shape, column.characters)
        && least > 0
    {
        line("min_length = 1".into());
    }
    if let Some(numbers) = &column.numbers {
        let minimum = if numbers.least >= 0.0 {
            0.0
        } else {
            -round_up(-numbers.least)
        };
        line(format!(
            "minimum = {} # the least is {}",
            written(minimum),
            written(numbers.least)
        ));
        // A number for each row goes on with the rows.
        let is_count = column.shape == Shape::Of(Type::Integer) && column.distinct == rows;
        if !is_count {
            let maximum = if numbers.most <= 0.0 {
                0.0
            } else {
                round_up(numbers.most)
            };
            line(format!(
                "maximum = {} # the largest is {}",
                written(maximum),
                written(numbers.most)
            ));
        }
    }
}

fn word(kind: Type) -> &'static str {
    match kind {
        Type::String => "string",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
        Type::Date => "date",
        Type::Datetime => "datetime",
    }
}

/// The values that the column may have, as TOML, if they are few and come again and again.
fn allowed(column: &ColumnFacts, present: usize) -> Option<Vec<String>> {
    let values = column.values.as_ref().filter(|values| !values.is_empty())?;
    let again = present >= 3 * values.len();
    match column.shape {
        Shape::Of(Type::String) if again && values.len() <= FEW => {
            let short = column
                .characters
                .is_some_and(|(_, mean, _)| mean <= LONGEST);
            short.then(|| values.keys().map(|value| quoted(value)).collect())
        }
        Shape::Of(Type::Integer) if again && values.len() <= FEW_NUMBERS => {
            let numbers = values.keys().map(|value| value.parse::<i64>().ok());
            let mut numbers = numbers.collect::<Option<Vec<_>>>()?;
            numbers.sort_unstable();
            Some(numbers.iter().map(i64::to_string).collect())
        }
        _ => None,
    }
}

/// A number as TOML has it, whose whole numbers have 64 bits.
fn written(number: f64) -> String {
    if number.abs() >= 1e15 {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

/// The smallest of 1, 2, 5, 10, 20, 50 … that is not below `number`, which is above 0.
fn round_up(number: f64) -> f64 {
    let power = 10f64.powf(number.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let found = steps.into_iter().find(|step| *step >= number);
    // Powers of ten are not exact at the ends of what a number can be.
    found.filter(|step| step.is_finite()).unwrap_or(number)
}
