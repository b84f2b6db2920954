//! What PyTorch computes on two linear layers, step by step, and what it minimises.
//!
//! `MSELoss` is the mean over rows *and* features, and coupled weight decay adds `w · weight` to its gradient. A step
//! with learning rate `r` on a batch of `b` rows of `m` features is therefore
//!
//! ```text
//! W ← W - r (∇ ‖X - W₂W₁X‖²/(b m) + w W) = W - (r/m) ∇ (‖X - W₂W₁X‖²/b + (m w/2) ‖W‖²)
//! ```
//!
//! so it is a step of the L2 sum per sample with `λ = m w/2` and learning rate `r/m`. To certify such a model take the
//! L2 sum per entry with `λ = w/2`, which is the same.

use faer::{Mat, MatRef};

use super::arithmetic::product;
use super::factor::check_finite;
use super::problem::Terms;
use super::steps::Moments;
use super::{Objective, Weights};
use crate::{Error, check};

/// How the gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TorchRule {
    /// `torch.optim.SGD` without momentum.
    Sgd,
    /// `torch.optim.Adam` with its default averages.
    Adam,
}

/// Where the weight decay enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightDecay {
    /// Added to the gradient before the rule sees it: an L2 penalty.
    Coupled,
    /// Taken from the weights beside the rule's step (Loshchilov & Hutter 2019, as in `AdamW`). For SGD without
    /// momentum the same; for Adam no penalty of the weights' norm has this minimum.
    Decoupled,
}

/// An optimizer as PyTorch has it.
#[derive(Debug, Clone, PartialEq)]
pub struct TorchOptimizer {
    /// How the gradient becomes a step.
    pub rule: TorchRule,
    /// Where the weight decay enters.
    pub decay: WeightDecay,
    /// `lr`.
    pub learning_rate: f64,
    /// `weight_decay`.
    pub weight_decay: f64,
}

impl TorchOptimizer {
    /// SGD whose steps are those of [`regularised_path`] with this learning rate and `lambda` on rows of `features`
    /// features: the learning rate is `features` times larger, the weight decay `2 λ / features`.
    pub fn for_l2(learning_rate: f64, lambda: f64, features: usize) -> Self {
        let m = features as f64;
        let (rule, decay) = (TorchRule::Sgd, WeightDecay::Coupled);
        Self { rule, decay, learning_rate: learning_rate * m, weight_decay: 2.0 * lambda / m }
    }
}

/// The weights after one step per batch of PyTorch's optimizer on `MSELoss` between each batch, `[rows, features]`, and
/// `nn.Linear(k, m)(nn.Linear(m, k)(batch))` without biases.
///
/// # Errors
/// A batch of another width, without rows, or with a value that is not finite.
pub fn torch_path(start: &Weights, batches: &[MatRef<'_, f64>], optimizer: &TorchOptimizer) -> Result<Weights, Error> {
    let mut weights = start.clone();
    let mut moments = Moments::new(start);
    let (rate, decay) = (optimizer.learning_rate, optimizer.weight_decay);
    for batch in batches {
        check_batch(*batch, start)?;
        let mut gradient = mse_gradient(*batch, &weights);
        match optimizer.decay {
            WeightDecay::Coupled => gradient = gradient.moved(decay, &weights),
            WeightDecay::Decoupled => weights = weights.zip(&weights, |w, _| w * (1.0 - rate * decay)),
        }
        let direction = match optimizer.rule {
            TorchRule::Sgd => gradient,
            TorchRule::Adam => moments.direction(&gradient),
        };
        weights = weights.moved(-rate, &direction);
    }
    Ok(weights)
}

/// The weights after one gradient step per batch, `[rows, features]`, on `‖X - W₂W₁X‖²/rows + λ (‖W₁‖² + ‖W₂‖²)`.
///
/// # Errors
/// As [`torch_path`], or `lambda` not above 0.
pub fn regularised_path(
    start: &Weights,
    batches: &[MatRef<'_, f64>],
    learning_rate: f64,
    lambda: f64,
) -> Result<Weights, Error> {
    check::setting("lambda", "above 0 and finite", lambda, lambda > 0.0 && lambda.is_finite())?;
    let terms = Terms::of(&Objective::L2 { lambda }, start.decoder.ncols());
    let mut weights = start.clone();
    for batch in batches {
        check_batch(*batch, start)?;
        let scale = 1.0 / (batch.nrows() as f64).sqrt();
        let root = batch.transpose() * faer::Scale(scale);
        weights = weights.moved(-learning_rate, &terms.gradient(root.as_ref(), &weights));
    }
    Ok(weights)
}

/// Back through `mean((y - x)²)`, `y = h W₂ᵀ`, `h = x W₁ᵀ`, in the order and layout of PyTorch's autograd.
fn mse_gradient(x: MatRef<'_, f64>, weights: &Weights) -> Weights {
    let hidden = product(x, weights.encoder.transpose());
    let output = product(hidden.as_ref(), weights.decoder.transpose());
    let scale = 2.0 / (x.nrows() as f64 * x.ncols() as f64);
    let of_output = Mat::from_fn(x.nrows(), x.ncols(), |i, j| scale * (output[(i, j)] - x[(i, j)]));
    let of_hidden = product(of_output.as_ref(), weights.decoder.as_ref());
    Weights { encoder: product(of_hidden.transpose(), x), decoder: product(of_output.transpose(), hidden.as_ref()) }
}

fn check_batch(batch: MatRef<'_, f64>, weights: &Weights) -> Result<(), Error> {
    weights.check(batch.ncols(), weights.decoder.ncols())?;
    if batch.nrows() == 0 {
        return Err(Error::TooFewRows { rows: 0, needed: 1 });
    }
    check_finite(batch)
}
