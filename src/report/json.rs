//! Events for programs: one line of JSON each.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::visible::visible;
use crate::event::{Event, Sink};

/// The least time between two progress events of one stage, so that a fast loop does not flood the reader.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Writes each event as it comes; progress at most four times a second a stage.
pub(super) struct Json<W> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    /// Stage → its activity and when its progress was last written.
    progress: BTreeMap<String, (String, Instant)>,
}

impl<W: Write + Send> Json<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            state: Mutex::new(State {
                out,
                progress: BTreeMap::new(),
            }),
        }
    }
}

impl<W: Write + Send> Sink for Json<W> {
    fn send(&self, event: &Event) {
        let Ok(line) = serde_json::to_string(event) else {
            return;
        };
        // Inside of JSON's strings, where alone they can be, what is written out means the same.
        let line = visible(&line) + "\n";
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        if state.is_due(event) {
            // A reader that has gone away must not stop the run.
            let _ = state
                .out
                .write_all(line.as_bytes())
                .and_then(|()| state.out.flush());
        }
    }
}

impl<W> State<W> {
    fn is_due(&mut self, event: &Event) -> bool {
        let Event::Progress {
            stage,
            activity,
            done,
            total,
            ..
        } = event
        else {
            return true;
        };
        let now = Instant::now();
        let due = match self.progress.get(stage) {
            Some((last, at)) => {
                last != activity || done == total || now.duration_since(*at) >= PROGRESS_EVERY
            }
            None => true,
        };
        if due {
            self.progress.insert(stage.clone(), (activity.clone(), now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::samples;

    fn lines(events: &[Event]) -> Vec<String> {
        let json = Json::new(Vec::new());
        for event in events {
            json.send(event);
        }
        let state = json.state.into_inner().expect("no thread panicked");
        let text = String::from_utf8(state.out).expect("JSON is UTF-8");
        text.lines().map(String::from).collect()
    }

    #[test]
    fn the_last_line_is_the_one_that_is_promised() {
        assert_eq!(
            lines(&[Event::RunFinished {
                ran: 2,
                cached: 5,
                failed: 0,
                skipped: 0,
                seconds: 1.93
            }]),
            [
                r#"{"event":"run_finished","ran":2,"cached":5,"failed":0,"skipped":0,"seconds":1.93}"#
            ]
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_reads_back() {
        let log = Event::Log {
            stage: "a".into(),
            text: "\u{1b}[2J\u{9b}2J\u{7f}\u{202e}\r\n".into(),
        };
        let lines = lines(std::slice::from_ref(&log));
        assert!(lines[0].is_ascii() && !lines[0].contains(char::is_control));
        assert_eq!(serde_json::from_str::<Event>(&lines[0]).expect("JSON"), log);
    }

    #[test]
    fn every_event_is_one_line_that_reads_back() {
        let events = samples::run();
        let lines = lines(&events);
        insta::assert_snapshot!(lines.join("\n"));
        let read: Vec<Event> = lines
            .iter()
            .map(|line| serde_json::from_str(line).expect("it was written by us"))
            .collect();
        assert_eq!(read, events);
    }

    #[test]
    fn a_fast_loop_writes_its_first_and_its_last_progress() {
        let steps: Vec<Event> = (0..=1000)
            .map(|done| samples::progress("epoch 1/2", done, 1000))
            .collect();
        let lines = lines(&steps);
        assert!(lines.len() < 100, "{} lines", lines.len());
        assert!(lines[0].contains(r#""done":0"#));
        assert!(lines[lines.len() - 1].contains(r#""done":1000"#));
    }
}
