//! The synthetic sweep: linear autoencoders on a Gaussian whose optimum is known.

use std::path::Path;

use attar_data::{Labels, OutTable, Prepared, Preprocessing, Split, SplitFractions, Synthetic, split, write_table};
use attar_learn::config::{
    Activation, Architecture, Decay, LossOn, Noise, Objective, Optimizer, Precision, Schedule, Training,
};
use attar_learn::{CourseProbe, Representation, Sweep, pca};
use attar_linear::LinearProbe;
use burn::tensor::Device;

use super::answer::{Answer, Claim};
use crate::error::CliError;
use crate::sweep_results::{Group, accuracy, validation_losses};

/// Latent sizes of the sweep.
pub(crate) const LATENTS: [usize; 4] = [5, 20, 100, 500];
/// Trainings of each kind.
pub(crate) const REPEATS: usize = 3;
/// Directions of high variance, their variance, and all directions.
const HIGH: usize = 20;
const VARIANCE: f64 = 10.0;
const DIMENSIONS: usize = 100;
const NOISE_STD: f64 = 0.5;
const MASK_PROBABILITY: f64 = 0.25;

/// The objectives of the course.
fn objectives() -> [Objective; 3] {
    [
        Objective::Vanilla,
        Objective::Denoising(Noise { gaussian: NOISE_STD, ..Noise::default() }),
        Objective::Masked { probability: MASK_PROBABILITY, loss_on: LossOn::All },
    ]
}

fn training(objective: Objective, latent: usize, seed: u64) -> Training {
    Training {
        architecture: Architecture {
            hidden: Vec::new(),
            latent,
            decoder_hidden: None,
            activation: Activation::Identity,
        },
        objective,
        optimizer: Optimizer::Adam { weight_decay: 0.0 },
        learning_rate: 5e-4,
        schedule: Schedule { warmup_steps: 0, decay: Decay::Constant },
        clip_norm: None,
        epochs: 10,
        batch_size: 100,
        accumulation: 1,
        precision: Precision::Full,
        seed,
    }
}

/// What the sweep measured.
pub(crate) struct Sweeps {
    pub(crate) groups: Vec<Group>,
    /// Accuracy of the same probe on the principal components, by their number.
    pub(crate) pca_accuracy: Vec<(usize, f64)>,
}

/// The data of the sweep and the course's splits of it.
fn data(seed: u64) -> Result<(Prepared, Split), CliError> {
    let synthetic = Synthetic { dimensions: DIMENSIONS, samples: 20_000, high: HIGH, variance: VARIANCE, seed };
    let dataset = synthetic.generate()?;
    let split = split(&dataset, &SplitFractions { train: 0.7, validation: 0.2, test: 0.1 }, seed)?;
    let preprocessing = Preprocessing::fit(&dataset, &split.train, None)?;
    Ok((Prepared { dataset, preprocessing }, split))
}

/// Writes the data for other programs: rows in the order of the splits, the label as the last column.
pub(crate) fn save_data(seed: u64, path: &Path) -> Result<(), CliError> {
    let (data, split) = data(seed)?;
    let labels = classes(&data)?;
    let rows = [split.train, split.validation, split.test].concat();
    let mut row = vec![0.0; DIMENSIONS];
    let mut values = Vec::with_capacity(rows.len() * (DIMENSIONS + 1));
    for sample in rows {
        data.read(&[sample], &mut row);
        values.extend_from_slice(&row);
        values.push(labels[sample] as f32);
    }
    let names: Vec<String> = (0..=DIMENSIONS).map(|column| format!("x_{column}")).collect();
    Ok(write_table(path, &OutTable { ids: None, labels: None, names: &names, values: &values })?)
}

fn classes(data: &Prepared) -> Result<&[u32], CliError> {
    match &data.dataset.labels {
        Some(Labels::Classes { of, .. }) => Ok(of),
        _ => Err(CliError::run("the synthetic set has no classes")),
    }
}

/// Runs the 36 trainings with their 396 probes, and the probes of PCA.
pub(crate) fn run(seed: u64) -> Result<Sweeps, CliError> {
    let (data, split) = data(seed)?;
    let probe = CourseProbe {
        probe: LinearProbe { epochs: 50, seed, ..LinearProbe::default() },
        fit_rows: split.validation.clone(),
        test_rows: split.test.clone(),
        labels: classes(&data)?.to_vec(),
        classes: 2,
    };
    let mut kinds = Vec::new();
    for objective in objectives() {
        for latent in LATENTS {
            kinds.extend(
                (0..REPEATS as u64).map(|repeat| training(objective.clone(), latent, seed.wrapping_add(repeat))),
            );
        }
    }
    let bar = crate::progress::bar(kinds.len(), "synthetic");
    let threads = rayon::current_num_threads();
    let sweep = Sweep { data: &data, split: &split, probe: Some(&probe), threads, device: Device::flex() };
    let curves = sweep.run(&kinds, |_, _, _| {
        bar.inc(1);
        Ok(())
    })?;
    bar.finish_and_clear();
    let groups = kinds.chunks(REPEATS).zip(curves.chunks(REPEATS)).map(|(kinds, curves)| Group {
        objective: kinds[0].objective.name().to_owned(),
        latent: kinds[0].architecture.latent,
        repeats: curves.to_vec(),
    });
    let mut pca_accuracy = Vec::new();
    // Fewer than the equal directions of high variance are not determined, so that PCA's are others.
    for components in LATENTS.into_iter().filter(|latent| (HIGH..=DIMENSIONS).contains(latent)) {
        let pca = pca::baseline(&data, &split.train, components)?;
        pca_accuracy.push((components, probe.accuracy_of(&Representation::Pca(&pca), &data)?));
    }
    Ok(Sweeps { groups: groups.collect(), pca_accuracy })
}

/// The clean loss of the best linear autoencoder of the given latent size, in expectation.
///
/// A direction of variance v that the code keeps is multiplied by the gain that minimises the
/// corrupted loss, and one that it drops loses all its variance:
/// - vanilla: gain 1, nothing is lost;
/// - denoising: the Wiener gain `v / (v + s^2)` leaves `v (s^2 / (v + s^2))^2` on clean inputs;
/// - masked: with q = 1 - p, `E[x m(x)^T] = q C` and `E[m(x) m(x)^T] = q^2 C + q (1 - q) diag(C)`; a random
///   rotation makes every diagonal entry the mean variance d, so the gain is `v / (q v + (1 - q) d)`.
fn best_linear_loss(objective: &str, latent: usize) -> f64 {
    let low = (DIMENSIONS - HIGH) as f64;
    let mean_variance = (HIGH as f64 * VARIANCE + low) / DIMENSIONS as f64;
    let gain = |variance: f64| match objective {
        "denoising" => variance / (variance + NOISE_STD * NOISE_STD),
        "masked" => variance / ((1.0 - MASK_PROBABILITY) * variance + MASK_PROBABILITY * mean_variance),
        _ => 1.0,
    };
    let variances = (0..DIMENSIONS).map(|direction| if direction < HIGH { VARIANCE } else { 1.0 });
    let left = |(direction, variance): (usize, f64)| {
        if direction < latent { variance * (1.0 - gain(variance)).powi(2) } else { variance }
    };
    variances.enumerate().map(left).sum()
}

/// The accuracy of the best guess of the label from `latent` random ones of the high-variance directions: the sign
/// of a Gaussian sum, told by a part of it with correlation r, is right with probability 1/2 + asin(r)/pi.
fn best_accuracy(latent: usize) -> f64 {
    let correlation = (latent.min(HIGH) as f64 / HIGH as f64).sqrt();
    0.5 + correlation.asin() / std::f64::consts::PI
}

/// The final validation loss of one kind, mean over repeats.
pub(crate) fn loss(groups: &[Group], objective: &str, latent: usize) -> f64 {
    find(groups, objective, latent).map_or(f64::NAN, |group| group.last(validation_losses))
}

/// The final probe accuracy of one kind in percent, mean over repeats.
pub(crate) fn percent(groups: &[Group], objective: &str, latent: usize) -> f64 {
    100.0 * find(groups, objective, latent).map_or(f64::NAN, |group| group.last(accuracy))
}

fn find<'a>(groups: &'a [Group], objective: &str, latent: usize) -> Option<&'a Group> {
    groups.iter().find(|group| group.objective == objective && group.latent == latent)
}

/// The course's questions on the sweep.
pub(crate) fn answers(sweeps: &Sweeps) -> Vec<Answer> {
    let groups = &sweeps.groups;
    vec![reconstruction(groups), corruption(groups), probes(groups, &sweeps.pca_accuracy)]
}

fn reconstruction(groups: &[Group]) -> Answer {
    let claims = LATENTS.map(|latent| {
        let expected = best_linear_loss("vanilla", latent);
        let sentence = format!("vanilla, latent {latent}: validation loss");
        Claim::near(sentence, loss(groups, "vanilla", latent), expected, (0.03 * expected).max(0.3))
    });
    Answer {
        question: "How does the reconstruction of a linear autoencoder change with the latent size, and why?".into(),
        derivation: "A linear code of size k can keep k directions. The best k are those of largest variance (PCA; \
                     Baldi & Hornik 1989), and the loss is the variance of the directions left out. The data have 20 \
                     directions of variance 10 and 80 of variance 1, so 280 in all: k = 5 leaves 15 x 10 + 80 = 230, \
                     k = 20 leaves 80, and k >= 100 leaves nothing, since a wider code only adds ways to say the same."
            .into(),
        answer:
            "The loss falls by 10 for each of the first 20 code numbers and by 1 for each of the next 80, then stays \
                 at 0: 100 and 500 reconstruct alike."
                .into(),
        claims: claims.to_vec(),
    }
}

fn corruption(groups: &[Group]) -> Answer {
    let mut claims = Vec::new();
    for objective in ["denoising", "masked"] {
        for latent in [5, 20] {
            let expected = best_linear_loss(objective, latent);
            let sentence = format!("{objective}, latent {latent}: clean validation loss");
            claims.push(Claim::near(sentence, loss(groups, objective, latent), expected, 0.03 * expected));
        }
        for latent in [100, 500] {
            let expected = best_linear_loss(objective, latent);
            let excess = loss(groups, objective, latent) - expected;
            let sentence = format!(
                "{objective}, latent {latent}: clean validation loss above the best linear map's {expected:.2}"
            );
            claims.push(Claim::near(sentence, excess, 1.5, 2.5));
        }
    }
    Answer {
        question: "What does corrupting the input do to the reconstruction of clean inputs?".into(),
        derivation: "The best linear map from a corrupted input shrinks (or stretches) each direction of variance v. \
                     With noise of variance s^2 = 0.25 the gain is the Wiener filter's v / (v + s^2), which leaves \
                     v (s^2 / (v + s^2))^2 on a clean input: 0.006 for v = 10, 0.04 for v = 1. With a share p = 0.25 \
                     of the features zeroed the gain is v / (0.75 v + 0.25 d), d = 2.8 the mean variance of a feature: \
                     1.22 for v = 10 and 0.69 for v = 1, which leaves 0.48 and 0.10."
            .into(),
        answer: "Corruption costs little while the code is the bottleneck (latent 5, 20) and keeps the loss of a wide \
                 code away from 0: it cannot learn to copy. What stays above the best linear map comes from ten epochs \
                 of steps of finite size on 14,000 samples."
            .into(),
        claims,
    }
}

fn probes(groups: &[Group], pca_accuracy: &[(usize, f64)]) -> Answer {
    let mut claims: Vec<Claim> = pca_accuracy
        .iter()
        .map(|&(latent, pca)| {
            let sentence = format!("vanilla, latent {latent}: probe accuracy in percent, beside PCA's of that size");
            Claim::near(sentence, percent(groups, "vanilla", latent), 100.0 * pca, 2.5)
        })
        .collect();
    for objective in ["vanilla", "denoising", "masked"] {
        let expected = 100.0 * best_accuracy(5);
        let sentence = format!("{objective}, latent 5: probe accuracy in percent");
        claims.push(Claim::near(sentence, percent(groups, objective, 5), expected, 10.0));
        for latent in [20, 100, 500] {
            let sentence = format!("{objective}, latent {latent}: probe accuracy in percent");
            claims.push(Claim::at_least(sentence, percent(groups, objective, latent), 96.0));
        }
    }
    let gain = percent(groups, "vanilla", 500) - percent(groups, "vanilla", 20);
    claims.push(Claim::at_most("points of accuracy that latent 500 gains over 20", gain, 2.0));
    let fall = loss(groups, "vanilla", 20) - loss(groups, "vanilla", 500);
    claims.push(Claim::at_least("while the validation loss falls by", fall, 70.0));
    Answer {
        question: "How does the probe's accuracy change with the latent size, and why?".into(),
        derivation: "The label is the sign of the sum of the 20 high-variance coordinates. A code of 5 keeps 5 of these \
                     20 equal directions, hence a share 5/20 of the sum's variance on average; a guess from a part \
                     that correlates with r = sqrt(5/20) is right with probability 1/2 + asin(r)/pi = 2/3, give or take \
                     some points, since chance decides which 5 of the equal directions a training finds. A code of \
                     20 keeps them all, and the label becomes linear in the code."
            .into(),
        answer: "Accuracy jumps from about two thirds to about 98 % when the code holds the 20 directions that carry the \
                 label, and stays there, though the reconstruction goes on improving: variance that carries no label \
                 does not help a probe. What is missing to 100 % is the probe's own error from 4,000 labels."
            .into(),
        claims,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_linear_losses_are_those_of_the_closed_forms() {
        let check = |objective, latent, expected: f64| {
            let loss = best_linear_loss(objective, latent);
            assert!((loss - expected).abs() < 5e-3, "{objective} {latent}: {loss}");
        };
        check("vanilla", 5, 230.0);
        check("vanilla", 20, 80.0);
        check("vanilla", 500, 0.0);
        // 20 * 10 * (0.25 / 10.25)^2 + 80 * (0.25 / 1.25)^2
        check("denoising", 100, 0.119 + 3.2);
        check("denoising", 20, 80.119);
        // 20 * 10 * (1 - 10 / 8.2)^2 and 80 * (1 - 1 / 1.45)^2
        check("masked", 20, 80.0 + 9.637);
        check("masked", 500, 9.637 + 7.705);
    }

    #[test]
    fn the_best_accuracy_is_two_thirds_with_a_quarter_of_the_variance() {
        assert!((best_accuracy(5) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(best_accuracy(500), 1.0);
    }
}
