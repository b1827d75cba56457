//! What an artifact holds, as it is shown on a terminal: tables as wide as it, curves as a line of blocks.

use std::fmt::Write as _;

use anstyle::Style;
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::figures;
use super::line;
use super::measured::measured;
use super::rates::rates;
use super::table::{Align, Cell, Table};
use crate::show::Content;

/// The fewest columns of a terminal that a column of a table is worth showing with.
const NARROWEST: usize = 6;

/// `content` on a terminal of so many columns.
#[must_use]
pub fn artifact(content: &Content, width: usize) -> String {
    match content {
        Content::Table {
            columns,
            rows,
            total,
        } => table(columns, rows, *total, width),
        Content::Images { size, labels } => images(*size, labels),
        Content::Model(lines) => card(lines, width),
        Content::Metrics(metrics) if metrics["figures"].is_object() => measured(metrics),
        Content::Metrics(metrics) => format!("{metrics:#}\n"),
        Content::History(lines) => history(lines, width),
        Content::Rates { tried, found } => rates(tried, *found, width),
        Content::Files(files) => listing(files),
    }
}

fn table(columns: &[(String, String)], rows: &[Vec<String>], total: usize, width: usize) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| line(cell)).collect())
        .collect();
    let head: Vec<(String, &str)> = columns
        .iter()
        .map(|(name, kind)| (line(name), kind.as_str()))
        .collect();
    let wanted: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(place, (name, kind))| {
            let cells = rows.iter().filter_map(|row| row.get(place));
            let widest = cells.map(|cell| cell.width()).max().unwrap_or(0);
            widest.max(name.width()).max(kind.width())
        })
        .collect();
    let widths = fit(&wanted, width);
    let is_number = |kind: &str| kind == "integer" || kind == "number";
    let mut drawn = Table::with_head(head.iter().zip(&widths).map(|((name, kind), width)| {
        let align = if is_number(kind) {
            Align::Right
        } else {
            Align::Left
        };
        (Cell::styled(cut(name, *width), Style::new().bold()), align)
    }));
    let cells = |row: &[String]| -> Vec<String> {
        let cells = row.iter().zip(&widths);
        cells.map(|(cell, width)| cut(cell, *width)).collect()
    };
    let kinds: Vec<String> = head.iter().map(|(_, kind)| (*kind).to_owned()).collect();
    let dimmed = |text: String| Cell::styled(text, Style::new().dimmed());
    drawn.row(cells(&kinds).into_iter().map(dimmed));
    for row in &rows {
        drawn.row(cells(row).into_iter().map(Cell::from));
    }
    let mut text = drawn.render();
    let hidden = columns.len() - widths.len();
    if hidden > 0 {
        let names: Vec<&str> = head[widths.len()..]
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let _ = writeln!(
            text,
            "{}",
            cut(
                &format!("and {hidden} more columns: {}", names.join(", ")),
                width
            )
        );
    }
    let _ = match total.saturating_sub(rows.len()) {
        0 => writeln!(text, "{total} rows"),
        more => writeln!(text, "and {more} more rows"),
    };
    text
}

/// How wide the columns become that there is room for: the widest give way first.
fn fit(wanted: &[usize], width: usize) -> Vec<usize> {
    let mut shown = wanted.len();
    let least = |shown: usize| -> usize {
        let columns = wanted
            .iter()
            .take(shown)
            .map(|width| (*width).min(NARROWEST));
        columns.sum::<usize>() + 2 * shown.saturating_sub(1)
    };
    while shown > 1 && least(shown) > width {
        shown -= 1;
    }
    let mut widths = wanted[..shown].to_vec();
    let room = width.saturating_sub(2 * shown.saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        let second = {
            let mut sorted = widths.clone();
            sorted.sort_unstable();
            sorted.dedup();
            sorted.iter().rev().nth(1).copied().unwrap_or(0)
        };
        let widest = widths.iter().copied().max().unwrap_or(0);
        let over = widths.iter().sum::<usize>() - room;
        let many = widths.iter().filter(|width| **width == widest).count();
        let less = over.div_ceil(many).min(widest - second.max(1)).max(1);
        if widest <= 1 {
            break;
        }
        for width in widths.iter_mut().filter(|width| **width == widest) {
            *width -= less;
        }
    }
    widths
}

/// `text` in so many columns of a terminal.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut shown, mut used) = (String::new(), 0);
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        shown.push(c);
    }
    shown.push('…');
    shown
}

fn images((height, width): (usize, usize), labels: &[(String, usize)]) -> String {
    let mut drawn = Table::new([("label", Align::Left), ("images", Align::Right)]);
    for (label, count) in labels {
        drawn.row([line(label).into(), count.to_string().into()]);
    }
    let total: usize = labels.iter().map(|(_, count)| count).sum();
    format!(
        "{}{total} images of {width}×{height} pixels\n",
        drawn.render()
    )
}

fn card(lines: &[(String, String)], width: usize) -> String {
    let lines: Vec<(String, String)> = lines
        .iter()
        .map(|(name, value)| (line(name), line(value)))
        .collect();
    let widest = lines
        .iter()
        .map(|(name, _)| name.width())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, value) in &lines {
        let room = width.saturating_sub(widest + 2).max(20);
        let mut parts = wrapped(value, room).into_iter();
        let first = parts.next().unwrap_or_default();
        let _ = writeln!(text, "{name:widest$}  {first}");
        for part in parts {
            let _ = writeln!(text, "{:widest$}  {part}", "");
        }
    }
    text
}

/// `text` in lines of so many columns, broken between words where there are any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut();
        match last {
            Some(last) if last.is_empty() || last.width() + 1 + word.width() <= width => {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn listing(files: &[(String, u64)]) -> String {
    let mut drawn = Table::new([("file", Align::Left), ("size", Align::Right)]);
    for (path, bytes) in files {
        drawn.row([line(path).into(), figures::amount(*bytes, "bytes").into()]);
    }
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    format!(
        "{}{} files, {}\n",
        drawn.render(),
        files.len(),
        figures::amount(bytes, "bytes")
    )
}

/// The curves of a training: a line of blocks for what is measured by step, one for each figure by epoch.
fn history(lines: &[Value], width: usize) -> String {
    let numbers = |of: &dyn Fn(&Value) -> Option<f64>| -> Vec<f64> {
        lines
            .iter()
            .filter_map(of)
            .filter(|number| number.is_finite())
            .collect()
    };
    let mut curves: Vec<(String, Vec<f64>)> = Vec::new();
    for name in ["loss", "learning_rate", "gradient_norm", "train_loss"] {
        curves.push((name.into(), numbers(&|line| line[name].as_f64())));
    }
    let mut names: Vec<&String> = lines
        .iter()
        .filter_map(|line| line["validation"].as_object())
        .flat_map(|figures| figures.keys())
        .collect();
    names.sort();
    names.dedup();
    for name in names {
        let values = numbers(&|line| line["validation"].get(name)?.as_f64());
        curves.push((format!("validation {}", line(name)), values));
    }
    curves.retain(|(_, values)| !values.is_empty());
    let widest = curves
        .iter()
        .map(|(name, _)| name.width())
        .max()
        .unwrap_or(0);
    let room = width.saturating_sub(widest + 30).clamp(8, 60);
    let mut text = String::new();
    for (name, values) in &curves {
        let (first, last) = (values[0], values[values.len() - 1]);
        let _ = writeln!(
            text,
            "{name:widest$}  {}  {} → {}",
            sparkline(values, room),
            figures::metric("loss", first),
            figures::metric("loss", last)
        );
    }
    let last = lines.iter().rev().find_map(|line| line["step"].as_u64());
    let _ = match last {
        Some(steps) => writeln!(text, "{steps} steps"),
        None => writeln!(text, "no steps"),
    };
    text
}

/// `values` as a line of at most so many blocks, the mean of some values each.
fn sparkline(values: &[f64], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let width = width.min(values.len()).max(1);
    #[expect(clippy::cast_precision_loss, reason = "a picture of eight heights")]
    let means: Vec<f64> = (0..width)
        .map(|place| {
            let part = &values[place * values.len() / width..(place + 1) * values.len() / width];
            part.iter().sum::<f64>() / part.len().max(1) as f64
        })
        .collect();
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    let most = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = if most > least { most - least } else { 1.0 };
    means
        .iter()
        .map(|mean| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 7"
            )]
            let height = ((mean - least) / range * 7.0).round() as usize;
            BLOCKS[height.min(7)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_table_is_as_wide_as_the_terminal() {
        let columns: Vec<(String, String)> = (0..30)
            .map(|place| (format!("column {place}"), "string".into()))
            .collect();
        let row: Vec<String> = (0..30)
            .map(|place| format!("漢字 {} \u{1b}[2J\n{}", place, "very long ".repeat(place)))
            .collect();
        for width in [40, 80, 160] {
            for many in [1, 2, 7, 30] {
                let content = Content::Table {
                    columns: columns[..many].to_vec(),
                    rows: vec![row[..many].to_vec(); 2],
                    total: 5,
                };
                let shown = plain(&artifact(&content, width));
                assert!(!shown.contains('\u{1b}'));
                for line in shown.lines() {
                    assert!(line.width() <= width, "{width}: {} {line}", line.width());
                }
                assert!(shown.contains("and 3 more rows"), "{shown}");
                let is_tight = many * NARROWEST + 2 * (many - 1) > width;
                assert_eq!(shown.contains("more columns"), is_tight, "{shown}");
            }
        }
    }

    #[test]
    fn curves_are_blocks() {
        assert_eq!(sparkline(&[0.0, 7.0, 3.5], 10), "▁█▅");
        assert_eq!(sparkline(&[1.0; 4], 2), "▁▁");
        let line = |step: u32, loss: f64| serde_json::json!({"step": step, "loss": loss});
        let mut lines: Vec<Value> = (1..=500)
            .map(|step| line(step, 1.0 / f64::from(step)))
            .collect();
        lines.push(
            serde_json::json!({"step": 500, "validation": {"accuracy": 0.75}, "train_loss": null}),
        );
        let shown = artifact(&Content::History(lines), 80);
        assert!(shown.contains("loss "), "{shown}");
        assert!(
            shown.contains("validation accuracy  ▁  0.7500 → 0.7500"),
            "{shown}"
        );
        assert!(shown.ends_with("500 steps\n"), "{shown}");
        assert!(shown.lines().all(|line| line.width() <= 80), "{shown}");
        assert_eq!(artifact(&Content::History(Vec::new()), 80), "no steps\n");
    }

    #[test]
    fn long_values_of_a_card_go_on_below() {
        let labels = "label ".repeat(40);
        let content = Content::Model(vec![
            ("labels".into(), labels),
            ("x\u{7}".into(), "y".into()),
        ]);
        let shown = artifact(&content, 60);
        assert!(shown.lines().all(|line| line.width() <= 60), "{shown}");
        assert!(shown.contains("x\\u0007"), "{shown}");
    }
}
