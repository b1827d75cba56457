//! `fill-mask`: what stands behind the masks of a text.

use super::{Task, masked};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "fill-mask",
    about: "what stands behind masked tokens: what a network learns a language by, from texts without labels",
    modality: Modality::Texts,
    targets: &masked::MASKED,
};
