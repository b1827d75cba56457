//! Events for people: one line a finished stage, and below them a live region with what runs now.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use unicode_width::UnicodeWidthStr as _;

use super::figures::{amount, metrics};
use super::line::Line;
use super::results::Results;
use super::screen;
use super::views::{BAD, GOOD};
use super::visible::visible_event;
use crate::event::{Event, Sink};
use crate::threads;

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// The columns of a bar, where there is room.
const LONGEST: usize = 24;

/// A bar of fewer columns says nothing.
const SHORTEST: usize = 6;

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
    /// Columns of the terminal, as of the last line that was not about a cached stage.
    width: usize,
    /// Lines that are not shown yet.
    held: String,
    results: Results,
}

/// What a bar can say: it depends on what is known about the activity.
#[derive(Clone, PartialEq, Eq)]
enum Shape {
    Spinner,
    /// Things of this unit.
    Count(String),
    Bytes,
}

/// `name` in at most `width` columns: what instances of a matrix differ in stands at its end.
fn shortened(name: &str, width: usize) -> String {
    let characters: Vec<char> = name.chars().collect();
    if name.width() <= width || width < 3 {
        return name.into();
    }
    let (head, tail) = ((width - 1) / 3, width - 1 - (width - 1) / 3);
    let tail = characters.len().saturating_sub(tail);
    let parts = [&characters[..head.min(tail)], &['…'], &characters[tail..]];
    parts.concat().into_iter().collect()
}

impl Pretty {
    pub(super) fn new() -> Self {
        let coloured =
            anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
        Self {
            state: Mutex::new(State {
                live: screen::live(coloured),
                coloured,
                bars: BTreeMap::new(),
                names: 0,
                width: super::width(),
                held: String::new(),
                results: Results::default(),
            }),
        }
    }
}

impl Sink for Pretty {
    fn send(&self, event: &Event) {
        if let Ok(mut state) = self.state.lock() {
            let event = &*visible_event(event);
            state.results.take(event);
            if !event.is_cached() {
                state.width = super::width();
            }
            state.show(event);
            // What is cached is said together with what happens next.
            if !event.is_cached() {
                state.flush();
            }
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
                if !self.results.is_told(name, text) {
                    self.line(&Line::notice(name, text));
                }
            }
            Event::Paste { stage, text, lines } => {
                self.line(&Line::notice(stage, text));
                // Neither indented nor broken, so that they can be marked and copied.
                for line in lines {
                    self.held.push_str(line);
                    self.held.push('\n');
                }
            }
            Event::Measured {
                stage,
                at,
                metrics: figures,
                ..
            } => {
                self.line(&Line::measured(
                    stage,
                    format!("{at}  {}", metrics(figures)),
                ));
            }
            Event::Log { .. } | Event::Used { .. } | Event::Was { .. } => {}
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
                let used = self.results.used(stage, *seconds);
                let losses = self.results.losses(stage);
                let texts = used.iter().chain([&losses, reason]);
                let texts = texts.filter(|text| !text.is_empty());
                let text: Vec<&str> = texts.map(String::as_str).collect();
                self.line(&Line::finished(stage, *outcome, *seconds, &text.join("  ")));
                let log: Vec<String> = self.results.log_of(stage).map(String::from).collect();
                for text in log {
                    self.line(&Line::log(text));
                }
            }
            Event::RunFinished { failed, .. } => {
                self.flush();
                self.end(*failed > 0);
            }
        }
    }

    /// Writes a line above the live region.
    fn line(&mut self, line: &Line) {
        self.held.push_str(&line.render(self.names, self.width));
    }

    /// Shows the lines that were written since the last time.
    fn flush(&mut self) {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.live.suspend(|| super::print_styled_status(&held));
        }
    }

    fn start(&mut self, stage: &str) {
        let bar = self.live.add(ProgressBar::no_length());
        bar.set_style(self.style(&Shape::Spinner));
        let names = self.names.min(self.width / 2);
        let stage_shown = shortened(stage, names);
        let padding = names.saturating_sub(stage_shown.width());
        bar.set_prefix(format!("{stage_shown}{:padding$}", ""));
        // The thread that turns it is the library's, which would panic.
        if threads::require(1).is_ok() {
            bar.enable_steady_tick(TICK);
        }
        self.bars.insert(stage.into(), (bar, Shape::Spinner));
    }

    fn progress(&mut self, stage: &str, activity: &str, done: u64, total: u64, unit: &str) {
        if !self.bars.contains_key(stage) {
            self.start(stage);
        }
        let shape = match (total, unit) {
            (0, _) => Shape::Spinner,
            (_, "bytes") => Shape::Bytes,
            _ => Shape::Count(unit.into()),
        };
        let style = self.style(&shape);
        let Some((bar, shown)) = self.bars.get_mut(stage) else {
            return;
        };
        let message = match shape {
            Shape::Spinner if done > 0 => format!("{activity}, {}", amount(done, unit)),
            _ => activity.to_string(),
        };
        if *shown != shape {
            bar.set_style(style);
            *shown = shape;
        }
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

    fn style(&self, shape: &Shape) -> ProgressStyle {
        let (spinner, colours) = if self.coloured {
            ("{spinner:.cyan}", ".cyan/dim")
        } else {
            ("{spinner}", "")
        };
        // Numbers come first: on a narrow terminal the bar is what gives way.
        let names = self.names.min(self.width / 2);
        let bar = |others: usize| match self.width.saturating_sub(names + others) {
            ..SHORTEST => String::new(),
            room => format!("{{bar:{}{colours}}} ", room.min(LONGEST)),
        };
        let rest = match shape {
            Shape::Spinner => "{elapsed:>4}  {wide_msg}".to_string(),
            Shape::Count(unit) => {
                let bar = bar(41 + unit.width());
                format!("{bar}{{human_pos}}/{{human_len}} {unit}  {{eta:>4}} left  {{wide_msg}}")
            }
            Shape::Bytes => {
                let bar = bar(63);
                format!(
                    "{bar}{{decimal_bytes}} of {{decimal_total_bytes}}  {{decimal_bytes_per_sec}}  {{wide_msg}}"
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
            // A run does not end otherwise because nobody sees how.
            let _ = super::print_styled(&table);
        }
        let style = if failed { BAD } else { GOOD.bold() };
        let summary = self.results.summary();
        super::print_styled_status(&format!("\n{style}{summary}{style:#}\n"));
        let _ = std::io::stderr().flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(shortened("tune", 10), "tune");
        let short = shortened("tune@learning_rate=0.002,seed=0", 16);
        assert_eq!((short.as_str(), short.width()), ("tune@…002,seed=0", 16));
    }
}
