//! What an artifact holds, for people: rows of a table, images by label, a model's card, files, how a training went. Drawn by `report`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use serde_json::Value;

use crate::data::images::{self, Images};
use crate::data::scan::Scan;
use crate::data::{Format, shown, table};
use crate::error::{Context as _, Error, Result};
use crate::models::{CARD_FILE, Card, config};
use crate::names::TEMPORARY;

/// What an artifact holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The first rows of a table.
    Table {
        /// Names and types of the columns.
        columns: Vec<(String, String)>,
        /// Cells, row by row.
        rows: Vec<Vec<String>>,
        /// How many rows there are in all.
        total: usize,
    },
    /// Images.
    Images {
        /// Their height and width in pixels.
        size: (usize, usize),
        /// How many have each label.
        labels: Vec<(String, usize)>,
    },
    /// What is known of a model: what it is called, and what it is.
    Model(Vec<(String, String)>),
    /// Figures, as they are written.
    Metrics(Value),
    /// How a training went: its lines, as they are written.
    History(Vec<Value>),
    /// Losses at learning rates: each rate with the smoothed loss, and the rate that is suggested.
    Rates {
        /// The rates that were tried, rising.
        tried: Vec<(f64, f64)>,
        /// The one at which the loss falls fastest; none if it falls nowhere.
        found: Option<f64>,
    },
    /// Files: path and size in bytes, in order.
    Files(Vec<(String, u64)>),
}

/// The file with the steps of a training.
const HISTORY: &str = "history.jsonl";

/// The files of an artifact of `lr-find`.
const RATES: &str = "lr-find.json";
const PICTURE: &str = "lr-find.svg";

/// What the artifact in `folder` holds, with so many rows of a table.
///
/// # Errors
/// Files that cannot be read as what they are called.
pub fn look(folder: &Path, rows: usize) -> Result<Content> {
    if folder.join(table::FILE).is_file() {
        return of_table(&folder.join(table::FILE), rows);
    }
    if folder.join(images::FILE).is_file() {
        let images = Images::open(folder)?;
        let mut labels = BTreeMap::<&str, usize>::new();
        for index in 0..images.len() {
            *labels.entry(images.label(index)).or_default() += 1;
        }
        let labels = labels.into_iter();
        return Ok(Content::Images {
            size: (images.height(), images.width()),
            labels: labels
                .map(|(label, count)| (label.to_owned(), count))
                .collect(),
        });
    }
    if folder.join("config.json").is_file() {
        return of_model(folder).map(Content::Model);
    }
    if folder.join("metrics.json").is_file() {
        return json(&folder.join("metrics.json")).map(Content::Metrics);
    }
    if folder.join(RATES).is_file() && folder.join(PICTURE).is_file() {
        return of_rates(&folder.join(RATES));
    }
    let files = files(folder)?;
    if folder.join(HISTORY).is_file() && files.len() == 1 {
        return of_history(&folder.join(HISTORY)).map(Content::History);
    }
    Ok(Content::Files(files))
}

fn of_table(path: &Path, rows: usize) -> Result<Content> {
    let scan = Scan::open(path, Format::Parquet)?;
    let mut content = Vec::new();
    let mut types = Vec::new();
    for piece in scan.tables()? {
        let piece = piece?;
        types = shown::types(&piece);
        let left = rows.saturating_sub(content.len()).min(piece.rows());
        let first: Vec<usize> = (0..left).collect();
        content.extend(shown::cells(&piece.take(&first)?));
        if content.len() >= rows {
            break;
        }
    }
    let names = scan.columns().into_iter().map(str::to_owned);
    Ok(Content::Table {
        columns: names.zip(types).collect(),
        rows: content,
        total: scan.rows(),
    })
}

fn of_history(path: &Path) -> Result<Vec<Value>> {
    let cannot = || format!("cannot read `{HISTORY}`");
    let text = fs::read_to_string(path).or_stage(cannot)?;
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().or_stage(cannot)
}

fn of_rates(path: &Path) -> Result<Content> {
    let found = json(path)?;
    let tried = found["tried"].as_array().into_iter().flatten();
    let pair = |rate: &Value| {
        let number = |name: &str| rate[name].as_f64();
        number("learning_rate").zip(number("smoothed_loss"))
    };
    Ok(Content::Rates {
        tried: tried.filter_map(pair).collect(),
        found: found["learning_rate"].as_f64(),
    })
}

/// Writes the picture of what `lr-find` tried, which is in `folder`, to `path`.
///
/// # Errors
/// Those of the disk.
pub fn picture(folder: &Path, path: &Path) -> Result<()> {
    let bytes = fs::read(folder.join(PICTURE)).or_stage(|| format!("cannot read `{PICTURE}`"))?;
    crate::store::write_atomic(path, &bytes)
}

fn json(path: &Path) -> Result<Value> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let cannot = || format!("cannot read `{name}`");
    let bytes = fs::read(path).or_stage(cannot)?;
    serde_json::from_slice(&bytes).or_stage(cannot)
}

/// The files below `folder`, sorted, with `/` between the parts of their paths.
fn files(folder: &Path) -> Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let cannot = || format!("cannot read `{}`", inner.display());
        for entry in fs::read_dir(folder.join(&inner)).or_stage(cannot)? {
            let entry = entry.or_stage(cannot)?;
            let path = inner.join(entry.file_name());
            let metadata = entry.metadata().or_stage(cannot)?;
            if metadata.is_dir() {
                folders.push(path);
            } else {
                let parts = path.iter().map(|part| part.to_string_lossy());
                let parts: Vec<_> = parts.collect();
                files.push((parts.join("/"), metadata.len()));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What is known of the model in `folder`.
fn of_model(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut line = |name: &str, value: String| lines.push((name.into(), value));
    let architecture = config(folder)?;
    if let Some(name) = architecture
        .get("model_type")
        .or(architecture.get("architecture"))
    {
        line("architecture", plain(name));
    }
    if folder.join(CARD_FILE).is_file() {
        let card = Card::read(folder)?;
        if let Some(task) = &card.task {
            line("task", task.clone());
        }
        if !card.labels.is_empty() {
            line("labels", card.labels.join(", "));
        }
        if let Some(frozen) = &card.frozen {
            line(
                "trained",
                format!(
                    "{} of {} parameters, and the head",
                    frozen.trainable, frozen.total
                ),
            );
        }
        if let Some(length) = card.max_length {
            line("max_length", format!("{length} tokens"));
        }
        if card.random_weights.is_some() {
            line("weights", "random, or some of them".into());
        }
        if let Some(training) = &card.training {
            if training.best_epoch > 0 {
                line("best epoch", training.best_epoch.to_string());
            }
            if let Some(step) = training.best_step {
                line("best step", step.to_string());
            }
            let best = training.history.iter().find(|figures| {
                let is = |name: &str, number: Option<usize>| {
                    figures[name].as_u64() == number.map(|number| number as u64)
                };
                is("epoch", Some(training.best_epoch)) && is("step", training.best_step)
            });
            if let Some(figures) = best.or(training.history.last()) {
                line("figures", plain(figures));
            }
            let settings = serde_json::to_value(&training.settings);
            let settings = settings.or_stage(|| "the settings are no JSON")?;
            for (name, value) in settings.as_object().into_iter().flatten() {
                if !value.is_null() && name != "labels" {
                    line(name, plain(value));
                }
            }
        }
    }
    let bytes: u64 = files(folder)?.iter().map(|(_, bytes)| bytes).sum();
    #[expect(clippy::cast_precision_loss, reason = "one decimal of it is shown")]
    line("size", format!("{:.1} MB", bytes as f64 / 1e6));
    Ok(lines)
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(number) if number != 0.0 && number.abs() < 1e-3 => format!("{number:e}"),
            Some(number) => format!("{}", (number * 1e4).round() / 1e4),
            None => number.to_string(),
        },
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(plain).collect();
            values.join(", ")
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name} {}", plain(value)))
                .collect();
            fields.join(", ")
        }
        other => other.to_string(),
    }
}

/// The most images of a label on a sheet.
const ACROSS: usize = 10;

/// The most labels on a sheet.
const DOWN: usize = 40;

/// The largest side of an image on a sheet, in pixels.
const LARGEST: usize = 160;

/// A sheet of the images in `folder` as a PNG file at `path`, a row a label. Returns the labels, from the top, and how many more there are.
///
/// # Errors
/// No images, a name that does not end in .png; those of the disk.
pub fn sheet(folder: &Path, path: &Path) -> Result<(Vec<String>, usize)> {
    let is_png = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    if !is_png {
        return Err(Error::usage(format!(
            "`{}` does not end in .png",
            path.display()
        )));
    }
    if !folder.join(images::FILE).is_file() {
        return Err(Error::usage("only images make a sheet").help("leave `-o` out"));
    }
    let images = Images::open(folder)?;
    let mut by_label = BTreeMap::<&str, Vec<usize>>::new();
    for index in 0..images.len() {
        by_label.entry(images.label(index)).or_default().push(index);
    }
    let across = by_label
        .values()
        .map(Vec::len)
        .max()
        .unwrap_or(0)
        .min(ACROSS);
    if across == 0 {
        return Err(Error::stage("there is no image"));
    }
    let rows: Vec<(&str, Vec<usize>)> = by_label.into_iter().collect();
    let more = rows.len().saturating_sub(DOWN);
    let rows = &rows[..rows.len() - more];
    // Of large images every second pixel is taken, or every third.
    let step = images.height().max(images.width()).div_ceil(LARGEST).max(1);
    let (height, width) = (
        images.height().div_ceil(step),
        images.width().div_ceil(step),
    );
    let gap = 4;
    let mut sheet =
        vec![255_u8; (rows.len() * (height + gap) + gap) * (across * (width + gap) + gap) * 3];
    let stride = (across * (width + gap) + gap) * 3;
    for (row, (_, of_label)) in rows.iter().enumerate() {
        let shown = of_label.len().min(across);
        for column in 0..shown {
            // Evenly among all, so that the first folder is not the only one.
            let pixels = images.pixels(of_label[column * of_label.len() / shown]);
            let (top, left) = (gap + row * (height + gap), gap + column * (width + gap));
            let lines = pixels.chunks(images.width() * 3).step_by(step);
            for (line, pixels) in lines.enumerate() {
                let start = (top + line) * stride + left * 3;
                let pixels = pixels.chunks(3).step_by(step).flatten();
                let place = sheet[start..].iter_mut();
                place.zip(pixels).for_each(|(place, pixel)| *place = *pixel);
            }
        }
    }
    let cannot = || format!("cannot write `{}`", path.display());
    let pixels = |pixels: usize| u32::try_from(pixels).or_stage(cannot);
    let size = (
        pixels(stride / 3)?,
        pixels(rows.len() * (height + gap) + gap)?,
    );
    let picture = RgbImage::from_raw(size.0, size.1, sheet);
    let picture = picture.ok_or_else(|| Error::stage(cannot()))?;
    let beside = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder
        .tempfile_in(beside.unwrap_or(Path::new(".")))
        .or_stage(cannot)?;
    picture
        .write_to(
            &mut std::io::BufWriter::new(file.as_file()),
            ImageFormat::Png,
        )
        .or_stage(cannot)?;
    file.persist(path).or_stage(cannot)?;
    let labels = rows.iter().map(|(label, _)| (*label).to_owned());
    Ok((labels.collect(), more))
}
