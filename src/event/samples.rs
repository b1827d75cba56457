//! Sample events for tests of what takes events.

use std::collections::BTreeMap;

use crate::event::{Configuration, Event, Outcome};

/// Progress of stage `tune`.
pub(crate) fn progress(activity: &str, done: u64, total: u64) -> Event {
    Event::Progress {
        stage: "tune".into(),
        activity: activity.into(),
        done,
        total,
        unit: "steps".into(),
    }
}

/// What [`run`] is of.
pub(crate) fn configuration() -> Configuration {
    Configuration {
        file: "pipelines/sentiment.toml".into(),
        profiles: vec!["smoke".into()],
        set: Vec::new(),
    }
}

/// The end of a stage.
pub(crate) fn finished(
    stage: &str,
    outcome: Outcome,
    seconds: f64,
    reason: &str,
    metrics: &[(&str, f64)],
) -> Event {
    Event::StageFinished {
        stage: stage.into(),
        outcome,
        seconds,
        key: "5f2e".into(),
        reason: reason.into(),
        metrics: figures(metrics),
    }
}

/// A run in which everything happens that can.
pub(crate) fn run() -> Vec<Event> {
    let changed = "learning_rate: 0.001 → 0.002";
    vec![
        Event::RunStarted {
            pipeline: "sentiment".into(),
            configuration: configuration(),
            run: "20260601-101112-a1b2".into(),
            stages: ["encoder", "tune", "test", "audit", "publish"]
                .map(String::from)
                .into(),
            params: BTreeMap::from([("epochs".into(), "10".into())]),
            revision: Some("28df0a9c".repeat(5)),
        },
        finished("encoder", Outcome::Cached, 0.002, "", &[]),
        Event::StageStarted {
            stage: "tune".into(),
            key: "5f2e".into(),
            reason: changed.into(),
        },
        Event::Notice {
            stage: Some("tune".into()),
            text: "3 texts are in train and in validation".into(),
        },
        Event::Paste {
            stage: "tune".into(),
            text: "the file is not pinned; write in [stage.tune]:".into(),
            lines: vec![format!("sha256 = \"sha256:{}\"", "0f16a3b4".repeat(8))],
        },
        progress("epoch 1/2", 0, 267),
        Event::Measured {
            stage: "tune".into(),
            at: "epoch 1/2".into(),
            metrics: figures(&[("accuracy", 0.7012), ("loss", 0.5911)]),
            samples_per_second: Some(412.0),
        },
        Event::Used {
            stage: "tune".into(),
            cpu_seconds: 23.1,
            peak_memory: Some(1_200_000_000),
        },
        Event::Was {
            stage: "tune".into(),
            metrics: figures(&[("accuracy", 0.7443), ("loss", 0.4873)]),
        },
        finished(
            "tune",
            Outcome::Ran,
            12.4,
            changed,
            &[
                ("accuracy", 0.7543),
                ("loss", 0.4873),
                ("parameters", 770.0),
            ],
        ),
        Event::StageStarted {
            stage: "test".into(),
            key: "a01c".into(),
            reason: "input `model` changed".into(),
        },
        finished(
            "test",
            Outcome::Ran,
            0.31,
            "input `model` changed",
            &[("accuracy", 0.7511)],
        ),
        Event::StageStarted {
            stage: "audit".into(),
            key: "77b0".into(),
            reason: "no record".into(),
        },
        Event::Log {
            stage: "audit".into(),
            text: "Traceback (most recent call last):".into(),
        },
        Event::Log {
            stage: "audit".into(),
            text: "ValueError: no such column".into(),
        },
        finished(
            "audit",
            Outcome::Failed,
            0.5,
            "`python` ended with status 1",
            &[],
        ),
        finished("publish", Outcome::Skipped, 0.0, "needs `audit`", &[]),
        Event::Notice {
            stage: None,
            text: "the lock is not written, because a stage failed".into(),
        },
        Event::RunFinished {
            ran: 2,
            cached: 1,
            failed: 1,
            skipped: 1,
            seconds: 13.3,
        },
    ]
}

fn figures(metrics: &[(&str, f64)]) -> BTreeMap<String, f64> {
    metrics
        .iter()
        .map(|(name, value)| ((*name).to_string(), *value))
        .collect()
}
