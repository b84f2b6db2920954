//! Question 6: what finds the principal axes themselves, and how quickly.

use attar_linear::linear_autoencoder::{Factor, Objective, Solver, Training};
use attar_report::{Axis, Dash, Panel};
use rayon::prelude::*;

use super::Lab;
use super::source::{Subject, rows_of, variances_of};
use crate::commands::lab::answer::{Answer, Claim};
use crate::commands::lab::figure::{line, lines, panel};
use crate::commands::lab::questions::Part;
use crate::error::CliError;

/// Sizes of the code.
const CODES: [usize; 4] = [2, 5, 10, 20];
const FEATURES: usize = 30;
const SAMPLES: usize = 100;
const STEPS: usize = 30_000;

/// The rate of the rotation augmented gradient, over the largest variance: somewhat below the largest that is stable.
const RATE: f64 = 0.4;

/// Alignment from which on the axes count as found: 0.1 rad on average.
const FOUND: f64 = 0.01;

/// What is trained, and how.
#[derive(Clone, Copy, PartialEq)]
enum Method {
    Plain,
    L2,
    NonUniform,
    Nested,
    Rotation,
}

const METHODS: [Method; 5] = [Method::Plain, Method::L2, Method::NonUniform, Method::Nested, Method::Rotation];

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::L2 => "L2",
            Self::NonUniform => "non-uniform L2",
            Self::Nested => "nested dropout",
            Self::Rotation => "L2, rotation augmented",
        }
    }

    fn objective(self, subject: &Subject) -> Objective {
        let (k, lambda) = (subject.codes, subject.medium_lambda());
        match self {
            Self::Plain => Objective::Plain,
            Self::L2 | Self::Rotation => Objective::L2 { lambda },
            Self::NonUniform => {
                Objective::NonUniformL2 { lambdas: (1..=k).map(|i| lambda * i as f64 / k as f64).collect() }
            }
            Self::Nested => Objective::geometric_dropout(k, 0.9),
        }
    }

    fn solver(self, subject: &Subject) -> Solver {
        match self {
            Self::Rotation => Solver::RotationAugmented { learning_rate: RATE / subject.variances()[0] },
            _ => Solver::GradientDescent,
        }
    }
}

/// One training.
struct Curve {
    method: Method,
    codes: usize,
    /// Steps, and the axis alignment after them.
    points: Vec<(f64, f64)>,
}

impl Curve {
    fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |point| point.1)
    }

    /// Steps after which the axes are found and stay so; infinite where they are not.
    fn found(&self) -> f64 {
        let astray = self.points.iter().rposition(|point| point.1.is_nan() || point.1 > FOUND);
        let first = astray.map_or(0, |place| place + 1);
        self.points.get(first).map_or(f64::INFINITY, |point| point.0)
    }
}

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let rows = rows_of(&variances_of("gentle", FEATURES), SAMPLES, lab.seed)?;
    let factor = Factor::of(rows.as_ref())?;
    let cases: Vec<(usize, Method)> = CODES.iter().rev().flat_map(|&k| METHODS.map(|method| (k, method))).collect();
    let one = |(codes, method)| train(&Subject { factor: factor.clone(), codes }, method, lab.seed);
    let curves = cases.into_par_iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let caption = format!(
        "Mean squared sine between each principal axis and the column of W2 nearest to it, on {FEATURES} features \
         whose variances fall by a fifth each. All but the rotation augmented gradient are helped by an exact line \
         search."
    );
    let axes = [Axis::log("steps"), Axis::log("axis alignment (0: found)")];
    let panels = CODES.iter().map(|&codes| curves_of(codes, &curves)).collect();
    let figure = lines("Finding the axes", &caption, axes, panels);
    Ok(Part { answer: answer(claims(&curves)), figures: vec![figure] })
}

fn train(subject: &Subject, method: Method, seed: u64) -> Result<Curve, CliError> {
    let training =
        Training { solver: method.solver(subject), tolerance: 1e-7, max_iterations: STEPS, record_every: 20 };
    let trained = subject.model(method.objective(subject)).train(&subject.factor, &subject.start(seed), &training)?;
    let points = trained.history.iter().map(|progress| (progress.iteration as f64, progress.axis_alignment));
    Ok(Curve { method, codes: subject.codes, points: points.collect() })
}

fn curves_of(codes: usize, curves: &[Curve]) -> Panel {
    let of_size = curves.iter().filter(|curve| curve.codes == codes).enumerate();
    let series = of_size.map(|(colour, curve)| {
        let steps: Vec<(f64, f64)> = curve.points.iter().copied().filter(|point| point.0 > 0.0).collect();
        line(curve.method.name(), colour, Dash::Solid, &steps)
    });
    panel(format!("code of {codes}"), series.collect())
}

fn claims(curves: &[Curve]) -> Vec<Claim> {
    let (fewest, most) = (CODES[0], CODES[CODES.len() - 1]);
    let find = |method: Method, codes: usize| curves.iter().find(|c| c.method == method && c.codes == codes);
    let last = |method, codes| find(method, codes).map_or(f64::NAN, Curve::last);
    let found = |method, codes| find(method, codes).map_or(f64::NAN, Curve::found);
    let mut claims = Vec::new();
    for method in [Method::Plain, Method::L2] {
        let sentence =
            format!("{}, code of {most}: axis alignment at the end; the axes count as found at {FOUND}", method.name());
        claims.push(Claim::at_least(sentence, last(method, most), FOUND));
    }
    for method in [Method::NonUniform, Method::Nested] {
        let name = method.name();
        let sentence = format!("{name}, code of {fewest}: axis alignment at the end");
        claims.push(Claim::at_most(sentence, last(method, fewest), FOUND));
        // Where the axes are not found within the limit, it stands for a number of steps that is larger.
        let needed = |codes| match found(method, codes) {
            steps if steps > STEPS as f64 => STEPS as f64,
            // What is no number stays so, and the claim fails.
            steps => steps,
        };
        let sentence =
            format!("{name}: steps to find the axes with a code of {most} (at most {STEPS}) over those with {fewest}");
        claims.push(Claim::at_least(sentence, needed(most) / needed(fewest), 2.0));
        let sentence = format!(
            "{name}: its steps with a code of {most} (at most {STEPS}) over those of the rotation augmented gradient"
        );
        claims.push(Claim::at_least(sentence, needed(most) / found(Method::Rotation, most), 2.0));
    }
    let sentence = format!("rotation augmented, code of {most}: axis alignment at the end");
    claims.push(Claim::at_most(sentence, last(Method::Rotation, most), FOUND));
    claims
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "6. What makes a linear autoencoder find the principal axes, and how quickly does it?".into(),
        derivation: "Plain and L2 losses are the same for all rotations of the code, so nothing asks for axes. A \
                     penalty that differs from code to code, or prefixes of the code that must reconstruct by \
                     themselves, breaks the symmetry: the optimum has the principal axes in order (Bao et al. 2020). \
                     But the loss then differs between a code and its rotation only by differences of the strengths, \
                     1/k of them for k codes, or of the prefix weights, which makes the problem ill-conditioned, more \
                     so as k grows. The rotation augmented gradient turns the code beside each step by the \
                     off-diagonal part of its own covariance, which vanishes at the axes alone and leaves the loss as \
                     it is."
            .into(),
        answer: "Non-uniform L2 and nested dropout find the axes, slowly, and more slowly with a larger code. The \
                 rotation augmented gradient finds them in fewer steps. Plain and L2 do not."
            .into(),
        claims,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_found_where_they_stay_found() {
        let curve = |values: &[f64]| {
            let points = values.iter().enumerate().map(|(i, &value)| (i as f64, value)).collect();
            Curve { method: Method::Plain, codes: 2, points }.found()
        };
        assert_eq!(curve(&[0.5, 0.001, 0.2, 0.01, 0.001]), 3.0);
        assert_eq!(curve(&[0.001]), 0.0);
        assert_eq!(curve(&[0.001, 0.5]), f64::INFINITY);
        assert_eq!(curve(&[0.001, f64::NAN]), f64::INFINITY);
    }
}
