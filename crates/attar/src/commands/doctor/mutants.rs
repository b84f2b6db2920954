//! `doctor mutants`: how often the doctor is right, measured.

use attar_data::{ReadOptions, open};
use attar_learn::suite::{Case, Digits, MUTANTS, Outcome, Run, SOUND, outcomes, runs};
use serde_json::json;

use self::table::Suite;
use crate::cli::Common;
use crate::cli::doctor::MutantsArgs;
use crate::error::CliError;
use crate::nearest::nearest;
use crate::output::print_json;

mod table;

/// Runs the suite and prints what the doctor found.
pub(crate) fn run(args: &MutantsArgs, common: &Common) -> Result<(), CliError> {
    check(&args.only)?;
    let digits = Digits::of(&open("digits", &ReadOptions::default())?)?;
    let [mutants, sound] = [&MUTANTS[..], &SOUND[..]].map(|cases| chosen(cases, &args.only));
    let all = runs(&[mutants.clone(), sound.clone()].concat(), args.seeds);
    let suite = Suite { mutants, sound, outcomes: examined(&all, &digits)? };
    if !common.json {
        return suite.print();
    }
    let planted = all.into_iter().filter(|run| run.case.planted.is_some() && !args.only.is_empty());
    let mended: Vec<Run> = planted.map(|run| Run { planted: false, ..run }).collect();
    print_json(&json!({ "suite": suite.json(), "without_the_mistake": examined(&mended, &digits)? }))
}

fn chosen(cases: &'static [Case], only: &[String]) -> Vec<&'static Case> {
    cases.iter().filter(|case| only.is_empty() || only.iter().any(|name| name == case.name)).collect()
}

fn check(only: &[String]) -> Result<(), CliError> {
    let names: Vec<&str> = MUTANTS.iter().chain(&SOUND).map(|case| case.name).collect();
    let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) else { return Ok(()) };
    let help = match nearest(unknown, &names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    Err(CliError::input(format!("no run is called `{unknown}`")).with_help(help))
}

fn examined(runs: &[Run], digits: &Digits) -> Result<Vec<Outcome>, CliError> {
    let bar = crate::progress::bar(runs.len(), "runs");
    let found = outcomes(runs, digits, rayon::current_num_threads(), |_| bar.inc(1))?;
    bar.finish_and_clear();
    Ok(found)
}
