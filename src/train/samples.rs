//! Labelled samples as a network takes them: texts as token ids, or images.

use std::collections::BTreeSet;
use std::fmt::Debug;

use burn::tensor::{Device, Tensor, TensorData};

use crate::models::{Activations, TokenBatch};

/// Samples with the index of the label of each.
#[derive(Debug)]
pub struct Samples {
    /// What the network sees.
    pub inputs: Inputs,
    /// The label of each sample.
    pub labels: Vec<u32>,
}

/// What samples are of.
#[derive(Debug)]
pub enum Inputs {
    /// Texts.
    Texts(Texts),
    /// Images.
    Images(Box<dyn Images>),
}

/// Texts as token ids, special tokens included and padding not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The token ids of each text.
    pub tokens: Vec<Vec<u32>>,
    /// The token that fills shorter texts of a batch.
    pub pad_id: u32,
}

/// Images of one size. Read by many threads, so that only those of a batch need to be in memory.
pub trait Images: Debug + Send + Sync {
    /// Height and width, in pixels.
    fn size(&self) -> [usize; 2];

    /// Everything but its content that decides what [`render`](Self::render) makes of an image, in words.
    fn signature(&self) -> String;

    /// The digest of the content of image `index`.
    fn digest(&self, index: usize) -> [u8; 32];

    /// Writes image `index` as a network takes it: 3 × height × width numbers, normalised.
    fn render(&self, index: usize, planes: &mut [f32]);
}

impl Samples {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many samples have each of `classes` labels.
    ///
    /// # Panics
    /// If a label is not below `classes`.
    #[must_use]
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for label in &self.labels {
            counts[*label as usize] += 1;
        }
        counts
    }

    /// How many of them have the content of one of `others`.
    #[must_use]
    pub fn also_in(&self, others: &Self) -> usize {
        let others: BTreeSet<_> = (0..others.len())
            .map(|other| others.digest(other))
            .collect();
        let shared = |sample: &usize| others.contains(&self.digest(*sample));
        (0..self.len()).filter(shared).count()
    }

    /// The length of a sample, by which batches are made: its tokens, or 1 for an image.
    pub(super) fn length(&self, sample: usize) -> usize {
        match &self.inputs {
            Inputs::Texts(texts) => texts.tokens[sample].len(),
            Inputs::Images(_) => 1,
        }
    }

    /// The lengths of all samples.
    ///
    /// # Panics
    /// If a text has more than 2³² tokens.
    pub(super) fn lengths(&self) -> Vec<u32> {
        let length = |sample| u32::try_from(self.length(sample)).expect("texts are shorter");
        (0..self.len()).map(length).collect()
    }

    /// The digest of a sample's content.
    pub(super) fn digest(&self, sample: usize) -> [u8; 32] {
        match &self.inputs {
            Inputs::Texts(texts) => {
                let ids = texts.tokens[sample].iter();
                let bytes = ids.flat_map(|id| id.to_le_bytes()).collect::<Vec<_>>();
                *blake3::hash(&bytes).as_bytes()
            }
            Inputs::Images(images) => images.digest(sample),
        }
    }

    /// Everything but the samples' content that decides what [`batch`](Self::batch) makes of them, in words.
    pub(super) fn signature(&self) -> String {
        match &self.inputs {
            Inputs::Texts(texts) => format!("padding {}", texts.pad_id),
            Inputs::Images(images) => images.signature(),
        }
    }

    /// A batch as the first block of a network takes it.
    pub(super) fn batch(&self, samples: &[usize], device: &Device) -> Activations {
        match &self.inputs {
            Inputs::Texts(texts) => {
                let batch = samples.iter().map(|sample| &texts.tokens[*sample][..]);
                let batch: Vec<_> = batch.collect();
                Activations::Tokens(TokenBatch::new(&batch, texts.pad_id, device))
            }
            Inputs::Images(images) => {
                let [height, width] = images.size();
                let image = 3 * height * width;
                let mut planes = vec![0.0; samples.len() * image];
                for (sample, planes) in samples.iter().zip(planes.chunks_exact_mut(image)) {
                    images.render(*sample, planes);
                }
                let data = TensorData::new(planes, [samples.len(), 3, height, width]);
                Activations::Images(Tensor::from_data(data, device))
            }
        }
    }
}
