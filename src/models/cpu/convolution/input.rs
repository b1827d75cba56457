//! What a convolution reads.

use std::ops::Range;

use super::normalised::Norm;

/// A batch of images, `[batch, channels, height, width]`.
#[derive(Clone, Copy)]
pub(in crate::models) struct Input<'a> {
    pub(in crate::models) values: &'a [f32],
    /// How they still have to be normalised and activated; none if they are what they should be.
    pub(in crate::models) norm: Option<&'a Norm>,
}

/// One of them.
#[derive(Clone, Copy)]
pub(in crate::models) struct Image<'a> {
    values: &'a [f32],
    norm: Option<&'a Norm>,
    /// Numbers of a channel.
    plane: usize,
}

impl<'a> Input<'a> {
    pub(super) fn plain(values: &'a [f32]) -> Self {
        Self { values, norm: None }
    }

    /// The images from the `first` on, of `size` numbers and with channels of `plane`.
    pub(super) fn image(&self, index: usize, size: usize, plane: usize) -> Image<'a> {
        Image {
            values: &self.values[index * size..(index + 1) * size],
            norm: self.norm,
            plane,
        }
    }
}

impl<'a> Image<'a> {
    pub(super) fn channels(&self) -> usize {
        self.values.len() / self.plane
    }

    /// All its numbers, if they are what they should be.
    pub(super) fn as_is(&self) -> Option<&'a [f32]> {
        self.norm.is_none().then_some(self.values)
    }

    /// A part of a channel; if it has to be made first, in `made`.
    pub(super) fn part<'b>(
        &self,
        channel: usize,
        range: Range<usize>,
        made: &'b mut Vec<f32>,
    ) -> &'b [f32]
    where
        'a: 'b,
    {
        let start = channel * self.plane;
        let values = &self.values[start + range.start..start + range.end];
        let Some(norm) = self.norm else {
            return values;
        };
        made.resize(values.len(), 0.0);
        norm.put(channel, values, made);
        made
    }

    /// A part of every channel in `made`, without gaps.
    pub(super) fn parts(&self, range: Range<usize>, made: &mut Vec<f32>) {
        made.resize(self.channels() * range.len(), 0.0);
        let channels = self.values.chunks_exact(self.plane);
        let parts = made.chunks_exact_mut(range.len());
        for (channel, (values, made)) in channels.zip(parts).enumerate() {
            match self.norm {
                Some(norm) => norm.put(channel, &values[range.clone()], made),
                None => made.copy_from_slice(&values[range.clone()]),
            }
        }
    }
}
