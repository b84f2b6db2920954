//! Batches of clean and corrupted rows, and the loss between them.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::autoencoder::Autoencoder;
use crate::config::{Objective, Training};
use crate::corruption::Corruption;
use crate::dense;
use crate::train::Job;

/// Reads the batches of one training.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    job: &'a Job<'a>,
    corruption: Corruption,
}

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
        Self { job, corruption: Corruption::of(job.config, job.data, &job.split.train) }
    }

    pub(crate) fn config(&self) -> &Training {
        self.job.config
    }

    /// The batch of the given rows in `epoch`.
    pub(crate) fn read(&self, rows: &[usize], epoch: usize) -> Batch {
        let features = self.job.data.dataset.features();
        let mut clean = vec![0.0; rows.len() * features];
        self.job.data.read(rows, &mut clean);
        let mut batch = Batch { clean, corrupted: None, weight: None, features };
        if self.corruption.objective != Objective::Vanilla {
            batch.corrupt(&self.corruption, rows, epoch);
        }
        batch
    }
}

impl Batch {
    fn corrupt(&mut self, corruption: &Corruption, rows: &[usize], epoch: usize) {
        let features = self.features;
        let mut input = self.clean.clone();
        let inputs = input.par_chunks_exact_mut(features).zip(rows);
        if corruption.is_weighted() {
            let mut weight = vec![1.0; input.len()];
            let inputs = input.par_chunks_exact_mut(features).zip(weight.par_chunks_exact_mut(features)).zip(rows);
            inputs.for_each(|((row, weight), &sample)| corruption.corrupt(epoch, sample, row, weight));
            self.weight = Some(weight);
        } else {
            inputs.for_each(|(row, &sample)| corruption.corrupt(epoch, sample, row, &mut []));
        }
        self.corrupted = Some(input);
    }

    /// What the network is shown.
    pub(crate) fn input(&self) -> &[f32] {
        self.corrupted.as_deref().unwrap_or(&self.clean)
    }

    /// The squared error summed over features and samples, times `scale`, and its gradients.
    pub(crate) fn gradients(&self, model: &Autoencoder, scale: f64) -> (f64, GradientsParams) {
        dense::gradients(model, self, scale).unwrap_or_else(|| self.gradients_by_autodiff(model, scale))
    }

    /// The same by Burn's autodiff, on any device.
    pub(crate) fn gradients_by_autodiff(&self, model: &Autoencoder, scale: f64) -> (f64, GradientsParams) {
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
