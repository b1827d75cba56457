//! Stages and their ports → a checked, ordered graph. Hides petgraph; does no I/O.

mod edges;
mod graph;
mod select;
#[cfg(test)]
mod tests;

pub use select::{Goal, Selection};

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::config::{Limits, Pipeline, StageTable, Table};
use crate::error::{Error, Kind, Result, Span};
use crate::fingerprint::stage_seed;
use crate::stages::{ArtifactType, Output, Stage, StageKind, find, kinds};

/// A pipeline whose stages are parsed, connected, typed and in order.
pub struct Plan {
    /// The stages; every one comes after those that it needs, otherwise in the order of the file.
    pub nodes: Vec<Node>,
}

/// A stage in a plan.
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its kind.
    pub kind: &'static dyn StageKind,
    /// What it may use and how long it may take.
    pub limits: Limits,
    /// Its settings, as the pipeline has them.
    pub settings: Arc<Table>,
    /// What it is.
    pub stage: Box<dyn Stage>,
    /// Its seed.
    pub seed: u64,
    /// Its inputs.
    pub inputs: Vec<Edge>,
    /// Its outputs.
    pub outputs: Vec<Output>,
    /// What it measured according to the lock that was committed, where one of its gates compares with that.
    pub baseline: BTreeMap<String, f64>,
}

/// An input of a stage and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The port that takes it.
    pub port: String,
    /// Index of the stage that makes it.
    pub from: usize,
    /// The port that gives it.
    pub output: String,
}

/// From how many stages on waking threads costs less than it saves.
const MANY: usize = 64;

impl Plan {
    /// Parses and connects the stages of `pipeline`.
    ///
    /// # Errors
    /// Unknown kinds, what the kinds refuse, references to stages or ports that are not there, ports of another type,
    /// cycles. All of kind [`Usage`](crate::error::Kind::Usage), with their place.
    pub fn new(pipeline: &Pipeline) -> Result<Self> {
        let node = |table| node(table, pipeline.seed);
        let nodes: Vec<Result<Node>> = if pipeline.stages.len() < MANY {
            pipeline.stages.iter().map(node).collect()
        } else {
            pipeline.stages.par_iter().map(node).collect()
        };
        let mut nodes = nodes.into_iter().collect::<Result<Vec<_>>>()?;
        edges::connect(&mut nodes)?;
        let order = graph::order(&nodes)?;
        let plan = Self {
            nodes: graph::reorder(nodes, &order),
        };
        plan.check_tasks()?;
        Ok(plan)
    }

    /// Refuses stages that do not suit the models that they are given, as far as their tasks are known.
    fn check_tasks(&self) -> Result<()> {
        let mut tasks = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let upstream = |port: &str| {
                let is_at = |edge: &&Edge| {
                    let rest = edge.port.strip_prefix(port);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                let edge = node.inputs.iter().find(is_at)?;
                tasks.get(edge.from).copied().flatten()
            };
            node.stage
                .suits(&upstream)
                .map_err(|error| error.of_kind(Kind::Usage).or_at(&node.span, ""))?;
            let task = node.stage.task(&upstream);
            tasks.push(task);
        }
        Ok(())
    }

    /// One stage for itself, without edges: what it is made of can be asked, and nothing else.
    ///
    /// # Errors
    /// An unknown kind, what the kind refuses.
    pub fn alone(table: &StageTable, pipeline_seed: u64) -> Result<Node> {
        node(table, pipeline_seed)
    }

    /// The output `port` of the stage at `index`; its only one if no port is named.
    ///
    /// # Errors
    /// A port that is not there, no port where there are several.
    pub fn output(&self, index: usize, port: Option<&str>) -> Result<&Output> {
        edges::output(&self.nodes[index], port)
    }

    /// The stage whose time says what came in along `edge` cost: the one that made the model which it is, or which it was measured on;
    /// where there is none, the stage that made it.
    #[must_use]
    pub fn costly(&self, edge: &Edge) -> usize {
        let gives_model = |edge: &Edge| {
            let mut outputs = self.nodes[edge.from].outputs.iter();
            outputs
                .any(|output| output.port == edge.output && output.artifact == ArtifactType::Model)
        };
        if gives_model(edge) {
            return edge.from;
        }
        let mut inputs = self.nodes[edge.from].inputs.iter();
        let model = inputs.find(|input| gives_model(input));
        model.map_or(edge.from, |model| model.from)
    }
}

impl Node {
    /// The stage called `name`, without edges; none if there is no such kind.
    #[must_use]
    pub fn new(name: String, kind: &str, settings: &Arc<Table>, seed: u64) -> Option<Result<Self>> {
        let kind = find(kind)?;
        let span = settings.span.clone();
        let node = |stage: Box<dyn Stage>| Self {
            name,
            kind,
            seed,
            inputs: Vec::new(),
            limits: Limits::default(),
            outputs: stage.outputs(),
            baseline: BTreeMap::new(),
            stage,
            span: span.clone(),
            settings: Arc::clone(settings),
        };
        Some(
            kind.parse(settings)
                .map(node)
                .map_err(|error| error.or_at(&span, "")),
        )
    }
}

impl Node {
    /// The error for the first of its gates that `metrics` do not pass.
    #[must_use]
    pub fn broken_gate(&self, metrics: &BTreeMap<String, f64>) -> Option<Error> {
        let mut gates = self.stage.gates().iter();
        gates.find_map(|gate| gate.failure(metrics, &self.baseline))
    }

    /// The metrics that a gate compares with a lock which says nothing of them.
    pub fn without_baseline(&self) -> impl Iterator<Item = &str> {
        let gates = self.stage.gates().iter();
        let lonely = gates.filter(|gate| gate.number(&self.baseline).is_none());
        lonely.map(|gate| gate.metric.as_str())
    }
}

fn node(table: &StageTable, pipeline_seed: u64) -> Result<Node> {
    // All instances of a matrix draw the same numbers, so that they differ by nothing but their values.
    let base = table.name.split('@').next().unwrap_or(&table.name);
    let seed = table
        .seed
        .unwrap_or_else(|| stage_seed(pipeline_seed, base));
    let (kind, span) = &table.kind;
    let node = Node::new(table.name.clone(), kind, &table.settings, seed).unwrap_or_else(|| {
        let names: Vec<&str> = kinds().map(StageKind::name).collect();
        Err(Error::usage(format!("unknown stage kind `{kind}`"))
            .at(span, "")
            .did_you_mean(kind, names.iter().copied())
            .note(format!("stage kinds: {}", names.join(", "))))
    });
    Ok(Node {
        span: table.span.clone(),
        limits: table.limits,
        ..node?
    })
}
