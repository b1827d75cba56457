//! BERT (Devlin et al., arXiv:1810.04805) and what is built like it, such as MiniLM.

use std::ops::Range;

use burn::module::Module;
use burn::nn::Linear;

use super::Activations;

/// The network.
#[derive(Module, Debug)]
pub struct Bert {
    classifier: Linear,
}

impl Bert {
    pub(super) fn blocks(&self) -> Vec<String> {
        unimplemented!()
    }
    pub(super) fn forward(&self, blocks: Range<usize>, x: Activations) -> Activations {
        let _ = blocks;
        x
    }
    pub(super) fn max_tokens(&self) -> usize {
        512
    }
    pub(super) fn vocabulary(&self) -> usize {
        512
    }
}
