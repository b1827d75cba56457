//! The tables that commands print: status, plan, params, devices.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::figures::seconds;
use super::line::wrap;
use super::table::{Align, Cell, Table};
use super::visible::visible;

/// Something that is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Something that the user should look at.
pub(super) const ODD: Style = AnsiColor::Yellow.on_default();
/// Something that failed.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something that is there for completeness.
pub(super) const QUIET: Style = Style::new().dimmed();

/// How a stage stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusRow {
    /// The stage.
    pub stage: String,
    /// `fresh`, `stale`, `missing`, `failed`.
    pub state: String,
    /// Why it is not fresh; empty if it is.
    pub reason: String,
}

/// A device that pipelines can name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceRow {
    /// What a pipeline writes.
    pub device: String,
    /// What computes.
    pub about: String,
    /// Whether this binary has it.
    pub built_in: bool,
    /// The cargo feature that builds it in; none if every build has it.
    pub feature: Option<String>,
}

/// What a run would do with a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanRow {
    /// The stage.
    pub stage: String,
    /// `run`, `restore` (another result than the last one, from the cache), `cached`, `maybe` (it depends on what comes
    /// before), `fail` (its result, which is in the cache, does not pass a gate), `skip` (what it needs fails).
    pub action: String,
    /// Why; empty if it is cached.
    pub reason: String,
    /// How long it took when it last ran.
    pub seconds: Option<f64>,
    /// What its settings say about a run that the user may not expect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A network that refire knows.
#[derive(Clone, Debug, Serialize)]
pub struct ModelRow {
    /// Its name.
    pub network: &'static str,
    /// `texts` or `images`.
    pub takes: &'static str,
    /// What `model_type` in `config.json` says of it.
    pub model_types: Vec<&'static str>,
    /// What `architecture` of a stage `pretrained` says of its bare weights.
    pub architectures: Vec<&'static str>,
}

/// The networks, with the words for them in as many lines as they need at this width.
#[must_use]
pub fn models(rows: &[ModelRow], width: usize) -> String {
    let widest = rows
        .iter()
        .map(|row| row.network.width())
        .max()
        .unwrap_or(0);
    let room = width.saturating_sub(widest + 10).max(20);
    let mut text = String::new();
    for row in rows {
        let words = [
            ("model_type", &row.model_types),
            ("architecture", &row.architectures),
        ];
        let words = words.iter().filter(|(_, words)| !words.is_empty());
        let words: Vec<String> = words
            .map(|(name, words)| format!("{name} = {}", words.join(", ")))
            .collect();
        let mut lines = wrap(&words.join("; "), room).into_iter();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(text, "{:widest$}  {:6}  {first}", row.network, row.takes);
        for line in lines {
            let _ = writeln!(text, "{:widest$}  {:6}  {line}", "", "");
        }
    }
    text
}

/// The devices, and whether this binary has them.
#[must_use]
pub fn devices(rows: &[DeviceRow]) -> String {
    let columns = ["device", "in this binary", "computes on"];
    let mut table = Table::new(columns.map(|title| (title, Align::Left)));
    for row in rows {
        let here = match &row.feature {
            _ if row.built_in => Cell::styled("yes", GOOD),
            Some(feature) => Cell::styled(format!("no: build with --features {feature}"), QUIET),
            None => Cell::styled("no", QUIET),
        };
        table.row([row.device.as_str().into(), here, row.about.as_str().into()]);
    }
    table.render()
}

/// How each stage stands, for a terminal of `width` columns if it is one.
#[must_use]
pub fn status(rows: &[StatusRow], width: Option<usize>) -> String {
    let mut table = Table::new([
        ("stage", Align::Left),
        ("state", Align::Left),
        ("", Align::Left),
    ]);
    for row in rows {
        let style = match row.state.as_str() {
            "fresh" => GOOD,
            "failed" => BAD,
            _ => ODD,
        };
        table.row([
            row.stage.as_str().into(),
            Cell::styled(&row.state, style),
            Cell::styled(&row.reason, QUIET),
        ]);
    }
    table.render_within(width)
}

/// What a run would do, and how long it took the last time, for a terminal of `width` columns if it is one.
#[must_use]
pub fn plan(rows: &[PlanRow], width: Option<usize>) -> String {
    let mut table = Table::new([
        ("stage", Align::Left),
        ("plan", Align::Left),
        ("last took", Align::Right),
        ("", Align::Left),
    ]);
    for row in rows {
        let style = match row.action.as_str() {
            "run" => ODD,
            "fail" => BAD,
            "maybe" | "skip" => Style::new(),
            _ => GOOD,
        };
        table.row([
            row.stage.as_str().into(),
            Cell::styled(&row.action, style),
            row.seconds.map_or(String::new(), seconds).into(),
            Cell::styled(&row.reason, QUIET),
        ]);
    }
    let mut text = table.render_within(width);
    let notes = |row: &PlanRow| {
        let stage = row.stage.clone();
        let line = move |note: &String| visible(&format!("{stage}: note: {note}\n")).into_owned();
        row.notes.iter().map(line).collect::<String>()
    };
    text.extend(rows.iter().map(notes));
    text.push_str(&expectation(rows));
    text
}

/// `2 to run, about 1 m 04 s in all; 1 may have to run, up to 3.00 s`, from earlier runs; empty if nothing is to run.
fn expectation(rows: &[PlanRow]) -> String {
    let part = |action: &str, verb: &str, about: &str| {
        let rows = rows.iter().filter(|row| row.action == action);
        let known: Vec<Option<f64>> = rows.map(|row| row.seconds).collect();
        let unknown = known.iter().filter(|known| known.is_none()).count();
        let sum = seconds(known.iter().flatten().sum());
        let time = match unknown {
            _ if known.is_empty() => return None,
            0 => format!("{about} {sum}"),
            _ if unknown == known.len() => "never timed here".to_string(),
            _ => format!("{about} {sum} and {unknown} never timed here"),
        };
        Some(format!("{} {verb}, {time}", known.len()))
    };
    let parts = [
        part("run", "to run", "about"),
        part("maybe", "may have to run", "up to"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("\n{}\n", parts.join("; "))
}

/// Params and their values, as TOML.
#[must_use]
pub fn params(rows: &BTreeMap<String, String>) -> String {
    let mut table = Table::new([("param", Align::Left), ("value", Align::Left)]);
    for (name, value) in rows {
        table.row([name.as_str().into(), value.as_str().into()]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_plan_says_what_why_and_how_long() {
        let row = |stage: &str, action: &str, reason: &str, seconds| PlanRow {
            stage: stage.into(),
            action: action.into(),
            reason: reason.into(),
            seconds,
            notes: if action == "run" {
                vec!["frozen layers run again in every epoch".into()]
            } else {
                Vec::new()
            },
        };
        insta::assert_snapshot!(plain(&plan(
            &[
                row("encoder", "cached", "", Some(3.2)),
                row("tune", "run", "learning_rate: 0.001 → 0.002", Some(61.4)),
                row("test", "maybe", "when `tune` changes", None),
            ],
            None
        )));
    }

    #[test]
    fn a_status_says_what_is_not_fresh() {
        let row = |stage: &str, state: &str, reason: &str| StatusRow {
            stage: stage.into(),
            state: state.into(),
            reason: reason.into(),
        };
        insta::assert_snapshot!(plain(&status(
            &[
                row("encoder", "fresh", ""),
                row("tune", "stale", "learning_rate: 0.001 → 0.002"),
            ],
            None
        )));
    }
}
