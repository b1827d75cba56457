//! What a task puts on top of a pretrained network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a network is tuned to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One label for a text.
    TextClassification,
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
    /// What it is for.
    pub task: Task,
    /// Its labels, in the order of its outputs.
    pub labels: Vec<String>,
    /// How token states become one vector; none for what the model's folder says, else its architecture's habit.
    pub pooling: Option<Pooling>,
    /// Dropout before the classifier; none for what `config.json` says.
    pub dropout: Option<f64>,
    /// Seed of the new classifier's weights.
    pub seed: u64,
}
