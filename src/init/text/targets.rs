//! What the values of a column can be learnt as, and by which task.

use std::collections::BTreeSet;

use super::{Samples, columns_told, length};
use crate::data::facts::{ColumnFacts, Facts, Numbers, Shape};
use crate::data::{Table, Type, labels, targets};
use crate::error::{Error, Result};
use crate::models::{Modality, Problem};
use crate::tasks::{self, Task};

/// The fewest rows that a part can be measured on and another learnt from.
pub(super) const FEWEST_ROWS: usize = 8;

/// The most whole numbers that are taken for labels, and not for amounts.
const MOST_NUMBERS: usize = 20;

/// What the values of a column are to be learnt as.
#[derive(Debug)]
pub(super) enum Targets {
    /// One of these labels.
    One(Vec<String>),
    /// Any number of these labels, in lists or with this between them.
    Several(Vec<String>, Option<char>),
    /// A number.
    Number(Numbers),
    /// One of so many tags for each word.
    Tags(usize),
}

impl Targets {
    pub(super) fn problem(&self) -> Problem {
        match self {
            Self::One(_) => Problem::SingleLabelClassification,
            Self::Several(..) => Problem::MultiLabelClassification,
            Self::Number(_) => Problem::Regression,
            Self::Tags(_) => Problem::TokenClassification,
        }
    }
}

/// What can be learnt as `task`, of those that a project can be made for.
pub(super) fn problem(task: &'static Task) -> Result<Problem> {
    let problem = task.targets.problem();
    let possible = [
        Problem::SingleLabelClassification,
        Problem::MultiLabelClassification,
        Problem::Regression,
        Problem::TokenClassification,
    ];
    if task.modality == Modality::Texts && possible.contains(&problem) {
        return Ok(problem);
    }
    let known = tasks::TASKS.iter().filter(|task| {
        task.modality == Modality::Texts && possible.contains(&task.targets.problem())
    });
    let known: Vec<&str> = known.map(|task| task.name).collect();
    Err(
        Error::usage(format!("no project can be made for {} yet", task.name))
            .help(format!("name one of {}, or none", known.join(", "))),
    )
}

/// The task that learns `found`.
pub(super) fn task(found: &Targets) -> Result<&'static Task> {
    let fits = |task: &&&Task| {
        task.modality == Modality::Texts && task.targets.problem() == found.problem()
    };
    let found = tasks::TASKS.iter().find(fits).copied();
    found.ok_or_else(|| Error::usage("there is no task for such targets"))
}

/// The error for a table without a column of labels.
pub(super) fn no_targets(shown: &str, facts: &Facts, samples: Samples<'_>) -> Error {
    let others = facts
        .columns
        .iter()
        .filter(|column| !samples.has(&column.name));
    let same: Vec<&ColumnFacts> = others.filter(|column| column.distinct == 1).collect();
    let error =
        Error::usage(format!("no column of `{shown}` holds labels")).note(columns_told(facts));
    match same.as_slice() {
        [column] => error.help(format!(
            "all rows have the same value in `{}`: with another one there is something to learn",
            column.name
        )),
        _ => error.help(
            "labels are values that come again and again, lists of them, or numbers; name the column if it is there: --label-column",
        ),
    }
}

/// The error for a column that was named and holds no targets.
pub(super) fn unfit(
    shown: &str,
    column: &ColumnFacts,
    rows: usize,
    asked: Option<Problem>,
) -> Error {
    let name = &column.name;
    if column.distinct < 2 {
        return Error::usage(format!(
            "all rows of `{shown}` have the same value in column `{name}`"
        ))
        .help("with another one there is something to learn");
    }
    let error = Error::usage(format!(
        "column `{name}` of `{shown}` holds nothing that can be learnt"
    ));
    match asked {
        Some(problem) => error.note(format!("not as {}", problem.name().replace('_', " "))),
        None => error.note(format!(
            "{rows} rows have {} distinct values",
            column.distinct
        )),
    }
}

/// What the values of `column` can be learnt as, if as anything.
pub(super) fn look(
    table: &Table,
    column: &ColumnFacts,
    asked: Option<Problem>,
) -> Result<Option<Targets>> {
    let present = table.rows() - column.nulls;
    let may = |problem: Problem| asked.is_none_or(|asked| asked == problem);
    if column.distinct < 2 || present < FEWEST_ROWS {
        return Ok(None);
    }
    let labels = |values: Vec<String>| {
        let mut values = values;
        values.retain(|value| !value.is_empty());
        labels::sort(&mut values);
        values
    };
    let values = || {
        let values = column
            .values
            .as_ref()
            .map(|values| values.keys().cloned().collect());
        labels(values.unwrap_or_default())
    };
    let is_number = matches!(column.shape, Shape::Of(Type::Integer | Type::Number));
    let come_again = column.distinct * 3 <= present;
    if may(Problem::Regression)
        && column.shape == Shape::Of(Type::String)
        && (column.distinct > MOST_NUMBERS || asked.is_some())
        && let Some(numbers) = numerals(table, column)?
    {
        return Ok(Some(Targets::Number(numbers)));
    }
    let one = match column.shape {
        Shape::Of(Type::Boolean) => true,
        Shape::Of(Type::Integer) => {
            column.values.is_some()
                && (asked.is_some() || come_again && column.distinct <= MOST_NUMBERS)
        }
        Shape::Of(Type::String) => column.values.is_some() && come_again && length(column) <= 80.0,
        _ => false,
    };
    if may(Problem::MultiLabelClassification) {
        if column.shape == Shape::Lists && column.values.is_some() {
            return Ok(Some(Targets::Several(values(), None)));
        }
        if column.shape == Shape::Of(Type::String)
            && let Some(found) = joined(table, column)?
        {
            return Ok(Some(found));
        }
    }
    if one && may(Problem::SingleLabelClassification) && values().len() > 1 {
        return Ok(Some(Targets::One(values())));
    }
    // A number for each row is what the row is called.
    let is_name = column.shape == Shape::Of(Type::Integer) && column.distinct == present;
    if is_number && may(Problem::Regression) && (!is_name || asked.is_some()) {
        return Ok(column.numbers.map(Targets::Number));
    }
    Ok(None)
}

/// What the numbers of a column of text come to, such as `5.000` beside `4.5`, which a table does not take for numbers by itself.
fn numerals(table: &Table, column: &ColumnFacts) -> Result<Option<Numbers>> {
    let texts = table.as_text(&column.name)?;
    let mut texts = texts.iter().flatten().peekable();
    if texts
        .peek()
        .is_none_or(|first| first.trim().parse::<f64>().is_err())
    {
        return Ok(None);
    }
    let numbers = texts.map(|text| text.trim().parse::<f64>().ok());
    let numbers: Option<Vec<f64>> = numbers.collect();
    Ok(numbers.as_deref().and_then(Numbers::of))
}

/// Labels that stand in texts with a character between them: few of them, again and again.
fn joined(table: &Table, column: &ColumnFacts) -> Result<Option<Targets>> {
    for separator in [',', ';', '|'] {
        let lists = targets::label_lists(table, &column.name, Some(&separator.to_string()))?;
        let several = lists.iter().filter(|list| list.len() > 1).count();
        let all: usize = lists.iter().map(Vec::len).sum();
        let joined = lists.iter().filter(|list| list.len() > 1).flatten();
        let joined: BTreeSet<String> = joined.cloned().collect();
        let mut distinct: Vec<String> = lists.into_iter().flatten().collect();
        distinct.sort();
        distinct.dedup();
        let short = distinct.iter().all(|label| label.chars().count() <= 60);
        // Labels that hold the character would fall into parts that come nowhere else.
        let fewer = distinct.len() * 3 <= column.distinct * 2;
        let alone = column.values.iter().flatten().any(|(value, _)| {
            distinct.contains(value) && !value.contains(separator) && joined.contains(value)
        });
        if several > 0
            && short
            && (fewer || alone)
            && distinct.len() > 1
            && distinct.len() * 3 <= all
            && distinct.len() <= 200
        {
            labels::sort(&mut distinct);
            return Ok(Some(Targets::Several(distinct, Some(separator))));
        }
    }
    Ok(None)
}

/// In how many rows `column` has no target.
pub(super) fn missing(column: &ColumnFacts, found: &Targets) -> usize {
    match found {
        Targets::Several(_, Some(_)) => 0,
        Targets::One(_) => {
            let empty = column.values.as_ref().and_then(|values| values.get(""));
            column.nulls + empty.copied().unwrap_or(0)
        }
        _ => column.nulls,
    }
}
