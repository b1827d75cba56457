//! The samples at a port, as `finetune` and `evaluate` take them: what they are, and what they come to.

use std::sync::Arc;

use super::{ArtifactType, StageContext, photos};
use crate::data::Table;
use crate::data::images::Images;
use crate::error::{Error, Result};
use crate::inputs::masks::MaskedTexts;
use crate::inputs::texts::{Columns, Encoder, Sentences};
use crate::inputs::words;
use crate::inputs::{Changes, squares};
use crate::models::{ImageInput, Masking, Modality, Network};
use crate::tasks::Outputs;
use crate::train::{Inputs, Samples, Targets};

/// The artifacts that hold samples of a modality.
pub(super) fn artifacts(modality: Modality) -> &'static [ArtifactType] {
    match modality {
        Modality::Texts => &[ArtifactType::Table],
        Modality::Images => &[ArtifactType::Images],
    }
}

/// What masks are drawn from where samples are measured: the same ones whenever that is.
pub(super) const MEASURED: u64 = 0;

/// The samples at a port.
#[derive(Debug)]
pub(super) struct AtPort {
    /// The port.
    pub(super) port: &'static str,
    samples: Of,
}

#[derive(Debug)]
enum Of {
    Texts(Table),
    Images(Arc<Images>),
}

impl AtPort {
    /// Opens the samples at `port`.
    pub(super) fn open(
        port: &'static str,
        modality: Modality,
        cx: &StageContext<'_>,
    ) -> Result<Self> {
        let folder = cx.input(port);
        let samples = match modality {
            Modality::Texts => Of::Texts(Table::read(folder)?),
            Modality::Images => Of::Images(Arc::new(Images::open(folder)?)),
        };
        Ok(Self { port, samples })
    }

    /// The word for one of them.
    pub(super) fn sample(&self) -> &'static str {
        match self.samples {
            Of::Texts(_) => "row",
            Of::Images(_) => "image",
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match &self.samples {
            Of::Texts(table) => table.rows(),
            Of::Images(images) => images.len(),
        }
    }

    /// The table in which their targets stand.
    pub(super) fn table(&self) -> Result<Table> {
        match &self.samples {
            Of::Texts(table) => Ok(table.clone()),
            Of::Images(images) if images.is_empty() => Err(Error::stage(format!(
                "there is no image at port `{}`",
                self.port
            ))),
            Of::Images(images) => images.names(),
        }
    }

    /// What each comes to.
    pub(super) fn targets(&self, outputs: &dyn Outputs, cx: &StageContext<'_>) -> Result<Targets> {
        let read = outputs.read(&self.table()?);
        let read = read.map_err(|error| match self.samples {
            Of::Texts(_) => error.note(format!("in the table of port `{}`", self.port)),
            Of::Images(_) => error.note(format!("among the images of port `{}`", self.port)),
        })?;
        read.told.into_iter().for_each(|told| cx.notice_once(told));
        let look = outputs.look(self.port, self.sample(), &read.targets)?;
        look.told.into_iter().for_each(|told| cx.notice(told));
        cx.log(format!("{}: {}", self.port, look.counted));
        Ok(read.targets)
    }

    /// The texts in `columns`.
    pub(super) fn sentences(&self, columns: &Columns) -> Result<Sentences> {
        match &self.samples {
            Of::Texts(table) => columns.read(table),
            Of::Images(_) => panic!("images have no columns of texts"),
        }
        .map_err(|error| error.note(format!("in the table of port `{}`", self.port)))
    }

    /// Texts as tokens.
    pub(super) fn tokens(
        &self,
        sentences: &Sentences,
        encoder: &Encoder,
        cx: &StageContext<'_>,
    ) -> Result<Inputs> {
        let tokens = encoder.encode(sentences)?;
        let told = tokens.told(self.port, encoder.max_length());
        for told in told {
            cx.notice(told);
        }
        Ok(tokens.into())
    }

    /// The lists of words in `column`, or its texts as such, with `targets` for each word, as tokens. With `every_token` the tokens of a word behind its first
    /// one have targets, too.
    ///
    /// # Errors
    /// A row whose words and targets are not equally many.
    pub(super) fn words(
        &self,
        column: &str,
        targets: &Targets,
        encoder: &Encoder,
        every_token: Option<&dyn Outputs>,
        cx: &StageContext<'_>,
    ) -> Result<Samples> {
        let Of::Texts(table) = &self.samples else {
            panic!("images have no columns of words");
        };
        let at_port = |error: Error| error.note(format!("in the table of port `{}`", self.port));
        let texts = words::read(table, column, 0).map_err(at_port)?.words;
        let marks = targets.marks();
        let mut rows = texts.iter().zip(&marks.samples).enumerate();
        if let Some((row, (words, marks))) =
            rows.find(|(_, (words, marks))| words.len() != marks.len())
        {
            return Err(at_port(
                Error::stage(format!(
                    "row {} has {} words in column `{column}` and {} tags: each word needs one",
                    row + 1,
                    words.len(),
                    marks.len()
                ))
                .help("repair the row, or leave it out in a `preprocess` stage"),
            ));
        }
        let tokens = encoder.encode_words(&texts)?;
        for told in tokens.told(self.port) {
            cx.notice(told);
        }
        let further = |class| every_token.map_or(class, |outputs| outputs.further(class));
        let further: Option<&dyn Fn(u32) -> u32> = every_token.is_some().then_some(&further);
        Ok(Samples {
            targets: Targets::Tokens(tokens.marks(marks, further)),
            inputs: Inputs::Texts(tokens.inputs),
        })
    }

    /// The texts in `column` as samples of masked pieces, which are drawn from `seed`.
    ///
    /// # Errors
    /// A column that is not there or holds no text; texts of which none has a token that could be masked.
    pub(super) fn masked(
        &self,
        column: &str,
        encoder: &Encoder,
        masking: Masking,
        seed: u64,
        cx: &StageContext<'_>,
    ) -> Result<MaskedTexts> {
        let columns = Columns {
            first: column.into(),
            second: None,
            apart: None,
        };
        let texts = self.sentences(&columns)?.first;
        let (tokenizer, length) = (encoder.tokenizer(), encoder.max_length());
        let masked = MaskedTexts::new(tokenizer, &texts, length, masking, seed)
            .map_err(|error| error.note(format!("in the table of port `{}`", self.port)))?;
        if let Some(told) = masked.told(self.port) {
            cx.notice(told);
        }
        let (pieces, tokens) = masked.counted();
        cx.log(format!(
            "{}: {} texts are {pieces} samples of {tokens} tokens in all",
            self.port,
            texts.len()
        ));
        Ok(masked)
    }

    /// Images with the colours that `input` asks for, changed at random by `changes`.
    pub(super) fn images(
        &self,
        network: &Network,
        input: ImageInput,
        changes: Changes,
    ) -> Result<Inputs> {
        match &self.samples {
            Of::Images(images) => {
                squares::of_artifact(images, 0..images.len(), network, input, changes)
            }
            Of::Texts(_) => panic!("texts are no images"),
        }
    }

    /// What they look like to a network whose folder asks for `asked`; tells the user if that is not the same.
    pub(super) fn seen(&self, asked: ImageInput, cx: &StageContext<'_>) -> ImageInput {
        match &self.samples {
            Of::Images(images) => photos::seen(self.port, images, asked, cx),
            Of::Texts(_) => asked,
        }
    }

    /// Refuses images that were prepared in another way than those to train on, which look like `seen`.
    pub(super) fn refuse_others(&self, seen: ImageInput) -> Result<()> {
        match &self.samples {
            Of::Images(images) => photos::refuse_others(self.port, images, seen),
            Of::Texts(_) => Ok(()),
        }
    }
}
