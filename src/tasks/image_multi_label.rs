//! `image-multi-label`: any number of labels for an image.

use super::{Task, sets};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "image-multi-label",
    about: "any number of labels for an image",
    modality: Modality::Images,
    targets: &sets::SEVERAL_LABELS,
};
