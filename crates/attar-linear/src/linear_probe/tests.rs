//! The fast step against the obvious slow one.

use chacha20::ChaCha8Rng;
use faer::{Mat, MatRef};
use rand::{RngExt, SeedableRng};

use super::{AffineCodes, Layer, LinearProbe, padded};

/// One linear layer and textbook Adam, in `f64`, every class computed.
struct Naive {
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
    /// First and second moment of each parameter, biases last.
    moments: Vec<(f64, f64)>,
    steps: i32,
}

impl Naive {
    fn step(&mut self, codes: &[Vec<f64>], labels: &[u32], batch: &[u32], learning_rate: f64) {
        let (classes, features) = (self.bias.len(), codes[0].len());
        let mut gradient = vec![0.0; classes * (features + 1)];
        for &row in batch {
            let code = &codes[row as usize];
            let dot = |w: &Vec<f64>| w.iter().zip(code).map(|(w, x)| w * x).sum::<f64>();
            let logits: Vec<f64> = self.weight.iter().zip(&self.bias).map(|(w, b)| dot(w) + b).collect();
            let total: f64 = logits.iter().map(|z| z.exp()).sum();
            for c in 0..classes {
                let truth = if labels[row as usize] as usize == c { 1.0 } else { 0.0 };
                let residual = (logits[c].exp() / total - truth) / batch.len() as f64;
                for j in 0..features {
                    gradient[c * features + j] += residual * code[j];
                }
                gradient[classes * features + c] += residual;
            }
        }
        self.steps += 1;
        let parameters = self.weight.iter_mut().flatten().chain(&mut self.bias);
        for ((p, g), (m, v)) in parameters.zip(gradient).zip(&mut self.moments) {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            let corrected = (*m / (1.0 - 0.9f64.powi(self.steps)), *v / (1.0 - 0.999f64.powi(self.steps)));
            *p -= learning_rate * corrected.0 / (corrected.1.sqrt() + 1e-8);
        }
    }
}

/// Trains both on the same batches, the last of an epoch uneven, and compares every parameter.
fn check(rows: usize, features: usize, classes: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64((features * classes) as u64);
    let values: Vec<f32> =
        (0..rows * features).map(|i| rng.random_range(-1.0..2.0) * (1 + i % features % 3) as f32).collect();
    let labels: Vec<u32> = (0..rows).map(|i| (i * i % (classes + 2)).min(classes - 1) as u32).collect();
    let mut layer = Layer::new(classes, features, &mut rng);
    let weight = |layer: &Layer| -> Vec<Vec<f64>> {
        (0..classes)
            .map(|c| layer.parameters[c * layer.width..][..features].iter().map(|&w| f64::from(w)).collect())
            .collect()
    };
    let bias =
        |layer: &Layer| layer.parameters[classes * layer.width..].iter().map(|&b| f64::from(b)).collect::<Vec<_>>();
    let moments = vec![(0.0, 0.0); classes * (features + 1)];
    let mut naive = Naive { weight: weight(&layer), bias: bias(&layer), moments, steps: 0 };
    let wide: Vec<Vec<f64>> = values.chunks(features).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
    let codes = padded(MatRef::from_row_major_slice(&values, rows, features));
    let order: Vec<u32> = (0..rows as u32).map(|i| i * 7 % rows as u32).collect();
    for _ in 0..12 {
        for batch in order.chunks(19) {
            layer.step(&codes, &labels, batch, 0.01);
            naive.step(&wide, &labels, batch, 0.01);
        }
    }
    let fast = weight(&layer).concat().into_iter().chain(bias(&layer));
    let slow = naive.weight.concat().into_iter().chain(naive.bias);
    let worst = fast.zip(slow).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 2e-4, "{rows} x {features}, {classes} classes: parameters differ by {worst}");
}

#[test]
fn the_fast_step_agrees_with_the_naive_one() {
    for (rows, features, classes) in [(50, 1, 2), (100, 5, 2), (100, 16, 3), (64, 17, 10), (83, 100, 2), (40, 130, 4)] {
        check(rows, features, classes);
    }
}

/// A probe through a map against the same probe on the codes that the map makes.
#[test]
fn a_probe_through_a_map_is_the_probe_on_its_codes() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (rows, inputs, features, classes) in [(90, 3, 20, 2), (120, 17, 40, 3), (70, 8, 5, 2)] {
        let mut random = |rows, columns| Mat::from_fn(rows, columns, |_, _| rng.random_range(-1.0f32..1.5));
        let (x, weight, bias) = (random(rows, inputs), random(inputs, features), random(features, 1));
        let bias = bias.col(0).iter().copied().collect::<Vec<_>>();
        let codes = &x * &weight;
        let codes = Mat::from_fn(rows, features, |i, j| codes[(i, j)] + bias[j]);
        let class = |row: usize| (0..classes - 1).take_while(|&c| x[(row, c)] > 0.2).count() as u32;
        let labels: Vec<u32> = (0..rows).map(class).collect();
        let probe = LinearProbe { epochs: 20, batch_size: 13, learning_rate: 0.01, seed: 3 };
        let on_codes = probe.fit(codes.as_ref(), &labels, classes).unwrap();
        let affine = AffineCodes { inputs: x.as_ref(), weight: weight.as_ref(), bias: &bias };
        let through = probe.fit_affine(&affine, &labels, classes).unwrap();
        let difference = (&on_codes.weight - &through.weight).norm_max();
        assert!(difference < 2e-4, "{inputs} to {features}: weights differ by {difference}");
        let shift = on_codes.bias.iter().zip(&through.bias).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(shift < 2e-4, "{inputs} to {features}: biases differ by {shift}");
        let accuracy = on_codes.accuracy(codes.as_ref(), &labels).unwrap();
        let of_through = through.accuracy_affine(&affine, &labels).unwrap();
        assert!((accuracy - of_through).abs() < 1.5 / rows as f64, "{accuracy} and {of_through}");
        assert!(accuracy > 0.6, "the probe learned something: {accuracy}");
    }
}

#[test]
fn a_map_that_does_not_fit_is_refused() {
    let (x, weight) = (Mat::from_fn(4, 2, |i, j| (i + j) as f32), Mat::<f32>::zeros(3, 5));
    let codes = AffineCodes { inputs: x.as_ref(), weight: weight.as_ref(), bias: &[0.0; 5] };
    let error = LinearProbe::default().fit_affine(&codes, &[0, 1, 0, 1], 2).unwrap_err();
    assert!(error.to_string().contains("rows of the map"), "{error}");
}
