//! The numbers that the rules hold their measurements against.

use serde::{Deserialize, Serialize};

/// Thresholds of all rules; each rule's `threshold` gives the source of the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// `initial-loss`: relative excess over the loss of a network that knows nothing.
    pub initial_loss_excess: f64,
    /// `initial-loss`: relative shortfall below it.
    pub initial_loss_shortfall: f64,
    /// `summed-loss`: exponent with which the loss grows with the number of samples.
    pub summed_loss_exponent: f64,
    /// `stale-gradient`: largest relative difference, `r` and `q`, that counts as none.
    pub stale_difference: f64,
    /// `update-ratio`: largest median of update to weight.
    pub update_ratio_high: f64,
    /// `update-ratio`: smallest 90th percentile of update to weight.
    pub update_ratio_low: f64,
    /// `update-ratio`: largest update to weight of most matrices at any one step.
    pub update_ratio_once: f64,
    /// `vanishing-gradient`, `exploding-gradient`: smallest factor per stage.
    pub gradient_factor: f64,
    /// `vanishing-gradient`: factor between the last and the first stage.
    pub vanishing_span: f64,
    /// `exploding-gradient`: factor between the first and the last stage.
    pub exploding_span: f64,
    /// `dead-units`: share of a stage.
    pub dead_share: f64,
    /// `saturated-units`: share of a stage.
    pub saturated_share: f64,
    /// `divergence`: final loss over the loss before training.
    pub divergence_rise: f64,
    /// `divergence`: largest loss over the loss before training.
    pub divergence_peak: f64,
    /// `divergence`: share of the best progress that was lost again.
    pub divergence_loss: f64,
    /// `no-progress`: smallest fall of the loss, over the loss before training.
    pub progress: f64,
    /// `no-generalisation`: smallest gain on held-out samples, over the loss of a network that knows nothing.
    pub generalisation: f64,
    /// `oscillation`: rises beyond noise, over the whole progress.
    pub oscillation: f64,
    /// `clipping`: share of steps.
    pub clipped_share: f64,
    /// `train-eval-gap`: difference over the training mode's loss.
    pub train_eval_gap: f64,
    /// `one-batch`: last loss over first.
    pub one_batch: f64,
    /// `input-independence`: relative variation of the outputs.
    pub output_variation: f64,
    /// `input-independence`: gain of the loss by the inputs.
    pub input_gain: f64,
    /// `collapsed-codes`: spread of the codes.
    pub code_spread: f64,
    /// `collapsed-codes`: effective rank of the codes.
    pub code_rank: f64,
    /// `not-reproducible`: relative difference of losses.
    pub reproduction: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            initial_loss_excess: 1.0,
            initial_loss_shortfall: 0.5,
            summed_loss_exponent: 0.7,
            stale_difference: 1e-2,
            update_ratio_high: 1e-1,
            update_ratio_low: 1e-4,
            update_ratio_once: 1.0,
            gradient_factor: 1.5,
            vanishing_span: 1e3,
            exploding_span: 70.0,
            dead_share: 0.7,
            saturated_share: 0.5,
            divergence_rise: 1.1,
            divergence_peak: 2.0,
            divergence_loss: 0.2,
            progress: 0.05,
            generalisation: 0.05,
            oscillation: 0.5,
            clipped_share: 0.5,
            train_eval_gap: 0.5,
            one_batch: 0.1,
            output_variation: 1e-3,
            input_gain: 0.05,
            code_spread: 0.1,
            code_rank: 1.5,
            reproduction: 0.0,
        }
    }
}
