//! `attar probe`.

use std::path::Path;

use crate::cli::Common;
use crate::error::CliError;

pub(crate) fn run(_run: &Path, _data: Option<&str>, _: &Common) -> Result<(), CliError> {
    Err(CliError::run("`probe` is not there yet"))
}
