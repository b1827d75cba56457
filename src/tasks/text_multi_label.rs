//! `text-multi-label`: any number of labels for a text or a pair of texts.

use super::{Task, sets};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "text-multi-label",
    about: "any number of labels for a text or a pair of texts",
    modality: Modality::Texts,
    targets: &sets::SEVERAL_LABELS,
};
