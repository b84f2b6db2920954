//! `report`: judge a run again and write its page.

use std::path::Path;

use attar_learn::write_atomically;

use crate::cli::Common;
use crate::commands::train;
use crate::error::CliError;
use crate::loaded::Loaded;
use crate::summary::{finish, show};
use crate::trained::Trained;

/// Judges the run as its own configuration says, on its own data, and writes results and report anew; with `--out`,
/// the page goes there.
pub(crate) fn run(run: &Path, common: &Common) -> Result<(), CliError> {
    let trained = Trained::open(run)?;
    let settings = trained.settings_with(common);
    let loaded = Loaded::open(&settings)?;
    let fingerprint = loaded.data.dataset.fingerprint();
    train::refuse_other_data(&trained.folder, &fingerprint)?;
    let cells = loaded.cells()?;
    let [cell] = cells.as_slice() else {
        return Err(CliError::input(format!("{} is a sweep; name one of its runs", run.display())));
    };
    let results = finish(&loaded, &cell.training, &trained.model, &trained.folder, fingerprint, None)?;
    if let Some(out) = &common.out {
        // Not `std::fs::copy`, which would empty a page that is copied onto itself.
        let page = trained.folder.report();
        let html = std::fs::read(&page).map_err(|error| CliError::run(format!("{}: {error}", page.display())))?;
        write_atomically(out, &html)?;
    }
    show(&results, &trained.folder, common.json)
}
