//! References between stages: what they name, and whether the types fit.

use std::collections::{BTreeSet, HashMap};

use super::{Edge, Node};
use crate::error::{Error, Result};
use crate::stages::{ArtifactType, Input, Output};

/// Fills the edges of every node.
pub(super) fn connect(nodes: &mut [Node]) -> Result<()> {
    let names = Names::of(nodes);
    let of_node = |index: usize| {
        let mut inputs = Vec::new();
        for input in nodes[index].stage.inputs() {
            inputs.extend(edges(&input, index, nodes, &names)?);
        }
        Ok(inputs)
    };
    let inputs = (0..nodes.len())
        .map(of_node)
        .collect::<Result<Vec<Vec<Edge>>>>()?;
    for (node, inputs) in nodes.iter_mut().zip(inputs) {
        node.inputs = inputs;
    }
    Ok(())
}

/// Names of stages → their indices.
pub(super) struct Names<'n> {
    stages: HashMap<&'n str, usize>,
    /// Names of matrix stages, without what follows the `@`, → their instances.
    matrices: HashMap<&'n str, Vec<usize>>,
}

/// What a reference names.
pub(super) enum Target {
    One(usize),
    All(String, Vec<usize>),
}

impl<'n> Names<'n> {
    pub(super) fn of(nodes: &'n [Node]) -> Self {
        let mut names = Self {
            stages: HashMap::with_capacity(nodes.len()),
            matrices: HashMap::new(),
        };
        for (index, node) in nodes.iter().enumerate() {
            names.stages.insert(&node.name, index);
            if let Some((base, _)) = node.name.split_once('@') {
                names.matrices.entry(base).or_default().push(index);
            }
        }
        names
    }

    /// All names, also those of matrix stages, in alphabetical order.
    pub(super) fn all(&self) -> BTreeSet<&'n str> {
        let names = self.stages.keys().chain(self.matrices.keys());
        names.copied().collect()
    }

    /// The stage or stages that `text` names, and the port. Values in names of instances may hold dots.
    pub(super) fn find<'t>(&self, text: &'t str) -> Option<(Target, Option<&'t str>)> {
        let target = |name: &str| {
            let one = self.stages.get(name).map(|index| Target::One(*index));
            one.or_else(|| {
                self.matrices
                    .get(name)
                    .map(|all| Target::All(name.into(), all.clone()))
            })
        };
        if let Some(target) = target(text) {
            return Some((target, None));
        }
        let (stage, port) = text.rsplit_once('.')?;
        Some((target(stage)?, Some(port)))
    }
}

/// The stage that a reference which names none was meant to name.
pub(super) fn meant(text: &str) -> &str {
    if text.contains('@') {
        return text;
    }
    text.split('.').next().unwrap_or(text)
}

fn edges(input: &Input, index: usize, nodes: &[Node], names: &Names) -> Result<Vec<Edge>> {
    let written = &input.from.0.value;
    let reader = &nodes[index];
    let Some((target, port)) = names.find(written) else {
        let stage = meant(written);
        let error = Error::usage(format!(
            "stage `{}` refers to stage `{stage}`, which does not exist",
            reader.name
        ))
        .did_you_mean(stage, names.all())
        .note(format!(
            "stages: {}",
            nodes
                .iter()
                .map(|node| node.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ));
        return Err(input.from.0.blame(error, "no such stage"));
    };
    match target {
        Target::One(from) => Ok(vec![edge(
            input,
            input.port.clone(),
            index,
            from,
            port,
            nodes,
        )?]),
        Target::All(_, instances) if reader.stage.gathers(&input.port) => instances
            .into_iter()
            .map(|from| {
                let instance = nodes[from]
                    .name
                    .split_once('@')
                    .map_or("", |(_, values)| values);
                edge(
                    input,
                    format!("{}/{instance}", input.port),
                    index,
                    from,
                    port,
                    nodes,
                )
            })
            .collect(),
        Target::All(base, instances) => {
            let list: Vec<&str> = instances
                .iter()
                .map(|instance| nodes[*instance].name.as_str())
                .collect();
            let error = Error::usage(format!(
                "stage `{base}` has a matrix, and `{}` takes one stage",
                input.port
            ))
            .help(format!("name one of its instances: {}", list.join(", ")));
            Err(input.from.0.blame(error, ""))
        }
    }
}

/// The edge from stage `from` into `name`, if the types fit.
fn edge(
    input: &Input,
    name: String,
    index: usize,
    from: usize,
    port: Option<&str>,
    nodes: &[Node],
) -> Result<Edge> {
    let output = output(&nodes[from], port).map_err(|error| input.from.0.blame(error, ""))?;
    if input.accepts.contains(&output.artifact) {
        return Ok(Edge {
            port: name,
            from,
            output: output.port.clone(),
        });
    }
    let wanted: Vec<&str> = input
        .accepts
        .iter()
        .map(|accepted| accepted.with_article())
        .collect();
    let given = output.artifact.with_article();
    let verb = if given.starts_with("a ") { "is" } else { "are" };
    let (stage, wanted, written) = (&nodes[index].name, wanted.join(" or "), &input.from.0.value);
    let mut error = Error::usage(format!(
        "stage `{stage}` needs {wanted}, but `{written}` {verb} {given}"
    ));
    if let Some((near, artifact)) = alternative(input, index, nodes) {
        error = error.help(format!(
            "did you mean `{near}`, which is {}?",
            artifact.with_article()
        ));
    }
    Err(input.from.0.blame(error, given))
}

/// The output `port` of `node`.
pub(super) fn output<'n>(node: &'n Node, port: Option<&str>) -> Result<&'n Output> {
    let ports = || {
        let names: Vec<String> = node
            .outputs
            .iter()
            .map(|output| format!("{}.{}", node.name, output.port))
            .collect();
        names.join(", ")
    };
    let main: Vec<&Output> = node
        .outputs
        .iter()
        .filter(|output| !output.beside)
        .collect();
    match (port, &main[..]) {
        (None, [only]) => Ok(only),
        (None, []) => Err(Error::usage(format!("stage `{}` has no output", node.name))),
        (None, _) => Err(
            Error::usage(format!("stage `{}` has several outputs", node.name))
                .help(format!("name one of them: {}", ports())),
        ),
        (Some(port), _) => node
            .outputs
            .iter()
            .find(|output| output.port == port)
            .ok_or_else(|| {
                Error::usage(format!("stage `{}` has no output `{port}`", node.name))
                    .did_you_mean(port, node.outputs.iter().map(|output| output.port.as_str()))
                    .note(format!("its outputs: {}", ports()))
            }),
    }
}

/// An output of an earlier stage that would fit, the nearest one in the file.
fn alternative(input: &Input, index: usize, nodes: &[Node]) -> Option<(String, ArtifactType)> {
    let name = |node: &Node, output: &Output| {
        let main = node.outputs.iter().filter(|output| !output.beside);
        if !output.beside && main.count() == 1 {
            return node.name.clone();
        }
        format!("{}.{}", node.name, output.port)
    };
    nodes[..index].iter().rev().find_map(|node| {
        let output = node
            .outputs
            .iter()
            .find(|output| input.accepts.contains(&output.artifact))?;
        Some((name(node, output), output.artifact))
    })
}
