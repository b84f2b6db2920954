//! Times PCA of rows in a file of raw `f32`: `bench/pca` runs it beside scikit-learn.
//!
//!     cargo run --release -p attar-linear --example pca -- FILE FEATURES COMPONENTS fit|stream
//!
//! `fit` holds the rows in memory and prints one line of JSON: seconds of each part, and the mean squared error of the
//! reconstruction of a row. `stream` reads the file ten times in batches and prints seconds and the largest resident
//! set. Threads are those of `RAYON_NUM_THREADS`.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::time::Instant;

use attar_linear::{CovarianceSum, FittedPca, Pca, Solver};
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

/// Times that each part is measured.
const REPEATS: usize = 5;

/// Rows that a stream hands over at a time.
const BATCH: usize = 2000;

/// Times that the stream goes through the file.
const PASSES: usize = 10;

/// Rows multiplied at a time where the rate of products is measured.
const BLOCK: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, features, components, what] = &arguments[..] else {
        return Err("expected FILE FEATURES COMPONENTS fit|stream".into());
    };
    let (features, components) = (features.parse()?, components.parse()?);
    match what.as_str() {
        "fit" => fit(file, features, components),
        "stream" => stream(file, features, components),
        other => Err(format!("expected fit or stream, got {other}").into()),
    }
}

fn fit(file: &str, features: usize, components: usize) -> Result<(), Box<dyn Error>> {
    let values = numbers(&std::fs::read(file)?);
    let rows = MatRef::from_row_major_slice(&values, values.len() / features, features);
    let (product, ()) = timed(|| multiply(rows));
    let (auto, fitted) = timed(|| Pca::new(components).fit(rows));
    let halko = Solver::Randomised { oversampling: 10, iterations: 7, seed: 0 };
    let (randomised, approximate) = timed(|| Pca { solver: halko, ..Pca::new(components) }.fit(rows));
    let (adding, sum) = timed(|| add_batches(rows));
    let sum = sum?;
    let (eigen, streamed) = timed(|| Pca::new(components).fit_covariance(&sum));
    let fitted = fitted?;
    let (auto_error, streamed_error) = (error(&fitted, rows)?, error(&streamed?, rows)?);
    let randomised_error = error(&approximate?, rows)?;
    println!(
        "{{\"solver\": \"{:?}\", \"seconds\": {{\"auto\": {auto}, \"randomised\": {randomised}, \"stream\": {}, \
         \"product\": {product}, \"eigen\": {eigen}}}, \"errors\": {{\"auto\": {auto_error}, \
         \"randomised\": {randomised_error}, \"stream\": {streamed_error}}}}}",
        fitted.solver,
        adding + eigen,
    );
    Ok(())
}

fn stream(file: &str, features: usize, components: usize) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut sum = CovarianceSum::new(features);
    let mut bytes = vec![0; 4 * BATCH * features];
    for _ in 0..PASSES {
        let mut file = File::open(file)?;
        loop {
            let read = read_whole(&mut file, &mut bytes)?;
            if read == 0 {
                break;
            }
            let batch = numbers(&bytes[..read]);
            sum.add(MatRef::from_row_major_slice(&batch, batch.len() / features, features))?;
        }
    }
    Pca::new(components).fit_covariance(&sum)?;
    let (seconds, rows) = (start.elapsed().as_secs_f64(), sum.count());
    println!("{{\"rows\": {rows}, \"seconds\": {seconds}, \"peak_mb\": {}}}", peak_mb()?);
    Ok(())
}

/// Median seconds, and the last result.
fn timed<R>(work: impl Fn() -> R) -> (f64, R) {
    let once = || {
        let start = Instant::now();
        let result = work();
        (start.elapsed().as_secs_f64(), result)
    };
    let mut seconds: Vec<f64> = (1..REPEATS).map(|_| once().0).collect();
    let (last, result) = once();
    seconds.push(last);
    seconds.sort_by(f64::total_cmp);
    (seconds[REPEATS / 2], result)
}

/// The symmetric products of all blocks, and nothing else: below this no covariance of all features can come.
fn multiply(rows: MatRef<'_, f32>) {
    let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    let starts: Vec<usize> = (0..rows.nrows()).step_by(BLOCK).collect();
    starts.par_iter().for_each_init(
        || Mat::<f32>::zeros(rows.ncols(), rows.ncols()),
        |product, &start| {
            let block = rows.subrows(start, BLOCK.min(rows.nrows() - start));
            matmul(product, lower, Accum::Add, block.transpose(), whole, block, whole, 1.0, Par::Seq);
        },
    );
}

fn add_batches(rows: MatRef<'_, f32>) -> Result<CovarianceSum, attar_linear::Error> {
    let mut sum = CovarianceSum::new(rows.ncols());
    for start in (0..rows.nrows()).step_by(BATCH) {
        sum.add(rows.subrows(start, BATCH.min(rows.nrows() - start)))?;
    }
    Ok(sum)
}

/// The squared error of the reconstruction, summed over features and averaged over rows.
fn error(pca: &FittedPca, rows: MatRef<'_, f32>) -> Result<f64, attar_linear::Error> {
    let back = pca.inverse_transform(pca.transform(rows)?.as_ref())?;
    let square = |j: usize| back.col(j).iter().zip(rows.col(j).iter()).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    let squares: Vec<f64> = (0..rows.ncols()).into_par_iter().map(square).collect();
    Ok(squares.iter().sum::<f64>() / rows.nrows() as f64)
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn read_whole(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// The largest resident set so far, in MB; not a number where the system does not tell.
fn peak_mb() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(match line.and_then(|line| line.split_whitespace().next()) {
        Some(kilobytes) => kilobytes.parse::<f64>()? / 1e3,
        None => f64::NAN,
    })
}
