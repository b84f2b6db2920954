//! One method at one length: time forward and backward, and the memory that it takes, in a process of its own.

use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use attar_attention::{Attention, Form, Inputs, Shape, Similarity};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::arithmetic::normals;
use super::composed;
use crate::error::CliError;
use crate::output::print;

/// Width of queries, keys and values.
pub(super) const DIM: usize = 64;

/// Seconds after which a method is not tried again, and the most tries.
const ENOUGH: f64 = 0.5;
const TRIES: usize = 9;

/// How attention is computed for question 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// Softmax, block by block
    SoftmaxTiled,
    /// (q.k)^2 through sums of features
    QuadraticLinear,
    /// elu + 1 through sums of features
    EluLinear,
    /// Softmax composed of Burn's operations
    SoftmaxStored,
    /// (q.k)^2 through features, composed of Burn's operations
    QuadraticStored,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Cell {
    /// Seconds, the least of some tries.
    pub(super) forward: f64,
    pub(super) backward: f64,
    /// Largest resident memory beyond that of the inputs, in bytes; nothing where the system does not tell.
    pub(super) memory: Option<f64>,
}

impl Cell {
    pub(super) fn total(&self) -> f64 {
        self.forward + self.backward
    }
}

/// The inputs of one head of one sequence, and the gradient of its output.
pub(super) struct Rows {
    length: usize,
    pub(super) queries: Vec<f32>,
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
    pub(super) of_output: Vec<f32>,
}

impl Rows {
    pub(super) fn new(length: usize, seed: u64) -> Self {
        let draw = |part| -> Vec<f32> {
            let values = normals(length * DIM, seed, [5, length as u64, part]);
            values.into_iter().map(|value| value as f32).collect()
        };
        Self { length, queries: draw(0), keys: draw(1), values: draw(2), of_output: draw(3) }
    }

    pub(super) fn inputs(&self) -> Inputs<'_, f32> {
        let Self { length, queries, keys, values, .. } = self;
        let (queries_of, keys_of) = (*length, *length);
        let shape =
            Shape { batch: 1, heads: 1, key_heads: 1, queries: queries_of, keys: keys_of, dim: DIM, value_dim: DIM };
        Inputs { shape, queries, keys, values, hidden: None }
    }
}

/// Measures here and prints the cell as a line of JSON.
pub(super) fn measure(method: Method, length: usize, seed: u64) -> Result<(), CliError> {
    let rows = Rows::new(length, seed);
    let before = status("VmRSS:");
    let (mut least, mut spent, mut memory) = ([f64::INFINITY; 2], 0.0, None);
    for attempt in 0..TRIES {
        let times = once(method, &rows)?;
        // Of the first alone: what one pass takes, before the allocator keeps anything.
        if attempt == 0 {
            memory = status("VmHWM:").zip(before).map(|(most, before)| (most - before).max(0.0));
        }
        least.iter_mut().zip(times).for_each(|(least, time)| *least = least.min(time));
        spent += times.iter().sum::<f64>();
        if spent > ENOUGH {
            break;
        }
    }
    let [forward, backward] = least;
    print(&format!("{}\n", serde_json::to_string(&Cell { forward, backward, memory })?))
}

/// Seconds forward and backward.
fn once(method: Method, rows: &Rows) -> Result<[f64; 2], CliError> {
    let ours = |similarity, form| -> Result<[f64; 2], CliError> {
        let attention = Attention::new(similarity);
        let inputs = rows.inputs();
        let start = Instant::now();
        let forward = attention.forward(form, &inputs)?;
        let between = Instant::now();
        black_box(attention.backward(&inputs, &forward, &rows.of_output)?);
        Ok([(between - start).as_secs_f64(), between.elapsed().as_secs_f64()])
    };
    let stored = |attend: fn(&Rows) -> composed::Graph| {
        let start = Instant::now();
        let graph = attend(rows);
        let between = Instant::now();
        black_box(graph.backward());
        Ok([(between - start).as_secs_f64(), between.elapsed().as_secs_f64()])
    };
    match method {
        Method::SoftmaxTiled => ours(Similarity::Softmax { scale: None }, Form::Tiled),
        Method::QuadraticLinear => ours(Similarity::QUADRATIC, Form::Linear),
        Method::EluLinear => ours(Similarity::Elu, Form::Linear),
        Method::SoftmaxStored => stored(composed::softmax),
        Method::QuadraticStored => stored(composed::quadratic),
    }
}

/// A size that Linux tells of this process, in bytes.
fn status(name: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kibibytes| 1024.0 * kibibytes)
}

/// Measures in a process of its own, on as many threads as here.
pub(super) fn measured_apart(method: Method, length: usize, seed: u64) -> Result<Cell, CliError> {
    let failed = |why: String| CliError::run(format!("measuring {method:?} at length {length}: {why}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let name = method.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let (length, seed, threads) = (length.to_string(), seed.to_string(), rayon::current_num_threads().to_string());
    let arguments =
        ["lab", "attention", "--measure", &name, "--length", &length, "--seed", &seed, "--threads", &threads];
    let output = Command::new(program).args(arguments).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("{}, {}", output.status, String::from_utf8_lossy(&output.stderr).trim())));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_runs() {
        let rows = Rows::new(50, 1);
        for method in Method::value_variants() {
            let times = once(*method, &rows).unwrap();
            assert!(times.iter().all(|time| *time > 0.0), "{method:?}: {times:?}");
        }
    }
}
