//! A tuned model, and what it says about samples.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use rayon::prelude::*;

use super::input::{Piece, Samples};
use super::{Options, Watch};
use crate::data::images::{Broken, Content, Images, OnError};
use crate::error::{Error, Result};
use crate::inputs;
use crate::models::{
    self, Activations, Card, Encoded, ImageInput, Loaded, Network, Task, TokenBatch, Tokenizer,
};
use crate::train;

/// A tuned model.
pub(super) struct Model {
    folder: PathBuf,
    network: Network,
    labels: Vec<String>,
    device: Device,
    takes: Takes,
}

/// What a model takes, and how that becomes numbers.
enum Takes {
    Texts {
        tokenizer: Box<Tokenizer>,
        max_length: usize,
        /// The column that it was tuned on.
        column: String,
    },
    Photos(ImageInput),
}

impl Takes {
    fn photos(folder: &Path, network: &Network) -> Result<Self> {
        let input = ImageInput::of(folder)?.ok_or_else(|| {
            Error::stage(format!(
                "nothing in `{}` says which size and colours the network expects",
                folder.display()
            ))
        })?;
        match network.image_size() {
            Some(size) if size != input.size => Err(Error::stage(format!(
                "`{}` asks for photos of {}×{} pixels, but its network takes {size}×{size}",
                folder.display(),
                input.size,
                input.size
            ))),
            _ => Ok(Self::Photos(input)),
        }
    }

    fn texts(folder: &Path, network: &Network, card: &Card) -> Result<Self> {
        let tokenizer = Box::new(Tokenizer::of(network, folder)?);
        let most = network.max_tokens().unwrap_or(usize::MAX);
        let settings = card.training.get("settings");
        let column = settings.and_then(|settings| settings.get("text_column")?.as_str());
        Ok(Self::Texts {
            tokenizer,
            max_length: card.max_length.unwrap_or(most).min(most),
            column: column.unwrap_or("text").to_owned(),
        })
    }
}

/// What a model says about the samples of a piece.
pub(super) struct Labelled {
    /// The logit of each label, for one sample after the other, those left out that are broken.
    pub(super) logits: Vec<f32>,
    /// The rows of samples that cannot be read, with what is wrong with them.
    pub(super) broken: Vec<(usize, String)>,
    /// How many are texts without a token.
    pub(super) empty: usize,
}

impl Model {
    /// Loads the model in `folder`.
    pub(super) fn open(folder: &Path, device: &str) -> Result<Self> {
        let device = models::device(device)?;
        let Loaded { network, card, .. } = Network::open(folder, &device)?;
        let takes = match card.task {
            Some(Task::ImageClassification) => Takes::photos(folder, &network)?,
            Some(Task::TextClassification) | None => Takes::texts(folder, &network, &card)?,
        };
        Ok(Self {
            folder: folder.into(),
            network,
            labels: card.labels,
            device,
            takes,
        })
    }

    /// What the user should know of it.
    pub(super) fn notice(&self) -> Option<&'static str> {
        match &self.takes {
            Takes::Texts { tokenizer, .. } => tokenizer.notice(),
            Takes::Photos(_) => None,
        }
    }

    /// Its labels, in the order of its outputs.
    pub(super) fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The column with texts that it was tuned on; none if it takes photos.
    pub(super) fn text_column(&self) -> Option<String> {
        match &self.takes {
            Takes::Texts { column, .. } => Some(column.clone()),
            Takes::Photos(_) => None,
        }
    }

    /// Refuses a folder of photos if it takes texts.
    pub(super) fn check_takes_photos(&self, input: &Path) -> Result<()> {
        match &self.takes {
            Takes::Photos(_) => Ok(()),
            Takes::Texts { .. } => Err(Error::usage(format!(
                "`{}` is a folder, but the model in `{}` labels texts",
                input.display(),
                self.folder.display()
            ))
            .help("name a table: .csv, .tsv, .jsonl or .parquet")),
        }
    }

    /// Refuses squares that it cannot take, and tells of those that were cut in another way than it asks for.
    pub(super) fn check_squares(&self, images: &Images, watch: &dyn Watch) -> Result<()> {
        let Takes::Photos(asked) = &self.takes else {
            return Err(Error::usage("the model labels texts, not images"));
        };
        if let Some(difference) = inputs::photos::difference(images, asked) {
            watch.notice(difference);
        }
        let (height, width) = (images.height(), images.width());
        match self.network.image_size() {
            Some(size) if (height, width) != (size, size) => Err(Error::stage(format!(
                "the images are {height}×{width} pixels, but the network takes {size}×{size}"
            ))
            .help(format!(
                "set size = {size} in the stage that makes the images"
            ))),
            _ => Ok(()),
        }
    }

    /// What it says about the samples of `piece`.
    pub(super) fn label(
        &self,
        piece: &Piece<'_>,
        options: &Options,
        watch: &dyn Watch,
    ) -> Result<Labelled> {
        let whole = |logits| Labelled {
            logits,
            broken: Vec::new(),
            empty: 0,
        };
        match (&piece.samples, &self.takes) {
            (
                Samples::Texts(texts),
                Takes::Texts {
                    tokenizer,
                    max_length,
                    ..
                },
            ) => {
                let texts = tokenizer.encode(texts, *max_length)?;
                let logits = self.run_texts(&texts, tokenizer.pad_id(), options, watch)?;
                Ok(Labelled {
                    empty: texts.iter().filter(|text| text.is_empty).count(),
                    ..whole(logits)
                })
            }
            (Samples::Squares(images, rows), Takes::Photos(input)) => {
                let squares: Vec<_> = rows.clone().map(|row| images.pixels(row)).collect();
                let size = [images.height(), images.width()];
                self.run_squares(&squares, *input, size, options, watch)
                    .map(whole)
            }
            (Samples::Photos(photos), Takes::Photos(input)) => {
                let mut labelled = whole(Vec::new());
                for (index, group) in photos.chunks(GROUP).enumerate() {
                    let found = self.label_photos(group, *input, options, watch)?;
                    labelled.logits.extend(found.logits);
                    let broken = found.broken.into_iter();
                    let broken = broken.map(|(row, why)| (index * GROUP + row, why));
                    labelled.broken.extend(broken);
                }
                Ok(labelled)
            }
            (samples, _) => panic!("the model cannot take {samples:?}"),
        }
    }

    /// Decodes and labels photos, all of them in memory at once.
    fn label_photos(
        &self,
        photos: &[(String, Content)],
        input: ImageInput,
        options: &Options,
        watch: &dyn Watch,
    ) -> Result<Labelled> {
        watch.check_cancelled()?;
        // One photo at a time: they differ too much in size to be dealt out in advance.
        let decoded = photos.par_iter().with_max_len(1);
        let decoded = decoded.map(|(_, content)| square(content, input, options.max_pixels));
        let decoded: Vec<_> = decoded.collect();
        let (mut squares, mut broken) = (Vec::new(), Vec::new());
        for (row, (decoded, (name, _))) in decoded.into_iter().zip(photos).enumerate() {
            match (decoded, options.on_error) {
                (Ok(square), _) => squares.push(square),
                (Err(why), OnError::Skip) => broken.push((row, format!("`{name}`: {why}"))),
                (Err(why), OnError::Error) => return Err(refusal(name, &why)),
            }
        }
        let squares: Vec<_> = squares.iter().map(Vec::as_slice).collect();
        let size = [input.size; 2];
        Ok(Labelled {
            logits: self.run_squares(&squares, input, size, options, watch)?,
            broken,
            empty: 0,
        })
    }

    fn run_texts(
        &self,
        texts: &[Encoded],
        pad_id: u32,
        options: &Options,
        watch: &dyn Watch,
    ) -> Result<Vec<f32>> {
        let lengths = texts.iter().map(|text| u32::try_from(text.ids.len()));
        let lengths: Vec<_> = lengths.map(|length| length.unwrap_or(u32::MAX)).collect();
        self.run(&lengths, options, watch, |batch| {
            let batch: Vec<_> = batch.iter().map(|text| &texts[*text].ids[..]).collect();
            Activations::Tokens(TokenBatch::new(&batch, pad_id, &self.device))
        })
    }

    fn run_squares(
        &self,
        squares: &[&[u8]],
        input: ImageInput,
        size: [usize; 2],
        options: &Options,
        watch: &dyn Watch,
    ) -> Result<Vec<f32>> {
        let lengths = vec![1; squares.len()];
        self.run(&lengths, options, watch, |batch| {
            let batch: Vec<_> = batch.iter().map(|square| squares[*square]).collect();
            Activations::Images(input.normalise(&batch, size, &self.device))
        })
    }

    fn run(
        &self,
        lengths: &[u32],
        options: &Options,
        watch: &dyn Watch,
        batch: impl Fn(&[usize]) -> Activations + Sync,
    ) -> Result<Vec<f32>> {
        let check = || watch.check_cancelled();
        let size = options.batch_size.get();
        let classes = self.labels.len();
        train::logits(&self.network, classes, lengths, size, &check, batch)
    }
}

/// Photos that are decoded before they are labelled: a whole number of batches of the usual size.
const GROUP: usize = 128;

/// A photo as the network takes it, before its colours are normalised.
fn square(content: &Content, input: ImageInput, max_pixels: u64) -> Result<Vec<u8>, Broken> {
    let image = content.decode(max_pixels)?;
    let transform = inputs::photos::transform(&input);
    let mut pixels = vec![0; transform.bytes()];
    transform.apply(&image, &mut pixels);
    Ok(pixels)
}

fn refusal(name: &str, why: &Broken) -> Error {
    let error = Error::stage(format!("the photo `{name}` cannot be read")).cause(why.to_string());
    match why {
        Broken::TooLarge { .. } => error
            .help("if it is no mistake, raise `max_pixels`")
            .naming(&["max_pixels"]),
        _ => error
            .help("repair or remove it, or have such photos left out: `on_error = \"skip\"`")
            .naming(&["on_error = \"skip\""]),
    }
}
