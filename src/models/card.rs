//! `refire.json`: what refire knows about a model beyond what Hugging Face's files say.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{FreezePlan, Lora, Pooling, Problem};
use crate::error::{Context, Error, Result};

/// Name of the file in a model's folder.
pub const CARD_FILE: &str = "refire.json";

/// The contents of `refire.json`. Every field may be missing; a folder without the file has an empty card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Card {
    /// What the model is tuned to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What its outputs mean.
    #[serde(skip_serializing_if = "Problem::is_usual")]
    pub problem: Problem,
    /// Its labels, in the order of its outputs; of a regression what the numbers are called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How many numbers a layer on top makes of a sample's vector where that is an embedding; none if it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_size: Option<usize>,
    /// How token states become one vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// The longest text, in tokens, that it was tuned on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Under which name in its checkpoint its weights are, where there are several sets of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_key: Option<String>,
    /// What to freeze when it is tuned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<FreezePlan>,
    /// What that plan freezes, written for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// Its adapters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<Lora>,
    /// From which probability on a sample has each of several labels; none where it is [`THRESHOLD`](Self::THRESHOLD) for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<f32>,
    /// That its weights are random, or some of them still are; none where all have been trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_weights: Option<RandomWeights>,
    /// The scheme of its labels, where these are tags of words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// How tokens were masked, where it has learnt what stood there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masking: Option<Masking>,
    /// How it was trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
}

/// How tokens are masked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masking {
    /// The probability with which a token, or a word, is chosen.
    pub probability: f64,
    /// Whether all tokens of a word are chosen together.
    pub whole_words: bool,
    /// Whether texts follow each other in a piece.
    pub packing: bool,
}

/// That weights were drawn, not trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomWeights {
    /// The seed.
    pub seed: u64,
}

/// How a model was trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// The epoch that its weights are of, counted from 1.
    pub best_epoch: usize,
    /// The step, if it was measured by steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_step: Option<usize>,
    /// What was frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<FreezePlan>,
    /// The figures of each epoch, or of each time that it was measured.
    pub history: Vec<Value>,
    /// The settings.
    pub settings: TunedBy,
}

/// The settings by which a model was tuned. What refire reads of them has a type; the rest is for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct TunedBy(Map<String, Value>);

/// What a freeze plan comes to for one model. The head, whose size depends on the labels, is not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// Numbers that train.
    pub trainable: usize,
    /// Numbers in all.
    pub total: usize,
    /// The parameters that stay as they are, by their Hugging Face names.
    pub names: Vec<String>,
}

impl Card {
    /// From which probability on a sample has one of several labels, where nothing else is said.
    pub const THRESHOLD: f32 = 0.5;

    /// Reads the card of the model in `folder`; an empty one if there is none.
    ///
    /// # Errors
    /// A file that cannot be read, that is not a card, or whose parts do not fit each other.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CARD_FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes =
            std::fs::read(&path).or_stage(|| format!("cannot read `{}`", path.display()))?;
        let is_none = || format!("`{}` is not a refire model card", path.display());
        let card: Self =
            serde_json::from_slice(super::folder::unmarked(&bytes)).or_stage(is_none)?;
        card.check()
            .map_err(|what| Error::stage(is_none()).cause(what))?;
        Ok(card)
    }

    /// What its types cannot say.
    fn check(&self) -> Result<(), String> {
        let thresholds = self.thresholds.len();
        if thresholds != 0 && thresholds != self.labels.len() {
            let labels = self.labels.len();
            return Err(format!(
                "it has {thresholds} thresholds for {labels} labels"
            ));
        }
        if self
            .thresholds
            .iter()
            .any(|threshold| !(0.0..=1.0).contains(threshold))
        {
            return Err("a threshold is not between 0 and 1".into());
        }
        if self.embedding_size == Some(0) {
            return Err("`embedding_size` is 0".into());
        }
        if self
            .masking
            .is_some_and(|masking| !(masking.probability > 0.0 && masking.probability < 1.0))
        {
            return Err("the probability of `masking` is not between 0 and 1".into());
        }
        if let Some(Err((_, what))) = self.lora.as_ref().map(Lora::check) {
            return Err(what);
        }
        if self.max_length == Some(0) {
            return Err("`max_length` is 0".into());
        }
        let tuned = self.training.as_ref();
        tuned.map_or(Ok(()), |tuned| tuned.settings.check())
    }

    /// The settings by which it was tuned; empty ones if it was not.
    #[must_use]
    pub fn tuned_by(&self) -> TunedBy {
        let training = self.training.as_ref();
        training.map_or_else(TunedBy::default, |training| training.settings.clone())
    }

    /// Writes the card into `folder`, over an older one.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(CARD_FILE);
        let mut json = serde_json::to_vec_pretty(self)
            .or_stage(|| format!("cannot write `{}`", path.display()))?;
        json.push(b'\n');
        super::weights::write_new(&path, &json)
    }
}

impl TunedBy {
    /// The settings that later stages and predictions read, each of them a word or words.
    const WORDS: [&str; 7] = [
        "text_column",
        "text_pair_column",
        "target_column",
        "label_separator",
        "truncation",
        "feature_cache_max",
        "invalid_tags",
    ];

    /// The same that are whole numbers.
    const NUMBERS: [&str; 1] = ["stride"];

    /// The setting called `name`, if it is a word.
    #[must_use]
    pub fn word(&self, name: &str) -> Option<&str> {
        debug_assert!(Self::WORDS.contains(&name), "`{name}` is not checked");
        self.0.get(name)?.as_str()
    }

    /// The setting called `name`, if it is a whole number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        debug_assert!(Self::NUMBERS.contains(&name), "`{name}` is not checked");
        usize::try_from(self.0.get(name)?.as_u64()?).ok()
    }

    /// The columns of targets, where there are several.
    #[must_use]
    pub fn target_columns(&self) -> Option<Vec<String>> {
        self.words("target_columns")
    }

    /// The columns of texts that those of `text_column` do not belong to.
    #[must_use]
    pub fn negative_columns(&self) -> Option<Vec<String>> {
        self.words("negative_columns")
    }

    fn words(&self, name: &str) -> Option<Vec<String>> {
        let words = self.0.get(name)?.as_array()?.iter();
        words.map(|word| word.as_str().map(String::from)).collect()
    }

    fn check(&self) -> Result<(), String> {
        for name in Self::WORDS {
            if self.0.get(name).is_some_and(|value| !value.is_string()) {
                return Err(format!(
                    "the setting `{name}` that it was tuned by is no text"
                ));
            }
        }
        for name in Self::NUMBERS {
            if self.0.get(name).is_some_and(|value| !value.is_u64()) {
                return Err(format!(
                    "the setting `{name}` that it was tuned by is no whole number"
                ));
            }
        }
        for name in ["target_columns", "negative_columns"] {
            if self.0.contains_key(name) && self.words(name).is_none() {
                return Err(format!(
                    "the setting `{name}` that it was tuned by is no list of names"
                ));
            }
        }
        Ok(())
    }
}

impl From<Map<String, Value>> for TunedBy {
    fn from(settings: Map<String, Value>) -> Self {
        Self(settings)
    }
}

impl From<TunedBy> for Map<String, Value> {
    fn from(settings: TunedBy) -> Self {
        settings.0
    }
}
