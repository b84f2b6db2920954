//! The sum that ends a residual block (He et al. 2015, "Deep residual learning", section 3.3, option A).

use rayon::prelude::*;

use crate::Float;
use crate::pages::zeros;
use crate::reduce::rows_of_a_block;

/// How a block's input is brought to the shape of its branch: every `stride`th pixel, and zeros for new channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortcut {
    /// Rows of pixels that come in.
    pub height: usize,
    /// Columns of pixels that come in.
    pub width: usize,
    /// From one pixel that is kept to the next, along both axes; from 1.
    pub stride: usize,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels of the branch, not fewer.
    pub outputs: usize,
}

impl Shortcut {
    /// Pixels that are kept.
    pub fn pixels(&self) -> usize {
        self.height.div_ceil(self.stride) * self.width.div_ceil(self.stride)
    }

    /// `branch + shortcut of input`, rectified or not, for a branch `[samples, pixels kept, outputs]` and an input
    /// `[samples, height, width, inputs]`.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub fn sum<T: Float>(&self, branch: &[T], input: &[T], rectified: bool) -> Vec<T> {
        let [of_input, of_output] = self.check();
        assert_eq!(branch.len() / of_output, input.len() / of_input, "as many samples of the branch as of the input");
        let mut out = zeros(branch.len());
        let block = rows_of_a_block(of_output);
        let arrays = out.par_chunks_mut(block * of_output).zip(branch.par_chunks(block * of_output));
        arrays.zip(input.par_chunks(block * of_input)).for_each(|((out, branch), input)| {
            out.copy_from_slice(branch);
            for (out, input) in out.chunks_exact_mut(of_output).zip(input.chunks_exact(of_input)) {
                for (to, from) in self.pairs() {
                    let (out, input) = (&mut out[to..], &input[from..from + self.run()]);
                    out.iter_mut().zip(input).for_each(|(out, &input)| *out += input);
                }
            }
            if rectified {
                out.iter_mut().for_each(|out| *out = if *out <= T::ZERO { T::ZERO } else { *out });
            }
        });
        out
    }

    /// The gradients of branch and input from that of the output; `output` is what the rectifier gave, if there is one.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub fn backward<T: Float>(&self, output: Option<&[T]>, of_output: &[T]) -> [Vec<T>; 2] {
        let [of_input, of_branch] = self.check();
        let samples = of_output.len() / of_branch;
        let (mut branch, mut input) = (zeros(of_output.len()), zeros(samples * of_input));
        let block = rows_of_a_block(of_branch);
        let arrays = branch.par_chunks_mut(block * of_branch).zip(input.par_chunks_mut(block * of_input));
        arrays.zip(of_output.par_chunks(block * of_branch)).enumerate().for_each(
            |(at, ((branch, input), of_output))| {
                branch.copy_from_slice(of_output);
                if let Some(output) = output {
                    let output = &output[at * block * of_branch..][..branch.len()];
                    let open = branch.iter_mut().zip(output);
                    open.for_each(|(branch, &output)| *branch = if output <= T::ZERO { T::ZERO } else { *branch });
                }
                for (branch, input) in branch.chunks_exact(of_branch).zip(input.chunks_exact_mut(of_input)) {
                    for (from, to) in self.pairs() {
                        input[to..to + self.run()].copy_from_slice(&branch[from..from + self.run()]);
                    }
                }
            },
        );
        [branch, input]
    }

    /// Values that lie side by side on both sides.
    fn run(&self) -> usize {
        if self.is_identity() { self.height * self.width * self.inputs } else { self.inputs }
    }

    fn is_identity(&self) -> bool {
        self.stride == 1 && self.inputs == self.outputs
    }

    /// Where each run begins in a sample of the branch, and in one of the input.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let Self { width, stride, inputs, outputs, .. } = *self;
        let runs = if self.is_identity() { 1 } else { self.pixels() };
        let kept = width.div_ceil(stride);
        (0..runs).map(move |pixel| {
            let from = pixel / kept * stride * width + pixel % kept * stride;
            (pixel * outputs, from * inputs)
        })
    }

    /// Values of a sample of the input and of the branch.
    fn check(&self) -> [usize; 2] {
        let sizes = [self.height * self.width * self.inputs, self.pixels() * self.outputs];
        assert!(self.stride > 0 && self.inputs <= self.outputs && !sizes.contains(&0), "a shortcut: {self:?}");
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: f64) -> Vec<f64> {
        (0..count).map(|at| (at as f64 * 0.737 + seed).sin()).collect()
    }

    const SHAPES: [Shortcut; 4] = [
        Shortcut { height: 3, width: 5, stride: 1, inputs: 2, outputs: 2 },
        Shortcut { height: 5, width: 4, stride: 2, inputs: 3, outputs: 5 },
        Shortcut { height: 4, width: 3, stride: 2, inputs: 1, outputs: 1 },
        Shortcut { height: 2, width: 3, stride: 1, inputs: 1, outputs: 4 },
    ];

    /// Against every value written out, and the gradients against what each value adds to the sum.
    #[test]
    fn the_sum_is_its_definition_and_the_gradients_are_its_slopes() {
        let samples = 40;
        for (shape, rectified) in SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
            let Shortcut { height, width, stride, inputs, outputs } = shape;
            let columns = width.div_ceil(stride);
            let branch = numbers(samples * shape.pixels() * outputs, 0.1);
            let input = numbers(samples * height * width * inputs, 0.5);
            let of_output = numbers(branch.len(), 0.9);
            let got = shape.sum(&branch, &input, rectified);
            let [of_branch, of_input] = shape.backward(rectified.then_some(&got), &of_output);
            let mut want_of_input = vec![0.0; input.len()];
            for (at, &value) in got.iter().enumerate() {
                let (sample, pixel, channel) =
                    (at / outputs / shape.pixels(), at / outputs % shape.pixels(), at % outputs);
                let (row, column) = (pixel / columns * stride, pixel % columns * stride);
                let from = ((sample * height + row) * width + column) * inputs + channel;
                let sum = branch[at] + if channel < inputs { input[from] } else { 0.0 };
                assert_eq!(value, if rectified { sum.max(0.0) } else { sum }, "{shape:?} {at}");
                let gradient = if rectified && sum <= 0.0 { 0.0 } else { of_output[at] };
                assert_eq!(of_branch[at], gradient, "{shape:?} {at}");
                if channel < inputs {
                    want_of_input[from] += gradient;
                }
            }
            assert_eq!(of_input, want_of_input, "{shape:?}");
        }
    }

    #[test]
    fn nothing_is_summed_to_nothing() {
        assert!(SHAPES[1].sum::<f32>(&[], &[], true).is_empty());
        assert!(SHAPES[1].backward::<f32>(None, &[]).iter().all(Vec::is_empty));
    }
}
