//! What the network is shown instead of the clean input.
//!
//! Every draw is keyed by (seed, epoch, sample): the same sample is corrupted alike whatever batch
//! or thread it falls to.

use attar_data::random::{Purpose, stream};
use attar_data::{Layout, Prepared};
use attar_ops::{NORMALS, standard_normals};
use rand::{Rng, RngExt};

use crate::affine;
use crate::config::{LossOn, Noise, Objective, Training};

/// What a batch is corrupted with; the same for a whole training.
#[derive(Clone, Debug)]
pub struct Corruption {
    /// The objective of the training.
    pub objective: Objective,
    /// How the features make an image, if they do.
    pub layout: Layout,
    /// Smallest and largest value of each feature, for salt-and-pepper noise; else empty.
    pub extremes: Vec<(f32, f32)>,
    /// Seed of the training.
    pub seed: u64,
}

impl Corruption {
    /// The corruption of a training on the given rows.
    pub fn of(config: &Training, data: &Prepared, train_rows: &[usize]) -> Self {
        let extremes = match &config.objective {
            Objective::Denoising(noise) if noise.salt_and_pepper > 0.0 => extremes(data, train_rows),
            _ => Vec::new(),
        };
        Self { objective: config.objective.clone(), layout: data.dataset.schema.layout, extremes, seed: config.seed }
    }

    /// Turns the clean row of `sample` into what the network is shown in `epoch`.
    ///
    /// `weight`, empty or one per feature, becomes 1 where the loss counts a feature and 0 elsewhere.
    pub fn corrupt(&self, epoch: usize, sample: usize, row: &mut [f32], weight: &mut [f32]) {
        let mut rng = stream(self.seed, Purpose::Corrupt, epoch as u64, 0, sample as u64);
        match &self.objective {
            Objective::Vanilla => {}
            Objective::Denoising(noise) => self.add_noise(noise, row, &mut rng),
            Objective::Masked { probability, loss_on } => mask(*probability, *loss_on, row, weight, &mut rng),
        }
    }

    /// Whether the loss counts some features only, so that [`Self::corrupt`] needs a weight.
    pub fn is_weighted(&self) -> bool {
        matches!(self.objective, Objective::Masked { loss_on: LossOn::Visible | LossOn::Hidden, .. })
    }

    fn add_noise(&self, noise: &Noise, row: &mut [f32], rng: &mut impl Rng) {
        if let (Some(ranges), Layout::Image { height, width, channels }) = (noise.affine, self.layout) {
            affine::distort(ranges, [height, width, channels], row, rng);
        }
        if noise.gaussian > 0.0 {
            add_normals(noise.gaussian as f32, row, rng);
        }
        if noise.salt_and_pepper > 0.0 {
            for (value, &(low, high)) in row.iter_mut().zip(&self.extremes) {
                if chance(noise.salt_and_pepper, rng) {
                    *value = if chance(0.5, rng) { low } else { high };
                }
            }
        }
    }
}

/// Smallest and largest value of each feature over the given rows.
fn extremes(data: &Prepared, rows: &[usize]) -> Vec<(f32, f32)> {
    let mut extremes = vec![(f32::INFINITY, f32::NEG_INFINITY); data.dataset.features()];
    let mut row = vec![0.0; extremes.len()];
    for &sample in rows {
        data.read(&[sample], &mut row);
        for ((low, high), &value) in extremes.iter_mut().zip(&row) {
            (*low, *high) = (low.min(value), high.max(value));
        }
    }
    extremes
}

fn add_normals(deviation: f32, row: &mut [f32], rng: &mut impl Rng) {
    let mut bits = [0; NORMALS];
    for values in row.chunks_mut(NORMALS) {
        rng.fill(&mut bits);
        values.iter_mut().zip(standard_normals(&bits)).for_each(|(value, normal)| *value += deviation * normal);
    }
}

/// Numbers drawn at a time.
const DRAWS: usize = 64;

fn mask(probability: f64, loss_on: LossOn, row: &mut [f32], weight: &mut [f32], rng: &mut impl Rng) {
    let below = words_below(probability);
    // 2^32 words hide everything, which no word can say.
    let (least_kept, unless_all) = u32::try_from(below).map_or((0, 0), |below| (below, u32::MAX));
    let mut bits = [0_u32; DRAWS];
    for (at, values) in row.chunks_mut(DRAWS).enumerate() {
        rng.fill(&mut bits[..values.len()]);
        let weights = weight.get_mut(at * DRAWS..).unwrap_or_default();
        for (weight, &bits) in weights.iter_mut().zip(&bits[..values.len()]) {
            let hidden = u64::from(bits) < below;
            let counts = match loss_on {
                LossOn::All => true,
                LossOn::Visible => !hidden,
                LossOn::Hidden => hidden,
            };
            *weight = f32::from(u8::from(counts));
        }
        for (value, &bits) in values.iter_mut().zip(&bits) {
            // By bits, so that no branch waits for chance.
            let keep = if bits < least_kept { 0 } else { u32::MAX };
            *value = f32::from_bits(value.to_bits() & keep & unless_all);
        }
    }
}

/// True with the given probability, to within 2^-32.
fn chance(probability: f64, rng: &mut impl Rng) -> bool {
    u64::from(rng.next_u32()) < words_below(probability)
}

/// How many of the 2^32 words count as a success.
fn words_below(probability: f64) -> u64 {
    (probability * 4_294_967_296.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corruption(objective: Objective) -> Corruption {
        Corruption { objective, layout: Layout::Table, extremes: vec![(-3.0, 5.0); 2000], seed: 9 }
    }

    fn corrupted(objective: Objective, epoch: usize, sample: usize) -> (Vec<f32>, Vec<f32>) {
        let (mut row, mut weight) = (vec![1.0; 2000], vec![f32::NAN; 2000]);
        corruption(objective).corrupt(epoch, sample, &mut row, &mut weight);
        (row, weight)
    }

    #[test]
    fn a_corruption_depends_on_epoch_and_sample_alone() {
        let noise = || Objective::Denoising(Noise { gaussian: 0.5, ..Noise::default() });
        let (base, _) = corrupted(noise(), 3, 4);
        assert_eq!(base, corrupted(noise(), 3, 4).0);
        assert_ne!(base, corrupted(noise(), 4, 4).0);
        assert_ne!(base, corrupted(noise(), 3, 5).0);
    }

    #[test]
    fn gaussian_noise_has_its_mean_and_deviation() {
        let (row, _) = corrupted(Objective::Denoising(Noise { gaussian: 0.5, ..Noise::default() }), 0, 0);
        let mean = row.iter().map(|&v| f64::from(v) - 1.0).sum::<f64>() / 2000.0;
        let variance = row.iter().map(|&v| (f64::from(v) - 1.0 - mean).powi(2)).sum::<f64>() / 1999.0;
        // Four standard errors: 4 * 0.5 / sqrt(2000) and 4 * 0.25 * sqrt(2 / 1999).
        assert!(mean.abs() < 0.045, "{mean}");
        assert!((variance - 0.25).abs() < 0.032, "{variance}");
    }

    #[test]
    fn masking_zeroes_the_given_share_and_weighs_the_chosen_features() {
        for (loss_on, visible, hidden) in
            [(LossOn::All, 1.0, 1.0), (LossOn::Visible, 1.0, 0.0), (LossOn::Hidden, 0.0, 1.0)]
        {
            let (row, weight) = corrupted(Objective::Masked { probability: 0.25, loss_on }, 1, 7);
            let zeros = row.iter().filter(|&&v| v == 0.0).count();
            // Four standard deviations of a binomial count: 4 * sqrt(2000 * 0.25 * 0.75).
            assert!(zeros.abs_diff(500) < 78, "{zeros}");
            for (value, weight) in row.iter().zip(weight) {
                assert_eq!(weight, if *value == 0.0 { hidden } else { visible });
            }
        }
    }

    #[test]
    fn salt_and_pepper_takes_the_extremes() {
        let (row, _) = corrupted(Objective::Denoising(Noise { salt_and_pepper: 0.4, ..Noise::default() }), 1, 7);
        let count = |wanted: f32| row.iter().filter(|&&v| v == wanted).count();
        assert_eq!(count(1.0) + count(-3.0) + count(5.0), 2000);
        assert!(count(-3.0).abs_diff(400) < 75 && count(5.0).abs_diff(400) < 75);
    }
}
