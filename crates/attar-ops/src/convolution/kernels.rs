//! The loops over vectors: sums stay in registers while a kernel passes over its pixels.

use pulp::Simd;

use super::Convolution;
use super::layout::Canvas;
use crate::lanes::Lanes;

/// Pixels, or rows of the weight, whose sums are in registers together.
const TALL: usize = 4;
/// Channels of the output whose sums are in registers together.
const WIDE: usize = 4;

/// A kernel `[kernel * kernel * channels, outputs]` that passes over a canvas.
pub(super) struct Sweep<'a> {
    pub(super) layout: &'a Canvas,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) outputs: usize,
}

impl Sweep<'_> {
    /// One row of what goes out, `[pixels, outputs]` vectors.
    #[inline(always)]
    pub(super) fn correlate<S: Simd, T: Lanes>(
        &self,
        simd: S,
        canvas: &[T::Vector<S>],
        weight: &[T],
        row: usize,
        out: &mut [T::Vector<S>],
    ) {
        let pixels = out.len() / self.outputs.max(1);
        let mut pixel = 0;
        while pixel < pixels {
            pixel += match pixels - pixel {
                TALL.. => self.pixels::<S, T, TALL>(simd, canvas, weight, [row, pixel], out),
                2.. => self.pixels::<S, T, 2>(simd, canvas, weight, [row, pixel], out),
                _ => self.pixels::<S, T, 1>(simd, canvas, weight, [row, pixel], out),
            };
        }
    }

    /// `P` pixels from a place on; returns their number.
    #[inline(always)]
    fn pixels<S: Simd, T: Lanes, const P: usize>(
        &self,
        simd: S,
        canvas: &[T::Vector<S>],
        weight: &[T],
        place: [usize; 2],
        out: &mut [T::Vector<S>],
    ) -> usize {
        let mut channel = 0;
        while channel < self.outputs {
            channel += if self.outputs - channel >= WIDE {
                self.tile::<S, T, P, WIDE>(simd, canvas, weight, place, channel, out)
            } else {
                self.tile::<S, T, P, 1>(simd, canvas, weight, place, channel, out)
            };
        }
        P
    }

    /// The same for `C` channels.
    #[inline(always)]
    fn tile<S: Simd, T: Lanes, const P: usize, const C: usize>(
        &self,
        simd: S,
        canvas: &[T::Vector<S>],
        weight: &[T],
        [row, pixel]: [usize; 2],
        channel: usize,
        out: &mut [T::Vector<S>],
    ) -> usize {
        let channels = self.layout.channels;
        let taps = self.kernel * channels;
        let mut sums = [[T::splat(simd, T::ZERO); C]; P];
        for line in 0..self.kernel {
            let start = (row * self.stride + line) * self.layout.pitch() + pixel * self.stride * channels;
            let mut pixels = [&canvas[..0]; P];
            for (index, pixel) in pixels.iter_mut().enumerate() {
                *pixel = &canvas[start + index * self.stride * channels..][..taps];
            }
            let weight = &weight[line * taps * self.outputs..][..taps * self.outputs];
            // By places below what each pixel is cut to, so that none needs to be checked.
            for tap in 0..taps {
                let weight = &weight[tap * self.outputs + channel..][..C];
                let mut factors = [T::splat(simd, T::ZERO); C];
                for (factor, weight) in factors.iter_mut().zip(weight) {
                    *factor = T::splat(simd, *weight);
                }
                for (sums, pixel) in sums.iter_mut().zip(&pixels) {
                    let value = pixel[tap];
                    for (sum, factor) in sums.iter_mut().zip(&factors) {
                        *sum = T::multiply_add(simd, value, *factor, *sum);
                    }
                }
            }
        }
        for (index, sums) in sums.iter().enumerate() {
            out[(pixel + index) * self.outputs + channel..][..C].copy_from_slice(sums);
        }
        C
    }
}

/// The gradient of the weight, from what came in and the gradient of what went out.
pub(super) struct Product<'a> {
    pub(super) left: &'a Canvas,
    pub(super) right: &'a Canvas,
    pub(super) shape: Convolution,
}

impl Product<'_> {
    /// Adds to `sums`, `[kernel * kernel * inputs, outputs]` vectors.
    #[inline(always)]
    pub(super) fn add<S: Simd, T: Lanes>(
        &self,
        simd: S,
        left: &[T::Vector<S>],
        right: &[T::Vector<S>],
        sums: &mut [T::Vector<S>],
    ) {
        let Convolution { kernel, stride, .. } = self.shape;
        let taps = kernel * self.left.channels;
        let size = (taps * self.right.channels).max(1);
        // Row by row of pixels, so that these stay near while all sums pass.
        for row in 0..self.shape.output()[0] {
            let right = &right[(row * self.right.step + self.right.margin) * self.right.pitch()..];
            let right = &right[self.right.margin * self.right.channels..];
            for (line, sums) in sums.chunks_exact_mut(size).enumerate() {
                let left = &left[(row * stride + line) * self.left.pitch()..];
                self.line::<S, T>(simd, taps, left, right, sums);
            }
        }
    }

    /// The same for one row of the kernel over one row of pixels.
    #[inline(always)]
    fn line<S: Simd, T: Lanes>(
        &self,
        simd: S,
        taps: usize,
        left: &[T::Vector<S>],
        right: &[T::Vector<S>],
        sums: &mut [T::Vector<S>],
    ) {
        let mut tap = 0;
        while tap < taps {
            tap += match taps - tap {
                TALL.. => self.taps::<S, T, TALL>(simd, tap, left, right, sums),
                2.. => self.taps::<S, T, 2>(simd, tap, left, right, sums),
                _ => self.taps::<S, T, 1>(simd, tap, left, right, sums),
            };
        }
    }

    #[inline(always)]
    fn taps<S: Simd, T: Lanes, const R: usize>(
        &self,
        simd: S,
        tap: usize,
        left: &[T::Vector<S>],
        right: &[T::Vector<S>],
        sums: &mut [T::Vector<S>],
    ) -> usize {
        let outputs = self.right.channels;
        let mut channel = 0;
        while channel < outputs {
            channel += if outputs - channel >= WIDE {
                self.tile::<S, T, R, WIDE>(simd, [tap, channel], left, right, sums)
            } else {
                self.tile::<S, T, R, 1>(simd, [tap, channel], left, right, sums)
            };
        }
        R
    }

    #[inline(always)]
    fn tile<S: Simd, T: Lanes, const R: usize, const C: usize>(
        &self,
        simd: S,
        [tap, channel]: [usize; 2],
        left: &[T::Vector<S>],
        right: &[T::Vector<S>],
        out: &mut [T::Vector<S>],
    ) -> usize {
        let outputs = self.right.channels;
        let mut sums = [[T::splat(simd, T::ZERO); C]; R];
        for (index, sums) in sums.iter_mut().enumerate() {
            sums.copy_from_slice(&out[(tap + index) * outputs + channel..][..C]);
        }
        let [left_step, right_step] = [self.shape.stride * self.left.channels, self.right.step * outputs];
        for pixel in 0..self.shape.output()[1] {
            let left = &left[pixel * left_step + tap..][..R];
            let right = &right[pixel * right_step + channel..][..C];
            for (sums, left) in sums.iter_mut().zip(left) {
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = T::multiply_add(simd, *left, *right, *sum);
                }
            }
        }
        for (index, sums) in sums.iter().enumerate() {
            out[(tap + index) * outputs + channel..][..C].copy_from_slice(sums);
        }
        C
    }
}
