//! Images artifacts as training and evaluation take them: with the colours that a model's weights expect.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;

use super::StageContext;
use crate::data::images::Images;
use crate::error::{Error, Result};
use crate::models::{ImageInput, Network};
use crate::train::{self, Inputs, Samples};

/// The images of an artifact, and how a network takes them.
#[derive(Debug)]
struct Photos {
    images: Images,
    digests: Vec<[u8; 32]>,
    input: ImageInput,
}

impl train::Images for Photos {
    fn size(&self) -> [usize; 2] {
        [self.images.height(), self.images.width()]
    }

    fn signature(&self) -> String {
        let (height, width) = (self.images.height(), self.images.width());
        let ImageInput { mean, std, .. } = self.input;
        format!("{height}×{width} pixels, mean {mean:?}, std {std:?}")
    }

    fn digest(&self, index: usize) -> [u8; 32] {
        self.digests[index]
    }

    fn render(&self, index: usize, planes: &mut [f32]) {
        self.input.planes(self.images.pixels(index), planes);
    }
}

/// The labels of the images at input `port`, in alphabetical order.
///
/// # Errors
/// An artifact that cannot be read; fewer than two labels.
pub(super) fn labels(port: &str, cx: &StageContext<'_>) -> Result<Vec<String>> {
    let images = Images::open(cx.input(port))?;
    match images.labels()[..] {
        [] => Err(Error::stage(format!("there is no image at port `{port}`"))),
        [only] => Err(Error::stage(format!(
            "all {} images at port `{port}` have the label `{only}`: a classifier needs two",
            images.len()
        ))),
        ref labels => Ok(labels.iter().map(ToString::to_string).collect()),
    }
}

/// The images at input `port` as samples for `network`, with their labels as numbers in `labels`.
///
/// # Errors
/// An artifact that cannot be read, a label that is not in `labels`, a size that the network does not take.
pub(super) fn samples(
    port: &str,
    labels: &[String],
    network: &Network,
    input: ImageInput,
    cx: &StageContext<'_>,
) -> Result<Samples> {
    let images = Images::open(cx.input(port))?;
    check_size(&images, network)?;
    let classes = classes(&images, port, labels)?;
    let digest = |index| *blake3::hash(images.pixels(index)).as_bytes();
    let digests = (0..images.len()).into_par_iter().map(digest).collect();
    Ok(Samples {
        inputs: Inputs::Images(Box::new(Photos {
            images,
            digests,
            input,
        })),
        labels: classes,
    })
}

/// What the weights in `folder` expect of images: what the folder says, else what torchvision's weights expect.
///
/// # Errors
/// Files that cannot be read, and inputs that refire cannot make.
pub(super) fn input(folder: &Path) -> Result<ImageInput> {
    Ok(ImageInput::of(folder)?.unwrap_or_default())
}

/// `input` with the size that the samples have.
pub(super) fn seen(samples: &Samples, input: ImageInput) -> ImageInput {
    match &samples.inputs {
        Inputs::Images(images) => ImageInput {
            size: images.size()[0],
            ..input
        },
        Inputs::Texts(_) => input,
    }
}

fn check_size(images: &Images, network: &Network) -> Result<()> {
    let (height, width) = (images.height(), images.width());
    match network.image_size() {
        Some(size) if (height, width) != (size, size) => Err(Error::stage(format!(
            "the images are {height}×{width} pixels, but the network takes {size}×{size}"
        ))
        .help(format!(
            "set size = {size} in the stage that makes the images"
        ))),
        _ => Ok(()),
    }
}

/// The label of each image, as its number in `labels`.
fn classes(images: &Images, port: &str, labels: &[String]) -> Result<Vec<u32>> {
    let class = |index| {
        let label = images.label(index);
        let class = labels.iter().position(|known| known == label);
        class
            .and_then(|class| u32::try_from(class).ok())
            .ok_or(index)
    };
    let classes: Result<Vec<u32>, usize> = (0..images.len()).map(class).collect();
    classes.map_err(|index| {
        let label = images.label(index);
        let strange: BTreeSet<&str> = (0..images.len())
            .map(|index| images.label(index))
            .filter(|label| !labels.iter().any(|known| known == label))
            .collect();
        let strange: Vec<&str> = strange.into_iter().collect();
        Error::stage(format!(
            "the image `{}` at port `{port}` has the label `{label}`, which the model is not for",
            images.path(index)
        ))
        .note(format!("the model's labels: {}", labels.join(", ")))
        .note(format!("labels that it lacks: {}", strange.join(", ")))
        .did_you_mean(label, labels.iter().map(String::as_str))
    })
}
