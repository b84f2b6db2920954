//! Data-parallel ranks, simulated: each has the network and a shard of the batch, and all step with one gradient.
//!
//! What is measured here is judged by [`attar_doctor::ranks::judge`].

use burn::tensor::Tensor;

use super::{Measured, Subject, Window, accumulation, parts};
use crate::gradient::{Gradient, changed, entries, parameters};
use crate::{Problem, Staged};

/// Something that is wrong with the ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The ranks' gradients are summed, not averaged.
    NoDivision,
    /// Shards of different size weigh the same.
    MeanOfMeans,
    /// The last rank begins with other weights.
    OtherWeights,
    /// The last rank steps with its own gradient.
    OwnGradient,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NoDivision, Self::MeanOfMeans, Self::OtherWeights, Self::OwnGradient];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoDivision => "no-division",
            Self::MeanOfMeans => "mean-of-means",
            Self::OtherWeights => "other-weights",
            Self::OwnGradient => "own-gradient",
        }
    }
}

/// Measures the gradient that ranks with these shards step with, as [`accumulation`] does, a shard for a micro-batch.
/// Ranks are as many as there are shards and begin with the same weights; batch norm sees a rank's own shard.
pub fn reduction<N: Staged, P: Problem>(
    subject: &Subject<'_, N, P>,
    shards: &[Vec<usize>],
    mistake: Option<Mistake>,
) -> Measured {
    accumulation(subject, shards, |_, parts| {
        let passes: Vec<Window<N>> = parts.iter().map(|shard| subject.pass(shard)).collect();
        reduced(subject.network, passes, parts, mistake)
    })
}

/// The window of all ranks together; the network is the first rank's, or `network` where there is none.
fn reduced<N: Staged>(network: &N, passes: Vec<Window<N>>, shards: &[&[u64]], mistake: Option<Mistake>) -> Window<N> {
    let (ranks, samples) = (shards.len() as f64, shards.iter().map(|shard| shard.len()).sum::<usize>() as f64);
    let network = passes.first().map_or(network, |pass| &pass.network).clone();
    let (mut gradient, mut stages, mut loss, mut failure) = (Gradient::default(), Vec::new(), 0.0, None);
    for (pass, shard) in passes.into_iter().zip(shards) {
        let share = shard.len() as f64 / samples;
        // Each rank scales its mean loss so that the mean over the ranks is that over the samples.
        let scale = if mistake == Some(Mistake::MeanOfMeans) { 1.0 } else { share * ranks };
        let division = if mistake == Some(Mistake::NoDivision) { 1.0 } else { ranks };
        gradient.add(&pass.gradient.scaled(scale / division));
        loss += share * pass.loss;
        stages.extend(pass.stages);
        failure = failure.or(pass.failure);
    }
    Window { stages, loss, gradient, network, failure }
}

/// After each of `steps` plain steps on the batch, the largest difference of a parameter between a rank and the first.
pub fn drift<N: Staged, P: Problem>(
    subject: &Subject<'_, N, P>,
    shards: &[usize],
    steps: usize,
    mistake: Option<Mistake>,
) -> Vec<f64> {
    let shards = parts(subject.samples, shards);
    let mut ranks: Vec<N> = shards.iter().map(|_| subject.network.clone()).collect();
    if let (Some(Mistake::OtherWeights), Some(last)) = (mistake, ranks.last_mut()) {
        *last = changed(last.clone(), |_, entries| entries.mul_scalar(1.01));
    }
    let step = |_| {
        let pass = |(network, shard): (&N, &&[u64])| Subject { network, ..*subject }.pass(shard);
        let own: Vec<Window<N>> = ranks.iter().zip(&shards).map(pass).collect();
        let last = own.last().map(|window| window.gradient.clone()).unwrap_or_default();
        let common = reduced(subject.network, own, &shards, mistake).gradient;
        let count = ranks.len();
        for (place, rank) in ranks.iter_mut().enumerate() {
            let is_alone = mistake == Some(Mistake::OwnGradient) && place + 1 == count;
            *rank = descended(rank.clone(), if is_alone { &last } else { &common });
        }
        largest_gap(&ranks)
    };
    (0..steps).map(step).collect()
}

/// A plain step at this rate.
const RATE: f64 = 0.05;

fn descended<N: Staged>(network: N, gradient: &Gradient) -> N {
    let mut gradients = gradient.0.iter();
    changed(network, |_, entries: Tensor<1>| match gradients.next() {
        Some(Some(gradient)) => entries - gradient.clone().mul_scalar(RATE),
        _ => entries,
    })
}

fn largest_gap<N: Staged>(ranks: &[N]) -> f64 {
    let flat = |rank: &N| parameters(rank).iter().flat_map(|value| entries(&value.entries)).collect::<Vec<f64>>();
    let Some((first, others)) = ranks.split_first() else { return 0.0 };
    let first = flat(first);
    let gaps =
        others.iter().flat_map(|rank| first.iter().zip(flat(rank)).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>());
    gaps.fold(0.0, |worst: f64, gap| if gap > worst || gap.is_nan() { gap } else { worst })
}
