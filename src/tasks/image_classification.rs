//! `image-classification`: one label for an image.

use super::{Task, classes};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "image-classification",
    about: "one label for an image",
    modality: Modality::Images,
    targets: &classes::ONE_LABEL,
};
