//! Prints how long the crate's hot paths take: `cargo run --release -p attar-linear --example timings`.

use std::time::{Duration, Instant};

use attar_linear::{KNearest, L2, LinearProbe, LogisticRegression, Pca};
use faer::MatRef;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Noisy points around one random centre per class, half of the features constant as in images of digits.
fn blobs(rows: usize, features: usize, classes: usize, spread: f32, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let centres: Vec<f32> = (0..classes * features).map(|_| rng.random_range(-1.0..1.0)).collect();
    let labels: Vec<u32> = (0..rows).map(|i| (i % classes) as u32).collect();
    let mut values = Vec::with_capacity(rows * features);
    for &label in &labels {
        let centre = &centres[label as usize * features..][..features];
        values.extend(centre.iter().map(|c| c + spread * (rng.random::<f32>() + rng.random::<f32>() - 1.0)));
    }
    (values, labels)
}

fn report(what: &str, elapsed: Duration) {
    println!("{what:<72} {:>12.3} ms", elapsed.as_secs_f64() * 1e3);
}

fn linear_probe(features: usize) {
    let (values, labels) = blobs(4000, features, 2, 4.0, 1);
    let codes = MatRef::from_row_major_slice(&values, 4000, features);
    let time = |seed| {
        let start = Instant::now();
        LinearProbe { seed, ..Default::default() }.fit(codes, &labels, 2).unwrap();
        start.elapsed()
    };
    let fastest = (0..30).map(time).min().unwrap_or_default();
    report(&format!("linear probe, 4000 x {features}, 2 classes, 50 epochs, fastest of 30"), fastest);
}

fn logistic(rows: usize, features: usize, draws: u64, l2: L2) {
    let (values, labels) = blobs(rows, features, 10, 6.0, 2);
    let codes = MatRef::from_row_major_slice(&values, rows, features);
    let start = Instant::now();
    let fits: Vec<_> = (0..draws)
        .into_par_iter()
        .map(|_| LogisticRegression { l2: l2.clone(), ..Default::default() }.fit(codes, &labels, 10).unwrap())
        .collect();
    let how = if matches!(l2, L2::Fixed(_)) { "fixed" } else { "cross-validated" };
    let last = &fits[fits.len() - 1];
    report(&format!("logistic, {how}, {draws} draws of {rows} x {features}, 10 classes"), start.elapsed());
    println!(
        "    l2 {}, {} iterations, gradient {:.1e}, converged {}, scores {:?}",
        last.l2,
        last.iterations,
        last.gradient_norm,
        last.converged,
        last.scores.iter().map(|s| (s.l2, (s.loss * 1e4).round() / 1e4)).collect::<Vec<_>>()
    );
}

fn pca(rows: usize, features: usize) {
    let (values, _) = blobs(rows, features, 10, 1.0, 3);
    let data = MatRef::from_row_major_slice(&values, rows, features);
    let start = Instant::now();
    let fitted = Pca { components: 30 }.fit(data).unwrap();
    report(&format!("pca fit, {rows} x {features}"), start.elapsed());
    let start = Instant::now();
    fitted.transform(data).unwrap();
    report(&format!("pca transform, {rows} x {features} to 30"), start.elapsed());
}

fn neighbours(rows: usize, queries: usize, features: usize) {
    let (values, labels) = blobs(rows, features, 10, 1.0, 4);
    let (asked, _) = blobs(queries, features, 10, 1.0, 5);
    let start = Instant::now();
    let fitted = KNearest { k: 5 }.fit(MatRef::from_row_major_slice(&values, rows, features), &labels, 10).unwrap();
    fitted.predict(MatRef::from_row_major_slice(&asked, queries, features)).unwrap();
    report(&format!("nearest neighbours, {queries} queries of {rows} x {features}"), start.elapsed());
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let runs = |name: &str| only.is_empty() || only == name;
    if runs("probe") {
        [5, 20, 100, 500].into_iter().for_each(linear_probe);
    }
    if runs("logistic") {
        for rows in [10, 50, 100, 200, 1000] {
            logistic(rows, 784, 20, L2::default());
        }
        logistic(1000, 64, 20, L2::default());
    }
    if runs("large") {
        logistic(54_000, 784, 1, L2::default());
    }
    if runs("pca") {
        pca(4000, 100);
        pca(54_000, 784);
    }
    if runs("neighbours") {
        neighbours(4000, 2000, 100);
        neighbours(54_000, 10_000, 64);
    }
}
