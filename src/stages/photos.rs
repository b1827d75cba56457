//! How images that a stage is given fit the model that takes them.

use super::StageContext;
use crate::data::images::Images;
use crate::error::{Error, Result};
use crate::inputs;
use crate::models::{ImageInput, Network};

/// What the weights of the model at input `port` expect of photos: what its folder says. Where it says nothing, what torchvision's ImageNet
/// weights expect, which the user is told.
///
/// # Errors
/// Files that cannot be read, and inputs that refire cannot make.
pub(super) fn asked(port: &str, network: &Network, cx: &StageContext<'_>) -> Result<ImageInput> {
    if let Some(asked) = ImageInput::of(cx.input(port))? {
        return Ok(asked);
    }
    let usual = ImageInput::default();
    let usual = network.image_size().map_or(usual, |size| usual.at(size));
    cx.notice(format!(
        "nothing in the model's folder says how photos are to be prepared; taken is what torchvision's ImageNet weights expect: {}, mean \
         {:?}, std {:?}",
        usual.description(),
        usual.mean,
        usual.std
    ));
    Ok(usual)
}

/// What the images at input `port` look like to a network whose folder asks for `asked`; tells the user if that is not the same.
pub(super) fn seen(
    port: &str,
    images: &Images,
    asked: ImageInput,
    cx: &StageContext<'_>,
) -> ImageInput {
    if let Some(difference) = inputs::photos::difference(images, &asked) {
        cx.notice(format!(
            "`{port}`: {difference}; to have them prepared as asked, name the model in the stage that makes the images: model = \"…\""
        ));
    }
    let size = images.height();
    inputs::photos::seen(images, asked).unwrap_or_else(|| asked.at(size))
}

/// Refuses images at input `port` that were prepared in another way than those to train on, which look like `seen`.
///
/// # Errors
/// Such images.
pub(super) fn refuse_others(port: &str, images: &Images, seen: ImageInput) -> Result<()> {
    let theirs = inputs::photos::seen(images, seen);
    if theirs.is_none() && images.height() == seen.size {
        return Ok(());
    }
    let theirs = theirs.unwrap_or_else(|| seen.at(images.height()));
    if theirs.same_pixels(&seen) {
        return Ok(());
    }
    Err(Error::stage(format!(
        "the images at port `{port}` were prepared in another way than those to train on"
    ))
    .note(format!("`train`: {}", seen.description()))
    .note(format!("`{port}`: {}", theirs.description()))
    .help("set the same `size`, `resize` and `interpolation`, or the same `model`, in the stages that make them"))
}
