//! `attar embed`: the codes of data, old or new.

use std::path::Path;

use attar_data::{NpyFile, OutTable, Prepared, write_table};
use attar_learn::evaluate;
use serde_json::json;

use crate::cli::{Common, EmbedArgs};
use crate::error::CliError;
use crate::output::print_json;
use crate::trained::Trained;

/// Writes one row of codes for each row of data.
pub(crate) fn run(args: &EmbedArgs, common: &Common) -> Result<(), CliError> {
    let out = out_file(common, &args.data)?;
    let (trained, data, unpacking) = Trained::open_with(&args.run, &args.data, &args.reading, common)?;
    let rows: Vec<usize> = (0..data.dataset.samples()).collect();
    let size = trained.model.latent();
    if out.extension().is_some_and(|ending| ending == "npy") {
        let file = NpyFile::new(out, rows.len(), size)?;
        evaluate::each_codes(&trained.model, &data, &rows, &trained.device, |first, codes| {
            // Nobody reads these rows again.
            data.dataset.values.forget(&rows[first..first + codes.len() / size]);
            file.write(first, codes)
        })?;
        unpacking.finish()?;
        file.finish()?;
    } else {
        let codes = evaluate::codes(&trained.model, &data, &rows, &trained.device);
        unpacking.finish()?;
        let names: Vec<String> = (0..size).map(|code| format!("code_{code}")).collect();
        write(out, &data, &names, &codes)?;
    }
    eprintln!("{} codes of {size} numbers: {}", rows.len(), out.display());
    match common.json {
        true => print_json(&json!({ "file": out, "rows": rows.len(), "size": size })),
        false => Ok(()),
    }
}

/// Where `--out` says the table goes, if it can be written there and not over the data that it comes from.
pub(super) fn out_file<'a>(common: &'a Common, data: &str) -> Result<&'a Path, CliError> {
    let Some(out) = common.out.as_deref() else {
        return Err(CliError::input("no file to write to").with_help("name it with `-o codes.parquet`, .csv or .npy"));
    };
    let ending = out.extension().and_then(|ending| ending.to_str());
    if !matches!(ending, Some("parquet" | "npy" | "csv")) {
        return Err(CliError::input(format!("{}: the ending must be .parquet, .npy or .csv", out.display())));
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(CliError::input(format!("{}: there is no folder {}", out.display(), folder.display())));
    }
    match (out.canonicalize(), Path::new(data).canonicalize()) {
        (Ok(out), Ok(data)) if out == data => {
            Err(CliError::input(format!("{}: the data itself would be written over", out.display())))
        }
        _ => Ok(out),
    }
}

/// Writes numbers beside the ids and labels of the data they belong to.
pub(super) fn write(out: &Path, data: &Prepared, names: &[String], values: &[f32]) -> Result<(), CliError> {
    let (ids, labels) = (data.dataset.ids.as_deref(), data.dataset.labels.as_ref());
    Ok(write_table(out, &OutTable { ids, labels, names, values })?)
}
