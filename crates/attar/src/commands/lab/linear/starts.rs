//! Question 2: where gradient descent ends from random starts.

use attar_linear::linear_autoencoder::{
    Objective, Solver, Trained, Training, Weights, axis_alignment, subspace_distance,
};
use attar_report::{Axis, Dash, Panel};
use rayon::prelude::*;

use super::Lab;
use super::arithmetic::{largest, smallest};
use super::source::Subject;
use crate::commands::lab::answer::{Answer, Claim};
use crate::commands::lab::figure::{dotted, line, lines, panel};
use crate::commands::lab::questions::Part;
use crate::error::CliError;

const STARTS: u64 = 20;
/// Starts whose way is drawn.
const DRAWN: usize = 5;

/// Features above which a step of gradient descent takes too long for the thousands that it needs.
const MOST_FEATURES: usize = 200;

/// The largest ratio of the first variance to the gap behind the last kept one, to which the steps are in proportion.
const MOST_CONDITION: f64 = 1000.0;

/// Of the weights at the start, as in Bao et al. (2020).
const DEVIATION: f64 = 1e-3;

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let (mut claims, mut ways, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (name, subject) in lab.subjects() {
        let reached = reach(subject, lab.seed)?;
        claims.extend(of_subject(name, &reached));
        ways.push(way(name, &reached));
        ends.push(end(name, &reached));
    }
    let caption = format!(
        "The loss above the closed form's, relative, on the way from {DRAWN} of {STARTS} random starts. Gradient \
         descent with an exact line search; alternating least squares on images and on the near-tie."
    );
    let ways = lines("No start is caught", &caption, [Axis::linear("steps"), Axis::log("relative loss gap")], ways);
    let caption = "Mean squared sine of the angles between the decoder's columns and the principal subspace, and \
                   between each principal axis and the column nearest to it. Below rounding a value is not drawn.";
    let axes = [Axis::linear("random start"), Axis::log("distance, 0 to 1")];
    let ends = lines("The subspace is found, the axes are not", caption, axes, ends);
    Ok(Part { answer: answer(claims), figures: vec![ways, ends] })
}

/// Where one start ended.
struct Reached {
    method: &'static str,
    gap: f64,
    subspace: f64,
    alignment: f64,
    /// Steps and relative loss gap.
    way: Vec<(f64, f64)>,
}

/// The solver, its name, and the most steps it gets.
fn method(subject: &Subject) -> (&'static str, Solver, usize) {
    let variances = subject.variances();
    let condition = variances[0] / (variances[subject.codes - 1] - variances[subject.codes]);
    if subject.factor.features() <= MOST_FEATURES && condition <= MOST_CONDITION {
        ("gradient descent", Solver::GradientDescent, 50_000)
    } else {
        ("alternating least squares", Solver::AlternatingLeastSquares, 30_000)
    }
}

fn reach(subject: &Subject, seed: u64) -> Result<Vec<Reached>, CliError> {
    let config = subject.model(Objective::Plain);
    let least = config.optimum(&subject.factor)?.loss;
    let (method, solver, max_iterations) = method(subject);
    let training = Training { solver, tolerance: 1e-8, max_iterations, record_every: 10 };
    let one = |start: u64| {
        let start = Weights::random(subject.factor.features(), subject.codes, DEVIATION, seed.wrapping_add(start));
        let trained = config.train(&subject.factor, &start, &training)?;
        let decoder = trained.weights.decoder.as_ref();
        Ok(Reached {
            method,
            gap: (trained.loss - least) / least,
            subspace: subspace_distance(subject.principal(), decoder)?,
            alignment: axis_alignment(subject.principal(), decoder)?,
            way: gaps(&trained, least),
        })
    };
    (0..STARTS).into_par_iter().map(one).collect()
}

fn gaps(trained: &Trained, least: f64) -> Vec<(f64, f64)> {
    trained.history.iter().map(|progress| (progress.iteration as f64, (progress.loss - least) / least)).collect()
}

fn of_subject(name: &str, reached: &[Reached]) -> Vec<Claim> {
    let over = |of: fn(&Reached) -> f64| reached.iter().map(of);
    let method = reached.first().map_or("", |reached| reached.method);
    let alignments = || over(|reached| reached.alignment);
    vec![
        Claim::at_most(
            format!("{name}: relative loss gap after {method} from {STARTS} random starts, the largest"),
            largest(over(|reached| reached.gap.abs())),
            1e-6,
        ),
        Claim::at_most(
            format!("{name}: subspace distance there, the largest"),
            largest(over(|reached| reached.subspace)),
            1e-6,
        ),
        Claim::at_least(
            format!("{name}: axis alignment there (0: the axes are found), the smallest"),
            smallest(alignments()),
            0.01,
        ),
        Claim::at_least(
            format!("{name}: largest less smallest axis alignment, against a subspace that is the same to 1e-6"),
            largest(alignments()) - smallest(alignments()),
            1e-3,
        ),
    ]
}

fn way(name: &str, reached: &[Reached]) -> Panel {
    let series = reached.iter().take(DRAWN).enumerate();
    let series = series.map(|(i, reached)| line(format!("start {}", i + 1), i, Dash::Solid, &reached.way));
    panel(name, series.collect())
}

fn end(name: &str, reached: &[Reached]) -> Panel {
    let points = |of: fn(&Reached) -> f64| -> Vec<(f64, f64)> {
        reached.iter().enumerate().map(|(i, reached)| ((i + 1) as f64, of(reached))).collect()
    };
    let alignment = dotted("axes", 1, &points(|reached| reached.alignment));
    panel(name, vec![dotted("subspace", 0, &points(|reached| reached.subspace)), alignment])
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "2. Does gradient descent find the global minimum, and does it find the principal axes?".into(),
        derivation: "By question 1 every critical point but the global minimum has a direction of descent, so there \
                     is no local minimum to be caught in, and a random start is on the way into a saddle with \
                     probability 0. W2 Q and Q^-1 W1 have the same product and so the same loss for every invertible \
                     Q: the product is determined, the columns of W2 are not. The steps that descent needs grow as \
                     sigma_1^2 over the gap behind the last kept variance: on the near-tie and on images, where a step \
                     costs a hundred times more, alternating least squares takes its place."
            .into(),
        answer: "From every start the loss comes down to the sum of the variances left out and the decoder's columns \
                 span the principal subspace. They are other columns each time: plain linear autoencoders find the \
                 subspace and not the axes."
            .into(),
        claims,
    }
}
