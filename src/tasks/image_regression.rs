//! `image-regression`: a number for an image.

use super::{Task, numbers};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "image-regression",
    about: "a number for an image",
    modality: Modality::Images,
    targets: &numbers::NUMBERS,
};
