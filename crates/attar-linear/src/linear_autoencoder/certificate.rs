//! Whether given weights are the optimum they should be: one named check for each thing that theory fixes.

use faer::MatRef;

use super::arithmetic::norm;
use super::checks::Subject;
use super::problem::Problem;
use super::weights::residual_of_mean;
use super::{Factor, LinearAutoencoder, Weights};
use crate::Error;

/// One thing that theory fixes, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What was measured, in a word or two; the same in every certificate.
    pub name: &'static str,
    /// The number.
    pub measured: f64,
    /// What it should be; `None` where theory does not say, and the number is for information.
    pub expected: Option<f64>,
    /// How far it may be from that; `None` where it is for information, or where the data does not determine it.
    pub tolerance: Option<f64>,
    /// Whether it is near enough. What is for information holds.
    pub holds: bool,
    /// What the number means.
    pub sentence: String,
}

/// The checks of given weights on given data.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// In the order: what came, what was reached, what it looks like.
    pub checks: Vec<Check>,
}

/// How far each measured number may be from theory.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerances {
    /// Of the first-order residual ([`super::Evaluation::residual`]).
    pub residual: f64,
    /// Of the loss above the closed form, and of the variance lost, both relative.
    pub loss: f64,
    /// Of the mean squared sine of the principal angles, and of the axis alignment.
    pub subspace: f64,
    /// Of each singular value, which are 1 or below.
    pub singular_values: f64,
    /// Of `‖W₁ - W₂ᵀ‖²/k`.
    pub transpose: f64,
    /// Of the data's mean, or of the constant term, over the data's deviation.
    pub centre: f64,
}

impl Tolerances {
    /// For weights trained in `f64`: a loss within 1e-6 of the closed form and the subspace within 1e-6, singular
    /// values within 1e-4, which is also what is asked of the residual and of the root of the transpose gap. A mean of
    /// 1e-6 deviations changes the loss by 1e-12.
    pub fn double() -> Self {
        Self { residual: 1e-4, loss: 1e-6, subspace: 1e-6, singular_values: 1e-4, transpose: 1e-8, centre: 1e-6 }
    }

    /// For weights trained in `f32`.
    ///
    /// A step is lost when it is below half a unit in the last place (6e-8 of the weight). With a step of 1e-3 of the
    /// weight per unit of residual that happens at a residual of some 6e-5, so 1e-3 is asked of it and of what is of
    /// first order in the error (singular values, the centre); what is of second order (loss, subspace) grows with the
    /// condition of the problem and gets 1e-4; the transpose gap is a square of first-order errors.
    pub fn single() -> Self {
        Self { residual: 1e-3, loss: 1e-4, subspace: 1e-4, singular_values: 1e-3, transpose: 1e-6, centre: 1e-3 }
    }
}

impl Default for Tolerances {
    fn default() -> Self {
        Self::double()
    }
}

impl Certificate {
    /// Whether every check holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    /// The names of the checks that do not hold.
    pub fn failing(&self) -> Vec<&'static str> {
        self.checks.iter().filter(|check| !check.holds).map(|check| check.name).collect()
    }

    /// The check of this name, where it was made.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

impl Check {
    /// A number that should be `expected`.
    pub(super) fn near(name: &'static str, measured: f64, expected: f64, tolerance: f64, sentence: String) -> Self {
        let holds = (measured - expected).abs() <= tolerance;
        Self { name, measured, expected: Some(expected), tolerance: Some(tolerance), holds, sentence }
    }

    /// A number for information.
    pub(super) fn note(name: &'static str, measured: f64, sentence: String) -> Self {
        Self { name, measured, expected: None, tolerance: None, holds: true, sentence }
    }
}

impl LinearAutoencoder {
    /// Checks `weights`, from whatever source, against the closed form on the data of `factor`.
    ///
    /// The model is `x ↦ W₂W₁x + constant`. Without a constant (no biases) the data has to be centred, and the check
    /// `centred` looks at that; with one ([`super::constant_term`]) it has to be the best for the data's mean, and the
    /// check `constant term` looks at that. All else is measured on the centred data, but for the loss, which is that
    /// of the model as it is on the data as it is. Under nested dropout a constant is judged with the whole code.
    ///
    /// In order: `shapes`, `finite` (nothing further is measured if they fail); `centred` or `constant term`,
    /// `residual`, `loss gap`, `captured variance`, `subspace`; for the L2 objectives `transpose gap`,
    /// `encoder singular values`, `decoder singular values`; `map singular values`, `orthonormality`; for the ordered
    /// objectives `axis alignment`; `condition number`. `orthonormality` has an expected value for the L2 objectives
    /// only.
    ///
    /// Where two variances are nearly tied, a loss within its tolerance leaves directions undetermined: `subspace` and
    /// `axis alignment` then allow what a loss within its tolerance allows, and say so; `captured variance` does not
    /// depend on such ties.
    ///
    /// # Errors
    /// A setting outside its range, or a decomposition that does not converge.
    pub fn certify(
        &self,
        factor: &Factor,
        weights: &Weights,
        constant: Option<&[f64]>,
        tolerances: &Tolerances,
    ) -> Result<Certificate, Error> {
        let problem = Problem::new(self, factor)?;
        let mut checks = vec![shapes(&problem, weights, constant)];
        if checks[0].holds {
            checks.push(finite(weights, constant));
        }
        if checks.iter().any(|check| !check.holds) {
            return Ok(Certificate { checks });
        }
        let offset = offset(factor, weights, constant);
        let at_mean = loss_at_mean(&problem, weights, constant.map(|_| offset.as_slice()));
        checks.push(centre(factor, &offset, constant.is_some(), tolerances.centre));
        checks.extend(Subject::new(&problem, weights, at_mean, tolerances)?.checks()?);
        Ok(Certificate { checks })
    }
}

fn shapes(problem: &Problem<'_>, weights: &Weights, constant: Option<&[f64]>) -> Check {
    let (m, k) = (problem.factor.features(), problem.config.codes);
    let constant_fits = constant.is_none_or(|c| c.len() == m);
    let wrong = f64::from(u8::from(!weights.fits(m, k)) + u8::from(!constant_fits));
    let [(e0, e1), (d0, d1)] = [weights.encoder.shape(), weights.decoder.shape()];
    let sentence =
        format!("expected an encoder of {k} by {m} and a decoder of {m} by {k}, got {e0} by {e1} and {d0} by {d1}");
    Check::near("shapes", wrong, 0.0, 0.0, sentence)
}

fn finite(weights: &Weights, constant: Option<&[f64]>) -> Check {
    let columns = weights.encoder.col_iter().chain(weights.decoder.col_iter());
    let in_weights: usize = columns.map(|column| column.iter().filter(|v| !v.is_finite()).count()).sum();
    let in_constant = constant.unwrap_or_default().iter().filter(|v| !v.is_finite()).count();
    let count = in_weights + in_constant;
    Check::near("finite", count as f64, 0.0, 0.0, format!("{count} values are NaN or infinite"))
}

/// The error of the model at the mean: what the reconstruction lacks there.
fn offset(factor: &Factor, weights: &Weights, constant: Option<&[f64]>) -> Vec<f64> {
    let mut offset = residual_of_mean(weights, factor.mean());
    if let Some(constant) = constant {
        offset.iter_mut().zip(constant).for_each(|(o, c)| *o -= c);
    }
    offset
}

/// What the rows' mean adds to the loss, which is otherwise that of the centred rows. `offset` is the error of a model
/// with a constant term.
fn loss_at_mean(problem: &Problem<'_>, weights: &Weights, offset: Option<&[f64]>) -> f64 {
    let factor = problem.factor;
    let scale = factor.samples() as f64 * problem.config.normalisation.scale(factor.samples(), factor.features());
    match offset {
        Some(offset) => scale * problem.terms.tails[0] * offset.iter().map(|o| o * o).sum::<f64>(),
        None => {
            scale * problem.terms.errors(MatRef::from_column_major_slice(factor.mean(), factor.features(), 1), weights)
        }
    }
}

/// Without a constant term the mean itself is measured, not its error: an uncentred mean also turns the directions of a
/// model that was trained on it.
fn centre(factor: &Factor, offset: &[f64], has_constant: bool, tolerance: f64) -> Check {
    let deviation = norm(factor.singular_values()) / (factor.samples() as f64).sqrt();
    if has_constant {
        let measured = norm(offset) / (deviation + norm(factor.mean()));
        let sentence = format!("the mean is reconstructed to within {measured:.1e} of the data's size");
        return Check::near("constant term", measured, 0.0, tolerance, sentence);
    }
    let measured = norm(factor.mean()) / deviation;
    let sentence = format!("the data's mean is {measured:.1e} of its deviation; without biases it has to be 0");
    Check::near("centred", measured, 0.0, tolerance, sentence)
}
