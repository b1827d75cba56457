//! What becomes of the head that a checkpoint has: it is kept for the same labels, and refused, or left out and told of, for others.

use super::folder::ModelFolder;
use super::weights::{Account, Checkpoint, list};
use super::{Head, Problem};
use crate::error::{Error, Result};

/// The head of a checkpoint beside the one that is asked for.
pub(super) struct OwnHead {
    /// The labels that it is for; none if the model says nothing about them.
    labels: Vec<String>,
    /// What its outputs mean.
    problem: Problem,
    /// The names of its tensors if they were taken out, because it is for other labels.
    left_out: Vec<String>,
}

impl OwnHead {
    /// Takes the head of `checkpoint`, whose tensors fulfil `is_head`, out unless it is for the labels of `head`.
    ///
    /// # Errors
    /// The same labels in another order: what the head has learnt would be lost by what is most likely a slip.
    pub(super) fn settle(
        head: &Head,
        folder: &ModelFolder,
        checkpoint: &mut Checkpoint,
        is_head: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let (labels, problem) = (folder.labels()?, folder.problem()?);
        let same = problem == head.problem;
        let is_kept = match head.problem {
            // What it says are tokens, and these are those of the checkpoint.
            Problem::MaskedLanguage => true,
            Problem::Embedding => folder.card.embedding_size == head.embedding_size,
            _ => same && labels == head.labels && !labels.is_empty(),
        };
        if is_kept {
            return Ok(Self {
                labels,
                problem,
                left_out: Vec::new(),
            });
        }
        let left_out = checkpoint.remove(is_head);
        if same
            && !left_out.is_empty()
            && sorted(&labels) == sorted(&head.labels)
            && !labels.is_empty()
        {
            return Err(
                Error::stage("the model has the same labels in another order")
                    .note(format!("the model's labels: {}", labels.join(", ")))
                    .note(format!("`labels` here: {}", head.labels.join(", ")))
                    .help(format!(
                        "write them in the model's order, so that it keeps what it learnt: labels = {labels:?}"
                    )),
            );
        }
        Ok(Self {
            labels,
            problem,
            left_out,
        })
    }

    /// Says in `account`, that of filling the network, what was left out, and that a head is new.
    pub(super) fn report(self, head: &Head, account: &mut Account) {
        if !account.missing.is_empty() {
            account.choices.extend(self.drawn(head));
        }
        account.unused.extend(self.left_out);
    }

    /// That `head` is new, and why; nothing if it is for nothing.
    fn drawn(&self, head: &Head) -> Option<String> {
        match head.problem {
            Problem::MaskedLanguage => {
                Some("a new head for masked tokens is drawn: the model has none".into())
            }
            Problem::Embedding => head.embedding_size.map(|size| {
                format!("a new layer is drawn that makes embeddings of {size} numbers: the model has none")
            }),
            _ => (!head.labels.is_empty()).then(|| {
                let (labels, why) = (list(&head.labels), self.instead_of(head));
                format!("a new head is drawn for {labels}: {why}")
            }),
        }
    }

    /// Why the model's own head does not do in place of `head`.
    fn instead_of(&self, head: &Head) -> String {
        let labels = &head.labels;
        if self.left_out.is_empty() {
            return "the model has none".into();
        }
        if self.labels.is_empty() {
            return "the model does not say which labels its own is for".into();
        }
        let own = format!("the model's own is for {}", list(&self.labels));
        if self.problem != head.problem {
            return format!("{own}, {}", self.problem.about());
        }
        let folded = |labels: &[String]| -> Vec<String> {
            sorted(labels)
                .iter()
                .map(|label| label.to_lowercase())
                .collect()
        };
        if sorted(&folded(labels)) == sorted(&folded(&self.labels)) {
            return format!("{own}; to keep it, write labels = {:?}", self.labels);
        }
        own
    }
}

fn sorted(labels: &[String]) -> Vec<&String> {
    let mut labels: Vec<&String> = labels.iter().collect();
    labels.sort();
    labels
}
