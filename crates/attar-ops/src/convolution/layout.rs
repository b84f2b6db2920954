//! Images of a block of samples with one sample in each place of a vector.

use pulp::Simd;

use super::Convolution;
use crate::lanes::Lanes;
use crate::scratch::Scratch;

/// `[rows, columns, channels]` vectors, of which the pixels of an image are some and the others 0.
pub(super) struct Canvas {
    rows: usize,
    columns: usize,
    pub(super) channels: usize,
    /// Rows and columns of the image.
    image: [usize; 2],
    /// Row and column of its first pixel.
    pub(super) margin: usize,
    /// From one of its pixels to the next, along both axes.
    pub(super) step: usize,
}

impl Canvas {
    /// Of what comes in, with its padding.
    pub(super) fn of_input(shape: &Convolution, channels: usize) -> Self {
        let Convolution { height, width, padding, .. } = *shape;
        let [rows, columns] = [height, width].map(|length| length + 2 * padding);
        Self { rows, columns, channels, image: [height, width], margin: padding, step: 1 }
    }

    /// Of the gradient of what goes out, so that a kernel that is turned around and moves pixel by pixel gives the
    /// gradient of what comes in: strides become zeros between pixels (Dumoulin & Visin 2016, relationship 13).
    pub(super) fn of_output(shape: &Convolution, channels: usize) -> Self {
        let Convolution { height, width, kernel, stride, padding } = *shape;
        let [rows, columns] = [height, width].map(|length| length + kernel - 1);
        Self { rows, columns, channels, image: shape.output(), margin: kernel - 1 - padding, step: stride }
    }

    /// Vectors from a row to the next.
    pub(super) fn pitch(&self) -> usize {
        self.columns * self.channels
    }

    /// Puts the images, one after the other in `values`, where they belong; at most as many as a vector has places.
    #[inline(always)]
    pub(super) fn paint<S: Simd, T: Lanes>(&self, values: &[T], canvas: &mut Scratch<T>) {
        let lanes = T::count::<S>();
        canvas.clear(self.rows * self.pitch() * lanes);
        let [height, width] = self.image;
        // Pixels that lie side by side are one run.
        let (runs, length) = if self.step == 1 { (1, width * self.channels) } else { (width, self.channels) };
        let of_image = height * width * self.channels;
        for index in 0..of_image / length.max(1) {
            let (row, column) = (index / runs * self.step + self.margin, index % runs * self.step + self.margin);
            let start = (row * self.columns + column) * self.channels * lanes;
            let places = &mut canvas[start..start + length * lanes];
            for (lane, image) in values.chunks_exact(of_image).enumerate() {
                let run = &image[index * length..][..length];
                places.chunks_exact_mut(lanes).zip(run).for_each(|(place, value)| place[lane] = *value);
            }
        }
    }
}

/// Puts the vectors to the place `start` of each sample, of `of_sample` values.
#[inline(always)]
pub(super) fn unpack<S: Simd, T: Lanes>(vectors: &[T], start: usize, of_sample: usize, out: &mut [T]) {
    let lanes = T::count::<S>();
    for (lane, sample) in out.chunks_exact_mut(of_sample.max(1)).enumerate() {
        let places = vectors.chunks_exact(lanes);
        sample[start..].iter_mut().zip(places).for_each(|(value, place)| *value = place[lane]);
    }
}
