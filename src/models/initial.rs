//! Weights that nobody has trained: what the library of an architecture draws its parameters from, and the folder of a model with such
//! weights.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::{Map, Value};

use super::architecture::{Architecture, Built, Source, architecture};
use super::backbones::Backbone;
use super::folder::{self, ModelFolder};
use super::weights::{self, Checkpoint, Reading, Target};
use super::{Card, Head, Modality, Problem, RandomWeights, image_input};
use crate::error::{Error, Result};
use crate::random::Random;

/// The most numbers that are drawn for a model: 8 GB of them.
const MOST_NUMBERS: usize = 2_000_000_000;

/// What the numbers of a parameter are drawn from before anybody has trained it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Initial {
    /// All are 0.
    Zeros,
    /// All are 1.
    Ones,
    /// All are this number.
    Constant(f64),
    /// The normal distribution around 0 of this standard deviation.
    Normal(f64),
    /// The same, and zeros in the row of the padding token.
    Padded {
        /// The standard deviation.
        std: f64,
        /// The row.
        row: usize,
    },
    /// The normal distribution around 0 of this standard deviation, from -2 to 2: PyTorch's `trunc_normal_` as it is unless bounds are
    /// given.
    Truncated(f64),
}

/// What each parameter of a backbone is drawn from, by its name and its shape in a checkpoint.
pub(super) type Rule = Box<dyn Fn(&str, &[usize]) -> Initial>;

impl Initial {
    /// The numbers of a parameter of `shape`, in the order of a checkpoint.
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    pub(super) fn draw(self, shape: &[usize], random: &mut Random) -> Vec<f32> {
        let count = shape.iter().product();
        let mut normal = |std| (0..count).map(|_| random.normal(std) as f32).collect();
        match self {
            Self::Zeros => vec![0.0; count],
            Self::Ones => vec![1.0; count],
            Self::Constant(number) => vec![number as f32; count],
            Self::Normal(std) => normal(std),
            Self::Padded { std, row } => {
                let mut numbers: Vec<f32> = normal(std);
                let width = shape[1..].iter().product::<usize>();
                numbers[row * width..][..width].fill(0.0);
                numbers
            }
            Self::Truncated(std) => {
                let mut within = || loop {
                    let number = random.normal(std);
                    if number.abs() <= 2.0 {
                        return number as f32;
                    }
                };
                (0..count).map(|_| within()).collect()
            }
        }
    }
}

/// He's distribution for a convolution whose every input, or output, comes from or goes to `fan` places (arXiv:1502.01852): PyTorch's
/// `kaiming_normal_`.
pub(super) fn kaiming(fan: usize) -> Initial {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let fan = fan as f64;
    Initial::Normal((2.0 / fan).sqrt())
}

/// Whether the parameter `name` is the bias of a layer.
pub(super) fn is_bias(name: &str) -> bool {
    name.rsplit('.').next() == Some("bias")
}

/// The rule of networks whose linear layers and convolutions are drawn by `convolution`, given their shape, and whose normalisations
/// change nothing yet.
pub(super) fn convolutions(convolution: fn(&[usize]) -> Initial) -> Rule {
    Box::new(move |name, shape| match shape {
        [_] if is_bias(name) => Initial::Zeros,
        [_] => Initial::Ones,
        shape => convolution(shape),
    })
}

/// `initializer_range` in a transformer's config: the standard deviation of its weights. As in transformers, 0 stands for 0.02.
///
/// # Errors
/// What is no standard deviation.
pub(super) fn initializer_range(folder: &ModelFolder) -> Result<f64> {
    const USUAL: f64 = 0.02;
    match folder.config.get("initializer_range").map(Value::as_f64) {
        None | Some(Some(0.0)) => Ok(USUAL),
        Some(Some(range)) if range.is_finite() && range > 0.0 => Ok(range),
        Some(_) => Err(Error::stage(
            "config.json: `initializer_range` is no standard deviation",
        )),
    }
}

/// `pad_token_id` in a text model's config, whose row of the embedding is 0; none if it is null. It is 0 unless it is given, as in
/// transformers' `BertConfig`.
///
/// # Errors
/// What is no row of an embedding of `rows`.
pub(super) fn padding_row(folder: &ModelFolder, rows: usize) -> Result<Option<usize>> {
    let row = match folder.config.get("pad_token_id") {
        None => 0,
        Some(Value::Null) => return Ok(None),
        Some(id) => {
            let id = id.as_u64().and_then(|id| usize::try_from(id).ok());
            id.unwrap_or(usize::MAX)
        }
    };
    if row < rows {
        return Ok(Some(row));
    }
    Err(Error::stage(format!(
        "config.json: `pad_token_id` is none of the {rows} tokens that `vocab_size` is for"
    )))
}

/// A network that a config describes, without weights.
#[derive(Debug)]
pub struct Blank {
    folder: ModelFolder,
    architecture: &'static Architecture,
    backbone: Backbone,
}

impl Blank {
    /// The network that `config` describes, as it stands in a `config.json`; for networks that are known by the name that torchvision or
    /// timm has for them, `architecture` is enough. What it says of a head is left out: there is none.
    ///
    /// # Errors
    /// A config of no network that refire knows, or one that contradicts itself; more numbers than anybody has memory for.
    pub fn new(config: Map<String, Value>) -> Result<Self> {
        let folder = ModelFolder {
            path: PathBuf::new(),
            config: complete(config),
            card: Card::default(),
        };
        let architecture = architecture(&folder)?;
        let head = Head {
            modality: architecture.modality,
            problem: Problem::default(),
            labels: Vec::new(),
            embedding_size: None,
            pooling: None,
            dropout: None,
            seed: 0,
        };
        let Built { backbone, .. } = (architecture.build)(&Source {
            folder: &folder,
            checkpoint: &Checkpoint::blank("config.json".into()),
            head: &head,
            reading: Reading::Headers,
            device: &Device::flex(),
        })?;
        (architecture.initial)(&folder).map(drop)?;
        let blank = Self {
            folder,
            architecture,
            backbone,
        };
        blank.refuse_too_many()?;
        Ok(blank)
    }

    /// What it takes.
    #[must_use]
    pub fn modality(&self) -> Modality {
        self.architecture.modality
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.architecture.name
    }

    /// How many different token ids it knows; none if it takes no tokens.
    #[must_use]
    pub fn vocabulary(&self) -> Option<usize> {
        self.backbone.inner().vocabulary()
    }

    /// The most tokens that a text may have; none if it takes no tokens.
    #[must_use]
    pub fn max_tokens(&self) -> Option<usize> {
        self.backbone.inner().max_tokens()
    }

    /// How many numbers its parameters have.
    ///
    /// # Panics
    /// Never: [`new`](Self::new) refuses too many.
    #[must_use]
    pub fn size(&self) -> usize {
        self.counted().expect("they have been counted before")
    }

    /// How many numbers its parameters have; none if there is no number for it.
    fn counted(&self) -> Option<usize> {
        weights::parameters(&self.backbone)
            .iter()
            .try_fold(0_usize, |sum, seen| {
                let mut sizes = seen.shape.iter();
                let size = sizes.try_fold(1_usize, |product, size| product.checked_mul(*size))?;
                sum.checked_add(size)
            })
    }

    fn refuse_too_many(&self) -> Result<()> {
        match self.counted() {
            Some(numbers) if numbers <= MOST_NUMBERS => Ok(()),
            numbers => Err(Error::stage(format!(
                "config.json describes a network of {} numbers, and at most {MOST_NUMBERS} are drawn",
                numbers.map_or("too many".into(), |numbers| numbers.to_string())
            ))),
        }
    }

    /// Writes `config.json`, `model.safetensors` and `refire.json` into `to`, with weights that are drawn from `seed` as the library of
    /// the architecture draws them. Each parameter has a generator of its own, so that a further layer moves no other's numbers.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(self, to: &Path, seed: u64) -> Result<()> {
        let rule = (self.architecture.initial)(&self.folder)?;
        let naming = &self.architecture.naming;
        let drawn = weights::draw(self.backbone, naming.parameter, &rule, seed);
        folder::write_config(to, &self.folder.config)?;
        let target = Target {
            folder: to,
            base: None,
        };
        let name_of = |name: &str| Some((naming.parameter)(name));
        weights::write(&drawn, target, name_of, naming.checkpoint)?;
        let card = Card {
            random_weights: Some(RandomWeights { seed }),
            ..Card::default()
        };
        card.write(to)
    }
}

/// The config of a network without a head: what a known architecture's name stands for is filled in, what is said of a head left out.
fn complete(config: Map<String, Value>) -> Map<String, Value> {
    let named = config.get("architecture").and_then(Value::as_str);
    let known = named.and_then(|name| image_input::bare_config(name).ok());
    let mut whole = known.unwrap_or_default();
    whole.extend(config);
    for key in [
        "_name_or_path",
        "architectures",
        "auto_map",
        "id2label",
        "label2id",
        "label_names",
        "num_classes",
        "num_labels",
        "pooling",
        "problem_type",
    ] {
        whole.shift_remove(key);
    }
    for key in ["dtype", "torch_dtype"] {
        if let Some(value) = whole.get_mut(key) {
            *value = "float32".into();
        }
    }
    whole
}

#[cfg(test)]
mod tests;
