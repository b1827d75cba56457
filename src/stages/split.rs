//! `split`: a table or images → parts of them, each row or image in one of them.

mod settings;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::{Schema, SchemaGenerator};
use settings::{PerLabel, Settings, Size};

use super::{ArtifactType, Input, Output, Port, Stage, StageContext, StageKind};
use crate::config::{self, Spanned, from_table};
use crate::data::images::{CONTENT, Images};
use crate::data::split::{Method, TooFew, assign, portions};
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
        self.report_left_out(&members, table.rows(), cx);
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
    fn assign(&self, table: &Table, seed: u64) -> Result<Vec<Option<usize>>> {
        let settings = &self.settings;
        let Some(shares) = settings.parts.value.shares() else {
            return self.count_out(table, seed);
        };
        let assign = |method| assign(table.rows(), &shares, method, seed, settings.shuffle());
        let parts = if let Some(column) = &settings.stratify {
            assign(Method::Stratified(&numbered(&values(table, column)?)))
        } else if let Some(column) = &settings.group {
            assign(Method::Grouped(&numbered(&values(table, column)?)))
        } else if let Some(column) = &settings.by {
            assign(Method::Hashed(&values(table, column)?))
        } else {
            assign(Method::Rows)
        };
        Ok(parts.into_iter().map(Some).collect())
    }

    /// The part of each row where some parts get so many rows of each label.
    fn count_out(&self, table: &Table, seed: u64) -> Result<Vec<Option<usize>>> {
        let settings = &self.settings;
        let Some(column) = &settings.stratify else {
            return Err(Error::usage("`per_label` needs the column of the labels"));
        };
        let labels = values(table, column)?;
        let classes = numbered(&labels);
        let sizes = settings.parts.value.portions();
        portions(&classes, &sizes, seed, settings.shuffle()).map_err(|short| {
            let class = classes.iter().position(|class| *class == short.class);
            let label = class.map_or("", |row| &labels[row]);
            self.too_few(label, &column.value, &short)
        })
    }

    /// The error about a label that has fewer rows than its parts get.
    fn too_few(&self, label: &str, column: &str, short: &TooFew) -> Error {
        let TooFew {
            part, rows, left, ..
        } = short;
        let (name, size) = &self.settings.parts.value.0[*part];
        let Size::PerLabel(PerLabel { per_label }) = size.value else {
            return Error::stage(format!("part `{name}` lacks rows of `{label}`"));
        };
        let called = self.rows();
        let has = if left == rows {
            format!("has {rows} {called}")
        } else {
            format!("has {rows} {called}, {left} of them beside the other parts")
        };
        let error = Error::stage(format!(
            "label `{label}` in column `{column}` {has}, but part `{name}` is to have {per_label} of each label"
        ));
        let help = format!(
            "ask for fewer, or leave labels with too few {called} out before, with `preprocess`"
        );
        size.blame(error.help(help), "")
    }

    /// The rows of each part, in their order.
    fn members(&self, parts: &[Option<usize>]) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.settings.parts.value.0.len()];
        for (row, part) in parts.iter().enumerate() {
            if let Some(part) = part {
                members[*part].push(row);
            }
        }
        members
    }

    /// Tells how many rows are in no part, which happens only where parts get so many rows of each label.
    fn report_left_out(&self, members: &[Vec<usize>], rows: usize, cx: &StageContext<'_>) {
        let left_out = rows - members.iter().map(Vec::len).sum::<usize>();
        if left_out > 0 {
            let called = self.rows();
            cx.notice(format!(
                "{left_out} of {rows} {called} are in no part: the parts have so many of each label, and shares of all {called}"
            ));
        }
    }

    fn refuse_empty(&self, members: &[Vec<usize>], rows: usize) -> Result<()> {
        let parts = &self.settings.parts.value.0;
        let Some(empty) = members.iter().position(Vec::is_empty) else {
            return Ok(());
        };
        let (name, size) = &parts[empty];
        let counts = parts.iter().zip(members);
        let counts: Vec<_> = counts
            .map(|((name, _), rows)| format!("{name} {}", rows.len()))
            .collect();
        let called = self.rows();
        let what = match self.settings.group {
            Some(_) => "groups",
            None => called,
        };
        let asked = match size.value {
            Size::Share(share) => format!("its share is {share} of {rows} {called}"),
            Size::PerLabel(_) => format!("there are {rows} {called}"),
        };
        let error = Error::stage(format!("part `{name}` is empty: {asked}"))
            .note(format!("{called} of the parts: {}", counts.join(", ")))
            .help(format!("give it a larger share, or split more {what}"));
        Err(size.blame(error, ""))
    }

    /// Tells which classes some part lacks: it cannot measure them.
    fn report_missing_classes(
        &self,
        table: &Table,
        parts: &[Option<usize>],
        cx: &StageContext<'_>,
    ) -> Result<()> {
        let Some(column) = &self.settings.stratify else {
            return Ok(());
        };
        let mut found: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        let values = values(table, column)?;
        let names = &self.settings.parts.value.0;
        for (value, part) in values.iter().zip(parts) {
            let has = found
                .entry(value)
                .or_insert_with(|| vec![false; names.len()]);
            if let Some(part) = part {
                has[*part] = true;
            }
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
        parts: &[Option<usize>],
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
            let name = |row: usize| match parts[row] {
                Some(part) => self.settings.parts.value.0[part].0.as_str(),
                None => "no part",
            };
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
