//! What a model says of single texts, for people: each text, and below it what was added, the likeliest first.

use std::fmt::Write as _;

use anstyle::Style;
use serde_json::{Map, Value};

use super::figures;
use super::line;

/// The most probabilities of a text that are shown; the others are counted.
const MOST: usize = 5;

/// The most numbers of a list that are shown.
const NUMBERS: usize = 4;

/// The rows that a model has added columns to: their first `given` columns are the texts, the others what it says.
#[must_use]
pub fn answers(rows: &[Map<String, Value>], given: usize) -> String {
    let (bold, plain) = (Style::new().bold(), Style::new());
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        for value in row.values().take(given) {
            let shown = line(value.as_str().unwrap_or_default());
            let _ = writeln!(text, "{}{shown}{}", bold.render(), bold.render_reset());
        }
        for (name, said) in said(row.iter().skip(given)) {
            let (on, off) = (plain.render(), plain.render_reset());
            let _ = writeln!(text, "  {on}{}{off}  {}", line(&name), line(&said));
        }
    }
    text
}

/// What is said, by name; what is said of each label is one list.
fn said<'r>(columns: impl Iterator<Item = (&'r String, &'r Value)>) -> Vec<(String, String)> {
    let mut said: Vec<(String, String)> = Vec::new();
    let mut scores: Vec<(&str, &str, f64)> = Vec::new();
    for (name, value) in columns {
        let of_label = ["probability", "logit"]
            .into_iter()
            .find_map(|what| Some((what, name.split_once(&format!("{what}_"))?.1)));
        match (of_label, value.as_f64()) {
            (Some((what, label)), Some(score)) => scores.push((what, label, score)),
            _ => said.push((name.clone(), written(value))),
        }
    }
    if let Some((what, ..)) = scores.first().copied() {
        scores.sort_by(|one, other| other.2.total_cmp(&one.2));
        let mut list: Vec<String> = scores
            .iter()
            .take(MOST)
            .map(|(_, label, score)| format!("{label} {}", figures::metric(what, *score)))
            .collect();
        if scores.len() > MOST {
            list.push(format!("and {} more", scores.len() - MOST));
        }
        said.push((what.into(), list.join(", ")));
    }
    let widest = said.iter().map(|(name, _)| name.chars().count()).max();
    for (name, _) in &mut said {
        let missing = widest.unwrap_or(0) - name.chars().count();
        name.extend(std::iter::repeat_n(' ', missing));
    }
    said
}

fn written(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) if text.is_empty() => "none".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| figures::metric("", number)),
        Value::Bool(truth) => truth.to_string(),
        Value::Array(values) if values.is_empty() => "none".into(),
        Value::Array(values) => {
            let numbers = values.iter().all(Value::is_number);
            let most = if numbers && values.len() > 2 * NUMBERS {
                NUMBERS
            } else {
                values.len()
            };
            let shown: Vec<String> = values.iter().take(most).map(written).collect();
            let shown = shown.join(", ");
            if most < values.len() {
                return format!("{} numbers: {shown}, …", values.len());
            }
            shown
        }
        Value::Object(fields) => {
            let part = |(name, value): (&String, &Value)| match value {
                Value::String(text) => text.clone(),
                other => format!("{name} {}", written(other)),
            };
            let parts: Vec<String> = fields.iter().map(part).collect();
            format!("[{}]", parts.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_comes_first_and_nothing_is_obeyed() {
        let row = serde_json::json!({
            "text": "a\u{1b}[2J\nb",
            "label": "x\u{7}",
            "probability_y": 0.25,
            "probability_x\u{7}": 0.75,
            "embedding": vec![0.5; 12],
            "entities": [{"label": "PER", "start": 0, "text": "Ada"}],
        });
        let rows = [row.as_object().expect("an object").clone()];
        let shown = answers(&rows, 1);
        let shown = anstream::adapter::strip_str(&shown).to_string();
        assert_eq!(
            shown,
            "a\\u001b[2J\\nb\n  label        x\\u0007\n  embedding    12 numbers: 0.5000, 0.5000, 0.5000, 0.5000, …\n  \
             entities     [PER, start 0, Ada]\n  probability  x\\u0007 0.7500, y 0.2500\n"
        );
    }
}
