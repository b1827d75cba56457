//! What a task puts on top of a pretrained network.

use burn::module::{Param, ParamId};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::heads::HeadKind;
use crate::random::Random;

/// What a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modality {
    /// Texts, as tokens.
    Texts,
    /// Images.
    Images,
}

impl Modality {
    /// The word for it in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Texts => "texts",
            Self::Images => "images",
        }
    }
}

/// What the numbers that a head gives mean, in transformers' words (`problem_type` in `config.json`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Logits of labels of which a sample has one.
    #[default]
    SingleLabelClassification,
    /// Logits of labels of which a sample has any number.
    MultiLabelClassification,
    /// Numbers.
    Regression,
    /// Logits of labels of which each token has one. transformers has no word for it.
    TokenClassification,
    /// One vector: what is similar lies in the same direction. transformers has no word for it.
    Embedding,
    /// Logits of all tokens for each masked one. transformers has no word for it.
    MaskedLanguage,
}

impl Problem {
    /// transformers' word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleLabelClassification => "single_label_classification",
            Self::MultiLabelClassification => "multi_label_classification",
            Self::Regression => "regression",
            Self::TokenClassification => "token_classification",
            Self::Embedding => "embedding",
            Self::MaskedLanguage => "masked_language",
        }
    }

    /// Whether a network for it stands without a layer of the task's own: the vector of a sample may be the output.
    #[must_use]
    pub fn needs_no_layer(self) -> bool {
        self == Self::Embedding
    }

    /// The kind of head that gives such outputs.
    pub(super) fn head_kind(self) -> HeadKind {
        match self {
            Self::SingleLabelClassification | Self::MultiLabelClassification | Self::Regression => {
                HeadKind::Pooled
            }
            Self::TokenClassification => HeadKind::Tokens,
            Self::Embedding => HeadKind::Embedding,
            Self::MaskedLanguage => HeadKind::Masked,
        }
    }

    /// Whether its outputs are labels or numbers that a user names, and not the tokens of a tokenizer or a vector.
    pub(super) fn has_labels(self) -> bool {
        !matches!(self, Self::MaskedLanguage | Self::Embedding)
    }

    /// Whether transformers knows it as a `problem_type`.
    pub(super) fn is_problem_type(self) -> bool {
        self.head_kind() == HeadKind::Pooled
    }

    /// What a head for it is for, in messages.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::SingleLabelClassification => "one label a sample",
            Self::MultiLabelClassification => "several labels a sample",
            Self::Regression => "numbers",
            Self::TokenClassification => "a label a token",
            Self::Embedding => "an embedding",
            Self::MaskedLanguage => "masked tokens",
        }
    }

    /// Whether it is the usual one, which need not be written down.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(super) fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// How the states of a text's tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over all tokens that are not padding, as in Sentence-BERT (arXiv:1908.10084).
    Mean,
    /// The last hidden state of the first token.
    Cls,
    /// The first token's last hidden state through the checkpoint's own `pooler`: a linear layer and tanh, as in BERT
    /// (arXiv:1810.04805).
    Pooler,
}

impl Pooling {
    /// The word for it in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Pooler => "pooler",
        }
    }
}

/// The head to put on a network when it is loaded.
#[derive(Clone, Debug)]
pub struct Head {
    /// What the network below it is to take.
    pub modality: Modality,
    /// What its outputs mean.
    pub problem: Problem,
    /// The names of its outputs, in their order: labels, or columns of numbers. An embedding's have none.
    pub labels: Vec<String>,
    /// How many numbers a layer on top makes of a sample's vector where that is an embedding; none if it stays as it is.
    pub embedding_size: Option<usize>,
    /// How token states become one vector; none for what the model's folder says, else its architecture's habit.
    pub pooling: Option<Pooling>,
    /// Dropout before the classifier; none for what `config.json` says.
    pub dropout: Option<f64>,
    /// Seed of the new classifier's weights.
    pub seed: u64,
}

/// A classifier of `like`'s sizes: weights from a normal distribution of standard deviation `std`, zeros as bias. The
/// same seed gives the same numbers on every device and with any number of threads.
///
/// They are drawn when they are first asked for: not for a head that the checkpoint has, and not before the sizes are known to
/// be those of the checkpoint.
pub(super) fn classifier(like: Linear, std: f64, seed: u64, device: &Device) -> Linear {
    let shape = like.weight.lazy_shape();
    let [inputs, labels] = shape.dims();
    let drawn = move |device: &Device, trains: bool| {
        let weights = draw(inputs, labels, std, seed);
        let weights = Tensor::from_data(TensorData::new(weights, [inputs, labels]), device);
        if trains {
            weights.require_grad()
        } else {
            weights
        }
    };
    Linear {
        weight: Param::uninitialized(ParamId::new(), drawn, device.clone(), true, shape),
        ..like
    }
}

/// Weights of a classifier, `[inputs, labels]`.
fn draw(inputs: usize, labels: usize, std: f64, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut weights = vec![0.0; inputs * labels];
    // Label by label, as the checkpoint has them, so that a further label leaves the others' numbers as they are.
    for label in 0..labels {
        for input in 0..inputs {
            #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
            let weight = random.normal(std) as f32;
            weights[input * labels + label] = weight;
        }
    }
    weights
}
