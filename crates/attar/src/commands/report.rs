//! `attar report`.

use std::path::Path;

use crate::cli::Common;
use crate::error::CliError;

pub(crate) fn run(_run: &Path, _: &Common) -> Result<(), CliError> {
    Err(CliError::run("`report` is not there yet"))
}
