//! What one sample looks like in one epoch: drawn first, then computed.

use super::colour::Colour;
use crate::data::images::resize::{Interpolation, Rectangle, View, resize};
use crate::random::Random;

/// How often a rectangle is drawn that might not fit, as in torchvision and timm.
const ATTEMPTS: usize = 10;
/// The share of an image's area that is erased, and the shape of what is: timm's defaults.
const ERASED_AREA: [f64; 2] = [0.02, 1.0 / 3.0];
const ERASED_RATIO: [f64; 2] = [0.3, 1.0 / 0.3];

/// Random changes of training images. Evaluation sees images as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// The probability of swapping left and right.
    pub hflip: f64,
    /// The probability of turning upside down.
    pub vflip: f64,
    /// Cut out a random rectangle with an area between these shares of the image, and resize it: `[0.08, 1.0]` is usual. Not set:
    /// the middle of the image.
    pub scale: Option<[f64; 2]>,
    /// With `scale`: the least and the greatest ratio of the rectangle's width to its height.
    pub ratio: [f64; 2],
    /// How far brightness, contrast and saturation may go up and down: 0.4 draws factors from 0.6 to 1.4.
    pub color_jitter: f64,
    /// The probability of erasing a random rectangle (to the mean colour).
    pub reprob: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            hflip: 0.0,
            vflip: 0.0,
            scale: None,
            ratio: [3.0 / 4.0, 4.0 / 3.0],
            color_jitter: 0.0,
            reprob: 0.0,
        }
    }
}

/// Which look, of which sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The stage's seed.
    pub seed: u64,
    /// The number of the look: the epoch, or the view where a sample has a fixed set of them.
    pub look: u64,
    /// What tells the sample from others.
    pub sample: u64,
}

/// One look of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    size: usize,
    stride: usize,
    part: Rectangle,
    hflip: bool,
    vflip: bool,
    colours: Vec<Colour>,
    erased: Option<Rectangle>,
}

impl Augmentation {
    /// Whether samples look the same in every epoch.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let Self {
            hflip,
            vflip,
            scale,
            ratio: _,
            color_jitter,
            reprob,
        } = self;
        scale.is_none()
            && [hflip, vflip, color_jitter, reprob]
                .iter()
                .all(|number| **number == 0.0)
    }

    /// The first number that cannot be meant: its name, and what it must be.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let share = |number: f64| (0.0..=1.0).contains(&number);
        let is_scale = |[least, most]: [f64; 2]| least > 0.0 && least <= most && most <= 1.0;
        let [least, most] = self.ratio;
        let is_ratio = least > 0.0 && least <= most && most.is_finite();
        let rules = [
            ("hflip", share(self.hflip), "a probability, from 0 to 1"),
            ("vflip", share(self.vflip), "a probability, from 0 to 1"),
            (
                "scale",
                self.scale.is_none_or(is_scale),
                "two shares of the area, from above 0 to 1, the smaller first",
            ),
            (
                "ratio",
                is_ratio,
                "two ratios of width to height, above 0, the smaller first",
            ),
            ("color_jitter", share(self.color_jitter), "from 0 to 1"),
            ("reprob", share(self.reprob), "a probability, from 0 to 1"),
        ];
        let wrong = rules.into_iter().find(|(_, good, _)| !good);
        wrong.map(|(name, _, must_be)| (name, must_be))
    }

    /// What the sample of an image of `height` × `width` looks like at `moment`, as a square of `size`.
    #[must_use]
    pub fn variant(&self, (height, width): (usize, usize), size: usize, moment: Moment) -> Variant {
        let Moment { seed, look, sample } = moment;
        let draw = |role| Random::of_image(seed, role, &[look, sample]);
        let mut variant = Variant::plain((height, width), size);
        if let Some(scale) = self.scale {
            variant.part = crop(&mut draw("crop"), (height, width), scale, self.ratio);
        }
        variant.hflip = draw("hflip").chance(self.hflip);
        variant.vflip = draw("vflip").chance(self.vflip);
        if self.color_jitter > 0.0 {
            variant.colours = colours(&mut draw("color_jitter"), self.color_jitter);
        }
        let mut erase = draw("reprob");
        if erase.chance(self.reprob) {
            variant.erased = erased(&mut erase, size);
        }
        variant
    }
}

impl Variant {
    /// The middle of an image of `height` × `width`, as evaluation sees it.
    #[must_use]
    pub fn plain((height, width): (usize, usize), size: usize) -> Self {
        let least = size.min(height).min(width);
        Self {
            size,
            stride: width,
            part: Rectangle {
                left: (width - least) / 2,
                top: (height - least) / 2,
                width: least,
                height: least,
            },
            hflip: false,
            vflip: false,
            colours: Vec::new(),
            erased: None,
        }
    }

    /// Computes it: `pixels` is the image that it was made for, `square` the `size` × `size` pixels of the result. What is erased is
    /// left to [`erase`](Self::erase).
    pub fn render(&self, pixels: &[u8], interpolation: Interpolation, square: &mut [u8]) {
        let view = View {
            pixels,
            stride: self.stride,
            part: self.part,
        };
        let whole = Rectangle {
            left: 0,
            top: 0,
            width: self.size,
            height: self.size,
        };
        if (self.part.width, self.part.height) == (self.size, self.size) {
            view.copy(square);
        } else {
            resize(view, (self.size, self.size), whole, interpolation, square);
        }
        if self.hflip {
            for row in square.chunks_exact_mut(self.size * 3) {
                row.as_chunks_mut::<3>().0.reverse();
            }
        }
        if self.vflip {
            let (pixels, _) = square.as_chunks_mut::<3>();
            pixels.reverse();
            for row in pixels.chunks_exact_mut(self.size) {
                row.reverse();
            }
        }
        for colour in &self.colours {
            colour.apply(square);
        }
    }

    /// Erases a rectangle of the normalised image, if it was drawn so: sets it to 0, which is the mean colour.
    pub fn erase(&self, planes: &mut [f32]) {
        let Some(part) = self.erased else {
            return;
        };
        for plane in planes.chunks_exact_mut(self.size * self.size) {
            let rows = plane.chunks_exact_mut(self.size);
            for row in rows.skip(part.top).take(part.height) {
                row[part.left..part.left + part.width].fill(0.0);
            }
        }
    }
}

/// A rectangle of a random area and shape, as torchvision's `RandomResizedCrop` finds it.
fn crop(
    draw: &mut Random,
    (height, width): (usize, usize),
    scale: [f64; 2],
    ratio: [f64; 2],
) -> Rectangle {
    for _ in 0..ATTEMPTS {
        let (wide, high) = shape(draw, height * width, scale, ratio);
        if (1..=width).contains(&wide) && (1..=height).contains(&high) {
            return Rectangle {
                top: draw.below(height - high + 1),
                left: draw.below(width - wide + 1),
                width: wide,
                height: high,
            };
        }
    }
    // The largest rectangle of an allowed shape, in the middle.
    let [least, most] = ratio;
    let (exact_width, exact_height) = (float(width), float(height));
    let (wide, high) = if exact_width / exact_height < least {
        (width, whole(exact_width / least))
    } else if exact_width / exact_height > most {
        (whole(exact_height * most), height)
    } else {
        (width, height)
    };
    let (wide, high) = (wide.clamp(1, width), high.clamp(1, height));
    Rectangle {
        left: (width - wide) / 2,
        top: (height - high) / 2,
        width: wide,
        height: high,
    }
}

/// The rectangle that random erasing (Zhong et al. 2017) erases of a square, if one was found that fits.
fn erased(draw: &mut Random, size: usize) -> Option<Rectangle> {
    (0..ATTEMPTS).find_map(|_| {
        let (wide, high) = shape(draw, size * size, ERASED_AREA, ERASED_RATIO);
        (wide < size && high < size).then(|| Rectangle {
            top: draw.below(size - high + 1),
            left: draw.below(size - wide + 1),
            width: wide,
            height: high,
        })
    })
}

/// Width and height of a rectangle whose area is a random share of `area` and whose shape is random.
fn shape(draw: &mut Random, area: usize, scale: [f64; 2], ratio: [f64; 2]) -> (usize, usize) {
    let area = float(area) * draw.between(scale);
    let ratio = draw.log_between(ratio);
    (whole((area * ratio).sqrt()), whole((area / ratio).sqrt()))
}

/// Brightness, contrast and saturation by random factors in a random order.
#[expect(
    clippy::cast_possible_truncation,
    reason = "Pillow computes with 32-bit factors"
)]
fn colours(draw: &mut Random, jitter: f64) -> Vec<Colour> {
    let mut factor = || draw.between([1.0 - jitter, 1.0 + jitter]) as f32;
    let mut colours = vec![
        Colour::Brightness(factor()),
        Colour::Contrast(factor()),
        Colour::Saturation(factor()),
    ];
    for last in (1..colours.len()).rev() {
        colours.swap(last, draw.below(last + 1));
    }
    colours
}

#[expect(clippy::cast_precision_loss, reason = "areas of images fit")]
fn float(number: usize) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides of images, never negative; casts saturate"
)]
fn whole(number: f64) -> usize {
    number.round_ties_even() as usize
}

#[cfg(test)]
mod tests;
