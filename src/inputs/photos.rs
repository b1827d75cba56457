//! Photos: what a model's folder asks for, what was done to those of an artifact, and how the two differ.

use crate::data::images::{Images, Transform};
use crate::models::ImageInput;

/// What is to be done to a photo for a network that expects `input`.
#[must_use]
pub fn transform(input: &ImageInput) -> Transform {
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    Transform {
        size: side(input.size),
        resize: side(input.resize),
        mode: input.mode,
        margin: input.margin,
        interpolation: input.interpolation,
    }
}

/// The input of a network that takes photos as `transform` makes them, with the colours of `input`.
#[must_use]
pub fn made(transform: Transform, input: ImageInput) -> ImageInput {
    let Transform {
        size,
        resize,
        mode,
        margin,
        interpolation,
    } = transform;
    ImageInput {
        size: size as usize,
        resize: resize as usize,
        mode,
        margin,
        interpolation,
        ..input
    }
    .canonical()
}

/// What `images` look like to a network whose folder asks for `asked`; none if nothing says how they were made.
#[must_use]
pub fn seen(images: &Images, asked: ImageInput) -> Option<ImageInput> {
    images.transform().map(|transform| made(transform, asked))
}

/// How `images` differ from what the model that takes them asks for, in a sentence; none if they do not.
#[must_use]
pub fn difference(images: &Images, asked: &ImageInput) -> Option<String> {
    let Some(seen) = seen(images, *asked) else {
        return Some(format!(
            "nothing says how the photos were cut; the model's folder asks for: {}",
            asked.description()
        ));
    };
    (!seen.same_pixels(asked)).then(|| {
        format!(
            "the photos were prepared in another way than the model's folder asks for: {}; asked for: {}",
            seen.description(),
            asked.description()
        )
    })
}
