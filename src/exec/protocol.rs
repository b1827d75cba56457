//! What a runner and its workers say to each other: one JSON value a line, orders one way and messages the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::job::{Surroundings, Task};
use super::machine::Share;
use crate::config::{Sources, WireError, WireTable};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::fingerprint::Fingerprint;
use crate::plan::Node;
use crate::store::{Digest, Explanation, Record};

/// What a worker is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Run a stage.
    Run(Box<Order>),
    /// Stop the stage that runs.
    Stop,
}

/// A stage to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) store: PathBuf,
    pub(super) device: String,
    pub(super) offline: bool,
    name: String,
    kind: String,
    settings: WireTable,
    seed: u64,
    inputs: BTreeMap<String, Digest>,
    explanation: Explanation,
    share: Share,
    times: BTreeMap<String, f64>,
}

impl Order {
    /// The order for `task`, for a worker that has got the files in `sent`.
    pub(super) fn new(task: &Task<'_>, around: &Surroundings<'_>, sent: &mut Sources) -> Self {
        Self {
            store: around.store.root().into(),
            device: around.device.into(),
            offline: around.offline,
            name: task.node.name.clone(),
            kind: task.node.kind.name().into(),
            settings: WireTable::pack(&task.node.settings, sent),
            seed: task.node.seed,
            inputs: task.inputs.clone(),
            explanation: task.fingerprint.explanation().into_iter().collect(),
            share: task.share.clone(),
            times: task.times.clone(),
        }
    }

    /// The stage that is ordered; `received` are the files that came with earlier orders.
    pub(super) fn node(&self, received: &mut Sources) -> Result<Node> {
        let malformed =
            || Error::stage("the order is malformed: runner and worker are not the same refire");
        let settings = self.settings.clone();
        let settings = Arc::new(settings.unpack(received).ok_or_else(malformed)?);
        Node::new(self.name.clone(), &self.kind, &settings, self.seed).ok_or_else(malformed)?
    }

    /// The task that is ordered, on its `node`.
    pub(super) fn task<'n>(&self, node: &'n Node) -> Task<'n> {
        Task {
            node,
            inputs: self.inputs.clone(),
            fingerprint: Fingerprint::from_explanation(self.explanation.iter()),
            share: self.share.clone(),
            timeout: None,
            times: self.times.clone(),
        }
    }
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// Something happened.
    Event(Event),
    /// The stage has started a program that leads this process group.
    Spawned(u32),
    /// The stage is done and published; whether its record is in the cache.
    Done(Box<Record>, bool, Usage),
    /// The artifact at this port is damaged.
    Damaged(String),
    /// The stage failed.
    Failed(Box<WireError>, Usage),
}

/// What a stage used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Usage {
    /// CPU time of the stage and of the programs that it ran, in seconds.
    pub(super) cpu_seconds: f64,
    /// The largest resident set of the worker, or of a program that it ran, in bytes, where that is known.
    pub(super) peak_memory: Option<u64>,
}
