//! Mixing the images of a batch, and their labels with them: the first with the last, the second with the last but one, and so on.
//! One draw a batch, as in timm's mode `batch`.

use crate::random::Random;

/// Random mixing of batches, in timm's words; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mixing {
    /// Blend pairs of images by a share from Beta(mixup, mixup) (Zhang et al. 2017, arXiv:1710.09412). 0: never.
    pub mixup: f64,
    /// Exchange a rectangle within pairs of images; the share of the area that stays is from Beta(cutmix, cutmix) (Yun et al. 2019,
    /// arXiv:1905.04899). 0: never. With both, each batch is mixed by one of the two.
    pub cutmix: f64,
}

/// What happens to one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mix {
    /// Nothing.
    None,
    /// Each image becomes this share of itself and the rest of its partner.
    Blend(f32),
    /// Partners exchange a rectangle.
    Exchange(Exchange),
}

/// A rectangle, in pixels, and which share of an image is outside of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exchange {
    rows: [usize; 2],
    columns: [usize; 2],
    share: f32,
}

impl Mixing {
    /// Whether batches stay as they are.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What happens to a batch of images of `size` (height and width).
    #[expect(clippy::cast_possible_truncation, reason = "batches are 32-bit floats")]
    pub(super) fn draw(&self, size: [usize; 2], seed: u64) -> Mix {
        if self.is_none() {
            return Mix::None;
        }
        let mut draw = Random::new(seed);
        let cut = self.cutmix > 0.0 && (self.mixup == 0.0 || draw.unit() < 0.5);
        if cut {
            let share = draw.beta(self.cutmix);
            Mix::Exchange(Exchange::around(&mut draw, size, share))
        } else {
            Mix::Blend(draw.beta(self.mixup) as f32)
        }
    }
}

impl Exchange {
    /// A rectangle of the image's shape around a random place that covers the rest of `share`, where it is inside the image.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sides of images"
    )]
    fn around(draw: &mut Random, size: [usize; 2], share: f64) -> Self {
        let [rows, columns] = size.map(|side| {
            let length = (side as f64 * (1.0 - share).sqrt()) as usize;
            let centre = draw.below(side);
            [
                centre.saturating_sub(length / 2),
                (centre + length.div_ceil(2)).min(side),
            ]
        });
        let inside = (rows[1] - rows[0]) * (columns[1] - columns[0]);
        Self {
            rows,
            columns,
            share: 1.0 - inside as f32 / (size[0] * size[1]) as f32,
        }
    }
}

impl Mix {
    /// How much of an image's label stays its own; the rest is its partner's.
    pub(super) fn share(&self) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Blend(share) | Self::Exchange(Exchange { share, .. }) => *share,
        }
    }

    /// Mixes a batch: images × 3 × height × width numbers.
    pub(super) fn apply(&self, batch: &mut [f32], [height, width]: [usize; 2]) {
        let image = 3 * height * width;
        let mut rest = batch;
        while rest.len() >= 2 * image {
            let (first, behind) = rest.split_at_mut(image);
            let (between, last) = behind.split_at_mut(behind.len() - image);
            self.pair(first, last, [height, width]);
            rest = between;
        }
    }

    fn pair(&self, one: &mut [f32], other: &mut [f32], [height, width]: [usize; 2]) {
        match self {
            Self::None => {}
            Self::Blend(share) => {
                for (a, b) in one.iter_mut().zip(other) {
                    let mixed = *a * share + *b * (1.0 - share);
                    *b = *b * share + *a * (1.0 - share);
                    *a = mixed;
                }
            }
            Self::Exchange(Exchange { rows, columns, .. }) => {
                let both = one
                    .chunks_exact_mut(width)
                    .zip(other.chunks_exact_mut(width));
                for (row, (a, b)) in both.enumerate() {
                    if (rows[0]..rows[1]).contains(&(row % height)) {
                        let columns = columns[0]..columns[1];
                        a[columns.clone()].swap_with_slice(&mut b[columns]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of one number each: 1, 2, 3, …
    fn batch(images: usize, size: [usize; 2]) -> Vec<f32> {
        let numbers = (1_u8..).take(images).map(f32::from);
        numbers
            .flat_map(|number| vec![number; 3 * size[0] * size[1]])
            .collect()
    }

    fn mean(image: &[f32]) -> f32 {
        image.iter().sum::<f32>() / f32::from(u16::try_from(image.len()).expect("small"))
    }

    #[test]
    fn partners_are_blended() {
        let mut images = batch(3, [2, 2]);
        Mix::Blend(0.75).apply(&mut images, [2, 2]);
        let means: Vec<_> = images.chunks(12).map(mean).collect();
        assert_eq!(means, [1.5, 2.0, 2.5]);
    }

    #[test]
    fn the_share_of_a_label_is_the_share_of_the_area() {
        let mixing = Mixing {
            mixup: 0.0,
            cutmix: 1.0,
        };
        let size = [12, 20];
        for seed in 0..50 {
            let mut images = batch(4, size);
            let mix = mixing.draw(size, seed);
            mix.apply(&mut images, size);
            for (index, image) in images.chunks(3 * 12 * 20).enumerate() {
                let (own, other) = ([1.0, 2.0, 3.0, 4.0][index], [4.0, 3.0, 2.0, 1.0][index]);
                let expected = own * mix.share() + other * (1.0 - mix.share());
                assert!((mean(image) - expected).abs() < 1e-4, "{mix:?}");
            }
        }
    }

    #[test]
    fn each_batch_is_mixed_by_one_of_the_two() {
        let both = Mixing {
            mixup: 0.2,
            cutmix: 1.0,
        };
        let blended = (0..1000).filter(|seed| matches!(both.draw([8, 8], *seed), Mix::Blend(_)));
        assert!((400..600).contains(&blended.count()));
        assert_eq!(both.draw([8, 8], 3), both.draw([8, 8], 3));
        assert_ne!(both.draw([8, 8], 3), both.draw([8, 8], 4));
        assert_eq!(Mixing::default().draw([8, 8], 0), Mix::None);
        let mut images = batch(2, [2, 2]);
        Mix::None.apply(&mut images, [2, 2]);
        assert_eq!(images, batch(2, [2, 2]));
    }
}
