//! Independent trainings spread over the cores, each on one thread.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use attar_data::{Prepared, Split};
use attar_linear::{AffineCodes, LinearProbe};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};

use crate::config::Training;
use crate::job::{Job, train};
use crate::judge::matrix;
use crate::observer::{EpochReport, Observer};
use crate::train::State;
use crate::{Autoencoder, Error, Representation};

/// What one training leaves to be drawn; see [`EpochReport`] for the losses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// Average training loss of each epoch.
    pub train_losses: Vec<f64>,
    /// Validation loss before training and after each epoch.
    pub validation_losses: Vec<f64>,
    /// Accuracy of the course's probe at the same times; empty without one.
    pub accuracy: Vec<f64>,
}

/// The course's probe during a training: fitted on the codes of some rows, tested on others'.
#[derive(Clone, Debug)]
pub struct CourseProbe {
    /// One linear layer trained with Adam.
    pub probe: LinearProbe,
    /// Rows whose codes and labels it is fitted on.
    pub fit_rows: Vec<usize>,
    /// Rows it is tested on.
    pub test_rows: Vec<usize>,
    /// The class of every row of the data.
    pub labels: Vec<u32>,
    /// Number of classes.
    pub classes: usize,
}

impl CourseProbe {
    /// The accuracy on the test rows of a probe fitted on codes of `model`.
    ///
    /// A code that is an affine function of fewer features is not written out: the probe reads the features, and is
    /// the same but for rounding.
    ///
    /// # Errors
    /// As [`LinearProbe::fit`].
    pub fn accuracy(&self, model: &Autoencoder, data: &Prepared, device: &Device) -> Result<f64, Error> {
        match model.encoder.linear.as_slice() {
            [layer] if data.dataset.features() < model.latent() => self.accuracy_after(layer, data),
            _ => self.accuracy_of(&Representation::Learned(model, device.clone()), data),
        }
    }

    /// The same of codes that one layer makes of the features.
    fn accuracy_after(&self, layer: &Linear, data: &Prepared) -> Result<f64, Error> {
        let (weight, bias) = parameters(layer);
        let weight = matrix(&weight, bias.len());
        let (fit, test) =
            (Representation::Raw.codes(data, &self.fit_rows)?, Representation::Raw.codes(data, &self.test_rows)?);
        let codes = |rows| AffineCodes { inputs: matrix(rows, data.dataset.features()), weight, bias: &bias };
        let fitted = self.probe.fit_affine(&codes(&fit), &self.labels_of(&self.fit_rows), self.classes)?;
        Ok(fitted.accuracy_affine(&codes(&test), &self.labels_of(&self.test_rows))?)
    }

    fn labels_of(&self, rows: &[usize]) -> Vec<u32> {
        rows.iter().map(|&row| self.labels[row]).collect()
    }

    /// The same of any representation.
    ///
    /// # Errors
    /// As [`LinearProbe::fit`].
    pub fn accuracy_of(&self, representation: &Representation, data: &Prepared) -> Result<f64, Error> {
        let fit = representation.codes(data, &self.fit_rows)?;
        let test = representation.codes(data, &self.test_rows)?;
        let width = representation.size(data);
        let fitted = self.probe.fit(matrix(&fit, width), &self.labels_of(&self.fit_rows), self.classes)?;
        Ok(fitted.accuracy(matrix(&test, width), &self.labels_of(&self.test_rows))?)
    }
}

/// Weight, row-major `[inputs, outputs]`, and bias of a layer; zeros where it has none.
fn parameters(layer: &Linear) -> (Vec<f32>, Vec<f32>) {
    let values = |data: TensorData| data.iter::<f32>().collect::<Vec<f32>>();
    let [_, outputs] = layer.weight.dims();
    let bias = layer.bias.as_ref().map_or_else(|| vec![0.0; outputs], |bias| values(bias.val().into_data()));
    (values(layer.weight.val().into_data()), bias)
}

impl Observer for Curves {
    fn epoch(&mut self, report: &EpochReport, _state: &State) -> Result<(), Error> {
        if report.epoch > 0 {
            self.train_losses.push(report.train_loss);
        }
        self.validation_losses.push(report.validation_loss);
        self.accuracy.extend(report.probe_accuracy);
        Ok(())
    }
}

/// What every training of a sweep shares.
#[derive(Debug)]
pub struct Sweep<'a> {
    /// The data, prepared with statistics of the training split.
    pub data: &'a Prepared,
    /// Rows to train on and to validate on.
    pub split: &'a Split,
    /// The probe to fit at each evaluation, if any.
    pub probe: Option<&'a CourseProbe>,
    /// Trainings at a time.
    pub threads: usize,
    /// Where the networks compute.
    pub device: Device,
}

impl Sweep<'_> {
    /// Runs every training; each is handed to `done` with its place as it ends, and the curves stand
    /// in the order of `trainings`. The largest networks start first, so that the cores end together.
    ///
    /// # Errors
    /// The first error of any training, or of `done`.
    pub fn run(
        &self,
        trainings: &[Training],
        done: impl Fn(usize, &Curves, &Autoencoder) -> Result<(), Error> + Sync,
    ) -> Result<Vec<Curves>, Error> {
        let mut order: Vec<usize> = (0..trainings.len()).collect();
        let weights = |index: usize| trainings[index].architecture.weights(self.data.dataset.features());
        order.sort_by_key(|&index| std::cmp::Reverse(weights(index)));
        on_every_core(self.threads, &order, |index| {
            let training = &trainings[index];
            let named = |source| Error::OneOfSweep {
                objective: training.objective.name(),
                latent: training.architecture.latent,
                seed: training.seed,
                source: Box::new(source),
            };
            let (curves, model) = self.train(training).map_err(named)?;
            done(index, &curves, &model)?;
            Ok(curves)
        })
    }

    fn train(&self, config: &Training) -> Result<(Curves, Autoencoder), Error> {
        let device = self.device.clone();
        let job = Job { data: self.data, split: self.split, config, probe: self.probe, device };
        let mut curves = Curves::default();
        let state = train(&job, job.start(), &mut curves)?;
        Ok((curves, state.model.valid()))
    }
}

/// Does `work` for every index of `order`, on as many threads, each with a pool of one thread for
/// what the work itself would split; the results stand by index.
pub(crate) fn on_every_core<T: Send>(
    threads: usize,
    order: &[usize],
    work: impl Fn(usize) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<T, Error>>>> = Mutex::new(order.iter().map(|_| None).collect());
    let worker = || {
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = work(index);
            if result.is_err() {
                // The others end what they are at and begin no more.
                next.store(order.len(), Ordering::Relaxed);
            }
            if let Ok(mut results) = results.lock() {
                results[index] = Some(result);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, order.len().max(1)) {
            scope.spawn(|| match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
                Ok(pool) => pool.install(worker),
                Err(_) => worker(),
            });
        }
    });
    results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_iter().flatten().collect()
}
