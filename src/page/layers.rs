//! Where the nodes of a graph stand: in layers, with as few crossings as a few sweeps find (Sugiyama, Tagawa and Toda 1981).

use super::written::count;

/// How often the order in layers is improved.
const SWEEPS: usize = 8;

/// A graph in layers, from above.
#[derive(Debug, PartialEq)]
pub(super) struct Layers {
    /// Of each node: its layer, and where it stands in that, in widths of a node from the middle.
    pub(super) nodes: Vec<(usize, f64)>,
    /// Edges: from, to, and where they pass the layers between.
    pub(super) edges: Vec<(usize, usize, Vec<f64>)>,
    /// How many layers there are.
    pub(super) depth: usize,
    /// How many widths of a node the widest layer takes.
    pub(super) width: f64,
}

/// How much room an edge takes that passes a layer, in widths of a node.
const PASSING: f64 = 0.3;

/// A place in a layer: a node, or a bend of an edge that passes.
struct Spot {
    layer: usize,
    /// How much room it takes, in widths of a node.
    width: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

impl Layers {
    /// The layers of so many nodes as `needs` has entries; each needs only nodes before it.
    pub(super) fn new(needs: &[Vec<usize>]) -> Self {
        let mut spots: Vec<Spot> = Vec::new();
        for needs in needs {
            let layer = needs
                .iter()
                .map(|need| spots[*need].layer + 1)
                .max()
                .unwrap_or(0);
            spots.push(Spot {
                layer,
                width: 1.0,
                above: Vec::new(),
                below: Vec::new(),
            });
        }
        lower_sources(&mut spots, needs);
        let mut edges = Vec::new();
        for (to, needs) in needs.iter().enumerate() {
            for &from in needs {
                let mut bends = Vec::new();
                let mut last = from;
                for layer in spots[from].layer + 1..spots[to].layer {
                    spots.push(Spot {
                        layer,
                        width: PASSING,
                        above: vec![last],
                        below: Vec::new(),
                    });
                    let bend = spots.len() - 1;
                    spots[last].below.push(bend);
                    bends.push(bend);
                    last = bend;
                }
                spots[last].below.push(to);
                spots[to].above.push(last);
                edges.push((from, to, bends));
            }
        }
        let depth = spots.iter().map(|spot| spot.layer + 1).max().unwrap_or(0);
        let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth];
        for (at, spot) in spots.iter().enumerate() {
            layers[spot.layer].push(at);
        }
        order(&spots, &mut layers);
        let places = spread(&spots, &layers);
        Self {
            nodes: (0..needs.len())
                .map(|node| (spots[node].layer, places[node]))
                .collect(),
            edges: edges
                .into_iter()
                .map(|(from, to, bends)| {
                    (from, to, bends.iter().map(|bend| places[*bend]).collect())
                })
                .collect(),
            depth,
            width: layers
                .iter()
                .map(|layer| width(&spots, layer))
                .fold(0.0, f64::max),
        }
    }
}

/// What needs nothing stands right above what needs it, not at the top of the page.
fn lower_sources(spots: &mut [Spot], needs: &[Vec<usize>]) {
    for source in (0..needs.len()).filter(|node| needs[*node].is_empty()) {
        let users = needs
            .iter()
            .enumerate()
            .filter(|(_, needs)| needs.contains(&source));
        if let Some(nearest) = users.map(|(user, _)| spots[user].layer).min() {
            spots[source].layer = nearest.saturating_sub(1);
        }
    }
}

/// Sorts each layer by the means of what its spots are connected with, from above and from below in turn.
fn order(spots: &[Spot], layers: &mut [Vec<usize>]) {
    let mut places = vec![0.0; spots.len()];
    let number = |layer: &[usize], places: &mut [f64]| {
        for (at, spot) in layer.iter().enumerate() {
            places[*spot] = count(at) - (count(layer.len()) - 1.0) / 2.0;
        }
    };
    for layer in &*layers {
        number(layer, &mut places);
    }
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let depth = layers.len();
        for step in 0..depth {
            let layer = &mut layers[if down { step } else { depth - 1 - step }];
            let mut keyed: Vec<(f64, usize)> = layer
                .iter()
                .map(|spot| {
                    let near = if down {
                        &spots[*spot].above
                    } else {
                        &spots[*spot].below
                    };
                    (mean(near, &places).unwrap_or(places[*spot]), *spot)
                })
                .collect();
            keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
            *layer = keyed.into_iter().map(|(_, spot)| spot).collect();
            number(layer, &mut places);
        }
    }
}

/// Moves spots towards what they are connected with, as far as their neighbours leave room.
fn spread(spots: &[Spot], layers: &[Vec<usize>]) -> Vec<f64> {
    let widths = layers.iter().map(|layer| width(spots, layer));
    let most = widths.fold(0.0, f64::max);
    let mut places = vec![0.0; spots.len()];
    for layer in layers {
        let mut left = -width(spots, layer) / 2.0;
        for spot in layer {
            places[*spot] = left + spots[*spot].width / 2.0;
            left += spots[*spot].width;
        }
    }
    let apart = |one: usize, other: usize| f64::midpoint(spots[one].width, spots[other].width);
    for sweep in 0..4 * SWEEPS {
        for step in 0..layers.len() {
            let layer = &layers[if sweep % 2 == 0 {
                step
            } else {
                layers.len() - 1 - step
            }];
            for (at, &spot) in layer.iter().enumerate() {
                let near = [&spots[spot].above[..], &spots[spot].below[..]].concat();
                let Some(wish) = mean(&near, &places) else {
                    continue;
                };
                let end = (most - spots[spot].width) / 2.0;
                let before = at.checked_sub(1).map(|before| layer[before]);
                let least = before.map_or(-end, |before| places[before] + apart(before, spot));
                let after = layer.get(at + 1).copied();
                let highest = after.map_or(end, |after| places[after] - apart(after, spot));
                if least <= highest {
                    places[spot] = wish.clamp(least, highest);
                }
            }
        }
    }
    places
}

/// How much room a layer takes.
fn width(spots: &[Spot], layer: &[usize]) -> f64 {
    layer.iter().map(|spot| spots[*spot].width).sum()
}

fn mean(of: &[usize], places: &[f64]) -> Option<f64> {
    let sum: f64 = of.iter().map(|spot| places[*spot]).sum();
    (!of.is_empty()).then(|| sum / count(of.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_stand_below_what_they_need_and_not_on_each_other() {
        // encoder, reviews, clean, split, frozen, tune, test
        let needs: [Vec<usize>; 7] = [
            vec![],
            vec![],
            vec![1],
            vec![2],
            vec![0],
            vec![3, 4],
            vec![3, 5],
        ];
        let layers = Layers::new(&needs);
        for (node, needs) in needs.iter().enumerate() {
            for need in needs {
                assert!(layers.nodes[*need].0 < layers.nodes[node].0);
            }
        }
        // The encoder is next to what freezes it.
        assert_eq!(layers.nodes[0].0 + 1, layers.nodes[4].0);
        for one in 0..needs.len() {
            for other in 0..one {
                let (a, b) = (layers.nodes[one], layers.nodes[other]);
                assert!(
                    a.0 != b.0 || (a.1 - b.1).abs() >= 0.999,
                    "{one} and {other}"
                );
            }
        }
        // The edge from the split to the test passes the training.
        let passing = layers
            .edges
            .iter()
            .find(|edge| (edge.0, edge.1) == (3, 6))
            .expect("there");
        assert_eq!(passing.2.len(), layers.nodes[6].0 - layers.nodes[3].0 - 1);
        assert_eq!(
            Layers::new(&needs),
            layers,
            "the same graph is drawn the same"
        );
    }

    #[test]
    fn no_graph_has_no_layers() {
        let layers = Layers::new(&[]);
        assert_eq!((layers.depth, layers.nodes.len()), (0, 0));
    }
}
