//! What is to be labelled, piece by piece: a table with texts or photos, a folder of photos, an artifact of images.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::model::Model;
use super::{Options, Written};
use crate::data::csv::{Dialect, Names};
use crate::data::images::{self, Content, ENDINGS, Images};
use crate::data::scan::Scan;
use crate::data::words::Texts;
use crate::data::{Format, Table, table, text};
use crate::error::{Error, Result};
use crate::event::Observer;
use crate::inputs::texts::{Columns, Sentences};
use crate::inputs::words;

/// Photos of a folder that are a piece.
const PHOTOS: usize = 256;

/// The column with the labels that the images of an artifact have already.
const TRUE_LABEL: &str = "true_label";

/// What is to be labelled.
#[derive(Debug)]
pub(super) enum Input {
    /// The columns of a table that hold texts.
    Texts(Scan, Columns),
    /// The column of a table that holds lists of words, or texts.
    Words(Scan, String, OfTexts),
    /// The column of a table that holds photos, or their paths within a folder.
    Table(Scan, String, PathBuf),
    /// Photos by their paths within a folder.
    Photos(PathBuf, Vec<String>),
    /// Squares, ready for a network.
    Squares(Arc<Images>),
}

/// Whether words come from texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OfTexts(pub(super) bool);

/// Some rows.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// Their columns, as they are to be written.
    pub(super) table: Table,
    /// What is to be labelled, a sample a row.
    pub(super) samples: Samples<'a>,
}

/// The samples of a piece.
#[derive(Debug)]
pub(super) enum Samples<'a> {
    Texts(Sentences),
    /// Lists of words.
    Words(Texts),
    /// Photos and what they are called.
    Photos(Vec<(String, Content)>),
    /// Some of the squares of an artifact.
    Squares(&'a Arc<Images>, Range<usize>),
}

type Pieces<'a> = Box<dyn Iterator<Item = Result<Piece<'a>>> + 'a>;

impl Input {
    /// Opens what is at `path` as input of `model`.
    pub(super) fn open(
        path: &Path,
        model: &Model,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<Self> {
        if path.is_dir() && options.written != Written::default() {
            return Err(Error::usage(format!(
                "`{}` is no table in a file, so nothing can be said about how it is written",
                path.display()
            ))
            .help("leave `format`, `separator`, `quote` and `header` out")
            .naming(&["format", "separator", "quote", "header"]));
        }
        if path.join(images::FILE).is_file() {
            let images = Images::open(path)?;
            model.check_squares(&images, observer)?;
            return Ok(Self::Squares(Arc::new(images)));
        }
        if path.join(table::FILE).is_file() {
            let scan = Scan::open(&path.join(table::FILE), Format::Parquet)?;
            return Self::table(scan, path, model, options);
        }
        if path.is_dir() {
            model.check_takes_photos(path)?;
            let images::Photos {
                images: photos,
                other_photos,
            } = images::find(path)?;
            if !other_photos.is_empty() {
                observer.notice(format!(
                    "{} photos are left out because of their ending: {}",
                    other_photos.len(),
                    images::endings(&other_photos)
                ));
            }
            if photos.is_empty() {
                return Err(
                    Error::stage(format!("there is no photo in `{}`", path.display())).note(
                        format!("photos are files that end in .{}", ENDINGS.join(" .")),
                    ),
                );
            }
            return Ok(Self::Photos(path.into(), photos));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::table(scan(path, &options.written)?, folder, model, options)
    }

    fn table(scan: Scan, folder: &Path, model: &Model, options: &Options) -> Result<Self> {
        let has = |name: &str| scan.columns().contains(&name);
        if let Some(tuned_on) = model.columns() {
            let first = options.text_column.as_ref().unwrap_or(&tuned_on.first);
            if model.takes_single_texts() && options.text_pair_column.is_some() {
                return Err(Error::usage(
                    "the model gives an embedding for each text, and takes no pairs",
                )
                .help("leave `text_pair_column` out, and name one column after the other: `text_column`")
                .naming(&["text_pair_column", "text_column"]));
            }
            let second = options.text_pair_column.as_ref();
            let own = tuned_on.second.as_ref();
            let own = own.filter(|_| !model.takes_single_texts());
            let columns = Columns {
                first: first.clone(),
                second: second.or(own).cloned(),
                apart: None,
            };
            if !has(&columns.first) {
                return Err(column_is_missing(
                    &scan,
                    &columns.first,
                    "say which column it is: `text_column`",
                    &["text_column"],
                ));
            }
            if let Some(second) = columns.second.as_ref().filter(|second| !has(second)) {
                return Err(column_is_missing(
                    &scan,
                    second,
                    "say which column it is: `text_pair_column`",
                    &["text_pair_column"],
                ));
            }
            if model.is_by_word() {
                if options.text_pair_column.is_some() {
                    return Err(Error::usage(
                        "the model takes lists of words, and `text_pair_column` is for pairs of texts",
                    )
                    .naming(&["text_pair_column"]));
                }
                let scan = scan.with_text(|column| column == columns.first);
                let first = scan.tables()?.next().transpose()?;
                let of_texts = first.map(|table| text::is_text(&table, &columns.first));
                let of_texts = OfTexts(of_texts.transpose()?.unwrap_or_default());
                return Ok(Self::Words(scan, columns.first, of_texts));
            }
            let scan = scan.with_text(|column| columns.names().any(|name| name == column));
            return Ok(Self::Texts(scan, columns));
        }
        let usual = || if has("image") { "image" } else { "path" }.to_owned();
        let name = options.image_column.clone().unwrap_or_else(usual);
        if !has(&name) {
            return Err(column_is_missing(
                &scan,
                &name,
                "say which column it is: `image_column`",
                &["image_column"],
            ));
        }
        Ok(Self::Table(scan, name, folder.into()))
    }

    /// Keeps the columns of delimited files as they are written.
    pub(super) fn with_text(self) -> Self {
        match self {
            Self::Texts(scan, column) => Self::Texts(scan.with_text(|_| true), column),
            Self::Words(scan, column, of_texts) => {
                Self::Words(scan.with_text(|_| true), column, of_texts)
            }
            Self::Table(scan, column, root) => Self::Table(scan.with_text(|_| true), column, root),
            other => other,
        }
    }

    /// The names of the columns that will be written.
    pub(super) fn columns(&self) -> Vec<&str> {
        match self {
            Self::Texts(scan, _) | Self::Words(scan, ..) | Self::Table(scan, ..) => scan.columns(),
            Self::Photos(..) => vec!["path"],
            Self::Squares(_) => vec!["path", TRUE_LABEL],
        }
    }

    /// How many samples there are.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Texts(scan, _) | Self::Words(scan, ..) | Self::Table(scan, ..) => scan.rows(),
            Self::Photos(_, photos) => photos.len(),
            Self::Squares(images) => images.len(),
        }
    }

    /// The samples, in order.
    pub(super) fn pieces(&self) -> Result<Pieces<'_>> {
        let mut first = 0;
        match self {
            Self::Texts(scan, columns) => Ok(Box::new(scan.tables()?.map(move |table| {
                let table = table?;
                let second = columns.second.as_ref();
                let sentences = Sentences {
                    first: values(&table, &columns.first, first)?,
                    second: second
                        .map(|column| values(&table, column, first))
                        .transpose()?,
                    apart: Vec::new(),
                };
                first += table.rows();
                let samples = Samples::Texts(sentences);
                Ok(Piece { table, samples })
            }))),
            Self::Words(scan, column, _) => Ok(Box::new(scan.tables()?.map(move |table| {
                let table = table?;
                let samples = Samples::Words(words::read(&table, column, first)?);
                first += table.rows();
                Ok(Piece { table, samples })
            }))),
            Self::Table(scan, column, root) => Ok(Box::new(scan.tables()?.map(move |table| {
                let table = table?;
                let rows = first..first + table.rows();
                first = rows.end;
                photos(table, column, root, rows)
            }))),
            Self::Photos(root, paths) => Ok(Box::new(paths.chunks(PHOTOS).map(|paths| {
                let photo = |path: &String| (path.clone(), Content::File(root.join(path)));
                Ok(Piece {
                    table: Table::of_text("path", paths),
                    samples: Samples::Photos(paths.iter().map(photo).collect()),
                })
            }))),
            Self::Squares(images) => {
                let starts = (0..images.len()).step_by(PHOTOS);
                let pieces = starts.map(|first| first..images.len().min(first + PHOTOS));
                Ok(Box::new(pieces.map(|rows| squares(images, rows))))
            }
        }
    }
}

/// The photos of some rows of a table; bytes are not written again.
fn photos(table: Table, column: &str, root: &Path, rows: Range<usize>) -> Result<Piece<'static>> {
    let are_paths = text::is_text(&table, column)?;
    let names = if are_paths {
        values(&table, column, rows.start)?
    } else {
        rows.map(|row| format!("row {}", row + 1)).collect()
    };
    let contents = images::contents(&table, column, root)?;
    let samples = Samples::Photos(names.into_iter().zip(contents).collect());
    let table = if are_paths {
        table
    } else {
        table.without(column)?
    };
    Ok(Piece { table, samples })
}

/// Some squares of an artifact, with what it says about them.
fn squares(images: &Arc<Images>, rows: Range<usize>) -> Result<Piece<'_>> {
    let paths: Vec<String> = rows.clone().map(|row| images.path(row).into()).collect();
    let labels: Vec<&str> = rows.clone().map(|row| images.label(row)).collect();
    Ok(Piece {
        table: Table::of_text("path", &paths).with_text(TRUE_LABEL, &labels)?,
        samples: Samples::Squares(images, rows),
    })
}

/// The texts in a column of rows that begin at the 0-based row `first`.
fn values(table: &Table, column: &str, first: usize) -> Result<Vec<String>> {
    let values = table.as_text(column)?;
    match values.iter().position(Option::is_none) {
        None => text::texts(table, column),
        Some(row) => Err(Error::stage(format!(
            "row {} has no value in column `{column}`",
            first + row + 1
        ))
        .help("fill it, or leave such rows out")),
    }
}

fn column_is_missing(
    scan: &Scan,
    name: &str,
    help: &str,
    settings: &'static [&'static str],
) -> Error {
    let error = scan.no_column(name);
    if error.help_text().is_some() {
        return error;
    }
    error.help(help).naming(settings)
}

/// The table in the file at `path`.
pub(super) fn scan(path: &Path, written: &Written) -> Result<Scan> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let format = written.format.or_else(|| Format::of(&name));
    let format = format.ok_or_else(|| {
        Error::usage(format!(
            "the name `{name}` does not tell which format the table has"
        ))
        .help("name it .csv, .tsv, .jsonl or .parquet, or say which it has: `format = \"csv\"`")
        .naming(&["format = \"csv\""])
    })?;
    if !path.exists() {
        return Err(Error::usage(format!(
            "there is no file `{}`",
            path.display()
        )));
    }
    let as_usual = Written {
        format: written.format,
        ..Written::default()
    };
    let Some(mut dialect) = Dialect::of(format) else {
        if *written != as_usual {
            return Err(Error::usage(format!(
                "`{name}` is read as {format}, which knows no separators, quotes and headers"
            ))
            .help("leave `separator`, `quote` and `header` out, or say that it is another `format`")
            .naming(&["separator", "quote", "header", "format"]));
        }
        return Scan::open(path, format);
    };
    dialect.separator = written.separator.unwrap_or(dialect.separator);
    dialect.quote = written.quote.unwrap_or(dialect.quote);
    if written.no_header {
        dialect.names = Names::Numbered;
    }
    if dialect.quote == Some(dialect.separator) {
        return Err(Error::usage(
            "fields are quoted by the character that separates them",
        ));
    }
    Scan::delimited(path, dialect)
}
