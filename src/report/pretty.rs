//! Events for people: one line a finished stage, and below them a live region with what runs now.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use anstyle::Style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::figures::{metrics, seconds};
use super::results::Results;
use super::views::{BAD, GOOD, ODD, QUIET};
use crate::event::{Event, Outcome, Sink};

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Shows a run on a terminal.
pub(super) struct Pretty {
    state: Mutex<State>,
}

struct State {
    live: MultiProgress,
    coloured: bool,
    /// Running stage → its bar, and the shape that the bar has.
    bars: BTreeMap<String, (ProgressBar, Shape)>,
    /// Columns for names of stages.
    names: usize,
    results: Results,
}

/// What a bar can say: it depends on what is known about the activity.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Spinner,
    Steps,
    Bytes,
}

impl Pretty {
    pub(super) fn new() -> Self {
        let coloured =
            anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
        Self {
            state: Mutex::new(State {
                live: MultiProgress::new(),
                coloured,
                bars: BTreeMap::new(),
                names: 0,
                results: Results::default(),
            }),
        }
    }
}

impl Sink for Pretty {
    fn send(&self, event: &Event) {
        if let Ok(mut state) = self.state.lock() {
            state.results.take(event);
            state.show(event);
        }
    }
}

impl State {
    fn show(&mut self, event: &Event) {
        match event {
            Event::RunStarted { stages, .. } => {
                self.names = stages.iter().map(|stage| stage.width()).max().unwrap_or(0);
            }
            Event::StageStarted { stage, .. } => self.start(stage),
            Event::Progress {
                stage,
                activity,
                done,
                total,
                unit,
            } => {
                self.progress(stage, activity, *done, *total, unit);
            }
            Event::Notice { stage, text } => {
                let name = stage.as_deref().unwrap_or("");
                self.line(&Line::new(("!", ODD), name, text.clone(), Style::new()));
            }
            Event::Measured {
                stage,
                at,
                metrics: figures,
            } => {
                let text = format!("{at}  {}", metrics(figures));
                self.line(&Line::new(("·", QUIET), stage, text, QUIET));
            }
            Event::Log { .. } | Event::Used { .. } => {}
            Event::StageFinished {
                stage,
                outcome,
                seconds,
                reason,
                ..
            } => {
                if let Some((bar, _)) = self.bars.remove(stage) {
                    bar.finish_and_clear();
                }
                self.line(&Line::finished(stage, *outcome, *seconds, reason));
                let log: Vec<String> = self.results.log_of(stage).map(String::from).collect();
                for text in log {
                    self.line(&Line::new(("│", BAD), "", text, QUIET));
                }
            }
            Event::RunFinished { failed, .. } => self.end(*failed > 0),
        }
    }

    /// Writes a line above the live region.
    fn line(&self, line: &Line) {
        let text = line.render(self.names, super::width());
        self.live.suspend(|| super::print_status(&text));
    }

    fn start(&mut self, stage: &str) {
        let bar = self.live.add(ProgressBar::no_length());
        bar.set_style(self.style(Shape::Spinner));
        let padding = self.names.saturating_sub(stage.width());
        bar.set_prefix(format!("{stage}{:padding$}", ""));
        bar.enable_steady_tick(TICK);
        self.bars.insert(stage.into(), (bar, Shape::Spinner));
    }

    fn progress(&mut self, stage: &str, activity: &str, done: u64, total: u64, unit: &str) {
        if !self.bars.contains_key(stage) {
            self.start(stage);
        }
        let shape = match (total, unit) {
            (0, _) => Shape::Spinner,
            (_, "bytes") => Shape::Bytes,
            _ => Shape::Steps,
        };
        let style = self.style(shape);
        let Some((bar, shown)) = self.bars.get_mut(stage) else {
            return;
        };
        if *shown != shape {
            bar.set_style(style);
            *shown = shape;
        }
        let message = match shape {
            Shape::Spinner if done > 0 => {
                format!("{activity}, {}", super::figures::amount(done, unit))
            }
            Shape::Steps => format!("{activity}, {unit}"),
            Shape::Spinner | Shape::Bytes => activity.to_string(),
        };
        if bar.message() != message {
            bar.reset_elapsed();
            bar.reset_eta();
            bar.set_message(message);
        }
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(done);
    }

    fn style(&self, shape: Shape) -> ProgressStyle {
        let (spinner, bar) = if self.coloured {
            ("{spinner:.cyan}", "{bar:24.cyan/dim}")
        } else {
            ("{spinner}", "{bar:24}")
        };
        let rest = match shape {
            Shape::Spinner => "{elapsed:>4}  {wide_msg}".to_string(),
            Shape::Steps => {
                format!("{bar} {{human_pos}}/{{human_len}}  {{eta:>4}} left  {{wide_msg}}")
            }
            Shape::Bytes => {
                format!(
                    "{bar} {{decimal_bytes}} of {{decimal_total_bytes}}  {{decimal_bytes_per_sec}}  {{wide_msg}}"
                )
            }
        };
        ProgressStyle::with_template(&format!("  {spinner} {{prefix}}  {rest}"))
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
            .progress_chars("━╸─")
    }

    fn end(&mut self, failed: bool) {
        let _ = self.live.clear();
        let table = self.results.table(super::width());
        if !table.is_empty() {
            super::print_status("\n");
            super::print(&table);
        }
        let style = if failed { BAD } else { GOOD.bold() };
        let summary = self.results.summary();
        super::print_status(&format!("\n{style}{summary}{style:#}\n"));
        let _ = std::io::stderr().flush();
    }
}

/// A finished line: `  ✓ tune  ran     12.4 s  learning_rate: 0.001 → 0.002`.
struct Line {
    mark: (&'static str, Style),
    stage: String,
    /// Outcome and seconds, in columns.
    columns: String,
    text: String,
    style: Style,
}

impl Line {
    fn new(mark: (&'static str, Style), stage: &str, text: String, style: Style) -> Self {
        Self {
            mark,
            stage: stage.into(),
            columns: String::new(),
            text,
            style,
        }
    }

    fn finished(stage: &str, outcome: Outcome, took: f64, reason: &str) -> Self {
        let (mark, word) = match outcome {
            Outcome::Ran => (("✓", GOOD), "ran"),
            Outcome::Cached => (("•", GOOD), "cached"),
            Outcome::Failed => (("✗", BAD), "failed"),
            Outcome::Skipped => (("–", ODD), "skipped"),
            Outcome::Cancelled => (("–", ODD), "cancelled"),
        };
        let timed =
            matches!(outcome, Outcome::Ran | Outcome::Failed | Outcome::Cancelled) || took >= 0.1;
        let took = if timed { seconds(took) } else { String::new() };
        Self {
            mark,
            stage: stage.into(),
            columns: format!("{word:<9}  {took:>9}  "),
            text: reason.into(),
            style: QUIET,
        }
    }

    /// One line of at most `width` columns, ended by a newline.
    fn render(&self, names: usize, width: usize) -> String {
        let padding = names.saturating_sub(self.stage.width());
        let head = format!("{}{:padding$}  {}", self.stage, "", self.columns);
        let (mark, style) = (self.mark.1, self.style);
        if self.text.is_empty() {
            return format!("  {mark}{}{mark:#} {}\n", self.mark.0, head.trim_end());
        }
        let room = width.saturating_sub(4 + head.width());
        let text = cut(&self.text, room.max(20));
        format!(
            "  {mark}{}{mark:#} {head}{style}{text}{style:#}\n",
            self.mark.0
        )
    }
}

/// `text` on one line of at most `width` columns.
fn cut(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.width() <= width && line.len() == text.trim_end().len() {
        return line.into();
    }
    let mut room = width.saturating_sub(1);
    let mut kept: String = line
        .chars()
        .take_while(|character| {
            let needs = character.width().unwrap_or(0);
            let fits = needs <= room;
            room = room.saturating_sub(needs);
            fits
        })
        .collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn line(event: &Event) -> String {
        let Event::StageFinished {
            stage,
            outcome,
            seconds,
            reason,
            ..
        } = event
        else {
            return String::new();
        };
        let text = Line::finished(stage, *outcome, *seconds, reason).render(7, 80);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn finished_stages_stand_in_columns() {
        let lines: String = samples::run().iter().map(line).collect();
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn long_reasons_are_cut_to_the_terminal() {
        let reason = "features: 漢字 ".repeat(20);
        let text = line(&samples::finished("tune", Outcome::Ran, 1.0, &reason, &[]));
        assert!(
            text.ends_with("…\n") && text.trim_end().width() <= 80,
            "{text}"
        );
        assert_eq!(cut("two\nlines", 80), "two…");
        assert_eq!(cut("one line\n", 80), "one line");
    }
}
