//! `doctor ranks`: do data-parallel ranks train as one does with the whole batch?

use attar_doctor::accumulation::tolerance;
use attar_doctor::ranks::judge;
use attar_learn::certificate;
use attar_learn::certificate::ranks::{Mistake, drift, reduction};

use super::shown::{Certified, Report, remedied};
use super::subject::{BATCH, Subject};
use crate::cli::Common;
use crate::cli::doctor::{DtypeName, NetArgs, RanksArgs};
use crate::error::CliError;
use crate::output::print_json;

/// The batch's shards.
const SHARDS: [&[usize]; 4] = [&[16, 16], &[8, 8, 8, 8], &[4; 8], &[12, 12, 8]];
/// Steps after which the ranks are compared.
const STEPS: usize = 3;

/// Prints the certificate, and where it fails the certificate under the remedy; an error when it fails.
pub(crate) fn run(args: &RanksArgs, common: &Common) -> Result<(), CliError> {
    let seed = common.seed.unwrap_or(0);
    let first = certify(args.net, args.fault, seed)?;
    let (net, fault) = remedied(args.net, args.fault);
    let again = (!first.verdict.passed()).then(|| certify(net, fault, seed)).transpose()?;
    let report = Report { what: "ranks", part: "ranks", first, remedied: again };
    match common.json {
        true => print_json(&report.json())?,
        false => report.print()?,
    }
    report.outcome()
}

fn certify(net: NetArgs, fault: Option<Mistake>, seed: u64) -> Result<Certified, CliError> {
    let Subject { network, problem, samples, .. } = Subject::new(net, seed)?;
    let subject = certificate::Subject { network: &network, problem: &problem, samples: &samples, seed, clip: None };
    let measured = reduction(&subject, &SHARDS.map(<[usize]>::to_vec), fault);
    let drift = drift(&subject, SHARDS[3], STEPS, fault);
    let tolerance = tolerance(if net.dtype == DtypeName::F64 { "f64" } else { "f32" }, BATCH as u64);
    let verdict = judge(&measured.splits(), &measured.couplings, &drift, tolerance);
    Ok(Certified { net, fault: fault.map(Mistake::name), measured, drift: Some(drift), tolerance, verdict })
}
