//! `split`: a table or images → parts of them, each row or image in one of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ArtifactType, Input, Output, Port, Stage, StageContext, StageKind};
use crate::config::{self, Spanned, from_table};
use crate::data::images::{CONTENT, Images};
use crate::data::split::{Method, assign};
use crate::data::{Table, duplicates};
use crate::error::{Error, Result};
use crate::fingerprint::{Manifest, describe};

/// The kind `split`.
pub(super) struct SplitKind;

const TABLE: &str = "table";
const IMAGES: &str = "images";

/// Parts of a table, or of images. Rows and images keep their order within each part.
///
/// Images have the columns `label`, `path` and `content`, a digest of the pixels.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The table.
    table: Option<Port>,
    /// Instead of a table: images.
    images: Option<Port>,
    /// The parts and their shares, which sum to 1: `{ train = 0.8, test = 0.2 }`. Each is an output.
    parts: Spanned<Parts>,
    /// A column whose values are spread over the parts alike, each to rounding: the labels.
    stratify: Option<Spanned<String>>,
    /// A column whose equal values stay in one part: patients, authors. The shares are as close as whole groups allow.
    group: Option<Spanned<String>>,
    /// A column by whose value alone the part is chosen, by a hash of it and the seed: rows that are added or taken
    /// away later move no other row. The shares are true on average.
    by: Option<Spanned<String>>,
    /// Whether rows are dealt out at random. If not, the first rows are the first part, and so on; with `stratify`,
    /// the first rows of each class. Default: true.
    shuffle: Option<Spanned<bool>>,
    /// The columns by which rows count as copies of each other in the notice about copies in different parts.
    /// Default: all columns of a table, the content of images.
    duplicates_by: Option<Spanned<Vec<String>>>,
}

/// Names and shares of the parts, in the order of the file, on which the result depends.
#[derive(Debug, Clone)]
struct Parts(Vec<(String, Spanned<f64>)>);

impl StageKind for SplitKind {
    fn name(&self) -> &'static str {
        "split"
    }

    fn about(&self) -> &'static str {
        "deals the rows of a table, or images, out to parts such as train, validation and test"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &config::Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        settings
            .parts
            .value
            .check()
            .map_err(|error| settings.parts.blame(error, ""))?;
        settings.refuse_conflicts()?;
        let (port, artifact, from) = settings
            .whole()
            .map_err(|error| error.or_at(&table.span, ""))?;
        Ok(Box::new(Split {
            port,
            artifact,
            from: from.clone(),
            settings,
        }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

impl Parts {
    fn check(&self) -> Result<()> {
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        for (name, share) in &self.0 {
            if name.is_empty() || !name.chars().all(valid) {
                let error = Error::usage(format!("`{name}` cannot be the name of a part"));
                return Err(share
                    .blame(error, "")
                    .help("use ASCII letters, digits, `_` and `-`"));
            }
            // Not a number is refused, too.
            if !(share.value > 0.0 && share.value <= 1.0) {
                let error = Error::usage(format!(
                    "the share of part `{name}` must be above 0 and at most 1"
                ));
                return Err(share.blame(error, ""));
            }
        }
        let sum: f64 = self.shares().iter().sum();
        if (sum - 1.0).abs() > 1e-9 {
            return Err(Error::usage(format!(
                "the shares of `parts` sum to {}, not to 1",
                (sum * 1e6).round() / 1e6
            )));
        }
        Ok(())
    }

    fn shares(&self) -> Vec<f64> {
        self.0.iter().map(|(_, share)| share.value).collect()
    }
}

impl Settings {
    /// The port and the type of what is split, and where it comes from.
    fn whole(&self) -> Result<(&'static str, ArtifactType, &Port)> {
        match (&self.table, &self.images) {
            (Some(table), None) => Ok((TABLE, ArtifactType::Table, table)),
            (None, Some(images)) => Ok((IMAGES, ArtifactType::Images, images)),
            (Some(Port(table)), Some(Port(images))) => Err(images.blame_also(
                table,
                Error::usage("`table` and `images` both say what to split"),
            )),
            (None, None) => {
                Err(Error::usage("missing key `table`")
                    .help("name a `table`, or `images`, to split"))
            }
        }
    }

    /// Two ways to deal rows out cannot both be followed.
    fn refuse_conflicts(&self) -> Result<()> {
        let ways = [
            ("stratify", &self.stratify),
            ("group", &self.group),
            ("by", &self.by),
        ];
        let mut set = ways
            .iter()
            .filter_map(|(name, way)| Some((*name, way.as_ref()?)));
        if let (Some((one, first)), Some((other, second))) = (set.next(), set.next()) {
            let error = Error::usage(format!("`{one}` and `{other}` cannot be used together"));
            let help = match (one, other) {
                ("stratify", "group") => {
                    "whole groups cannot keep every class in proportion: choose one of the two"
                }
                ("stratify", _) => {
                    "a hash knows nothing about other rows of the class: choose one of the two"
                }
                _ => {
                    "`by` keeps equal values in one part already: use `by` with the column of the groups"
                }
            };
            return Err(first.blame_also(second, error).help(help));
        }
        if let Some(shuffle) = &self.shuffle
            && let Some((name, way)) = ways[1..]
                .iter()
                .find_map(|(name, way)| Some((*name, way.as_ref()?)))
        {
            let error = Error::usage(format!("`shuffle` means nothing with `{name}`"));
            return Err(shuffle.blame_also(way, error).help("leave `shuffle` out"));
        }
        Ok(())
    }

    fn shuffle(&self) -> bool {
        self.shuffle.as_ref().is_none_or(|shuffle| shuffle.value)
    }
}

struct Split {
    settings: Settings,
    /// The port and the type of what is split, and where it comes from.
    port: &'static str,
    artifact: ArtifactType,
    from: Port,
}

impl Stage for Split {
    fn inputs(&self) -> Vec<Input> {
        vec![Input {
            port: self.port.into(),
            accepts: match self.artifact {
                ArtifactType::Images => &[ArtifactType::Images],
                _ => &[ArtifactType::Table],
            },
            from: self.from.clone(),
        }]
    }

    fn outputs(&self) -> Vec<Output> {
        let parts = &self.settings.parts.value.0;
        let output = |(name, _): &(String, _)| Output::new(name, self.artifact);
        parts.iter().map(output).collect()
    }

    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.settings, &[("duplicates_by", "it only reports")]);
        // No other setting draws random numbers.
        if self.settings.shuffle() {
            key.seed();
        }
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let whole = Whole::read(cx.input(self.port), self.artifact)?;
        let table = whole.table();
        let parts = self.assign(table, cx.seed())?;
        let members = self.members(&parts);
        self.refuse_empty(&members, table.rows())?;
        self.report_missing_classes(table, &parts, cx)?;
        self.report_duplicates(&whole, &parts, cx)?;
        for ((name, _), rows) in self.settings.parts.value.0.iter().zip(&members) {
            cx.check_cancelled()?;
            cx.log(format!("{name}: {} {}", rows.len(), self.rows()));
            whole.write(rows, cx.output(name))?;
        }
        Ok(())
    }
}

/// What is split.
enum Whole {
    Table(Table),
    /// Images, and what is known of each.
    Images(Images, Table),
}

impl Whole {
    fn read(folder: &Path, artifact: ArtifactType) -> Result<Self> {
        if artifact != ArtifactType::Images {
            return Ok(Self::Table(Table::read(folder)?));
        }
        let images = Images::open(folder)?;
        let table = images.table()?;
        Ok(Self::Images(images, table))
    }

    fn table(&self) -> &Table {
        match self {
            Self::Table(table) | Self::Images(_, table) => table,
        }
    }

    /// What a row is called in messages.
    fn row(&self, row: usize) -> String {
        match self {
            Self::Table(_) => format!("row {}", row + 1),
            Self::Images(images, _) => format!("`{}`", images.path(row)),
        }
    }

    /// Writes the part with these rows.
    fn write(&self, rows: &[usize], folder: &Path) -> Result<()> {
        match self {
            Self::Table(table) => table.take(rows)?.write(folder),
            Self::Images(images, _) => images.write_some(rows, folder),
        }
    }
}

impl Split {
    /// What rows are called.
    fn rows(&self) -> &'static str {
        match self.artifact {
            ArtifactType::Images => "images",
            _ => "rows",
        }
    }

    /// The part of each row.
    fn assign(&self, table: &Table, seed: u64) -> Result<Vec<usize>> {
        let settings = &self.settings;
        let shares = settings.parts.value.shares();
        let assign = |method| assign(table.rows(), &shares, method, seed, settings.shuffle());
        Ok(if let Some(column) = &settings.stratify {
            assign(Method::Stratified(&numbered(&values(table, column)?)))
        } else if let Some(column) = &settings.group {
            assign(Method::Grouped(&numbered(&values(table, column)?)))
        } else if let Some(column) = &settings.by {
            assign(Method::Hashed(&values(table, column)?))
        } else {
            assign(Method::Rows)
        })
    }

    /// The rows of each part, in their order.
    fn members(&self, parts: &[usize]) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.settings.parts.value.0.len()];
        for (row, part) in parts.iter().enumerate() {
            members[*part].push(row);
        }
        members
    }

    fn refuse_empty(&self, members: &[Vec<usize>], rows: usize) -> Result<()> {
        let parts = &self.settings.parts.value.0;
        let Some(empty) = members.iter().position(Vec::is_empty) else {
            return Ok(());
        };
        let (name, share) = &parts[empty];
        let counts = parts.iter().zip(members);
        let counts: Vec<_> = counts
            .map(|((name, _), rows)| format!("{name} {}", rows.len()))
            .collect();
        let called = self.rows();
        let what = match self.settings.group {
            Some(_) => "groups",
            None => called,
        };
        let error = Error::stage(format!(
            "part `{name}` is empty: its share is {} of {rows} {called}",
            share.value
        ))
        .note(format!("{called} of the parts: {}", counts.join(", ")))
        .help(format!("give it a larger share, or split more {what}"));
        Err(share.blame(error, ""))
    }

    /// Tells which classes some part lacks: it cannot measure them.
    fn report_missing_classes(
        &self,
        table: &Table,
        parts: &[usize],
        cx: &StageContext<'_>,
    ) -> Result<()> {
        let Some(column) = &self.settings.stratify else {
            return Ok(());
        };
        let mut found: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        let values = values(table, column)?;
        let names = &self.settings.parts.value.0;
        for (value, part) in values.iter().zip(parts) {
            found
                .entry(value)
                .or_insert_with(|| vec![false; names.len()])[*part] = true;
        }
        for (part, (name, _)) in names.iter().enumerate() {
            let lacking: Vec<_> = found
                .iter()
                .filter(|(_, has)| !has[part])
                .map(|(class, _)| *class)
                .collect();
            if let Some(first) = lacking.first() {
                cx.notice(format!(
                    "part `{name}` lacks {} of {} classes of `{}`, which have too few {}: {first}{}",
                    lacking.len(),
                    found.len(),
                    column.value,
                    self.rows(),
                    if lacking.len() > 1 { ", …" } else { "" },
                ));
            }
        }
        Ok(())
    }

    fn report_duplicates(
        &self,
        whole: &Whole,
        parts: &[usize],
        cx: &StageContext<'_>,
    ) -> Result<()> {
        let table = whole.table();
        let by = &self.settings.duplicates_by;
        let columns = match by {
            Some(by) => by.value.iter().map(String::as_str).collect(),
            None if self.artifact == ArtifactType::Images => vec![CONTENT],
            None => table.columns(),
        };
        let found = duplicates::across(table, &columns, parts).map_err(|error| match by {
            Some(by) => by.blame(error, ""),
            None => error,
        })?;
        if let Some((one, other)) = found.example {
            let name = |row: usize| &self.settings.parts.value.0[parts[row]].0;
            cx.notice(format!(
                "{} {} are copies of each other ({} different ones) in more than one part, such as {} in `{}` and {} in \
                 `{}`; `group` keeps equal values of a column together",
                found.rows,
                self.rows(),
                found.values,
                whole.row(one),
                name(one),
                whole.row(other),
                name(other),
            ));
        }
        Ok(())
    }
}

/// The values of the column that a setting names, as text.
fn values(table: &Table, column: &Spanned<String>) -> Result<Vec<String>> {
    table
        .values(&column.value)
        .map_err(|error| column.blame(error, ""))
}

/// Each value's number in alphabetical order.
fn numbered(values: &[String]) -> Vec<usize> {
    let mut numbers: BTreeMap<&str, usize> =
        values.iter().map(|value| (value.as_str(), 0)).collect();
    for (number, value) in numbers.values_mut().enumerate() {
        *value = number;
    }
    values.iter().map(|value| numbers[value.as_str()]).collect()
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartsVisitor;

        impl<'de> Visitor<'de> for PartsVisitor {
            type Value = Parts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of parts and shares")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
                let mut parts: Vec<(String, Spanned<f64>)> = Vec::new();
                while let Some(part) = map.next_entry()? {
                    parts.push(part);
                }
                parts.sort_by_key(|(_, share)| share.span.as_ref().map(|span| span.range.start));
                Ok(Parts(parts))
            }
        }

        deserializer.deserialize_map(PartsVisitor)
    }
}

impl Serialize for Parts {
    /// As an array, because the order counts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for Parts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Parts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
        })
    }
}

#[cfg(test)]
mod tests;
