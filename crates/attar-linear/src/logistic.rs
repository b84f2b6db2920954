//! Multinomial logistic regression, solved to its optimum.

mod lbfgs;
mod objective;

use faer::{Mat, MatRef};

use self::lbfgs::Lbfgs;
use self::objective::{Problem, Rows, curvatures, evaluate};
use crate::basis::Basis;
use crate::folds::stratified;
use crate::{Error, L2, StrengthScore, accuracy, check, logits};

/// The L2 strength used where cross-validation was asked for and some class has fewer than [`FEWEST_LABELS`] labels.
pub const FALLBACK_L2: f64 = 1.0;

/// Labels of the rarest class from which on cross-validation is tried.
pub const FEWEST_LABELS: usize = 3;

/// Where classes are told apart with certainty the curvature vanishes, and the preconditioner takes this instead.
const LEAST_CURVATURE: f32 = 1e-6;

/// The least tolerance of the fits that only compare strengths.
const FOLD_TOLERANCE: f64 = 1e-3;

/// Multinomial logistic regression: the minimum over weight and bias of
/// `Σ cross-entropy(softmax(weight · code + bias), label) + l2/2 · |weight|²`.
///
/// The sum is over rows; the bias is free. Codes are standardised on the training rows (mean 0, variance 1 with divisor
/// n; constant features are left at 0), and it is the weight of the standardised features that is penalised. This is
/// scikit-learn's `LogisticRegression(C = 1/l2)` after its `StandardScaler`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticRegression {
    /// The strength of the penalty; by cross-validation it is the one of least held-out cross-entropy, looked for from
    /// the strongest down until one does worse. Below [`FEWEST_LABELS`] labels in the rarest class it is
    /// [`FALLBACK_L2`] instead.
    pub l2: L2,
    /// The fit has converged when the Euclidean length of the objective's gradient with respect to the standardised
    /// features' weight and the bias, divided by the number of rows, is at most this. Products are in `f32`, which sets
    /// a floor near 1e-6.
    pub tolerance: f64,
    /// The most iterations of L-BFGS.
    pub max_iterations: usize,
}

impl Default for LogisticRegression {
    fn default() -> Self {
        Self { l2: L2::default(), tolerance: 1e-4, max_iterations: 500 }
    }
}

/// What [`LogisticRegression`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedLogisticRegression {
    /// `[classes, features]`, in the units of the codes as they came.
    pub weight: Mat<f32>,
    /// One per class.
    pub bias: Vec<f32>,
    /// The strength that was used.
    pub l2: f64,
    /// The held-out cross-entropy of the strengths that were tried, strongest first; empty where none was held out.
    pub scores: Vec<StrengthScore>,
    /// Iterations of the last fit.
    pub iterations: usize,
    /// Length of the objective's gradient at the solution, divided by the number of rows.
    pub gradient_norm: f64,
    /// Whether `gradient_norm` came down to the tolerance.
    pub converged: bool,
}

impl FittedLogisticRegression {
    /// The class of each row of `codes`; the lowest one where several tie.
    ///
    /// # Errors
    /// Another number of features, or a value that is not finite.
    pub fn predict(&self, codes: MatRef<'_, f32>) -> Result<Vec<u32>, Error> {
        logits::predict(self.weight.as_ref(), &self.bias, codes)
    }

    /// The share of `labels` that are predicted.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), or another number of labels than rows.
    pub fn accuracy(&self, codes: MatRef<'_, f32>, labels: &[u32]) -> Result<f64, Error> {
        accuracy(&self.predict(codes)?, labels)
    }
}

impl LogisticRegression {
    /// Fits to `codes`, `[samples, features]`, and their labels in `0..classes`.
    ///
    /// # Errors
    /// One class only, fewer rows than classes, a label outside `0..classes`, a value that is not finite, or a setting
    /// out of range.
    pub fn fit(
        &self,
        codes: MatRef<'_, f32>,
        labels: &[u32],
        classes: usize,
    ) -> Result<FittedLogisticRegression, Error> {
        self.l2.check()?;
        let tolerance = self.tolerance;
        check::setting("tolerance", "finite and positive", tolerance, tolerance.is_finite() && tolerance > 0.0)?;
        let counts = check::labelled(codes, labels, classes)?;
        let basis = Basis::of(codes)?;
        let blocks = basis.coordinates(codes);
        let solver = Solver { config: self, rank: basis.rank(), blocks: &blocks, labels, classes };
        let rarest = counts.into_iter().filter(|&n| n > 0).min().unwrap_or(0);
        let choice = solver.choose(rarest);
        let folds = vec![0; labels.len()];
        let problem = Problem { held_out: None, l2: choice.l2, rows: labels.len() };
        let fit = solver.minimise(&folds, &[problem], vec![choice.start], tolerance);
        Ok(fitted(&basis, &fit.solvers[0], classes, choice.l2, choice.scores, tolerance))
    }
}

/// The strength that was chosen, where its fit may start, and what it was compared with.
struct Choice {
    l2: f64,
    start: Vec<f32>,
    scores: Vec<StrengthScore>,
}

/// The data of one fit, in the basis that it is solved in.
struct Solver<'a> {
    config: &'a LogisticRegression,
    rank: usize,
    blocks: &'a [Mat<f32>],
    labels: &'a [u32],
    classes: usize,
}

/// Problems that were minimised together.
struct Minimised {
    solvers: Vec<Lbfgs>,
    held_out_losses: Vec<f64>,
}

impl Solver<'_> {
    fn choose(&self, rarest: usize) -> Choice {
        let start = vec![0.0; (self.rank + 1) * self.classes];
        match &self.config.l2 {
            L2::Fixed(l2) => Choice { l2: *l2, start, scores: Vec::new() },
            L2::CrossValidated { .. } if rarest < FEWEST_LABELS => {
                Choice { l2: FALLBACK_L2, start, scores: Vec::new() }
            }
            L2::CrossValidated { folds, strengths, seed } => {
                self.cross_validate((*folds).min(rarest), strengths, *seed, start)
            }
        }
    }

    /// Walks from the strongest strength to the weakest, each started where the one before ended, all folds together,
    /// and stops at the first that does worse: the loss along the path has one valley, and weak strengths are the
    /// slowest to solve.
    fn cross_validate(&self, folds: usize, strengths: &[f64], seed: u64, start: Vec<f32>) -> Choice {
        let fold_of = stratified(self.labels, folds, seed);
        let mut strengths = strengths.to_vec();
        strengths.sort_by(|a, b| b.total_cmp(a));
        let mut best = Choice { l2: strengths[0], start: start.clone(), scores: Vec::new() };
        let mut least = f64::INFINITY;
        let mut starts = vec![start; folds];
        for l2 in strengths {
            let problems: Vec<Problem> = (0..folds as u32).map(|fold| self.without(fold, &fold_of, l2)).collect();
            let fit = self.minimise(&fold_of, &problems, starts, self.config.tolerance.max(FOLD_TOLERANCE));
            let loss = fit.held_out_losses.iter().sum::<f64>() / self.labels.len() as f64;
            best.scores.push(StrengthScore { l2, loss });
            starts = fit.solvers.into_iter().map(|solver| solver.point).collect();
            if loss > least {
                break;
            }
            (least, best.l2, best.start) = (loss, l2, mean(&starts));
        }
        best
    }

    fn without(&self, fold: u32, fold_of: &[u32], l2: f64) -> Problem {
        let rows = fold_of.iter().filter(|&&f| f != fold).count();
        Problem { held_out: Some(fold), l2, rows }
    }

    /// Runs every problem to its end; those that have finished drop out of the batch. The diagonal of the Hessian at the
    /// start preconditions the whole run.
    fn minimise(&self, folds: &[u32], problems: &[Problem], starts: Vec<Vec<f32>>, tolerance: f64) -> Minimised {
        let rows = Rows { blocks: self.blocks, labels: self.labels, classes: self.classes, folds };
        let at: Vec<_> = problems.iter().copied().zip(starts.iter().map(Vec::as_slice)).collect();
        let diagonals = curvatures(&rows, &at);
        let begin = |(start, diagonal): (Vec<f32>, Vec<f32>)| {
            let inverse = diagonal.into_iter().map(|d| 1.0 / d.max(LEAST_CURVATURE)).collect();
            Lbfgs::new(start, inverse, tolerance, self.config.max_iterations)
        };
        let mut solvers: Vec<Lbfgs> = starts.into_iter().zip(diagonals).map(begin).collect();
        let mut held_out_losses = vec![0.0; problems.len()];
        loop {
            let active: Vec<usize> = (0..problems.len()).filter(|&i| !solvers[i].finished).collect();
            if active.is_empty() {
                return Minimised { solvers, held_out_losses };
            }
            let batch: Vec<_> = active.iter().map(|&i| (problems[i], solvers[i].trial.as_slice())).collect();
            let evaluations = evaluate(&rows, &batch);
            for (&index, evaluation) in active.iter().zip(evaluations) {
                if solvers[index].tell(evaluation.value, evaluation.gradient) {
                    held_out_losses[index] = evaluation.held_out_loss;
                }
            }
        }
    }
}

fn mean(points: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0.0; points[0].len()];
    for point in points {
        mean.iter_mut().zip(point).for_each(|(m, p)| *m += p / points.len() as f32);
    }
    mean
}

/// Brings the solution back to the units of the codes.
fn fitted(
    basis: &Basis,
    solver: &Lbfgs,
    classes: usize,
    l2: f64,
    scores: Vec<StrengthScore>,
    tolerance: f64,
) -> FittedLogisticRegression {
    let solution = MatRef::from_column_major_slice(&solver.point, basis.rank() + 1, classes);
    let (weight, shifts) = basis.restore(solution.subrows(0, basis.rank()));
    FittedLogisticRegression {
        weight: Mat::from_fn(weight.nrows(), weight.ncols(), |i, j| weight[(i, j)] as f32),
        bias: (0..classes).map(|c| (f64::from(solution[(basis.rank(), c)]) - shifts[c]) as f32).collect(),
        l2,
        scores,
        iterations: solver.iterations,
        gradient_norm: solver.gradient_norm,
        converged: solver.gradient_norm <= tolerance,
    }
}
