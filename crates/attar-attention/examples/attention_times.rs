//! Times attention forward and backward in `f32`, for `bench/attention`: each line of standard input is a case, each
//! line of output its JSON.
//!
//! `elu auto causal 4096 8 64 0.5`: similarity, form, `causal` or `full`, length, heads, width of queries, keys and
//! values, seconds to spend, where 0 predicts alone. `product` answers with the rate of products of 2048 x 2048.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use attar_attention::{Attention, Cost, Form, HardGradient, Inputs, Shape, Similarity};
use attar_ops::{Matrix, Precision, awake, product, zeros};

const PRODUCT: usize = 2048;
const MOST_TRIES: usize = 25;

fn similarity(name: &str) -> Result<Similarity, String> {
    Ok(match name {
        "softmax" => Similarity::Softmax { scale: None },
        "quadratic" => Similarity::QUADRATIC,
        "quadratic-plus-one" => Similarity::QUADRATIC_PLUS_ONE,
        "affine" => Similarity::Polynomial { scale: 1.0, shift: 1.0, degree: 1 },
        "quartic" => Similarity::Polynomial { scale: 1.0, shift: 0.0, degree: 4 },
        "elu" => Similarity::Elu,
        "relu" => Similarity::Relu,
        "random" => Similarity::Random { features: 256, seed: 0, scale: None },
        "hard" => Similarity::Hard { gradient: HardGradient::StraightThrough { scale: None } },
        "argmax" => Similarity::Hard { gradient: HardGradient::None },
        _ => return Err(format!("no similarity {name}")),
    })
}

fn form(name: &str) -> Result<Form, String> {
    match name {
        "tiled" => Ok(Form::Tiled),
        "linear" => Ok(Form::Linear),
        "auto" => Ok(Form::Auto),
        _ => Err(format!("no form {name}")),
    }
}

/// Numbers of variance 1 between -1.7 and 1.7 (Marsaglia 2003, xorshift).
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f64 / f64::from(1 << 23) - 1.0) * 3_f64.sqrt()
    };
    // In large pages, as what the peer makes.
    let mut values = zeros(count);
    values.iter_mut().for_each(|value| *value = next() as f32);
    values
}

/// Milliseconds of each try, after one that is not counted: it pays for new pages of memory.
fn milliseconds<E>(seconds: f64, mut work: impl FnMut() -> Result<(), E>) -> Result<Vec<f64>, E> {
    let (start, mut tries) = (Instant::now(), Vec::new());
    while tries.len() < 2 || (start.elapsed().as_secs_f64() < seconds && tries.len() <= MOST_TRIES) {
        let before = Instant::now();
        work()?;
        tries.push(before.elapsed().as_secs_f64() * 1e3);
    }
    tries.remove(0);
    Ok(tries)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn product_rate() -> Result<String, Box<dyn Error>> {
    let (factor, mut out) = (vec![0.5_f32; PRODUCT * PRODUCT], vec![0.0; PRODUCT * PRODUCT]);
    let times = milliseconds(1.0, || {
        let factor = Matrix::row_major(&factor, PRODUCT);
        awake(|| product(Precision::Full, &mut out, factor, factor));
        Ok::<_, Box<dyn Error>>(())
    })?;
    Ok(format!(r#"{{"gflops": {:.2}}}"#, 2.0 * (PRODUCT as f64).powi(3) / median(times) / 1e6))
}

/// The largest resident set so far, where the system says.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1e3
}

/// Median milliseconds forward and backward, and the form that was taken.
fn time(attention: &Attention, form: Form, shape: Shape, seconds: f64) -> Result<(f64, Form), attar_attention::Error> {
    let [queries, keys] = [1, 2].map(|seed| noise(shape.rows() * shape.dim, seed << 20));
    let [values, of_output] = [3, 4].map(|seed| noise(shape.rows() * shape.value_dim, seed << 20));
    let inputs = Inputs { shape, queries: &queries, keys: &keys, values: &values, hidden: None };
    let mut taken = form;
    // As within a training loop; the peer's threads do not fall asleep between its operations either.
    let times = awake(|| {
        milliseconds(seconds, || {
            let forward = attention.forward(form, &inputs)?;
            taken = forward.form();
            std::hint::black_box(attention.backward(&inputs, &forward, &of_output)?);
            Ok(())
        })
    })?;
    Ok((median(times), taken))
}

fn answer(case: &str) -> Result<String, Box<dyn Error>> {
    let words: Vec<&str> = case.split_whitespace().collect();
    if words == ["product"] {
        return product_rate();
    }
    let [name, form_name, causal, length, heads, width, seconds] = words[..] else { return Err(case.into()) };
    let [length, heads, width] = [length.parse()?, heads.parse()?, width.parse()?];
    let shape =
        Shape { batch: 1, heads, key_heads: heads, queries: length, keys: length, dim: width, value_dim: width };
    let attention = Attention { causal: causal == "causal", allow_signed: true, ..Attention::new(similarity(name)?) };
    let (choice, seconds) = (attention.choose(&shape)?, seconds.parse()?);
    let timed = if seconds > 0.0 { Some(time(&attention, form(form_name)?, shape, seconds)?) } else { None };
    let costs: Vec<String> = choice.costs.iter().map(cost).collect();
    let (ms, taken) = timed.map_or(("null".to_string(), choice.form), |(ms, taken)| (format!("{ms:.5}"), taken));
    let (form, costs) = (lower(taken), costs.join(", "));
    Ok(format!(r#"{{"ms": {ms}, "form": "{form}", "costs": {{{costs}}}, "peak_mb": {:.1}}}"#, peak_mb()))
}

fn cost(cost: &Cost) -> String {
    let Cost { form, flops, elements, bytes, seconds } = cost;
    let (form, ms) = (lower(*form), 1e3 * seconds);
    format!(r#""{form}": {{"ms": {ms}, "flops": {flops}, "elements": {elements}, "bytes": {bytes}}}"#)
}

fn lower(form: Form) -> String {
    format!("{form:?}").to_lowercase()
}

fn main() -> Result<(), Box<dyn Error>> {
    // This thread is one of those that work, as the peer's is: the C library keeps freed memory for the first thread
    // alone, and returns the large arrays of others to the system at once.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global()?;
    for case in std::io::stdin().lock().lines() {
        println!("{}", answer(&case?)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}
