//! Events for logs: a line for each thing worth one, no cursor movement, no colours.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::figures::{metrics, part, seconds};
use super::results::Results;
use super::visible::visible_event;
use crate::event::{Event, Outcome, Sink};

/// How long nothing is written before a line says how far a stage is, so that a log shows that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Writes a line for each event worth one.
pub(super) struct Plain<S, R> {
    state: Mutex<State<S, R>>,
}

struct State<S, R> {
    status: S,
    result: R,
    written: Instant,
    held: String,
    results: Results,
}

impl<S: Write + Send, R: Write + Send> Plain<S, R> {
    /// Writes what happens to `status` and the metrics table to `result`.
    pub(super) fn new(status: S, result: R) -> Self {
        Self {
            state: Mutex::new(State {
                status,
                result,
                written: Instant::now(),
                held: String::new(),
                results: Results::default(),
            }),
        }
    }
}

impl<S: Write + Send, R: Write + Send> Sink for Plain<S, R> {
    fn send(&self, event: &Event) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        let event = &*visible_event(event);
        let late = state.written.elapsed() >= SIGN_OF_LIFE;
        state.results.take(event);
        if matches!(event, Event::RunFinished { .. }) {
            let table = state.results.lasting_table(super::width());
            let _ = state.result.write_all(table.as_bytes());
        }
        if let Some(text) = text(event, late, &mut state.results) {
            state.written = Instant::now();
            state.held.push_str(&text);
            state.held.push('\n');
        }
        // What is cached is said together with what happens next.
        if !event.is_cached() && !state.held.is_empty() {
            let held = std::mem::take(&mut state.held);
            let _ = state.status.write_all(held.as_bytes());
        }
    }
}

fn text(event: &Event, late: bool, results: &mut Results) -> Option<String> {
    match event {
        Event::RunStarted {
            pipeline,
            configuration,
            run,
            stages,
            ..
        } => {
            let plural = if stages.len() == 1 { "" } else { "s" };
            let flags = configuration.flags();
            let gap = if flags.is_empty() { "" } else { " " };
            Some(format!(
                "{pipeline}{gap}{flags}: {} stage{plural}, run {run}",
                stages.len()
            ))
        }
        Event::StageStarted { stage, reason, .. } => {
            Some(format!("{stage}: starts{}", aside(reason)))
        }
        Event::Progress {
            stage,
            activity,
            done,
            total,
            unit,
        } => late.then(|| format!("{stage}: {activity}, {}", part(*done, *total, unit))),
        Event::Notice {
            stage: Some(stage),
            text,
        } => Some(format!("{stage}: note: {text}")),
        Event::Notice { stage: None, text } => Some(format!("note: {text}")),
        Event::Paste { stage, text, lines } => {
            Some(format!("{stage}: note: {text}\n{}", lines.join("\n")))
        }
        Event::Log { .. } | Event::Used { .. } | Event::Was { .. } => None,
        Event::Measured {
            stage,
            at,
            metrics: figures,
            ..
        } => Some(format!("{stage}: {at}: {}", metrics(figures))),
        Event::StageFinished {
            stage,
            outcome,
            seconds: took,
            reason,
            ..
        } => Some(match outcome {
            Outcome::Ran => {
                let used = results.used(stage, *took);
                let used = used.map(|used| format!(" ({used})")).unwrap_or_default();
                format!("{stage}: ran in {}{used}", seconds(*took))
            }
            Outcome::Cached => format!("{stage}: cached"),
            Outcome::Failed => {
                let end = format!("{stage}: failed after {}{}", seconds(*took), aside(reason));
                let log = results
                    .log_of(stage)
                    .map(|line| format!("{stage} | {line}"));
                log.chain([end]).collect::<Vec<_>>().join("\n")
            }
            Outcome::Skipped => format!("{stage}: skipped{}", aside(reason)),
            Outcome::Cancelled => format!("{stage}: cancelled after {}", seconds(*took)),
        }),
        Event::RunFinished { .. } => Some(results.summary()),
    }
}

fn aside(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::samples;

    #[test]
    fn a_run_reads_as_a_log() {
        let plain = Plain::new(Vec::new(), Vec::new());
        for event in samples::run() {
            plain.send(&event);
        }
        let state = plain.state.into_inner().expect("no thread panicked");
        insta::assert_snapshot!(String::from_utf8(state.status).expect("it is text"));
        let table = String::from_utf8(state.result).expect("it is text");
        insta::assert_snapshot!(anstream::adapter::strip_str(&table).to_string());
    }

    #[test]
    fn a_long_silence_is_broken_by_progress() {
        let progress = samples::progress("epoch 2/10", 143, 267);
        let mut results = Results::default();
        assert_eq!(text(&progress, false, &mut results), None);
        let expected = "tune: epoch 2/10, 143/267 steps";
        assert_eq!(
            text(&progress, true, &mut results).as_deref(),
            Some(expected)
        );
    }
}
