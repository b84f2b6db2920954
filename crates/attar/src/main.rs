//! The command `attar`: what was typed, one command on a pool of threads, an exit status.

mod cli;
mod commands;
mod depth;
mod error;
mod figures;
mod judging;
mod loaded;
mod machine;
mod nearest;
mod output;
mod page;
mod progress;
mod settings;
mod summary;
mod sweep_results;
mod trained;
mod weights;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, Common, LabCommand, TrainArgs};
use crate::error::CliError;
use crate::settings::Settings;

fn main() -> ExitCode {
    attar_ops::keep_freed_memory();
    // What faer does on several threads has other bits than on one.
    faer::set_global_parallelism(faer::Par::Seq);
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(Cli { common, command }: Cli) -> Result<(), CliError> {
    let threads = common.threads;
    match command {
        Command::Train(args) => train(&args, common),
        Command::Embed(args) => on_threads(threads, || commands::embed::run(&args, &common)),
        Command::Reconstruct(args) => on_threads(threads, || commands::reconstruct::run(&args, &common)),
        Command::Certify(args) => on_threads(threads, || commands::certify::run(&args, &common)),
        Command::Doctor(args) => on_threads(threads, || commands::doctor::run(&args, &common)),
        Command::Attend(args) => on_threads(threads, || commands::attend::run(&args, &common)),
        Command::Pca(args) => on_threads(threads, || commands::pca::run(&args, &common)),
        Command::Probe(args) => on_threads(threads, || commands::probe::run(&args.run, args.data.as_deref(), &common)),
        Command::Report(args) => on_threads(threads, || commands::report::run(&args.run, &common)),
        Command::Data(command) => on_threads(threads, || commands::data::run(&command, &common)),
        Command::Lab(LabCommand::Autoencoders { only, save_data, overwrite }) => {
            on_threads(threads, || commands::lab::autoencoders(only, save_data.as_deref(), overwrite, &common))
        }
        Command::Lab(LabCommand::Linear { data, only, overwrite }) => {
            on_threads(threads, || commands::lab::linear(data, &only, overwrite, &common))
        }
        Command::Lab(LabCommand::Attention(args)) => on_threads(threads, || commands::lab::attention(&args, &common)),
        Command::Lab(LabCommand::Debugging(args)) => on_threads(threads, || commands::lab::debugging(&args, &common)),
        Command::Completions { shell } => commands::completions::completions(shell),
        Command::Man => commands::completions::man(),
    }
}

/// Training is settled before it gets its threads: a configuration file has a say in how many there are.
fn train(args: &TrainArgs, common: Common) -> Result<(), CliError> {
    let settings = Settings::resolve(&args.typed(&common), args.config.as_deref())?;
    let common = Common { threads: settings.threads, json: settings.json.unwrap_or(false), ..common };
    on_threads(common.threads, || commands::train::run(settings, &common, args.resume, args.overwrite))
}

/// Runs a command on so many threads, or on one per core.
fn on_threads(threads: Option<usize>, command: impl FnOnce() -> Result<(), CliError> + Send) -> Result<(), CliError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
    pool.map_err(|error| CliError::run(format!("cannot start the threads: {error}")))?.install(command)
}
