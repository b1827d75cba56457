//! Samples as a network takes them, texts as token ids or images, with their targets.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::num::NonZeroUsize;

use burn::tensor::{Device, Tensor, TensorData};

use super::mixing::{Mix, Mixing};
use super::{Mark, Marks, Targets};
use crate::models::{Activations, TokenBatch};

/// Samples with their targets.
///
/// A sample that is changed at random has several *views*. Those of `n` samples have numbers of their own: view `l` of sample `s` is
/// `l * n + s`, so that samples which always look the same have one view, themselves. A sample of several texts that a network takes
/// each on its own has one for each of them, all of which are seen in every epoch.
#[derive(Debug)]
pub struct Samples {
    /// What the network sees.
    pub inputs: Inputs,
    /// What each is to come to.
    pub targets: Targets,
}

/// How often a sample looks different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// Never.
    One,
    /// It has so many views, which take turns from epoch to epoch.
    Fixed(NonZeroUsize),
    /// In every epoch.
    Endless,
}

/// What samples are of.
#[derive(Debug)]
pub enum Inputs {
    /// Texts.
    Texts(Texts),
    /// Images.
    Images(Box<dyn Images>),
    /// Texts that look different in every epoch.
    Rewritten(Box<dyn Rewritten>),
}

/// Texts that look different in every epoch, and come to something else each time.
pub trait Rewritten: Debug + Send + Sync {
    /// The token that fills shorter texts of a batch.
    fn pad_id(&self) -> u32;

    /// The tokens of sample `sample` as it is.
    fn original(&self, sample: usize) -> &[u32];

    /// Everything but the texts that decides what [`view`](Self::view) gives, in words.
    fn signature(&self) -> String;

    /// The tokens of view `view`, as many as the sample has, and what some of them are to come to.
    fn view(&self, view: usize) -> (Vec<u32>, Vec<Mark>);
}

/// Texts, or pairs of texts, as token ids, special tokens included and padding not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The token ids of each sample; where a sample has several texts that are each taken on their own, those of the first texts of all
    /// samples, then those of the second ones, and so on.
    pub tokens: Vec<Vec<u32>>,
    /// How many texts of a sample are each taken on their own.
    pub members: NonZeroUsize,
    /// The types of the tokens of each sample, which tell a pair's second text from its first; none if there are no pairs.
    pub types: Option<Vec<Vec<u32>>>,
    /// The token that fills shorter texts of a batch.
    pub pad_id: u32,
}

/// Images of one size. Read by many threads, so that only those of a batch need to be in memory.
pub trait Images: Debug + Send + Sync {
    /// Height and width, in pixels.
    fn size(&self) -> [usize; 2];

    /// How often an image looks different.
    fn views(&self) -> Views {
        Views::One
    }

    /// How images of a batch are mixed; for views without end only.
    fn mixing(&self) -> Mixing {
        Mixing::default()
    }

    /// Everything but [`digest`](Self::digest) that decides what [`render`](Self::render) makes of a view, in words.
    fn signature(&self) -> String;

    /// The digest of the content of sample `sample`, whatever it looks like.
    fn content(&self, sample: usize) -> [u8; 32];

    /// The digest of the content of view `view`, and of what is drawn for it.
    fn digest(&self, view: usize) -> [u8; 32] {
        self.content(view)
    }

    /// Writes view `view` as a network takes it: 3 × height × width numbers, normalised.
    fn render(&self, view: usize, planes: &mut [f32]);
}

/// Views of samples on their way through a network, on the plain device.
#[derive(Debug)]
pub(super) struct Batch {
    /// What the first block after the prefix takes.
    pub(super) input: Activations,
    /// What each is to come to.
    pub(super) targets: Targets,
    /// How much of each is itself: sample i of n is mixed with sample n − 1 − i.
    pub(super) share: f32,
}

impl Samples {
    /// Samples of these inputs; which texts are the same is written down in targets that ask for it.
    #[must_use]
    pub fn new(inputs: Inputs, mut targets: Targets) -> Self {
        if let (Inputs::Texts(texts), Targets::Compared(compared)) = (&inputs, &mut targets) {
            compared.identify(texts);
        }
        Self { inputs, targets }
    }

    /// How many texts of a sample a network takes each on its own.
    pub(super) fn members(&self) -> usize {
        match &self.inputs {
            Inputs::Texts(texts) => texts.members.get(),
            Inputs::Images(_) | Inputs::Rewritten(_) => 1,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// How many of them have the content of one of `others`.
    #[must_use]
    pub fn also_in(&self, others: &Self) -> usize {
        let others: BTreeSet<_> = (0..others.len())
            .map(|other| others.content(other))
            .collect();
        let shared = |sample: &usize| others.contains(&self.content(*sample));
        (0..self.len()).filter(shared).count()
    }

    /// How often a sample looks different.
    pub(super) fn views(&self) -> Views {
        match &self.inputs {
            Inputs::Texts(_) => Views::One,
            Inputs::Images(images) => images.views(),
            Inputs::Rewritten(_) => Views::Endless,
        }
    }

    /// How many views all samples have; none if they have no end.
    pub(super) fn all_views(&self) -> Option<usize> {
        match self.views() {
            Views::One => Some(self.len() * self.members()),
            Views::Fixed(views) => Some(self.len().saturating_mul(views.get())),
            Views::Endless => None,
        }
    }

    /// The view that a sample has in `epoch`, counted from 1.
    pub(super) fn view(&self, sample: usize, epoch: usize) -> usize {
        match self.views() {
            Views::One => sample,
            Views::Fixed(views) => (epoch - 1) % views * self.len() + sample,
            Views::Endless => (epoch - 1) * self.len() + sample,
        }
    }

    /// The views of samples in `epoch`, counted from 1, sample by sample: those of a sample's texts follow each other.
    pub(super) fn views_of(&self, samples: &[usize], epoch: usize) -> Vec<usize> {
        let views = samples.iter().flat_map(|sample| {
            let first = self.view(*sample, epoch);
            (0..self.members()).map(move |member| member * self.len() + first)
        });
        views.collect()
    }

    /// The targets of the samples that these views are of, which are all of a sample's together.
    pub(super) fn targets(&self, views: impl IntoIterator<Item = usize>) -> Targets {
        if let Inputs::Rewritten(texts) = &self.inputs {
            let samples: Vec<_> = views.into_iter().map(|view| texts.view(view).1).collect();
            return Targets::Masked(Marks {
                begins: vec![true; samples.len()],
                samples,
            });
        }
        let firsts = views.into_iter().step_by(self.members());
        self.targets.take(firsts.map(|view| view % self.len()))
    }

    /// The length of a view, by which batches are made: its tokens, or 1 for an image.
    pub(super) fn length(&self, view: usize) -> usize {
        match &self.inputs {
            Inputs::Texts(texts) => texts.tokens[view].len(),
            Inputs::Rewritten(texts) => texts.original(view % self.len()).len(),
            Inputs::Images(_) => 1,
        }
    }

    /// The lengths of all samples: of several texts the longest.
    ///
    /// # Panics
    /// If a text has more than 2³² tokens.
    pub(super) fn lengths(&self) -> Vec<u32> {
        let longest = |sample: usize| {
            let views = self.views_of(&[sample], 1).into_iter();
            views.map(|view| self.length(view)).max().unwrap_or(0)
        };
        let length = |sample| u32::try_from(longest(sample)).expect("texts are shorter");
        (0..self.len()).map(length).collect()
    }

    /// The digest of a sample's content, whatever it looks like.
    fn content(&self, sample: usize) -> [u8; 32] {
        match &self.inputs {
            Inputs::Texts(texts) if texts.members.get() > 1 => {
                let mut hasher = blake3::Hasher::new();
                for view in self.views_of(&[sample], 1) {
                    hasher.update(&self.digest(view));
                }
                *hasher.finalize().as_bytes()
            }
            Inputs::Texts(_) => self.digest(sample),
            Inputs::Rewritten(texts) => digest(texts.original(sample).iter()),
            Inputs::Images(images) => images.content(sample),
        }
    }

    /// The digest of a view's content.
    pub(super) fn digest(&self, view: usize) -> [u8; 32] {
        match &self.inputs {
            Inputs::Texts(texts) => {
                let types = texts.types.as_ref().map(|types| types[view].as_slice());
                let numbers = texts.tokens[view].iter().chain(types.unwrap_or_default());
                digest(numbers)
            }
            Inputs::Images(images) => images.digest(view),
            Inputs::Rewritten(texts) => digest(texts.view(view).0.iter()),
        }
    }

    /// Everything but the samples' content that decides what [`batch`](Self::batch) makes of them, in words.
    pub(super) fn signature(&self) -> String {
        match &self.inputs {
            Inputs::Texts(texts) => match texts.types {
                None => format!("padding {}", texts.pad_id),
                Some(_) => format!("padding {}, pairs", texts.pad_id),
            },
            Inputs::Images(images) => images.signature(),
            Inputs::Rewritten(texts) => {
                format!("padding {}, {}", texts.pad_id(), texts.signature())
            }
        }
    }

    /// A batch of views as the first block of a network takes it.
    pub(super) fn batch(&self, views: &[usize], device: &Device) -> Activations {
        match &self.inputs {
            Inputs::Texts(texts) => {
                let of_view = |view: &usize| &texts.tokens[*view][..];
                Activations::Tokens(match &texts.types {
                    None => {
                        let tokens: Vec<_> = views.iter().map(of_view).collect();
                        TokenBatch::new(&tokens, texts.pad_id, device)
                    }
                    Some(types) => {
                        let pair = |view: &usize| (of_view(view), &types[*view][..]);
                        let pairs: Vec<_> = views.iter().map(pair).collect();
                        TokenBatch::with_types(&pairs, texts.pad_id, device)
                    }
                })
            }
            Inputs::Images(images) => render(&**images, views, Mix::None, device),
            Inputs::Rewritten(texts) => {
                let views: Vec<_> = views.iter().map(|view| texts.view(*view).0).collect();
                let views: Vec<&[u32]> = views.iter().map(Vec::as_slice).collect();
                Activations::Tokens(TokenBatch::new(&views, texts.pad_id(), device))
            }
        }
    }

    /// The same, mixed as `seed` draws it, and how much of each view is left.
    pub(super) fn mixed(&self, views: &[usize], seed: u64, device: &Device) -> (Activations, f32) {
        let Inputs::Images(images) = &self.inputs else {
            return (self.batch(views, device), 1.0);
        };
        let mix = images.mixing().draw(images.size(), seed);
        (render(&**images, views, mix, device), mix.share())
    }
}

/// The digest of numbers in their order.
fn digest<'n>(numbers: impl Iterator<Item = &'n u32>) -> [u8; 32] {
    let bytes = numbers
        .flat_map(|number| number.to_le_bytes())
        .collect::<Vec<_>>();
    *blake3::hash(&bytes).as_bytes()
}

/// Images as one tensor.
fn render(images: &dyn Images, views: &[usize], mix: Mix, device: &Device) -> Activations {
    let [height, width] = images.size();
    let image = 3 * height * width;
    let mut planes = vec![0.0; views.len() * image];
    for (view, planes) in views.iter().zip(planes.chunks_exact_mut(image)) {
        images.render(*view, planes);
    }
    mix.apply(&mut planes, images.size());
    let data = TensorData::new(planes, [views.len(), 3, height, width]);
    Activations::Images(Tensor::from_data(data, device))
}
