//! What `doctor` takes.

use std::path::PathBuf;

use attar_learn::certificate::ranks::Mistake;
use attar_learn::mutant::Planted;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};

use super::{Reading, at_least_one};

/// A run to examine, a rule to explain, or a certificate.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Folder of a run, or a record; one that is called like a command goes as ./accumulation
    pub(crate) run: Option<PathBuf>,
    /// Print what a rule is about, with its threshold, source and remedy
    #[arg(long, value_name = "RULE", conflicts_with = "run")]
    pub(crate) explain: Option<String>,
    /// Train a run of `attar train` again, into this folder, with the learning rate that the findings ask for
    #[arg(long, value_name = "FOLDER", requires = "run")]
    pub(crate) rerun: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) certificate: Option<CertificateCommand>,
}

/// What is certified.
#[derive(Subcommand, Debug)]
pub(crate) enum CertificateCommand {
    /// Certify that a batch cut into micro-batches trains as the whole batch does
    ///
    /// Cuts a batch of 32 into k micro-batches of b samples, and into 12, 12 and 8; runs a training loop's window on each;
    /// and compares outputs, loss, every gradient, the update of a plain step and running statistics with the gradient of
    /// the mean loss in one pass. Names the mistakes that fit, the stage that lets the samples of a batch see each other,
    /// and what remedies it. Then again with layer norm in place of batch norm, or, where there is none, without the planted
    /// mistake. Exits with 1 if a mistake is named.
    #[command(after_help = "\
Examples:
  attar doctor accumulation --model resnet --norm batch --dtype f64
  attar doctor accumulation --model attention --fault clip-inside --json")]
    Accumulation(AccumulationArgs),
    /// Certify that data-parallel ranks train as one does with the whole batch
    ///
    /// As for accumulation, with simulated ranks that have a shard each, and with steps after which the ranks' parameters
    /// must be equal.
    #[command(after_help = "\
Examples:
  attar doctor ranks --model convnet --norm batch
  attar doctor ranks --fault own-gradient")]
    Ranks(RanksArgs),
    /// Measure how often the doctor is right: runs with a mistake each, and sound ones
    ///
    /// Trains small classifiers of the bundled digits (perceptrons, convolutional nets, attention), each with one mistake
    /// planted or with unusual but sound settings, and examines their records. Prints how often each mistake is named and
    /// how many sound runs are accused, apart for the seeds 0 and 1, by which thresholds were fixed, and for the others.
    /// All of it takes some minutes.
    #[command(after_help = "\
Examples:
  attar doctor mutants
  attar doctor mutants --only no-zero-grad,usual
  attar doctor mutants --only large-rate --seeds 1 --json    # each finding, and the run without the mistake")]
    Mutants(MutantsArgs),
    /// Say whether depth hurts training: plain nets of two depths, and the deep one's residual twin
    ///
    /// Trains the nets of He et al. 2015 from several seeds, smaller and shorter, and compares errors on the training
    /// images themselves, so that no overfitting counts; again with four times the steps, so that a slow start does not
    /// count; then the residual twin of the same parameters. Beside it: how signals and gradients change from layer to
    /// layer. --out writes a report. Exits with 1 if the deep plain net is worse at both lengths with the 95 % interval
    /// above zero; where the seeds leave it undecided it says so and exits with 0.
    #[command(after_help = "\
Examples:
  attar doctor depth -o depth.html
  attar doctor depth --data cifar10 --data-dir data --depths 20,56 --seeds 3 --budget 60")]
    Depth(DepthArgs),
}

/// The network that a certificate is of.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct NetArgs {
    /// What is trained: a small classifier of images 6 x 6
    #[arg(long, value_enum, default_value_t = ModelName::Mlp)]
    pub(crate) model: ModelName,
    /// How it is normalised
    #[arg(long, value_enum, default_value_t = NormName::Layer)]
    pub(crate) norm: NormName,
    /// What it computes in; the tolerance is 1e-12 in f64 and 1e-5 in f32
    #[arg(long, value_enum, default_value_t = DtypeName::F32)]
    pub(crate) dtype: DtypeName,
}

/// What `doctor accumulation` takes.
#[derive(Args, Debug)]
pub(crate) struct AccumulationArgs {
    #[command(flatten)]
    pub(crate) net: NetArgs,
    /// A mistake to plant in the loop, to see it named
    #[arg(long, value_parser = planted())]
    pub(crate) fault: Option<Planted>,
}

/// What `doctor ranks` takes.
#[derive(Args, Debug)]
pub(crate) struct RanksArgs {
    #[command(flatten)]
    pub(crate) net: NetArgs,
    /// A mistake to plant in the ranks, to see it named
    #[arg(long, value_parser = mistake())]
    pub(crate) fault: Option<Mistake>,
}

/// What `doctor mutants` takes.
#[derive(Args, Debug)]
pub(crate) struct MutantsArgs {
    /// Seeds of each run, from 0 on
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Mistakes and sound settings by name [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
}

/// What `doctor depth` takes.
#[derive(Args, Debug)]
pub(crate) struct DepthArgs {
    /// Images with classes: digits, mnist, cifar10 (its Parquet file in --data-dir), or a path
    #[arg(long, default_value = "digits")]
    pub(crate) data: String,
    /// Layers of the shallow net and of the deep one, each 6n + 2
    #[arg(long, value_name = "SHALLOW,DEEP", value_delimiter = ',', default_values_t = [20, 56])]
    pub(crate) depths: Vec<usize>,
    /// How many seeds, from --seed on; a single one gives no interval
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// Time for all trainings; scales epochs, and below four epochs images, by a time that is measured
    #[arg(long, value_name = "MINUTES", allow_negative_numbers = true)]
    pub(crate) budget: Option<f64>,
    /// Channels of the first layers; 16 in the paper [default: 4]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) width: Option<usize>,
    /// Height to which images are made smaller [default: half of it, at most 16]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub(crate) size: Option<usize>,
    /// Training images [default: 1500, of images in colour 5000]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) samples: Option<usize>,
    /// Passes over the images, and four times as many at the second length [default: 4]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) epochs: Option<usize>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// How the network is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelName {
    /// Two hidden layers
    Mlp,
    /// Two convolutions
    #[value(name = "convnet")]
    ConvNet,
    /// Eight layers with shortcuts (He et al. 2015)
    #[value(name = "resnet")]
    ResNet,
    /// A transformer block on patches
    Attention,
}

/// What follows its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NormName {
    /// Over the batch (Ioffe & Szegedy 2015)
    Batch,
    /// Over each sample or token (Ba et al. 2016)
    Layer,
    /// Over groups of channels of each (Wu & He 2018)
    Group,
    /// Nothing
    None,
}

/// What it computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DtypeName {
    /// Single precision
    F32,
    /// Double precision
    F64,
}

/// The mistakes that the certificate of accumulation names.
fn planted() -> impl TypedValueParser<Value = Planted> {
    named(Planted::ALL.into_iter().filter(|planted| planted.fault().is_some()).collect(), Planted::name)
}

fn mistake() -> impl TypedValueParser<Value = Mistake> {
    named(Mistake::ALL.to_vec(), Mistake::name)
}

fn named<T: Copy + Send + Sync + 'static>(
    all: Vec<T>,
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let names: Vec<&'static str> = all.iter().map(|one| name(*one)).collect();
    let read = move |word: String| all.iter().copied().find(|one| name(*one) == word).ok_or("no such mistake");
    PossibleValuesParser::new(names).try_map(read)
}
