//! The values of a column → classes: indices into a list of labels.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::DataType;

use super::table::Table;
use super::types::number;
use crate::error::{Error, Result};

/// The class of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    /// Indices into the labels.
    pub of_rows: Vec<u32>,
    /// Which value was taken for which label where only its place in the list says so: `0 = negative, 1 = positive`.
    pub by_position: Option<String>,
}

/// The class of each row by column `name` of `table`.
///
/// A value is the label that is written like it. A boolean or a number is also the label that reads as the same value:
/// `True`, `yes` and `1` read as true, `1.0` as 1. Integers and booleans are places in `labels` only where no label
/// reads as a boolean or a number, as in Hugging Face's data sets: 0 (or false) is the first.
///
/// # Errors
/// No such column, a row without label, a label that is not in `labels`, a boolean that two of `labels` read as.
pub fn classes(table: &Table, name: &str, labels: &[String]) -> Result<Classes> {
    let naming = Naming::new(table.column(name)?.dtype(), labels);
    let values = table.values(name)?;
    let mut known: BTreeMap<&str, Option<u32>> = BTreeMap::new();
    for value in &values {
        if !known.contains_key(value.as_str()) {
            known.insert(value, naming.class(value)?);
        }
    }
    let classes = values.iter().map(|value| known[value.as_str()]);
    let Some(of_rows) = classes.clone().collect() else {
        let strange: Vec<bool> = classes.map(|class| class.is_none()).collect();
        return Err(naming.strange(name, &values, &strange));
    };
    Ok(Classes {
        of_rows,
        by_position: naming.by_position.then(|| naming.pairs()),
    })
}

/// The values of column `name` of `table` as labels, sorted.
///
/// # Errors
/// No such column, a row without label, values that never come twice.
pub fn found(table: &Table, name: &str) -> Result<Vec<String>> {
    let values = table.values(name)?;
    let rows = values.len();
    let labels: BTreeSet<String> = values.into_iter().collect();
    if rows > 2 && labels.len() == rows {
        return Err(Error::stage(format!(
            "each of the {rows} rows has a label of its own in column `{name}`"
        ))
        .help("name the column of the labels with `target_column`, or list `labels`"));
    }
    let mut labels: Vec<String> = labels.into_iter().collect();
    sort(&mut labels);
    Ok(labels)
}

/// Sorts labels: by their numbers if all are numbers, else by their letters.
pub fn sort(labels: &mut [String]) {
    let numbers = |label: &String| number(label);
    if labels.iter().all(|label| numbers(label).is_some()) {
        labels.sort_by(|one, other| {
            let (one, other) = (numbers(one), numbers(other));
            one.unwrap_or(0.0).total_cmp(&other.unwrap_or(0.0))
        });
    } else {
        labels.sort();
    }
}

/// How the values of a column name labels.
struct Naming<'l> {
    labels: &'l [String],
    /// The number that each label reads as.
    numbers: Vec<Option<f64>>,
    boolean: bool,
    text: bool,
    by_position: bool,
}

/// Beyond it, two whole numbers may be one float.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl<'l> Naming<'l> {
    fn new(dtype: &DataType, labels: &'l [String]) -> Self {
        let numbers: Vec<_> = labels.iter().map(|label| reads_as(label, labels)).collect();
        let places = dtype.is_bool() || dtype.is_integer();
        Self {
            by_position: places && numbers.iter().all(Option::is_none),
            boolean: dtype.is_bool(),
            text: !dtype.is_bool() && !dtype.is_primitive_numeric(),
            labels,
            numbers,
        }
    }

    /// The class that `value` names.
    fn class(&self, value: &str) -> Result<Option<u32>> {
        let written = self.labels.iter().position(|label| label == value);
        let class = match written {
            Some(class) => Some(class),
            None if self.by_position => self.places().position(|place| place == value),
            None if self.text => None,
            None => self.with_number(value)?,
        };
        Ok(class.and_then(|class| u32::try_from(class).ok()))
    }

    /// The class whose label reads as the same number as `value`.
    fn with_number(&self, value: &str) -> Result<Option<usize>> {
        let wanted = boolean(value).map_or_else(|| number(value), |truth| Some(truth.into()));
        let Some(wanted) = wanted.filter(|number: &f64| number.abs() < EXACT) else {
            return Ok(None);
        };
        let is_same = |class: &usize| self.numbers[*class] == Some(wanted);
        let same: Vec<usize> = (0..self.labels.len()).filter(is_same).collect();
        match same[..] {
            [] => Ok(None),
            [only] => Ok(Some(only)),
            [one, other, ..] => Err(Error::stage(format!(
                "the label `{value}` could be `{}` or `{}`",
                self.labels[one], self.labels[other]
            ))
            .help(format!("write one of them as the data does: `{value}`"))),
        }
    }

    /// The values that stand for the labels in their order.
    fn places(&self) -> impl Iterator<Item = String> {
        let boolean = self.boolean;
        let most = if boolean { 2 } else { usize::MAX };
        (0..self.labels.len().min(most)).map(move |place| match (boolean, place) {
            (true, 0) => "false".to_owned(),
            (true, _) => "true".to_owned(),
            (false, place) => place.to_string(),
        })
    }

    /// Which value stands for which label: `0 = negative, 1 = positive`.
    fn pairs(&self) -> String {
        let pairs = self.places().zip(self.labels);
        let pairs: Vec<_> = pairs
            .map(|(place, label)| format!("{place} = {label}"))
            .collect();
        match &pairs[..] {
            [first @ .., last] if first.len() > 10 => {
                format!("{}, …, {last}", first[..10].join(", "))
            }
            all => all.join(", "),
        }
    }

    /// The error for the first of the `strange` rows of column `column`, whose labels no class has.
    fn strange(&self, column: &str, values: &[String], strange: &[bool]) -> Error {
        let row = strange.iter().position(|strange| *strange).unwrap_or(0);
        let count = strange.iter().filter(|strange| **strange).count();
        let value = &values[row];
        let (known, names) = if self.by_position {
            (self.pairs(), self.places().collect())
        } else {
            (self.labels.join(", "), self.labels.to_vec())
        };
        let distinct: BTreeSet<&str> = values.iter().map(String::as_str).collect();
        let mut some: Vec<_> = distinct.iter().take(10).copied().collect();
        if distinct.len() > some.len() {
            some.push("…");
        }
        let have = if count == 1 { "row has" } else { "rows have" };
        Error::stage(format!(
            "row {} has the label `{value}` in column `{column}`, which is not in `labels`",
            row + 1
        ))
        .note(format!("`labels`: {known}"))
        .note(format!("labels in the data: {}", some.join(", ")))
        .note(format!(
            "{count} of {} {have} a label that is not in `labels`",
            values.len()
        ))
        .did_you_mean(value, names.iter().map(String::as_str))
    }
}

const FALSE: [&str; 6] = ["false", "0", "no", "n", "f", "off"];
const TRUE: [&str; 6] = ["true", "1", "yes", "y", "t", "on"];

/// The boolean that `word` can be read as.
fn boolean(word: &str) -> Option<bool> {
    let word = word.trim().to_lowercase();
    [(&FALSE, false), (&TRUE, true)]
        .into_iter()
        .find_map(|(words, truth)| words.contains(&&*word).then_some(truth))
}

/// The number that `label`, one of `labels`, reads as: 1 for true, 0 for false.
///
/// Words that mean other things as well, such as `no` for Norwegian, are booleans only beside one of the opposite.
fn reads_as(label: &str, labels: &[String]) -> Option<f64> {
    let truth = boolean(label)
        .filter(|truth| {
            let opposite = |other: &String| boolean(other) == Some(!truth);
            ["false", "true"].contains(&&*label.trim().to_lowercase())
                || labels.iter().any(opposite)
        })
        .map(f64::from);
    truth.or_else(|| number(label.trim()))
}

#[cfg(test)]
mod tests {
    use polars::prelude::{DataFrame, PolarsResult, df};

    use super::*;

    fn read(frame: PolarsResult<DataFrame>, labels: &[&str]) -> Result<Classes> {
        let labels: Vec<_> = labels.iter().map(|label| (*label).to_owned()).collect();
        classes(&Table::new(frame.expect("a frame")), "y", &labels)
    }

    /// Classes that the labels' names alone decide.
    fn by_value(frame: PolarsResult<DataFrame>, labels: &[&str]) -> Vec<u32> {
        let classes = read(frame, labels).expect("classes");
        assert_eq!(classes.by_position, None, "{labels:?}");
        classes.of_rows
    }

    #[test]
    fn booleans_are_the_labels_that_mean_them_whatever_their_order() {
        let pairs = [
            ["false", "true"],
            ["False", "True"],
            ["no", "YES"],
            ["0", "1"],
            ["n", "y"],
            ["F", "T"],
            ["off", "true"],
            ["0.0", "1.0"],
        ];
        for [no, yes] in pairs {
            let booleans = || df!("y" => [true, false, true]);
            assert_eq!(by_value(booleans(), &[yes, no]), [0, 1, 0]);
            assert_eq!(by_value(booleans(), &[no, yes]), [1, 0, 1]);
            assert_eq!(by_value(df!("y" => [1i64, 0]), &[yes, no]), [0, 1]);
            assert_eq!(by_value(df!("y" => [1.0, 0.0]), &[yes, no]), [0, 1]);
        }
    }

    #[test]
    fn numbers_are_the_labels_of_the_same_value() {
        let stars = || df!("y" => [1i64, 5]);
        assert_eq!(by_value(stars(), &["5", "1"]), [1, 0]);
        assert_eq!(by_value(stars(), &["5.0", "1.0"]), [1, 0]);
        assert_eq!(by_value(df!("y" => [1.0, 5.0]), &["5", "1"]), [1, 0]);
        let error = read(df!("y" => [0i64, 1]), &["1", "2"]).expect_err("no label for 0");
        assert_eq!(
            error.message(),
            "row 1 has the label `0` in column `y`, which is not in `labels`"
        );
        let close = read(
            df!("y" => [9_007_199_254_740_992i64]),
            &["9007199254740993", "1"],
        );
        assert!(close.is_err(), "two numbers that are one float");
    }

    #[test]
    fn a_label_that_is_a_value_leaves_no_place_for_positions() {
        for labels in [["0", "positive"], ["true", "other"], ["1e0", "zero"]] {
            for frame in [df!("y" => [1i64, 0]), df!("y" => [true, false])] {
                let error = read(frame, &labels).expect_err("not by position");
                assert!(error.message().contains("is not in `labels`"), "{error}");
            }
        }
    }

    #[test]
    fn two_labels_for_one_value_are_refused() {
        let error = read(df!("y" => [true, false]), &["True", "TRUE", "no"]).expect_err("two");
        assert_eq!(
            error.message(),
            "the label `true` could be `True` or `TRUE`"
        );
        assert_eq!(by_value(df!("y" => [true]), &["true", "TRUE"]), [0]);
    }

    #[test]
    fn places_count_where_labels_have_other_names() {
        let labels = ["negative", "positive"];
        let read_pair = |frame| {
            let Classes {
                of_rows,
                by_position,
            } = read(frame, &labels).expect("classes");
            (of_rows, by_position.expect("by position"))
        };
        let (rows, pairs) = read_pair(df!("y" => [1i64, 0]));
        assert_eq!((rows, &*pairs), (vec![1, 0], "0 = negative, 1 = positive"));
        let (rows, pairs) = read_pair(df!("y" => [true, false]));
        assert_eq!(
            (rows, &*pairs),
            (vec![1, 0], "false = negative, true = positive")
        );
        // Norwegian and German.
        let languages = read(df!("y" => [1i64, 0]), &["no", "de"]).expect("classes");
        assert_eq!(languages.of_rows, [1, 0]);
        assert!(languages.by_position.is_some());

        let error = read(df!("y" => [1i64, 0, 2]), &labels).expect_err("three classes");
        assert_eq!(
            error.message(),
            "row 3 has the label `2` in column `y`, which is not in `labels`"
        );
        assert_eq!(error.notes()[0], "`labels`: 0 = negative, 1 = positive");
        // Numbers as text are names, and there are no such names; a float is no place.
        assert!(read(df!("y" => ["1", "0"]), &labels).is_err());
        assert!(read(df!("y" => [1.0, 0.0]), &labels).is_err());
    }

    #[test]
    fn labels_of_a_table_are_sorted_by_number_or_letter() {
        let found =
            |frame: PolarsResult<DataFrame>| found(&Table::new(frame.expect("a frame")), "y");
        assert_eq!(
            found(df!("y" => [10i64, 9, 9, 1])).expect("labels"),
            ["1", "9", "10"]
        );
        assert_eq!(
            found(df!("y" => ["b", "a", "b"])).expect("labels"),
            ["a", "b"]
        );
        assert_eq!(
            found(df!("y" => [true, false, true])).expect("labels"),
            ["false", "true"]
        );
        let error = found(df!("y" => ["x", "y", "z"])).expect_err("no labels");
        assert!(error.message().contains("a label of its own"), "{error}");
    }

    #[test]
    fn many_pairs_are_cut() {
        let labels: Vec<String> = (0..20).map(|class| format!("class {class}")).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let pairs = read(df!("y" => [0i64]), &labels)
            .expect("classes")
            .by_position;
        let pairs = pairs.expect("by position");
        assert!(pairs.starts_with("0 = class 0, 1 = class 1, "), "{pairs}");
        assert!(pairs.ends_with("9 = class 9, …, 19 = class 19"), "{pairs}");
    }

    #[test]
    fn a_strange_label_is_named_with_row_and_list() {
        let frame = df!("y" => ["positive", "postive", "x"]);
        let error = read(frame, &["negative", "positive"]).expect_err("strange");
        assert_eq!(
            error.message(),
            "row 2 has the label `postive` in column `y`, which is not in `labels`"
        );
        assert_eq!(error.help_text(), Some("did you mean `positive`?"));
        assert_eq!(
            error.notes(),
            [
                "`labels`: negative, positive",
                "labels in the data: positive, postive, x",
                "2 of 3 rows have a label that is not in `labels`"
            ]
        );
    }
}
