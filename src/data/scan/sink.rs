//! Tables → a file, piece by piece, which is seen under its name only when it is whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use polars::io::{csv, json, parquet};
use polars::prelude::{
    CsvWriter, DataFrame, DataType, ParquetCompression, ParquetWriter, PolarsResult, SerWriter,
    StatisticsOptions,
};
use tempfile::NamedTempFile;

use crate::data::guard::guarded;
use crate::data::table::ROW_GROUP;
use crate::data::{Format, Table};
use crate::error::{Context, Error, Result};
use crate::names::TEMPORARY;

/// Rows that are larger than this together, in bytes, are a row group of a Parquet file, however few they are.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// A file that is being written.
pub struct Sink {
    path: PathBuf,
    file: NamedTempFile,
    format: Format,
    writer: Option<Writer>,
}

enum Writer {
    Delimited(csv::write::BatchedWriter<File>),
    Ndjson(json::BatchedWriter<File>),
    Parquet(Box<Groups>),
}

impl Sink {
    /// Begins a file that will be at `path`, in `format`. What is there stays until [`finish`](Self::finish).
    ///
    /// # Errors
    /// A folder that is missing or not writable.
    pub fn create(path: &Path, format: Format) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            return Err(Error::usage(format!(
                "cannot write `{}`: its folder does not exist",
                path.display()
            )));
        }
        if path.is_dir() {
            return Err(Error::usage(format!("`{}` is a folder", path.display())));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // Less what the user's umask takes, as every new file.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder
            .tempfile_in(folder)
            .or_stage(|| format!("cannot write `{}`", path.display()))?;
        if cfg!(unix) {
            // Without a lock it would be taken for what a killed process has left.
            let _ = file.as_file().lock();
        }
        Ok(Self {
            path: path.into(),
            file,
            format,
            writer: None,
        })
    }

    /// Appends rows; all tables have the same columns.
    ///
    /// # Errors
    /// Columns that the format cannot hold; those of the disk.
    pub fn write(&mut self, table: Table) -> Result<()> {
        let mut frame = table.frame;
        // One chunk a column, so that the bytes do not depend on how it was made.
        frame.rechunk_mut_par();
        let cannot = || format!("cannot write `{}`", self.path.display());
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                refuse_columns(&frame, self.format)?;
                let file = self.file.as_file().try_clone().or_stage(cannot)?;
                none.insert(Writer::new(file, self.format, &frame).or_stage(cannot)?)
            }
        };
        guarded(|| writer.write(frame)).or_stage(cannot)
    }

    /// Writes what is left, and gives the file its name. Whoever opens it from then on finds it whole.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self) -> Result<()> {
        let cannot = || format!("cannot write `{}`", self.path.display());
        if let Some(writer) = self.writer.take() {
            guarded(|| writer.finish()).or_stage(cannot)?;
        }
        self.file.as_file().sync_all().or_stage(cannot)?;
        self.file.persist(&self.path).or_stage(cannot)?;
        Ok(())
    }
}

impl Writer {
    fn new(file: File, format: Format, first: &DataFrame) -> PolarsResult<Self> {
        let delimited = |file, separator| {
            CsvWriter::new(file)
                .with_separator(separator)
                .batched(first.schema())
                .map(Self::Delimited)
        };
        match format {
            Format::Csv => delimited(file, b','),
            Format::Tsv => delimited(file, b'\t'),
            Format::Ndjson => Ok(Self::Ndjson(json::BatchedWriter::new(file))),
            Format::Parquet => {
                Groups::new(file, first).map(|groups| Self::Parquet(Box::new(groups)))
            }
        }
    }

    fn write(&mut self, frame: DataFrame) -> PolarsResult<()> {
        match self {
            Self::Delimited(writer) => writer.write_batch(&frame),
            Self::Ndjson(writer) => writer.write_batch(&frame),
            Self::Parquet(groups) => groups.write(frame),
        }
    }

    fn finish(self) -> PolarsResult<()> {
        match self {
            Self::Delimited(mut writer) => writer.finish(),
            Self::Ndjson(_) => Ok(()),
            Self::Parquet(groups) => groups.finish(),
        }
    }
}

/// The row groups of a Parquet file.
struct Groups {
    writer: parquet::write::BatchedWriter<File>,
    waiting: DataFrame,
}

impl Groups {
    fn new(file: File, first: &DataFrame) -> PolarsResult<Self> {
        let writer = ParquetWriter::new(file)
            .with_compression(ParquetCompression::Zstd(None))
            .with_statistics(StatisticsOptions::full())
            .batched(first.schema())?;
        Ok(Self {
            writer,
            waiting: first.clear(),
        })
    }

    fn write(&mut self, frame: DataFrame) -> PolarsResult<()> {
        self.waiting.vstack_mut_owned(frame)?;
        while self.waiting.height() >= ROW_GROUP {
            let group = self.waiting.head(Some(ROW_GROUP));
            let rest = self.waiting.height() - ROW_GROUP;
            self.waiting = self.waiting.tail(Some(rest));
            self.put(group)?;
        }
        if self.waiting.estimated_size() >= ROW_GROUP_BYTES {
            let group = std::mem::replace(&mut self.waiting, DataFrame::empty());
            self.waiting = group.clear();
            self.put(group)?;
        }
        Ok(())
    }

    fn put(&mut self, mut group: DataFrame) -> PolarsResult<()> {
        group.rechunk_mut_par();
        self.writer.write_batch(&group)
    }

    fn finish(mut self) -> PolarsResult<()> {
        if self.waiting.height() > 0 {
            let group = std::mem::replace(&mut self.waiting, DataFrame::empty());
            self.put(group)?;
        }
        self.writer.finish().map(drop)
    }
}

/// Refuses what `format` has no way to write.
fn refuse_columns(frame: &DataFrame, format: Format) -> Result<()> {
    let delimited = matches!(format, Format::Csv | Format::Tsv);
    let strange = frame.columns().iter().find(|column| {
        let bytes = matches!(column.dtype(), DataType::Binary);
        match format {
            Format::Parquet => false,
            Format::Ndjson => bytes,
            Format::Csv | Format::Tsv => bytes || column.dtype().is_nested(),
        }
    });
    let Some(column) = strange else {
        return Ok(());
    };
    Err(Error::usage(format!(
        "column `{}` holds values of type {}, which {} files cannot hold",
        column.name(),
        column.dtype(),
        if delimited { "CSV and TSV" } else { "NDJSON" },
    ))
    .help("write a Parquet file: name it .parquet"))
}
