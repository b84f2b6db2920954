//! Question 5: time and memory by length, and where the quadratic kernel overtakes softmax.

use std::time::Instant;

use attar_attention::{Attention, Form, Shape, Similarity};
use attar_report::{Axis, Block, Dash};

use super::Lab;
use super::cell::{Cell, DIM, Method, measured_apart};
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::{dotted, line, lines, panel, table};
use crate::commands::lab::power_law::{crossing, exponent};
use crate::commands::lab::questions::Part;
use crate::error::CliError;

const SHORTEST: usize = 256;
const LONGEST: usize = 65_536;
/// From here on times and memory are of the length, not of starting threads.
const FIT_FROM: f64 = 2048.0;
/// The most memory that a measurement is expected to take, in bytes.
const MOST_MEMORY: f64 = 2e9;

const METHODS: [(Method, &str); 5] = [
    (Method::SoftmaxTiled, "softmax, tiled"),
    (Method::QuadraticLinear, "(q.k)^2, linear"),
    (Method::EluLinear, "elu + 1, linear"),
    (Method::SoftmaxStored, "softmax, weights stored"),
    (Method::QuadraticStored, "(q.k)^2, features stored"),
];

/// Features of a row in the quadratic kernel.
const FEATURES: f64 = (DIM * (DIM + 1) / 2) as f64;

/// The cells of one method by length, and why there are no longer ones.
struct Ladder {
    method: Method,
    name: &'static str,
    cells: Vec<(f64, Cell)>,
    ended: Option<&'static str>,
}

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let ladders = measure(lab.budget, |method, length| measured_apart(method, length, lab.seed))?;
    let mut claims: Vec<Claim> = ladders.iter().filter_map(of_time).collect();
    claims.extend(ladders.iter().filter_map(of_memory));
    claims.extend(of_stored(&ladders));
    claims.extend(of_crossover(&ladders));
    let mut figures = vec![times(&ladders), memories(&ladders), numbers(&ladders), counts()];
    figures.extend(missing(&ladders).map(Block::Warning));
    Ok(Part { answer: answer(claims), figures })
}

/// Climbs all ladders side by side, as long as what comes next fits into the time that is left.
fn measure(budget: f64, cell: impl Fn(Method, usize) -> Result<Cell, CliError>) -> Result<Vec<Ladder>, CliError> {
    let started = Instant::now();
    let mut ladders = METHODS.map(|(method, name)| Ladder { method, name, cells: Vec::new(), ended: None });
    let mut length = SHORTEST;
    while length <= LONGEST {
        for ladder in ladders.iter_mut().filter(|ladder| ladder.ended.is_none()) {
            ladder.ended = ladder.why_not(budget - started.elapsed().as_secs_f64());
            if ladder.ended.is_none() {
                ladder.cells.push((length as f64, cell(ladder.method, length)?));
            }
        }
        length *= 2;
    }
    Ok(ladders.into())
}

impl Ladder {
    /// Why twice the length is not measured: a method of time N^2 takes four times as long, and so does its memory grow.
    fn why_not(&self, seconds_left: f64) -> Option<&'static str> {
        let (_, last) = self.cells.last()?;
        let squared = matches!(self.method, Method::SoftmaxTiled | Method::SoftmaxStored);
        let growth = if squared { 4.0 } else { 2.0 };
        let memory_growth = if self.method == Method::SoftmaxStored { 4.0 } else { 2.0 };
        if growth * last.total() > seconds_left {
            return Some("the time that was given");
        }
        (memory_growth * last.memory.unwrap_or(0.0) > MOST_MEMORY).then_some("2 GB of memory")
    }

    fn points(&self, of: impl Fn(&Cell) -> Option<f64>) -> Vec<(f64, f64)> {
        self.cells.iter().filter_map(|(length, cell)| Some((*length, of(cell)?))).collect()
    }
}

/// The exponent of the length in the time, where it was measured often enough.
fn of_time(ladder: &Ladder) -> Option<Claim> {
    let expected = match ladder.method {
        Method::SoftmaxTiled => 2.0,
        Method::QuadraticLinear | Method::EluLinear => 1.0,
        // Of few lengths, whose times are those of new memory.
        Method::SoftmaxStored | Method::QuadraticStored => return None,
    };
    let (sentence, found) = fitted(ladder, "time forward and backward", |cell| Some(cell.total()))?;
    // Nearer to this exponent than to the other one.
    Some(Claim::near(sentence, found, expected, 0.5))
}

/// That of the memory. In our forms it is at most 1: states of a size of their own make the line start flat.
fn of_memory(ladder: &Ladder) -> Option<Claim> {
    let (sentence, found) = fitted(ladder, "memory beyond the inputs", |cell| cell.memory)?;
    Some(match ladder.method {
        Method::SoftmaxStored => Claim::near(sentence, found, 2.0, 0.3),
        Method::QuadraticStored => Claim::near(sentence, found, 1.0, 0.3),
        Method::SoftmaxTiled | Method::QuadraticLinear | Method::EluLinear => Claim::at_most(sentence, found, 1.3),
    })
}

/// An exponent of the length, and what it is of.
fn fitted(ladder: &Ladder, what: &str, of: impl Fn(&Cell) -> Option<f64>) -> Option<(String, f64)> {
    let points: Vec<(f64, f64)> = ladder.points(of).into_iter().filter(|(length, _)| *length >= FIT_FROM).collect();
    let found = exponent(&points)?;
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let interval = format!("[{}, {}]", shown(found.interval.low), shown(found.interval.high));
    let name = ladder.name;
    Some((format!("{name}: exponent of N in the {what}, N from {first} to {last}, interval {interval}"), found.value))
}

/// What is stored for the way back, against what must be there.
fn of_stored(ladders: &[Ladder]) -> Vec<Claim> {
    let last = |wanted: Method| {
        let ladder = ladders.iter().find(|ladder| ladder.method == wanted)?;
        ladder.points(|cell| cell.memory).last().copied().filter(|(length, _)| *length >= FIT_FROM)
    };
    let mut claims = Vec::new();
    if let Some((length, memory)) = last(Method::SoftmaxStored) {
        let sentence = format!("softmax, weights stored, N = {length}: memory over one N x N matrix of f32");
        claims.push(Claim::at_least(sentence, memory / (4.0 * length * length), 1.0));
    }
    if let Some((length, memory)) = last(Method::QuadraticStored) {
        let sentence =
            format!("(q.k)^2, features stored, N = {length}: memory over two N x {FEATURES} matrices of f32");
        claims.push(Claim::at_least(sentence, memory / (8.0 * length * FEATURES), 1.0));
    }
    for (method, name, state) in [
        (Method::SoftmaxTiled, "softmax, tiled", 0.0),
        (Method::QuadraticLinear, "(q.k)^2, linear", FEATURES * (DIM + 1) as f64),
    ] {
        if let Some((length, memory)) = last(method) {
            // Output, three gradients and a denominator for each row; a state for every running sum.
            let counted = 4.0 * (length * (4 * DIM + 1) as f64 + state);
            let sentence =
                format!("{name}, N = {length}: memory over that of output, gradients, denominators and one state");
            claims.push(Claim::at_most(sentence, memory / counted, MOST_OVER_COUNTED));
        }
    }
    claims
}

/// Work areas of some threads, and sums that are kept for parts of the sequence.
const MOST_OVER_COUNTED: f64 = 4.0;

/// Where as many operations are counted, forward and backward, for the quadratic kernel through features as for softmax:
/// the one count grows as N, the other as N^2.
fn counted_crossover() -> f64 {
    const LENGTH: usize = 1 << 12;
    let shape = Shape { batch: 1, heads: 1, key_heads: 1, queries: LENGTH, keys: LENGTH, dim: DIM, value_dim: DIM };
    let flops = |similarity, form| {
        let costs = Attention::new(similarity).choose(&shape).map(|choice| choice.costs).unwrap_or_default();
        costs.iter().find(|cost| cost.form == form).map_or(f64::NAN, |cost| cost.flops)
    };
    let linear = flops(Similarity::QUADRATIC, Form::Linear);
    LENGTH as f64 * linear / flops(Similarity::Softmax { scale: None }, Form::Tiled)
}

/// The same of the way forward alone: `2 N^2 (D + M)` against `4 N C (M + 1)` operations.
fn counted_forward() -> f64 {
    2.0 * FEATURES * (DIM + 1) as f64 / (2 * DIM) as f64
}

fn of_crossover(ladders: &[Ladder]) -> Option<Claim> {
    let points = |wanted: Method| {
        let ladder = ladders.iter().find(|ladder| ladder.method == wanted)?;
        Some(ladder.points(|cell| Some(cell.total())))
    };
    let found = crossing(&points(Method::SoftmaxTiled)?, &points(Method::QuadraticLinear)?);
    let counted = counted_crossover();
    let reached = points(Method::SoftmaxTiled)?.last().is_some_and(|(length, _)| *length > 2.0 * counted);
    let found = found.or(reached.then_some(f64::NAN))?;
    let sentence = format!(
        "(q.k)^2, linear, is quicker than softmax, tiled, from N = {} on, counted {}: base 2 logarithm of the quotient",
        shown(found.round()),
        shown(counted.round())
    );
    Some(Claim::near(sentence, (found / counted).log2(), 0.0, 1.0))
}

/// A series for each method, of the same colour in every figure.
fn coloured<'a>(ladders: &'a [Ladder], of: impl Fn(&Cell) -> Option<f64> + Copy + 'a) -> Vec<attar_report::Series> {
    let series = |(colour, ladder): (usize, &Ladder)| dotted(ladder.name, colour, &ladder.points(of));
    ladders.iter().enumerate().map(series).collect()
}

fn times(ladders: &[Ladder]) -> Block {
    let milliseconds = |of: fn(&Cell) -> f64| coloured(ladders, move |cell: &Cell| Some(1e3 * of(cell)));
    let panels = vec![
        panel("forward", milliseconds(|cell| cell.forward)),
        panel("backward", milliseconds(|cell| cell.backward)),
    ];
    let caption = format!(
        "One head, D = M = {DIM}, f32, not causal, {} threads; the least of up to 9 tries. The two with stored arrays are \
         compositions of Burn's operations with its autodiff, there for their memory.",
        rayon::current_num_threads()
    );
    lines("Time by length", &caption, [Axis::log("N"), Axis::log("milliseconds")], panels)
}

fn memories(ladders: &[Ladder]) -> Block {
    let mut series = coloured(ladders, |cell| cell.memory.map(|bytes| bytes / 1e6));
    let lengths = [SHORTEST as f64, LONGEST as f64];
    let rows = lengths.map(|length| (length, 4e-6 * length * (4 * DIM + 1) as f64));
    series.push(line("output, gradients, denominators", METHODS.len(), Dash::Dotted, &rows));
    let caption = "Largest resident memory of a process that goes forward and backward once, less what it held with its \
                   inputs.";
    lines("Memory by length", caption, [Axis::log("N"), Axis::log("megabytes")], vec![panel("", series)])
}

fn numbers(ladders: &[Ladder]) -> Block {
    let rows = ladders.iter().flat_map(|ladder| {
        ladder.cells.iter().map(|(length, cell)| {
            let memory = cell.memory.map_or_else(|| "not told".to_owned(), |bytes| format!("{:.1}", bytes / 1e6));
            let [forward, backward] = [cell.forward, cell.backward].map(|seconds| format!("{:.2}", 1e3 * seconds));
            vec![ladder.name.to_owned(), length.to_string(), forward, backward, memory]
        })
    });
    let columns = ["attention", "N", "forward, ms", "backward, ms", "memory, MB"];
    table("Time and memory", "", &columns, rows.collect())
}

fn counts() -> Block {
    let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
    let rows = vec![
        row(["softmax, weights stored", "N^2 max(D, M)", "N^2 + N (D + M)", "N^2"]),
        row(["degree 2, features stored", "N D^2 M", "N (D^2 + M) + D^2 M", "N D^2"]),
        row(["softmax, tiled", "N^2 max(D, M)", "N (D + M)", "N"]),
        row(["degree 2, linear", "N D^2 M", "N (D + M) + D^2 M", "N M"]),
    ];
    let columns = ["attention", "time", "memory", "stored for the way back"];
    table("What must be so, up to constants", "", &columns, rows)
}

/// What was not measured, and why.
fn missing(ladders: &[Ladder]) -> Option<String> {
    let ended = |ladder: &Ladder| {
        let (length, _) = ladder.cells.last()?;
        Some(format!("{} ends at N = {length}, the next going beyond {}", ladder.name, ladder.ended?))
    };
    let all: Vec<String> = ladders.iter().filter_map(ended).collect();
    (!all.is_empty())
        .then(|| format!("Not all lengths were measured (`--budget` gives more time): {}.", all.join("; ")))
}

fn answer(claims: Vec<Claim>) -> Answer {
    let [counted, forward] = [counted_crossover(), counted_forward()].map(f64::round);
    let text = match claims.is_empty() {
        true => "Too little was measured in the time that was given to say.",
        false => {
            "Time grows as N^2 with softmax and as N through features; memory grows as N in both of our forms, as N^2 \
             where weights are stored, and as N, with D^2 numbers a row, where features are. The quadratic kernel \
             through features pays from about the counted length on."
        }
    };
    Answer {
        question: "5. What do softmax and the quadratic kernel cost, in time and memory, forward and backward?".into(),
        derivation: format!(
            "Softmax needs every pair: N^2 (D + M) multiply-adds forward, 2.5 times as many backward where weights are \
             computed again. A composition stores the N x N weights for the way back; block by block, the logarithm of \
             each denominator suffices. Through C = D (D + 1)/2 features the sums take 2 N C (M + 1) multiply-adds, and \
             there are no pairs; a composition stores the N x C features of queries and keys, and ours computes them \
             again, a block at a time, with a state of C (M + 1) numbers. Forward the two counts are equal at \
             N = 2 C (M + 1)/(D + M), which is {forward} for D = M = {DIM}; backward the features need but twice as many \
             as forward, because the sums over keys are kept, and both ways together are equal at {counted}. \
             Exponentials, which are no multiply-adds, move it down, and what does not fit the nearest caches moves it \
             up. Times are of this \
             machine and of what else it does: exponents are asked to be nearer to the one that is claimed than to the \
             other, and the crossover to be within a factor of two of the counted one."
        ),
        answer: text.into(),
        claims,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times and memory as counted, of a machine without noise.
    fn ideal(method: Method, length: usize) -> Result<Cell, CliError> {
        let n = length as f64;
        let (time, memory) = match method {
            Method::SoftmaxTiled => (n * n * (2 * DIM) as f64, n * 1028.0),
            Method::QuadraticLinear => (n * 2.0 * FEATURES * (DIM + 1) as f64, n * 1028.0 + 540_800.0),
            Method::EluLinear => (n * 8320.0, n * 1028.0),
            Method::SoftmaxStored => (n * n * (2 * DIM) as f64, 8.0 * n * n),
            Method::QuadraticStored => (n * 2.0 * FEATURES * (DIM + 1) as f64, 16.0 * n * FEATURES),
        };
        let seconds = time / 1e11;
        Ok(Cell { forward: seconds, backward: 2.5 * seconds, memory: Some(memory) })
    }

    #[test]
    fn an_ideal_machine_meets_every_claim() {
        let ladders = measure(1000.0, ideal).unwrap();
        let claims: Vec<Claim> = ladders
            .iter()
            .filter_map(of_time)
            .chain(ladders.iter().filter_map(of_memory))
            .chain(of_stored(&ladders))
            .chain(of_crossover(&ladders))
            .collect();
        assert_eq!(claims.len(), 3 + 5 + 4 + 1);
        assert!(claims.iter().all(|claim| claim.holds), "{claims:?}");
        // Of a machine that needs 2.5 times as long for either way back.
        let expected = (counted_forward() / counted_crossover()).log2();
        assert!((of_crossover(&ladders).unwrap().measured - expected).abs() < 1e-9);
    }

    #[test]
    fn a_linear_form_that_is_not_linear_fails() {
        let slow = |method, length| {
            let cell = ideal(method, length)?;
            let factor = if method == Method::QuadraticLinear { length as f64 } else { 1.0 };
            Ok(Cell { forward: factor * cell.forward, backward: factor * cell.backward, ..cell })
        };
        let ladders = measure(1e9, slow).unwrap();
        assert!(!of_time(&ladders[1]).unwrap().holds && !of_crossover(&ladders).unwrap().holds);
    }

    #[test]
    fn ladders_end_with_time_and_with_memory() {
        let ladders = measure(0.5, ideal).unwrap();
        let ended: Vec<Option<&str>> = ladders.iter().map(|ladder| ladder.ended).collect();
        assert_eq!(ended[0], Some("the time that was given"));
        assert_eq!(measure(1000.0, ideal).unwrap()[3].ended, Some("2 GB of memory"));
        let text = missing(&ladders).unwrap();
        assert!(text.contains("softmax, tiled ends at N ="), "{text}");
    }

    #[test]
    fn the_counted_crossover() {
        assert_eq!(counted_forward(), 2112.5);
        // 2 C N ((1 + 1) (M + 1) + M + (1 + 2) (M + 1)) against 2 N^2 (4 D + 3 M).
        let expected = FEATURES * (5 * (DIM + 1) + DIM) as f64 / (7 * DIM) as f64;
        assert!((counted_crossover() - expected).abs() < 1e-9, "{}", counted_crossover());
    }
}
