//! `token-classification`: a tag for each word of a text, such as where names begin and end.

use super::{Task, tokens};
use crate::models::Modality;

/// The task.
pub(super) const TASK: Task = Task {
    name: "token-classification",
    about: "a tag for each word of a text: which words are names, and of what",
    modality: Modality::Texts,
    targets: &tokens::TAGS,
};
