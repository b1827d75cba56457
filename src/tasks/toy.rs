//! A task for tests alone, which shows that a task is one file: how long a text is said to be, as one of two words.

use super::{Task, classes};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "toy",
    about: "one of two words for a text",
    modality: Modality::Texts,
    targets: &classes::ONE_LABEL,
};
