//! What a path holds that samples with targets are read from: as [`predict`](super::predict) reads it, but whole, as an artifact.

use std::path::{Path, PathBuf};

use super::Written;
use super::input::scan;
use crate::data::scan::Sink;
use crate::data::{Format, images, table, text};
use crate::error::{Error, Result};
use crate::models::{Card, has_tokenizer};

/// What a path holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The folder of an artifact of tables.
    Table(PathBuf),
    /// The folder of an artifact of images.
    Images(PathBuf),
    /// A folder of photos.
    Photos(PathBuf),
    /// The folder of an artifact of tables, with photos in a column: their bytes, or their paths below `root`.
    Listed {
        /// The folder.
        table: PathBuf,
        /// The column.
        column: String,
        /// What paths are relative to; none if the column holds bytes.
        root: Option<PathBuf>,
    },
}

/// Whether the model in the folder `model` takes texts: whether it has a tokenizer.
#[must_use]
pub fn takes_texts(model: &Path) -> bool {
    has_tokenizer(model)
}

/// What `path` holds for the model in the folder `model`; a table in a file is made an artifact in the empty folder `dest`. Columns with
/// the texts that the model was tuned on, or `texts`, stay text in delimited files, whatever their values look like.
///
/// # Errors
/// A file that is not there or no table, a folder for a model of texts, settings that a folder does not have.
pub fn contents(
    model: &Path,
    path: &Path,
    written: &Written,
    image_column: Option<&str>,
    texts: &[&Option<String>],
    dest: &Path,
) -> Result<Content> {
    if !model.join("config.json").is_file() {
        return Err(Error::usage(format!(
            "there is no model in `{}`: it has no `config.json`",
            model.display()
        )));
    }
    let takes_texts = takes_texts(model);
    if path.is_dir() {
        if *written != Written::default() {
            return Err(Error::usage(format!(
                "`{}` is no table in a file, so nothing can be said about how it is written",
                path.display()
            ))
            .help("leave `format`, `separator`, `quote` and `header` out")
            .naming(&["format", "separator", "quote", "header"]));
        }
        if path.join(images::FILE).is_file() {
            return Ok(Content::Images(path.into()));
        }
        if path.join(table::FILE).is_file() {
            return of_table(path, path, takes_texts, image_column);
        }
        if takes_texts {
            return Err(Error::usage(format!(
                "the model takes texts, and `{}` is a folder",
                path.display()
            ))
            .help("name a table: a file that ends in .csv, .tsv, .jsonl or .parquet"));
        }
        return Ok(Content::Photos(path.into()));
    }
    let tuned = Card::read(model)?.tuned_by();
    let named = ["text_column", "text_pair_column"].map(|name| tuned.word(name));
    let is_text = |column: &str| {
        let asked = texts.iter().any(|name| name.as_deref() == Some(column));
        takes_texts && (asked || named.contains(&Some(column)))
    };
    let scan = scan(path, written)?.with_text(is_text);
    let mut sink = Sink::create(&dest.join(table::FILE), Format::Parquet)?;
    for piece in scan.tables()? {
        sink.write(piece?)?;
    }
    sink.finish()?;
    let beside = path.parent().unwrap_or(Path::new(""));
    of_table(dest, beside, takes_texts, image_column)
}

/// The table artifact in `folder`, whose paths are relative to `beside`.
fn of_table(
    folder: &Path,
    beside: &Path,
    takes_texts: bool,
    image_column: Option<&str>,
) -> Result<Content> {
    let folder = folder.to_owned();
    if takes_texts {
        return Ok(Content::Table(folder));
    }
    let table = table::Table::read(&folder)?;
    let has = |name: &str| table.columns().contains(&name);
    let usual = if has("image") { "image" } else { "path" };
    let column = image_column.unwrap_or(usual).to_owned();
    let error = |error: Error| error.or_help("say which column the photos are in: `image_column`");
    let are_paths = text::is_text(&table, &column).map_err(error)?;
    let beside = if beside.as_os_str().is_empty() {
        Path::new(".")
    } else {
        beside
    };
    Ok(Content::Listed {
        table: folder,
        column,
        root: are_paths.then(|| beside.into()),
    })
}
