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
    pub(super) pair: Option<&'p str>,
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

    /// What the pipeline is, and its name.
    fn write_head(&self, text: &mut String) -> std::fmt::Result {
        let (what, new) = match &self.found {
            Targets::Tags(_) => (WHOLE_OF_WORDS, "new.jsonl -o tagged.jsonl"),
            _ if self.pair.is_some() => (WHOLE_OF_PAIRS, "new.csv -o labelled.csv"),
            _ => (FROZEN, "new.csv -o labelled.csv"),
        };
        writeln!(
            text,
            "{what}\
             #   refire run          trains and measures; again, after an edit, what the edit changes\n\
             #   refire predict tune {new}\n\
             [pipeline]\nname = {}\nseed = 42\n",
            value(&self.name)
        )
    }

    fn write(&self, text: &mut String, told: &mut Vec<String>) -> std::fmt::Result {
        self.write_head(text)?;
        writeln!(text, "{ENCODER}")?;
        writeln!(
            text,
            "[stage.data]\nkind = \"dataset\"\nsource = {}",
            value(&self.source)
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
        let is_frozen = self.epochs().is_none();
        if is_frozen {
            writeln!(
                text,
                "[stage.frozen]\nkind = \"freeze\"\nmodel = \"encoder\"\n\
                 trainable_layers = 0 # only the new layer learns; 2 = the last two blocks of the encoder as well\n"
            )?;
        }
        writeln!(
            text,
            "[stage.tune]\nkind = \"finetune\"\nmodel = \"{}\"\ntrain = \"split.train\"",
            if is_frozen { "frozen" } else { "encoder" }
        )?;
        if self.parts.has_validation() {
            writeln!(text, "validation = \"split.validation\"")?;
        }
        writeln!(
            text,
            "task = \"{}\"\ntext_column = {}",
            self.task.name,
            value(self.text),
        )?;
        if let Some(pair) = self.pair {
            writeln!(text, "text_pair_column = {}", value(pair))?;
        }
        writeln!(text, "target_column = {}", value(&self.target.name))?;
        match &self.found {
            Targets::One(labels) => writeln!(text, "labels = {}", list(labels))?,
            Targets::Several(labels, separator) => {
                writeln!(text, "labels = {}", list(labels))?;
                if let Some(separator) = separator {
                    writeln!(text, "label_separator = \"{separator}\"")?;
                }
            }
            Targets::Number(_) => {}
            Targets::Tags(_) => {
                writeln!(
                    text,
                    "stride = 32 # longer sentences fall into windows that overlap by so many tokens"
                )?;
            }
        }
        let whose = if self.pair.is_some() { "pair" } else { "text" };
        writeln!(text, "max_length = 128 # tokens of a {whose} that count")?;
        if let Some((epochs, rate)) = self.epochs() {
            writeln!(
                text,
                "epochs = {epochs}\nbatch_size = 16\nlearning_rate = {rate}\nwarmup_ratio = 0.1"
            )?;
        }
        writeln!(text)?;
        let metrics = self.task.targets.metrics();
        let first = metrics.first().map_or("accuracy", |metric| metric.name);
        writeln!(
            text,
            "[stage.test]\nkind = \"evaluate\"\nmodel = \"tune\"\ntable = \"split.test\"\n\
             # gate = {{ {first} = \">= 0.8\" }} # with a condition, a run fails that does not hold it (exit code 3)"
        )
    }

    /// How often a training of the whole encoder goes over the samples, and its rate; none if the encoder stays frozen.
    fn epochs(&self) -> Option<(usize, &'static str)> {
        match &self.found {
            Targets::Tags(_) => Some((4, "1e-4")),
            _ => self.pair.map(|_| (3, "5e-5")),
        }
    }

    /// What is done to the rows before they are dealt out; none if nothing is.
    fn query(&self, told: &mut Vec<String>) -> Option<String> {
        let identifier = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let target = identifier(&self.target.name);
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
        let texts: Vec<String> = std::iter::once(self.text)
            .chain(self.pair)
            .map(identifier)
            .collect();
        let mut sql = format!(
            "SELECT {}, {} FROM data",
            texts.join(", "),
            scaled.unwrap_or_else(|| target.clone())
        );
        if self.clean {
            told.push("rows without a text or a label are left out (the stage `clean`)".into());
            let there: Vec<String> = texts
                .iter()
                .map(|text| format!("{text} IS NOT NULL"))
                .collect();
            let _ = write!(sql, " WHERE {}", there.join(" AND "));
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

const FROZEN: &str = "\
# A sentence encoder that learnt on a billion sentence pairs stays frozen, and a layer on top of it learns from texts of
# yours. The encoder runs once over every text; all that is trained later uses what it gave.
";

const WHOLE_OF_PAIRS: &str = "\
# A sentence encoder that learnt on a billion sentence pairs learns from pairs of yours, and all of it trains: frozen, it says
# much of single texts and little of pairs. The two texts of a pair go through it together.
";

const WHOLE_OF_WORDS: &str = "\
# A sentence encoder that learnt on a billion sentence pairs learns a tag for each word, and all of it trains: frozen, it says
# much of whole texts and little of single words.
";

/// Whether numbers are too far from 1 to be learnt as they are by a layer that begins near 0.
fn is_far(numbers: &Numbers) -> bool {
    let Numbers {
        mean, deviation, ..
    } = numbers;
    *deviation > 0.0 && (mean.abs() > 3.0 || !(0.2..=3.0).contains(deviation))
}
