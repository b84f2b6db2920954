//! Shapes, gradients, statistics and chance of the classifiers.

use attar_ops::Activation;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::{Kind, Net, NetConfig, Norm, sample_losses};
use crate::staged::{Pass, StageOutput, Staged};
use crate::{Error, config::Optimizer};

const SIDES: [usize; 2] = [6, 4];
const CLASSES: usize = 3;
const NORMS: [Norm; 4] = [Norm::Batch, Norm::Layer, Norm::Group, Norm::None];

fn kinds() -> [Kind; 5] {
    [
        Kind::Mlp { hidden: vec![10, 6] },
        Kind::ConvNet { widths: vec![2, 4] },
        Kind::Plain { n: 1, width: 2 },
        Kind::Residual { n: 1, width: 2 },
        Kind::Attention { patch: [2, 4], width: 4, heads: 2, blocks: 2 },
    ]
}

fn config(kind: Kind, norm: Norm) -> NetConfig {
    let [height, width] = SIDES;
    NetConfig { kind, norm, activation: Activation::Relu, dropout: 0.0, input: [height, width, 2], classes: CLASSES }
}

fn net(kind: Kind, norm: Norm, dtype: DType) -> Net {
    Net::new(&config(kind, norm), 3, dtype, &Device::flex()).unwrap()
}

fn images(samples: usize, dtype: DType) -> Tensor<3> {
    let [height, width] = SIDES;
    let values = (0..samples * height * width * 2).map(|at| (at as f64 * 0.737).sin() + 0.1 * (at % 5) as f64);
    let values = TensorData::new(values.collect::<Vec<f64>>(), [samples, height * width, 2]);
    Tensor::from_data(values, (&Device::flex(), dtype))
}

fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter().collect()
}

fn stages(net: &Net, input: Tensor<3>, mut pass: Pass) -> Vec<StageOutput> {
    let stages = net.stages(input, &mut pass);
    assert_eq!(pass.failure, None);
    stages
}

fn values(stages: &[StageOutput], name: &str) -> Vec<f64> {
    numbers(&stages.iter().find(|stage| stage.name == name).unwrap().values)
}

#[test]
fn stages_are_named_from_input_to_head() {
    let described = |kind, norm| {
        let stages = stages(&net(kind, norm, DType::F32), images(5, DType::F32), Pass::evaluation(&[0; 5]));
        let describe = |stage: &StageOutput| {
            let [samples, positions, channels] = stage.values.dims();
            assert_eq!(samples, 5);
            format!("{} {positions}x{channels} {:?}", stage.name, stage.activation)
        };
        stages.iter().map(describe).collect::<Vec<_>>()
    };
    assert_eq!(
        described(Kind::Mlp { hidden: vec![7] }, Norm::Batch),
        ["hidden1 1x7 Identity", "hidden1.norm 1x7 Relu", "head 1x3 Identity"]
    );
    assert_eq!(
        described(Kind::ConvNet { widths: vec![2, 4] }, Norm::None),
        ["conv1 24x2 Relu", "conv2 6x4 Relu", "head 1x3 Identity"]
    );
    assert_eq!(
        described(Kind::Residual { n: 1, width: 2 }, Norm::Layer)[2..],
        [
            "group1.block1.conv1 24x2 Identity",
            "group1.block1.conv1.norm 24x2 Relu",
            "group1.block1.conv2 24x2 Identity",
            "group1.block1.conv2.norm 24x2 Identity",
            "group1.block1 24x2 Relu",
            "group2.block1.conv1 6x4 Identity",
            "group2.block1.conv1.norm 6x4 Relu",
            "group2.block1.conv2 6x4 Identity",
            "group2.block1.conv2.norm 6x4 Identity",
            "group2.block1 6x4 Relu",
            "group3.block1.conv1 2x8 Identity",
            "group3.block1.conv1.norm 2x8 Relu",
            "group3.block1.conv2 2x8 Identity",
            "group3.block1.conv2.norm 2x8 Identity",
            "group3.block1 2x8 Relu",
            "head 1x3 Identity",
        ]
    );
    assert_eq!(
        described(Kind::Attention { patch: [3, 2], width: 4, heads: 2, blocks: 1 }, Norm::Group),
        [
            "embed 4x4 Identity",
            "block1.norm1 4x4 Identity",
            "block1.projection 4x12 Identity",
            "block1.attention 4x4 Identity",
            "block1.norm2 4x4 Identity",
            "block1.hidden 4x16 Relu",
            "block1 4x4 Identity",
            "norm 4x4 Identity",
            "head 1x3 Identity",
        ]
    );
}

/// What a record's header says of the stages.
#[test]
fn attention_says_its_form() {
    let kind = Kind::Attention { patch: [3, 2], width: 4, heads: 2, blocks: 2 };
    let stages = stages(&net(kind, Norm::Layer, DType::F32), images(5, DType::F32), Pass::evaluation(&[0; 5]));
    let forms: Vec<_> = stages.iter().filter_map(|stage| Some((&stage.name[..], stage.stage().form?))).collect();
    assert_eq!(forms.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["block1.attention", "block2.attention"]);
    // Five images of four tokens, two heads of width 2.
    assert!(forms.iter().all(|(_, form)| form.starts_with("tiled 0.") && form.contains("predicted")), "{forms:?}");
}

/// Every parameter's values, in the order in which the module is visited.
fn parameters(net: &Net) -> Vec<(Vec<usize>, Vec<f64>)> {
    struct All(Vec<(Vec<usize>, Vec<f64>)>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.push((parameter.dims().to_vec(), numbers(&parameter.val())));
        }
    }
    let mut all = All(Vec::new());
    net.visit(&mut all);
    all.0
}

#[test]
fn parameters_are_named_in_the_order_of_the_module_and_belong_to_stages() {
    for (kind, norm) in kinds().into_iter().flat_map(|kind| NORMS.map(|norm| (kind.clone(), norm))) {
        let net = net(kind, norm, DType::F32);
        let shapes: Vec<_> = parameters(&net).into_iter().map(|(shape, _)| shape).collect();
        let named = net.parameters();
        assert_eq!(named.iter().map(|parameter| parameter.shape.clone()).collect::<Vec<_>>(), shapes);
        let stages = stages(&net, images(2, DType::F32), Pass::evaluation(&[0; 2]));
        for parameter in &named {
            assert!(stages.iter().any(|stage| stage.name == parameter.stage), "{parameter:?}");
        }
        let mut names: Vec<_> = named.iter().map(|parameter| &parameter.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), named.len(), "a name of its own for each");
    }
}

#[test]
fn plain_and_residual_nets_have_the_same_parameters() {
    for n in 1..3 {
        let plain = net(Kind::Plain { n, width: 2 }, Norm::Batch, DType::F64);
        let residual = net(Kind::Residual { n, width: 2 }, Norm::Batch, DType::F64);
        assert_eq!(plain.parameters(), residual.parameters());
        assert_eq!(parameters(&plain), parameters(&residual));
        // One weight for each of the 6n + 2 layers, a scale and a shift for each norm, the head's bias.
        assert_eq!(plain.parameters().len(), (6 * n + 2) + 2 * (6 * n + 1) + 1);
    }
}

#[test]
fn weights_are_the_seeds_in_either_precision() {
    for kind in kinds() {
        let [single, double] = [DType::F32, DType::F64].map(|dtype| parameters(&net(kind.clone(), Norm::Layer, dtype)));
        for ((shape, single), (_, double)) in single.iter().zip(&double) {
            assert!(
                single.iter().zip(double).all(|(single, double)| *single == f64::from(*double as f32)),
                "{shape:?}"
            );
        }
        let other = Net::new(&config(kind, Norm::Layer), 4, DType::F64, &Device::flex()).unwrap();
        assert_ne!(parameters(&other)[0], double[0]);
    }
}

/// The variances are those that are promised, within what chance allows.
#[test]
fn weights_have_hes_variance() {
    let net = net(Kind::Plain { n: 1, width: 32 }, Norm::Batch, DType::F64);
    for (parameter, (shape, values)) in net.parameters().iter().zip(parameters(&net)) {
        let expected = match &parameter.name[..] {
            "head.weight" => 1.0 / 3.0 / shape[0] as f64,
            name if name.ends_with("norm.weight") || shape.len() == 1 => continue,
            _ => 2.0 / shape[0] as f64,
        };
        let variance = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        let deviations = (variance / expected - 1.0) / (2.0 / values.len() as f64).sqrt();
        assert!(deviations.abs() < 4.0, "{}: {variance} for {expected}", parameter.name);
    }
}

/// Adds `by` times a wave to the parameter of an index.
struct Shift {
    index: usize,
    by: f64,
    at: usize,
}

fn wave(shape: &[usize]) -> Vec<f64> {
    (0..shape.iter().product()).map(|at: usize| (at as f64 * 1.37 + 0.5).cos()).collect()
}

impl ModuleMapper for Shift {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.at += 1;
        if self.at != self.index + 1 {
            return parameter;
        }
        let by = self.by;
        parameter.map(|values| {
            let wave = TensorData::new(wave(&values.dims()), values.dims());
            values.clone() + Tensor::from_data(wave, (&values.device(), values.dtype())).mul_scalar(by)
        })
    }
}

fn labels(samples: usize) -> Tensor<1, Int> {
    let labels: Vec<i64> = (0..samples as i64).map(|sample| sample * 2 % CLASSES as i64).collect();
    Tensor::from_data(labels.as_slice(), &Device::flex())
}

const SAMPLES: usize = 5;
const KEYS: [u64; SAMPLES] = [4, 9, 2, 7, 30];

/// The mean loss in training mode; weighted, so that no symmetry hides anything.
fn loss(net: &Net, input: Tensor<3>) -> Tensor<1> {
    let losses = sample_losses(net.logits(input, &mut Pass::training(1, 0, &KEYS)), labels(SAMPLES));
    let weights: Vec<f64> = (0..SAMPLES).map(|sample| 1.0 + sample as f64).collect();
    (losses * Tensor::<1>::from_data(weights.as_slice(), (&Device::flex(), DType::F64))).mean()
}

/// Biases begin at zero, and so do the inputs of a rectifier where all that a stage gets has been dropped: there the loss
/// has no slope.
fn off_kinks(net: Net) -> Net {
    (0..net.parameters().len()).fold(net, |net, index| net.map(&mut Shift { index, by: 0.1, at: 0 }))
}

/// The gradient by each parameter along a wave, beside the slope of the loss along it.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    struct Along<'a>(&'a burn::tensor::Gradients, Vec<f64>);
    impl ModuleVisitor for Along<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let gradient = numbers(&parameter.val().grad(self.0).unwrap());
            self.1.push(gradient.iter().zip(wave(&parameter.dims())).map(|(gradient, wave)| gradient * wave).sum());
        }
    }
    for (kind, norm) in kinds().into_iter().flat_map(|kind| NORMS.map(|norm| (kind.clone(), norm))) {
        for dropout in [0.0, 0.3] {
            let config = NetConfig { dropout, ..config(kind.clone(), norm) };
            let net = off_kinks(Net::new(&config, 3, DType::F64, &Device::flex()).unwrap());
            let trained = net.clone().train();
            let gradients = loss(&trained, images(SAMPLES, DType::F64).autodiff()).backward();
            let mut along = Along(&gradients, Vec::new());
            trained.visit(&mut along);
            for (index, got) in along.1.into_iter().enumerate() {
                let shifted = |by| {
                    let net = net.clone().map(&mut Shift { index, by, at: 0 });
                    loss(&net, images(SAMPLES, DType::F64)).into_scalar::<f64>()
                };
                let slope = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
                let name = &net.parameters()[index].name;
                assert!((got - slope).abs() < 1e-6, "{kind:?} {norm:?} {dropout}, {name}: {got} for {slope}");
            }
        }
    }
}

#[test]
fn dropout_belongs_to_samples_and_not_to_batches() {
    for kind in kinds() {
        let config = NetConfig { dropout: 0.4, ..config(kind.clone(), Norm::Layer) };
        let net = Net::new(&config, 3, DType::F64, &Device::flex()).unwrap();
        let logits = |input, step, keys: &[u64]| numbers(&net.logits(input, &mut Pass::training(1, step, keys)));
        let all = logits(images(SAMPLES, DType::F64), 6, &KEYS);
        for (sample, want) in all.chunks_exact(CLASSES).enumerate() {
            let alone = logits(images(SAMPLES, DType::F64).narrow(0, sample, 1), 6, &KEYS[sample..=sample]);
            assert!(alone.iter().zip(want).all(|(alone, want)| (alone - want).abs() < 1e-12), "{kind:?} {sample}");
        }
        assert_ne!(logits(images(SAMPLES, DType::F64), 7, &KEYS), all, "{kind:?}: masks of another step");
        assert_ne!(logits(images(SAMPLES, DType::F64), 6, &[1, 2, 3, 4, 5]), all, "{kind:?}: masks of other samples");
    }
}

#[test]
fn dropout_drops_as_many_as_asked_for_and_keeps_the_mean() {
    let ones = Tensor::<3>::ones([200, 10, 10], &Device::flex());
    let keys: Vec<u64> = (0..200).collect();
    let values = numbers(&super::dropout::dropout(ones, 0.3, 0, &Pass::training(1, 0, &keys)));
    let dropped = values.iter().filter(|value| **value == 0.0).count();
    // Four standard deviations of a binomial count with n = 20,000 and p = 0.3 are 259.
    assert!(dropped.abs_diff(6000) < 259, "{dropped}");
    assert!(values.iter().all(|value| *value == 0.0 || (value - 1.0 / 0.7).abs() < 1e-6));
}

/// Mean, and variance dividing by `count - less`, of each of so many channels.
fn moments(values: &[f64], channels: usize, less: usize) -> Vec<[f64; 2]> {
    let of = |channel: usize| values.iter().skip(channel).step_by(channels);
    let count = values.len() / channels;
    let moments = |channel| {
        let mean = of(channel).sum::<f64>() / count as f64;
        [mean, of(channel).map(|value| (value - mean).powi(2)).sum::<f64>() / (count - less) as f64]
    };
    (0..channels).map(moments).collect()
}

#[test]
fn batch_norm_normalises_by_the_batch_and_evaluates_by_what_it_has_seen() {
    let net = net(Kind::ConvNet { widths: vec![2, 4] }, Norm::Batch, DType::F64);
    let (input, mut pass) = (images(SAMPLES, DType::F64), Pass::training(0, 0, &KEYS));
    let trained = net.stages(input.clone(), &mut pass);
    let seen: Vec<_> = pass.statistics.iter().map(|seen| seen.stage.clone()).collect();
    assert_eq!(seen, ["conv1.norm", "conv2.norm"]);
    let before = values(&trained, "conv1");
    let moved = net.absorb(&pass.statistics);
    let evaluated = values(&stages(&moved, input, Pass::evaluation(&KEYS)), "conv1.norm");
    for (channel, [mean, variance]) in moments(&before, 2, 1).into_iter().enumerate() {
        let running = &moved.statistics()[0];
        let [got_mean, got_variance] = [&running.mean, &running.variance].map(|tensor| numbers(tensor)[channel]);
        assert!((got_mean - 0.1 * mean).abs() < 1e-14, "{got_mean} for {mean}");
        assert!((got_variance - (0.9 + 0.1 * variance)).abs() < 1e-14, "{got_variance} for {variance}");
        let [_, biased] = moments(&before, 2, 0)[channel];
        let after = values(&trained, "conv1.norm");
        for at in (channel..before.len()).step_by(2) {
            let in_training = (before[at] - mean) / (biased + 1e-5).sqrt();
            assert!((after[at] - in_training.max(0.0)).abs() < 1e-12);
            let in_evaluation = (before[at] - got_mean) / (got_variance + 1e-5).sqrt();
            assert!((evaluated[at] - in_evaluation.max(0.0)).abs() < 1e-12);
        }
    }
    let restored = super::tests::net(Kind::ConvNet { widths: vec![2, 4] }, Norm::Batch, DType::F64);
    let restored = restored.with_running_statistics(&moved.statistics());
    for (got, want) in restored.statistics().iter().zip(moved.statistics()) {
        assert_eq!([numbers(&got.mean), numbers(&got.variance)], [numbers(&want.mean), numbers(&want.variance)]);
    }
}

#[test]
fn layer_and_group_norms_have_moments_of_their_own() {
    for (norm, groups) in [(Norm::Layer, 1), (Norm::Group, 2)] {
        let net = net(Kind::ConvNet { widths: vec![4] }, norm, DType::F64);
        let all = stages(&net, images(2, DType::F64), Pass::training(0, 0, &KEYS[..2]));
        let (before, after) = (values(&all, "conv1"), values(&all, "conv1.norm"));
        let set = |at: usize| at / (24 * 4) * groups + at % 4 / (4 / groups);
        for at in 0..before.len() {
            let of_set: Vec<f64> =
                (0..before.len()).filter(|&other| set(other) == set(at)).map(|at| before[at]).collect();
            let [mean, variance] = moments(&of_set, 1, 0)[0];
            assert!((after[at] - ((before[at] - mean) / (variance + 1e-5).sqrt()).max(0.0)).abs() < 1e-12, "{norm:?}");
        }
    }
}

#[test]
fn one_value_per_channel_is_refused_with_its_reason() {
    let net = net(Kind::Mlp { hidden: vec![4] }, Norm::Batch, DType::F64);
    let mut pass = Pass::training(0, 0, &KEYS[..1]);
    let stages = net.stages(images(1, DType::F64), &mut pass);
    let reason = "batch norm `hidden1.norm` needs more than one value per channel in training, got 1";
    assert_eq!(pass.failure.as_deref(), Some(reason));
    assert!(pass.statistics.is_empty());
    assert!(numbers(&stages.last().unwrap().values).iter().all(|value| value.is_finite()));
    let mut pass = Pass::evaluation(&KEYS[..1]);
    net.stages(images(1, DType::F64), &mut pass);
    assert_eq!(pass.failure, None);
}

/// Scales of 0 close the branches.
#[test]
fn a_residual_block_without_its_branch_is_its_shortcut() {
    struct Close;
    impl ModuleMapper for Close {
        fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if D == 1 { parameter.map(|values| values.zeros_like()) } else { parameter }
        }
    }
    let open = net(Kind::Residual { n: 2, width: 2 }, Norm::Batch, DType::F64);
    let input = values(&stages(&open, images(3, DType::F64), Pass::evaluation(&KEYS[..3])), "conv1.norm");
    // All norms but the first.
    let Net { mut blocks, head, config } = open.clone().map(&mut Close);
    blocks[0] = open.blocks[0].clone();
    let closed = Net { blocks, head, config };
    let all = stages(&closed, images(3, DType::F64), Pass::evaluation(&KEYS[..3]));
    assert_eq!(values(&all, "group1.block2"), input);
    let halved = values(&all, "group2.block2");
    for (at, found) in halved.iter().enumerate() {
        let (sample, row, column, channel) = (at / 24, at % 24 / 8, at % 8 / 4, at % 4);
        let from = ((sample * 6 + 2 * row) * 4 + 2 * column) * 2 + channel;
        assert_eq!(*found, if channel < 2 { input[from] } else { 0.0 });
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for kind in kinds() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let keys: Vec<u64> = (0..40).collect();
                let config = NetConfig { dropout: 0.2, ..config(kind.clone(), Norm::Batch) };
                let net = Net::new(&config, 3, DType::F32, &Device::flex()).unwrap();
                let trained = net.clone().train();
                let logits = trained.logits(images(40, DType::F32).autodiff(), &mut Pass::training(0, 0, &keys));
                let gradients = sample_losses(logits, labels(40)).mean().backward();
                let gradients = burn::optim::GradientsParams::from_grads(gradients, &trained);
                let descent = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 };
                parameters(&descent.step(&mut Default::default(), 0.1, net, gradients, &mut Default::default()))
            })
        };
        let one = run(1);
        assert_eq!(one, run(2), "{kind:?}");
        assert_eq!(one, run(4), "{kind:?}");
    }
}

#[test]
fn the_losses_of_samples_add_up_to_the_cross_entropy() {
    let logits = Tensor::<2>::from_data([[1.0, -2.0, 0.5], [90.0, -700.0, 3.0]], (&Device::flex(), DType::F64));
    let label = Tensor::<1, Int>::from_data([2, 1], &Device::flex());
    let losses = numbers(&sample_losses(logits.clone(), label.clone()));
    let first = (1.0_f64.exp() + (-2.0_f64).exp() + 0.5_f64.exp()).ln() - 0.5;
    assert!((losses[0] - first).abs() < 1e-15 && (losses[1] - 790.0).abs() < 1e-12, "{losses:?}");
    let total: f64 = attar_ops::burn::cross_entropy(logits, label, 1.0).unwrap().into_scalar();
    assert!((losses.iter().sum::<f64>() - total).abs() < 1e-12);
}

#[test]
fn what_no_network_can_be_is_refused() {
    let attention = |patch, width, heads| Kind::Attention { patch, width, heads, blocks: 1 };
    let wrong: [(&str, NetConfig); 8] = [
        ("hidden", config(Kind::Mlp { hidden: vec![4, 0] }, Norm::Batch)),
        ("widths", config(Kind::ConvNet { widths: vec![0] }, Norm::Batch)),
        ("n", config(Kind::Plain { n: 0, width: 2 }, Norm::Batch)),
        ("width", config(Kind::Residual { n: 1, width: 0 }, Norm::Batch)),
        ("heads", config(attention([2, 2], 4, 3), Norm::Batch)),
        ("patch", config(attention([4, 2], 4, 2), Norm::Batch)),
        ("dropout", NetConfig { dropout: 1.0, ..config(Kind::Mlp { hidden: vec![4] }, Norm::Batch) }),
        ("input", NetConfig { input: [0, 4, 1], ..config(Kind::Mlp { hidden: vec![4] }, Norm::Batch) }),
    ];
    for (wanted, config) in wrong {
        let refused = Net::new(&config, 0, DType::F32, &Device::flex());
        assert!(matches!(&refused, Err(Error::Config { key, .. }) if *key == wanted), "{wanted}: {refused:?}");
    }
}

#[test]
fn a_configuration_survives_a_file() {
    for (kind, norm) in kinds().into_iter().zip([NORMS, NORMS].concat()) {
        let config = config(kind, norm);
        assert_eq!(toml::from_str::<NetConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
    }
}
