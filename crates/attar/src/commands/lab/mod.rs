//! `attar lab`.

use crate::cli::{Common, Only};
use crate::error::CliError;

pub(crate) fn autoencoders(_: Option<Only>, _: &Common) -> Result<(), CliError> {
    Err(CliError::run("`lab` is not there yet"))
}
