//! How many images and epochs fit into a budget.

use attar_learn::Error;
use attar_learn::depth::{Family, Images, LONGER, NetSpec, Recipe, seconds_per_image};

use super::{EPOCHS, Wanted};

/// Passes over the images in the paper: 64,000 steps of 128 out of 50,000.
const MOST_EPOCHS: usize = 164;

/// What fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaled {
    pub(super) samples: usize,
    pub(super) epochs: usize,
    /// That it will take.
    pub(super) seconds: f64,
}

/// Scales the epochs, and below [`EPOCHS`] the images, unless they were asked for, by the measured time of one image.
pub(super) fn to_budget(images: &Images, recipe: &Recipe, wanted: &Wanted, seconds: f64) -> Result<Scaled, Error> {
    let [shallow, deep] = wanted.depths;
    let nets = [(Family::Plain, shallow), (Family::Plain, deep), (Family::Residual, deep)];
    let mut of_image = 0.0;
    for (family, depth) in nets {
        of_image += seconds_per_image(images, recipe, NetSpec { family, depth })?;
    }
    let trainings = (wanted.seeds.len() * (1 + LONGER)) as f64 / rayon::current_num_threads() as f64;
    Ok(fitting(seconds, of_image * trainings, images.samples(), wanted, recipe))
}

/// `of_image`: seconds that one image shown once to every net takes in all.
fn fitting(seconds: f64, of_image: f64, samples: usize, wanted: &Wanted, recipe: &Recipe) -> Scaled {
    let shown = (seconds / of_image) as usize;
    let epochs = match wanted.epochs {
        Some(epochs) => epochs,
        None if wanted.samples.is_some() => (shown / samples).clamp(1, MOST_EPOCHS),
        None => (shown / samples).clamp(EPOCHS, MOST_EPOCHS),
    };
    let fewest = (2 * recipe.batch_size).min(samples);
    let samples = if wanted.samples.is_some() { samples } else { (shown / epochs.max(1)).clamp(fewest, samples) };
    Scaled { samples, epochs, seconds: of_image * (samples * epochs) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_scaled_and_then_images() {
        let wanted = |samples, epochs| Wanted {
            data: "digits".into(),
            depths: [8, 14],
            seeds: vec![0],
            width: None,
            size: None,
            samples,
            epochs,
            budget: None,
        };
        let recipe = Recipe {
            width: 4,
            norm: attar_learn::nets::Norm::Batch,
            epochs: 4,
            batch_size: 32,
            learning_rate: 0.1,
            warmup_steps: 0,
            augmentation: None,
        };
        let check = |seconds: f64, given: (Option<usize>, Option<usize>), expected: (usize, usize)| {
            let scaled = fitting(seconds, 0.01, 1_000, &wanted(given.0, given.1), &recipe);
            assert_eq!((scaled.samples, scaled.epochs), expected, "{seconds} s");
            assert!((scaled.seconds - 0.01 * (expected.0 * expected.1) as f64).abs() < 1e-9);
        };
        check(100.0, (None, None), (1_000, 10));
        check(1e6, (None, None), (1_000, MOST_EPOCHS));
        check(20.0, (None, None), (500, 4));
        check(0.1, (None, None), (64, 4));
        check(20.0, (Some(1_000), None), (1_000, 2));
        check(20.0, (None, Some(10)), (200, 10));
    }
}
