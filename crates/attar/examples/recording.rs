//! What recording costs: trainings with a record and without, taking turns.
//!
//!     cargo run --release -p attar --example recording -- --threads 2
//!
//! Prints one line of JSON: seconds of the median training of each network without a record and with one, and the median
//! of the ratios of two that follow each other. The trainings are as long as three epochs of MNIST; of a longer one the
//! probes before and after it are a smaller part.

use std::error::Error;
use std::time::{Duration, Instant};

use attar::data::{Prepared, Preprocessing, Split, Synthetic};
use attar::doctor::{Header, Status};
use attar::learn::config::{Activation, Architecture, Decay, Objective, Optimizer, Precision, Schedule, Training};
use attar::learn::{Cadence, Job, Recorder, RunFolder, train};
use burn::tensor::Device;
use clap::Parser;
use serde_json::json;

#[derive(Parser)]
struct Options {
    /// Threads of the training.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Pairs of trainings.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Networks to measure, by place; all without it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<usize>,
}

/// Hidden widths and code of the networks of 784 features.
const NETWORKS: [(&[usize], usize); 2] = [(&[], 20), (&[512, 256], 64)];
/// Training and validation rows, as of MNIST.
const ROWS: (usize, usize) = (54_000, 6_000);
const EPOCHS: usize = 3;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    pool.install(|| {
        let data = data()?;
        for (place, (hidden, latent)) in NETWORKS.iter().enumerate() {
            if options.only.is_empty() || options.only.contains(&place) {
                println!("{}", measure(&training(hidden, *latent), &data, options.rounds)?);
            }
        }
        Ok(())
    })
}

fn data() -> Result<Prepared, Failure> {
    let samples = ROWS.0 + ROWS.1;
    let dataset = Synthetic { dimensions: 784, samples, high: 20, variance: 10.0, seed: 7 }.generate()?;
    let rows: Vec<usize> = (0..samples).collect();
    let preprocessing = Preprocessing::fit(&dataset, &rows, None)?;
    Ok(Prepared { dataset, preprocessing })
}

fn training(hidden: &[usize], latent: usize) -> Training {
    Training {
        architecture: Architecture {
            hidden: hidden.to_vec(),
            latent,
            decoder_hidden: None,
            activation: Activation::Relu,
        },
        objective: Objective::Vanilla,
        optimizer: Optimizer::Adam { weight_decay: 0.0 },
        learning_rate: 1e-3,
        schedule: Schedule { warmup_steps: 0, decay: Decay::Constant },
        clip_norm: None,
        epochs: EPOCHS,
        batch_size: 128,
        accumulation: 1,
        precision: Precision::Full,
        seed: 1,
    }
}

fn measure(config: &Training, data: &Prepared, rounds: usize) -> Result<serde_json::Value, Failure> {
    let rows = |from: usize, to: usize| (from..to).collect();
    let split = Split { train: rows(0, ROWS.0), validation: rows(ROWS.0, ROWS.0 + ROWS.1), test: Vec::new() };
    let job = Job { data, split: &split, config, probe: None, device: Device::flex() };
    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        without.push(seconds(|| Ok(train(&job, job.start(), &mut ()).map(drop)?))?);
        with.push(seconds(|| recorded(&job))?);
        ratios.extend(with.last().zip(without.last()).map(|(with, without)| with / without));
    }
    Ok(json!({
        "hidden": config.architecture.hidden,
        "latent": config.architecture.latent,
        "steps": job.steps(),
        "without": median(&mut without),
        "with": median(&mut with),
        "ratio": median(&mut ratios),
    }))
}

/// A training with its record, as `attar train` writes it, and no checkpoint.
fn recorded(job: &Job) -> Result<(), Failure> {
    let path = std::env::temp_dir().join(format!("attar-recording-{}", std::process::id()));
    let folder = RunFolder::create(&path, false)?;
    let cadence = Cadence {
        interval: Duration::MAX,
        // None is the last: a checkpoint belongs to no record.
        epochs: job.config.epochs + 1,
        steps_per_epoch: job.steps_per_epoch(),
    };
    let state = job.start();
    let mut recorder = Recorder::begin(&folder, Header::default(), job, &state, cadence, Box::new(|_, _| ()))?;
    train(job, state, &mut recorder)?;
    recorder.finish(Status::Completed, String::new())?;
    Ok(std::fs::remove_dir_all(path)?)
}

fn seconds(work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
