//! Event files for TensorBoard: a folder a run, and in it one a stage, with scalars, hyperparameters and the confusion matrix.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::record_file::{Message, add};
use super::{Done, Report, StageReport, Tracker, below, curves};
use crate::error::{Context as _, Result};
use crate::store::write_atomic;

/// Writes event files below a folder.
pub(super) struct Writer {
    pub(super) folder: PathBuf,
}

impl Tracker for Writer {
    fn track(&self, report: &Report, _: &mut Done<'_>) -> Result<()> {
        for stage in &report.stages {
            let folder = below(&below(&self.folder, &report.run), &stage.name);
            fs::create_dir_all(&folder)
                .or_stage(|| format!("cannot make `{}`", folder.display()))?;
            // The second part of the name is what TensorBoard asks for, and the seconds keep files in order.
            let name = format!("events.out.tfevents.{}.refire", report.times[1] / 1000);
            write_atomic(&folder.join(name), &file(report, stage))?;
        }
        Ok(())
    }
}

/// The event file of a stage.
fn file(report: &Report, stage: &StageReport) -> Vec<u8> {
    let mut file = Vec::new();
    let begin = seconds(report.times[0]);
    let head = Message::default().double(1, begin).text(3, "brain.Event:2");
    add(&mut file, &head);
    hyperparameters(report, stage, &mut file, begin);
    let points = curves(&stage.history);
    let last = points.iter().map(|point| point.step).max().unwrap_or(0);
    let length = seconds(report.times[1]) - begin;
    for point in &points {
        // When each step was taken is not known; they are spread evenly.
        #[expect(clippy::cast_precision_loss, reason = "numbers of steps are small")]
        let share = point.step as f64 / last.max(1) as f64;
        let value = scalar(&point.name, point.value);
        add(
            &mut file,
            &event(begin + share * length, point.step, &value),
        );
    }
    let end = seconds(report.times[1]);
    for (name, figure) in &stage.metrics {
        add(
            &mut file,
            &event(end, last, &scalar(&format!("figures/{name}"), *figure)),
        );
    }
    if let Some((labels, rows)) = &stage.confusion {
        let text = text("confusion", &table(labels, rows));
        add(&mut file, &event(end, last, &text));
    }
    file
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds stay below 2^53")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// An `Event` with one value of a summary.
fn event(time: f64, step: u64, value: &Message) -> Message {
    let summary = Message::default().message(1, value);
    Message::default()
        .double(1, time)
        .integer(2, step)
        .message(5, &summary)
}

/// A value that the plugin for scalars shows.
#[expect(
    clippy::cast_possible_truncation,
    reason = "its values are 32-bit floats"
)]
fn scalar(name: &str, value: f64) -> Message {
    Message::default().text(1, name).float(2, value as f32)
}

/// What says which plugin shows a value.
fn plugin(name: &str, content: &[u8]) -> Message {
    let data = Message::default().text(1, name).bytes(2, content);
    Message::default().message(1, &data)
}

/// A value that the plugin for text shows as Markdown.
fn text(name: &str, markdown: &str) -> Message {
    const STRING: u64 = 7;
    let tensor = Message::default()
        .integer(1, STRING)
        .message(2, &Message::default())
        .text(8, markdown);
    Message::default()
        .text(1, name)
        .message(9, &plugin("text", &[]))
        .message(8, &tensor)
}

/// What the plugin for hyperparameters reads (`tensorboard/plugins/hparams/plugin_data.proto`): the params and settings of the stage, that
/// it began and how it ended.
fn hyperparameters(report: &Report, stage: &StageReport, file: &mut Vec<u8>, begin: f64) {
    const ENDED_WELL: u64 = 1;
    const FAILED: u64 = 2;
    let values = report.params.iter().chain(&stage.settings);
    let start = values.fold(Message::default(), |start, (name, value)| {
        let value = match value.parse::<f64>() {
            Ok(number) => Message::default().double(2, number),
            Err(_) => Message::default().text(3, value.trim_matches('"')),
        };
        start.message(1, &Message::default().text(1, name).message(2, &value))
    });
    let start = start
        .text(4, &format!("{}/{}", report.run, stage.name))
        .double(5, begin);
    let status = if stage.succeeded { ENDED_WELL } else { FAILED };
    let end = Message::default()
        .integer(1, status)
        .double(2, seconds(report.times[1]));
    let sessions = [
        (
            "_hparams_/session_start_info",
            Message::default().message(3, &start),
        ),
        (
            "_hparams_/session_end_info",
            Message::default().message(4, &end),
        ),
    ];
    for (tag, data) in sessions {
        let value = Message::default()
            .text(1, tag)
            .message(9, &plugin("hparams", data.encoded()))
            .message(8, &empty());
        add(file, &event(begin, 0, &value));
    }
}

/// A tensor that holds nothing: what a value is where all is said in its metadata.
fn empty() -> Message {
    const FLOAT: u64 = 1;
    Message::default()
        .integer(1, FLOAT)
        .message(2, &Message::default())
}

/// The confusion matrix in Markdown.
fn table(labels: &[String], rows: &[Vec<u64>]) -> String {
    let plain = |label: &String| label.replace(['|', '\n', '\r'], " ");
    let head = labels.iter().map(plain).collect::<Vec<_>>().join(" | ");
    let mut text = format!(
        "| truth \\ said | {head} |\n|---|{}\n",
        "---|".repeat(labels.len())
    );
    for (label, row) in labels.iter().zip(rows) {
        let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "| **{}** | {} |", plain(label), cells.join(" | "));
    }
    text
}
