//! Learning rates that fall from layer to layer.

use crate::models::{Anatomy, Parameter};

/// For each parameter what the learning rate is multiplied by if it falls by the factor `decay` from each layer to the one below it:
/// the layer-wise decay of arXiv:2106.08254 as timm computes it; for 1 / 2.6 the discriminative rates of arXiv:1801.06146.
///
/// The head has 1; the last layer has `decay`, and so has what comes after the layers but for the head, such as a last norm; what comes
/// before the first layer has one factor more than that layer.
#[must_use]
pub fn layer_decay(decay: f64, anatomy: &Anatomy) -> Vec<f64> {
    let layers = anatomy.layers();
    // From the head down to a block there is one step for each layer from that block on, or one at all after the layers, and one more
    // for what lies before the first layer.
    let steps = |parameter: &Parameter| match (layers.first(), parameter.head) {
        (Some(first), false) => {
            let above = layers.iter().filter(|layer| **layer >= parameter.block);
            above.count().max(1) + usize::from(parameter.block < *first)
        }
        _ => 0,
    };
    let scale = |parameter| decay.powi(i32::try_from(steps(parameter)).unwrap_or(i32::MAX));
    anatomy.parameters.iter().map(scale).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use burn::module::ParamId;

    use super::*;
    use crate::models::Part;

    fn scales(blocks: &[&str]) -> Vec<f64> {
        let parameter = |(block, name): (usize, &&str)| Parameter {
            name: format!("{name}.weight"),
            full_name: format!("{name}.weight"),
            shape: vec![1],
            block,
            head: *name == "head",
            used: true,
            part: Part::Own,
            id: ParamId::new(),
        };
        layer_decay(
            0.5,
            &Anatomy {
                blocks: blocks.iter().map(|name| (*name).into()).collect(),
                parameters: blocks.iter().enumerate().map(parameter).collect(),
                batch_norms: BTreeSet::new(),
                shared: None,
            },
        )
    }

    /// The `lr_scale`s of timm 1.0.31's `param_groups_layer_decay` for a transformer of two layers, whose last norm belongs to the last
    /// of them, and for an EfficientNet, whose `conv_head` does.
    #[test]
    fn scales_are_those_of_timm() {
        let vit = ["embeddings", "layer.0", "layer.1", "norm", "head"];
        assert_eq!(scales(&vit), [0.125, 0.25, 0.5, 0.5, 1.0]);
        let efficientnet = ["conv_stem", "blocks.0.0", "blocks.1.0", "conv_head", "head"];
        assert_eq!(scales(&efficientnet), [0.125, 0.25, 0.5, 0.5, 1.0]);
    }

    #[test]
    fn a_network_may_begin_with_a_layer_or_have_none() {
        assert_eq!(
            scales(&["features.0", "features.1", "head"]),
            [0.25, 0.5, 1.0]
        );
        assert_eq!(scales(&["body", "head"]), [1.0, 1.0]);
    }
}
