//! The loss of a classifier, sample by sample.

use burn::tensor::{Int, Tensor, activation::log_softmax};

/// `-ln softmax(logits)[label]` of each sample, `[samples]`, for logits `[samples, classes]` and labels `[samples]` below
/// the classes. Their sum is [`attar_ops::burn::cross_entropy`] of scale 1.
pub fn sample_losses(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let [samples, _] = logits.dims();
    log_softmax(logits, 1).gather(1, labels.unsqueeze_dim(1)).neg().reshape([samples])
}
