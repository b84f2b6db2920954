//! The loop, its optimizers, checkpoints and files, on small asymmetric data.

use attar_data::random::{Purpose, stream};
use attar_data::{Dataset, Layout, Matrix, Prepared, Preprocessing, Scaling, Schema, Split, Values};
use attar_ops::{Buffers, Precision};
use burn::module::Module;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::Device;
use rand::RngExt;

use crate::batch::Batches;
use crate::config::{Activation, Architecture, Decay, LossOn, Noise, Objective, Optimizer, Schedule, Training};
use crate::job::{Job, train};
use crate::model_file::{Array, arrays, from_arrays};
use crate::observer::{EpochReport, Observer, StepReport};
use crate::optimizer::OptimizerState;
use crate::train::State;
use crate::{Autoencoder, Error, checkpoint, evaluate, host, model_file};

pub(super) const FEATURES: usize = 9;

pub(super) fn data(samples: usize, features: usize) -> Prepared {
    let mut rng = stream(3, Purpose::Synthetic, 0, 0, 0);
    let value = |_| rng.random::<f32>() * 3.0 - 1.0;
    let values = Values::Memory(Matrix { features, data: (0..samples * features).map(value).collect() });
    let schema = Schema::unnamed(Layout::Vectors, "x", features);
    let dataset = Dataset { name: "test".into(), schema, values, labels: None, ids: None, test_rows: None };
    let rows: Vec<usize> = (0..samples).collect();
    let preprocessing = Preprocessing::fit(&dataset, &rows, None).unwrap();
    Prepared { dataset, preprocessing }
}

pub(super) fn split(samples: usize) -> Split {
    let rows = |from: usize, to: usize| (from..to).collect();
    Split {
        train: rows(0, samples - 12),
        validation: rows(samples - 12, samples - 5),
        test: rows(samples - 5, samples),
    }
}

pub(super) fn training() -> Training {
    Training {
        architecture: Architecture {
            hidden: vec![7, 5],
            latent: 3,
            decoder_hidden: Some(vec![6]),
            activation: Activation::Tanh,
        },
        objective: Objective::Denoising(Noise { gaussian: 0.3, ..Noise::default() }),
        optimizer: Optimizer::Adam { weight_decay: 0.01 },
        learning_rate: 0.01,
        schedule: Schedule { warmup_steps: 3, decay: Decay::Cosine },
        clip_norm: Some(5.0),
        epochs: 3,
        batch_size: 10,
        accumulation: 1,
        precision: Precision::Full,
        seed: 11,
    }
}

pub(super) fn job<'a>(data: &'a Prepared, split: &'a Split, config: &'a Training) -> Job<'a> {
    Job { data, split, config, probe: None, device: Device::flex() }
}

/// The weights after a whole training.
fn trained(data: &Prepared, split: &Split, config: &Training) -> Vec<Array> {
    let job = job(data, split, config);
    arrays(&train(&job, job.start(), &mut ()).unwrap().model)
}

fn largest_difference(a: &[Array], b: &[Array]) -> f32 {
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.values.iter().zip(&b.values));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn one_operation_and_autodiff_agree_for_every_activation_and_weight() {
    let (data, split) = (data(40, FEATURES), split(40));
    let rows: Vec<usize> = (0..17).collect();
    for activation in [Activation::Identity, Activation::Relu, Activation::Gelu, Activation::Tanh, Activation::Silu] {
        for loss_on in [LossOn::All, LossOn::Visible, LossOn::Hidden] {
            let mut config = training();
            config.architecture.activation = activation;
            config.objective = Objective::Masked { probability: 0.4, loss_on };
            let job = job(&data, &split, &config);
            let model = job.start().model;
            let mut buffers = Buffers::default();
            let batch = Batches::new(&job).read(&rows, 2, &mut buffers);
            let (loss, gradients) = host::gradients(&model, &batch, 0.25, Precision::Full, &mut buffers).unwrap();
            let (reference_loss, reference) = batch.gradients_by_autodiff(&model, 0.25);
            assert!((loss - reference_loss).abs() < 1e-5 * reference_loss, "{activation:?}: {loss}");
            let sgd = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 };
            let step = |gradients| {
                arrays(&sgd.step(
                    &mut OptimizerState::default(),
                    1.0,
                    model.clone(),
                    gradients,
                    &mut Buffers::default(),
                ))
            };
            let difference = largest_difference(&step(gradients), &step(reference));
            assert!(difference < 1e-5, "{activation:?} {loss_on:?}: {difference}");
        }
    }
}

/// Steps of ours against Burn's, with gradients that change from step to step.
fn check_optimizer(ours: Optimizer, mut burns: ModuleOptimizer) {
    let (data, split, config) = (data(40, FEATURES), split(40), training());
    let job = job(&data, &split, &config);
    let batches = Batches::new(&job);
    let (mut state, mut mine, mut theirs) = (OptimizerState::default(), job.start().model, job.start().model.train());
    for step in 0..12 {
        let gradients = |model: &Autoencoder| -> GradientsParams {
            batches.read(&[step, step + 3, step + 9], 1, &mut Buffers::default()).gradients_by_autodiff(model, 0.3).1
        };
        let of_mine = gradients(&mine);
        mine = ours.step(&mut state, 0.05, mine, of_mine, &mut Buffers::default());
        let of_theirs = gradients(&theirs);
        theirs = burns.step(0.05, theirs, of_theirs);
    }
    let difference = largest_difference(&arrays(&mine), &arrays(&theirs));
    assert!(difference < 2e-5, "{ours:?}: {difference}");
    assert_eq!(state.steps, 12);
}

#[test]
fn the_optimizers_are_burns() {
    let decay = || Some(burn::optim::decay::WeightDecayConfig::new(0.1));
    let adam = AdamConfig::new().with_epsilon(1e-8);
    check_optimizer(Optimizer::Adam { weight_decay: 0.0 }, adam.init());
    check_optimizer(Optimizer::Adam { weight_decay: 0.1 }, adam.with_weight_decay(decay()).init());
    let adamw = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.1);
    check_optimizer(Optimizer::AdamW { weight_decay: 0.1 }, adamw.init());
    check_optimizer(
        Optimizer::Sgd { momentum: 0.0, weight_decay: 0.1 },
        SgdConfig::new().with_weight_decay(decay()).init(),
    );
    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    let sgd = SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(decay());
    check_optimizer(Optimizer::Sgd { momentum: 0.9, weight_decay: 0.1 }, sgd.init());
}

#[test]
fn accumulation_changes_nothing_but_rounding_on_uneven_batches_too() {
    let (data, split) = (data(45, FEATURES), split(45));
    let whole = trained(&data, &split, &training());
    for accumulation in [2, 3, 4, 10, 50] {
        let difference = largest_difference(&whole, &trained(&data, &split, &Training { accumulation, ..training() }));
        assert!(difference < 2e-5, "{accumulation}: {difference}");
        assert!(difference > 0.0 || accumulation == 1, "{accumulation} micro-batches were not made");
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (data, split) = (data(200, 120), split(200));
    let mut config = Training { batch_size: 96, ..training() };
    config.architecture.hidden = vec![256, 130];
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| trained(&data, &split, &config))
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(4));
}

/// Stops a training with an error after some steps, keeping a checkpoint of the moment.
struct StopAfter<'a>(usize, &'a std::path::Path);

impl Observer for StopAfter<'_> {
    fn step(&mut self, report: &StepReport, state: &State) -> Result<(), Error> {
        if report.step < self.0 {
            return Ok(());
        }
        checkpoint::save(state, self.1)?;
        Err(Error::RunExists { path: "stopped".into() })
    }
}

#[test]
fn a_training_goes_on_from_any_step_with_the_same_bits() {
    let (data, split, config) = (data(45, FEATURES), split(45), training());
    let job = job(&data, &split, &config);
    let whole = train(&job, job.start(), &mut Losses::default()).unwrap();
    // Four steps an epoch: within, at the end of, and after an epoch.
    for stop in [1, 4, 5, 11] {
        let folder = tempfile::tempdir().unwrap();
        train(&job, job.start(), &mut StopAfter(stop, folder.path())).unwrap_err();
        let (state, damaged) = checkpoint::load_newest(folder.path(), Activation::Tanh, &job.device).unwrap();
        assert!(damaged.is_empty());
        let resumed = train(&job, state.unwrap(), &mut ()).unwrap();
        assert_eq!(arrays(&whole.model), arrays(&resumed.model), "stopped after {stop}");
    }
}

#[derive(Default)]
struct Losses(Vec<EpochReport>);

impl Observer for Losses {
    fn epoch(&mut self, report: &EpochReport, _: &State) -> Result<(), Error> {
        self.0.push(*report);
        Ok(())
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let (data, split, config) = (data(45, FEATURES), split(45), training());
    let job = job(&data, &split, &config);
    let folder = tempfile::tempdir().unwrap();
    train(&job, job.start(), &mut StopAfter(3, folder.path())).unwrap_err();
    train(&job, job.start(), &mut StopAfter(6, folder.path())).unwrap_err();
    let newest = folder.path().join("step-0000000006.ckpt");
    let whole = std::fs::read(&newest).unwrap();
    let mut altered = whole.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    for damaged in [&whole[..whole.len() - 1], &whole[..20], &[], &altered] {
        std::fs::write(&newest, damaged).unwrap();
        let (state, errors) = checkpoint::load_newest(folder.path(), Activation::Tanh, &job.device).unwrap();
        assert_eq!(state.unwrap().optimizer.steps, 3);
        assert!(errors[0].to_string().contains("step-0000000006.ckpt"), "{}", errors[0]);
    }
}

#[test]
fn two_checkpoints_are_kept() {
    let (data, split, config) = (data(45, FEATURES), split(45), training());
    let job = job(&data, &split, &config);
    let folder = tempfile::tempdir().unwrap();
    for steps in [1, 2, 3, 4] {
        train(&job, job.start(), &mut StopAfter(steps, folder.path())).unwrap_err();
    }
    let mut names: Vec<String> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["step-0000000003.ckpt", "step-0000000004.ckpt"]);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_says_where() {
    let (data, split) = (data(45, FEATURES), split(45));
    let config = Training {
        learning_rate: 1e30,
        optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
        schedule: Schedule { warmup_steps: 0, decay: Decay::Constant },
        clip_norm: None,
        ..training()
    };
    let job = job(&data, &split, &config);
    match train(&job, job.start(), &mut ()).unwrap_err() {
        Error::NonFinite { step, epoch, last_finite, .. } => {
            assert!(step > 1 && epoch == 1 && last_finite.is_finite(), "{step} {epoch} {last_finite}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn training_lowers_the_validation_loss_and_reports_every_epoch() {
    let (data, split, config) = (data(300, FEATURES), split(300), Training { epochs: 8, ..training() });
    let job = job(&data, &split, &config);
    let mut losses = Losses::default();
    train(&job, job.start(), &mut losses).unwrap();
    assert_eq!(losses.0.iter().map(|report| report.epoch).collect::<Vec<_>>(), (0..=8).collect::<Vec<_>>());
    assert!(losses.0[0].train_loss.is_nan());
    assert!(losses.0[8].validation_loss < 0.8 * losses.0[0].validation_loss, "{:?}", losses.0);
}

#[test]
fn weights_survive_a_file_and_wrong_files_are_refused() {
    let device = Device::flex();
    let model = Autoencoder::new(&training().architecture, FEATURES, 5, &device);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model_file::save(&model, Default::default(), &path).unwrap();
    let loaded = model_file::load(&path, Activation::Tanh, &device).unwrap();
    assert_eq!(arrays(&model), arrays(&loaded));
    let bytes = std::fs::read(&path).unwrap();
    for (wrong, part) in [(&bytes[..bytes.len() / 2], "safetensors"), (&b"nonsense"[..], "safetensors")] {
        std::fs::write(&path, wrong).unwrap();
        let error = model_file::load(&path, Activation::Tanh, &device).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn networks_that_do_not_fit_together_are_refused() {
    let device = Device::flex();
    let good = arrays(&Autoencoder::new(&training().architecture, FEATURES, 5, &device));
    let check = |change: fn(&mut Vec<Array>), part: &str| {
        let mut arrays = good.clone();
        change(&mut arrays);
        let (expected, got) = from_arrays(&arrays, Activation::Relu, &device).unwrap_err();
        assert!(format!("{expected}; {got}").contains(part), "{expected}; {got}");
    };
    check(|arrays| arrays.retain(|array| !array.name.starts_with("decoder")), "decoder.0.weight");
    check(|arrays| arrays.retain(|array| array.name != "encoder.0.weight"), "encoder.0.weight");
    check(|arrays| arrays[0].shape = vec![63], "two dimensions");
    check(|arrays| arrays[1].values.truncate(2), "encoder.0.weight");
    check(|arrays| arrays.retain(|array| !array.name.starts_with("encoder.4")), "decoder");
}

/// Zeros that are left out of the first product change nothing: many rows by blocks against all at once.
#[test]
fn codes_of_mostly_zero_rows_are_those_of_the_network() {
    let (samples, features) = (1100, 40);
    let mut data = data(samples, features);
    let Values::Memory(matrix) = &mut data.dataset.values else { unreachable!() };
    // Two of three columns are 0 in any row, but others in every hundredth.
    let is_zero = |at: usize| !(at % features + at / features / 100).is_multiple_of(3);
    matrix.data.iter_mut().enumerate().for_each(|(at, value)| {
        if is_zero(at) {
            *value = 0.0
        }
    });
    let rows: Vec<usize> = (0..samples).rev().collect();
    data.preprocessing = Preprocessing::fit(&data.dataset, &rows, Some(Scaling::None)).unwrap();
    for hidden in [vec![37, 5], vec![]] {
        let architecture = Architecture { hidden, latent: 4, ..training().architecture };
        let model = Autoencoder::new(&architecture, features, 5, &Device::flex());
        let mut input = vec![0.0; samples * features];
        data.read(&rows, &mut input);
        let want = host::HostLayers::of(&model.encoder).unwrap().forward(&input, &mut Buffers::default());
        let codes = evaluate::codes(&model, &data, &rows, &Device::flex());
        let worst = codes.iter().zip(&want).map(|(code, want)| (code - want).abs()).fold(0.0, f32::max);
        assert!(codes.len() == want.len() && worst < 1e-6, "{worst}");
    }
}
