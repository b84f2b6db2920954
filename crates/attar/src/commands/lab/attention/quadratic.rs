//! Question 4: the quadratic kernel and its feature map.

use attar_attention::{Attention, Form, Forward, Gradients, Inputs, Shape, Similarity, naive};
use attar_report::{Axis, Block, Dash};
use faer::{Mat, Side};

use super::Lab;
use super::arithmetic::{difference, dot, largest, norm, normals};
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::{line, lines, panel, table};
use crate::commands::lab::questions::Part;
use crate::error::CliError;

const DIMENSIONS: [usize; 4] = [3, 8, 16, 64];
const LENGTH: usize = 300;
const VALUE_DIM: usize = 5;
/// Points of the Gram matrix, more than any map of so few features has.
const POINTS: usize = 80;
const GRAM_DIM: usize = 6;
/// Per unit of kappa; the rounding of `f64` in a sum of some thousand terms.
const ROUNDING: f64 = 1e-12;

/// A quadratic kernel: `(q.k + shift)^2`.
#[derive(Clone, Copy)]
struct Kernel {
    name: &'static str,
    shift: f64,
    similarity: Similarity,
}

const KERNELS: [Kernel; 2] = [
    Kernel { name: "(q.k)^2", shift: 0.0, similarity: Similarity::QUADRATIC },
    Kernel { name: "(q.k + 1)^2", shift: 1.0, similarity: Similarity::QUADRATIC_PLUS_ONE },
];

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let mut claims = Vec::new();
    let mut rows = Vec::new();
    for (case, kernel) in KERNELS.into_iter().enumerate() {
        claims.push(of_products(kernel, lab.seed));
        claims.extend(of_counts(kernel));
        claims.push(of_rank(kernel, lab.seed)?);
        let mut compared = Vec::new();
        for dim in DIMENSIONS {
            for causal in [false, true] {
                compared.push(compare(kernel, dim, causal, lab.seed, case as u64)?);
            }
        }
        claims.extend(of_forms(kernel, &compared));
        rows.extend(compared.iter().map(|compared| compared.row(kernel)));
    }
    Ok(Part { answer: answer(claims), figures: vec![feature_counts(), comparison(rows)] })
}

/// `x_i^2` and `sqrt(2) x_i x_j` for i < j, where `x` has the root of the shift as one more component.
fn features(x: &[f64], shift: f64) -> Vec<f64> {
    let mut lifted = x.to_vec();
    lifted.extend((shift > 0.0).then(|| shift.sqrt()));
    let pairs = (0..lifted.len()).flat_map(|i| (i..lifted.len()).map(move |j| (i, j)));
    pairs.map(|(i, j)| if i == j { lifted[i] * lifted[i] } else { 2.0_f64.sqrt() * lifted[i] * lifted[j] }).collect()
}

fn of_products(kernel: Kernel, seed: u64) -> Claim {
    let errors = DIMENSIONS.iter().flat_map(|&dim| {
        let rows = normals(2 * 100 * dim, seed, [4, 10, dim as u64]);
        let pairs: Vec<f64> = rows
            .chunks_exact(2 * dim)
            .map(|pair| {
                let (q, k) = pair.split_at(dim);
                let [of_q, of_k] = [q, k].map(|row| features(row, kernel.shift));
                let by_kernel = (dot(q, k) + kernel.shift).powi(2);
                (dot(&of_q, &of_k) - by_kernel).abs() / (norm(&of_q) * norm(&of_k))
            })
            .collect();
        pairs
    });
    let sentence = format!("{}: largest |phi(q).phi(k) - sim(q, k)| over |phi(q)||phi(k)|, d up to 64", kernel.name);
    Claim::at_most(sentence, largest(errors), 1e-13)
}

fn of_counts(kernel: Kernel) -> Vec<Claim> {
    let dim = 64;
    let lifted = dim + usize::from(kernel.shift > 0.0);
    let count = features(&vec![1.0; dim], kernel.shift).len() as f64;
    let formula = if kernel.shift > 0.0 { "(D + 1)(D + 2)/2" } else { "D (D + 1)/2" };
    let products = (lifted * lifted) as f64;
    vec![
        Claim::near(
            format!("{}: features of a row of D = 64, {formula}", kernel.name),
            count,
            (lifted * (lifted + 1) / 2) as f64,
            0.0,
        ),
        Claim::at_most(
            format!("{}: share of the {products} ordered products that are kept", kernel.name),
            count / products,
            0.51,
        ),
    ]
}

/// The rank of the matrix of all similarities of points: no map of fewer features has it.
fn of_rank(kernel: Kernel, seed: u64) -> Result<Claim, CliError> {
    let points = normals(POINTS * GRAM_DIM, seed, [4, 11, 0]);
    let row = |i: usize| &points[i * GRAM_DIM..(i + 1) * GRAM_DIM];
    let gram = Mat::from_fn(POINTS, POINTS, |i, j| (dot(row(i), row(j)) + kernel.shift).powi(2));
    let values = gram.self_adjoint_eigenvalues(Side::Lower);
    let values = values.map_err(|_| CliError::run("the eigenvalues of a Gram matrix did not converge"))?;
    let most = largest(values.iter().copied());
    let rank = values.iter().filter(|&&value| value > 1e-10 * most).count();
    let sentence = format!(
        "{}: rank of the similarities of {POINTS} points of D = {GRAM_DIM}, the fewest features there can be",
        kernel.name
    );
    Ok(Claim::near(sentence, rank as f64, features(row(0), kernel.shift).len() as f64, 0.0))
}

/// Differences from the definition, over kappa: of the kernel form, the feature form, and one from each other.
struct Compared {
    dim: usize,
    causal: bool,
    kappa: f64,
    /// Of output and of the gradients by queries, keys and values; over the largest value.
    kernel_form: [f64; 4],
    feature_form: [f64; 4],
    /// Output through features written out here, where not causal.
    by_hand: Option<f64>,
}

fn compare(kernel: Kernel, dim: usize, causal: bool, seed: u64, case: u64) -> Result<Compared, CliError> {
    let shape = Shape { batch: 1, heads: 1, key_heads: 1, queries: LENGTH, keys: LENGTH, dim, value_dim: VALUE_DIM };
    let draw = |width: usize, part: u64| normals(LENGTH * width, seed, [4, 20 + case, 4 * dim as u64 + part]);
    let [queries, keys] = [draw(dim, 0), draw(dim, 1)];
    let [values, of_output] = [draw(VALUE_DIM, 2), draw(VALUE_DIM, 3)];
    let inputs = Inputs { shape, queries: &queries, keys: &keys, values: &values, hidden: None };
    let attention = Attention { causal, ..Attention::new(kernel.similarity) };
    let defined = naive::forward(&attention, &inputs)?;
    let gradients = naive::backward(&attention, &inputs, &of_output)?;
    let expected = [&defined.output, &gradients.queries, &gradients.keys, &gradients.values];
    let of_form = |form| -> Result<[f64; 4], CliError> {
        let forward: Forward<f64> = attention.forward(form, &inputs)?;
        let Gradients { queries, keys, values } = attention.backward(&inputs, &forward, &of_output)?;
        let found = [forward.output, queries, keys, values];
        Ok(std::array::from_fn(|at| difference(&found[at], expected[at])))
    };
    Ok(Compared {
        dim,
        causal,
        kappa: largest(defined.kappa.iter().copied()),
        kernel_form: of_form(Form::Tiled)?,
        feature_form: of_form(Form::Linear)?,
        by_hand: (!causal).then(|| difference(&through_features(&inputs, kernel.shift), &defined.output)),
    })
}

/// `phi(q).S / phi(q).z` with `S = sum_j phi(k_j) v_j^T` and `z = sum_j phi(k_j)`.
fn through_features(inputs: &Inputs<'_, f64>, shift: f64) -> Vec<f64> {
    let Shape { dim, value_dim, .. } = inputs.shape;
    let count = features(&inputs.keys[..dim], shift).len();
    let (mut sums, mut denominators) = (vec![0.0; count * value_dim], vec![0.0; count]);
    for (key, value) in inputs.keys.chunks_exact(dim).zip(inputs.values.chunks_exact(value_dim)) {
        for (at, feature) in features(key, shift).into_iter().enumerate() {
            denominators[at] += feature;
            sums[at * value_dim..][..value_dim].iter_mut().zip(value).for_each(|(sum, v)| *sum += feature * v);
        }
    }
    let of_query = |query: &[f64]| {
        let features = features(query, shift);
        let denominator = dot(&features, &denominators);
        let column =
            |at: usize| features.iter().zip(sums.chunks_exact(value_dim)).map(|(f, row)| f * row[at]).sum::<f64>();
        (0..value_dim).map(|at| column(at) / denominator).collect::<Vec<f64>>()
    };
    inputs.queries.chunks_exact(dim).flat_map(of_query).collect()
}

impl Compared {
    fn row(&self, kernel: Kernel) -> Vec<String> {
        let first = [kernel.name.to_owned(), self.dim.to_string(), if self.causal { "yes" } else { "no" }.to_owned()];
        let largest_of = |errors: &[f64]| shown(largest(errors.iter().copied()));
        let numbers = [
            shown(self.kappa),
            shown(self.kernel_form[0]),
            largest_of(&self.kernel_form[1..]),
            shown(self.feature_form[0]),
            largest_of(&self.feature_form[1..]),
        ];
        first.into_iter().chain(numbers).collect()
    }
}

fn of_forms(kernel: Kernel, compared: &[Compared]) -> Vec<Claim> {
    let over = |of: &dyn Fn(&Compared) -> f64| largest(compared.iter().map(|c| of(c) / c.kappa.max(1.0)));
    let by_hand = largest(compared.iter().filter_map(|c| Some(c.by_hand? / c.kappa.max(1.0))));
    let sentence = |what: &str| {
        format!("{}: {what}: largest difference from the definition, over the largest value and kappa", kernel.name)
    };
    let claim = |what: &str, measured: f64| Claim::at_most(sentence(what), measured, ROUNDING);
    let gradients = |errors: &[f64; 4]| largest(errors[1..].iter().copied());
    vec![
        claim("output in the kernel form", over(&|c| c.kernel_form[0])),
        claim("output in the feature form", over(&|c| c.feature_form[0])),
        claim("output through features written out by hand", by_hand),
        claim("gradients in the kernel form", over(&|c| gradients(&c.kernel_form))),
        claim("gradients in the feature form", over(&|c| gradients(&c.feature_form))),
    ]
}

fn feature_counts() -> Block {
    let of =
        |count: fn(f64) -> f64| (0..=8).map(|power| f64::from(1 << power)).map(|d| (d, count(d))).collect::<Vec<_>>();
    let series = vec![
        line("D^2, all ordered products", 0, Dash::Dashed, &of(|d| d * d)),
        line("D (D + 1)/2, of (q.k)^2", 1, Dash::Solid, &of(|d| d * (d + 1.0) / 2.0)),
        line("(D + 1)(D + 2)/2, of (q.k + 1)^2", 2, Dash::Solid, &of(|d| (d + 1.0) * (d + 2.0) / 2.0)),
        line("D", 3, Dash::Dotted, &of(|d| d)),
    ];
    let axes = [Axis::log("D"), Axis::log("features of a row")];
    lines(
        "Features of the quadratic kernel",
        "Without its twins, half of the ordered products remain.",
        axes,
        vec![panel("", series)],
    )
}

fn comparison(rows: Vec<Vec<String>>) -> Block {
    let columns = [
        "kernel",
        "D",
        "causal",
        "kappa",
        "kernel: output",
        "kernel: gradients",
        "features: output",
        "features: gradients",
    ];
    let caption = format!(
        "Largest differences from the definition in f64, over the largest value, with {LENGTH} queries and keys of \
         normal components. Kappa is the largest sum |phi(q)||phi(k)| over the denominator."
    );
    table("Kernel form and feature form", &caption, &columns, rows)
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "4. What is the feature map of sim(q, k) = (q.k)^2, and what does attention become with it?".into(),
        derivation: "(q.k)^2 = sum_ij q_i q_j k_i k_j is the inner product of all D^2 ordered products. Those of i, j and \
                     of j, i are equal, so one of them times sqrt(2) does: phi(x) holds x_i^2 and sqrt(2) x_i x_j for \
                     i < j, D (D + 1)/2 features. Fewer there cannot be: the similarities of enough points have that \
                     rank. With a constant, (q.k + c)^2 is the same of rows with one more component sqrt(c): \
                     (D + 1)(D + 2)/2. Then sum_j (phi(q).phi(k_j)) v_j = phi(q).S with S = sum_j phi(k_j) v_j^T, and the \
                     denominator is phi(q).z with z = sum_j phi(k_j): sums over the keys that every query shares. A \
                     causal attention takes the running sums."
            .into(),
        answer: "Kernel form and feature form are the same function: outputs and gradients agree to rounding, with and \
                 without the constant, causal or not. The symmetric map has barely more than half the features of D^2."
            .into(),
        claims,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_by_hand() {
        let root = 2.0_f64.sqrt();
        assert_eq!(features(&[3.0, 5.0], 0.0), [9.0, root * 15.0, 25.0].map(|x: f64| x));
        let with_constant = features(&[3.0], 4.0);
        assert_eq!(with_constant, [9.0, root * 3.0 * 2.0, 4.0]);
    }

    #[test]
    fn a_map_without_the_root_of_two_is_found_out() {
        let (q, k) = ([1.0, 2.0], [3.0, -1.0]);
        let plain: f64 = [q[0] * q[0] * k[0] * k[0], q[0] * q[1] * k[0] * k[1], q[1] * q[1] * k[1] * k[1]].iter().sum();
        let ours = dot(&features(&q, 0.0), &features(&k, 0.0));
        assert!((ours - 1.0).abs() < 1e-12 && (plain - 1.0).abs() > 1.0);
    }
}
