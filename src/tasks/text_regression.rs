//! `text-regression`: a number, or several, for a text or a pair of texts.

use super::{Task, numbers};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "text-regression",
    about: "a number, or several, for a text or a pair of texts",
    modality: Modality::Texts,
    targets: &numbers::NUMBERS,
};
