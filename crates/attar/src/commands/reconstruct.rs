//! `attar reconstruct`: how well each row is reconstructed, and as what.

use attar_data::{Prepared, Preprocessing, Scaling};
use attar_learn::evaluate;
use serde_json::json;

use super::embed::{out_file, write};
use crate::cli::{Common, ReconstructArgs, Units};
use crate::error::CliError;
use crate::output::print_json;
use crate::trained::Trained;

/// How many of the worst rows are named.
const NAMED: usize = 5;

/// Writes the reconstruction error of each row and, if asked, its reconstruction.
pub(crate) fn run(args: &ReconstructArgs, common: &Common) -> Result<(), CliError> {
    let out = out_file(common, &args.data)?;
    let trained = Trained::open(&args.run)?;
    let data = trained.read(&args.data, &args.reading, common)?;
    let table = reconstruct(&trained, &data, args.rows);
    write(out, &data, &names(&data, args.rows), &table.values)?;
    summarise(&data, &table.errors, common, out)
}

struct Reconstructed {
    /// Squared error of each row, summed over features.
    errors: Vec<f64>,
    /// Row-major, one column for each of [`names`].
    values: Vec<f32>,
}

fn reconstruct(trained: &Trained, data: &Prepared, units: Option<Units>) -> Reconstructed {
    let features = data.dataset.features();
    let rows: Vec<usize> = (0..data.dataset.samples()).collect();
    let (mut errors, mut values) = (Vec::with_capacity(rows.len()), Vec::new());
    evaluate::reconstruct(&trained.model, data, &rows, &trained.device, |clean, output| {
        for (clean, output) in clean.chunks_exact(features).zip(output.chunks_exact(features)) {
            let error: f64 = clean.iter().zip(output).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            errors.push(error);
            values.extend([error as f32, (error / features as f64) as f32]);
            match units {
                None => {}
                Some(Units::Prepared) => values.extend(output),
                Some(Units::Original) => values.extend(original(output, &data.preprocessing)),
            }
        }
    });
    Reconstructed { errors, values }
}

/// A row in the units of the data: the scaling undone.
fn original<'a>(row: &'a [f32], preprocessing: &'a Preprocessing) -> impl Iterator<Item = f32> + 'a {
    let scales = preprocessing.mean.iter().zip(&preprocessing.deviation);
    row.iter().zip(scales).map(|(&value, (mean, deviation))| match preprocessing.scaling {
        Scaling::None => value,
        Scaling::Standardise => (f64::from(value) * deviation + mean) as f32,
    })
}

fn names(data: &Prepared, units: Option<Units>) -> Vec<String> {
    let columns = data.dataset.schema.columns.iter().filter(|_| units.is_some());
    let errors = ["error", "error_per_feature"].map(str::to_owned);
    errors.into_iter().chain(columns.map(|column| format!("reconstructed_{column}"))).collect()
}

fn summarise(data: &Prepared, errors: &[f64], common: &Common, out: &std::path::Path) -> Result<(), CliError> {
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let per_feature = mean / data.dataset.features() as f64;
    let mut worst: Vec<usize> = (0..errors.len()).collect();
    worst.sort_by(|&a, &b| errors[b].total_cmp(&errors[a]));
    worst.truncate(NAMED);
    let name = |row: usize| data.dataset.ids.as_ref().map_or_else(|| row.to_string(), |ids| ids[row].clone());
    let rows = errors.len();
    eprintln!("{rows} rows: {}", out.display());
    eprintln!("squared error: {mean:.4} summed over features, {per_feature:.6} per feature, on average over rows");
    let named: Vec<String> = worst.iter().map(|&row| format!("{} ({:.4})", name(row), errors[row])).collect();
    eprintln!("the odd ones: {}", named.join(", "));
    if !common.json {
        return Ok(());
    }
    let worst: Vec<_> = worst.iter().map(|&row| json!({ "row": row, "id": name(row), "error": errors[row] })).collect();
    print_json(&json!({ "file": out, "rows": rows, "error": mean, "error_per_feature": per_feature, "worst": worst }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoing_the_scaling_gives_the_data_back() {
        let mut preprocessing = Preprocessing {
            scaling: Scaling::Standardise,
            mean: vec![3.0, -100.0, 7.0],
            deviation: vec![0.5, 20.0, 1.0],
            constant: vec![2],
            imputed: Vec::new(),
        };
        let row = [4.0, -90.0, 7.0];
        for scaling in [Scaling::Standardise, Scaling::None] {
            preprocessing.scaling = scaling;
            let mut prepared = row;
            preprocessing.apply(&mut prepared);
            let back: Vec<f32> = original(&prepared, &preprocessing).collect();
            assert!(back.iter().zip(row).all(|(a, b)| (a - b).abs() < 1e-5), "{back:?}");
        }
    }
}
