//! What a tuned model makes of new data: texts of a table, or photos. Read, labelled and written piece by piece, so that memory does
//! not grow with the data, and seen under its name only when it is whole.

mod content;
mod input;
mod model;

use std::num::NonZeroUsize;
use std::path::Path;

pub use self::content::{Content, contents, takes_texts};
pub use crate::data::Format;
pub use crate::data::csv::character;
pub use crate::data::images::OnError;

use self::input::{Input, OfTexts, Piece, Samples};
use self::model::{Labelled, Model};
use crate::data::Table;
use crate::data::scan::Sink;
use crate::error::{Error, Result};
use crate::event::Observer;
use crate::tasks::{Given, Naming, Values};

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
    /// What a model that is not tuned does; none for what it was tuned to do.
    pub task: Option<String>,
    /// The column with the texts; none for the one that the model was tuned on.
    pub text_column: Option<String>,
    /// The column with the second texts of pairs; none for the one that the model was tuned on.
    pub text_pair_column: Option<String>,
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
            task: None,
            text_column: None,
            text_pair_column: None,
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

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Rows that were written.
    pub rows: usize,
    /// Photos that could not be read and were left out, and why.
    pub left_out: Vec<String>,
    /// Texts without a token, each of which counts as one padding token.
    pub empty: usize,
    /// Texts that were cut.
    pub cut: usize,
    /// Texts without a mask, where masks are filled.
    pub unmasked: usize,
}

impl Done {
    /// What the user is to be told of the texts, in sentences.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let (rows, mut told) = (self.rows, Vec::new());
        if self.empty > 0 {
            let empty = self.empty;
            told.push(format!(
                "{empty} of {rows} texts have no token: each counts as one padding token"
            ));
        }
        if self.cut > 0 {
            let cut = self.cut;
            told.push(format!(
                "{cut} of {rows} texts are longer than what the model was tuned on, and are cut"
            ));
        }
        if self.unmasked > 0 {
            let unmasked = self.unmasked;
            told.push(format!(
                "{unmasked} of {rows} texts have no mask among the tokens that count, and stay as they are"
            ));
        }
        told
    }
}

/// Says what the model makes of the input: its columns, then those that the model's task adds.
///
/// # Errors
/// A model that cannot be loaded or is not tuned, an input that does not suit it, a text that is missing, a photo that cannot be
/// read, a column that is there already; those of the disk, and that the user asked to stop.
pub fn predict(request: &Request<'_>, observer: &dyn Observer) -> Result<Done> {
    let options = &request.options;
    let model = Model::open(request.model, request.device, options.task.as_deref())?;
    for notice in model.notices() {
        observer.notice(notice);
    }
    let input = Input::open(request.input, &model, options, observer)?;
    let columns = columns(&model, &input, options)?;
    // Fields stay as they are written, and a list is text.
    let as_text = matches!(request.format, Format::Csv | Format::Tsv);
    let input = if as_text { input.with_text() } else { input };
    let mut sink = Sink::create(request.output, request.format)?;
    let mut done = Done::default();
    let mut seen = 0;
    for piece in input.pieces()? {
        let piece = piece?;
        let rows = piece.table.rows();
        let Labelled {
            outputs,
            targets,
            broken,
            empty,
            cut,
            unmasked,
        } = model.label(&piece, options, observer)?;
        done.empty += empty;
        done.cut += cut;
        done.unmasked += unmasked;
        let Piece { table, samples } = piece;
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
            let words = match (&samples, &targets) {
                (Samples::Words(words), Some(targets)) => Some((words, targets)),
                _ => None,
            };
            let masks = match (&samples, &targets, model.tokenizer()) {
                (Samples::Texts(texts), Some(targets), Some(tokenizer)) => {
                    Some((&texts.first[..], targets, tokenizer))
                }
                _ => None,
            };
            let values = model.outputs().values(&Given {
                outputs: &outputs,
                samples: table.rows(),
                words,
                masks,
                raw: options.logits,
            })?;
            sink.write(add(table, &columns, values, as_text)?)?;
        }
        seen += rows;
        observer.progress("predict", seen as u64, input.rows() as u64, "samples");
        observer.check_cancelled()?;
    }
    if done.rows == 0 {
        return Err(Error::stage("not one photo can be read"));
    }
    sink.finish()?;
    Ok(done)
}

/// The names of the columns that a model adds to an input.
fn columns(model: &Model, input: &Input, options: &Options) -> Result<Vec<String>> {
    let columns = model.outputs().columns(&Naming {
        prefix: &options.prefix,
        raw: options.logits,
        of_texts: matches!(input, Input::Words(_, _, OfTexts(true))),
    });
    let there = input.columns();
    match columns.iter().find(|name| there.contains(&name.as_str())) {
        None => Ok(columns),
        Some(name) => Err(Error::stage(format!(
            "the input has a column `{name}` already, which the predictions are to be called"
        ))
        .help("give the new columns other names, for example with `prefix = \"predicted_\"`")
        .naming(&["prefix = \"predicted_\""])),
    }
}

/// Adds columns of these names.
fn add(table: Table, names: &[String], values: Vec<Values>, as_text: bool) -> Result<Table> {
    let mut columns = names.iter().zip(values);
    columns.try_fold(table, |table, (name, values)| {
        values.add_to(table, name, as_text)
    })
}
