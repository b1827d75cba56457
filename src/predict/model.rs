//! A tuned model, and what it says about samples.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Options;
use super::input::{Piece, Samples};
use crate::data::images::{Broken, Content, Images, OnError};
use crate::error::{Error, Result};
use crate::event::Observer;
use crate::inputs::texts::{Columns, Encoder};
use crate::inputs::{self, Changes, squares};
use crate::models::{self, ImageInput, Loaded, Modality, Network, Tokenizer};
use crate::tasks::{self, Outputs, Task};
use crate::train::{self, Inputs, Loader, Mark, Marks, Prefix, Targets};

/// A tuned model.
pub(super) struct Model {
    folder: PathBuf,
    network: Network,
    outputs: Box<dyn Outputs>,
    device: String,
    takes: Takes,
    /// What was decided when it was loaded, as sentences for the user.
    choices: Vec<String>,
}

/// What a model takes, and how that becomes numbers.
enum Takes {
    Texts {
        encoder: Box<Encoder>,
        /// The columns that it was tuned on.
        columns: Columns,
        /// Whether these hold lists of words.
        by_word: bool,
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
            _ if input.size < network.least_image_size() => Err(Error::stage(format!(
                "`{}` asks for photos of {}×{} pixels, but its network takes none below {least}×{least}",
                folder.display(),
                input.size,
                input.size,
                least = network.least_image_size()
            ))),
            _ => Ok(Self::Photos(input)),
        }
    }

    fn texts(folder: &Path, loaded: &Loaded, by_word: bool) -> Result<Self> {
        let columns = Columns::of_tuned(&loaded.card).unwrap_or_else(|| Columns {
            first: Columns::usual(by_word).into(),
            second: None,
            apart: None,
        });
        Ok(Self::Texts {
            encoder: Box::new(Encoder::of_tuned(folder, loaded)?),
            columns,
            by_word,
        })
    }
}

/// What a model says about the samples of a piece.
#[derive(Default)]
pub(super) struct Labelled {
    /// What the network gives, for one sample after the other, those left out that are broken.
    pub(super) outputs: Vec<f32>,
    /// Of samples that are lists of words: for which of them.
    pub(super) targets: Option<Targets>,
    /// The rows of samples that cannot be read, with what is wrong with them.
    pub(super) broken: Vec<(usize, String)>,
    /// How many are texts without a token.
    pub(super) empty: usize,
    /// How many are texts that were cut.
    pub(super) cut: usize,
    /// How many are texts without a mask, where masks are filled.
    pub(super) unmasked: usize,
}

impl Model {
    /// Loads the model in `folder`.
    pub(super) fn open(folder: &Path, device: &str, task: Option<&str>) -> Result<Self> {
        let asked = task.map(tasks::find).transpose();
        let asked = asked.map_err(|error| error.naming(&["task"]))?;
        let (task, loaded) = Task::open(asked, folder, &models::device(device)?)?;
        let choices = match asked {
            Some(_) => loaded.choices.clone(),
            None => Vec::new(),
        };
        let takes = match task.modality {
            Modality::Images => Takes::photos(folder, &loaded.network)?,
            Modality::Texts => Takes::texts(folder, &loaded, task.targets.by_word())?,
        };
        Ok(Self {
            folder: folder.into(),
            outputs: task.targets.open(&loaded.card, task.modality, None)?,
            network: loaded.network,
            device: device.into(),
            takes,
            choices,
        })
    }

    /// What the user should know of it.
    pub(super) fn notices(&self) -> impl Iterator<Item = String> {
        let of_texts = match &self.takes {
            Takes::Texts { encoder, .. } => encoder.notice(),
            Takes::Photos(_) => None,
        };
        let of_texts = of_texts.into_iter().map(String::from);
        self.choices.iter().cloned().chain(of_texts)
    }

    /// Whether each text is taken on its own, so that there are no pairs.
    pub(super) fn takes_single_texts(&self) -> bool {
        self.outputs.apart().is_some()
    }

    /// Its tokenizer; none if it takes photos.
    pub(super) fn tokenizer(&self) -> Option<&Tokenizer> {
        match &self.takes {
            Takes::Texts { encoder, .. } => Some(encoder.tokenizer()),
            Takes::Photos(_) => None,
        }
    }

    /// What its outputs mean.
    pub(super) fn outputs(&self) -> &dyn Outputs {
        &*self.outputs
    }

    /// The columns with texts that it was tuned on; none if it takes photos.
    pub(super) fn columns(&self) -> Option<&Columns> {
        match &self.takes {
            Takes::Texts { columns, .. } => Some(columns),
            Takes::Photos(_) => None,
        }
    }

    /// Whether it takes lists of words.
    pub(super) fn is_by_word(&self) -> bool {
        matches!(self.takes, Takes::Texts { by_word: true, .. })
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
    pub(super) fn check_squares(&self, images: &Images, observer: &dyn Observer) -> Result<()> {
        let Takes::Photos(asked) = &self.takes else {
            return Err(Error::usage("the model labels texts, not images"));
        };
        if let Some(difference) = inputs::photos::difference(images, asked) {
            observer.notice(difference);
        }
        squares::check_size(images, &self.network)
    }

    /// What it says about the samples of `piece`.
    pub(super) fn label(
        &self,
        piece: &Piece<'_>,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<Labelled> {
        match (&piece.samples, &self.takes) {
            (Samples::Texts(sentences), Takes::Texts { encoder, .. }) => {
                let tokens = encoder.encode(sentences)?;
                let (empty, cut) = (tokens.empty, tokens.cut);
                if self.outputs.masking().is_some() {
                    let masks = masks(&tokens.inputs, encoder.tokenizer())?;
                    let unmasked = masks
                        .samples
                        .iter()
                        .filter(|marks| marks.is_empty())
                        .count();
                    let targets = Targets::Masked(masks);
                    return Ok(Labelled {
                        outputs: self.run(tokens.into(), targets.clone(), options, observer)?,
                        targets: Some(targets),
                        empty,
                        cut,
                        unmasked,
                        ..Labelled::default()
                    });
                }
                Ok(Labelled {
                    outputs: self.run(
                        tokens.into(),
                        Targets::Unknown(sentences.len()),
                        options,
                        observer,
                    )?,
                    empty,
                    cut,
                    ..Labelled::default()
                })
            }
            (Samples::Words(texts), Takes::Texts { encoder, .. }) => {
                let tokens = encoder.encode_words(&texts.words)?;
                let unknown = Marks::unknown(texts.words.iter().map(Vec::len));
                let targets = Targets::Tokens(tokens.marks(&unknown, None));
                let cut = tokens.cut;
                let inputs = Inputs::Texts(tokens.inputs);
                Ok(Labelled {
                    outputs: self.run(inputs, targets.clone(), options, observer)?,
                    targets: Some(targets),
                    cut,
                    ..Labelled::default()
                })
            }
            (Samples::Squares(images, rows), Takes::Photos(input)) => {
                let changes = Changes::default();
                let squares =
                    squares::of_artifact(images, rows.clone(), &self.network, *input, changes)?;
                Ok(Labelled {
                    outputs: self.run(squares, Targets::Unknown(rows.len()), options, observer)?,
                    ..Labelled::default()
                })
            }
            (Samples::Photos(photos), Takes::Photos(input)) => {
                let mut labelled = Labelled::default();
                for (index, group) in photos.chunks(GROUP).enumerate() {
                    let found = self.label_photos(group, *input, options, observer)?;
                    labelled.outputs.extend(found.outputs);
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
        observer: &dyn Observer,
    ) -> Result<Labelled> {
        observer.check_cancelled()?;
        // One photo at a time: they differ too much in size to be dealt out in advance.
        let decoded = photos.par_iter().with_max_len(1);
        let decoded = decoded.map(|(_, content)| square(content, input, options.max_pixels));
        let decoded: Vec<_> = decoded.collect();
        let (mut whole, mut broken) = (Vec::new(), Vec::new());
        for (row, (decoded, (name, _))) in decoded.into_iter().zip(photos).enumerate() {
            match (decoded, options.on_error) {
                (Ok(square), _) => whole.push(square),
                (Err(why), OnError::Skip) => broken.push((row, format!("`{name}`: {why}"))),
                (Err(why), OnError::Error) => return Err(refusal(name, &why)),
            }
        }
        let count = whole.len();
        let squares = squares::in_memory(whole, [input.size; 2], input);
        Ok(Labelled {
            outputs: self.run(squares, Targets::Unknown(count), options, observer)?,
            broken,
            ..Labelled::default()
        })
    }

    fn run(
        &self,
        inputs: Inputs,
        targets: Targets,
        options: &Options,
        observer: &dyn Observer,
    ) -> Result<Vec<f32>> {
        let samples = train::Samples { inputs, targets };
        let prefix = Prefix::new(self.network.clone(), 0, &self.device)?;
        let loader = Loader::without_features(&samples, prefix);
        let size = options.batch_size.get();
        let mut check = |_| observer.check_cancelled();
        train::run(&self.network, &loader, size, &mut check)
    }
}

/// Where masks are in texts, of which nobody says what stands there.
fn masks(texts: &train::Texts, tokenizer: &Tokenizer) -> Result<Marks> {
    let mask = tokenizer.mask_id()?;
    let of_text = |tokens: &Vec<u32>| {
        let places = (0..).zip(tokens).filter(|(_, id)| **id == mask);
        let asked = |(place, _): (u32, &u32)| Mark {
            class: 0,
            place: Some(place),
        };
        places.map(asked).collect()
    };
    let samples: Vec<Vec<Mark>> = texts.tokens.iter().map(of_text).collect();
    Ok(Marks {
        begins: vec![true; samples.len()],
        samples,
    })
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
