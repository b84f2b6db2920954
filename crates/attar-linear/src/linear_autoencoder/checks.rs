//! The checks of a certificate that compare weights with the optimum.

use faer::{Mat, MatRef};

use super::arithmetic::{LeftSvd, left_svd, product, singular_values};
use super::metrics::{axis_alignment, orthonormality, subspace_distance, transpose_gap};
use super::problem::Problem;
use super::weights::first;
use super::{Check, Evaluation, Objective, Optimum, Tolerances, Weights};
use crate::Error;

/// An optimal loss below this share of the data's variance is as good as 0: gaps are relative to the share.
const LEAST_SHARE: f64 = 1e-6;

/// Weights beside the optimum.
pub(super) struct Subject<'a> {
    problem: &'a Problem<'a>,
    weights: &'a Weights,
    tolerances: &'a Tolerances,
    optimum: Optimum,
    evaluation: Evaluation,
    /// The decoder's left singular vectors and its singular values.
    decoder: LeftSvd,
    /// `σ²`.
    variances: Vec<f64>,
    /// The loss that the error at the mean adds.
    at_mean: f64,
}

impl<'a> Subject<'a> {
    pub(super) fn new(
        problem: &'a Problem<'a>,
        weights: &'a Weights,
        at_mean: f64,
        tolerances: &'a Tolerances,
    ) -> Result<Self, Error> {
        let factor = problem.factor;
        Ok(Self {
            problem,
            weights,
            tolerances,
            optimum: problem.config.optimum(factor)?,
            evaluation: problem.evaluate(weights),
            decoder: left_svd(weights.decoder.as_ref())?,
            variances: factor.variances(problem.config.normalisation),
            at_mean,
        })
    }

    pub(super) fn checks(&self) -> Result<Vec<Check>, Error> {
        let mut checks = vec![self.residual(), self.loss_gap()];
        if self.optimum.kept > 0 {
            checks.extend([self.captured_variance(), self.subspace()?]);
        }
        if let Some(expected) = &self.optimum.weight_singular_values {
            checks.push(self.transpose());
            let encoder = singular_values(self.weights.encoder.as_ref())?;
            checks.push(self.singular("encoder singular values", &encoder, expected));
            checks.push(self.singular("decoder singular values", &self.decoder.values, expected));
        }
        let map = singular_values(self.reduced_map().as_ref())?;
        checks.push(self.singular("map singular values", &map, &self.optimum.map_singular_values));
        checks.push(self.orthonormality());
        if self.problem.config.objective.is_ordered() && self.optimum.kept > 0 {
            checks.push(self.alignment()?);
        }
        checks.push(self.condition());
        Ok(checks)
    }

    fn residual(&self) -> Check {
        let measured = self.evaluation.residual;
        let sentence = format!("the gradient is {measured:.1e} of its parts; at a critical point it is 0");
        Check::near("residual", measured, 0.0, self.tolerances.residual, sentence)
    }

    /// What relative losses are relative to.
    fn loss_unit(&self) -> f64 {
        self.optimum.loss.max(LEAST_SHARE * self.variances.iter().sum::<f64>())
    }

    fn loss_gap(&self) -> Check {
        let loss = self.evaluation.loss + self.at_mean;
        let measured = (loss - self.optimum.loss) / self.loss_unit();
        let sentence = format!("the loss is {loss:.6e}, the least possible is {:.6e}", self.optimum.loss);
        Check::near("loss gap", measured, 0.0, self.tolerances.loss, sentence)
    }

    /// The part of the decoder's column space that the data asks for: as many of its strongest directions as are kept.
    fn basis(&self) -> MatRef<'_, f64> {
        first(self.decoder.vectors.as_ref(), self.optimum.kept)
    }

    /// With the projector `P` on the decoder's directions, `Σ_{i≤k} σᵢ² - tr(P K)` is a sum of terms none of which is
    /// negative: `(σᵢ² - σ_k²) ‖(I-P)uᵢ‖²` of the kept ones, `(σ_k² - σⱼ²) ‖P uⱼ‖²` of the others, and `σ_k²` times
    /// what lies outside of the data.
    fn captured_variance(&self) -> Check {
        let (kept, directions) = (self.optimum.kept, self.problem.factor.vectors());
        let overlap = product(directions.transpose(), self.basis());
        let least = self.variances[kept - 1];
        let missed = first(directions, kept).to_owned() - product(self.basis(), overlap.subrows(0, kept).transpose());
        let inside = (0..kept).map(|i| (self.variances[i] - least) * missed.col(i).squared_norm_l2());
        let others = kept..self.variances.len();
        let between = others.map(|j| (least - self.variances[j]) * overlap.row(j).squared_norm_l2());
        let outside = self.basis().to_owned() - product(directions, overlap.as_ref());
        let lost = inside.chain(between).sum::<f64>() + least * outside.squared_norm_l2();
        let measured = lost / self.variances[..kept].iter().sum::<f64>();
        let sentence = format!("the decoder's directions miss {measured:.1e} of the variance that {kept} can hold");
        Check::near("captured variance", measured, 0.0, self.tolerances.loss, sentence)
    }

    fn subspace(&self) -> Result<Check, Error> {
        let kept = self.optimum.kept;
        let measured = subspace_distance(first(self.problem.factor.vectors(), kept), self.basis())?;
        let gap = 1.0 - self.variances.get(kept).copied().unwrap_or(0.0) / self.variances[kept - 1];
        let angle = measured.sqrt();
        let sentence =
            format!("{kept} directions, {angle:.1e} rad away on average; the next variance is {gap:.1e} less");
        Ok(self.determined("subspace", measured, self.cost_of_leaving(), sentence))
    }

    /// A mean squared sine that costs the loss about `cost` per unit; a loss within its tolerance determines it to
    /// within the tolerance over the cost.
    fn determined(&self, name: &'static str, measured: f64, cost: f64, sentence: String) -> Check {
        let allowed = self.tolerances.loss * self.loss_unit() / (self.optimum.kept as f64 * cost);
        if !(cost > 0.0 && allowed < 1.0) {
            return Check::note(name, measured, format!("{sentence}: too near a tie to be determined by the loss"));
        }
        Check::near(name, measured, 0.0, self.tolerances.subspace.max(allowed), sentence)
    }

    /// What the code of place `code` saves when it stands for direction `direction`.
    fn saving(&self, code: usize, direction: usize) -> f64 {
        let variance = self.variances.get(direction).copied().unwrap_or(0.0);
        let shrunk = |lambda: f64| if variance > lambda { (variance - lambda).powi(2) / variance } else { 0.0 };
        match &self.problem.config.objective {
            Objective::Plain => variance,
            Objective::L2 { lambda } => shrunk(*lambda),
            Objective::NonUniformL2 { lambdas } => shrunk(lambdas[code]),
            Objective::Product { lambda } => variance * variance / (variance + lambda),
            Objective::NestedDropout { .. } => self.problem.terms.tails[code] * variance,
        }
    }

    /// What it costs to exchange the last kept direction for the next.
    fn cost_of_leaving(&self) -> f64 {
        let last = self.optimum.kept - 1;
        self.saving(last, last) - self.saving(last, last + 1)
    }

    /// The least that it costs to exchange two neighbouring directions.
    fn cost_of_exchange(&self) -> f64 {
        let kept = |i: usize| self.saving(i, i) + self.saving(i + 1, i + 1);
        let exchanged = |i: usize| self.saving(i, i + 1) + self.saving(i + 1, i);
        (0..self.optimum.kept - 1).map(|i| kept(i) - exchanged(i)).fold(self.cost_of_leaving(), f64::min)
    }

    fn transpose(&self) -> Check {
        let measured = transpose_gap(self.weights);
        let sentence = format!("encoder and transposed decoder differ by {:.1e} per code", measured.sqrt());
        Check::near("transpose gap", measured, 0.0, self.tolerances.transpose, sentence)
    }

    /// The largest difference between two lists, each from its largest on.
    fn singular(&self, name: &'static str, found: &[f64], expected: &[f64]) -> Check {
        let differences = expected.iter().zip(found).map(|(e, f)| f - e);
        let (place, worst) =
            differences.enumerate().fold((0, 0.0), |a: (usize, f64), b| if b.1.abs() > a.1.abs() { b } else { a });
        let sentence =
            format!("value {} of {} is {:.6}, expected {:.6}", place + 1, found.len(), found[place], expected[place]);
        Check::near(name, worst.abs(), 0.0, self.tolerances.singular_values, sentence)
    }

    /// A small matrix with the singular values of the map on the data's directions: `Lᵀ W₂ W₁ U`, with `L` an
    /// orthonormal basis of the decoder's columns.
    fn reduced_map(&self) -> Mat<f64> {
        let left = product(self.decoder.vectors.transpose(), self.weights.decoder.as_ref());
        let right = product(self.weights.encoder.as_ref(), self.problem.factor.vectors());
        product(left.as_ref(), right.as_ref())
    }

    /// Under the L2 objectives `W₂ᵀW₂` has the eigenvalues `1 - min(λᵢ/σᵢ², 1)`.
    fn orthonormality(&self) -> Check {
        let measured = orthonormality(self.weights.decoder.as_ref());
        if self.optimum.weight_singular_values.is_none() {
            let sentence =
                "how far the decoder's columns are from orthonormal; the loss does not ask for it".to_owned();
            return Check::note("orthonormality", measured, sentence);
        }
        let values = &self.optimum.map_singular_values;
        let expected = values.iter().map(|q| (1.0 - q).powi(2)).sum::<f64>().sqrt();
        let tolerance = 2.0 * (values.len() as f64).sqrt() * self.tolerances.singular_values;
        let sentence =
            format!("the decoder's columns are {measured:.6} from orthonormal; the penalty makes it {expected:.6}");
        Check::near("orthonormality", measured, expected, tolerance, sentence)
    }

    fn alignment(&self) -> Result<Check, Error> {
        let kept = self.optimum.kept;
        let measured = axis_alignment(first(self.problem.factor.vectors(), kept), self.weights.decoder.as_ref())?;
        let sentence = format!("the codes are {:.1e} rad from the principal directions on average", measured.sqrt());
        Ok(self.determined("axis alignment", measured, self.cost_of_exchange(), sentence))
    }

    fn condition(&self) -> Check {
        let values = &self.decoder.values[..self.optimum.kept.max(1)];
        let measured = values[0] / values[values.len() - 1];
        let sentence = "the largest over the smallest singular value of the decoder among the kept".to_owned();
        Check::note("condition number", measured, sentence)
    }
}
