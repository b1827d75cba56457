//! Tables against schemas: every violation with its row, column, value and rule.

use std::collections::BTreeMap;

use polars::prelude::{AnyValue, Column};

use super::{DataSchema, Rules, Scalar, Written};
use crate::data::exact::exact;
use crate::data::table::Table;
use crate::data::types::type_name;
use crate::error::{Error, Result, closest, suggestion};

/// Violations of one rule that are shown; the others are counted.
const SHOWN: usize = 10;

/// A rule that does not hold.
#[derive(Debug, PartialEq, Eq)]
struct Broken {
    /// What should hold: "column `label` must be one of 0, 1".
    rule: String,
    /// The rows where it does not, with what is there; empty if it is about the table.
    rows: Vec<(usize, String)>,
}

impl DataSchema {
    /// Checks `table`, which `name` stands for in messages. `lines` holds the line of its file on which each row
    /// starts; it may be empty.
    ///
    /// # Errors
    /// All rules of the schema that do not hold: for each the number of violations, and the first ten of them with
    /// row, line and value.
    pub fn check(&self, name: &str, table: &Table, lines: &[usize]) -> Result<()> {
        let mut broken = self.broken_shape(table);
        for (column_name, rules) in &self.columns {
            if let Ok(column) = table.column(column_name) {
                broken.extend(rules.broken(column_name, column));
            }
        }
        for set in &self.unique {
            broken.extend(broken_set(set, table)?);
        }
        if broken.is_empty() {
            return Ok(());
        }
        let count = broken.len();
        let rules = if count == 1 { "rule" } else { "rules" };
        let error = Error::stage(format!("`{name}` breaks {count} {rules} of its schema"));
        Err(broken
            .iter()
            .fold(error, |error, broken| error.note(broken.describe(lines))))
    }

    /// Rules about the columns and rows that there are.
    fn broken_shape(&self, table: &Table) -> Vec<Broken> {
        let columns = table.columns();
        let about = |rule: String| Broken {
            rule,
            rows: Vec::new(),
        };
        let mut broken = Vec::new();
        for (name, rules) in &self.columns {
            if rules.written.required && !columns.contains(&name.as_str()) {
                let near = closest(name, columns.iter().copied());
                let near = near.map_or(String::new(), |near| {
                    format!("; {}", suggestion(name, near))
                });
                broken.push(about(format!("column `{name}` must be there{near}")));
            }
        }
        if self.strict {
            let strange = columns
                .iter()
                .filter(|name| !self.columns.contains_key(**name));
            broken.extend(strange.map(|name| about(format!("column `{name}` must not be there"))));
        }
        let rows = table.rows();
        if let Some(least) = self.min_rows.filter(|least| rows < *least) {
            broken.push(about(format!(
                "there must be at least {least} rows, and there are {rows}"
            )));
        }
        if let Some(most) = self.max_rows.filter(|most| rows > *most) {
            broken.push(about(format!(
                "there must be at most {most} rows, and there are {rows}"
            )));
        }
        broken
    }
}

impl Broken {
    /// The rule, how often it is broken, and where.
    fn describe(&self, lines: &[usize]) -> String {
        let count = self.rows.len();
        let mut text = vec![match count {
            0 => self.rule.clone(),
            1 => format!("{}; 1 row:", self.rule),
            _ => format!("{}; {count} rows:", self.rule),
        }];
        let shown = self.rows.iter().take(SHOWN);
        text.extend(shown.map(|(row, value)| format!("  {}: {value}", place(*row, lines))));
        if count > SHOWN {
            text.push(format!("  and {} more", count - SHOWN));
        }
        text.join("\n")
    }
}

fn place(row: usize, lines: &[usize]) -> String {
    match lines.get(row) {
        Some(line) => format!("row {} (line {line})", row + 1),
        None => format!("row {}", row + 1),
    }
}

impl Rules {
    fn broken(&self, name: &str, column: &Column) -> Vec<Broken> {
        let mut broken = Vec::new();
        let mut rule = |what: String, rows: Vec<(usize, String)>| {
            if !rows.is_empty() {
                broken.push(Broken {
                    rule: format!("column `{name}` {what}"),
                    rows,
                });
            }
        };
        let series = column.as_materialized_series().rechunk();
        let values: Vec<AnyValue<'_>> = series.iter().collect();
        if !self.written.nullable {
            rule(
                "must have a value".into(),
                failing(&values, |value| !value.is_null()),
            );
        }
        if let Some(kind) = self.written.kind.filter(|kind| !kind.holds(column.dtype())) {
            let words = format!("must hold {} in each row", kind.with_article());
            let rows = failing(&values, |value| {
                value.get_str().is_none_or(|text| kind.accepts(text))
            });
            if rows.is_empty() {
                let found = type_name(column.dtype());
                broken.push(Broken {
                    rule: format!("column `{name}` {words}, and its type is {found}"),
                    rows,
                });
            } else {
                rule(words, rows);
            }
            return broken;
        }
        for (what, holds) in self.value_rules() {
            rule(
                what,
                failing(&values, |value| value.is_null() || holds(value)),
            );
        }
        if self.written.unique {
            rule(
                "must not repeat a value".into(),
                repeated(values.iter().map(key)),
            );
        }
        broken
    }

    /// The rules about single values: what must hold, in words and as a test for values that are not null.
    fn value_rules(&self) -> Vec<ValueRule<'_>> {
        let Written {
            allowed,
            min_length,
            max_length,
            ..
        } = &self.written;
        let mut rules: Vec<ValueRule<'_>> = Vec::new();
        if let Some(allowed) = allowed {
            let list: Vec<_> = allowed.iter().map(Scalar::to_text).collect();
            let what = format!("must be one of {}", list.join(", "));
            rules.push((
                what,
                Box::new(|value| allowed.iter().any(|scalar| scalar.equals(value))),
            ));
        }
        if let Some(least) = *min_length {
            let what = format!("must have at least {least} characters");
            rules.push((what, Box::new(move |value| length(value) >= least)));
        }
        if let Some(most) = *max_length {
            let what = format!("must have at most {most} characters");
            rules.push((what, Box::new(move |value| length(value) <= most)));
        }
        if let Some(pattern) = &self.pattern {
            let what = format!("must match the pattern {pattern}");
            let matches =
                |value: &AnyValue<'_>| value.get_str().is_some_and(|text| pattern.is_match(text));
            rules.push((what, Box::new(matches)));
        }
        for (kind, bound) in self.written.bounds() {
            if let Some(bound) = bound {
                let what = format!("must be {} {bound}", kind.words());
                let holds = move |value: &AnyValue<'_>| {
                    value
                        .extract::<f64>()
                        .is_some_and(|value| kind.holds(value, bound))
                };
                rules.push((what, Box::new(holds)));
            }
        }
        rules
    }
}

type ValueRule<'r> = (String, Box<dyn Fn(&AnyValue<'_>) -> bool + 'r>);

fn length(value: &AnyValue<'_>) -> usize {
    value.get_str().map_or(0, |text| text.chars().count())
}

impl Scalar {
    fn to_text(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::String(value) => format!("{value:?}"),
        }
    }

    fn equals(&self, value: &AnyValue<'_>) -> bool {
        match self {
            Self::Boolean(wanted) => *value == AnyValue::Boolean(*wanted),
            Self::Integer(wanted) => value.extract::<i64>() == Some(*wanted) && value.is_integer(),
            Self::Number(wanted) => value.extract::<f64>() == Some(*wanted),
            Self::String(wanted) => value.get_str() == Some(wanted),
        }
    }
}

/// The rows whose value does not pass, and the value.
fn failing(
    values: &[AnyValue<'_>],
    passes: impl Fn(&AnyValue<'_>) -> bool,
) -> Vec<(usize, String)> {
    let rows = values
        .iter()
        .enumerate()
        .filter(|(_, value)| !passes(value));
    rows.map(|(row, value)| (row, shown(value))).collect()
}

/// A value as it stands in messages.
fn shown(value: &AnyValue<'_>) -> String {
    const LONGEST: usize = 80;
    let text = match value {
        AnyValue::Null => "nothing".to_owned(),
        value => value
            .get_str()
            .map_or_else(|| exact(value), |text| format!("{text:?}")),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What a value is compared by; none for null, which equals nothing.
fn key(value: &AnyValue<'_>) -> Option<String> {
    (!value.is_null()).then(|| exact(value))
}

/// The rows whose key an earlier row has, and that row.
fn repeated<K: Ord>(keys: impl Iterator<Item = Option<K>>) -> Vec<(usize, String)> {
    let mut first = BTreeMap::new();
    let mut rows = Vec::new();
    for (row, key) in keys.enumerate() {
        let Some(key) = key else { continue };
        let earlier = *first.entry(key).or_insert(row);
        if earlier != row {
            rows.push((row, format!("the same as in row {}", earlier + 1)));
        }
    }
    rows
}

/// Checks that the values of several columns together do not repeat.
fn broken_set(set: &[String], table: &Table) -> Result<Option<Broken>> {
    let columns = set
        .iter()
        .map(|name| Ok(table.column(name)?.as_materialized_series().rechunk()))
        .collect::<Result<Vec<_>>>()?;
    let keys = (0..table.rows()).map(|row| {
        let values = columns
            .iter()
            .map(|column| column.get(row).ok().as_ref().and_then(key));
        values.collect::<Option<Vec<_>>>()
    });
    let rows = repeated(keys);
    let names: Vec<_> = set.iter().map(|name| format!("`{name}`")).collect();
    Ok((!rows.is_empty()).then(|| Broken {
        rule: format!("columns {} together must not repeat", names.join(", ")),
        rows,
    }))
}
