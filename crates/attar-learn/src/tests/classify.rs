//! Classification of small images by a network with batch norm and dropout of its own.

use attar_data::random::{Purpose, stream};
use attar_data::{Dataset, Layout, Matrix, Prepared, Preprocessing, Scaling, Schema, Values};
use attar_doctor::{Event, Header, Position, Record, Status, Thresholds, diagnose};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;

use crate::config::{Activation, Decay, Descent, Optimizer, Schedule};
use crate::observer::{EpochReport, Observer, StepReport};
use crate::train::State;
use crate::{
    Augmentation, BatchStatistics, Classification, Error, Journal, Labelled, Mode, Pass, StageOutput, Staged, Watch,
    classify,
};

const CLASSES: usize = 3;
const CHANNELS: usize = 12;
const MOMENTUM: f64 = 0.1;
/// Of the images, `[height, width, channels]`.
const SHAPE: [usize; 3] = [4, 5, 2];

/// Each pixel through a dense layer, batch norm and ReLU; the mean over pixels, dropout, and a dense layer to the classes.
#[derive(Module, Debug)]
struct Pixels {
    inner: Param<Tensor<2>>,
    outer: Param<Tensor<2>>,
    mean: Param<Tensor<1>>,
    variance: Param<Tensor<1>>,
    #[module(skip)]
    normalises: bool,
    #[module(skip)]
    dropout: f64,
}

impl Pixels {
    fn new(normalises: bool, dropout: f64) -> Self {
        let device = Device::flex();
        let mut rng = stream(9, Purpose::Initialise, 0, 0, 0);
        let mut weight = |rows: usize, columns: usize| {
            let values: Vec<f32> = (0..rows * columns).map(|_| rng.random::<f32>() - 0.5).collect();
            Param::from_tensor(Tensor::from_data(TensorData::new(values, [rows, columns]), &device))
        };
        Self {
            inner: weight(SHAPE[2], CHANNELS),
            outer: weight(CHANNELS, CLASSES),
            mean: Param::from_tensor(Tensor::zeros([CHANNELS], &device)).set_require_grad(false),
            variance: Param::from_tensor(Tensor::ones([CHANNELS], &device)).set_require_grad(false),
            normalises,
            dropout,
        }
    }

    fn normalised(&self, values: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
        let (mean, variance) = if pass.training {
            let flat = values.clone().flatten::<2>(0, 1);
            let (variance, mean) = flat.var_mean(0);
            let (mean, variance) = (mean.squeeze::<1>(), variance.squeeze::<1>());
            let statistics = BatchStatistics { stage: "norm".into(), mean: mean.clone(), variance: variance.clone() };
            pass.statistics.push(statistics);
            (mean, variance)
        } else {
            (self.mean.val(), self.variance.val())
        };
        (values - mean.unsqueeze()) / (variance.unsqueeze() + 1e-3).sqrt()
    }

    /// 0 for a dropped unit, else what keeps the mean.
    fn mask(&self, pass: &Pass, device: &Device) -> Tensor<3> {
        let of_sample = |&sample: &u64| {
            let mut rng = stream(pass.seed, Purpose::Corrupt, 0, pass.step as u64, sample);
            (0..CHANNELS).map(move |_| rng.random::<f64>()).collect::<Vec<_>>()
        };
        let keep = |draw: f64| if draw < self.dropout { 0.0 } else { (1.0 / (1.0 - self.dropout)) as f32 };
        let values: Vec<f32> = pass.samples.iter().flat_map(of_sample).map(keep).collect();
        Tensor::from_data(TensorData::new(values, [pass.samples.len(), 1, CHANNELS]), device)
    }
}

fn product(input: Tensor<3>, weight: &Param<Tensor<2>>) -> Tensor<3> {
    attar_ops::burn::dense(input, weight.val(), None, Activation::Identity)
}

impl Staged for Pixels {
    fn stages(&self, input: Tensor<3>, pass: &mut Pass) -> Vec<StageOutput> {
        let mut values = product(input, &self.inner);
        if self.normalises {
            values = self.normalised(values, pass);
        }
        let norm = pass.stage("norm", Activation::Relu, burn::tensor::activation::relu(values));
        let mut mean = norm.values.clone().mean_dim(1);
        if pass.training && self.dropout > 0.0 {
            let mask = self.mask(pass, &mean.device());
            mean = mean * mask;
        }
        let drop = pass.stage("drop", Activation::Identity, mean);
        let output = product(drop.values.clone(), &self.outer);
        vec![norm, drop, pass.stage("output", Activation::Identity, output)]
    }

    fn absorb(mut self, statistics: &[BatchStatistics]) -> Self {
        if let [seen] = statistics {
            let moved = |old: Tensor<1>, new: &Tensor<1>| old * (1.0 - MOMENTUM) + new.clone() * MOMENTUM;
            self.mean = self.mean.map(|old| moved(old, &seen.mean));
            self.variance = self.variance.map(|old| moved(old, &seen.variance));
        }
        self
    }
}

/// Images whose pixels have another mean in each class, and their classes.
fn images(samples: usize) -> (Prepared, Vec<u32>) {
    let mut rng = stream(4, Purpose::Synthetic, 0, 0, 0);
    let labels: Vec<u32> = (0..samples).map(|sample| (sample * sample % 7 % CLASSES) as u32).collect();
    let features = SHAPE.iter().product();
    let value = |at: usize| {
        let class = labels[at / features] as f32;
        rng.random::<f32>() - 0.5 + 0.4 * if at.is_multiple_of(2) { class - 1.0 } else { (class - 1.0).powi(2) }
    };
    let data = (0..samples * features).map(value).collect();
    let [height, width, channels] = SHAPE;
    let schema = Schema::unnamed(Layout::Image { height, width, channels }, "pixel", features);
    let values = Values::Memory(Matrix { features, data });
    let dataset = Dataset { name: "test".into(), schema, values, labels: None, ids: None, test_rows: None };
    let rows: Vec<usize> = (0..samples).collect();
    let preprocessing = Preprocessing::fit(&dataset, &rows, Some(Scaling::None)).unwrap();
    (Prepared { dataset, preprocessing }, labels)
}

fn classification() -> Classification {
    Classification {
        descent: Descent {
            optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 1e-4 },
            learning_rate: 0.1,
            schedule: Schedule { warmup_steps: 2, decay: Decay::Step },
            clip_norm: None,
            epochs: 12,
            batch_size: 32,
            accumulation: 1,
            seed: 3,
        },
        augmentation: Some(Augmentation { padding: 1, flip: true }),
    }
}

/// What most tests classify: 180 images, the last 30 to validate on.
fn with_images<T>(f: impl FnOnce(&Labelled) -> T) -> T {
    let (data, labels) = images(180);
    let rows: Vec<usize> = (0..180).collect();
    let (train, validation) = rows.split_at(150);
    f(&Labelled { data: &data, labels: &labels, classes: CLASSES, train, validation, device: Device::flex() })
}

fn weights(network: &Pixels) -> Vec<Vec<f32>> {
    let of = |data: TensorData| data.iter::<f32>().collect();
    let statistics = [network.mean.val(), network.variance.val()].map(|tensor| of(tensor.into_data()));
    let matrices = [network.inner.val(), network.outer.val()].map(|tensor| of(tensor.into_data()));
    matrices.into_iter().chain(statistics).collect()
}

fn trained(config: &Classification, network: Pixels, observer: &mut dyn Observer<Pixels>) -> Pixels {
    with_images(|labelled| classify(labelled, config, State::start(network), observer).unwrap().model)
}

#[derive(Default)]
struct Followed {
    epochs: Vec<EpochReport>,
    rates: Vec<f64>,
}

impl Observer<Pixels> for Followed {
    fn step(&mut self, report: &StepReport, _: &State<Pixels>) -> Result<(), Error> {
        self.rates.push(report.learning_rate);
        Ok(())
    }
    fn epoch(&mut self, report: &EpochReport, _: &State<Pixels>) -> Result<(), Error> {
        self.epochs.push(*report);
        Ok(())
    }
}

#[test]
fn classes_are_learned_by_hes_recipe() {
    let mut followed = Followed::default();
    let network = trained(&classification(), Pixels::new(true, 0.1), &mut followed);
    let last = followed.epochs.last().unwrap();
    assert!((followed.epochs[0].validation_loss - 3.0_f64.ln()).abs() < 0.3, "{:?}", followed.epochs[0]);
    assert!(last.validation_accuracy.unwrap() > 0.9, "{last:?}");
    // 12 epochs of 5 steps, the first two warming up.
    let rates = [0.05, 0.1, 0.1, 0.01, 0.001];
    let found = [0, 1, 29, 30, 45].map(|step| followed.rates[step]);
    assert!(found.iter().zip(rates).all(|(found, rate)| (found - rate).abs() < 1e-12), "{found:?}");
    let scores = with_images(|labelled| {
        let of = |mode| labelled.score(&network, labelled.train, mode, 3).unwrap();
        [of(Mode::Evaluation), of(Mode::Training { batch: 50 })]
    });
    assert!(scores.iter().all(|score| score.accuracy > 0.9) && scores[0].loss != scores[1].loss, "{scores:?}");
}

/// Logits by hand in f64, for a network without batch norm and dropout.
#[test]
fn a_score_is_the_mean_over_rows() {
    let network = Pixels::new(false, 0.0);
    let [inner, outer, ..] = &weights(&network)[..] else { unreachable!() };
    let weight = |weight: &[f32], row: usize, column: usize, columns: usize| f64::from(weight[row * columns + column]);
    with_images(|labelled| {
        let rows = [5, 170, 31];
        let score = labelled.score(&network, &rows, Mode::Evaluation, 0).unwrap();
        let (mut loss, mut right) = (0.0, 0);
        for row in rows {
            let mut image = vec![0.0; 40];
            labelled.data.read(&[row], &mut image);
            let hidden = |channel: usize| {
                let pixel = |pixel: &[f32]| {
                    let sum = f64::from(pixel[0]) * weight(inner, 0, channel, CHANNELS)
                        + f64::from(pixel[1]) * weight(inner, 1, channel, CHANNELS);
                    sum.max(0.0)
                };
                image.chunks_exact(2).map(pixel).sum::<f64>() / 20.0
            };
            let logit = |class| (0..CHANNELS).map(|c| hidden(c) * weight(outer, c, class, CLASSES)).sum::<f64>();
            let logits = [0, 1, 2].map(logit);
            let label = labelled.labels[row] as usize;
            loss += logits.iter().map(|l| l.exp()).sum::<f64>().ln() - logits[label];
            right += usize::from(logits.iter().all(|l| *l <= logits[label]));
        }
        assert!((score.loss - loss / 3.0).abs() < 1e-5, "{score:?}, not {loss}");
        assert!((score.accuracy - right as f64 / 3.0).abs() < 1e-12);
    });
}

#[test]
fn accumulation_changes_nothing_but_rounding_where_samples_are_apart() {
    let run = |accumulation| {
        let mut config = classification();
        config.descent.accumulation = accumulation;
        weights(&trained(&config, Pixels::new(false, 0.3), &mut ()))
    };
    let whole = run(1);
    // Batches of 32, the last of 22: 5 micro-batches are uneven in both.
    for accumulation in [2, 5, 32] {
        let parts = run(accumulation);
        let pairs = whole.iter().flatten().zip(parts.iter().flatten());
        let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5 && difference > 0.0, "{accumulation}: {difference}");
    }
}

#[test]
fn statistics_are_absorbed_after_every_micro_batch() {
    let mut config = classification();
    config.descent = Descent { epochs: 1, batch_size: 150, accumulation: 3, ..config.descent };
    config.augmentation = None;
    let start = Pixels::new(true, 0.0);
    let inner = weights(&start).swap_remove(0);
    let found = weights(&trained(&config, start, &mut ())).swap_remove(2);
    let want = with_images(|labelled| {
        let order = config.descent.order(labelled.train, 1);
        let mut want = vec![0.0; CHANNELS];
        for rows in order.chunks(50) {
            let mut values = vec![0.0; rows.len() * 40];
            labelled.data.read(rows, &mut values);
            let pixels = values.len() as f64 / 2.0;
            for (channel, want) in want.iter_mut().enumerate() {
                let value = |pixel: &[f32]| pixel[0] * inner[channel] + pixel[1] * inner[CHANNELS + channel];
                let mean = values.chunks_exact(2).map(|pixel| f64::from(value(pixel))).sum::<f64>() / pixels;
                *want = *want * (1.0 - MOMENTUM) + mean * MOMENTUM;
            }
        }
        want
    });
    let difference = found.iter().zip(&want).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(difference < 1e-5, "{difference}: {found:?}, not {want:?}");
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| weights(&trained(&classification(), Pixels::new(true, 0.2), &mut ())))
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(4));
}

#[test]
fn a_record_of_a_sound_classifier_changes_nothing_and_has_no_findings() {
    let config = classification();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let recorded = with_images(|labelled| {
        let network = Pixels::new(true, 0.1);
        let watch = Watch { batch: labelled.batch(&labelled.train[..64], 3), one_batch: (16, 900), epochs: 12 };
        let header = Header { batch_size: 32, ..Header::default() };
        let mut journal = Journal::create(&path, header, &network, watch).unwrap();
        let state = classify(labelled, &config, State::start(network), &mut journal).unwrap();
        journal.finish(Status::Completed, String::new()).unwrap();
        weights(&state.model)
    });
    assert_eq!(recorded, weights(&trained(&config, Pixels::new(true, 0.1), &mut ())));
    let record = Record::read(&path).unwrap();
    assert_eq!(record.header.classes, Some(3));
    let tensors: Vec<_> = record.header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(tensors, ["inner", "outer"]);
    assert_eq!(
        record.header.stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>(),
        ["norm", "drop", "output"]
    );
    assert!(record.norms().all(|norms| norms.gradient.len() == 2 && norms.gradient.iter().all(Option::is_some)));
    let kinds = |kind: &str| record.probes(kind).count();
    assert_eq!(["one_batch", "input", "train_eval"].map(kinds), [1, 1, 1]);
    assert_eq!(diagnose(&record, &Thresholds::default()), []);
    let calls: Vec<&str> = record.events.iter().filter_map(|event| call(event, 2)).collect();
    assert_eq!(calls, ["zero_grad", "backward", "step", "norms"]);
}

/// The name of a call that belongs to the given step.
fn call(event: &Event, step: u64) -> Option<&'static str> {
    let (name, at) = match event {
        Event::ZeroGrad(Position { step, .. }) => ("zero_grad", *step),
        Event::Backward(backward) => ("backward", backward.step),
        Event::Step(done) => ("step", done.step),
        Event::Norms(norms) => ("norms", norms.step),
        Event::Schedule(schedule) => ("schedule", schedule.step),
        _ => return None,
    };
    (at == step).then_some(name)
}

#[test]
fn wrong_labels_are_refused() {
    with_images(|labelled| {
        let mut labels = labelled.labels.to_vec();
        labels[7] = 3;
        let config = classification();
        let of = |labels: &[u32]| {
            let labelled = Labelled { labels, ..labelled.clone() };
            classify(&labelled, &config, State::start(Pixels::new(true, 0.0)), &mut ()).unwrap_err().to_string()
        };
        assert!(of(&labels).contains("the label of sample 7 is 3"), "{}", of(&labels));
        assert!(of(&labels[..20]).contains("20"), "{}", of(&labels[..20]));
    });
}
