//! Images inside a Parquet file, as Hugging Face data sets have them: a column of bytes, or of structs with a field `bytes`.
//! Read row group by row group.

use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, DataType, ParquetReader, PlSmallStr, SerReader};

use super::listing::{Listing, Wanted};
use super::prepare::{Content, Item};
use crate::data::{Table, text};
use crate::error::{Context, Error, Result};

/// A Parquet file with images in it.
#[derive(Debug)]
pub struct Embedded {
    path: PathBuf,
    image_column: String,
    /// For each row the name of its label; none if it is not wanted.
    names: Vec<Option<String>>,
    /// First row and number of rows of each row group.
    groups: Vec<(usize, usize)>,
}

impl Embedded {
    /// Opens the Parquet file at `path` and reads its labels.
    ///
    /// # Errors
    /// A file that is missing or not Parquet, missing columns, a row without label.
    pub fn open(
        path: &Path,
        image_column: &str,
        label_column: &str,
        wanted: &Wanted,
    ) -> Result<(Self, Listing)> {
        let cannot = || format!("cannot read the table `{}`", path.display());
        let mut reader = ParquetReader::new(File::open(path).or_stage(cannot)?);
        let mut groups = Vec::new();
        let mut rows = 0;
        for group in &reader.get_metadata().or_stage(cannot)?.row_groups {
            groups.push((rows, group.num_rows()));
            rows += group.num_rows();
        }
        let table = read(path, &[label_column, image_column], (0, 0))?;
        bytes_of(table.column(image_column)?)?;
        let labels = text::values(&read(path, &[label_column], (0, rows))?, label_column)?;
        let mut listing = Listing::default();
        let names = labels
            .iter()
            .enumerate()
            .map(|(row, label)| listing.add(row_name(row), label, wanted));
        let embedded = Self {
            path: path.into(),
            image_column: image_column.into(),
            names: names.collect(),
            groups,
        };
        Ok((embedded, listing))
    }

    /// The wanted images, at most `len` at a time.
    pub fn batches(&self, len: usize) -> impl Iterator<Item = Result<Vec<Item>>> {
        self.groups
            .iter()
            .flat_map(move |group| match self.items(*group) {
                Ok(items) => in_batches(items, len),
                Err(error) => vec![Err(error)],
            })
    }

    fn items(&self, (first, rows): (usize, usize)) -> Result<Vec<Item>> {
        let table = read(&self.path, &[&self.image_column], (first, rows))?;
        let (bytes, paths) = bytes_of(table.column(&self.image_column)?)?;
        let bytes = bytes.binary().or_stage(|| "the images are not bytes")?;
        let paths = paths.as_ref().and_then(|paths| paths.str().ok());
        let mut items = Vec::new();
        for (index, bytes) in bytes.iter().enumerate() {
            let row = first + index;
            if let Some(Some(label)) = self.names.get(row) {
                let path = paths.and_then(|paths| paths.get(index));
                items.push(Item {
                    path: path.map_or_else(|| row_name(row), str::to_owned),
                    label: label.clone(),
                    content: Content::Bytes(bytes.unwrap_or_default().to_vec()),
                });
            }
        }
        Ok(items)
    }
}

/// The images that column `name` of `table` holds: bytes, or paths within `root`.
///
/// # Errors
/// No such column, one that holds neither, a row without an image.
pub fn contents(table: &Table, name: &str, root: &Path) -> Result<Vec<Content>> {
    if table.column(name)?.dtype().is_string() {
        let paths = text::texts(table, name)?;
        let file = |path: String| Content::File(root.join(path));
        return Ok(paths.into_iter().map(file).collect());
    }
    let (bytes, _) = bytes_of(table.column(name)?)?;
    let bytes = bytes.binary().or_stage(|| "the images are not bytes")?;
    let content = |bytes: Option<&[u8]>| Content::Bytes(bytes.unwrap_or_default().to_vec());
    Ok(bytes.iter().map(content).collect())
}

/// What stands for the path of an image that has none.
fn row_name(row: usize) -> String {
    format!("row {}", row + 1)
}

fn in_batches(mut items: Vec<Item>, len: usize) -> Vec<Result<Vec<Item>>> {
    let mut batches = Vec::new();
    while items.len() > len {
        let rest = items.split_off(len);
        batches.push(Ok(std::mem::replace(&mut items, rest)));
    }
    if !items.is_empty() {
        batches.push(Ok(items));
    }
    batches
}

/// Reads `rows` (first, number) of some columns.
fn read(path: &Path, columns: &[&str], rows: (usize, usize)) -> Result<Table> {
    let cannot = || format!("cannot read the table `{}`", path.display());
    let mut reader = ParquetReader::new(File::open(path).or_stage(cannot)?);
    let schema = reader.schema().or_stage(cannot)?;
    for column in columns {
        if !schema.contains(column) {
            let known: Vec<_> = schema.iter_names().map(PlSmallStr::as_str).collect();
            return Err(Error::stage(format!("the table has no column `{column}`"))
                .note(format!("its columns: {}", known.join(", ")))
                .did_you_mean(column, known));
        }
    }
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    let reader = reader.with_columns(Some(columns)).with_slice(Some(rows));
    let frame: DataFrame = reader.set_rechunk(true).finish().or_stage(cannot)?;
    Ok(Table::new(frame))
}

/// The bytes and, where they have any, the paths of a column of images.
fn bytes_of(column: &Column) -> Result<(Column, Option<Column>)> {
    let name = column.name();
    let refuse = || {
        Error::stage(format!("column `{name}` holds no images but {}", column.dtype()))
            .help("images are bytes, or structs with a field `bytes` as Hugging Face data sets have them; paths to files belong to `path_column`")
    };
    match column.dtype() {
        DataType::Binary => Ok((column.clone(), None)),
        DataType::Struct(_) => {
            let fields = column
                .struct_()
                .or_stage(|| format!("column `{name}` cannot be read"))?;
            let field = |field: &str| fields.field_by_name(field).ok().map(Column::from);
            let bytes = field("bytes").filter(|bytes| *bytes.dtype() == DataType::Binary);
            let bytes = bytes.ok_or_else(refuse)?;
            let paths = field("path").filter(|paths| paths.dtype().is_string());
            Ok((bytes, paths))
        }
        _ => Err(refuse()),
    }
}
