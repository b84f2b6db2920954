//! How many components to keep.

use std::f64::consts::{LN_2, PI};

use super::Components;
use crate::{Error, check};

impl Components {
    /// Refuses shapes and settings with which no fit can do anything.
    pub(super) fn check(self, samples: usize, features: usize) -> Result<(), Error> {
        let needed = if self == Self::Mle { features.max(2) } else { 2 };
        if features == 0 {
            return Err(Error::NoFeatures);
        }
        if samples < needed {
            return Err(Error::TooFewRows { rows: samples, needed });
        }
        match self {
            Self::Number(asked) if asked == 0 || asked > samples.min(features) => {
                Err(Error::Components { asked, most: samples.min(features) })
            }
            Self::Share(share) => check::setting("share", "above 0 and below 1", share, share > 0.0 && share < 1.0),
            _ => Ok(()),
        }
    }

    /// The number, given the variances along all directions of so many rows, largest first.
    pub(super) fn count(self, spectrum: &[f64], samples: usize) -> usize {
        match self {
            Self::Number(number) => number,
            Self::Share(share) => of_share(spectrum, share),
            Self::Mle => most_likely(spectrum, samples as f64),
        }
    }
}

fn of_share(spectrum: &[f64], share: f64) -> usize {
    let total: f64 = spectrum.iter().sum();
    let mut sum = 0.0;
    let enough = spectrum.iter().position(|variance| {
        sum += variance;
        sum > share * total
    });
    enough.map_or(spectrum.len(), |last| last + 1)
}

/// Minka's choice: equation 30 with the determinant of equation 31, for every number of components below the features.
///
/// Its products over pairs of directions fall into running sums, so all of them together take as long as one.
fn most_likely(spectrum: &[f64], samples: f64) -> usize {
    let features = spectrum.len();
    // A direction without variance would have infinite likelihood.
    let floor = 1e-15 * spectrum[0];
    let (mut best, mut highest) = (1, f64::NEG_INFINITY);
    let (mut prior, mut logs, mut pairs) = (0.0, 0.0, 0.0);
    for kept in 1..features {
        let (before, after) = (&spectrum[..kept - 1], &spectrum[kept..]);
        let variance = spectrum[kept - 1];
        if variance < floor {
            break;
        }
        let rest = (features - kept) as f64;
        let noise = (after.iter().sum::<f64>() / rest).max(floor);
        let half = (rest + 1.0) / 2.0;
        prior += ln_gamma_of_half(features - kept + 1) - half * PI.ln() - LN_2;
        logs += variance.ln();
        pairs += after.iter().map(|other| ln(variance - other)).sum::<f64>();
        pairs += before.iter().map(|other| ln(1.0 / variance - 1.0 / other)).sum::<f64>();
        let to_noise: f64 = spectrum[..kept].iter().map(|other| ln(1.0 / noise - 1.0 / other)).sum();
        let count = kept as f64;
        let free = features as f64 * count - count * (count + 1.0) / 2.0;
        let determinant = pairs + rest * to_noise + free * samples.ln();
        let likelihood = prior - samples / 2.0 * (logs + rest * noise.ln()) + (free + count) / 2.0 * (2.0 * PI).ln()
            - determinant / 2.0
            - count / 2.0 * samples.ln();
        if likelihood > highest {
            (best, highest) = (kept, likelihood);
        }
    }
    best
}

/// The logarithm of a difference, finite where the two are the same.
fn ln(difference: f64) -> f64 {
    difference.max(f64::MIN_POSITIVE).ln()
}

/// `ln Γ(n / 2)` for n from 1 on, by `Γ(x + 1) = x Γ(x)`.
fn ln_gamma_of_half(n: usize) -> f64 {
    let start = if n.is_multiple_of(2) { 0.0 } else { PI.ln() / 2.0 };
    (1..n).rev().skip(1).step_by(2).map(|m| (m as f64 / 2.0).ln()).sum::<f64>() + start
}
