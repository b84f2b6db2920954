//! The course's reference vectors, made with PyTorch: `tests/reference/README.md`.

use attar_linear::FittedLinearProbe;
use attar_ops::{Buffers, Precision};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use faer::{Mat, MatRef};
use safetensors::tensor::SafeTensors;

use crate::autoencoder::Autoencoder;
use crate::batch::Batch;
use crate::config::{Activation, Optimizer};
use crate::evaluate;
use crate::host::{self, HostLayers};
use crate::model_file::{Array, arrays, from_arrays};
use crate::optimizer::OptimizerState;

const BYTES: &[u8] = include_bytes!("../../tests/reference/course.safetensors");
const EXPECTED: &str = include_str!("../../tests/reference/course.json");
const FEATURES: usize = 7;
const RELATIVE_ERROR: f64 = 1e-5;

fn values(name: &str) -> Vec<f32> {
    let tensors = SafeTensors::deserialize(BYTES).unwrap();
    let (fours, _) = tensors.tensor(name).unwrap().data().as_chunks::<4>();
    fours.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The arrays whose names begin with `prefix`, without it.
fn group(prefix: &str) -> Vec<Array> {
    let tensors = SafeTensors::deserialize(BYTES).unwrap();
    let names = tensors.names().into_iter().filter_map(|name| Some((name.strip_prefix(prefix)?, name)));
    let array = |(short, name): (&str, &str)| Array {
        name: short.to_owned(),
        shape: tensors.tensor(name).unwrap().shape().to_vec(),
        values: values(name),
    };
    names.map(array).collect()
}

fn model(prefix: &str, device: &Device) -> Autoencoder {
    from_arrays(&group(prefix), Activation::Relu, device).unwrap()
}

fn expected(path: &[&str]) -> Vec<f64> {
    let mut value: serde_json::Value = serde_json::from_str(EXPECTED).unwrap();
    for key in path {
        value = value[key].take();
    }
    match value {
        serde_json::Value::Array(values) => values.iter().map(|v| v.as_f64().unwrap()).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// The largest difference relative to the largest magnitude expected.
fn check_close(what: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0, |scale: f64, v| scale.max(v.abs()));
    for (got, expected) in got.iter().zip(expected) {
        let error = (f64::from(*got) - expected).abs() / scale;
        assert!(error < RELATIVE_ERROR, "{what}: {got} for {expected}");
    }
}

fn batch(noise: impl Fn(usize, f32) -> f32) -> Batch {
    let clean = values("x1");
    let corrupted = clean.iter().enumerate().map(|(at, &value)| noise(at, value)).collect();
    Batch { clean, corrupted: Some(corrupted), weight: None, features: FEATURES }
}

type Gradients = fn(&Batch, &Autoencoder) -> (f64, GradientsParams);

/// Both ways to a gradient: in one operation, and by autodiff.
const WAYS: [(&str, Gradients); 2] = [
    ("one operation", |batch, model| {
        host::gradients(model, batch, 0.5, Precision::Full, &mut Buffers::default()).unwrap()
    }),
    ("autodiff", |batch, model| batch.gradients_by_autodiff(model, 0.5)),
];

/// The arrays of a model whose parameters are the gradients.
fn gradient_arrays(model: &Autoencoder, gradients: GradientsParams) -> Vec<Array> {
    // A step of gradient descent with rate 1 takes the gradient from the weights.
    let before = arrays(model);
    let sgd = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 };
    let after =
        arrays(&sgd.step(&mut OptimizerState::default(), 1.0, model.clone(), gradients, &mut Buffers::default()));
    let difference = |(before, after): (Array, Array)| {
        let values = before.values.iter().zip(&after.values).map(|(b, a)| b - a).collect();
        Array { values, ..before }
    };
    before.into_iter().zip(after).map(difference).collect()
}

fn check_arrays(what: &str, got: &[Array], expected: &[Array], tolerance_of: f64) {
    assert_eq!(got.len(), expected.len());
    for got in got {
        let expected = expected.iter().find(|array| array.name == got.name).unwrap();
        assert_eq!(got.shape, expected.shape, "{what} {}", got.name);
        for (got_value, expected) in got.values.iter().zip(&expected.values) {
            let error = f64::from((got_value - expected).abs());
            assert!(error < RELATIVE_ERROR * tolerance_of, "{what} {}: {got_value} for {expected}", got.name);
        }
    }
}

#[test]
fn the_vanilla_output_loss_and_gradients_are_pytorchs() {
    let device = Device::flex();
    let model = model("init.", &device.clone().autodiff());
    let output = evaluate::forward(&model.valid(), &values("x1"), FEATURES, &device);
    let reference: Vec<f64> = values("vanilla.output.x1").iter().map(|&v| f64::from(v)).collect();
    check_close("output", &output, &reference);
    check_close("asserted output", &output[7..11], &expected(&["vanilla", "output_x1_flat_7_11"]));
    for (way, gradients) in WAYS {
        let (loss, gradients) = gradients(&batch(|_, value| value), &model);
        check_close(way, &[loss as f32], &expected(&["vanilla", "loss_x1"]));
        let gradients = gradient_arrays(&model, gradients);
        // Gradients reach 1; the differences of weights below 1 are exact to their last bit.
        check_arrays(way, &gradients, &group("vanilla.grad."), 1.0);
        check_close(way, &gradients[0].values[9..13], &expected(&["vanilla", "grad_encoder0_weight_flat_9_13"]));
    }
}

fn check_step(objective: &str, batch: &Batch) {
    let model = model("init.", &Device::flex().autodiff());
    let sgd = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 };
    for (way, gradients) in WAYS {
        let (_, gradients) = gradients(batch, &model);
        let after =
            arrays(&sgd.step(&mut OptimizerState::default(), 1.0, model.clone(), gradients, &mut Buffers::default()));
        check_arrays(&format!("{objective} by {way}"), &after, &group(&format!("{objective}.after.")), 1.0);
        check_close(way, &after[0].values[2..6], &expected(&[objective, "encoder0_weight_after_flat_2_6"]));
    }
}

#[test]
fn a_denoising_step_is_pytorchs() {
    let noise = values("denoising.noise");
    check_step("denoising", &batch(|at, value| value + noise[at]));
}

#[test]
fn a_masked_step_is_pytorchs() {
    let tensors = SafeTensors::deserialize(BYTES).unwrap();
    let mask = tensors.tensor("masked.mask").unwrap();
    check_step("masked", &batch(|at, value| if mask.data()[at] == 1 { 0.0 } else { value }));
}

#[test]
fn an_untrained_probe_over_an_untrained_encoder_has_the_courses_accuracy() {
    let device = Device::flex();
    let model = model("probe.model.", &device);
    let codes = HostLayers::of(&model.encoder).unwrap().forward(&values("probe.x"), &mut Buffers::default());
    let tensors = SafeTensors::deserialize(BYTES).unwrap();
    let labels = tensors.tensor("probe.y").unwrap();
    let (labels, _) = labels.data().as_chunks::<8>();
    let labels: Vec<u32> = labels.iter().map(|bytes| i64::from_le_bytes(*bytes) as u32).collect();
    let weight = values("probe.weight");
    let probe = FittedLinearProbe { weight: Mat::from_fn(2, 4, |i, j| weight[4 * i + j]), bias: values("probe.bias") };
    let accuracy = probe.accuracy(MatRef::from_row_major_slice(&codes, 400, 4), &labels).unwrap();
    assert_eq!(100.0 * accuracy, expected(&["probe", "accuracy_percent"])[0]);
}
