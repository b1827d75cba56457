//! The graph of stages as a drawing. A stage with a matrix is one node.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::layers::Layers;
use super::written::{anchor, count, px};
use super::{Page, Stage, Standing};
use crate::report::figures;

/// A graph of more nodes is a tangle: it is left out.
const MOST: usize = 120;

const WIDTH: f64 = 158.0;
const HEIGHT: f64 = 46.0;
const GAP_ACROSS: f64 = 22.0;
const GAP_DOWN: f64 = 30.0;
const MARGIN: f64 = 8.0;

/// One node: a stage, or all instances of one.
pub(super) struct Node<'p> {
    /// The places of its stages on the page.
    pub(super) stages: Vec<usize>,
    /// The first of them.
    pub(super) first: &'p Stage,
    /// The worst that holds of one of them.
    pub(super) standing: Standing,
    /// The nodes that it needs.
    needs: Vec<usize>,
}

/// The nodes of the graph, in the order of the stages.
pub(super) fn nodes(page: &Page) -> Vec<Node<'_>> {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    let mut of_stage = Vec::with_capacity(page.stages.len());
    for (place, stage) in page.stages.iter().enumerate() {
        let known = nodes.iter().position(|node| {
            node.first.is_instance() && stage.is_instance() && node.first.base() == stage.base()
        });
        let node = known.unwrap_or_else(|| {
            nodes.push(Node {
                stages: Vec::new(),
                first: stage,
                standing: stage.standing,
                needs: Vec::new(),
            });
            nodes.len() - 1
        });
        of_stage.push(node);
        let needs: Vec<usize> = stage.needs.iter().map(|need| of_stage[*need]).collect();
        let known = &mut nodes[node];
        known.stages.push(place);
        known.standing = known.standing.max(stage.standing);
        for need in needs {
            if need != node && !known.needs.contains(&need) {
                known.needs.push(need);
            }
        }
    }
    nodes
}

impl Node<'_> {
    /// What stands in its second line.
    fn says(&self, page: &Page) -> String {
        let kind = &self.first.kind;
        if self.stages.len() > 1 {
            let fresh = self
                .stages
                .iter()
                .filter(|at| page.stages[**at].standing == Standing::Fresh);
            return format!("{kind} · {}/{} fresh", fresh.count(), self.stages.len());
        }
        match self.first.seconds {
            Some(seconds) => format!("{kind} · {}", figures::seconds(seconds)),
            None => kind.clone(),
        }
    }

    fn name(&self) -> String {
        match self.stages.len() {
            1 => self.first.name.clone(),
            many => format!("{} ×{many}", self.first.base()),
        }
    }
}

/// The drawing, with a link to each stage's details.
pub(super) fn draw(page: &Page) -> Markup {
    let nodes = nodes(page);
    if nodes.len() > MOST {
        return html! {
            p.quiet { "A drawing of " (nodes.len()) " stages would be a tangle; they are listed instead." }
        };
    }
    // Only then each needs what stands before it: instances that need each other across matrices cannot be drawn so.
    if nodes
        .iter()
        .enumerate()
        .any(|(place, node)| node.needs.iter().any(|need| *need >= place))
    {
        return html! { p.quiet { "The matrices of this pipeline cannot be drawn as single nodes; its stages are listed." } };
    }
    let needs: Vec<Vec<usize>> = nodes.iter().map(|node| node.needs.clone()).collect();
    let layers = Layers::new(&needs);
    let width = layers.width * (WIDTH + GAP_ACROSS) - GAP_ACROSS + 2.0 * MARGIN;
    let height = count(layers.depth) * (HEIGHT + GAP_DOWN) - GAP_DOWN + 2.0 * MARGIN;
    let x = |place: f64| width / 2.0 + place * (WIDTH + GAP_ACROSS);
    let y = |layer: usize| MARGIN + count(layer) * (HEIGHT + GAP_DOWN);
    html! {
        div.graph tabindex="0" role="group" aria-label="Graph of the stages" {
            svg viewBox={ "0 0 " (px(width)) " " (px(height)) } width=(px(width)) height=(px(height)) {
                @for (from, to, bends) in &layers.edges {
                    path.edge data-from=(nodes[*from].stages[0]) data-to=(nodes[*to].stages[0])
                        d=(curve(&layers, *from, *to, bends, &x, &y)) {}
                }
                @for (node, (layer, place)) in nodes.iter().zip(&layers.nodes) {
                    (draw_node(page, node, x(*place) - WIDTH / 2.0, y(*layer)))
                }
            }
        }
    }
}

fn draw_node(page: &Page, node: &Node<'_>, left: f64, top: f64) -> Markup {
    let standing = node.standing;
    let says = node.says(page);
    let name = node.name();
    html! {
        a href={ "#" (anchor(node.stages[0])) } data-stage=(node.stages[0]) class={ "node " (standing.word()) } transform={ "translate(" (px(left)) " " (px(top)) ")" } {
            @if node.stages.len() > 1 {
                rect.behind x="4" y="4" width=(px(WIDTH)) height=(px(HEIGHT)) rx="7" {}
            }
            rect width=(px(WIDTH)) height=(px(HEIGHT)) rx="7" {}
            text.sign x=(px(WIDTH - 16.0)) y="20" text-anchor="middle" { (standing.sign()) title { (standing.word()) } }
            text.title x="11" y="20" { (cut(&name, 17)) }
            text.kind x="11" y="36" { (cut(&says, 25)) }
        }
    }
}

/// A curve from below a node to above another, through where it passes.
fn curve(
    layers: &Layers,
    from: usize,
    to: usize,
    bends: &[f64],
    x: &dyn Fn(f64) -> f64,
    y: &dyn Fn(usize) -> f64,
) -> String {
    let (layer, place) = layers.nodes[from];
    let mut at = (x(place), y(layer) + HEIGHT);
    let mut path = format!("M{} {}", px(at.0), px(at.1));
    let mut bend_to = |to: (f64, f64)| {
        let middle = f64::midpoint(at.1, to.1);
        let points = [at.0, middle, to.0, middle, to.0, to.1].map(px);
        let _ = write!(path, "C{}", points.join(" "));
        at = to;
    };
    for (step, bend) in bends.iter().enumerate() {
        let top = y(layer + 1 + step);
        bend_to((x(*bend), top));
        bend_to((x(*bend), top + HEIGHT));
    }
    let (layer, place) = layers.nodes[to];
    bend_to((x(place), y(layer)));
    path
}

/// A text that fits a node.
fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.into();
    }
    format!("{}…", text.chars().take(longest - 1).collect::<String>())
}
