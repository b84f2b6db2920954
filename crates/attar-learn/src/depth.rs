//! Does depth hurt training? Plain nets of two depths, and the deep one's residual twin (He et al. 2015, section 4.2).
//!
//! What is compared is the error on the training images: a net that generalises worse is another matter. All nets go
//! through one recipe, once and again with four times the steps, from several seeds; a seed is the same order of images
//! and the same initial weights of twins, so that differences are taken seed by seed.

mod cost;
mod images;
mod recipe;
mod signal;
mod trial;
mod verdict;

pub use cost::seconds_per_image;
pub use images::Images;
pub use recipe::{Family, NetSpec, Recipe};
pub use signal::{Layer, Signal};
pub use trial::{Errors, Outcome, Trial, measured_at};
pub use verdict::{Contrast, Finding, Judgement, MARGIN, Verdict, judge};

use burn::tensor::Device;

use crate::Error;
use crate::sweep::on_every_core;

/// How many times the steps of the first length the second has.
pub const LONGER: usize = 4;

/// Everything that the verdict rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Depth {
    /// One for each net, length and seed.
    pub outcomes: Vec<Outcome>,
    /// By these.
    pub verdict: Verdict,
}

/// Trains `shallow` and `deep` plain nets and the deep one's residual twin, at both lengths, from every seed: so many at
/// a time, each on one thread. `done` after each.
///
/// # Errors
/// [`Error::Config`]; those of [`classify`](crate::classify), but for a loss that stops being a number: such a training
/// counts as one that guesses.
pub fn compare(
    images: &Images,
    recipe: &Recipe,
    [shallow, deep]: [usize; 2],
    seeds: &[u64],
    threads: usize,
    done: impl Fn(&Outcome) + Sync,
) -> Result<Depth, Error> {
    let nets = [(Family::Plain, shallow), (Family::Plain, deep), (Family::Residual, deep)];
    let nets = nets.map(|(family, depth)| NetSpec { family, depth });
    let trials: Vec<Trial> = [1, LONGER]
        .into_iter()
        .flat_map(|longer| nets.map(|net| (longer, net)))
        .flat_map(|(longer, net)| seeds.iter().map(move |&seed| Trial { net, seed, longer }))
        .collect();
    let outcomes = run(images, recipe, &trials, threads, done)?;
    let verdict = judge(&outcomes, [shallow, deep]);
    Ok(Depth { outcomes, verdict })
}

/// Runs trials, so many at a time, each on one thread; the outcomes stand in their order.
///
/// # Errors
/// As [`compare`].
pub fn run(
    images: &Images,
    recipe: &Recipe,
    trials: &[Trial],
    threads: usize,
    done: impl Fn(&Outcome) + Sync,
) -> Result<Vec<Outcome>, Error> {
    let mut order: Vec<usize> = (0..trials.len()).collect();
    // The longest first, so that the cores end together.
    order.sort_by_key(|&index| std::cmp::Reverse(trials[index].net.depth * trials[index].longer));
    let device = Device::flex();
    on_every_core(threads, &order, |index| {
        let outcome = trials[index].run(images, recipe, &device)?;
        done(&outcome);
        Ok(outcome)
    })
}
