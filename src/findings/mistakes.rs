//! The samples of which a model was most sure, and wrong, or furthest from the truth: from a test's predictions and what it was tested on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::artifacts::Artifacts;
use super::{Known, upstream};
use crate::data::{Table, images, words as of_words};
use crate::error::Result;
use crate::fingerprint::{Fingerprint, Role};
use crate::page::{Mistake, Mistakes};

/// The port with what a model says of each sample.
pub(super) const PREDICTIONS: &str = "predictions";

/// So many are shown.
const MOST: usize = 20;
/// So many of images, each of which takes some kilobytes.
const MOST_IMAGES: usize = 24;
/// No side of a small picture is longer.
const SIDE: u32 = 96;
/// So many characters of a text are shown.
const LONGEST_TEXT: usize = 500;

/// The predictions of a test, column by column.
struct Predictions {
    rows: Vec<usize>,
    truth: Vec<String>,
    predicted: Vec<String>,
    confidence: Vec<Option<f64>>,
    loss: Vec<Option<f64>>,
    /// Whether they are numbers, of which hardly one is quite right.
    are_numbers: bool,
}

/// What the column is called with what a model says: a label, several of them or one a word, a number.
const SAID: [&str; 3] = ["label", "labels", "prediction"];

/// The most confident mistakes of the stage at `place`; none if it makes no predictions that can be right or wrong.
pub(super) fn mistakes(
    artifacts: &Artifacts<'_>,
    known: &[Known<'_>],
    place: usize,
) -> Result<Option<Mistakes>> {
    let Known {
        record: Some(record),
        ..
    } = &known[place]
    else {
        return Ok(None);
    };
    let Some(artifact) = record.outputs.get(PREDICTIONS) else {
        return Ok(None);
    };
    let Some(table) = artifacts.table(artifact)? else {
        return Ok(None);
    };
    let Some(predictions) = read(&table)? else {
        return Ok(None);
    };
    let mut wrong: Vec<usize> = (0..predictions.rows.len())
        .filter(|at| {
            predictions.are_numbers || predictions.truth[*at] != predictions.predicted[*at]
        })
        .collect();
    let sure = |at: &usize| {
        predictions.confidence[*at]
            .or(predictions.loss[*at])
            .unwrap_or(0.0)
    };
    wrong.sort_by(|one, other| sure(other).total_cmp(&sure(one)));
    let has_images = upstream(known, place, "images").is_some();
    let shown = wrong
        .iter()
        .take(if has_images { MOST_IMAGES } else { MOST });
    let mut worst: Vec<Mistake> = shown
        .map(|at| Mistake {
            row: predictions.rows[*at],
            truth: predictions.truth[*at].clone(),
            predicted: predictions.predicted[*at].clone(),
            confidence: predictions.confidence[*at],
            loss: predictions.loss[*at],
            ..Mistake::default()
        })
        .collect();
    add_samples(artifacts, known, place, &mut worst)?;
    Ok(Some(Mistakes {
        worst,
        wrong: wrong.len(),
        samples: predictions.rows.len(),
        are_errors: predictions.are_numbers,
    }))
}

fn read(table: &Table) -> Result<Option<Predictions>> {
    let columns = table.columns();
    let truth: Vec<&&str> = columns
        .iter()
        .filter(|name| name.starts_with("truth"))
        .collect();
    let said = SAID.into_iter().find(|name| columns.contains(name));
    let ([truth], Some(said)) = (truth.as_slice(), said) else {
        return Ok(None);
    };
    let is_label = said == "label";
    let numbers = |name: &str| -> Result<Vec<Option<f64>>> {
        let values = table.as_text(name)?.into_iter();
        Ok(values.map(|value| value?.parse().ok()).collect())
    };
    let text = |name: &str| -> Result<Vec<String>> {
        Ok(table
            .as_text(name)?
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect())
    };
    let mut confidence = vec![None; table.rows()];
    for name in columns
        .iter()
        .filter(|name| is_label && name.starts_with("probability_"))
    {
        for (most, value) in confidence.iter_mut().zip(numbers(name)?) {
            *most = f64::max(most.unwrap_or(0.0), value.unwrap_or(0.0)).into();
        }
    }
    // Pieces of texts are samples, too, and no rows of the table that was tested.
    let rows = if columns.contains(&"row") {
        let rows = text("row")?;
        rows.iter().map(|row| row.parse().unwrap_or(0)).collect()
    } else {
        vec![0; table.rows()]
    };
    Ok(Some(Predictions {
        are_numbers: said == "prediction",
        rows,
        truth: words(table, truth, ", ")?,
        predicted: words(table, said, ", ")?,
        confidence,
        loss: if columns.contains(&"loss") {
            numbers("loss")?
        } else {
            vec![None; table.rows()]
        },
    }))
}

/// The values of a column, of lists with `between` between two of their words.
fn words(table: &Table, column: &str, between: &str) -> Result<Vec<String>> {
    if let Ok(values) = table.as_text(column) {
        return Ok(values.into_iter().map(Option::unwrap_or_default).collect());
    }
    let lists = of_words::lists(table, column, 0)?;
    Ok(lists.iter().map(|list| list.join(between)).collect())
}

/// Adds the texts or the images that were taken for something else.
fn add_samples(
    artifacts: &Artifacts<'_>,
    known: &[Known<'_>],
    place: usize,
    worst: &mut [Mistake],
) -> Result<()> {
    if let Some((_, artifact)) = upstream(known, place, "images") {
        let Some(laid) = artifacts.images(&artifact)? else {
            return Ok(());
        };
        for mistake in worst {
            let Some(index) = mistake
                .row
                .checked_sub(1)
                .filter(|index| *index < laid.content.len())
            else {
                continue;
            };
            mistake.text = laid.content.path(index).into();
            let picture = images::thumbnail(&laid.content, index, SIDE)?;
            mistake.image = Some(format!(
                "data:image/webp;base64,{}",
                STANDARD.encode(picture)
            ));
        }
        return Ok(());
    }
    let Some((_, artifact)) = upstream(known, place, "table") else {
        return Ok(());
    };
    let Some(table) = artifacts.table(&artifact)? else {
        return Ok(());
    };
    let columns = text_columns(artifacts, known, place, &table);
    let rows: Vec<Option<usize>> = worst
        .iter()
        .map(|mistake| mistake.row.checked_sub(1).filter(|row| *row < table.rows()))
        .collect();
    let there: Vec<usize> = rows.iter().flatten().copied().collect();
    let some = table.take(&there)?;
    let mut texts = vec![String::new(); there.len()];
    for column in &columns {
        for (text, value) in texts.iter_mut().zip(words(&some, column, " ")?) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&cut(&value));
        }
    }
    let mut texts = texts.into_iter();
    for (mistake, row) in worst.iter_mut().zip(rows) {
        if row.is_some() {
            mistake.text = texts.next().unwrap_or_default();
        }
    }
    Ok(())
}

/// The columns with texts: those that the test names, else those that its model was tuned on.
fn text_columns(
    artifacts: &Artifacts<'_>,
    known: &[Known<'_>],
    place: usize,
    table: &Table,
) -> Vec<String> {
    let fingerprint = known[place]
        .record
        .map(|record| Fingerprint::from_explanation(record.explanation.iter()));
    let model = upstream(known, place, "model");
    let card = model.and_then(|(_, artifact)| artifacts.json(&artifact, "refire.json"));
    let column = |name: &str| {
        let set = fingerprint
            .as_ref()
            .and_then(|print| print.value(Role::Setting, name));
        let set = set.map(super::stages::plain);
        let tuned = || {
            let settings = card.as_ref()?.pointer("/training/settings")?;
            Some(settings.get(name)?.as_str()?.to_owned())
        };
        set.or_else(tuned)
    };
    let named = ["text_column", "text_pair_column"]
        .into_iter()
        .filter_map(column);
    named
        .filter(|name| table.columns().contains(&name.as_str()))
        .collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(which: &str) -> Table {
        let rows = ["3", "1", "2"].map(|row| Some(row.to_owned()));
        let table = Table::of_rows(3).with_values(which, &rows);
        table
            .and_then(|table| table.with_text("truth", &["a", "b", "a"]))
            .and_then(|table| table.with_text("label", &["b", "b", "b"]))
            .and_then(|table| table.with_numbers("probability_a", &[0.25, 0.125, 0.375]))
            .and_then(|table| table.with_numbers("probability_b", &[0.75, 0.875, 0.625]))
            .and_then(|table| table.with_numbers("loss", &[1.5, 0.25, 1.0]))
            .expect("a table")
    }

    #[test]
    fn predictions_are_read_by_their_columns() {
        let found = read(&table("row")).expect("readable").expect("predictions");
        assert_eq!(found.rows, [3, 1, 2]);
        assert_eq!(found.confidence, [0.75, 0.875, 0.625].map(Some));
        assert_eq!(found.loss, [1.5, 0.25, 1.0].map(Some));
        // Pieces of texts are no rows: no text is looked up for them.
        let pieces = read(&table("sample"))
            .expect("readable")
            .expect("predictions");
        assert_eq!(pieces.rows, [0, 0, 0]);
        let numbers = Table::of_text("truth", &["1.5".into()]);
        assert!(
            read(&numbers).expect("readable").is_none(),
            "nothing is said"
        );
        let numbers = numbers
            .with_numbers("prediction", &[2.5])
            .expect("a column");
        let numbers = read(&numbers).expect("readable").expect("predictions");
        assert!(numbers.are_numbers);
        assert_eq!(
            (&numbers.truth[0][..], &numbers.predicted[0][..]),
            ("1.5", "2.5")
        );
        let lists = Table::of_rows(2)
            .with_lists("truth", &[vec!["a".into(), "b".into()], vec![]])
            .and_then(|table| table.with_lists("labels", &[vec!["a".into()], vec![]]))
            .expect("a table");
        let lists = read(&lists).expect("readable").expect("predictions");
        assert_eq!(lists.truth, ["a, b", ""]);
        assert_eq!(lists.predicted, ["a", ""]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "é".repeat(LONGEST_TEXT + 1);
        assert_eq!(cut(&text).chars().count(), LONGEST_TEXT + 1);
        assert!(cut(&text).ends_with('…'));
        assert_eq!(cut("short"), "short");
    }
}
