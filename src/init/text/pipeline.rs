//! The pipeline of a project for texts, as it is written.

use std::fmt::Write as _;

use super::super::files::SCHEMA;
use super::super::{Parts, list, value};
use super::ENCODER;
use super::targets::Targets;
use crate::data::facts::{ColumnFacts, Numbers, Shape};
use crate::data::{Type, sniff};
use crate::tasks::Task;

/// What a pipeline is made of.
pub(super) struct Plan<'p> {
    pub(super) source: String,
    pub(super) name: String,
    pub(super) text: &'p str,
    pub(super) target: &'p ColumnFacts,
    pub(super) task: &'static Task,
    pub(super) found: Targets,
    pub(super) parts: Parts,
    /// Whether rows have no text or no target.
    pub(super) clean: bool,
    pub(super) sniffed: &'p sniff::Sniffed,
}

impl Plan<'_> {
    pub(super) fn pipeline(&self, told: &mut Vec<String>) -> String {
        let mut text = String::new();
        let _ = self.write(&mut text, told);
        text
    }

    fn write(&self, text: &mut String, told: &mut Vec<String>) -> std::fmt::Result {
        let Self { name, source, .. } = self;
        writeln!(
            text,
            "# A sentence encoder that learnt on a billion sentence pairs stays frozen, and a layer on top of it learns from texts of\n\
             # yours. The encoder runs once over every text; all that is trained later uses what it gave.\n\
             #   refire run          trains and measures; again, after an edit, what the edit changes\n\
             #   refire predict tune new.csv -o labelled.csv\n\
             [pipeline]\nname = {}\nseed = 42\n",
            value(name)
        )?;
        writeln!(text, "{ENCODER}")?;
        writeln!(
            text,
            "[stage.data]\nkind = \"dataset\"\nsource = {}",
            value(source)
        )?;
        for (setting, written) in &self.sniffed.settings {
            writeln!(text, "{setting} = {written}")?;
        }
        writeln!(
            text,
            "schema = \"{SCHEMA}\" # types, allowed values, bounds: the data is held against it\n"
        )?;
        let table = match self.query(told) {
            Some(sql) => {
                writeln!(
                    text,
                    "[stage.clean]\nkind = \"preprocess\"\ntables = {{ data = \"data\" }}\nsql = {}\n",
                    value(&sql)
                )?;
                "clean"
            }
            None => "data",
        };
        writeln!(text, "[stage.split]\nkind = \"split\"\ntable = \"{table}\"")?;
        if let Targets::One(_) = self.found {
            writeln!(text, "stratify = {}", value(&self.target.name))?;
        }
        writeln!(text, "parts = {}\n", self.parts.written())?;
        told.extend(self.parts.told.clone());
        writeln!(
            text,
            "[stage.frozen]\nkind = \"freeze\"\nmodel = \"encoder\"\n\
             trainable_layers = 0 # only the new layer learns; 2 = the last two blocks of the encoder as well\n"
        )?;
        writeln!(
            text,
            "[stage.tune]\nkind = \"finetune\"\nmodel = \"frozen\"\ntrain = \"split.train\""
        )?;
        if self.parts.has_validation() {
            writeln!(text, "validation = \"split.validation\"")?;
        }
        writeln!(
            text,
            "task = \"{}\"\ntext_column = {}\ntarget_column = {}",
            self.task.name,
            value(self.text),
            value(&self.target.name)
        )?;
        match &self.found {
            Targets::One(labels) => writeln!(text, "labels = {}", list(labels))?,
            Targets::Several(labels, separator) => {
                writeln!(text, "labels = {}", list(labels))?;
                if let Some(separator) = separator {
                    writeln!(text, "label_separator = \"{separator}\"")?;
                }
            }
            Targets::Number(_) => {}
        }
        writeln!(text, "max_length = 128 # tokens of a text that count\n")?;
        let metrics = self.task.targets.metrics();
        let first = metrics.first().map_or("accuracy", |metric| metric.name);
        writeln!(
            text,
            "[stage.test]\nkind = \"evaluate\"\nmodel = \"tune\"\ntable = \"split.test\"\n\
             # gate = {{ {first} = \">= 0.8\" }} # with a condition, a run fails that does not hold it (exit code 3)"
        )
    }

    /// What is done to the rows before they are dealt out; none if nothing is.
    fn query(&self, told: &mut Vec<String>) -> Option<String> {
        let identifier = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let (text, target) = (identifier(self.text), identifier(&self.target.name));
        let scaled = match &self.found {
            Targets::Number(numbers) if is_far(numbers) => {
                told.push(format!(
                    "the numbers in `{}` are shifted and divided so that they lie around 0 (the stage `clean`): their mean is {:.4}, their \
                     standard deviation {:.4}",
                    self.target.name, numbers.mean, numbers.deviation
                ));
                Some(format!(
                    "({target} - {:e}) / {:e} AS {target}",
                    numbers.mean, numbers.deviation
                ))
            }
            _ => None,
        };
        if !self.clean && scaled.is_none() {
            return None;
        }
        let mut sql = format!(
            "SELECT {text}, {} FROM data",
            scaled.unwrap_or_else(|| target.clone())
        );
        if self.clean {
            told.push("rows without a text or a label are left out (the stage `clean`)".into());
            let _ = write!(sql, " WHERE {text} IS NOT NULL");
            if !matches!(self.found, Targets::Several(_, Some(_))) {
                let _ = write!(sql, " AND {target} IS NOT NULL");
            }
            let is_string = self.target.shape == Shape::Of(Type::String);
            if is_string && matches!(self.found, Targets::One(_)) {
                let _ = write!(sql, " AND {target} <> ''");
            }
        }
        Some(sql)
    }
}

/// Whether numbers are too far from 1 to be learnt as they are by a layer that begins near 0.
fn is_far(numbers: &Numbers) -> bool {
    let Numbers {
        mean, deviation, ..
    } = numbers;
    *deviation > 0.0 && (mean.abs() > 3.0 || !(0.2..=3.0).contains(deviation))
}
