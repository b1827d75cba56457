//! `text-classification`: one label for a text or a pair of texts.

use super::{Task, classes};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "text-classification",
    about: "one label for a text or a pair of texts",
    modality: Modality::Texts,
    targets: &classes::ONE_LABEL,
};
