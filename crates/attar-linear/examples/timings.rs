//! Prints how long the crate's hot paths take: `cargo run --release -p attar-linear --example timings`,
//! followed by `-- probe`, `logistic`, `large`, `pca` or `neighbours` for one of them.

use std::time::{Duration, Instant};

use attar_linear::{Error, KNearest, LinearProbe, LogisticRegression, Pca};
use chacha20::ChaCha8Rng;
use faer::MatRef;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

/// Noisy points around one random centre per class.
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

fn linear_probe(features: usize) -> Result<(), Error> {
    let (values, labels) = blobs(4000, features, 2, 4.0, 1);
    let codes = MatRef::from_row_major_slice(&values, 4000, features);
    let mut fastest = Duration::MAX;
    for seed in 0..30 {
        let start = Instant::now();
        LinearProbe { seed, ..Default::default() }.fit(codes, &labels, 2)?;
        fastest = fastest.min(start.elapsed());
    }
    report(&format!("linear probe, 4000 x {features}, 2 classes, 50 epochs, fastest of 30"), fastest);
    Ok(())
}

fn logistic(rows: usize, features: usize, draws: u64) -> Result<(), Error> {
    let (values, labels) = blobs(rows, features, 10, 6.0, 2);
    let codes = MatRef::from_row_major_slice(&values, rows, features);
    let start = Instant::now();
    let fit = |_| LogisticRegression::default().fit(codes, &labels, 10);
    let fits = (0..draws).into_par_iter().map(fit).collect::<Result<Vec<_>, _>>()?;
    report(&format!("logistic, cross-validated, {draws} draws of {rows} x {features}, 10 classes"), start.elapsed());
    for fitted in fits.iter().take(1) {
        let (l2, iterations) = (fitted.l2, fitted.iterations);
        println!("    l2 {l2}, {iterations} iterations, gradient {:.1e}", fitted.gradient_norm);
    }
    Ok(())
}

fn pca(rows: usize, features: usize) -> Result<(), Error> {
    let (values, _) = blobs(rows, features, 10, 1.0, 3);
    let data = MatRef::from_row_major_slice(&values, rows, features);
    let start = Instant::now();
    let fitted = Pca::new(30).fit(data)?;
    report(&format!("pca fit, {rows} x {features}"), start.elapsed());
    let start = Instant::now();
    fitted.transform(data)?;
    report(&format!("pca transform, {rows} x {features} to 30"), start.elapsed());
    Ok(())
}

fn neighbours(rows: usize, queries: usize, features: usize) -> Result<(), Error> {
    let (values, labels) = blobs(rows, features, 10, 1.0, 4);
    let (asked, _) = blobs(queries, features, 10, 1.0, 5);
    let start = Instant::now();
    let fitted = KNearest { k: 5 }.fit(MatRef::from_row_major_slice(&values, rows, features), &labels, 10)?;
    fitted.predict(MatRef::from_row_major_slice(&asked, queries, features))?;
    report(&format!("nearest neighbours, {queries} queries of {rows} x {features}"), start.elapsed());
    Ok(())
}

fn main() -> Result<(), Error> {
    let only = std::env::args().nth(1).unwrap_or_default();
    let runs = |name: &str| only.is_empty() || only == name;
    if runs("probe") {
        [5, 20, 100, 500].into_iter().try_for_each(linear_probe)?;
    }
    if runs("logistic") {
        [10, 50, 100, 200, 1000].into_iter().try_for_each(|rows| logistic(rows, 784, 20))?;
        logistic(1000, 64, 20)?;
    }
    if runs("large") {
        logistic(54_000, 784, 1)?;
    }
    if runs("pca") {
        pca(4000, 100)?;
        pca(54_000, 784)?;
    }
    if runs("neighbours") {
        neighbours(4000, 2000, 100)?;
        neighbours(54_000, 10_000, 64)?;
    }
    Ok(())
}
