//! Question 3: which similarities keep the output finite, and what is done where the denominator vanishes.

use attar_attention::{
    Attention, Error, Form, Gradients, HardGradient, Inputs, Positivity, Shape, Similarity, naive, tau,
};
use attar_report::{Axis, Block, Dash};

use super::Lab;
use super::arithmetic::{dot, largest, mean, median, norm, normals};
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::{dotted, line, lines, panel, table};
use crate::commands::lab::power_law::log_slope;
use crate::commands::lab::questions::Part;
use crate::error::CliError;

const SIMILARITIES: [(&str, Similarity); 7] = [
    ("softmax", Similarity::Softmax { scale: None }),
    ("elu + 1", Similarity::Elu),
    ("64 random features", Similarity::Random { features: 64, seed: 0, scale: None }),
    ("argmax", Similarity::Hard { gradient: HardGradient::None }),
    ("relu", Similarity::Relu),
    ("(q.k)^2", Similarity::QUADRATIC),
    ("(q.k + 1)^2", Similarity::QUADRATIC_PLUS_ONE),
];
const FORMS: [(&str, Form); 3] = [("naive", Form::Naive), ("tiled", Form::Tiled), ("linear", Form::Linear)];

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let mut claims = vec![bounded(lab.seed)?];
    let (of_vanishing, table_of_vanishing) = vanishing()?;
    claims.extend(of_vanishing);
    claims.extend(signed()?);
    let near = near_vanishing(lab.seed)?;
    claims.extend(of_near(&near));
    claims.push(beyond(lab.seed)?);
    Ok(Part { answer: answer(claims), figures: vec![laws(), table_of_vanishing, errors(&near)] })
}

/// One head of one sequence.
fn shape(queries: usize, keys: usize, dim: usize, value_dim: usize) -> Shape {
    Shape { batch: 1, heads: 1, key_heads: 1, queries, keys, dim, value_dim }
}

/// How far outputs are outside of the range of the values, on inputs of every size; what is no number shows as such.
fn bounded(seed: u64) -> Result<Claim, CliError> {
    let (count, dim) = (50, 6);
    let [queries, mut keys, values] = [0, 1, 2].map(|part| normals(count * dim, seed, [3, 0, part]));
    // Two equal keys and a key of zeros among the others.
    keys.copy_within(..dim, dim);
    keys[2 * dim..3 * dim].fill(0.0);
    let mut farthest = f64::NEG_INFINITY;
    for (_, similarity) in SIMILARITIES {
        for size in [0.0, 1e-8, 1.0, 100.0] {
            let queries: Vec<f64> = queries.iter().map(|value| size * value).collect();
            let inputs = Inputs {
                shape: shape(count, count, dim, dim),
                queries: &queries,
                keys: &keys,
                values: &values,
                hidden: None,
            };
            let output = Attention::new(similarity).forward(Form::Tiled, &inputs)?.output;
            farthest = largest([farthest, outside(&output, &values, dim)]);
        }
    }
    let sentence = "similarities that are not negative, queries times 0 to 100: farthest that an output is outside of \
                    the range of the values";
    Ok(Claim::at_most(sentence, farthest, 1e-12))
}

/// The largest distance of a component from the range of the values' and zero.
fn outside(output: &[f64], values: &[f64], width: usize) -> f64 {
    let of_column = |column: usize| {
        let of = |array: &[f64]| array.chunks_exact(width).map(|row| row[column]).collect::<Vec<f64>>();
        let high = largest(of(values)).max(0.0);
        let low = -largest(of(values).iter().map(|value| -value)).max(0.0);
        largest(of(output).into_iter().map(|value| (value - high).max(low - value)))
    };
    largest((0..width).map(of_column).chain([0.0]))
}

/// A query orthogonal to every key, between two that are not.
struct Case {
    name: &'static str,
    similarity: Similarity,
    queries: [f64; 9],
    keys: [f64; 12],
}

const VALUES: [f64; 8] = [1.0, -1.0, 2.0, 0.5, -3.0, 4.0, 0.25, 2.0];
const CASES: [Case; 3] = [
    Case {
        name: "(q.k)^2, query (0, 0, 2), keys in the plane of the first two",
        similarity: Similarity::QUADRATIC,
        queries: [1.0, 2.0, 0.0, 0.0, 0.0, 2.0, 0.5, -1.0, 3.0],
        keys: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, -2.0, 1.0, 0.0],
    },
    Case {
        name: "(q.k + 1)^2, q.k = -1 for every key",
        similarity: Similarity::QUADRATIC_PLUS_ONE,
        queries: [1.0, 2.0, 0.0, 0.0, 0.0, -0.5, 0.5, -1.0, 3.0],
        keys: [1.0, 0.0, 2.0, 0.0, 1.0, 2.0, 1.0, 1.0, 2.0, -2.0, 1.0, 2.0],
    },
    Case {
        name: "relu, query (-1, -2, 3), keys positive in the first two only",
        similarity: Similarity::Relu,
        queries: [1.0, 2.0, 0.0, -1.0, -2.0, 3.0, 0.5, -1.0, 3.0],
        keys: [1.0, 0.0, 0.0, 2.0, 1.0, -1.0, 1.0, 1.0, 0.0, 3.0, 1.0, -2.0],
    },
];

fn vanishing() -> Result<(Vec<Claim>, Block), CliError> {
    let (mut claims, mut rows) = (Vec::new(), Vec::new());
    for Case { name, similarity, queries, keys } in &CASES {
        let inputs = Inputs { shape: shape(3, 4, 3, 2), queries, keys, values: &VALUES, hidden: None };
        let attention = Attention::new(*similarity);
        let mut row = vec![(*name).to_owned(), shown(plain_division(similarity, &inputs))];
        let (mut counted, mut left) = (Vec::new(), Vec::new());
        for (_, form) in FORMS {
            let forward = attention.forward(form, &inputs)?;
            let Gradients { queries, keys, values } =
                attention.backward(&inputs, &forward, &[1.0, -2.0, 3.0, 1.0, 0.5, 2.0])?;
            let finite = queries.iter().chain(&keys).chain(&values).all(|value| value.is_finite());
            let of_row = [&forward.output[2..4], &queries[3..6]].concat();
            left.push(if finite { largest(of_row.iter().map(|value| value.abs())) } else { f64::NAN });
            counted.push(attention.check(form, &inputs)?.zero as f64);
        }
        row.extend(counted.iter().map(|count| shown(*count)));
        rows.push(row);
        let sentence = format!("{name}: output and gradient of the query in every form, the rest being finite");
        claims.push(Claim::near(sentence, largest(left), 0.0, 0.0));
        let off = largest(counted.iter().map(|count| (count - 1.0).abs()));
        claims.push(Claim::near(format!("{name}: rows that `check` counts, less 1, in every form"), off, 0.0, 0.0));
    }
    let columns = ["similarity", "by plain division", "zero rows: naive", "tiled", "linear"];
    let caption = "The middle one of three queries has a denominator of 0. Output by plain division, and how many rows \
                   are counted as zero.";
    Ok((claims, table("Denominators that vanish", caption, &columns, rows)))
}

/// The first component of the middle query's output, by the formula as it stands.
fn plain_division(similarity: &Similarity, inputs: &Inputs<'_, f64>) -> f64 {
    let dim = inputs.shape.dim;
    let query = &inputs.queries[dim..2 * dim];
    let weight = |key: &[f64]| match similarity {
        Similarity::Polynomial { scale, shift, degree } => (scale * dot(query, key) + shift).powi(*degree as i32),
        _ => query.iter().zip(key).map(|(q, k)| q.max(0.0) * k.max(0.0)).sum(),
    };
    let weights: Vec<f64> = inputs.keys.chunks_exact(dim).map(weight).collect();
    let first = inputs.values.chunks_exact(inputs.shape.value_dim).map(|value| value[0]);
    weights.iter().zip(first).map(|(weight, value)| weight * value).sum::<f64>() / weights.iter().sum::<f64>()
}

/// Odd degrees are refused; allowed, they leave the range of the values without bound.
fn signed() -> Result<[Claim; 2], CliError> {
    let gap = 1e-3;
    let (queries, keys, values) = ([1.0], [1.0, gap - 1.0], [1.0, -1.0]);
    let inputs = Inputs { shape: shape(1, 2, 1, 1), queries: &queries, keys: &keys, values: &values, hidden: None };
    let polynomial = |degree| Attention::new(Similarity::Polynomial { scale: 1.0, shift: 0.0, degree });
    let refused =
        [1, 3, 5].into_iter().filter(|&degree| polynomial(degree).forward(Form::Tiled, &inputs) == Err(Error::Signed));
    let count = refused.count() as f64;
    let output = Attention { allow_signed: true, ..polynomial(1) }.forward(Form::Tiled, &inputs)?.output;
    let sentence = "q.k allowed, keys 1 and -0.999, values 1 and -1: output, which is 1.999/0.001";
    Ok([
        Claim::near("polynomials of degree 1, 3 and 5 that are refused for taking both signs", count, 3.0, 0.0),
        Claim::near(sentence, output[0], (2.0 - gap) / gap, 1e-6),
    ])
}

const NEAR_DIM: usize = 16;
const NEAR_KEYS: usize = 64;
/// Sequences of one query each.
const NEAR_SEQUENCES: usize = 64;
const NEAR_VALUES: usize = 4;

/// Queries that are nearly orthogonal to all keys, in `f32`.
struct Near {
    kappa: f64,
    /// Median over sequences of the error of an output over the largest value: kernel form, feature form.
    errors: [f64; 2],
    /// Largest error over `1e-5 max(1, kappa)` of its own row, in either form.
    worst: f64,
}

/// Rows of each sequence: one query, keys at an angle of about `angle` from orthogonal to it, values.
fn near_rows(angle: f64, seed: u64) -> [Vec<f32>; 3] {
    let queries = normals(NEAR_SEQUENCES * NEAR_DIM, seed, [3, 1, 0]);
    let mut keys = normals(NEAR_SEQUENCES * NEAR_KEYS * NEAR_DIM, seed, [3, 1, 1]);
    let slopes = normals(NEAR_SEQUENCES * NEAR_KEYS, seed, [3, 1, 2]);
    let values = normals(NEAR_SEQUENCES * NEAR_KEYS * NEAR_VALUES, seed, [3, 1, 3]);
    for (at, (key, slope)) in keys.chunks_exact_mut(NEAR_DIM).zip(slopes).enumerate() {
        let query = &queries[at / NEAR_KEYS * NEAR_DIM..][..NEAR_DIM];
        let along = dot(key, query) / dot(query, query);
        let lean = angle * slope * norm(key) / norm(query);
        key.iter_mut().zip(query).for_each(|(k, q)| *k += (lean - along) * q);
    }
    [queries, keys, values].map(|rows| rows.into_iter().map(|value| value as f32).collect())
}

fn near_inputs([queries, keys, values]: &[Vec<f32>; 3]) -> Inputs<'_, f32> {
    let shape = Shape { batch: NEAR_SEQUENCES, ..shape(1, NEAR_KEYS, NEAR_DIM, NEAR_VALUES) };
    Inputs { shape, queries, keys, values, hidden: None }
}

fn near_vanishing(seed: u64) -> Result<Vec<Near>, CliError> {
    let at_angle = |power: i32| {
        let rows = near_rows(10.0_f64.powf(-0.25 * f64::from(power)), seed);
        let inputs = near_inputs(&rows);
        let attention = Attention::new(Similarity::QUADRATIC);
        let defined = naive::forward(&attention, &inputs)?;
        let size = largest(inputs.values.iter().map(|value| f64::from(value.abs())));
        let of_form = |form| -> Result<Vec<f64>, CliError> {
            let output: Vec<f64> = attention.forward(form, &inputs)?.output.into_iter().map(f64::from).collect();
            let rows = output.chunks_exact(NEAR_VALUES).zip(defined.output.chunks_exact(NEAR_VALUES));
            Ok(rows
                .map(|(found, expected)| largest(found.iter().zip(expected).map(|(f, e)| (f - e).abs())) / size)
                .collect())
        };
        let [kernel, features] = [of_form(Form::Tiled)?, of_form(Form::Linear)?];
        let both = kernel.iter().chain(&features).zip(defined.kappa.iter().chain(&defined.kappa));
        Ok(Near {
            kappa: median(&defined.kappa),
            errors: [median(&kernel), median(&features)],
            worst: largest(both.map(|(error, kappa)| error / (1e-5 * kappa.max(1.0)))),
        })
    };
    (0..=9).map(at_angle).collect()
}

fn of_near(near: &[Near]) -> Vec<Claim> {
    let slope = |form: usize| {
        let points: Vec<(f64, f64)> =
            near.iter().filter(|near| near.kappa > 200.0).map(|near| (near.kappa, near.errors[form])).collect();
        log_slope(&points)
    };
    let range = format!("kappa from {} to {}", shown(near[0].kappa), shown(near[near.len() - 1].kappa));
    vec![
        Claim::at_most(
            format!("(q.k)^2 in f32, {range}: largest error over 1e-5 max(1, kappa), in either form"),
            largest(near.iter().map(|near| near.worst)),
            1.0,
        ),
        Claim::near("feature form: exponent of kappa in the error, from 200", slope(1), 1.0, 0.25),
        Claim::near("kernel form: exponent of kappa in the error, from 200", slope(0), 0.5, 0.25),
    ]
}

/// Further than the type can tell from orthogonal.
fn beyond(seed: u64) -> Result<Claim, CliError> {
    let rows = near_rows(1e-4, seed);
    let inputs = near_inputs(&rows);
    let attention = Attention::new(Similarity::QUADRATIC);
    let counts = [Form::Tiled, Form::Linear].map(|form| attention.check(form, &inputs).map(|found| found.zero as f64));
    let [tiled, linear] = counts;
    let share = mean(&[tiled?, linear?]) / NEAR_SEQUENCES as f64;
    let sentence = format!(
        "kappa near 1e8, beyond 1/tau = {} of f32: share of rows that count as zero",
        shown(1.0 / tau::<f32>())
    );
    Ok(Claim::near(sentence, share, 1.0, 0.0))
}

fn laws() -> Block {
    let odd = ("q.k, (q.k)^3, ...", Similarity::Polynomial { scale: 1.0, shift: 0.0, degree: 3 });
    let row = |(name, similarity): &(&str, Similarity)| {
        let (sign, vanishes) = match similarity.positivity() {
            Positivity::Strict if matches!(similarity, Similarity::Hard { .. }) => {
                ("1 for one key, else 0", "only where no key is seen")
            }
            Positivity::Strict => ("positive", "only where no key is seen"),
            Positivity::NonNegative => ("not negative", "where every key is orthogonal"),
            Positivity::Signed => ("both signs", "wherever it cancels: refused unless asked for"),
        };
        vec![(*name).to_owned(), sign.to_owned(), vanishes.to_owned()]
    };
    let rows = SIMILARITIES.iter().chain([&odd]).map(row).collect();
    table("Signs of similarities", "", &["similarity", "sign", "the denominator vanishes"], rows)
}

fn errors(near: &[Near]) -> Block {
    let of = |value: &dyn Fn(&Near) -> f64| near.iter().map(|near| (near.kappa, value(near))).collect::<Vec<_>>();
    let series = vec![
        dotted("feature form", 0, &of(&|near| near.errors[1])),
        dotted("kernel form", 1, &of(&|near| near.errors[0])),
        line("1e-5 kappa", 2, Dash::Dotted, &of(&|near| 1e-5 * near.kappa)),
    ];
    let caption = format!(
        "(q.k)^2 in f32 with queries ever more nearly orthogonal to all of their {NEAR_KEYS} keys: median error of an \
         output against the definition in f64, over the largest value, over {NEAR_SEQUENCES} sequences. The feature form \
         sums terms of size |phi(q)||phi(k)|; the kernel form only loses what the product q.k loses."
    );
    let axes = [Axis::log("kappa"), Axis::log("error of the output")];
    lines("Digits lost near a vanishing denominator", &caption, axes, vec![panel("", series)])
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "3. Which conditions on sim keep the output finite, and what if the denominator vanishes?".into(),
        derivation: "The output is a quotient, finite where sum_j sim(q, k_j) is finite and not 0. If sim is never \
                     negative, the weights are between 0 and 1 and add up to 1, so the output stays within the range \
                     of the values; if sim is positive everywhere the sum cannot vanish. A square or a ReLU feature \
                     can be 0 for every key at once, and then the formula says 0/0. With both signs the sum can \
                     cancel, and before it does the output grows without bound. Near 0 digits are lost: with \
                     kappa = sum_j |phi(q)||phi(k_j)| / sum_j sim(q, k_j), a sum over features has a relative error of \
                     kappa times the rounding. The product q.k has one of |q||k|/|q.k|, about the root of kappa, and \
                     squaring doubles it."
            .into(),
        answer:
            "Non-negative with a positive and finite sum suffices. A denominator below tau sum_j |phi(q)||phi(k_j)|, \
                 where phi is the feature map of sim and tau 64 times the rounding of the type, counts as zero in every \
                 form alike, and so does one among the smallest numbers: output and gradient of that row are zero, and \
                 such rows are counted (`attar attend` says how many). Similarities of both signs are refused unless \
                 asked for."
                .into(),
        claims,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_is_found() {
        let values = [1.0, -1.0, 2.0, 0.5];
        assert_eq!(outside(&[1.5, 0.0], &values, 2), 0.0);
        assert_eq!(outside(&[2.25, 0.0], &values, 2), 0.25);
        assert_eq!(outside(&[0.0, -1.5], &values, 2), 0.5);
        assert!(outside(&[f64::NAN, 0.0], &values, 2).is_nan());
    }

    #[test]
    fn plain_division_has_no_number() {
        for Case { name, similarity, queries, keys } in &CASES {
            let inputs = Inputs { shape: shape(3, 4, 3, 2), queries, keys, values: &VALUES, hidden: None };
            assert!(plain_division(similarity, &inputs).is_nan(), "{name}");
        }
    }
}
