//! `sentence-similarity`: embeddings of texts, which lie the closer together the more alike the texts are.

use super::{Task, similar};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "sentence-similarity",
    about: "an embedding for a text, close to those of similar texts",
    modality: Modality::Texts,
    targets: &similar::SIMILAR,
};
