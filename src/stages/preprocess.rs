//! `preprocess`: tables → a table, by SQL.

mod query;

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use self::query::QueryText;
use super::data_schema::SchemaFile;
use super::{ArtifactType, Input, LocalFile, Output, Port, Stage, StageContext, StageKind};
use crate::config::{self, Spanned, from_table, resolve};
use crate::data::schema::Rules;
use crate::data::sql::Query;
use crate::data::{DataSchema, Table};
use crate::error::{Error, Result, Span};
use crate::fingerprint::{Manifest, describe};

/// The kind `preprocess`.
pub(super) struct PreprocessKind;

const TABLE: &str = "table";

/// A table made from others by one SQL query in polars' dialect.
///
/// The order of the rows is part of the result and the same on every run. Filters and projections keep it, groups and
/// distinct rows come in the order in which they first appear, joins go by the left table, `ORDER BY` keeps it among
/// equals.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The tables that the query reads: their names in SQL → the stage, or `stage.port`.
    tables: BTreeMap<String, Port>,
    /// The query: one SELECT.
    sql: Option<Spanned<String>>,
    /// A file with the query, relative to this one, instead of `sql`.
    sql_file: Option<Spanned<String>>,
    /// What must hold for the result. It must have rows, unless `min_rows = 0` says that it may have none.
    #[serde(default, skip_serializing)]
    expect: Expect,
}

/// What must hold for a result: a data schema in a file, one written here, or both.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// A data schema: a TOML file, relative to this one.
    schema: Option<Spanned<String>>,
    /// What must hold for each column, by its name, as in a data schema.
    #[serde(default)]
    columns: BTreeMap<String, Rules>,
    /// Whether columns that `columns` does not list are refused. Default: false.
    #[serde(default)]
    strict: bool,
    /// Sets of columns whose values together must not repeat: `[["user", "item"]]`.
    #[serde(default)]
    unique: Vec<Vec<String>>,
    /// The least number of rows. Default: 1.
    min_rows: Option<usize>,
    /// The largest number of rows.
    max_rows: Option<usize>,
}

impl StageKind for PreprocessKind {
    fn name(&self) -> &'static str {
        "preprocess"
    }

    fn about(&self) -> &'static str {
        "makes a table from others by a SQL query, and checks what it expects of the result"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &config::Table) -> Result<Box<dyn Stage>> {
        let mut settings: Settings = from_table(table)?;
        check_names(&settings.tables, &table.span)?;
        let source = match (&settings.sql, &settings.sql_file) {
            (Some(sql), None) => QuerySource::Inline(QueryText::inline(sql, &table.span)),
            (None, Some(file)) => QuerySource::File(query_file(file, &table.span)),
            (None, None) => return Err(Error::usage("missing key `sql`")),
            (Some(sql), Some(file)) => {
                let error = Error::usage("`sql` and `sql_file` cannot both be set");
                return Err(sql.blame_also(file, error));
            }
        };
        let Expect {
            schema,
            columns,
            strict,
            unique,
            min_rows,
            max_rows,
        } = std::mem::take(&mut settings.expect);
        let stage = Preprocess {
            settings,
            source,
            schema: schema.map(|schema| SchemaFile::new(&schema, &table.span)),
            expect: DataSchema {
                columns,
                strict,
                unique,
                min_rows,
                max_rows,
            },
            span: table
                .get("expect")
                .or_else(|| table.get("sql"))
                .map_or_else(|| table.span.clone(), |value| value.span.clone()),
        };
        // A query that stands here can be checked without reading any file.
        if let QuerySource::Inline(text) = &stage.source {
            stage.query(text)?;
        }
        Ok(Box::new(stage))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

/// Names of tables are names in SQL.
fn check_names(tables: &BTreeMap<String, Port>, span: &Span) -> Result<()> {
    if tables.is_empty() {
        return Err(Error::usage("`tables` is empty")
            .help("name what the query reads: tables = { reviews = \"reviews\" }"));
    }
    for (name, Port(from)) in tables {
        let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !name.starts_with(letter) || !name.chars().all(|c| letter(c) || c.is_ascii_digit()) {
            return Err(
                Error::usage(format!("`{name}` cannot be the name of a table in SQL"))
                    .at(from.span.as_ref().unwrap_or(span), "")
                    .help("use ASCII letters, digits and `_`, a letter first"),
            );
        }
    }
    Ok(())
}

fn query_file(setting: &Spanned<String>, place: &Span) -> LocalFile {
    let span = setting.span.as_ref().unwrap_or(place);
    LocalFile {
        role: "query".into(),
        path: resolve(span, &setting.value),
        span: span.clone(),
    }
}

/// Where the query is.
enum QuerySource {
    Inline(QueryText),
    File(LocalFile),
}

struct Preprocess {
    settings: Settings,
    source: QuerySource,
    /// The schema file that `expect` names.
    schema: Option<SchemaFile>,
    /// What `expect` says itself.
    expect: DataSchema,
    /// Where `expect` stands, or the query.
    span: Span,
}

impl Stage for Preprocess {
    fn inputs(&self) -> Vec<Input> {
        let input = |(name, from): (&String, &Port)| Input {
            port: port(name),
            accepts: &[ArtifactType::Table],
            from: from.clone(),
        };
        self.settings.tables.iter().map(input).collect()
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(TABLE, ArtifactType::Table)]
    }

    fn files(&self) -> Vec<LocalFile> {
        let query = match &self.source {
            QuerySource::Inline(_) => None,
            QuerySource::File(file) => Some(file.clone()),
        };
        let schema = self.schema.as_ref().map(SchemaFile::local_file);
        query.into_iter().chain(schema).collect()
    }

    fn describe(&self, key: &mut dyn Manifest) {
        let skipped: &[_] = match self.source {
            QuerySource::Inline(_) => &[],
            QuerySource::File(_) => &[("sql_file", "the file enters by its content")],
        };
        describe(key, &self.settings, skipped);
        // What is expected changes no row, but a result that breaks it must not come from the cache.
        if !self.expect.is_empty() {
            key.setting("expect", &serde_json::json!(self.expect));
        }
        if let Some(schema) = &self.schema {
            schema.describe(key);
        }
    }

    fn check(&self) -> Result<()> {
        self.query(&*self.text()?)?;
        self.load_schema().map(drop)
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let schema = self.load_schema()?;
        let text = self.text()?;
        let query = self.query(&text)?;
        let names = self.settings.tables.keys();
        let tables = names
            .map(|name| Ok((name.clone(), Table::read(cx.input(&port(name)))?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let result = query
            .run(&tables, &|range| text.span(range))
            .map_err(|error| text.explain(error))?;
        cx.check_cancelled()?;
        cx.log(format!(
            "{} rows, columns {}",
            result.rows(),
            result.columns().join(", ")
        ));
        self.check_result(cx.stage(), &result, &schema)?;
        result.write(cx.output(TABLE))
    }
}

fn port(table: &str) -> String {
    format!("tables.{table}")
}

impl Preprocess {
    fn text(&self) -> Result<Cow<'_, QueryText>> {
        match &self.source {
            QuerySource::Inline(text) => Ok(Cow::Borrowed(text)),
            QuerySource::File(file) => QueryText::file(file).map(Cow::Owned),
        }
    }

    fn query(&self, text: &QueryText) -> Result<Query> {
        let tables: Vec<&str> = self.settings.tables.keys().map(String::as_str).collect();
        Query::parse(text.text(), &tables, &|range| text.span(range))
            .map_err(|error| text.explain(error))
    }

    fn load_schema(&self) -> Result<DataSchema> {
        self.schema
            .as_ref()
            .map_or_else(|| Ok(DataSchema::default()), SchemaFile::load)
    }

    fn check_result(&self, stage: &str, result: &Table, schema: &DataSchema) -> Result<()> {
        if result.rows() == 0 && self.expect.min_rows.is_none() && schema.min_rows.is_none() {
            return Err(Error::stage("the query gives no rows")
                .at(&self.span, "")
                .help("if that can be right, add `expect = { min_rows = 0 }`"));
        }
        if let Some(file) = &self.schema {
            schema
                .check(stage, result, &[])
                .map_err(|error| error.or_at(file.span(), ""))?;
        }
        self.expect
            .check(stage, result, &[])
            .map_err(|error| error.or_at(&self.span, ""))
    }
}

#[cfg(test)]
mod tests;
