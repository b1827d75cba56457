//! What a run has come to, gathered from its events: the metrics table, the summary, the last words of a failed stage.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use super::figures::{amount, seconds};
use super::metrics::{MetricsRow, Standing, metrics};
use super::sparkline::sparkline;
use crate::event::{Event, Outcome};

/// How many lines of a failed stage's log are shown; the whole log is in the run's folder.
const LAST_WORDS: usize = 20;

/// Gathers from events what is shown at the end.
#[derive(Default)]
pub(super) struct Results {
    metrics: Vec<MetricsRow>,
    logs: BTreeMap<String, VecDeque<String>>,
    /// Stage that has not finished → processor time in seconds and memory in bytes.
    used: BTreeMap<String, (f64, Option<u64>)>,
    /// Stage that has not finished → its figures by the lock.
    before: BTreeMap<String, BTreeMap<String, f64>>,
    /// Stage that trains → its loss by epoch.
    losses: BTreeMap<String, Vec<f64>>,
    /// What instances of matrices have told: the matrix, and the text.
    told: BTreeSet<(String, String)>,
    finished: Option<Event>,
}

impl Results {
    /// Takes what `event` says.
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Log { stage, text } => {
                let log = self.logs.entry(stage.clone()).or_default();
                if log.len() == LAST_WORDS {
                    log.pop_front();
                }
                log.push_back(text.clone());
            }
            Event::Used {
                stage,
                cpu_seconds,
                peak_memory,
            } => {
                let used = (*cpu_seconds, *peak_memory);
                self.used.insert(stage.clone(), used);
            }
            Event::Was { stage, metrics } => {
                self.before.insert(stage.clone(), metrics.clone());
            }
            Event::Measured { stage, metrics, .. } => {
                if let Some(loss) = metrics.get("train_loss") {
                    self.losses.entry(stage.clone()).or_default().push(*loss);
                }
            }
            Event::StageFinished {
                stage,
                outcome,
                metrics,
                seconds,
                ..
            } => {
                let memory = self.used.get(stage).and_then(|(_, memory)| *memory);
                let ran = matches!(outcome, Outcome::Ran | Outcome::Failed);
                let before = self.before.remove(stage).unwrap_or_default();
                if *outcome != Outcome::Failed {
                    self.logs.remove(stage);
                }
                if !metrics.is_empty() {
                    self.metrics.push(MetricsRow {
                        stage: stage.clone(),
                        metrics: metrics.clone(),
                        before,
                        used: ran.then_some((*seconds, memory)),
                        state: match outcome {
                            Outcome::Failed => Standing::Failed,
                            _ => Standing::Fresh,
                        },
                        reason: String::new(),
                    });
                }
            }
            Event::RunFinished { .. } => self.finished = Some(event.clone()),
            _ => {}
        }
    }

    /// Whether another instance of the matrix that `stage` is of has told just that before.
    pub(super) fn is_told(&mut self, stage: &str, text: &str) -> bool {
        let Some((base, _)) = stage.split_once('@') else {
            return false;
        };
        !self.told.insert((base.into(), text.into()))
    }

    /// The last lines that a failed stage wrote.
    pub(super) fn log_of(&self, stage: &str) -> impl Iterator<Item = &str> {
        self.logs
            .get(stage)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// What a stage that took `took` seconds used: `1.2 GB, 24.1 s of CPU time`. Nothing for short ones, of which only
    /// few would care; it is told once.
    pub(super) fn used(&mut self, stage: &str, took: f64) -> Option<String> {
        let (cpu, memory) = self.used.remove(stage)?;
        let memory = memory.map(|bytes| format!("{}, ", amount(bytes, "bytes")));
        let text = format!("{}{} of CPU time", memory.unwrap_or_default(), seconds(cpu));
        (took >= 1.0).then_some(text)
    }

    /// How the loss of a training ran: `loss █▅▂▁`; nothing of other stages and of few epochs. It is told once.
    pub(super) fn losses(&mut self, stage: &str) -> String {
        let losses = self.losses.remove(stage).unwrap_or_default();
        match sparkline(&losses) {
            line if line.is_empty() => line,
            line => format!("loss {line}"),
        }
    }

    /// The metrics of all stages that have any, as a table; empty when none has.
    pub(super) fn table(&self, width: usize) -> String {
        metrics(&self.metrics, width)
    }

    /// The same without what stages used: it is the same for the same pipeline.
    pub(super) fn lasting_table(&self, width: usize) -> String {
        let rows = self.metrics.iter().cloned();
        let rows: Vec<MetricsRow> = rows.map(|row| MetricsRow { used: None, ..row }).collect();
        metrics(&rows, width)
    }

    /// `2 ran, 5 cached in 1.93 s`.
    pub(super) fn summary(&self) -> String {
        let Some(Event::RunFinished {
            ran,
            cached,
            failed,
            skipped,
            seconds: took,
        }) = &self.finished
        else {
            return String::new();
        };
        let mut line = format!("{ran} ran, {cached} cached");
        for (count, word) in [(failed, "failed"), (skipped, "skipped")] {
            if *count > 0 {
                let _ = write!(line, ", {count} {word}");
            }
        }
        let _ = write!(line, " in {}", seconds(*took));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::samples;

    fn log(stage: &str, number: usize) -> Event {
        Event::Log {
            stage: stage.into(),
            text: format!("line {number}"),
        }
    }

    #[test]
    fn a_failed_stage_keeps_its_last_lines_and_others_none() {
        let mut results = Results::default();
        for number in 0..50 {
            results.take(&log("a", number));
            results.take(&log("b", number));
        }
        results.take(&samples::finished("a", Outcome::Failed, 1.0, "", &[]));
        results.take(&samples::finished("b", Outcome::Ran, 1.0, "", &[]));
        let kept: Vec<&str> = results.log_of("a").collect();
        assert_eq!((kept.len(), kept[0], kept[19]), (20, "line 30", "line 49"));
        assert_eq!(results.log_of("b").count(), 0);
    }

    #[test]
    fn what_all_instances_tell_is_told_once() {
        let mut results = Results::default();
        assert!(!results.is_told("tune@seed=0", "a new head is drawn"));
        assert!(results.is_told("tune@seed=1", "a new head is drawn"));
        assert!(!results.is_told("tune@seed=1", "rows are left out"));
        assert!(!results.is_told("test@seed=0", "a new head is drawn"));
        assert!(!results.is_told("tune", "once") && !results.is_told("tune", "once"));
    }

    #[test]
    fn the_summary_leaves_out_what_did_not_happen() {
        let mut results = Results::default();
        results.take(&Event::RunFinished {
            ran: 2,
            cached: 5,
            failed: 0,
            skipped: 0,
            seconds: 1.93,
        });
        assert_eq!(results.summary(), "2 ran, 5 cached in 1.93 s");
    }
}
