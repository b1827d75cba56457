//! `split`: a table or images → parts of them, each row or image in one of them.

mod settings;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::{Schema, SchemaGenerator};
use settings::Settings;

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

#[cfg(test)]
mod tests;
