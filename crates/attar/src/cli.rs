//! The command line: each flag defined once; help, man page, completions and configuration keys follow from it.

pub(crate) mod doctor;

use std::path::PathBuf;

use attar_linear::Components;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use self::doctor::DoctorArgs;
use crate::commands::attend::{FormName, SimilarityName};
use crate::commands::certify::{NormalisationName, ObjectiveName};
use crate::commands::lab::Method;
use crate::commands::pca::{SolverName, components};
use crate::settings::{Settings, words};

/// Learn representations without labels, and show that the training can be trusted
///
/// Trains an autoencoder on a table, on arrays or on images, and judges its codes against PCA, raw features and an
/// untrained encoder, under the same probes.
#[derive(Parser, Debug)]
#[command(
    name = "attar",
    version,
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = "\
Examples:
  attar train digits    # learn from the bundled digits; the report is runs/digits/report.html
  attar embed runs/digits scans/ -o codes.parquet    # the codes of a folder of images

Exit status: 0 success, 1 the run failed, 2 wrong input."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags of every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Run")]
pub(crate) struct Common {
    /// Where the result goes: a run's folder, or a file
    #[arg(short, long, global = true, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of every random choice [default: 0]
    // The largest whole number that a TOML file can hold.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
    /// Threads to work on [default: one per core]; the results are the same bits at any number
    #[arg(long, global = true, value_name = "N", value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// Print the result as JSON, for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Folder where known data sets are looked for first
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A note for the record and the report; may be repeated
    #[arg(long = "note", global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) notes: Vec<(String, String)>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Learn a representation, judge it, and write a report
    ///
    /// Trains an autoencoder, probes its codes beside PCA, raw features and a random encoder, and leaves in the run's
    /// folder: config.toml (everything that determines the run), run.jsonl (the record), checkpoints, model.safetensors
    /// (loads into PyTorch), results.json and report.html. Several latent sizes, objectives or repeats make a sweep.
    ///
    /// What no flag says comes from the file of --config, then from --recipe, then from the defaults for such data.
    #[command(after_help = "\
Examples:
  attar train digits
  attar train wine.csv --label-column quality --latent 4 --objective masked --out runs/wine
  attar train synthetic --latent 5,20,100 --objective vanilla,denoising --repeats 3")]
    Train(Box<TrainArgs>),
    /// Write the codes of data, old or new
    ///
    /// Columns of new data are matched to those of the training data by name, else by order. The codes are columns
    /// code_0, code_1 and so on; ids and labels are carried along. The file's ending chooses the format: .parquet, .csv,
    /// or .npy (the codes alone, written as they come). For the others all codes are held in memory.
    #[command(
        override_usage = "attar embed [OPTIONS] --out <FILE> <RUN> <DATA>",
        after_help = "\
Examples:
  attar embed runs/digits digits -o codes.parquet
  attar embed runs/wine new-wines.csv --id-column bottle -o codes.csv"
    )]
    Embed(EmbedArgs),
    /// Write the reconstruction error of each row, for finding odd ones
    ///
    /// Columns: error (squared, summed over the prepared features), error_per_feature, and with --rows the
    /// reconstructed features; ids and labels are carried along. The file's ending chooses the format: .parquet, .csv,
    /// or .npy (the numbers alone).
    #[command(
        override_usage = "attar reconstruct [OPTIONS] --out <FILE> <RUN> <DATA>",
        after_help = "\
Examples:
  attar reconstruct runs/wine new-wines.csv -o errors.csv
  attar reconstruct runs/digits digits --rows -o reconstructions.parquet"
    )]
    Reconstruct(ReconstructArgs),
    /// Write the principal components' codes of data, with a report
    ///
    /// Columns code_0, code_1 and so on, by falling variance; ids and labels are carried along. The file's ending chooses
    /// the format: .parquet, .csv, or .npy (the codes alone). The report has the same name and ends in .html.
    #[command(
        override_usage = "attar pca [OPTIONS] --out <FILE> <SOURCE>",
        after_help = "\
Examples:
  attar pca digits -k 32 -o digits.parquet
  attar pca wine.csv --label-column quality -k 0.9 --whiten -o codes.csv"
    )]
    Pca(PcaArgs),
    /// Compare a trained linear autoencoder with the optimum that theory gives
    ///
    /// One layer down and one up, without a function between: loss, subspace, singular values and symmetry against the
    /// closed form on the training data. Prints a check per line, and exits with 1 if one fails.
    #[command(after_help = "\
Examples:
  attar certify runs/digits
  attar certify model.safetensors --data rows.npy --objective l2 --lambda 0.1 --normalisation per-entry")]
    Certify(Box<CertifyArgs>),
    /// Say what is wrong with a training run, from its record; certify a loop
    ///
    /// Reads run.jsonl of a run's folder, or a record that any framework wrote, and prints each finding with its number,
    /// threshold, place and remedy, causes before consequences. Exits with 1 if there is one. What a record does not hold
    /// cannot be found in it: the last line says what it holds.
    #[command(after_help = "\
Examples:
  attar doctor runs/digits
  attar doctor pytorch-run.jsonl --json
  attar doctor --explain stale-gradient
  attar doctor accumulation --model resnet --norm batch")]
    Doctor(DoctorArgs),
    /// Attend from queries to keys, and show every step
    ///
    /// Reads rows of numbers from a JSON file, {"queries": [[...]], "keys": [[...]], "values": [[...]]}, perhaps with
    /// "hidden": an array with true for each key that no query shall see. Prints scores, weights, denominators and
    /// outputs, and of argmax the key that each query takes; in double precision. --out FILE gets the same as JSON.
    ///
    /// Denominators are those of the definition, in every form; those of random features leave a factor of each query
    /// out. Kappa says how much one cancels: the sum of |phi(q)||phi(k)| over it.
    #[command(after_help = "\
Examples:
  attar attend small.json --similarity argmax
  attar attend small.json --similarity polynomial --degree 4 --causal --json")]
    Attend(AttendArgs),
    /// Judge the codes of a run again, on its own data or on other
    #[command(after_help = "\
Examples:
  attar probe runs/digits
  attar probe runs/wine other-wines.csv --json")]
    Probe(ProbeArgs),
    /// Write the report of a run again, from what its folder holds
    #[command(after_help = "\
Examples:
  attar report runs/digits
  attar report runs/digits --out digits.html")]
    Report(ReportArgs),
    /// Look at data, or fetch it
    #[command(
        subcommand,
        after_help = "\
Examples:
  attar data list
  attar data info wine.csv --label-column quality"
    )]
    Data(DataCommand),
    /// Experiments whose every statement is measured
    #[command(
        subcommand,
        after_help = "\
Examples:
  attar lab autoencoders --only synthetic
  attar lab autoencoders --data-dir data --out runs/autoencoders
  attar lab linear --only 1,2
  attar lab attention --only 1,4"
    )]
    Lab(LabCommand),
    /// Print the completions of a shell
    #[command(after_help = "\
Examples:
  attar completions bash > ~/.local/share/bash-completion/completions/attar
  attar completions fish > ~/.config/fish/completions/attar.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual as a man page
    #[command(after_help = "\
Examples:
  attar man > attar.1
  attar man | man -l -")]
    Man,
}

/// What `train` takes.
#[derive(Args, Debug)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// TOML file with a key for each flag; flags win over it
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,
    /// Go on with an interrupted run, to the same bits as if it had never stopped
    #[arg(long, help_heading = "Run", conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Replace the run that is in the folder
    #[arg(long, help_heading = "Run")]
    pub(crate) overwrite: bool,
}

impl TrainArgs {
    /// The settings that were typed, those among the common flags included.
    pub(crate) fn typed(&self, common: &Common) -> Settings {
        let notes = common.notes.iter().cloned();
        Settings {
            seed: common.seed,
            out: common.out.clone(),
            data_dir: common.data_dir.clone(),
            note: (!common.notes.is_empty()).then(|| notes.collect()),
            threads: common.threads,
            json: common.json.then_some(true),
            ..self.settings.clone()
        }
    }
}

/// What `embed` takes.
#[derive(Args, Debug)]
pub(crate) struct EmbedArgs {
    /// Folder of a trained run
    pub(crate) run: PathBuf,
    /// Data like that of the training: digits, mnist, synthetic, or a path
    pub(crate) data: String,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// What `reconstruct` takes.
#[derive(Args, Debug)]
pub(crate) struct ReconstructArgs {
    /// Folder of a trained run
    pub(crate) run: PathBuf,
    /// Data like that of the training: digits, mnist, synthetic, or a path
    pub(crate) data: String,
    /// Write the reconstructed features too, in the units of the data or as the network sees them
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "original")]
    pub(crate) rows: Option<Units>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// Units of reconstructed features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Units {
    /// Those of the data
    Original,
    /// Those of the network's input: scaled
    Prepared,
}

/// What `pca` takes.
#[derive(Args, Debug)]
pub(crate) struct PcaArgs {
    /// What to take the components of: digits, mnist, synthetic, or a path
    pub(crate) source: String,
    /// How many components: a number, the share of the variance that they must keep, or mle (Minka's choice)
    #[arg(short = 'k', long, value_name = "N|SHARE|mle", value_parser = components, default_value = "0.95")]
    pub(crate) components: Components,
    /// How they are found
    #[arg(long, value_enum, default_value_t = SolverName::Auto)]
    pub(crate) solver: SolverName,
    /// Divide each code by its standard deviation
    #[arg(long)]
    pub(crate) whiten: bool,
    /// What is done to each feature first [default: standardise, for tables and vectors]
    #[arg(long, value_parser = words::<attar_data::Scaling>(), help_heading = "Data")]
    pub(crate) scaling: Option<attar_data::Scaling>,
    /// What to do with columns of text [default: refuse them]
    #[arg(long, value_parser = words::<attar_data::Categorical>(), help_heading = "Data")]
    pub(crate) categorical: Option<attar_data::Categorical>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// What `certify` takes.
#[derive(Args, Debug)]
pub(crate) struct CertifyArgs {
    /// Folder of a trained run, or a safetensors file with the weights of two layers
    pub(crate) subject: PathBuf,
    /// Data that it was trained on: digits, mnist, synthetic, or a path [default: the run's training rows]
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// What was minimised [default: as the run's configuration says]
    #[arg(long, value_enum)]
    pub(crate) objective: Option<ObjectiveName>,
    /// Strength of the penalty; one per code, rising, for non-uniform-l2
    #[arg(long, value_name = "STRENGTH", value_delimiter = ',')]
    pub(crate) lambda: Vec<f64>,
    /// What the squared error was divided by [default: per-sample]
    #[arg(long, value_enum)]
    pub(crate) normalisation: Option<NormalisationName>,
    /// nested-dropout: probability that one more code is kept [default: 0.9]
    #[arg(long, value_name = "P")]
    pub(crate) rho: Option<f64>,
    /// Relative gap of the loss that is allowed; the other tolerances follow in proportion [default: 1e-6 for f64
    /// weights, 1e-4 for f32]
    #[arg(long, value_name = "SHARE")]
    pub(crate) tolerance: Option<f64>,
    /// Name of the layer from features to code [default: encoder.0]
    #[arg(long, value_name = "NAME")]
    pub(crate) encoder: Option<String>,
    /// Name of the layer from code to features [default: decoder.0]
    #[arg(long, value_name = "NAME")]
    pub(crate) decoder: Option<String>,
    /// What was done to each feature, for a file [default: none]
    #[arg(long, value_parser = words::<attar_data::Scaling>(), help_heading = "Data")]
    pub(crate) scaling: Option<attar_data::Scaling>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// What `attend` takes.
#[derive(Args, Debug)]
pub(crate) struct AttendArgs {
    /// JSON file with queries, keys and values
    pub(crate) file: PathBuf,
    /// How much a query attends to a key
    #[arg(long, value_enum, default_value_t = SimilarityName::Softmax)]
    pub(crate) similarity: SimilarityName,
    /// softmax, polynomial, random: what q.k is multiplied by [default: 1 for polynomial, else one over the root of the
    /// dimension]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) scale: Option<f64>,
    /// polynomial: what is added to the product [default: 0]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) shift: Option<f64>,
    /// polynomial: the exponent [default: 2]
    #[arg(long, value_name = "N")]
    pub(crate) degree: Option<u32>,
    /// random: how many features, drawn from --seed [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) features: Option<usize>,
    /// Let a query see only keys up to its own place; the last query sees all
    #[arg(long)]
    pub(crate) causal: bool,
    /// Take a similarity of both signs, whose denominators may cancel: odd polynomials, products with features below 0
    #[arg(long)]
    pub(crate) allow_signed: bool,
    /// How it is computed; the result is the same but for rounding
    #[arg(long, value_enum, default_value_t = FormName::Naive)]
    pub(crate) form: FormName,
}

/// What `probe` takes.
#[derive(Args, Debug)]
pub(crate) struct ProbeArgs {
    /// Folder of a trained run
    pub(crate) run: PathBuf,
    /// Labelled data like that of the training [default: the training's own]
    pub(crate) data: Option<String>,
}

/// What `report` takes.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Folder of a run
    pub(crate) run: PathBuf,
}

/// How to read data that is not trained on.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Data")]
pub(crate) struct Reading {
    /// Column with the labels [for NPY: a second file]
    #[arg(long, value_name = "NAME")]
    pub(crate) label_column: Option<String>,
    /// Column that names each row
    #[arg(long, value_name = "NAME")]
    pub(crate) id_column: Option<String>,
    /// Whether the first line of a CSV file holds names [default: found out]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) header: Option<bool>,
    /// What to do with missing values [default: as in training, else refuse them]
    #[arg(long, value_parser = words::<attar_data::Impute>())]
    pub(crate) impute: Option<attar_data::Impute>,
}

/// How the flags say that data is to be read.
pub(crate) fn read_options(reading: &Reading, common: &Common) -> attar_data::ReadOptions {
    attar_data::ReadOptions {
        label_column: reading.label_column.clone(),
        id_column: reading.id_column.clone(),
        header: reading.header,
        impute: reading.impute,
        categorical: None,
        data_dir: common.data_dir.clone(),
        seed: common.seed.unwrap_or(0),
    }
}

/// The commands about data.
#[derive(Subcommand, Debug)]
pub(crate) enum DataCommand {
    /// List the known data sets, and where they are
    #[command(after_help = "\
Examples:
  attar data list
  attar data list --json")]
    List,
    /// Say what a source holds: rows, features, labels
    #[command(after_help = "\
Examples:
  attar data info digits
  attar data info wine.csv --label-column quality --categorical one-hot")]
    Info {
        /// digits, mnist, synthetic, or a path
        source: String,
        #[command(flatten)]
        reading: Reading,
        /// What to do with columns of text [default: refuse them]
        #[arg(long, value_parser = words::<attar_data::Categorical>(), help_heading = "Data")]
        categorical: Option<attar_data::Categorical>,
    },
    /// Fetch a known data set into --data-dir, or into the cache folder
    #[command(after_help = "\
Examples:
  attar data fetch mnist
  attar data fetch mnist --data-dir data")]
    Fetch {
        /// Name of the data set
        name: String,
    },
}

/// The experiments.
#[derive(Subcommand, Debug)]
pub(crate) enum LabCommand {
    /// Autoencoders: how codes and probes change with the latent size, and how few labels suffice
    ///
    /// Runs the synthetic sweep and the few-label experiment on MNIST, answers the questions about them, and checks
    /// each statement against its measured number; exits with 1 if one fails.
    #[command(after_help = "\
Examples:
  attar lab autoencoders
  attar lab autoencoders --only synthetic --out runs/synthetic-lab")]
    Autoencoders {
        /// Run one of the experiments alone
        #[arg(long, value_enum)]
        only: Option<Only>,
        /// Write the synthetic data too: an NPY file, rows in the order of the splits, the label as the last column
        #[arg(long, value_name = "FILE")]
        save_data: Option<PathBuf>,
        /// Replace what an earlier laboratory left in the folder
        #[arg(long)]
        overwrite: bool,
    },
    /// Linear autoencoders: why they are principal component analysis, and when exactly
    ///
    /// Answers eight questions by measurement: 1 the conditions of optimality and the saddles, 2 random starts, 3 what it
    /// takes of layers, loss and weight decay, 4 small penalties, 5 the spectrum read off a decoder, 6 finding the axes,
    /// 7 linear probes, 8 certificates and planted errors. On the synthetic data and on MNIST where it is found, else on
    /// the bundled digits, with codes of 20; in double precision. Exits with 1 if a claim fails.
    #[command(after_help = "\
Examples:
  attar lab linear
  attar lab linear --only 1,4 --data digits --out runs/saddles")]
    Linear {
        /// One data set alone
        #[arg(long, value_enum)]
        data: Option<LinearData>,
        /// Some of the questions alone, by number
        #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=8))]
        only: Vec<u8>,
        /// Replace what an earlier laboratory left in the folder
        #[arg(long)]
        overwrite: bool,
    },
    /// Attention: scales, argmax, finite outputs, the quadratic kernel, and what they cost
    ///
    /// Answers five questions by measurement: 1 mean and variance of scores and what a scale does, 2 argmax and what it
    /// learns, 3 which similarities stay finite, 4 the quadratic kernel and its features, 5 time and memory by length. The
    /// fifth measures for as long as `--budget` lets it; its claims are of this machine. Exits with 1 if a claim fails.
    #[command(after_help = "\
Examples:
  attar lab attention
  attar lab attention --only 1,4 --out runs/kernels
  attar lab attention --only 5 --budget 10")]
    Attention(AttentionArgs),
    /// Answer the course's questions on debugging deep networks
    ///
    /// Why a deep plain net is worse than a shallow one, when a batch may be cut into micro-batches, and what a loop does
    /// that calls zero_grad once before it; each with its reasoning and claims. Prints the answers, writes results.json
    /// and report.html to runs/lab-debugging, and exits with 1 if a claim fails.
    #[command(after_help = "\
Examples:
  attar lab debugging
  attar lab debugging --only accumulation,zero-grad
  attar lab debugging --data cifar10 --data-dir data --budget 60 --out runs/cifar10-debugging")]
    Debugging(DebuggingArgs),
}

/// What `lab debugging` takes.
#[derive(Args, Debug)]
pub(crate) struct DebuggingArgs {
    /// Some of the questions alone
    #[arg(long, value_enum, value_name = "QUESTION,...", value_delimiter = ',')]
    pub(crate) only: Vec<DebuggingQuestion>,
    /// Images with classes: digits, mnist, cifar10 (its Parquet file in --data-dir), or a path
    #[arg(long, default_value = "digits")]
    pub(crate) data: String,
    /// Time for the nets of two depths and their twins; scales their epochs and images by a time that is measured
    /// [default: four epochs of 1500 images, of 5000 in colour]
    #[arg(long, value_name = "MINUTES", allow_negative_numbers = true)]
    pub(crate) budget: Option<f64>,
    /// Replace what an earlier laboratory left in the folder
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// A question of `lab debugging`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DebuggingQuestion {
    /// Why a deep plain net is worse than a shallow one
    Depth,
    /// When a batch may be cut into micro-batches
    Accumulation,
    /// What a loop does that empties its gradients once
    ZeroGrad,
}

/// What `lab attention` takes.
#[derive(Args, Debug)]
pub(crate) struct AttentionArgs {
    /// Some of the questions alone, by number
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) only: Vec<u8>,
    /// Time for question 5; with more of it the sequences get longer, up to 65,536
    #[arg(long, value_name = "MINUTES", default_value_t = 1.5, allow_negative_numbers = true)]
    pub(crate) budget: f64,
    /// Replace what an earlier laboratory left in the folder
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Measure one method at one length and print it, for question 5, which starts a process for each
    #[arg(long, value_enum, hide = true, requires = "length")]
    pub(crate) measure: Option<Method>,
    /// The length to measure
    #[arg(long, hide = true, value_parser = at_least_one)]
    pub(crate) length: Option<usize>,
}

/// A data set of `lab linear`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinearData {
    /// 100 dimensions, 20 of variance 10
    Synthetic,
    /// The bundled digits
    Digits,
    /// All of MNIST
    Mnist,
}

/// One experiment of `lab autoencoders`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// The sweep over latent sizes on synthetic data
    Synthetic,
    /// Few labels on handwritten digits
    Mnist,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "expected a number of at least 1".to_owned())
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("expected key=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The command and all below it, with their full names.
    fn tree(command: &clap::Command, path: &str) -> Vec<(String, clap::Command)> {
        let below = command.get_subcommands().filter(|command| command.get_name() != "help");
        let below = below.flat_map(|command| tree(command, &format!("{path} {}", command.get_name())));
        std::iter::once((path.to_owned(), command.clone())).chain(below).collect()
    }

    fn built() -> clap::Command {
        let mut attar = Cli::command();
        attar.build();
        attar
    }

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_has_two_examples_that_parse() {
        for (path, command) in tree(&built(), "attar") {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  attar ")).map(str::trim).collect();
            assert!(examples.len() >= 2, "{path}: {examples:?}");
            for example in examples {
                // A redirection, a pipe or an explanation ends the command itself.
                let command = example.split(['>', '|', '#']).next().unwrap_or_default();
                assert!(example.starts_with(&path), "{path}: {example}");
                assert!(Cli::try_parse_from(command.split_whitespace()).is_ok(), "{example}");
            }
        }
    }

    #[test]
    fn every_command_and_every_flag_is_explained() {
        for (path, command) in tree(&built(), "attar") {
            assert!(command.get_about().is_some(), "{path}");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path}: {}", argument.get_id());
            }
        }
    }

    #[test]
    fn the_common_flags_stand_everywhere() {
        for (path, command) in tree(&built(), "attar") {
            for flag in ["out", "seed", "threads", "json", "data-dir", "note"] {
                assert!(command.get_arguments().any(|argument| argument.get_long() == Some(flag)), "{path}: {flag}");
            }
        }
    }

    #[test]
    fn what_is_typed_becomes_settings() {
        let line = "attar train digits --latent 5,20 --hidden none --header --note author=A=B --note hours=4 --seed 3";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Train(train) = &cli.command else { panic!("{cli:?}") };
        let typed = train.typed(&cli.common);
        assert_eq!((typed.latents(), typed.hidden.as_deref()), (&[5, 20][..], Some(&[][..])));
        assert_eq!((typed.source.as_deref(), typed.header, typed.seed), (Some("digits"), Some(true), Some(3)));
        let note = typed.note.unwrap();
        assert_eq!((note["author"].as_str(), note["hours"].as_str()), ("A=B", "4"));
        assert_eq!((typed.json, typed.epochs), (None, None));
    }

    #[test]
    fn wrong_values_are_refused() {
        let check = |line: &str| assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        check("attar train digits --threads 0");
        check("attar train digits --note author");
        check("attar train digits --latent 5,x");
        check("attar train digits --activation step");
        check("attar train digits --label-budget 0");
        check("attar train digits --resume --overwrite");
        check("attar lab autoencoders --only digits");
        check("attar lab linear --only 9");
        check("attar lab attention --only 6");
    }
}
