//! The probe's inner loop: logits, residuals and gradient of one batch, each row read while it is in the first cache.
//!
//! Loops are written out where an iterator would take a closure: a closure is not compiled with the instructions that
//! were dispatched to.

use pulp::{Simd, WithSimd};

use crate::exponential::exp;

/// Rows worked on together: eight dot products hide each other's latency.
pub(super) const TILE: usize = 8;

/// Rows whose softmax is taken together: enough that its loops become vectors, few enough to stay in the first cache.
pub(super) const STRIP: usize = 32;

/// Feature counts are padded to this many floats, a multiple of every SIMD width, so that no loop has a tail.
pub(super) const PAD: usize = 16;

/// Codes in row-major order, each row padded with zeros, and one row of zeros after the last.
pub(super) struct PaddedCodes {
    pub(super) values: Vec<f32>,
    pub(super) width: usize,
}

impl PaddedCodes {
    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }
}

/// Weights or gradients of all classes but the last, each padded to the width of what they weigh, and their biases.
///
/// Softmax does not change when all logits move together, so logits are taken relative to the last class: its logit is
/// zero, and its gradient is minus the sum of the others. Two classes cost one dot product.
pub(super) struct Contrasts {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Contrasts {
    pub(super) fn zero(contrasts: usize, width: usize) -> Self {
        Self { weight: vec![0.0; contrasts * width], bias: vec![0.0; contrasts] }
    }
}

/// Kingma & Ba (2015), algorithm 1, arranged as in PyTorch; all slices are equally long.
pub(super) struct Adam<'a> {
    pub(super) step: f32,
    pub(super) root_correction: f32,
    pub(super) parameters: &'a mut [f32],
    pub(super) gradient: &'a [f32],
    pub(super) first_moment: &'a mut [f32],
    pub(super) second_moment: &'a mut [f32],
}

impl WithSimd for Adam<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let moments = self.first_moment.iter_mut().zip(self.second_moment);
        for ((p, g), (m, v)) in self.parameters.iter_mut().zip(self.gradient).zip(moments) {
            *m += 0.1 * (g - *m);
            *v = 0.999 * *v + 0.001 * g * g;
            *p -= self.step * *m / (v.sqrt() / self.root_correction + 1e-8);
        }
    }
}

/// Adds up the gradient of the summed cross-entropy over one batch.
pub(super) struct BatchGradient<'a> {
    pub(super) codes: &'a PaddedCodes,
    pub(super) labels: &'a [u32],
    pub(super) batch: &'a [u32],
    pub(super) contrasts: &'a Contrasts,
    pub(super) gradient: &'a mut Contrasts,
    /// One strip of residuals per contrast.
    pub(super) residuals: &'a mut [[f32; STRIP]],
}

impl WithSimd for BatchGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.gradient.weight.fill(0.0);
        self.gradient.bias.fill(0.0);
        let width = self.codes.width;
        let zeros = self.codes.row(self.codes.values.len() / width - 1);
        for strip in self.batch.chunks(STRIP) {
            let mut rows = [S::as_simd_f32s(zeros).0; STRIP];
            for (row, &index) in rows.iter_mut().zip(strip) {
                *row = S::as_simd_f32s(self.codes.row(index as usize)).0;
            }
            let tiles = rows.as_chunks::<TILE>().0;
            let contrasts = self.contrasts.weight.chunks_exact(width).zip(&self.contrasts.bias);
            for (logits, (weight, bias)) in self.residuals.iter_mut().zip(contrasts) {
                for (logits, rows) in logits.as_chunks_mut().0.iter_mut().zip(tiles) {
                    *logits = dot_products(simd, S::as_simd_f32s(weight).0, rows, *bias);
                }
            }
            softmax_residuals(self.residuals, strip, self.labels);
            let gradients = self.gradient.weight.chunks_exact_mut(width).zip(&mut self.gradient.bias);
            for (residuals, (weight, bias)) in self.residuals.iter().zip(gradients) {
                for (residuals, rows) in residuals.as_chunks().0.iter().zip(tiles) {
                    add_scaled_rows(simd, S::as_mut_simd_f32s(weight).0, rows, residuals);
                }
                *bias += residuals.iter().sum::<f32>();
            }
        }
    }
}

/// An affine map `x -> x W + b` as padded rows: those of W, then b.
pub(super) struct PaddedMap(pub(super) PaddedCodes);

impl PaddedMap {
    /// The rows from `first` on, zeros after the last.
    fn tile<S: Simd>(&self, first: usize) -> [&[S::f32s]; TILE] {
        let zeros = self.0.values.len() / self.0.width - 1;
        let mut rows = [S::as_simd_f32s(self.0.row(zeros)).0; TILE];
        for (place, row) in rows.iter_mut().enumerate() {
            *row = S::as_simd_f32s(self.0.row((first + place).min(zeros))).0;
        }
        rows
    }
}

/// The contrasts of the map's inputs that are those of its outputs: `W c`, and `b c` more of bias.
pub(super) struct ThroughMap<'a> {
    pub(super) map: &'a PaddedMap,
    /// How many inputs the map has.
    pub(super) inputs: usize,
    pub(super) of_outputs: &'a Contrasts,
    pub(super) of_inputs: &'a mut Contrasts,
}

impl WithSimd for ThroughMap<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, inputs, of_outputs, of_inputs } = self;
        let width = of_inputs.weight.len() / of_inputs.bias.len();
        let outputs = of_outputs.weight.chunks_exact(map.0.width).zip(&of_outputs.bias);
        let to = of_inputs.weight.chunks_exact_mut(width).zip(&mut of_inputs.bias);
        for ((of_outputs, bias), (of_inputs, of_inputs_bias)) in outputs.zip(to) {
            for first in (0..=inputs).step_by(TILE) {
                let values = dot_products(simd, S::as_simd_f32s(of_outputs).0, &map.tile::<S>(first), 0.0);
                for (place, value) in values.into_iter().enumerate() {
                    if first + place < inputs {
                        of_inputs[first + place] = value;
                    } else if first + place == inputs {
                        *of_inputs_bias = bias + value;
                    }
                }
            }
        }
    }
}

/// The gradient by the contrasts of the map's outputs from that by the contrasts of its inputs.
pub(super) struct BackThroughMap<'a> {
    pub(super) map: &'a PaddedMap,
    /// How many inputs the map has.
    pub(super) inputs: usize,
    pub(super) of_inputs: &'a Contrasts,
    pub(super) of_outputs: &'a mut Contrasts,
}

impl WithSimd for BackThroughMap<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, inputs, of_inputs, of_outputs } = self;
        let width = of_inputs.weight.len() / of_inputs.bias.len();
        of_outputs.bias.copy_from_slice(&of_inputs.bias);
        of_outputs.weight.fill(0.0);
        let from = of_inputs.weight.chunks_exact(width).zip(&of_inputs.bias);
        for ((of_inputs, bias), to) in from.zip(of_outputs.weight.chunks_exact_mut(map.0.width)) {
            for first in (0..=inputs).step_by(TILE) {
                let mut factors = [0.0; TILE];
                for (place, factor) in factors.iter_mut().enumerate() {
                    if first + place < inputs {
                        *factor = of_inputs[first + place];
                    } else if first + place == inputs {
                        *factor = *bias;
                    }
                }
                add_scaled_rows(simd, S::as_mut_simd_f32s(to).0, &map.tile::<S>(first), &factors);
            }
        }
    }
}

#[inline(always)]
fn dot_products<S: Simd>(simd: S, weight: &[S::f32s], rows: &[&[S::f32s]; TILE], bias: f32) -> [f32; TILE] {
    let rows = as_long_as(weight.len(), rows);
    let mut sums = [simd.splat_f32s(0.0); TILE];
    for (i, &w) in weight.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(&rows) {
            *sum = simd.mul_add_e_f32s(w, row[i], *sum);
        }
    }
    let mut logits = [bias; TILE];
    for (logit, sum) in logits.iter_mut().zip(sums) {
        *logit += simd.reduce_sum_f32s(sum);
    }
    logits
}

#[inline(always)]
fn add_scaled_rows<S: Simd>(simd: S, gradient: &mut [S::f32s], rows: &[&[S::f32s]; TILE], scales: &[f32; TILE]) {
    let mut factors = [simd.splat_f32s(0.0); TILE];
    for (factor, scale) in factors.iter_mut().zip(scales) {
        *factor = simd.splat_f32s(*scale);
    }
    let rows = as_long_as(gradient.len(), rows);
    for (i, g) in gradient.iter_mut().enumerate() {
        let mut sum = *g;
        for (factor, row) in factors.iter().zip(&rows) {
            sum = simd.mul_add_e_f32s(*factor, row[i], sum);
        }
        *g = sum;
    }
}

/// The rows cut to `count` vectors, so that a loop of as many need not check each place.
#[inline(always)]
fn as_long_as<'a, V>(count: usize, rows: &[&'a [V]; TILE]) -> [&'a [V]; TILE] {
    let mut rows = *rows;
    for row in &mut rows {
        *row = &row[..count];
    }
    rows
}

/// Turns logits in place into softmax minus one-hot label; rows beyond the end of the strip get zeros.
#[inline(always)]
fn softmax_residuals(logits: &mut [[f32; STRIP]], strip: &[u32], labels: &[u32]) {
    let mut largest = [0.0f32; STRIP];
    for class in logits.iter() {
        for (most, &z) in largest.iter_mut().zip(class) {
            *most = most.max(z);
        }
    }
    let mut total = [0.0; STRIP];
    for (sum, most) in total.iter_mut().zip(&largest) {
        *sum = exp(-most);
    }
    for class in logits.iter_mut() {
        for ((z, most), sum) in class.iter_mut().zip(&largest).zip(&mut total) {
            *z = exp(*z - most);
            *sum += *z;
        }
    }
    let mut wanted = [u32::MAX; STRIP];
    for (wanted, &row) in wanted.iter_mut().zip(strip) {
        *wanted = labels[row as usize];
    }
    for (class, name) in logits.iter_mut().zip(0..) {
        for ((z, sum), wanted) in class.iter_mut().zip(&total).zip(&wanted) {
            *z = *z / sum - f32::from(u8::from(*wanted == name));
        }
        class[strip.len()..].fill(0.0);
    }
}
