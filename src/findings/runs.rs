//! Runs, from their journals.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::event::{Event, Outcome};
use crate::journal::{self, RunRow};
use crate::page::{Earlier, Run};
use crate::run::Project;

/// So many runs are read to find out why a stage ran.
const FAR_BACK: usize = 60;
/// So many are shown.
const SHOWN: usize = 20;

/// What runs of a pipeline file told, the latest first.
pub(super) struct Told {
    runs: Vec<(RunRow, Vec<Event>)>,
    /// Which of them is the last of this configuration.
    latest: Option<usize>,
}

/// What is known of how a stage came to the result that it has under a key.
#[derive(Default)]
pub(super) struct Made {
    pub(super) because: String,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) memory: Option<u64>,
    pub(super) notices: Vec<String>,
}

impl Told {
    pub(super) fn read(project: &Project) -> Self {
        let of = &project.configuration;
        let runs = journal::told(project.workspace.runs(), &of.file, FAR_BACK);
        let latest = runs.iter().position(|(row, _)| row.configuration == *of);
        Self { runs, latest }
    }

    /// The last run of this configuration.
    pub(super) fn latest(&self, project: &Project, missing: &mut Vec<String>) -> Option<Run> {
        let Some(latest) = self.latest else {
            missing.push(match self.runs.first() {
                None => "No run of this pipeline is known here: `refire run` makes one.".into(),
                Some((row, _)) => {
                    let flags = row.configuration.flags();
                    let with = if flags.is_empty() { "none of these settings".into() } else { format!("`{flags}`") };
                    format!("No run with just these settings is known here; the last one of the file had {with}.")
                }
            });
            return None;
        };
        let (row, events) = &self.runs[latest];
        let mut run = Run {
            run: row.run.clone(),
            when: when(&row.run),
            revision: row.revision.clone().unwrap_or_default(),
            seconds: row.seconds,
            running: row.seconds.is_none() && row.running == Some(true),
            counts: [row.ran, row.cached, row.failed, row.skipped],
            stages: (row.stages, project.plan.nodes.len()),
            ..Run::default()
        };
        for event in events {
            match event {
                Event::StageFinished {
                    stage,
                    outcome: Outcome::Failed,
                    reason,
                    ..
                } => {
                    run.failures.push((stage.clone(), reason.clone()));
                }
                Event::Notice { stage: None, text } => run.notices.push(text.clone()),
                _ => {}
            }
        }
        if run.seconds.is_none() && !run.running {
            missing.push(format!(
                "The last run, `{}`, did not end: it was killed, or the machine went down.",
                run.run
            ));
        }
        Some(run)
    }

    /// What became of a stage in the last run.
    pub(super) fn outcome(&self, stage: &str) -> String {
        let events = self.latest.map(|latest| &self.runs[latest].1);
        let outcome = events.into_iter().flatten().find_map(|event| match event {
            Event::StageFinished {
                stage: of, outcome, ..
            } if of == stage => Some(*outcome),
            _ => None,
        });
        let word = match outcome {
            None => "",
            Some(Outcome::Ran) => "ran",
            Some(Outcome::Cached) => "cached: nothing that can change its result had changed",
            Some(Outcome::Failed) => "failed",
            Some(Outcome::Skipped) => "skipped: something that it needs failed",
            Some(Outcome::Cancelled) => "stopped before it was done",
        };
        word.into()
    }

    /// How the stages came to their results: by key, from the last run in which each ran under that.
    pub(super) fn made(&self, key: &str) -> Made {
        for (_, events) in &self.runs {
            let started = events.iter().find_map(|event| match event {
                Event::StageStarted {
                    stage,
                    key: of,
                    reason,
                } if of == key => Some((stage, reason)),
                _ => None,
            });
            let Some((stage, because)) = started else {
                continue;
            };
            let mut made = Made {
                because: because.clone(),
                ..Made::default()
            };
            for event in events {
                match event {
                    Event::Used {
                        stage: of,
                        cpu_seconds,
                        peak_memory,
                    } if of == stage => {
                        (made.cpu_seconds, made.memory) = (Some(*cpu_seconds), *peak_memory);
                    }
                    Event::Notice {
                        stage: Some(of),
                        text,
                    } if of == stage => made.notices.push(text.clone()),
                    _ => {}
                }
            }
            return made;
        }
        Made::default()
    }

    /// A row a run.
    pub(super) fn earlier(&self) -> Vec<Earlier> {
        self.runs
            .iter()
            .take(SHOWN)
            .map(|(row, _)| earlier(row))
            .collect()
    }
}

fn earlier(row: &RunRow) -> Earlier {
    let counts = [
        (row.ran, "ran"),
        (row.cached, "cached"),
        (row.failed, "failed"),
        (row.skipped, "skipped"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let mut outcome: Vec<String> = counts
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if row.seconds.is_none() {
        outcome.push(
            if row.running == Some(true) {
                "under way"
            } else {
                "did not end"
            }
            .into(),
        );
    }
    let pairs = |map: &BTreeMap<String, String>| {
        map.iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    Earlier {
        run: row.run.clone(),
        when: when(&row.run),
        flags: row.configuration.flags(),
        revision: row.revision.clone().unwrap_or_default(),
        params: pairs(&row.params),
        outcome: outcome.join(", "),
        failed: row.failed > 0 || (row.seconds.is_none() && row.running != Some(true)),
        seconds: row.seconds,
        headline: row.headline.as_ref().map(|headline| {
            let figures = headline
                .metrics
                .iter()
                .map(|(name, value)| (name.clone(), *value));
            (headline.stage.clone(), figures.collect())
        }),
    }
}

/// When a run began, from its name: `20261128-175125` is 2026-11-28 17:51:25 UTC.
fn when(run: &str) -> String {
    let parts = (
        run.get(..4),
        run.get(4..6),
        run.get(6..8),
        run.get(9..11),
        run.get(11..13),
        run.get(13..15),
    );
    match parts {
        (Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)) => {
            format!("{year}-{month}-{day} {hour}:{minute}:{second} UTC")
        }
        _ => run.into(),
    }
}

/// A time for people.
pub(super) fn written(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
