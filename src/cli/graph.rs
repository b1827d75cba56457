//! `refire graph`.

use clap::ValueEnum;

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::plan::Plan;
use crate::report::{self, GraphNode};
use crate::run::Project;

/// Draw the graph of a pipeline.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pipeline file
    pipeline: Option<String>,

    #[command(flatten)]
    changes: Changes,

    /// How to draw it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Drawing,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Drawing {
    /// With rails, in the terminal
    #[default]
    Text,
    /// For Markdown on GitHub and GitLab
    Mermaid,
    /// For Graphviz
    Dot,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let path = pipeline::only(self.pipeline)?;
        let project = Project::open(&path, &self.changes.overrides())?;
        let nodes = nodes(&project.plan);
        let drawn = match self.format {
            Drawing::Text => report::graph::text(&nodes),
            Drawing::Mermaid => report::graph::mermaid(&nodes),
            Drawing::Dot => report::graph::dot(&project.pipeline.name, &nodes),
        };
        Ok(report::print(&drawn)?)
    }
}

fn nodes(plan: &Plan) -> Vec<GraphNode> {
    let nodes = plan.nodes.iter().map(|node| GraphNode {
        name: node.name.clone(),
        kind: node.kind.name().into(),
        inputs: node
            .inputs
            .iter()
            .map(|edge| (edge.port.clone(), edge.from))
            .collect(),
    });
    nodes.collect()
}
