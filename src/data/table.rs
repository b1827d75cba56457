//! A table in memory, and its one form on disk: the same rows always become the same bytes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use polars::prelude::{
    Column, DataFrame, DataType, Float32Type, IdxCa, IdxSize, IntoColumn, ListBuilderTrait,
    ListPrimitiveChunkedBuilder, ListStringChunkedBuilder, NamedFrom, ParquetCompression,
    ParquetReader, ParquetWriter, PlSmallStr, PolarsResult, SerReader, Series, StatisticsOptions,
};

use super::guard::guarded;
use crate::error::{Context, Error, Result};

/// The file of a table artifact.
pub const FILE: &str = "table.parquet";

/// Rows of a Parquet row group. Fixed, because it decides the bytes of the file.
pub(in crate::data) const ROW_GROUP: usize = 1 << 16;

/// Rows and named columns, all in memory.
#[derive(Clone, Debug)]
pub struct Table {
    pub(in crate::data) frame: DataFrame,
}

impl Table {
    /// Wraps a polars frame.
    pub(in crate::data) fn new(frame: DataFrame) -> Self {
        Self { frame }
    }

    /// Reads the table artifact in `folder`.
    ///
    /// # Errors
    /// A file that is missing or is not Parquet.
    pub fn read(folder: &Path) -> Result<Self> {
        Self::read_parquet(&folder.join(FILE))
    }

    /// Reads a Parquet file. Columns of categories become text.
    ///
    /// # Errors
    /// A file that is missing, is not Parquet, or has column types that tables do not have.
    pub fn read_parquet(path: &Path) -> Result<Self> {
        let what = || format!("cannot read the table `{}`", path.display());
        let file = File::open(path).or_stage(what)?;
        let frame = guarded(|| ParquetReader::new(file).set_rechunk(true).finish());
        frame
            .and_then(|frame| Self::of_parquet(&frame))
            .or_stage(what)
    }

    /// What was read from a Parquet file, with categories as text.
    pub(in crate::data) fn of_parquet(frame: &DataFrame) -> PolarsResult<Self> {
        let columns = frame.columns().iter().map(|column| match column.dtype() {
            DataType::Categorical(..) | DataType::Enum(..) => column.cast(&DataType::String),
            _ => Ok(column.clone()),
        });
        let columns = columns.collect::<PolarsResult<_>>()?;
        let frame = DataFrame::new(frame.height(), columns)?;
        Ok(Self { frame })
    }

    /// Writes the table artifact into `folder`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let what = || format!("cannot write the table `{}`", path.display());
        let mut file = BufWriter::new(File::create(&path).or_stage(what)?);
        // One chunk a column: how a column is cut in memory depends on how it was made, and would show in the file.
        let mut frame = self.frame.clone();
        frame.rechunk_mut_par();
        ParquetWriter::new(&mut file)
            .with_compression(ParquetCompression::Zstd(None))
            .with_statistics(StatisticsOptions::full())
            .with_row_group_size(Some(ROW_GROUP))
            .finish(&mut frame)
            .or_stage(what)?;
        file.flush().or_stage(what)
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.frame.height()
    }

    /// The names of the columns, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        self.frame
            .get_column_names()
            .into_iter()
            .map(PlSmallStr::as_str)
            .collect()
    }

    /// The rows with these 0-based numbers, in this order.
    ///
    /// # Errors
    /// A number past the end.
    pub fn take(&self, rows: &[usize]) -> Result<Self> {
        let indices: Vec<IdxSize> = rows
            .iter()
            .map(|row| IdxSize::try_from(*row))
            .collect::<Result<_, _>>()
            .or_stage(|| "too many rows for one table")?;
        let frame = self
            .frame
            .take(&IdxCa::from_vec(PlSmallStr::EMPTY, indices))
            .or_stage(|| "cannot take rows of a table")?;
        Ok(Self { frame })
    }

    /// A table of one column of text.
    #[must_use]
    pub fn of_text(name: &str, values: &[String]) -> Self {
        let column = Column::new(name.into(), values);
        Self {
            frame: DataFrame::new_infer_height(vec![column]).unwrap_or_default(),
        }
    }

    /// A table of so many rows that has no column yet.
    #[must_use]
    pub fn of_rows(rows: usize) -> Self {
        Self {
            frame: DataFrame::empty_with_height(rows),
        }
    }

    /// The same with a column of values behind the others: whole numbers, numbers, or else text, whatever all of them are.
    ///
    /// # Errors
    /// As [`with_text`](Self::with_text).
    pub fn with_values(self, name: &str, values: &[Option<String>]) -> Result<Self> {
        if let Some(whole) = parsed::<i64>(values) {
            return self.with(Column::new(name.into(), whole));
        }
        match parsed::<f64>(values) {
            Some(numbers) => self.with(Column::new(name.into(), numbers)),
            None => self.with(Column::new(name.into(), values)),
        }
    }

    /// The same with a column of figures behind the others, with gaps where there is none.
    ///
    /// # Errors
    /// As [`with_text`](Self::with_text).
    pub fn with_figures(self, name: &str, values: &[Option<f64>]) -> Result<Self> {
        self.with(Column::new(name.into(), values))
    }

    /// The same with a column of text behind the others.
    ///
    /// # Errors
    /// Another number of values than of rows, a column that is there already; so for the others below.
    pub fn with_text(self, name: &str, values: &[&str]) -> Result<Self> {
        self.with(Column::new(name.into(), values))
    }

    /// The same with a column of numbers behind the others.
    ///
    /// # Errors
    /// As [`with_text`](Self::with_text).
    pub fn with_numbers(self, name: &str, values: &[f32]) -> Result<Self> {
        self.with(Column::new(name.into(), values))
    }

    /// The same with a column of lists of text behind the others.
    ///
    /// # Errors
    /// As [`with_text`](Self::with_text).
    pub fn with_lists(self, name: &str, values: &[Vec<String>]) -> Result<Self> {
        let lists = values
            .iter()
            .map(|list| Series::new(PlSmallStr::EMPTY, list));
        let mut builder = ListStringChunkedBuilder::new(name.into(), values.len(), values.len());
        for list in lists {
            let list = builder.append_series(&list);
            list.or_stage(|| "labels are no list of text")?;
        }
        self.with(builder.finish().into_column())
    }

    /// The same with a column of lists of numbers behind the others.
    ///
    /// # Errors
    /// As [`with_text`](Self::with_text).
    pub fn with_vectors(self, name: &str, values: &[Vec<f32>]) -> Result<Self> {
        let (rows, numbers) = (values.len(), values.iter().map(Vec::len).sum());
        let mut builder = ListPrimitiveChunkedBuilder::<Float32Type>::new(
            name.into(),
            rows,
            numbers,
            DataType::Float32,
        );
        for vector in values {
            builder.append_slice(vector);
        }
        self.with(builder.finish().into_column())
    }

    pub(in crate::data) fn with(mut self, column: Column) -> Result<Self> {
        if self.frame.column(column.name()).is_ok() {
            return Err(Error::stage(format!(
                "the table has a column `{}` already",
                column.name()
            )));
        }
        let height = column.len();
        let mut columns = std::mem::take(&mut self.frame).into_columns();
        columns.push(column);
        let frame = DataFrame::new(height, columns).or_stage(|| "columns of unequal length")?;
        Ok(Self { frame })
    }

    /// The same without column `name`.
    ///
    /// # Errors
    /// If there is none.
    pub fn without(self, name: &str) -> Result<Self> {
        let frame = self.frame.drop(name).map_err(|_| self.no_column(name))?;
        Ok(Self { frame })
    }

    /// The column called `name`.
    ///
    /// # Errors
    /// If there is none: names the columns that there are.
    pub(in crate::data) fn column(&self, name: &str) -> Result<&Column> {
        self.frame.column(name).map_err(|_| self.no_column(name))
    }

    /// The error for a column that the table does not have.
    #[must_use]
    pub fn no_column(&self, name: &str) -> Error {
        Error::stage(format!("the table has no column `{name}`"))
            .note(format!("its columns: {}", self.columns().join(", ")))
            .did_you_mean(name, self.columns())
    }

    /// The values of column `name` as text, one a row; none where it is null.
    ///
    /// # Errors
    /// No such column, or one of lists or structs.
    pub fn as_text(&self, name: &str) -> Result<Vec<Option<String>>> {
        let column = self.column(name)?;
        let text = guarded(|| column.cast(&DataType::String)).map_err(|error| {
            Error::stage(format!(
                "column `{name}` holds {} and cannot be read as text",
                super::types::type_name(column.dtype())
            ))
            .because(&error)
        })?;
        let text = text
            .str()
            .or_stage(|| format!("column `{name}` cannot be read as text"))?;
        Ok(text.iter().map(|value| value.map(str::to_owned)).collect())
    }

    /// The values of column `name` as text, where every row must have one.
    ///
    /// # Errors
    /// Those of [`as_text`](Self::as_text), and the first row without a value.
    pub fn values(&self, name: &str) -> Result<Vec<String>> {
        let values = self.as_text(name)?;
        let (rows, nulls) = (
            values.len(),
            values.iter().filter(|value| value.is_none()).count(),
        );
        match values.iter().position(Option::is_none) {
            None => Ok(values.into_iter().flatten().collect()),
            Some(row) => Err(Error::stage(format!(
                "row {} has no value in column `{name}`",
                row + 1
            ))
            .note(format!("{nulls} of {rows} rows have none"))
            .help(format!("drop such rows before: WHERE {name} IS NOT NULL"))),
        }
    }
}

/// All values as what they may be; none if one is not.
fn parsed<T: std::str::FromStr>(values: &[Option<String>]) -> Option<Vec<Option<T>>> {
    let read = |value: &Option<String>| value.as_ref().map(|value| value.parse().ok());
    values
        .iter()
        .map(|value| read(value).map_or(Some(None), |read| read.map(Some)))
        .collect()
}

#[cfg(test)]
mod tests {
    use polars::prelude::{CategoricalPhysical, Categories, df};

    use super::*;

    fn bytes(table: &Table) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        table.write(folder.path()).expect("written");
        std::fs::read(folder.path().join(FILE)).expect("read")
    }

    #[test]
    fn same_rows_same_bytes_however_they_lie_in_memory() {
        let whole =
            df!("text" => ["a", "b", "c", "d"], "n" => [Some(1i64), None, Some(3), Some(4)])
                .expect("a frame");
        let first = whole.slice(0, 1);
        let mut pieces = first.vstack(&whole.slice(1, 3)).expect("stacked");
        assert_eq!(pieces.first_col_n_chunks(), 2);
        pieces
            .apply("n", |column| {
                let mut series = column.as_materialized_series().clone();
                series.set_sorted_flag(polars::series::IsSorted::Ascending);
                series
            })
            .expect("flagged");
        assert_eq!(bytes(&Table::new(whole)), bytes(&Table::new(pieces)));
    }

    #[test]
    fn what_is_written_is_read() {
        let series = Series::new("x".into(), [Some(1.5f64), None, Some(f64::INFINITY)]);
        let table = Table::new(DataFrame::new_infer_height(vec![series.into()]).expect("a frame"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        table.write(folder.path()).expect("written");
        let back = Table::read(folder.path()).expect("read");
        assert!(table.frame.equals_missing(&back.frame));
    }

    #[test]
    fn categories_become_text() {
        let categories = Categories::new("c".into(), PlSmallStr::EMPTY, CategoricalPhysical::U32);
        let series = Series::new("c".into(), ["x", "y", "x"]);
        let series = series
            .cast(&DataType::from_categories(categories))
            .expect("cast");
        let mut frame = DataFrame::new_infer_height(vec![series.into()]).expect("a frame");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("c.parquet");
        let file = File::create(&path).expect("a file");
        ParquetWriter::new(file)
            .finish(&mut frame)
            .expect("written");
        let table = Table::read_parquet(&path).expect("read");
        assert!(table.column("c").expect("c").dtype().is_string());
    }

    #[test]
    fn missing_column_is_named_with_a_guess() {
        let table = Table::new(df!("label" => [1i64]).expect("a frame"));
        let error = table.column("lable").expect_err("no such column");
        assert_eq!(error.message(), "the table has no column `lable`");
        assert_eq!(error.help_text(), Some("did you mean `label`?"));
    }
}
