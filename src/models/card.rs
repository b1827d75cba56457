//! `refire.json`: what refire knows about a model beyond what Hugging Face's files say.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{FreezePlan, Pooling, Task};
use crate::error::{Context, Result};

/// Name of the file in a model's folder.
pub const CARD_FILE: &str = "refire.json";

/// The contents of `refire.json`. Every field may be missing; a folder without the file has an empty card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Card {
    /// What the model is tuned to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Its labels, in the order of its outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How token states become one vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// The longest text, in tokens, that it was tuned on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// What to freeze when it is tuned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<FreezePlan>,
    /// What that plan freezes, written for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// How it was trained: settings and figures by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub training: BTreeMap<String, serde_json::Value>,
}

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
    /// Reads the card of the model in `folder`; an empty one if there is none.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not a card.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CARD_FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes =
            std::fs::read(&path).or_stage(|| format!("cannot read `{}`", path.display()))?;
        serde_json::from_slice(super::folder::unmarked(&bytes))
            .or_stage(|| format!("`{}` is not a refire model card", path.display()))
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
