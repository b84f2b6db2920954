//! Training steps of two linear layers with one ingredient changed, back-propagated by hand in double precision.

use attar_linear::linear_autoencoder::Weights;
use faer::{Mat, MatRef};

use super::arithmetic::{map_of, product};

/// What is changed beside SGD on `MSELoss` with weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Variant {
    /// `Dropout(0.5)` on the code: half of its numbers are zeroed, the others doubled.
    Dropout,
    /// `LayerNorm` on the code, without affine parameters.
    LayerNorm,
    /// `BatchNorm1d` on the code in training, without affine parameters.
    BatchNorm,
    /// `L1Loss` in place of `MSELoss`.
    AbsoluteLoss,
    /// A third linear layer between the two, from code to code, which starts as the identity.
    ThreeLayers,
    /// One linear layer in place of the two, which starts as their product.
    OneLayer,
}

/// What PyTorch's layers add to a variance.
const EPSILON: f64 = 1e-5;

/// The settings of the optimizer.
#[derive(Clone, Copy)]
pub(super) struct Sgd {
    pub(super) learning_rate: f64,
    pub(super) weight_decay: f64,
}

impl Sgd {
    fn step(&self, weight: &mut Mat<f64>, gradient: &Mat<f64>) {
        let decayed = gradient + &*weight * faer::Scale(self.weight_decay);
        *weight -= decayed * faer::Scale(self.learning_rate);
    }
}

/// The map after one step per batch: `W₂W₁`, with what stands between the two where that is linear in use (the middle
/// layer; the deviations that batch norm divides by, those of the last batch).
pub(super) fn map_after(
    variant: Variant,
    start: &Weights,
    batches: &[MatRef<'_, f64>],
    sgd: Sgd,
    seed: u64,
) -> Mat<f64> {
    if variant == Variant::OneLayer {
        return one_layer(map_of(start), batches, sgd);
    }
    let mut weights = start.clone();
    let codes = start.encoder.nrows();
    let mut middle = Mat::identity(codes, codes);
    for (step, batch) in batches.iter().enumerate() {
        let hidden = product(*batch, weights.encoder.transpose());
        let code = Code::of(variant, hidden, &middle, seed.wrapping_add(step as u64));
        let of_output = loss_gradient(variant, *batch, product(code.out.as_ref(), weights.decoder.transpose()));
        let of_code = product(of_output.as_ref(), weights.decoder.as_ref());
        let of_hidden = code.backward(variant, of_code.as_ref(), &middle);
        let of_decoder = product(of_output.transpose(), code.out.as_ref());
        let of_encoder = product(of_hidden.transpose(), *batch);
        if variant == Variant::ThreeLayers {
            sgd.step(&mut middle, &product(of_code.transpose(), code.hidden.as_ref()));
        }
        sgd.step(&mut weights.decoder, &of_decoder);
        sgd.step(&mut weights.encoder, &of_encoder);
    }
    if let (Variant::BatchNorm, Some(last)) = (variant, batches.last()) {
        let moments = moments(product(*last, weights.encoder.transpose()).as_ref());
        middle = Mat::from_fn(codes, codes, |i, j| if i == j { 1.0 / moments[i].1 } else { 0.0 });
    }
    product(product(weights.decoder.as_ref(), middle.as_ref()).as_ref(), weights.encoder.as_ref())
}

fn one_layer(mut map: Mat<f64>, batches: &[MatRef<'_, f64>], sgd: Sgd) -> Mat<f64> {
    for batch in batches {
        let output = product(*batch, map.transpose());
        let of_output = loss_gradient(Variant::OneLayer, *batch, output);
        sgd.step(&mut map, &product(of_output.transpose(), *batch));
    }
    map
}

/// Of the mean over rows and features.
fn loss_gradient(variant: Variant, target: MatRef<'_, f64>, output: Mat<f64>) -> Mat<f64> {
    let count = (target.nrows() * target.ncols()) as f64;
    Mat::from_fn(target.nrows(), target.ncols(), |i, j| {
        let error = output[(i, j)] - target[(i, j)];
        if variant == Variant::AbsoluteLoss { error.signum() / count } else { 2.0 * error / count }
    })
}

/// The code of a batch before and after what a variant does to it.
struct Code {
    hidden: Mat<f64>,
    out: Mat<f64>,
    /// By which the hidden values were multiplied, entry by entry, where they were only that.
    mask: Option<Mat<f64>>,
}

impl Code {
    fn of(variant: Variant, hidden: Mat<f64>, middle: &Mat<f64>, seed: u64) -> Self {
        let (rows, codes) = hidden.shape();
        let mut mask = None;
        let out = match variant {
            Variant::Dropout => {
                let draws = Weights::random(rows, codes, 1.0, seed).decoder;
                let kept = Mat::from_fn(rows, codes, |i, j| if draws[(i, j)] > 0.0 { 2.0 } else { 0.0 });
                let out = Mat::from_fn(rows, codes, |i, j| kept[(i, j)] * hidden[(i, j)]);
                mask = Some(kept);
                out
            }
            Variant::BatchNorm => normalised(hidden.as_ref()),
            Variant::LayerNorm => normalised(hidden.transpose()).transpose().to_owned(),
            Variant::ThreeLayers => product(hidden.as_ref(), middle.transpose()),
            Variant::AbsoluteLoss | Variant::OneLayer => hidden.clone(),
        };
        Self { hidden, out, mask }
    }

    fn backward(&self, variant: Variant, of_out: MatRef<'_, f64>, middle: &Mat<f64>) -> Mat<f64> {
        match (variant, &self.mask) {
            (_, Some(mask)) => Mat::from_fn(of_out.nrows(), of_out.ncols(), |i, j| mask[(i, j)] * of_out[(i, j)]),
            (Variant::BatchNorm, _) => through_normalised(self.hidden.as_ref(), of_out),
            (Variant::LayerNorm, _) => {
                through_normalised(self.hidden.transpose(), of_out.transpose()).transpose().to_owned()
            }
            (Variant::ThreeLayers, _) => product(of_out, middle.as_ref()),
            _ => of_out.to_owned(),
        }
    }
}

/// Mean and deviation (divisor n) of each column.
fn moments(matrix: MatRef<'_, f64>) -> Vec<(f64, f64)> {
    let rows = matrix.nrows() as f64;
    let of = |column: usize| {
        let mean = matrix.col(column).iter().sum::<f64>() / rows;
        let variance = matrix.col(column).iter().map(|value| (value - mean).powi(2)).sum::<f64>() / rows;
        (mean, (variance + EPSILON).sqrt())
    };
    (0..matrix.ncols()).map(of).collect()
}

/// Each column less its mean, over its deviation.
fn normalised(matrix: MatRef<'_, f64>) -> Mat<f64> {
    let moments = moments(matrix);
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| (matrix[(i, j)] - moments[j].0) / moments[j].1)
}

fn through_normalised(matrix: MatRef<'_, f64>, of_out: MatRef<'_, f64>) -> Mat<f64> {
    let (moments, out) = (moments(matrix), normalised(matrix));
    let rows = matrix.nrows() as f64;
    let mean = |j: usize| of_out.col(j).iter().sum::<f64>() / rows;
    let along = |j: usize| of_out.col(j).iter().zip(out.col(j).iter()).map(|(d, z)| d * z).sum::<f64>() / rows;
    let sums: Vec<(f64, f64)> = (0..matrix.ncols()).map(|j| (mean(j), along(j))).collect();
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| {
        (of_out[(i, j)] - sums[j].0 - out[(i, j)] * sums[j].1) / moments[j].1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SGD: Sgd = Sgd { learning_rate: 0.05, weight_decay: 0.01 };

    /// The gradient of one layer's step, found by a step without decay, against finite differences of the loss.
    #[test]
    fn what_is_propagated_back_is_the_gradient() {
        let batch = Weights::random(9, 4, 1.0, 1).decoder;
        for variant in [Variant::LayerNorm, Variant::BatchNorm, Variant::Dropout, Variant::ThreeLayers] {
            let start = Weights::random(4, 3, 0.7, 2);
            let middle = Mat::identity(3, 3);
            let loss = |weights: &Weights| {
                let hidden = product(batch.as_ref(), weights.encoder.transpose());
                let code = Code::of(variant, hidden, &middle, 5);
                let output = product(code.out.as_ref(), weights.decoder.transpose());
                (output - &batch).squared_norm_l2() / 36.0
            };
            let code = Code::of(variant, product(batch.as_ref(), start.encoder.transpose()), &middle, 5);
            let output = product(code.out.as_ref(), start.decoder.transpose());
            let of_output = loss_gradient(variant, batch.as_ref(), output);
            let of_code = product(of_output.as_ref(), start.decoder.as_ref());
            let of_hidden = code.backward(variant, of_code.as_ref(), &middle);
            let of_encoder = product(of_hidden.transpose(), batch.as_ref());
            for (i, j) in [(0, 0), (1, 3), (2, 2)] {
                let at = |step: f64| {
                    let mut weights = start.clone();
                    weights.encoder[(i, j)] += step;
                    loss(&weights)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((slope - of_encoder[(i, j)]).abs() < 1e-7, "{variant:?} {slope} {}", of_encoder[(i, j)]);
            }
        }
    }

    /// `∇ = 2 (M - I) XᵀX/(b m)`, and the decay beside it.
    #[test]
    fn one_layer_steps_down_its_own_gradient() {
        let start = Weights::random(4, 2, 0.7, 2);
        let batch = Weights::random(6, 4, 1.0, 3).decoder;
        let map = map_of(&start);
        let residual = &map - Mat::<f64>::identity(4, 4);
        let second = product(batch.transpose(), batch.as_ref());
        let gradient = product(residual.as_ref(), second.as_ref()) * faer::Scale(2.0 / 24.0);
        let expected = &map - (gradient + &map * faer::Scale(0.01)) * faer::Scale(0.05);
        let found = map_after(Variant::OneLayer, &start, &[batch.as_ref()], SGD, 0);
        assert!((found - expected).norm_max() < 1e-14);
    }
}
