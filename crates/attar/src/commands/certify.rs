//! `attar certify`: whether a trained linear autoencoder is the optimum that theory gives.

use attar_data::{Prepared, Preprocessing, Scaling, open};
use attar_learn::config::{Optimizer, Training};
use attar_learn::linear_model::{self, LayerNames, LinearModel};
use attar_learn::{config, pca};
use attar_linear::linear_autoencoder::{
    Certificate, Check, Factor, LinearAutoencoder, Normalisation, Objective, Tolerances,
};
use clap::ValueEnum;
use faer::Mat;
use serde_json::{Value, json};

use crate::cli::{CertifyArgs, Common, read_options};
use crate::error::CliError;
use crate::loaded::Loaded;
use crate::output::{print_columns, print_json};
use crate::trained::Trained;

/// What was minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ObjectiveName {
    /// The squared error alone (Baldi & Hornik 1989)
    Plain,
    /// With lambda times the squared weights of both layers (Kunin et al. 2019)
    L2,
    /// With lambda times the squared entries of the map
    Product,
    /// With a lambda of its own for each code (Bao et al. 2020)
    NonUniformL2,
    /// The expectation of nested dropout (Bao et al. 2020)
    NestedDropout,
}

/// What the squared error is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NormalisationName {
    /// Nothing
    Sum,
    /// The number of samples
    PerSample,
    /// Samples times features, as PyTorch's MSELoss
    PerEntry,
}

/// What is certified against what.
struct Subject {
    model: LinearModel,
    factor: Factor,
    config: LinearAutoencoder,
}

/// Prints every check; an error when one does not hold.
pub(crate) fn run(args: &CertifyArgs, common: &Common) -> Result<(), CliError> {
    let subject = if args.subject.is_dir() { of_run(args, common)? } else { of_file(args, common)? };
    let Subject { model, factor, config } = &subject;
    let tolerances = tolerances(args, model.single)?;
    let certificate = config.certify(factor, &model.weights, model.constant.as_deref(), &tolerances)?;
    match common.json {
        true => print_json(&results(&subject, &certificate))?,
        false => print_table(&subject, &certificate)?,
    }
    let failing = certificate.failing();
    if failing.is_empty() {
        return Ok(());
    }
    let error = CliError::run(format!("{} of the checks failed: {}", failing.len(), failing.join(", ")));
    Err(match config.objective {
        Objective::L2 { .. } if failing.contains(&"constant term") => error.with_help(PENALISED_BIASES),
        _ => error,
    })
}

/// Why the constant term of a run with weight decay may not be the best.
const PENALISED_BIASES: &str = "weight decay on the biases too keeps the constant term from its best value, unless the \
                                data has mean 0, as with `--scaling standardise`";

/// A run of ours: its objective and its training rows, unless flags say otherwise.
fn of_run(args: &CertifyArgs, common: &Common) -> Result<Subject, CliError> {
    let trained = Trained::open(&args.subject)?;
    let model = linear_model::read(&trained.folder.model(), names(args)?)?;
    let codes = model.weights.encoder.nrows();
    let settings = trained.settings_with(common);
    let (data, rows) = match &args.data {
        Some(data) => {
            let data = trained.read(data, &args.reading, common)?;
            let rows = (0..data.dataset.samples()).collect();
            (data, rows)
        }
        None => {
            let Loaded { data, split, .. } = Loaded::open(&settings)?;
            (data, split.train)
        }
    };
    let config = match args.objective {
        Some(objective) => by_flags(args, objective, codes)?,
        None => {
            refuse_idle_flags(args)?;
            let [objective] = settings.objectives() else { return Err(CliError::input("a sweep is no single run")) };
            by_training(&settings.training(*objective, codes, 0, rows.len())?, codes)?
        }
    };
    Ok(Subject { model, factor: factor(&data, &rows)?, config })
}

/// A safetensors file from anywhere, on data as it is read: images in [0, 1], tables unscaled.
fn of_file(args: &CertifyArgs, common: &Common) -> Result<Subject, CliError> {
    let (Some(source), Some(objective)) = (&args.data, args.objective) else {
        let message =
            format!("{}: a file does not say on which data it was trained, nor for what", args.subject.display());
        return Err(CliError::input(message).with_help("`--data` and `--objective` say it; a run's folder knows both"));
    };
    let model = linear_model::read(&args.subject, names(args)?)?;
    let dataset = open(source, &read_options(&args.reading, common))?;
    let rows: Vec<usize> = (0..dataset.samples()).collect();
    let preprocessing = Preprocessing::fit(&dataset, &rows, args.scaling.or(Some(Scaling::None)))?;
    let data = Prepared { dataset, preprocessing };
    let config = by_flags(args, objective, model.weights.encoder.nrows())?;
    Ok(Subject { model, factor: factor(&data, &rows)?, config })
}

fn names(args: &CertifyArgs) -> Result<Option<LayerNames<'_>>, CliError> {
    match (&args.encoder, &args.decoder) {
        (None, None) => Ok(None),
        (Some(encoder), Some(decoder)) => Ok(Some(LayerNames { encoder, decoder })),
        _ => Err(CliError::input("`--encoder` and `--decoder` go together")),
    }
}

/// The objective that the flags name.
fn by_flags(args: &CertifyArgs, objective: ObjectiveName, codes: usize) -> Result<LinearAutoencoder, CliError> {
    let one = || match args.lambda[..] {
        [lambda] => Ok(lambda),
        _ => Err(CliError::input(format!("expected one `--lambda`, got {}", args.lambda.len()))),
    };
    let objective = match objective {
        ObjectiveName::L2 => Objective::L2 { lambda: one()? },
        ObjectiveName::Product => Objective::Product { lambda: one()? },
        ObjectiveName::NonUniformL2 => Objective::NonUniformL2 { lambdas: args.lambda.clone() },
        ObjectiveName::Plain | ObjectiveName::NestedDropout if !args.lambda.is_empty() => {
            return Err(CliError::input("`--lambda` has no use with this objective"));
        }
        ObjectiveName::Plain => Objective::Plain,
        ObjectiveName::NestedDropout => Objective::geometric_dropout(codes, args.rho.unwrap_or(0.9)),
    };
    let normalisation = match args.normalisation {
        Some(NormalisationName::Sum) => Normalisation::Sum,
        Some(NormalisationName::PerSample) | None => Normalisation::PerSample,
        Some(NormalisationName::PerEntry) => Normalisation::PerEntry,
    };
    Ok(LinearAutoencoder { codes, objective, normalisation })
}

fn refuse_idle_flags(args: &CertifyArgs) -> Result<(), CliError> {
    let idle = !args.lambda.is_empty() || args.normalisation.is_some() || args.rho.is_some();
    match idle {
        true => Err(CliError::input("`--lambda`, `--normalisation` and `--rho` need `--objective`")),
        false => Ok(()),
    }
}

/// The objective of a training: our loss is summed over features and averaged over samples, and an optimizer that adds
/// `w` times a weight to its gradient minimises `w/2` times the squared weights besides.
fn by_training(training: &Training, codes: usize) -> Result<LinearAutoencoder, CliError> {
    let refuse = |why: &str| Err(CliError::input(format!("this run has no closed form to be compared with: {why}")));
    if training.objective != config::Objective::Vanilla {
        return refuse("its input was corrupted");
    }
    let objective = match training.optimizer {
        Optimizer::AdamW { weight_decay } if weight_decay > 0.0 => {
            return refuse("AdamW's decoupled weight decay is no penalty on the loss");
        }
        Optimizer::Sgd { weight_decay, .. } | Optimizer::Adam { weight_decay } if weight_decay > 0.0 => {
            Objective::L2 { lambda: weight_decay / 2.0 }
        }
        _ => Objective::Plain,
    };
    Ok(LinearAutoencoder { codes, objective, normalisation: Normalisation::PerSample })
}

/// Numbers up to which the rows themselves are decomposed, and not their covariance.
const DECOMPOSED: usize = 1 << 21;

fn factor(data: &Prepared, rows: &[usize]) -> Result<Factor, CliError> {
    let features = data.dataset.features();
    if rows.len() * features > DECOMPOSED {
        return Ok(Factor::from_covariance(&pca::covariance_sum(data, rows)?)?);
    }
    let mut values = vec![0.0; rows.len() * features];
    data.read(rows, &mut values);
    let rows = Mat::from_fn(rows.len(), features, |row, column| f64::from(values[row * features + column]));
    Ok(Factor::of(rows.as_ref())?)
}

/// Those of the weights' type, or all in proportion to the one that was asked of the loss.
fn tolerances(args: &CertifyArgs, single: bool) -> Result<Tolerances, CliError> {
    let usual = if single { Tolerances::single() } else { Tolerances::double() };
    let Some(loss) = args.tolerance else { return Ok(usual) };
    if !(loss > 0.0 && loss.is_finite()) {
        return Err(CliError::input(format!("`--tolerance` must be a number above 0, got {loss}")));
    }
    let by = loss / usual.loss;
    Ok(Tolerances {
        residual: by * usual.residual,
        loss,
        subspace: by * usual.subspace,
        singular_values: by * usual.singular_values,
        // A square of what the others are.
        transpose: by * by * usual.transpose,
        centre: by * usual.centre,
    })
}

fn print_table(subject: &Subject, certificate: &Certificate) -> Result<(), CliError> {
    let heads = ["check", "measured", "expected", "tolerance", "", "what it says"].map(str::to_owned).to_vec();
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.3e}"));
    let row = |check: &Check| {
        vec![
            check.name.to_owned(),
            number(Some(check.measured)),
            number(check.expected),
            number(check.tolerance),
            verdict(check).to_owned(),
            check.sentence.clone(),
        ]
    };
    let LinearAutoencoder { codes, objective, normalisation } = &subject.config;
    eprintln!(
        "{codes} codes of {} features on {} rows; {objective:?}, {normalisation:?}",
        subject.factor.features(),
        subject.factor.samples()
    );
    print_columns(&std::iter::once(heads).chain(certificate.checks.iter().map(row)).collect::<Vec<_>>())
}

fn verdict(check: &Check) -> &'static str {
    match (check.tolerance, check.holds) {
        (None, _) => "for information",
        (_, true) => "holds",
        (_, false) => "FAILS",
    }
}

fn results(subject: &Subject, certificate: &Certificate) -> Value {
    let check = |check: &Check| {
        json!({
            "check": check.name,
            "measured": check.measured,
            "expected": check.expected,
            "tolerance": check.tolerance,
            "holds": check.holds,
            "sentence": check.sentence,
        })
    };
    let LinearAutoencoder { codes, objective, normalisation } = &subject.config;
    json!({
        "codes": codes,
        "features": subject.factor.features(),
        "rows": subject.factor.samples(),
        "objective": format!("{objective:?}"),
        "normalisation": format!("{normalisation:?}"),
        "holds": certificate.holds(),
        "checks": certificate.checks.iter().map(check).collect::<Vec<_>>(),
    })
}
