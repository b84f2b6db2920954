//! Question 1: mean and variance of a score, and what dividing it does.

use attar_report::{Axis, Block, Dash, Series, Spread};
use rayon::prelude::*;

use super::arithmetic::{dot, largest, mean, normals};
use super::{Lab, saturation};
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::{dotted, line, lines, panel, table};
use crate::commands::lab::questions::Part;
use crate::error::CliError;

pub(super) const DIMENSIONS: [usize; 6] = [4, 16, 64, 256, 1024, 4096];
const PAIRS: usize = 8192;
/// Pairs that are drawn together.
const BLOCK: usize = 128;
/// Half the width of a 95 % interval, in standard errors.
const HALF: f64 = 1.96;
/// Of as many estimates as there are here, one in thousands of laboratories is further off.
const FARTHEST: f64 = 4.5;

/// How the components of queries and keys are distributed.
#[derive(Clone, Copy)]
struct Law {
    name: &'static str,
    mean: fn(usize) -> f64,
    deviation: f64,
}

const LAWS: [Law; 3] = [
    Law { name: "standard", mean: |_| 0.0, deviation: 1.0 },
    Law { name: "means 1/2", mean: |_| 0.5, deviation: 1.0 },
    Law { name: "uneven", mean: |at| 0.6 * (1.3 * at as f64).sin() - 0.1, deviation: 0.7 },
];

const COMPONENTS: &str = "Components are standard normal, or of mean 1/2 and deviation 1, or of means that differ and \
                          deviation 0.7.";

/// A moment of the scores: sampled, with its standard error, and as derived.
struct Moment {
    sampled: f64,
    error: f64,
    derived: f64,
}

struct Sampled {
    dimension: usize,
    mean: Moment,
    variance: Moment,
}

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let of_law = |(case, law): (usize, Law)| {
        let sample = |&dimension: &usize| sample(law, dimension, lab.seed, case as u64);
        (law, DIMENSIONS.iter().map(sample).collect::<Vec<_>>())
    };
    let all: Vec<(Law, Vec<Sampled>)> = LAWS.into_iter().enumerate().map(of_law).collect();
    let mut claims: Vec<Claim> = all.iter().flat_map(|(law, sampled)| of_moments(law, sampled)).collect();
    let mut figures = vec![variances(&all), numbers(&all)];
    let (of_saturation, figures_of_saturation) = saturation::measure(lab.seed)?;
    claims.extend(of_saturation);
    figures.extend(figures_of_saturation);
    Ok(Part { answer: answer(claims), figures })
}

fn sample(law: Law, dimension: usize, seed: u64, case: u64) -> Sampled {
    let means: Vec<f64> = (0..dimension).map(law.mean).collect();
    let block = |block: usize| {
        let part = (dimension * PAIRS + block) as u64;
        let mut values = normals(2 * BLOCK * dimension, seed, [1, case, part]);
        for row in values.chunks_exact_mut(dimension) {
            row.iter_mut().zip(&means).for_each(|(value, mean)| *value = mean + law.deviation * *value);
        }
        let scores = values.chunks_exact(2 * dimension).map(|pair| dot(&pair[..dimension], &pair[dimension..]));
        scores.collect::<Vec<f64>>()
    };
    let scores: Vec<f64> = (0..PAIRS / BLOCK).into_par_iter().flat_map_iter(block).collect();
    let square = dot(&means, &means);
    let (variance, deviation) = (law.deviation.powi(2), law.deviation);
    let derived = [square, dimension as f64 * deviation.powi(4) + 2.0 * variance * square];
    let [mean, variance] = moments(&scores, derived);
    Sampled { dimension, mean, variance }
}

/// Mean and variance (divisor n - 1) with their standard errors; that of the variance from the fourth moment.
fn moments(values: &[f64], [derived_mean, derived_variance]: [f64; 2]) -> [Moment; 2] {
    let count = values.len() as f64;
    let centre = mean(values);
    let moment = |power: i32| values.iter().map(|value| (value - centre).powi(power)).sum::<f64>();
    let variance = moment(2) / (count - 1.0);
    let of_variance = ((moment(4) / count - variance * variance) / count).sqrt();
    [
        Moment { sampled: centre, error: (variance / count).sqrt(), derived: derived_mean },
        Moment { sampled: variance, error: of_variance, derived: derived_variance },
    ]
}

impl Moment {
    /// How far it is from what was derived, in standard errors.
    fn off(&self) -> f64 {
        (self.sampled - self.derived).abs() / self.error
    }

    fn text(&self) -> String {
        let [low, high] = [-HALF, HALF].map(|width| shown(self.sampled + width * self.error));
        format!("{} [{low}, {high}]", shown(self.sampled))
    }
}

fn of_moments(law: &Law, sampled: &[Sampled]) -> [Claim; 2] {
    let claim = |what: &str, of: fn(&Sampled) -> &Moment| {
        let sentence = format!(
            "{}: {what}, d from 4 to 4096: largest distance of the sampled from it, in standard errors",
            law.name
        );
        Claim::at_most(sentence, largest(sampled.iter().map(|sampled| of(sampled).off())), FARTHEST)
    };
    [
        claim("E[q.k] = ||mu||^2", |sampled| &sampled.mean),
        claim("Var[q.k] = d sigma^4 + 2 sigma^2 ||mu||^2", |sampled| &sampled.variance),
    ]
}

fn variances(all: &[(Law, Vec<Sampled>)]) -> Block {
    let of = |sampled: &[Sampled], value: fn(&Moment) -> f64| -> Vec<(f64, f64)> {
        sampled.iter().map(|sampled| (sampled.dimension as f64, value(&sampled.variance))).collect()
    };
    let series = all.iter().enumerate().flat_map(|(colour, (law, sampled))| {
        let low = of(sampled, |moment| moment.sampled - HALF * moment.error);
        let high = of(sampled, |moment| moment.sampled + HALF * moment.error);
        let [low, high] = [low, high].map(|points| points.into_iter().map(|point| point.1).collect());
        let dots = dotted(format!("{}, sampled", law.name), colour, &of(sampled, |moment| moment.sampled));
        let derived =
            line(format!("{}, derived", law.name), colour, Dash::Dashed, &of(sampled, |moment| moment.derived));
        [Series { spread: Spread::Bars { low, high }, ..dots }, derived]
    });
    let caption = format!("{PAIRS} pairs each; bars are 95 % intervals. {COMPONENTS}");
    let axes = [Axis::log("d"), Axis::log("variance of q.k")];
    lines("Variance of a score", &caption, axes, vec![panel("", series.collect())])
}

fn numbers(all: &[(Law, Vec<Sampled>)]) -> Block {
    let rows = all.iter().flat_map(|(law, sampled)| {
        sampled.iter().map(|Sampled { dimension, mean, variance }| {
            let [of_mean, of_variance] = [mean, variance].map(|moment| [moment.text(), shown(moment.derived)]);
            let first = [law.name.to_owned(), dimension.to_string()];
            first.into_iter().chain(of_mean).chain(of_variance).collect()
        })
    });
    let columns = ["components", "d", "mean", "derived", "variance", "derived"];
    let caption = format!(
        "{PAIRS} pairs each, with 95 % intervals, beside ||mu||^2 and d sigma^4 + 2 sigma^2 ||mu||^2. {COMPONENTS}"
    );
    table("Moments of a score", &caption, &columns, rows.collect())
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "1. What are mean and variance of q.k, by what should scores be multiplied, and what does another \
                   scale do?"
            .into(),
        derivation: "Let the components of q and k be independent, with means mu_i and variance sigma^2. Then \
                     E[q_i k_i] = mu_i^2, and the sum is ||mu||^2, or d mu^2 where all means are mu. \
                     E[q_i^2 k_i^2] = (sigma^2 + mu_i^2)^2, so Var[q_i k_i] = sigma^4 + 2 sigma^2 mu_i^2, and variances \
                     of independent terms add up: d sigma^4 + 2 sigma^2 ||mu||^2. For mu = 0 and sigma = 1 that is d, \
                     and s = 1/sqrt(d) makes the variance of s q.k equal to 1. With weights p_j, values v_j and \
                     the gradient g of the output o, the gradient that a query gets is \
                     s sum_j p_j (g.v_j - g.o) k_j, of a size near s sqrt(d) sqrt(sum_j p_j^2) unless a single p_j is \
                     1: then it is 0. With s = 1 the scores have deviation sqrt(d); two largest are within 1 of each other \
                     in a share of queries that falls as 1/sqrt(d), and elsewhere one weight takes all. With s = 1/d \
                     the scores have variance 1/d, the weights are uniform but for 1/d, and the gradient falls as \
                     1/sqrt(d)."
            .into(),
        answer: "Both moments are as derived. Only s = 1/sqrt(d) keeps entropy and gradient at any d: ln N - 1/2 for \
                 N keys, and a constant. With s = 1 softmax becomes argmax and the gradient of a typical query dies; \
                 with s = 1/d it becomes a plain mean of the values, and the gradient dies more slowly."
            .into(),
        claims,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_by_hand() {
        let [mean, variance] = moments(&[1.0, 2.0, 3.0, 6.0], [3.0, 4.0]);
        assert_eq!((mean.sampled, mean.off()), (3.0, 0.0));
        assert!((variance.sampled - 14.0 / 3.0).abs() < 1e-12);
        let fourth: f64 = (16.0 + 1.0 + 0.0 + 81.0) / 4.0;
        let error = ((fourth - (14.0_f64 / 3.0).powi(2)) / 4.0).sqrt();
        assert!((variance.off() - (2.0 / 3.0) / error).abs() < 1e-12);
    }

    #[test]
    fn a_wrong_law_is_found_out() {
        let sampled = sample(LAWS[1], 16, 3, 0);
        assert!(sampled.mean.off() < FARTHEST && sampled.variance.off() < FARTHEST);
        let without_cross_terms = Moment { derived: 16.0, ..sampled.variance };
        assert!(without_cross_terms.off() > FARTHEST, "{}", without_cross_terms.off());
    }
}
