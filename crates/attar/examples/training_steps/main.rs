//! Times the training steps of five autoencoders and their parts: `bench/train` runs it beside PyTorch.
//!
//!     cargo run --release -p attar --example training_steps -- --threads 2
//!
//! Prints one line of JSON: microseconds of the median step of each network, and the measured rate of products.

mod parts;

use std::error::Error;
use std::time::Instant;

use attar::data::{Prepared, Preprocessing, Split, Synthetic};
use attar::learn::config::{Activation, Architecture, Decay, Objective, Optimizer, Precision, Schedule, Training};
use attar::learn::{Job, Observer, State, StepReport, train};
use attar::ops;
use burn::tensor::Device;
use clap::Parser;
use serde_json::json;

#[derive(Parser)]
struct Options {
    /// Threads of the training.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Rounds what is multiplied to bf16.
    #[arg(long)]
    bf16: bool,
    /// Also times the parts of a step, each alone.
    #[arg(long)]
    profile: bool,
    /// Networks to time, by place; all without it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<usize>,
}

impl Options {
    fn precision(&self) -> Precision {
        if self.bf16 { Precision::Bf16 } else { Precision::Full }
    }
}

/// A symmetric autoencoder and its batch.
struct Network {
    features: usize,
    /// Widths of the encoder after the features, the code last.
    widths: &'static [usize],
    batch: usize,
    /// Epochs of [`BATCHES`] steps that take a second or a few.
    epochs: usize,
}

const NETWORKS: [Network; 5] = [
    Network { features: 100, widths: &[20], batch: 100, epochs: 500 },
    Network { features: 784, widths: &[20], batch: 100, epochs: 200 },
    Network { features: 784, widths: &[256, 64], batch: 128, epochs: 40 },
    Network { features: 784, widths: &[512, 256, 64], batch: 128, epochs: 20 },
    Network { features: 784, widths: &[1024, 512, 256, 64], batch: 256, epochs: 6 },
];

/// Batches of an epoch.
const BATCHES: usize = 40;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let options = Options::parse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    let chosen = |place: &usize| options.only.is_empty() || options.only.contains(place);
    pool.install(|| {
        let mut networks = Vec::new();
        for place in (0..NETWORKS.len()).filter(chosen) {
            networks.push(NETWORKS[place].measure(options.precision(), options.profile)?);
        }
        println!("{}", json!({ "networks": networks, "product_gflops": product_rate() }));
        Ok(())
    })
}

impl Network {
    fn measure(&self, precision: Precision, profile: bool) -> Result<serde_json::Value, Box<dyn Error + Send + Sync>> {
        let samples = BATCHES * self.batch;
        let data = Synthetic { dimensions: self.features, samples, high: 20, variance: 10.0, seed: 7 }.generate()?;
        let rows: Vec<usize> = (0..samples).collect();
        let preprocessing = Preprocessing::fit(&data, &rows, None)?;
        let data = Prepared { dataset: data, preprocessing };
        let split = Split { train: rows, validation: Vec::new(), test: Vec::new() };
        let config = self.training(precision);
        let job = Job { data: &data, split: &split, config: &config, probe: None, device: Device::flex() };
        let mut clock = Clock::default();
        train(&job, job.start(), &mut clock)?;
        let down = [&[self.features], self.widths].concat();
        let parts = profile.then(|| parts::measure(&down, self.batch, precision, &data));
        Ok(json!({
            "name": self.name(),
            "microseconds": median(&mut clock.steps),
            "gflop": self.operations() / 1e9,
            "parts": parts,
        }))
    }

    fn training(&self, precision: Precision) -> Training {
        let (latent, hidden) = self.widths.split_last().map_or((1, &[][..]), |(&latent, hidden)| (latent, hidden));
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
            epochs: self.epochs,
            batch_size: self.batch,
            accumulation: 1,
            precision,
            seed: 1,
        }
    }

    fn name(&self) -> String {
        let widths: Vec<String> = [&[self.features], self.widths].concat().iter().map(usize::to_string).collect();
        widths.join("-")
    }

    /// Floating-point operations of the products of one step; nobody needs the first layer's input gradient.
    fn operations(&self) -> f64 {
        let down = [&[self.features], self.widths].concat();
        let weights: usize = down.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let first = down[0] * down[1];
        (2 * self.batch * (6 * weights - first)) as f64
    }
}

/// Takes the time of each step that follows another one in the same epoch.
#[derive(Default)]
struct Clock {
    last: Option<(usize, Instant)>,
    steps: Vec<f64>,
}

impl Observer for Clock {
    fn step(&mut self, report: &StepReport, _state: &State) -> Result<(), attar::learn::Error> {
        let now = Instant::now();
        if let Some((epoch, last)) = self.last.replace((report.epoch, now))
            && epoch == report.epoch
        {
            self.steps.push((now - last).as_secs_f64() * 1e6);
        }
        Ok(())
    }
}

/// GFLOP/s of a product of 2048 x 2048 matrices.
fn product_rate() -> f64 {
    const SIZE: usize = 2048;
    let values = vec![0.5_f32; SIZE * SIZE];
    let mut out = vec![0.0; SIZE * SIZE];
    let factor = ops::Matrix::row_major(&values, SIZE);
    let mut rates: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            ops::awake(|| ops::product(ops::Precision::Full, &mut out, factor, factor));
            2.0 * (SIZE as f64).powi(3) / start.elapsed().as_secs_f64() / 1e9
        })
        .collect();
    median(&mut rates)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
