//! `doctor accumulation`: does a batch cut into micro-batches train as the whole batch does?

use attar_doctor::accumulation::{judge, order_faults, tolerance};
use attar_learn::certificate::splits;
use attar_learn::mutant::{Planted, measure, train};

use super::shown::{Certified, Report, remedied};
use super::subject::{BATCH, Subject};
use crate::cli::Common;
use crate::cli::doctor::{AccumulationArgs, DtypeName, NetArgs};
use crate::error::CliError;
use crate::output::print_json;

/// Prints the certificate, and where it fails the certificate under the remedy; an error when it fails.
pub(crate) fn run(args: &AccumulationArgs, common: &Common) -> Result<(), CliError> {
    let seed = common.seed.unwrap_or(0);
    let first = certify(args.net, args.fault, seed)?;
    let (net, fault) = remedied(args.net, args.fault);
    let again = (!first.verdict.passed()).then(|| certify(net, fault, seed)).transpose()?;
    let report = Report { what: "accumulation", part: "micro-batches", first, remedied: again };
    match common.json {
        true => print_json(&report.json())?,
        false => report.print()?,
    }
    report.outcome()
}

fn certify(net: NetArgs, fault: Option<Planted>, seed: u64) -> Result<Certified, CliError> {
    let Subject { network, problem, plan, samples } = Subject::new(net, seed)?;
    let measured = measure(&network, &problem, &plan, fault, &samples, &splits(BATCH));
    let order = order_faults(&train(network, &problem, &plan, fault).1);
    let tolerance = tolerance(if net.dtype == DtypeName::F64 { "f64" } else { "f32" }, BATCH as u64);
    let verdict = judge(&measured.splits(), &measured.couplings, &order, tolerance);
    Ok(Certified { net, fault: fault.map(Planted::name), measured, drift: None, tolerance, verdict })
}
