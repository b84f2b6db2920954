//! Question 8: certificates of trained weights, and errors that they must catch.

use attar_linear::linear_autoencoder::{
    Certificate, Check, Factor, LinearAutoencoder, Objective, Solver, Tolerances, Training, Weights, best_constant,
};
use attar_report::Block;
use faer::Mat;
use rayon::prelude::*;

use super::Lab;
use super::arithmetic::largest;
use super::source::{FEW_CODES, Subject, gentle_rows};
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::table;
use crate::commands::lab::questions::Part;
use crate::error::CliError;

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let (mut claims, mut rows) = (Vec::new(), Vec::new());
    let subjects: Vec<_> = lab.subjects().collect();
    let certified = subjects.into_par_iter().map(|(name, subject)| {
        let objectives = [Objective::Plain, Objective::L2 { lambda: subject.medium_lambda() }];
        let of = |objective| healthy(subject, objective, lab.seed);
        let certificates = objectives.into_par_iter().map(of).collect::<Result<Vec<_>, _>>()?;
        Ok((name, certificates))
    });
    for (name, certificates) in certified.collect::<Result<Vec<_>, CliError>>()? {
        claims.extend(of_certificates(name, &certificates));
        rows.extend(certificates.iter().zip(["plain", "L2"]).flat_map(|(c, what)| table_rows(name, what, c)));
    }
    let columns = ["data", "objective", "check", "measured", "expected", "tolerance"];
    let caption =
        "Every check that has a tolerance. On images, whose mean is not 0, with the biases that are best for it.";
    let mut figures = vec![table("Certificates", caption, &columns, rows)];
    if let Some(gentle) = lab.spectra.first() {
        let planted = planted(&gentle.subject, lab.seed)?;
        claims.extend(planted.iter().map(|planted| planted.claim(gentle.name)));
        figures.push(planted_table(gentle.name, &planted));
    }
    Ok(Part { answer: answer(claims), figures })
}

fn train(subject: &Subject, config: &LinearAutoencoder, seed: u64) -> Result<Weights, CliError> {
    let solver = Solver::AlternatingLeastSquares;
    let training = Training { solver, tolerance: 1e-9, max_iterations: 50_000, record_every: 50_000 };
    Ok(config.train(&subject.factor, &subject.start(seed), &training)?.weights)
}

fn healthy(subject: &Subject, objective: Objective, seed: u64) -> Result<Certificate, CliError> {
    let config = subject.model(objective);
    let weights = train(subject, &config, seed)?;
    let constant = best_constant(&weights, subject.factor.mean())?;
    Ok(config.certify(&subject.factor, &weights, Some(&constant), &Tolerances::double())?)
}

/// How far a check is from what theory expects; NaN where it was not made.
fn deviation(certificate: &Certificate, name: &str) -> f64 {
    let of = |check: &Check| (check.measured - check.expected.unwrap_or(0.0)).abs();
    certificate.check(name).map_or(f64::NAN, of)
}

fn of_certificates(name: &str, certificates: &[Certificate]) -> Vec<Claim> {
    let worst = |check: &str| largest(certificates.iter().map(|certificate| deviation(certificate, check)));
    let failing = certificates.iter().map(|certificate| certificate.failing().len()).sum::<usize>();
    let sentence = |what: &str| format!("{name}: {what}, plain and L2, the larger");
    let tolerances = Tolerances::double();
    vec![
        Claim::at_most(sentence("relative loss gap to the closed form"), worst("loss gap"), tolerances.loss),
        Claim::at_most(sentence("subspace distance"), worst("subspace"), tolerances.subspace),
        Claim::at_most(
            sentence("largest error of a singular value of the map"),
            worst("map singular values"),
            tolerances.singular_values,
        ),
        Claim::at_most(format!("{name}: checks of the two certificates that fail"), failing as f64, 0.0),
    ]
}

fn table_rows(name: &str, objective: &str, certificate: &Certificate) -> Vec<Vec<String>> {
    let row = |check: &Check| {
        let (expected, tolerance) = (check.expected?, check.tolerance?);
        let numbers = [check.measured, expected, tolerance].map(shown);
        Some([name, objective, check.name].map(str::to_owned).into_iter().chain(numbers).collect())
    };
    certificate.checks.iter().filter_map(row).collect()
}

/// An error that was put in, and what the certificate says of it.
struct Planted {
    what: &'static str,
    /// The check that has to fail.
    expected: &'static str,
    failing: Vec<&'static str>,
}

impl Planted {
    fn claim(&self, name: &str) -> Claim {
        let Self { what, expected, failing } = self;
        let caught = failing.contains(expected);
        let sentence =
            format!("{name}: {what}: caught by the check `{expected}` (1: yes); all that fail: {}", failing.join(", "));
        Claim::near(sentence, f64::from(u8::from(caught)), 1.0, 0.0)
    }
}

fn planted(subject: &Subject, seed: u64) -> Result<Vec<Planted>, CliError> {
    let lambda = subject.medium_lambda();
    let config = subject.model(Objective::L2 { lambda });
    let failing = |factor: &Factor, weights: &Weights| {
        Ok::<_, CliError>(config.certify(factor, weights, None, &Tolerances::double())?.failing())
    };
    let good = train(subject, &config, seed)?;
    let scaled = Weights { decoder: &good.decoder * faer::Scale(1.01), ..good.clone() };
    let wrong = train(subject, &subject.model(Objective::L2 { lambda: 1.1 * lambda }), seed)?;
    let uncentred = uncentred(seed)?;
    let on_uncentred = train(&uncentred, &config, seed)?;
    let case = |what, expected, failing| Planted { what, expected, failing };
    Ok(vec![
        case("a decoder scaled by 1.01", "decoder singular values", failing(&subject.factor, &scaled)?),
        case(
            "the last component swapped for the next",
            "subspace",
            failing(&subject.factor, &swapped(subject, lambda))?,
        ),
        case("data that is not centred", "centred", failing(&uncentred.factor, &on_uncentred)?),
        case("trained with 1.1 lambda", "decoder singular values", failing(&subject.factor, &wrong)?),
    ])
}

/// The optimum of the code whose last direction is the next one.
fn swapped(subject: &Subject, lambda: f64) -> Weights {
    let (k, variances) = (subject.codes, subject.variances());
    let direction = |code: usize| if code + 1 == k { k } else { code };
    let root = |code: usize| (1.0 - lambda / variances[direction(code)]).max(0.0).sqrt();
    let decoder = Mat::from_fn(subject.factor.features(), k, |i, code| {
        root(code) * subject.factor.vectors()[(i, direction(code))]
    });
    Weights { encoder: decoder.transpose().to_owned(), decoder }
}

/// The same rows a tenth off the origin.
fn uncentred(seed: u64) -> Result<Subject, CliError> {
    let rows = gentle_rows(seed)?;
    let shifted = Mat::from_fn(rows.nrows(), rows.ncols(), |i, j| rows[(i, j)] + 0.1);
    Ok(Subject { factor: Factor::of(shifted.as_ref())?, codes: FEW_CODES })
}

fn planted_table(name: &str, planted: &[Planted]) -> Block {
    let row = |planted: &Planted| vec![planted.what.to_owned(), planted.failing.join(", ")];
    let caption = format!("{name}, L2 with lambda of half the smallest kept variance.");
    table("Planted errors", &caption, &["error", "failing checks"], planted.iter().map(row).collect())
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "8. Can a trained linear autoencoder be certified, and would the certificate notice an error?".into(),
        derivation: "The optimum is known in closed form: its loss, its subspace, the singular values of the map and, \
                     under the L2 sum, of both weights. A certificate compares each with the weights at hand: \
                     relative loss gap and subspace distance within 1e-6, singular values within 1e-4 in double \
                     precision. A test that cannot fail is no test, so errors are planted: each must be caught, and \
                     the check that fails must say what is wrong."
            .into(),
        answer: "Trained weights pass on a gentle and a steep spectrum, on one with a near-tie, and on the data sets. \
                 A decoder scaled by 1.01, a swapped component, data that is not centred and a wrong lambda do not."
            .into(),
        claims,
    }
}
