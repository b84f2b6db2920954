//! Batches of clean and corrupted rows, and the loss between them.

use attar_ops::{Buffers, Precision};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::autoencoder::Autoencoder;
use crate::config::{Descent, Objective};
use crate::corruption::Corruption;
use crate::host;
use crate::job::Job;

/// Reads the batches of one training.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    pub(crate) job: &'a Job<'a>,
    pub(crate) descent: Descent,
    corruption: Corruption,
    /// Whether a step is long enough to be worth sharing among threads.
    pub(crate) shared: bool,
}

/// Weights times samples of a step from which its parts are worth sharing: below, waking a thread takes longer.
const SHARED_FROM: usize = 1 << 20;

/// One batch, each array row-major `[samples, features]`.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// What the network shall give.
    pub(crate) clean: Vec<f32>,
    /// What it is shown; absent where that is the clean batch.
    pub(crate) corrupted: Option<Vec<f32>>,
    /// 1 where the loss counts and 0 elsewhere; absent where it counts everything.
    pub(crate) weight: Option<Vec<f32>>,
    pub(crate) features: usize,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(job: &'a Job<'a>) -> Self {
        let weights = job.config.architecture.weights(job.data.dataset.features());
        Self {
            job,
            descent: job.config.descent(),
            corruption: Corruption::of(job.config, job.data, &job.split.train),
            shared: weights.saturating_mul(job.config.batch_size) >= SHARED_FROM,
        }
    }

    /// The batch of the given rows in `epoch`.
    pub(crate) fn read(&self, rows: &[usize], epoch: usize, buffers: &mut Buffers<f32>) -> Batch {
        let features = self.job.data.dataset.features();
        let count = rows.len() * features;
        let kept = |wanted: bool, buffers: &mut Buffers<f32>| wanted.then(|| buffers.take(count));
        let corrupts = self.corruption.objective != Objective::Vanilla;
        let mut batch = Batch {
            clean: buffers.take(count),
            corrupted: kept(corrupts, buffers),
            weight: kept(self.corruption.is_weighted(), buffers),
            features,
        };
        let block = if self.shared { ROWS } else { rows.len().max(1) };
        batch.blocks(rows, block).for_each(|(rows, clean, corrupted, weight)| {
            self.job.data.read(rows, clean);
            if corrupts {
                corrupted.copy_from_slice(clean);
                self.corrupt(epoch, rows, corrupted, weight);
            }
        });
        batch
    }

    fn corrupt(&self, epoch: usize, rows: &[usize], corrupted: &mut [f32], weight: &mut [f32]) {
        let features = self.job.data.dataset.features();
        for (at, &sample) in rows.iter().enumerate() {
            let range = at * features..(at + 1) * features;
            let weight = weight.get_mut(range.clone()).unwrap_or_default();
            self.corruption.corrupt(epoch, sample, &mut corrupted[range], weight);
        }
    }
}

/// Rows that one task reads and corrupts where threads share a step.
const ROWS: usize = 10;

type Block<'a> = (&'a [usize], &'a mut [f32], &'a mut [f32], &'a mut [f32]);

impl Batch {
    /// The rows in blocks of so many, with their part of each array; of an absent one, an empty part.
    fn blocks<'a>(&'a mut self, rows: &'a [usize], block: usize) -> impl IndexedParallelIterator<Item = Block<'a>> {
        let (blocks, values) = (rows.len().div_ceil(block), block * self.features);
        let parts = move |array: &'a mut [f32]| {
            let mut parts: Vec<&mut [f32]> = array.chunks_mut(values.max(1)).collect();
            parts.resize_with(blocks, Default::default);
            parts
        };
        let clean = parts(&mut self.clean);
        let corrupted = parts(self.corrupted.as_deref_mut().unwrap_or_default());
        let weight = parts(self.weight.as_deref_mut().unwrap_or_default());
        let arrays = clean.into_par_iter().zip(corrupted).zip(weight);
        rows.par_chunks(block).zip(arrays).map(|(rows, ((clean, corrupted), weight))| (rows, clean, corrupted, weight))
    }

    /// Gives the arrays back.
    pub(crate) fn recycle(self, buffers: &mut Buffers<f32>) {
        let arrays = [Some(self.clean), self.corrupted, self.weight];
        arrays.into_iter().flatten().for_each(|array| buffers.give(array));
    }

    /// What the network is shown.
    pub(crate) fn input(&self) -> &[f32] {
        self.corrupted.as_deref().unwrap_or(&self.clean)
    }

    /// The squared error summed over features and samples, times `scale`, and its gradients; autodiff knows full
    /// precision only.
    pub(crate) fn gradients(
        &self,
        model: &Autoencoder,
        scale: f64,
        precision: Precision,
        buffers: &mut Buffers<f32>,
    ) -> (f64, GradientsParams) {
        host::gradients(model, self, scale, precision, buffers)
            .unwrap_or_else(|| self.gradients_by_autodiff(model, scale))
    }

    /// The same by Burn's autodiff, on any device.
    pub(crate) fn gradients_by_autodiff(&self, model: &Autoencoder, scale: f64) -> (f64, GradientsParams) {
        let model = &model.valid().train();
        let device = model.devices().into_iter().next().unwrap_or_else(Device::flex);
        let tensor = |values: &[f32]| self.tensor(values, &device);
        let squares = (model.forward(tensor(self.input())) - tensor(&self.clean)).square();
        let squares = match &self.weight {
            Some(weight) => squares * tensor(weight),
            None => squares,
        };
        let loss = squares.sum().mul_scalar(scale);
        let gradients = GradientsParams::from_grads(loss.backward(), model);
        (f64::from(loss.into_scalar::<f32>()), gradients)
    }

    fn tensor(&self, values: &[f32], device: &Device) -> Tensor<2> {
        let shape = [values.len() / self.features, self.features];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
    }
}
