//! A tuned model's labels for new data: texts of a table, or photos. Read, labelled and written piece by piece, so that memory does
//! not grow with the data, and seen under its name only when it is whole.

mod input;
mod model;

use std::num::NonZeroUsize;
use std::path::Path;

pub use crate::data::Format;
pub use crate::data::csv::character;
pub use crate::data::images::OnError;

use self::input::{Input, Piece};
use self::model::{Labelled, Model};
use crate::data::Table;
use crate::data::scan::Sink;
use crate::error::{Error, Result};
use crate::train::metrics::probabilities;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The model's folder, with a head for its labels.
    pub model: &'a Path,
    /// A table, a folder of photos, or an artifact of tables or images.
    pub input: &'a Path,
    /// The file to make.
    pub output: &'a Path,
    /// Its format.
    pub format: Format,
    /// The device to run on: `cpu`.
    pub device: &'a str,
    /// What may be set.
    pub options: Options,
}

/// What may be set.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the input is written, if it is a table in a file.
    pub written: Written,
    /// The column with the texts; none for the one that the model was tuned on.
    pub text_column: Option<String>,
    /// The column with the photos, as bytes or as paths; none for `image`, else `path`.
    pub image_column: Option<String>,
    /// What the names of the new columns begin with.
    pub prefix: String,
    /// Whether the columns hold logits, `logit_LABEL`, instead of probabilities.
    pub logits: bool,
    /// What becomes of photos that cannot be read.
    pub on_error: OnError,
    /// The most pixels that a photo may have.
    pub max_pixels: u64,
    /// Samples in a batch.
    pub batch_size: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            written: Written::default(),
            text_column: None,
            image_column: None,
            prefix: String::new(),
            logits: false,
            on_error: OnError::Error,
            max_pixels: 50_000_000,
            batch_size: NonZeroUsize::MIN.saturating_add(31),
        }
    }
}

/// How a table in a file is written, where that is not as in most files of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The format; none for the one that the name ends in.
    pub format: Option<Format>,
    /// CSV, TSV: the character between two fields; none for a comma or a tab.
    pub separator: Option<u8>,
    /// CSV, TSV: the character around a field, none in it if quotes are characters like any other; none for `"`.
    pub quote: Option<Option<u8>>,
    /// CSV, TSV: whether the first row is a row like any other, and the columns are called `column_1` and so on.
    pub no_header: bool,
}

/// Watches the work, and may stop it.
pub trait Watch: Sync {
    /// So many of so many samples are labelled.
    fn progress(&self, done: usize, total: usize);

    /// Something that the user may not expect, in a sentence.
    fn notice(&self, text: String);

    /// Called now and then.
    ///
    /// # Errors
    /// If the work is to stop.
    fn check_cancelled(&self) -> Result<()>;
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Rows that were written.
    pub rows: usize,
    /// Photos that could not be read and were left out, and why.
    pub left_out: Vec<String>,
    /// Texts without a token, each of which counts as one padding token.
    pub empty: usize,
}

/// Labels the input: its columns, then `label` with the most likely label, and `probability_LABEL` for each label.
///
/// # Errors
/// A model that cannot be loaded or is not tuned, an input that does not suit it, a text that is missing, a photo that cannot be
/// read, a column that is there already; those of the disk, and that the user asked to stop.
pub fn predict(request: &Request<'_>, watch: &dyn Watch) -> Result<Done> {
    let options = &request.options;
    let model = Model::open(request.model, request.device)?;
    if let Some(notice) = model.notice() {
        watch.notice(notice.into());
    }
    let input = Input::open(request.input, &model, options, watch)?;
    let columns = Columns::new(&model, &input, options)?;
    let input = match request.format {
        // Fields stay as they are written.
        Format::Csv | Format::Tsv => input.with_text(),
        Format::Ndjson | Format::Parquet => input,
    };
    let mut sink = Sink::create(request.output, request.format)?;
    let mut done = Done::default();
    let mut seen = 0;
    for piece in input.pieces()? {
        let piece = piece?;
        let rows = piece.table.rows();
        let Labelled {
            logits,
            broken,
            empty,
        } = model.label(&piece, options, watch)?;
        done.empty += empty;
        let Piece { table, .. } = piece;
        let table = if broken.is_empty() {
            table
        } else {
            let is_whole = |row: &usize| !broken.iter().any(|(broken, _)| broken == row);
            table.take(&(0..rows).filter(is_whole).collect::<Vec<_>>())?
        };
        done.rows += table.rows();
        let broken = broken.into_iter().map(|(_, why)| why);
        done.left_out.extend(broken);
        if table.rows() > 0 {
            sink.write(columns.add(table, &logits)?)?;
        }
        seen += rows;
        watch.progress(seen, input.rows());
        watch.check_cancelled()?;
    }
    if done.rows == 0 {
        return Err(Error::stage("not one photo can be read"));
    }
    sink.finish()?;
    Ok(done)
}

/// The columns that a model adds.
#[derive(Debug)]
struct Columns {
    labels: Vec<String>,
    label: String,
    scores: Vec<String>,
    logits: bool,
}

impl Columns {
    /// The names of the columns that a model adds to an input.
    fn new(model: &Model, input: &Input, options: &Options) -> Result<Self> {
        let prefix = &options.prefix;
        let labels = model.labels().to_vec();
        let what = if options.logits {
            "logit"
        } else {
            "probability"
        };
        let score = |label: &String| format!("{prefix}{what}_{label}");
        let columns = Self {
            label: format!("{prefix}label"),
            scores: labels.iter().map(score).collect(),
            labels,
            logits: options.logits,
        };
        let mut new = std::iter::once(&columns.label).chain(&columns.scores);
        let there = input.columns();
        match new.find(|name| there.contains(&name.as_str())) {
            None => Ok(columns),
            Some(name) => Err(Error::stage(format!(
                "the input has a column `{name}` already, which the predictions are to be called"
            ))
            .help("give the new columns other names, for example with `prefix = \"predicted_\"`")
            .naming(&["prefix = \"predicted_\""])),
        }
    }

    /// Adds the columns to rows with these logits, row by row.
    fn add(&self, table: Table, logits: &[f32]) -> Result<Table> {
        let classes = self.labels.len();
        // They say also which logits are no numbers.
        let probabilities = probabilities(logits, classes)?;
        let rows = logits.chunks_exact(classes);
        let labels: Vec<&str> = rows.map(|row| self.most_likely(row)).collect();
        let mut table = table.with_text(&self.label, &labels)?;
        for (class, name) in self.scores.iter().enumerate() {
            let of_class = |row: usize| row * classes + class;
            #[expect(clippy::cast_possible_truncation, reason = "logits are f32, too")]
            let score = |row| {
                if self.logits {
                    logits[of_class(row)]
                } else {
                    probabilities[of_class(row)] as f32
                }
            };
            let scores: Vec<f32> = (0..labels.len()).map(score).collect();
            table = table.with_numbers(name, &scores)?;
        }
        Ok(table)
    }

    /// The most likely label; of equally likely ones the first.
    fn most_likely(&self, row: &[f32]) -> &str {
        let better = |best, class| if row[class] > row[best] { class } else { best };
        &self.labels[(0..row.len()).fold(0, better)]
    }
}
