//! Cycles and the order.

use std::collections::BTreeMap;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::Node;
use crate::error::{Error, Result};

/// The topological order that keeps the order of the file wherever it can.
pub(super) fn order(nodes: &[Node]) -> Result<Vec<usize>> {
    let graph = graph(nodes);
    let mut waiting: Vec<usize> = graph
        .node_indices()
        .map(|node| graph.neighbors_directed(node, petgraph::Incoming).count())
        .collect();
    let mut ready: std::collections::BTreeSet<usize> = waiting
        .iter()
        .enumerate()
        .filter(|(_, count)| **count == 0)
        .map(|(index, _)| index)
        .collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for next in graph.neighbors(NodeIndex::new(index)) {
            waiting[next.index()] -= 1;
            if waiting[next.index()] == 0 {
                ready.insert(next.index());
            }
        }
    }
    if order.len() < nodes.len() {
        return Err(cycle(nodes, &graph));
    }
    Ok(order)
}

fn graph(nodes: &[Node]) -> DiGraph<(), ()> {
    let mut graph = DiGraph::with_capacity(nodes.len(), nodes.len());
    for _ in nodes {
        graph.add_node(());
    }
    for (index, node) in nodes.iter().enumerate() {
        for edge in &node.inputs {
            // A stage that needs another one at two ports has two edges: to look for the first would take ever longer
            // where many stages need the same one.
            graph.add_edge(NodeIndex::new(edge.from), NodeIndex::new(index), ());
        }
    }
    graph
}

/// The error for a graph with a cycle: the shortest way around, from the first stage in the file that is on one.
fn cycle(nodes: &[Node], graph: &DiGraph<(), ()>) -> Error {
    let looping = |component: &Vec<NodeIndex>| {
        component.len() > 1 || graph.contains_edge(component[0], component[0])
    };
    let start = kosaraju_scc(graph)
        .into_iter()
        .filter(looping)
        .flatten()
        .min()
        .unwrap_or(NodeIndex::new(0));
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    'search: while let Some(node) = queue.pop_front() {
        // Edges lead from a stage to those that need it; the message reads the other way round.
        for before in graph.neighbors_directed(node, petgraph::Incoming) {
            if before == start {
                came_from.insert(start, node);
                break 'search;
            }
            came_from.entry(before).or_insert_with(|| {
                queue.push_back(before);
                node
            });
        }
    }
    let mut path = vec![start];
    let mut at = start;
    while let Some(&next) = came_from.get(&at) {
        path.push(next);
        at = next;
        if at == start {
            break;
        }
    }
    path.reverse();
    let names: Vec<String> = path
        .iter()
        .map(|node| format!("`{}`", nodes[node.index()].name))
        .collect();
    let mut error = Error::usage(format!(
        "stages need each other in a cycle: {}",
        names.join(" → ")
    ));
    for pair in path.windows(2) {
        let (node, needs) = (&nodes[pair[0].index()], pair[1].index());
        let port = node
            .inputs
            .iter()
            .find(|edge| edge.from == needs)
            .map(|edge| edge.port.as_str());
        let input = node
            .stage
            .inputs()
            .into_iter()
            .find(|input| Some(input.port.as_str()) == port);
        if let Some(span) = input.and_then(|input| input.from.0.span) {
            error = error.at(
                &span,
                format!("`{}` needs `{}`", node.name, nodes[needs].name),
            );
        }
    }
    error.help("take one of these references out")
}

/// `nodes` in `order`, with their edges renumbered.
pub(super) fn reorder(nodes: Vec<Node>, order: &[usize]) -> Vec<Node> {
    // Most files name a stage before those that need it.
    if order.is_sorted() {
        return nodes;
    }
    let mut place = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old] = new;
    }
    let mut slots: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    let mut ordered: Vec<Node> = order.iter().filter_map(|&old| slots[old].take()).collect();
    for node in &mut ordered {
        for edge in &mut node.inputs {
            edge.from = place[edge.from];
        }
    }
    ordered
}
