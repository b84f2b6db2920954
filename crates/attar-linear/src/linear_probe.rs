//! The course's probe: one linear layer, trained by Adam on frozen codes.

mod kernel;
#[cfg(test)]
mod tests;

use chacha20::ChaCha8Rng;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use pulp::Arch;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use self::kernel::{Adam, BackThroughMap, BatchGradient, Contrasts, PAD, PaddedCodes, PaddedMap, STRIP, ThroughMap};
use crate::{Error, accuracy, check, logits};

/// One linear layer trained with softmax cross-entropy (averaged over the batch) by Adam, on codes as they are.
///
/// As PyTorch would: `nn.Linear`'s initialisation (uniform within `±1/sqrt(features)`, weight and bias), Adam with
/// betas 0.9 and 0.999 and epsilon 1e-8, the rows shuffled anew each epoch, a last batch that may be smaller.
/// It stops after `epochs`, not at the optimum; see [`LogisticRegression`](crate::LogisticRegression) for that.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearProbe {
    /// Passes over the rows; 0 leaves the layer as it was initialised.
    pub epochs: usize,
    /// Rows per step of Adam.
    pub batch_size: usize,
    /// Adam's step size.
    pub learning_rate: f32,
    /// Determines the initial weights and the order of the rows.
    pub seed: u64,
}

impl Default for LinearProbe {
    fn default() -> Self {
        Self { epochs: 50, batch_size: 200, learning_rate: 1e-3, seed: 0 }
    }
}

/// Codes `inputs · weight + bias` that are never written out.
///
/// Where the inputs are narrower than the codes, a probe on such codes costs less memory and time: its logits and its
/// gradients go through the inputs.
#[derive(Debug, Clone, Copy)]
pub struct AffineCodes<'a> {
    /// `[samples, inputs]`.
    pub inputs: MatRef<'a, f32>,
    /// `[inputs, features]`.
    pub weight: MatRef<'a, f32>,
    /// One per feature.
    pub bias: &'a [f32],
}

/// A linear classifier: the class of a code is the row of largest `weight · code + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedLinearProbe {
    /// `[classes, features]`.
    pub weight: Mat<f32>,
    /// One per class.
    pub bias: Vec<f32>,
}

impl FittedLinearProbe {
    /// The class of each row of `codes`; the lowest one where several tie.
    ///
    /// # Errors
    /// Another number of features, a bias of another length than the weight, or a value that is not finite.
    pub fn predict(&self, codes: MatRef<'_, f32>) -> Result<Vec<u32>, Error> {
        logits::predict(self.weight.as_ref(), &self.bias, codes)
    }

    /// The share of `labels` that are predicted.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), or another number of labels than rows.
    pub fn accuracy(&self, codes: MatRef<'_, f32>, labels: &[u32]) -> Result<f64, Error> {
        accuracy(&self.predict(codes)?, labels)
    }
}

impl LinearProbe {
    /// Trains on `codes`, `[samples, features]`, and their labels in `0..classes`.
    ///
    /// # Errors
    /// One class only, fewer rows than classes, a label outside `0..classes`, a value that is not finite, or a setting
    /// out of range.
    pub fn fit(&self, codes: MatRef<'_, f32>, labels: &[u32], classes: usize) -> Result<FittedLinearProbe, Error> {
        self.check(codes, labels, classes)?;
        Ok(self.train(codes.ncols(), None, &padded(codes), labels, classes))
    }

    /// As [`fit`](Self::fit) on codes that are not written out; the same but for rounding.
    ///
    /// # Errors
    /// As [`fit`](Self::fit) for the inputs; shapes that do not fit each other; a map that is not finite.
    pub fn fit_affine(
        &self,
        codes: &AffineCodes<'_>,
        labels: &[u32],
        classes: usize,
    ) -> Result<FittedLinearProbe, Error> {
        self.check(codes.inputs, labels, classes)?;
        codes.check()?;
        let map = Map::new(codes, classes);
        Ok(self.train(codes.weight.ncols(), Some(map), &padded(codes.inputs), labels, classes))
    }

    fn check(&self, rows: MatRef<'_, f32>, labels: &[u32], classes: usize) -> Result<(), Error> {
        check::setting("batch_size", "at least 1", self.batch_size as f64, self.batch_size > 0)?;
        let rate = f64::from(self.learning_rate);
        check::setting("learning_rate", "finite and positive", rate, rate.is_finite() && rate > 0.0)?;
        check::labelled(rows, labels, classes)?;
        Ok(())
    }

    /// Trains on the rows, which are the codes or what `map` makes them of.
    fn train(
        &self,
        features: usize,
        map: Option<Map>,
        rows: &PaddedCodes,
        labels: &[u32],
        classes: usize,
    ) -> FittedLinearProbe {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut layer = Layer::new(classes, features, &mut rng);
        layer.map = map;
        let mut order: Vec<u32> = (0..labels.len() as u32).collect();
        for _ in 0..self.epochs {
            order.shuffle(&mut rng);
            for batch in order.chunks(self.batch_size) {
                layer.step(rows, labels, batch, self.learning_rate);
            }
        }
        layer.fitted()
    }
}

impl AffineCodes<'_> {
    fn check(&self) -> Result<(), Error> {
        check::length("rows of the map, one per input", self.inputs.ncols(), self.weight.nrows())?;
        check::length("shifts of the map, one per feature", self.weight.ncols(), self.bias.len())?;
        check::finite(self.weight)?;
        check::finite(MatRef::from_row_major_slice(self.bias, 1, self.bias.len()))
    }
}

impl FittedLinearProbe {
    /// The share of `labels` that are predicted for codes that are not written out.
    ///
    /// # Errors
    /// As [`accuracy`](Self::accuracy); shapes that do not fit each other.
    pub fn accuracy_affine(&self, codes: &AffineCodes<'_>, labels: &[u32]) -> Result<f64, Error> {
        codes.check()?;
        check::features(codes.weight, self.weight.ncols())?;
        let through = |map: MatRef<'_, f32>| {
            let mut out = Mat::<f32>::zeros(self.weight.nrows(), map.ncols());
            matmul(&mut out, Accum::Replace, &self.weight, map, 1.0, Par::Seq);
            out
        };
        let shift = through(MatRef::from_column_major_slice(codes.bias, codes.bias.len(), 1));
        let bias = self.bias.iter().zip(shift.col(0).iter()).map(|(bias, shift)| bias + shift).collect();
        Self { weight: through(codes.weight.transpose()), bias }.accuracy(codes.inputs, labels)
    }
}

/// An affine map from the rows to the codes, with the contrasts on its near side.
struct Map {
    rows: PaddedMap,
    inputs: usize,
    contrasts: Contrasts,
    gradient: Contrasts,
}

impl Map {
    fn new(codes: &AffineCodes<'_>, classes: usize) -> Self {
        let inputs = codes.inputs.ncols();
        let width = inputs.next_multiple_of(PAD);
        let mut rows = padded(codes.weight);
        let last = rows.values.len() - rows.width;
        rows.values[last..][..codes.bias.len()].copy_from_slice(codes.bias);
        rows.values.resize(last + 2 * rows.width, 0.0);
        let contrasts = || Contrasts::zero(classes - 1, width);
        Self { rows: PaddedMap(rows), inputs, contrasts: contrasts(), gradient: contrasts() }
    }
}

/// The layer in training: parameters and Adam's moments, rows padded as the codes are.
struct Layer {
    arch: Arch,
    features: usize,
    width: usize,
    /// `[classes, width]`, then one bias per class.
    parameters: Vec<f32>,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
    gradient: Vec<f32>,
    contrasts: Contrasts,
    contrast_gradient: Contrasts,
    residuals: Vec<[f32; STRIP]>,
    steps: i32,
    /// From the rows to the codes, where the rows are not the codes.
    map: Option<Map>,
}

impl Layer {
    fn new(classes: usize, features: usize, rng: &mut ChaCha8Rng) -> Self {
        let width = features.next_multiple_of(PAD);
        let size = classes * (width + 1);
        let bound = 1.0 / (features as f32).sqrt();
        let mut parameters = vec![0.0; size];
        let (weight, bias) = parameters.split_at_mut(classes * width);
        for row in weight.chunks_exact_mut(width) {
            row[..features].fill_with(|| rng.random_range(-bound..bound));
        }
        bias.fill_with(|| rng.random_range(-bound..bound));
        let contrasts = || Contrasts::zero(classes - 1, width);
        Self {
            arch: Arch::new(),
            features,
            width,
            first_moment: vec![0.0; size],
            second_moment: vec![0.0; size],
            gradient: vec![0.0; size],
            parameters,
            contrasts: contrasts(),
            contrast_gradient: contrasts(),
            residuals: vec![[0.0; STRIP]; classes - 1],
            steps: 0,
            map: None,
        }
    }

    fn step(&mut self, rows: &PaddedCodes, labels: &[u32], batch: &[u32], learning_rate: f32) {
        self.take_contrasts();
        if let Some(Map { rows: map, inputs, contrasts, .. }) = &mut self.map {
            let inputs = *inputs;
            self.arch.dispatch(ThroughMap { map, inputs, of_outputs: &self.contrasts, of_inputs: contrasts });
        }
        let (contrasts, gradient) = match &mut self.map {
            Some(map) => (&map.contrasts, &mut map.gradient),
            None => (&self.contrasts, &mut self.contrast_gradient),
        };
        let residuals = &mut self.residuals;
        self.arch.dispatch(BatchGradient { codes: rows, labels, batch, contrasts, gradient, residuals });
        if let Some(Map { rows: map, inputs, gradient, .. }) = &self.map {
            let (inputs, of_outputs) = (*inputs, &mut self.contrast_gradient);
            self.arch.dispatch(BackThroughMap { map, inputs, of_inputs: gradient, of_outputs });
        }
        self.spread_gradient(1.0 / batch.len() as f32);
        self.adam(learning_rate);
    }

    /// Each class's parameters less the last class's.
    fn take_contrasts(&mut self) {
        let inner = self.contrasts.weight.len();
        let (weight, bias) = self.parameters.split_at(inner + self.width);
        let (weight, last) = weight.split_at(inner);
        for (contrast, row) in self.contrasts.weight.chunks_exact_mut(self.width).zip(weight.chunks_exact(self.width)) {
            for ((c, w), l) in contrast.iter_mut().zip(row).zip(last) {
                *c = w - l;
            }
        }
        if let Some((last, bias)) = bias.split_last() {
            self.contrasts.bias.iter_mut().zip(bias).for_each(|(c, b)| *c = b - last);
        }
    }

    /// The gradient of every class's parameters, of which the last is minus the sum of the others.
    fn spread_gradient(&mut self, scale: f32) {
        let inner = self.contrasts.weight.len();
        let (weight, bias) = self.gradient.split_at_mut(inner + self.width);
        let (weight, last) = weight.split_at_mut(inner);
        last.fill(0.0);
        let rows = self.contrast_gradient.weight.chunks_exact(self.width);
        for (gradient, row) in weight.chunks_exact_mut(self.width).zip(rows) {
            for ((g, l), c) in gradient.iter_mut().zip(last.iter_mut()).zip(row) {
                *g = scale * c;
                *l -= *g;
            }
        }
        if let Some((last, bias)) = bias.split_last_mut() {
            bias.iter_mut().zip(&self.contrast_gradient.bias).for_each(|(g, c)| *g = scale * c);
            *last = -bias.iter().sum::<f32>();
        }
    }

    fn adam(&mut self, learning_rate: f32) {
        self.steps += 1;
        self.arch.dispatch(Adam {
            step: learning_rate / (1.0 - 0.9f64.powi(self.steps)) as f32,
            root_correction: (1.0 - 0.999f64.powi(self.steps)).sqrt() as f32,
            parameters: &mut self.parameters,
            gradient: &self.gradient,
            first_moment: &mut self.first_moment,
            second_moment: &mut self.second_moment,
        });
    }

    fn fitted(self) -> FittedLinearProbe {
        let bias = self.residuals.len() + 1;
        let weight = Mat::from_fn(bias, self.features, |i, j| self.parameters[i * self.width + j]);
        FittedLinearProbe { weight, bias: self.parameters[bias * self.width..].to_vec() }
    }
}

/// The rows, each padded with zeros, and a row of zeros.
fn padded(codes: MatRef<'_, f32>) -> PaddedCodes {
    let width = codes.ncols().next_multiple_of(PAD);
    let mut values = Vec::with_capacity((codes.nrows() + 2) * width);
    for row in 0..codes.nrows() {
        let row = codes.row(row);
        match row.try_as_row_major() {
            Some(row) => values.extend_from_slice(row.as_slice()),
            None => values.extend(row.iter()),
        }
        values.resize(values.len().next_multiple_of(width), 0.0);
    }
    values.resize(values.len() + width, 0.0);
    PaddedCodes { values, width }
}
