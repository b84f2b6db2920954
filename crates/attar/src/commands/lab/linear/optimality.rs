//! Question 1: where the gradient vanishes, and which of these points are minima.

use attar_linear::linear_autoencoder::{CriticalPoint, Factor, Normalisation, Objective, Weights};
use attar_report::{Axis, Block, Dash, Panel};
use faer::{Mat, Side};
use rayon::prelude::*;

use super::Lab;
use super::arithmetic::{drawn_indices, largest, moved, smallest};
use super::source::{Subject, rows_of};
use crate::commands::lab::answer::{Answer, Claim};
use crate::commands::lab::figure::{line, lines, panel, table};
use crate::commands::lab::questions::Part;
use crate::error::CliError;

/// Random points, and random index sets.
const DRAWS: usize = 20;

/// Variances of the data on which every index set is looked at, and the size of the code there.
const FEW: [f64; 6] = [6.0, 5.0, 3.0, 2.0, 1.0, 0.5];
const FEW_CODES: usize = 3;

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let mut claims = Vec::new();
    let mut panels = Vec::new();
    for (name, subject) in lab.subjects() {
        claims.extend(of_subject(name, subject, lab.seed)?);
        panels.push(ways_down(name, subject)?);
    }
    let counted = count_descents(lab.seed)?;
    let wrong = counted.iter().filter(|set| set.counted != set.predicted).count();
    let minima = counted.iter().filter(|set| set.counted == 0).count();
    let all = counted.len();
    claims.push(Claim::at_most(
        format!(
            "6 features, code of 3: index sets, of all {all}, whose Hessian has another number of negative eigenvalues \
             than pairs (i in I, j not in I) with sigma_j > sigma_i"
        ),
        wrong as f64,
        0.0,
    ));
    claims.push(Claim::near("of these, index sets without a negative eigenvalue", minima as f64, 1.0, 0.0));
    let axes = [Axis::linear("step"), Axis::linear("loss / at saddle")];
    let caption = "A saddle uses the principal directions given; the step turns its weakest code towards the strongest \
                   direction that it leaves out. At 0 the slope vanishes; below 1 the loss has fallen.";
    Ok(Part {
        answer: answer(claims),
        figures: vec![lines("Ways down from saddles", caption, axes, panels), counts(&counted)],
    })
}

fn of_subject(name: &str, subject: &Subject, seed: u64) -> Result<Vec<Claim>, CliError> {
    let config = subject.model(Objective::Plain);
    let principal = slope(subject, &config.optimum(&subject.factor)?.weights)?;
    let random = (0..DRAWS as u64).into_par_iter().map(|i| slope(subject, &subject.start(seed.wrapping_add(i))));
    let random = smallest(random.collect::<Result<Vec<_>, _>>()?);
    let saddles = index_sets(subject, seed).into_par_iter().map(|indices| saddle(subject, &indices));
    let saddles = saddles.collect::<Result<Vec<_>, CliError>>()?;
    let count = saddles.len();
    let rounding = subject.rounding();
    let worst = |of: fn(&Saddle) -> f64| largest(saddles.iter().map(of));
    let descended = saddles.iter().filter(|saddle| saddle.descends).count();
    Ok(vec![
        Claim::at_most(
            format!(
                "{name}: norm of the gradient at the principal components over sigma_1^2; allowed: rounding, 4 m eps"
            ),
            principal,
            rounding,
        ),
        Claim::at_least(format!("{name}: the same at {DRAWS} random points, the smallest"), random, 0.01),
        Claim::at_most(
            format!("{name}: the same at {count} other index sets, the largest: they are critical too"),
            worst(|saddle| saddle.slope),
            rounding,
        ),
        Claim::at_least(
            format!("{name}: of these {count}, index sets with a direction along which the loss falls"),
            descended as f64,
            count as f64,
        ),
        Claim::at_most(
            format!(
                "{name}: difference of the curvature there from sigma_i^2 - sigma_j^2, over sigma_1^2, the largest"
            ),
            worst(|saddle| saddle.curvature_error),
            rounding,
        ),
    ])
}

/// The norm of the gradient over the largest variance.
fn slope(subject: &Subject, weights: &Weights) -> Result<f64, CliError> {
    let gradient = subject.model(Objective::Plain).evaluate(&subject.factor, weights)?.gradient;
    Ok(gradient.encoder.norm_l2().hypot(gradient.decoder.norm_l2()) / subject.variances()[0])
}

/// A critical point that is not the minimum.
struct Saddle {
    slope: f64,
    /// Of the curvature along the way down, over the largest variance.
    curvature_error: f64,
    descends: bool,
}

fn saddle(subject: &Subject, indices: &[usize]) -> Result<Saddle, CliError> {
    let config = subject.model(Objective::Plain);
    let point = critical(&subject.factor, subject.codes, indices)?;
    let slope = slope(subject, &point.weights)?;
    let variances = subject.variances();
    let (weakest, strongest) = exchanged(indices);
    let Some(direction) = point.descent else {
        return Ok(Saddle { slope, curvature_error: f64::NAN, descends: false });
    };
    let [c0, _, c2, ..] = config.along(&subject.factor, &point.weights, &direction)?;
    // The loss is c0 + c2 t^2 + c4 t^4 with c4 the variance towards which the code turns.
    let step = (-c2 / (2.0 * variances[strongest])).max(0.0).sqrt();
    let lower = config.evaluate(&subject.factor, &moved(&point.weights, step, &direction))?.loss;
    let curvature_error = (c2 - (variances[weakest] - variances[strongest])).abs() / variances[0];
    Ok(Saddle { slope, curvature_error, descends: c2 < 0.0 && lower < c0 })
}

/// The weakest direction of an index set, and the strongest outside of it.
fn exchanged(indices: &[usize]) -> (usize, usize) {
    let weakest = indices.iter().copied().max().unwrap_or(0);
    let strongest = (0..=weakest + 1).find(|i| !indices.contains(i)).unwrap_or(0);
    (weakest, strongest)
}

fn critical(factor: &Factor, codes: usize, indices: &[usize]) -> Result<CriticalPoint, CliError> {
    Ok(CriticalPoint::of(factor, codes, indices, Normalisation::PerSample)?)
}

/// The first directions with one exchanged for the next, and random ones.
fn index_sets(subject: &Subject, seed: u64) -> Vec<Vec<usize>> {
    let k = subject.codes;
    let next = |left_out: usize| (0..=k).filter(|&i| i != left_out).collect::<Vec<_>>();
    let random = (0..DRAWS as u64).map(|i| drawn_indices(k, subject.factor.rank(), seed.wrapping_add(i)));
    (0..k).map(next).chain(random).filter(|indices| indices.iter().any(|&i| i >= k)).collect()
}

fn ways_down(name: &str, subject: &Subject) -> Result<Panel, CliError> {
    let (k, rank) = (subject.codes, subject.factor.rank());
    let last = |last: usize| (0..k - 1).chain([last]).collect::<Vec<_>>();
    let named = [
        (format!("{k} left out for {}", k + 1), last(k)),
        (format!("{k} left out for {rank}"), last(rank - 1)),
        (format!("1 left out for {}", k + 1), (1..=k).collect()),
        (format!("the last {k} of {rank}"), (rank - k..rank).collect()),
    ];
    let mut series = Vec::new();
    for (colour, (what, indices)) in named.into_iter().enumerate() {
        let point = critical(&subject.factor, k, &indices)?;
        let Some(direction) = point.descent else { continue };
        let [c0, c1, c2, c3, c4] =
            subject.model(Objective::Plain).along(&subject.factor, &point.weights, &direction)?;
        let loss = |t: f64| (c0 + t * (c1 + t * (c2 + t * (c3 + t * c4)))) / c0;
        let points: Vec<(f64, f64)> = (-50..=50).map(|i| f64::from(i) / 50.0).map(|t| (t, loss(t))).collect();
        series.push(line(what, colour, Dash::Solid, &points));
    }
    Ok(panel(name, series))
}

/// The directions of descent at a critical point.
struct Counted {
    indices: Vec<usize>,
    /// Negative eigenvalues of the Hessian, from second differences that are exact on a polynomial.
    counted: usize,
    /// As the pairs say.
    predicted: usize,
}

fn count_descents(seed: u64) -> Result<Vec<Counted>, CliError> {
    let rows = rows_of(&FEW, 50, seed)?;
    let subject = Subject { factor: Factor::of(rows.as_ref())?, codes: FEW_CODES };
    let sets: Vec<Vec<usize>> = subsets(FEW.len()).into_iter().filter(|set| set.len() <= FEW_CODES).collect();
    let count = |indices: Vec<usize>| {
        let point = critical(&subject.factor, FEW_CODES, &indices)?;
        let counted = negative_eigenvalues(&hessian(&subject, &point.weights)?)?;
        Ok(Counted { counted, predicted: pairs(&indices, FEW.len(), FEW_CODES), indices })
    };
    sets.into_par_iter().map(count).collect()
}

/// Pairs of a used and an unused direction of larger variance; a code without a direction pairs with every unused one.
fn pairs(indices: &[usize], rank: usize, codes: usize) -> usize {
    let unused: Vec<usize> = (0..rank).filter(|j| !indices.contains(j)).collect();
    let of_used: usize = indices.iter().map(|i| unused.iter().filter(|&j| j < i).count()).sum();
    of_used + (codes - indices.len()) * unused.len()
}

fn subsets(size: usize) -> Vec<Vec<usize>> {
    (0..1_usize << size).map(|bits| (0..size).filter(|i| bits >> i & 1 == 1).collect()).collect()
}

/// Half the Hessian: the coefficients of `t²` along unit directions and along their sums.
fn hessian(subject: &Subject, weights: &Weights) -> Result<Mat<f64>, CliError> {
    let (m, k) = (subject.factor.features(), subject.codes);
    let config = subject.model(Objective::Plain);
    let quadratic = |places: &[usize]| {
        let mut direction = Weights { encoder: Mat::zeros(k, m), decoder: Mat::zeros(m, k) };
        for &place in places {
            let (row, code) = (place / 2 / k, place / 2 % k);
            let entry =
                if place % 2 == 0 { &mut direction.encoder[(code, row)] } else { &mut direction.decoder[(row, code)] };
            *entry = 1.0;
        }
        Ok::<f64, CliError>(config.along(&subject.factor, weights, &direction)?[2])
    };
    let size = 2 * m * k;
    let diagonal = (0..size).map(|i| quadratic(&[i])).collect::<Result<Vec<_>, _>>()?;
    let mut hessian = Mat::zeros(size, size);
    for i in 0..size {
        hessian[(i, i)] = diagonal[i];
        for j in 0..i {
            hessian[(i, j)] = 0.5 * (quadratic(&[i, j])? - diagonal[i] - diagonal[j]);
            hessian[(j, i)] = hessian[(i, j)];
        }
    }
    Ok(hessian)
}

/// Eigenvalues below 0 by more than rounding. The least that theory has here is not: it is a tenth or so.
fn negative_eigenvalues(matrix: &Mat<f64>) -> Result<usize, CliError> {
    let values = matrix.self_adjoint_eigenvalues(Side::Lower);
    let values = values.map_err(|_| CliError::run("the eigenvalues of a Hessian did not converge"))?;
    Ok(values.iter().filter(|&&value| value < -1e-9 * FEW[0]).count())
}

fn counts(counted: &[Counted]) -> Block {
    let row = |set: &Counted| {
        let indices: Vec<String> = set.indices.iter().map(|i| (i + 1).to_string()).collect();
        let indices = if indices.is_empty() { "none".to_owned() } else { indices.join(", ") };
        vec![indices, set.predicted.to_string(), set.counted.to_string()]
    };
    let caption = "Six features, a code of three. A code without a direction counts as one of variance 0.";
    let columns = ["principal directions used", "pairs", "negative eigenvalues of the Hessian"];
    table("Directions of descent at every index set", caption, &columns, counted.iter().map(row).collect())
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "1. Which conditions does the optimum of ||X - W2 W1 X||^2 meet, and which of the points that meet \
                   them are minima?"
            .into(),
        derivation: "With K = X X^T the gradient vanishes where W2 (W1 K W1^T) = K W1^T and (W2^T W2) W1 K = W2^T K. \
                     With codes that are not redundant the second gives W1 = (W2^T W2)^-1 W2^T, so that P = W2 W1 is \
                     the orthogonal projector on the columns of W2, and the first then says P K = P K P = K P: P \
                     commutes with K and so projects on principal directions, some index set I of k of them (Baldi & \
                     Hornik 1989). The loss is the variance outside of I. Turning a code from direction i in I \
                     towards j outside changes the loss by (sigma_i^2 - sigma_j^2) t^2 + O(t^4), which falls where \
                     sigma_j > sigma_i; the Hessian has one negative eigenvalue for each such pair."
            .into(),
        answer: "The principal components meet the conditions to rounding and random points do not. So does every \
                 other index set, but each of them is a saddle with as many directions of descent as there are pairs \
                 in the wrong order. The k directions of largest variance alone have none."
            .into(),
        claims,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_by_hand() {
        assert_eq!(pairs(&[0, 1, 2], 6, 3), 0);
        assert_eq!(pairs(&[0, 1, 3], 6, 3), 1);
        assert_eq!(pairs(&[3, 4, 5], 6, 3), 9);
        assert_eq!(pairs(&[0], 6, 3), 10);
    }

    #[test]
    fn the_weakest_is_exchanged_for_the_strongest() {
        assert_eq!(exchanged(&[0, 1, 3]), (3, 2));
        assert_eq!(exchanged(&[5, 2, 7]), (7, 0));
    }

    #[test]
    fn there_are_forty_two_index_sets() {
        assert_eq!(subsets(6).into_iter().filter(|set| set.len() <= 3).count(), 42);
    }
}
