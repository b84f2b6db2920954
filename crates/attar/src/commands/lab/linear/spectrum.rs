//! Question 5: the variances of the data, read off a trained decoder.

use attar_linear::linear_autoencoder::{Objective, Solver, Training, recovered_variances};
use attar_report::{Axis, Dash, Panel};
use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::Lab;
use super::arithmetic::largest;
use super::source::Subject;
use crate::commands::lab::answer::{Answer, Claim};
use crate::commands::lab::figure::{dotted, line, lines, panel};
use crate::commands::lab::power_law::log_slope;
use crate::commands::lab::questions::Part;
use crate::error::CliError;

/// Half decades of lambda below half the smallest kept variance, at which a decoder is stored in single precision.
const STAGES: i32 = 13;

/// Beyond this bound on the relative error it is no longer in proportion to the decoder's.
const LINEAR: f64 = 0.1;

/// How far the singular values of certified weights may be off.
const SINGULAR_VALUES: f64 = 1e-4;

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let (mut claims, mut read, mut stored) = (Vec::new(), Vec::new(), Vec::new());
    let subjects: Vec<_> = lab.subjects().collect();
    let measured = subjects.into_par_iter().map(|(name, subject)| {
        let recovered = recover(subject, lab.seed)?;
        Ok((name, subject, recovered, store(subject)?))
    });
    for (name, subject, recovered, errors) in measured.collect::<Result<Vec<_>, CliError>>()? {
        claims.extend(of_subject(name, subject, &recovered, &errors));
        read.push(read_panel(name, subject, &recovered));
        stored.push(stored_panel(name, &errors));
    }
    let spectra = lines(
        "The spectrum read off the decoder",
        "lambda / (1 - s^2) for the singular values s of a decoder trained with lambda of half the smallest kept \
         variance, over the variances of the data, in its squared units.",
        [Axis::linear("principal direction"), Axis::log("variance")],
        read,
    );
    let errors = lines(
        "A small lambda reads badly",
        "Largest relative error of the variances read off the optimal decoder when its entries are stored in single \
         precision, and the bound 2 sigma_1^2/lambda sqrt(k) 2^-24. A singular value of 1 or more gives no variance.",
        [Axis::log("sigma_1^2 / lambda"), Axis::log("relative error")],
        stored,
    );
    Ok(Part { answer: answer(claims), figures: vec![spectra, errors] })
}

/// The variances as a decoder trained with a medium strength tells them.
fn recover(subject: &Subject, seed: u64) -> Result<Vec<f64>, CliError> {
    let lambda = subject.medium_lambda();
    let config = subject.model(Objective::L2 { lambda });
    let solver = Solver::AlternatingLeastSquares;
    let training = Training { solver, tolerance: 1e-10, max_iterations: 20_000, record_every: 20_000 };
    let trained = config.train(&subject.factor, &subject.start(seed), &training)?;
    read(trained.weights.decoder.as_ref(), lambda)
}

/// NaN where the decoder says nothing.
fn read(decoder: MatRef<'_, f64>, lambda: f64) -> Result<Vec<f64>, CliError> {
    Ok(recovered_variances(decoder, lambda)?.into_iter().map(|variance| variance.unwrap_or(f64::NAN)).collect())
}

fn relative_error(subject: &Subject, recovered: &[f64]) -> f64 {
    largest(recovered.iter().zip(subject.variances()).map(|(found, variance)| (found / variance - 1.0).abs()))
}

/// The error that a decoder in single precision leaves at one strength.
struct Stored {
    /// `σ₁²/λ`.
    ratio: f64,
    error: f64,
    /// To first order: `dσ²/σ² = 2 s σ²/λ ds`, and rounding each entry by a share `2⁻²⁴` moves a singular value by
    /// at most that share of the Frobenius norm, `√k`.
    bound: f64,
}

fn store(subject: &Subject) -> Result<Vec<Stored>, CliError> {
    let one = |stage: i32| {
        let lambda = subject.medium_lambda() * 10f64.powf(-0.5 * f64::from(stage));
        let decoder = subject.model(Objective::L2 { lambda }).optimum(&subject.factor)?.weights.decoder;
        let single = Mat::from_fn(decoder.nrows(), decoder.ncols(), |i, j| f64::from(decoder[(i, j)] as f32));
        let ratio = subject.variances()[0] / lambda;
        let bound = 2.0 * ratio * (subject.codes as f64).sqrt() * 0.5f64.powi(24);
        Ok(Stored { ratio, error: relative_error(subject, &read(single.as_ref(), lambda)?), bound })
    };
    (0..STAGES).map(one).collect()
}

fn of_subject(name: &str, subject: &Subject, recovered: &[f64], errors: &[Stored]) -> Vec<Claim> {
    let ratio = subject.variances()[0] / subject.medium_lambda();
    let linear = || errors.iter().filter(|stored| stored.bound <= LINEAR);
    let points: Vec<(f64, f64)> = linear().map(|stored| (stored.ratio, stored.error)).collect();
    vec![
        Claim::at_most(
            format!(
                "{name}: largest relative error of the {} variances read off a trained decoder; singular values within \
                 {SINGULAR_VALUES} allow 2 sigma_1^2/lambda times that",
                subject.codes
            ),
            relative_error(subject, recovered),
            2.0 * ratio * SINGULAR_VALUES,
        ),
        Claim::at_most(
            format!(
                "{name}: the error of a decoder stored in single precision over its bound, the largest while the \
                 bound is below {LINEAR}"
            ),
            largest(linear().map(|stored| stored.error / stored.bound)),
            1.0,
        ),
        // Errors of random size, a factor of three either way, tilt a line over five decades by log10(9)/5.
        Claim::near(
            format!("{name}: slope of the log of this error against log sigma_1^2/lambda"),
            log_slope(&points),
            1.0,
            0.2,
        ),
    ]
}

fn read_panel(name: &str, subject: &Subject, recovered: &[f64]) -> Panel {
    let places = |values: &[f64]| -> Vec<(f64, f64)> {
        values.iter().take(2 * subject.codes).enumerate().map(|(i, &value)| ((i + 1) as f64, value)).collect()
    };
    let data = line("data", 0, Dash::Solid, &places(&subject.variances()));
    panel(name, vec![data, dotted("read off the decoder", 1, &places(recovered))])
}

fn stored_panel(name: &str, errors: &[Stored]) -> Panel {
    let points = |of: fn(&Stored) -> f64| -> Vec<(f64, f64)> { errors.iter().map(|s| (s.ratio, of(s))).collect() };
    let bound = line("bound", 0, Dash::Dashed, &points(|stored| stored.bound));
    panel(name, vec![dotted("error", 1, &points(|stored| stored.error)), bound])
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "5. Can the spectrum of the data be read off a trained decoder?".into(),
        derivation:
            "Under the L2 sum the decoder's singular values are s_i = sqrt(1 - lambda/sigma_i^2) (Kunin et al. \
                     2019), so sigma_i^2 = lambda/(1 - s_i^2). An error ds becomes a relative error of 2 s \
                     sigma^2/lambda ds: the penalty must be felt. It may not reach the smallest kept variance either, \
                     as a direction with sigma^2 <= lambda collapses. Half the smallest kept variance is a good choice."
                .into(),
        answer: "Yes: with lambda near half the smallest kept variance all kept variances come out to many digits. \
                 With a smaller lambda the singular values crowd below 1 and the error grows as sigma^2/lambda."
            .into(),
        claims,
    }
}
