//! `initialize`: a model that nobody has trained, out of a config: random weights, and a tokenizer that another model has or that is
//! trained on a table.

mod settings;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::{Map, Value};
use settings::Settings;

use super::{ArtifactType, Input, LocalFile, Output, Stage, StageContext, StageKind};
use crate::config::{Table, from_table};
use crate::data::{self, text};
use crate::error::{Error, Kind, Result, Span};
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Blank, Tokenizer};

/// The kind `initialize`.
pub(super) struct InitializeKind;

const MODEL: &str = "model";
const TABLE: &str = "table";

impl StageKind for InitializeKind {
    fn name(&self) -> &'static str {
        "initialize"
    }

    fn about(&self) -> &'static str {
        "makes a model with random weights out of a config, with a tokenizer that is given or trained"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        settings.check(&table.span)?;
        Ok(Box::new(Initialize {
            settings,
            span: table.span.clone(),
        }))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Settings>()
    }
}

struct Initialize {
    settings: Settings,
    span: Span,
}

impl Stage for Initialize {
    fn inputs(&self) -> Vec<Input> {
        let input = |port: &str, accepts, from: &super::Port| Input {
            port: port.into(),
            accepts,
            from: from.clone(),
        };
        let model = self.settings.model.iter();
        let table = self.settings.table.iter();
        model
            .map(|from| input(MODEL, &[ArtifactType::Model], from))
            .chain(table.map(|from| input(TABLE, &[ArtifactType::Table], from)))
            .collect()
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(MODEL, ArtifactType::Model)]
    }

    fn files(&self) -> Vec<LocalFile> {
        let file = self.settings.config_file(&self.span).into_iter();
        file.map(|(path, span)| LocalFile {
            role: "config".into(),
            path,
            span,
        })
        .collect()
    }

    fn describe(&self, key: &mut dyn Manifest) {
        let skipped: &[_] = match self.settings.config_file(&self.span) {
            Some(_) => &[("config", "the file enters by its content")],
            None => &[],
        };
        describe(key, &self.settings, skipped);
        key.seed();
    }

    /// What does not depend on another model is looked at before anything runs.
    fn check(&self) -> Result<()> {
        let written = self.settings.config(&self.span)?;
        if self.settings.model.is_some() {
            return Ok(());
        }
        let blank = self
            .blank(Map::new(), written, None)
            .map_err(|error| error.of_kind(Kind::Usage))?;
        self.settings.check_tokenizer(blank.modality(), &self.span)
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let written = self.settings.config(&self.span)?;
        let model = cx.optional_input(MODEL);
        let others = model.map_or_else(|| Ok(Map::new()), models::config)?;
        let sketch = self.blank(others.clone(), written.clone(), None)?;
        self.settings
            .check_tokenizer(sketch.modality(), &self.span)?;
        if let Some(model) = model {
            self.copy(model, cx)?;
        }
        let pieces = self.train_tokenizer(&others, sketch.max_tokens(), cx)?;
        let blank = self.blank(others, written, pieces)?;
        let (name, size, vocabulary) = (blank.name(), blank.size(), blank.vocabulary());
        blank.write(cx.output(MODEL), cx.seed())?;
        if let Some(rows) = vocabulary {
            Tokenizer::load(cx.output(MODEL))?.check_fits(rows)?;
        }
        cx.notice(format!(
            "a {name} of {size} random weights, which nobody has trained"
        ));
        Ok(())
    }
}

impl Initialize {
    /// The network of the `others` model's config with what is `written` here in it, for a tokenizer of so many `pieces`: as many as
    /// are asked for while it is not trained yet.
    fn blank(
        &self,
        others: Map<String, Value>,
        written: Map<String, Value>,
        pieces: Option<usize>,
    ) -> Result<Blank> {
        let mut config = others;
        config.extend(written);
        if let Some(tokenizer) = &self.settings.tokenizer {
            let pieces = pieces.unwrap_or(tokenizer.value.vocab_size.value);
            config.insert("vocab_size".into(), pieces.into());
            config.insert("pad_token_id".into(), 0.into());
        }
        Blank::new(config).map_err(|error| self.settings.blame(error, &self.span))
    }

    /// Copies what belongs to `model` beside its network, but its own tokenizer where a new one is trained.
    fn copy(&self, model: &Path, cx: &StageContext<'_>) -> Result<()> {
        let new_tokenizer = self.settings.tokenizer.is_some();
        models::copy_inputs(model, cx.output(MODEL), !new_tokenizer)
    }

    /// Trains the tokenizer that is asked for, for texts of at most `max_length` tokens; gives how many pieces it has.
    fn train_tokenizer(
        &self,
        others: &Map<String, Value>,
        max_length: Option<usize>,
        cx: &StageContext<'_>,
    ) -> Result<Option<usize>> {
        let Some(tokenizer) = &self.settings.tokenizer else {
            return Ok(None);
        };
        let Some(column) = &self.settings.text_column else {
            return Err(Error::usage("`tokenizer` needs a `text_column`"));
        };
        let table = data::Table::read(cx.input(TABLE))?;
        let texts = text::texts(&table, &column.value)
            .map_err(|error| column.blame(error.note("in the table of port `table`"), ""))?;
        let wordpiece = tokenizer.value.wordpiece();
        let pieces = wordpiece
            .train(&texts, max_length, cx.output(MODEL))
            .map_err(|error| tokenizer.value.vocab_size.blame(error, ""))?;
        let wanted = wordpiece.vocab_size;
        if pieces.count < wanted {
            cx.notice(format!(
                "the texts are too few for a vocabulary of {wanted}: no more pieces stand side by side twice, so the tokenizer has {} and the network is made for those",
                pieces.count
            ));
        }
        if pieces.rare > 0 {
            cx.notice(format!(
                "{} characters are too rare to be pieces: words with them are unknown to the tokenizer",
                pieces.rare
            ));
        }
        if let Some(rows) = others.get("vocab_size").and_then(Value::as_u64)
            && rows != pieces.count as u64
        {
            cx.notice(format!(
                "the network is made for the {} pieces of the new tokenizer; the model's is for {rows}",
                pieces.count
            ));
        }
        Ok(Some(pieces.count))
    }
}
