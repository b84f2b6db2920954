//! `attar pca`: principal components of data, its codes, and a report.

mod page;

use std::path::Path;
use std::time::Instant;

use attar_data::{Prepared, Preprocessing, ReadOptions, open};
use attar_learn::pca;
use attar_linear::{Components, FittedPca, Pca, Solver};
use clap::ValueEnum;
use serde_json::json;

use super::embed::{out_file, write};
use crate::cli::{Common, PcaArgs, read_options};
use crate::error::CliError;
use crate::output::print_json;

/// How the components are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SolverName {
    /// By the covariance of rows that stream past, or by what suits data of few rows
    Auto,
    /// Eigenvectors of the covariance matrix
    Covariance,
    /// Eigenvectors of the products between rows, for fewer rows than features
    Gram,
    /// Singular values of the rows: slower, and right where variances differ by more than 1e12
    Svd,
    /// A random subspace and power iterations; needs a number of components
    Randomised,
}

/// What was fitted, and how long it took.
struct Fitted<'a> {
    data: &'a Prepared,
    rows: &'a [usize],
    pca: &'a FittedPca,
    seconds: f64,
}

/// Reads `text` as a number of components, a share of the variance, or `mle`.
pub(crate) fn components(text: &str) -> Result<Components, String> {
    match (text, text.parse::<usize>(), text.parse::<f64>()) {
        ("mle", ..) => Ok(Components::Mle),
        (_, Ok(number), _) if number > 0 => Ok(Components::Number(number)),
        (_, Err(_), Ok(share)) if share > 0.0 && share < 1.0 => Ok(Components::Share(share)),
        _ => Err("expected a number of at least 1, a share between 0 and 1, or mle".to_owned()),
    }
}

/// Writes one row of codes for each row of data, and a report beside them.
pub(crate) fn run(args: &PcaArgs, common: &Common) -> Result<(), CliError> {
    let out = out_file(common, &args.source)?;
    let options = ReadOptions { categorical: args.categorical, ..read_options(&args.reading, common) };
    let dataset = open(&args.source, &options)?;
    let rows: Vec<usize> = (0..dataset.samples()).collect();
    let preprocessing = Preprocessing::fit(&dataset, &rows, args.scaling)?;
    let data = Prepared { dataset, preprocessing };
    let started = Instant::now();
    let pca = pca::fit(&configured(args, common), &data, &rows)?;
    let fitted = Fitted { data: &data, rows: &rows, pca: &pca, seconds: started.elapsed().as_secs_f64() };
    let codes = if args.whiten { pca::whitened(&pca, &data, &rows)? } else { pca::codes(&pca, &data, &rows)? };
    let names: Vec<String> = (0..pca.components.nrows()).map(|code| format!("code_{code}")).collect();
    let report = out.with_extension("html");
    let page = page::page(&fitted, &codes, args, common)?;
    write(out, &data, &names, &codes)?;
    attar_report::write(&page, &report)?;
    summarise(&fitted, out, &report, common)
}

fn configured(args: &PcaArgs, common: &Common) -> Pca {
    let solver = match args.solver {
        SolverName::Auto => Solver::Auto,
        SolverName::Covariance => Solver::Covariance,
        SolverName::Gram => Solver::Gram,
        SolverName::Svd => Solver::Svd,
        SolverName::Randomised => {
            Solver::Randomised { oversampling: 10, iterations: 7, seed: common.seed.unwrap_or(0) }
        }
    };
    Pca { components: args.components, solver }
}

fn summarise(fitted: &Fitted, out: &Path, report: &Path, common: &Common) -> Result<(), CliError> {
    let Fitted { data, rows, pca, seconds } = *fitted;
    eprintln!("{}", fitted.sentence());
    eprintln!("{} codes of {} numbers: {}", rows.len(), pca.components.nrows(), out.display());
    eprintln!("Report: {}", report.display());
    if !common.json {
        return Ok(());
    }
    print_json(&json!({
        "file": out,
        "report": report,
        "rows": rows.len(),
        "features": data.dataset.features(),
        "components": pca.components.nrows(),
        "solver": solver_name(pca.solver),
        "explained_variance": pca.explained_variance,
        "explained_variance_ratio": pca.explained_variance_ratio,
        "noise_variance": pca.noise_variance,
        "error_left_out": pca.error_estimate.as_ref().map(|estimate| estimate.left_out),
        "seconds": seconds,
    }))
}

impl Fitted<'_> {
    /// What the components come to.
    fn sentence(&self) -> String {
        let kept = 100.0 * self.pca.explained_variance_ratio.iter().sum::<f64>();
        let (components, features) = (self.pca.components.nrows(), self.data.dataset.features());
        format!("{components} of {features} components keep {kept:.1} % of the variance")
    }
}

/// The name of a solver in results.
fn solver_name(solver: Solver) -> &'static str {
    match solver {
        Solver::Auto => "auto",
        Solver::Covariance => "covariance",
        Solver::SingleCovariance => "covariance, single precision within blocks",
        Solver::Gram => "gram",
        Solver::Svd => "svd",
        Solver::Randomised { .. } => "randomised",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_a_number_a_share_or_mle() {
        assert_eq!(components("32"), Ok(Components::Number(32)));
        assert_eq!(components("0.95"), Ok(Components::Share(0.95)));
        assert_eq!(components("mle"), Ok(Components::Mle));
        for wrong in ["0", "1.0", "-3", "1.5", "NaN", "all", ""] {
            assert!(components(wrong).is_err(), "{wrong}");
        }
    }
}
