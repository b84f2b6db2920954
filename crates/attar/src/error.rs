//! Why a command could not do its work, what helps, and the exit status that says so.

use std::fmt;
use std::io::ErrorKind;
use std::process::ExitCode;

use crate::nearest::nearest;

/// An error as the user sees it.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: Kind,
    message: String,
    help: Option<String>,
}

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The input was wrong; nothing was changed on disk.
    Input,
    /// The run failed.
    Run,
    /// Whoever read the output has seen enough of it.
    Closed,
}

impl CliError {
    /// Wrong input: exit status 2.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { kind: Kind::Input, message: message.into(), help: None }
    }

    /// A failed run: exit status 1.
    pub(crate) fn run(message: impl Into<String>) -> Self {
        Self { kind: Kind::Run, message: message.into(), help: None }
    }

    /// A failure to write the standard output, where a reader that went away is no failure.
    pub(crate) fn output(error: std::io::Error) -> Self {
        let closed = error.kind() == ErrorKind::BrokenPipe;
        Self { kind: if closed { Kind::Closed } else { Kind::Run }, ..Self::run(format!("the output: {error}")) }
    }

    /// Adds what would help.
    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Tells the user, on the standard error, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        if self.kind != Kind::Closed {
            eprintln!("{self}");
        }
        ExitCode::from(self.status())
    }

    fn status(&self) -> u8 {
        match self.kind {
            Kind::Closed => 0,
            Kind::Run => 1,
            Kind::Input => 2,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message.trim_end())?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "\n help: {help}"))
    }
}

impl std::error::Error for CliError {}

impl From<attar_data::Error> for CliError {
    fn from(error: attar_data::Error) -> Self {
        let kind = if is_input(&error) { Kind::Input } else { Kind::Run };
        Self { kind, message: error.to_string(), help: data_help(&error) }
    }
}

/// Whether another input would have helped, rather than another network or disk.
fn is_input(error: &attar_data::Error) -> bool {
    use attar_data::Error::{Download, Io, NoMnist};
    match error {
        Io { source, .. } => is_wrong_path(source),
        Download { .. } | NoMnist { .. } => false,
        _ => true,
    }
}

/// Whether a path was at fault that the user named.
fn is_wrong_path(error: &std::io::Error) -> bool {
    use ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | PermissionDenied | NotADirectory | IsADirectory | AlreadyExists)
}

fn data_help(error: &attar_data::Error) -> Option<String> {
    use attar_data::Error::{
        BudgetTooLarge, ColumnCount, EmptyPart, FewerRowsThanClasses, Fractions, Io, MissingColumns, NoMnist, OneClass,
        OtherLayout,
    };
    Some(match error {
        Io { path, source } if source.kind() == ErrorKind::NotFound => {
            let names = attar_data::catalogue(None).into_iter().map(|entry| entry.name);
            match nearest(&path.to_string_lossy(), names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "`attar data list` names the known data sets; anything else is a path".into(),
            }
        }
        NoMnist { .. } => "`digits` holds 6,000 of the same images and needs no network".into(),
        BudgetTooLarge { .. } => "`--label-budget 10,50,all` says how many labels the probes may see".into(),
        OneClass { .. } | FewerRowsThanClasses { .. } => {
            "without labels (no `--label-column`) the code is judged by label-free scores".into()
        }
        Fractions { .. } | EmptyPart { .. } => {
            "`--train-fraction`, `--validation-fraction` and `--test-fraction` set the shares".into()
        }
        MissingColumns { .. } | ColumnCount { .. } | OtherLayout { .. } => {
            "the run's `preparation.json` lists the columns that the model was trained on".into()
        }
        _ => return None,
    })
}

impl From<attar_learn::Error> for CliError {
    fn from(error: attar_learn::Error) -> Self {
        if let attar_learn::Error::Data(error) = error {
            return error.into();
        }
        let wrong_path = matches!(&error, attar_learn::Error::Io { source, .. } if is_wrong_path(source));
        let kind = if error.is_input() || wrong_path { Kind::Input } else { Kind::Run };
        Self { kind, message: error.to_string(), help: learn_help(&error).map(Into::into) }
    }
}

fn learn_help(error: &attar_learn::Error) -> Option<&'static str> {
    use attar_learn::Error::{NonFinite, OneOfSweep, OtherRun, RunExists};
    match error {
        OneOfSweep { source, .. } => learn_help(source),
        RunExists { .. } => {
            Some("`--overwrite` replaces the run, `--resume` goes on with it, `--out PATH` writes another one")
        }
        OtherRun { .. } => Some("`--overwrite` replaces the run, `--out PATH` writes another one"),
        NonFinite { .. } => Some(
            "the likeliest cause is too large a step: try a tenth of `--learning-rate`, `--clip-norm 1` or \
             `--warmup-epochs 1`; the next is a feature of huge values: `--scaling standardise`; checkpoints \
             taken before are kept",
        ),
        _ => None,
    }
}

/// Results that cannot be written as JSON.
impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        Self::run(error.to_string())
    }
}

impl From<attar_linear::Error> for CliError {
    fn from(error: attar_linear::Error) -> Self {
        attar_learn::Error::from(error).into()
    }
}

impl From<attar_attention::Error> for CliError {
    fn from(error: attar_attention::Error) -> Self {
        let message = error.to_string();
        match error {
            attar_attention::Error::Signed => Self::input("a similarity of both signs has denominators that cancel")
                .with_help("`--allow-signed` has it all the same; an even `--degree` is never negative"),
            attar_attention::Error::NoFeatures(_) => {
                Self::input(message).with_help("`--form tiled` and `--form naive` take every similarity")
            }
            _ => Self::input(message),
        }
    }
}

impl From<attar_doctor::Error> for CliError {
    fn from(error: attar_doctor::Error) -> Self {
        attar_learn::Error::from(error).into()
    }
}

impl From<attar_report::Error> for CliError {
    fn from(error: attar_report::Error) -> Self {
        Self::run(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;

    #[test]
    fn each_kind_has_its_exit_status() {
        let config = attar_learn::Error::Config { key: "latent", expected: "at least 1".into(), got: "0".into() };
        let gone = attar_data::Error::Io { path: "digit".into(), source: Error::from(ErrorKind::NotFound) };
        let full = attar_data::Error::Io { path: "codes.npy".into(), source: Error::from(ErrorKind::StorageFull) };
        let file = attar_learn::Error::Io { path: "runs".into(), source: Error::from(ErrorKind::NotADirectory) };
        let blown = attar_learn::Error::NonFinite { loss: f64::NAN, step: 3, epoch: 1, last_finite: 2.0 };
        let check = |error: CliError, status, help: &str| {
            assert_eq!(error.status(), status, "{error}");
            assert!(error.to_string().contains(help), "{error}");
        };
        check(config.into(), 2, "`latent` must be at least 1, got 0");
        check(gone.into(), 2, "did you mean `digits`?");
        check(full.into(), 1, "codes.npy");
        check(file.into(), 2, "runs");
        check(blown.into(), 1, "--clip-norm");
        check(CliError::output(Error::from(ErrorKind::BrokenPipe)), 0, "");
        check(CliError::output(Error::from(ErrorKind::StorageFull)), 1, "the output");
    }
}
