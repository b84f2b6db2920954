//! Question 4: what a small penalty makes of the decoder's columns.

use attar_linear::linear_autoencoder::{
    Objective, Solver, Training, Weights, condition_number, orthonormality, regularised_path,
};
use attar_report::{Axis, Block, Dash, Panel};
use faer::Mat;
use rayon::prelude::*;

use super::Lab;
use super::arithmetic::{largest, product, recoded, smallest};
use super::ingredients::root_rows;
use super::source::{Subject, rotation};
use crate::commands::lab::answer::{Answer, Claim};
use crate::commands::lab::figure::{dotted, line, lines, panel};
use crate::commands::lab::power_law::log_slope;
use crate::commands::lab::questions::Part;
use crate::error::CliError;

/// Strengths: half decades down over six decades.
const STAGES: i32 = 13;
/// Where a stage ends: a thousandth of the smallest `λ/σ²` is some 1e-10, and rounding some 1e-13.
const RESIDUAL: f64 = 1e-12;
/// Random starts of the control.
const STARTS: u64 = 5;
/// Random factorisations.
const DRAWS: u64 = 20;

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let (mut claims, mut panels) = (Vec::new(), Vec::new());
    let subjects: Vec<_> = lab.subjects().collect();
    let measured = subjects.into_par_iter().map(|(name, subject)| {
        let (decades, control) = rayon::join(|| decades(subject, lab.seed), || control(subject, lab.seed));
        Ok((name, decades?, control?))
    });
    for (name, decades, control) in measured.collect::<Result<Vec<_>, CliError>>()? {
        claims.extend(of_decades(name, &decades, &control));
        panels.push(curves(name, &decades, &control));
    }
    let mut figures = vec![lines(
        "The decoder's columns become orthonormal",
        "||W2^T W2 - I|| at the optimum in closed form, as trained with lambda falling from above, and the least of it \
         among five random starts without a penalty, to which lambda means nothing.",
        [Axis::log("lambda / sigma_k^2"), Axis::log("||W2^T W2 - I||")],
        panels,
    )];
    if let Some(gentle) = lab.spectra.first() {
        claims.extend(of_factorisations(gentle.name, &gentle.subject, lab.seed)?);
        let times = times(&gentle.subject, lab.seed)?;
        claims.push(of_times(gentle.name, &times));
        figures.push(time_figure(gentle.name, &times));
    }
    Ok(Part { answer: answer(claims), figures })
}

/// What one strength made of the decoder.
struct Decade {
    /// Over the smallest variance that is kept.
    strength: f64,
    closed: f64,
    trained: f64,
}

/// Trains at the strongest penalty by alternating least squares, and on from there by gradient descent: weights that
/// are each other's transpose stay so under its steps, and only their singular values have to move. Alternating steps
/// would set the balance of the two weights off each time, which the penalty restores no faster than `σ²/λ`.
fn decades(subject: &Subject, seed: u64) -> Result<Vec<Decade>, CliError> {
    let least = subject.variances()[subject.codes - 1];
    let mut weights = subject.start(seed);
    let mut solver = Solver::AlternatingLeastSquares;
    let mut decades = Vec::new();
    for stage in 0..STAGES {
        let strength = 0.5 * 10f64.powf(-0.5 * f64::from(stage));
        let config = subject.model(Objective::L2 { lambda: strength * least });
        let training = Training { solver, tolerance: RESIDUAL, max_iterations: 10_000, record_every: 10_000 };
        weights = config.train(&subject.factor, &weights, &training)?.weights;
        decades.push(Decade {
            strength,
            closed: orthonormality(config.optimum(&subject.factor)?.weights.decoder.as_ref()),
            trained: orthonormality(weights.decoder.as_ref()),
        });
        solver = Solver::GradientDescent;
    }
    Ok(decades)
}

/// What training without a penalty makes of the decoder.
struct Unregularised {
    orthonormality: f64,
    condition: f64,
}

fn control(subject: &Subject, seed: u64) -> Result<Vec<Unregularised>, CliError> {
    let config = subject.model(Objective::Plain);
    let solver = Solver::AlternatingLeastSquares;
    let training = Training { solver, tolerance: 1e-6, max_iterations: 5000, record_every: 5000 };
    let one = |start: u64| {
        let weights = config.train(&subject.factor, &subject.start(seed.wrapping_add(start)), &training)?.weights;
        let decoder = weights.decoder.as_ref();
        Ok(Unregularised { orthonormality: orthonormality(decoder), condition: condition_number(decoder)? })
    };
    (0..STARTS).into_par_iter().map(one).collect()
}

fn of_decades(name: &str, decades: &[Decade], control: &[Unregularised]) -> Vec<Claim> {
    let error = |decade: &Decade| (decade.trained / decade.closed - 1.0).abs();
    let points: Vec<(f64, f64)> = decades.iter().map(|decade| (decade.strength, decade.trained)).collect();
    let conditions = || control.iter().map(|one| one.condition);
    vec![
        Claim::at_most(
            format!(
                "{name}: trained ||W2^T W2 - I|| over that in closed form less 1, the largest over six decades of \
                 lambda"
            ),
            largest(decades.iter().map(error)),
            1e-3,
        ),
        Claim::near(
            format!(
                "{name}: slope of log ||W2^T W2 - I|| as trained against log lambda; it is in proportion to lambda"
            ),
            log_slope(&points),
            1.0,
            1e-3,
        ),
        Claim::at_least(
            format!(
                "{name}: ||W2^T W2 - I|| without a penalty from {STARTS} random starts, the least, over that at the \
                 smallest lambda"
            ),
            smallest(control.iter().map(|one| one.orthonormality))
                / decades.last().map_or(f64::NAN, |last| last.trained),
            1000.0,
        ),
        Claim::at_least(
            format!("{name}: largest over smallest condition number of W2 among these starts"),
            largest(conditions()) / smallest(conditions()),
            1.05,
        ),
    ]
}

fn curves(name: &str, decades: &[Decade], control: &[Unregularised]) -> Panel {
    let points = |of: &dyn Fn(&Decade) -> f64| -> Vec<(f64, f64)> {
        decades.iter().rev().map(|decade| (decade.strength, of(decade))).collect()
    };
    let least = smallest(control.iter().map(|one| one.orthonormality));
    let series = vec![
        line("closed form", 0, Dash::Solid, &points(&|decade| decade.closed)),
        dotted("trained", 1, &points(&|decade| decade.trained)),
        line("no penalty, the least", 2, Dash::Dashed, &points(&|_| least)),
    ];
    panel(name, series)
}

/// The hint's argument, and what the symmetries leave open, at the optimum.
fn of_factorisations(name: &str, subject: &Subject, seed: u64) -> Result<Vec<Claim>, CliError> {
    let k = subject.codes;
    let lambda = subject.medium_lambda();
    let plain = subject.model(Objective::Plain);
    let l2 = subject.model(Objective::L2 { lambda });
    let projector = plain.optimum(&subject.factor)?.weights;
    let optimum = l2.optimum(&subject.factor)?;
    let squares = |weights: &Weights| weights.encoder.squared_norm_l2() + weights.decoder.squared_norm_l2();
    let (mut least, mut turned, mut rotated) = (f64::INFINITY, 0.0f64, 0.0f64);
    for draw in 0..DRAWS {
        let turn = rotation(k, seed.wrapping_add(draw))?;
        let other = rotation(k, seed.wrapping_add(draw + DRAWS))?;
        let (by, inverse) = stretched(&turn, &other);
        least = least.min(squares(&recoded(&projector, by.as_ref(), inverse.as_ref())));
        let by_turn = |weights: &Weights| recoded(weights, turn.as_ref(), turn.transpose());
        turned = turned.max((squares(&by_turn(&projector)) - 2.0 * k as f64).abs());
        let loss = l2.evaluate(&subject.factor, &by_turn(&optimum.weights))?.loss;
        rotated = rotated.max((loss / optimum.loss - 1.0).abs());
    }
    let condition = 1e3_f64;
    let scale = Mat::from_fn(k, k, |i, j| if i == j { condition.powf(i as f64 / (k - 1) as f64) } else { 0.0 });
    let inverse = Mat::from_fn(k, k, |i, j| if i == j { 1.0 / scale[(i, i)] } else { 0.0 });
    let scaled = recoded(&projector, scale.as_ref(), inverse.as_ref());
    let loss = plain.evaluate(&subject.factor, &scaled)?.loss / plain.optimum(&subject.factor)?.loss;
    Ok(vec![
        Claim::at_least(
            format!(
                "{name}: ||W1||^2 + ||W2||^2 of {DRAWS} random factorisations of U U^T, the least; 2 k is the bound"
            ),
            least,
            2.0 * k as f64,
        ),
        Claim::at_most(
            format!("{name}: its difference from 2 k where all singular values are 1, turned at random, the largest"),
            turned,
            subject.rounding() * k as f64,
        ),
        Claim::at_most(
            format!("{name}: relative change of the regularised loss under {DRAWS} rotations of the code, the largest"),
            rotated,
            subject.rounding(),
        ),
        Claim::at_most(
            format!("{name}: relative change of the plain loss when W2 gets a condition number of 1000"),
            (loss - 1.0).abs(),
            condition * subject.rounding(),
        ),
    ])
}

/// A random invertible matrix with singular values from a half to 2, and its inverse.
fn stretched(left: &Mat<f64>, right: &Mat<f64>) -> (Mat<f64>, Mat<f64>) {
    let k = left.nrows();
    let value = |i: usize| 0.5 * 4f64.powf(i as f64 / (k - 1) as f64);
    let stretch = Mat::from_fn(k, k, |i, j| value(j) * left[(i, j)]);
    let shrink = Mat::from_fn(k, k, |i, j| right[(i, j)] / value(j));
    (product(stretch.as_ref(), right.transpose()), product(shrink.as_ref(), left.transpose()))
}

/// Strengths over the largest variance, for the time that the balance takes: below, steps run into millions.
const BALANCED: [f64; 7] = [1e-1, 3.162e-2, 1e-2, 3.162e-3, 1e-3, 3.162e-4, 1e-4];

/// The share of the imbalance at which it counts as gone.
const LEFT: f64 = 0.01;

/// `σ₁²/λ` and the steps until `‖W₁W₁ᵀ - W₂ᵀW₂‖` is a hundredth of that at a random start.
fn times(subject: &Subject, seed: u64) -> Result<Vec<(f64, f64)>, CliError> {
    let largest = subject.variances()[0];
    let rows = root_rows(&subject.factor, &subject.variances());
    let rate = 0.05 / largest;
    let start = Weights::random(subject.factor.features(), subject.codes, 0.3, seed);
    let time = |share: f64| {
        let lambda = share * largest;
        // In one flow step the imbalance loses a share 4 lambda rate: look fifty times in that time.
        let stretch = (1.0 / (200.0 * lambda * rate)).ceil().max(1.0) as usize;
        let batches = vec![rows.as_ref(); stretch];
        let (mut weights, mut steps) = (start.clone(), 0);
        while imbalance(&weights) > LEFT * imbalance(&start) && steps < 10_000_000 {
            weights = regularised_path(&weights, &batches, rate, lambda)?;
            steps += stretch;
        }
        Ok((1.0 / share, steps as f64))
    };
    BALANCED.into_par_iter().map(time).collect()
}

fn imbalance(weights: &Weights) -> f64 {
    let of_encoder = product(weights.encoder.as_ref(), weights.encoder.transpose());
    (of_encoder - product(weights.decoder.transpose(), weights.decoder.as_ref())).norm_l2()
}

fn of_times(name: &str, times: &[(f64, f64)]) -> Claim {
    let sentence = format!(
        "{name}: slope of log steps against log sigma_1^2/lambda over three decades, from a random start to weights \
         that are each other's transpose but for a hundredth"
    );
    // Steps of finite size shrink the imbalance by 4 lambda rate, up to a share of as much: 0.02 at the strongest.
    Claim::near(sentence, log_slope(times), 1.0, 0.05)
}

fn time_figure(name: &str, times: &[(f64, f64)]) -> Block {
    // exp(-4 lambda rate t) = LEFT, with rate = 0.05 / sigma_1^2.
    let theory: Vec<(f64, f64)> = times.iter().map(|(ratio, _)| (*ratio, -LEFT.ln() / 0.2 * ratio)).collect();
    let series = vec![dotted("measured", 1, times), line("ln(100) sigma_1^2 / (0.2 lambda)", 0, Dash::Solid, &theory)];
    lines(
        "Why from above: a random start takes sigma^2/lambda",
        &format!(
            "{name}: steps of gradient descent at rate 0.05/sigma_1^2 until ||W1 W1^T - W2^T W2|| is a hundredth of \
             that at the start. The data term leaves it as it is; the penalty alone shrinks it, by 4 lambda per unit \
             of time."
        ),
        [Axis::log("sigma_1^2 / lambda"), Axis::log("steps")],
        vec![panel("", series)],
    )
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "4. What becomes of W2 under (1/n) ||X - W2 W1 X||^2 + lambda (||W1||^2 + ||W2||^2) as lambda goes \
                   to 0? Is the minimiser unique?"
            .into(),
        derivation: "Among all W1, W2 with W2 W1 = U U^T, ||W1||^2 + ||W2||^2 >= 2 ||W2 W1||_* = 2 k, the sum of the \
                     product's singular values, with equality only for W1 = W2^T with all singular values 1: a \
                     singular value s of W2 must meet one of 1/s in W1, and s^2 + 1/s^2 is least at 1. A small lambda \
                     thus chooses, among the minimisers of the plain loss, one with orthonormal columns. In full, the \
                     singular values are sqrt(1 - lambda/sigma_i^2) (Kunin et al. 2019), so that W2^T W2 - I has the \
                     eigenvalues -lambda/sigma_i^2. W2 O and O^T W1 have the same loss for every rotation O. The data \
                     term changes W1 W1^T - W2^T W2 not at all and the penalty shrinks it at the rate 4 lambda, so \
                     that a random start takes a time of sigma^2/lambda; with lambda falling from above the weights \
                     stay balanced."
            .into(),
        answer: "The columns of W2 become orthonormal, ||W2^T W2 - I|| in proportion to lambda. Without a penalty \
                 they are whatever the start made of them. The product W2 W1 is unique, the minimiser is not: any \
                 rotation of the code is as good."
            .into(),
        claims,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretched_matrix_comes_with_its_inverse() {
        let (by, inverse) = stretched(&rotation(4, 1).unwrap(), &rotation(4, 2).unwrap());
        assert!((product(by.as_ref(), inverse.as_ref()) - Mat::<f64>::identity(4, 4)).norm_max() < 1e-14);
        assert!((condition_number(by.as_ref()).unwrap() - 4.0).abs() < 1e-12);
    }
}
