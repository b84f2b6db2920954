//! Principal components of prepared data, a block of rows in memory at a time.

use attar_data::Prepared;
use attar_linear::{CovarianceSum, FittedPca, Pca, Solver};
use faer::{Mat, MatRef};

use crate::Error;
use crate::judge::matrix;

/// Rows that are read at a time.
const BLOCK: usize = 4096;

/// Fits to the given rows: by their covariance as they stream past where they are more than the features and `pca` asks
/// for no other solver, else by the matrix of them all.
///
/// # Errors
/// As [`Pca::fit`].
pub fn fit(pca: &Pca, data: &Prepared, rows: &[usize]) -> Result<FittedPca, Error> {
    let features = data.dataset.features();
    match pca.solver {
        Solver::Auto | Solver::Covariance if rows.len() > features => {
            Ok(pca.fit_covariance(&covariance_sum(data, rows)?)?)
        }
        _ => Ok(pca.fit(matrix(&read(data, rows), features))?),
    }
}

/// The PCA that a code of `components` numbers is compared with, with its whole spectrum: of fewer components where the
/// rows or the features do not give so many, and of unit vectors where all rows are the same.
///
/// # Errors
/// As [`fit`].
pub fn baseline(data: &Prepared, rows: &[usize], components: usize) -> Result<FittedPca, Error> {
    let components = components.min(data.dataset.features()).min(rows.len().saturating_sub(1));
    let solver = if rows.len() > data.dataset.features() { Solver::Covariance } else { Solver::Gram };
    match fit(&Pca { solver, ..Pca::new(components) }, data, rows) {
        Err(Error::Linear(attar_linear::Error::NoVariance { .. })) => {
            let mean = read(data, &rows[..1]).into_iter().map(f64::from).collect();
            Ok(FittedPca::of_constant(mean, components))
        }
        fitted => fitted,
    }
}

/// Mean and covariance of the given rows.
///
/// # Errors
/// As [`CovarianceSum::add`].
pub fn covariance_sum(data: &Prepared, rows: &[usize]) -> Result<CovarianceSum, Error> {
    let mut sum = CovarianceSum::new(data.dataset.features());
    for rows in rows.chunks(BLOCK) {
        sum.add(matrix(&read(data, rows), data.dataset.features()))?;
    }
    Ok(sum)
}

/// The codes of the given rows, row-major `[rows, components]`.
///
/// # Errors
/// As [`FittedPca::transform`].
pub fn codes(pca: &FittedPca, data: &Prepared, rows: &[usize]) -> Result<Vec<f32>, Error> {
    by_blocks(data, rows, |block| pca.transform(block))
}

/// The same with each code divided by its standard deviation.
///
/// # Errors
/// As [`FittedPca::whiten`].
pub fn whitened(pca: &FittedPca, data: &Prepared, rows: &[usize]) -> Result<Vec<f32>, Error> {
    by_blocks(data, rows, |block| pca.whiten(block))
}

fn by_blocks(
    data: &Prepared,
    rows: &[usize],
    encode: impl Fn(MatRef<'_, f32>) -> Result<Mat<f32>, attar_linear::Error>,
) -> Result<Vec<f32>, Error> {
    let mut codes = Vec::new();
    for rows in rows.chunks(BLOCK) {
        let block = encode(matrix(&read(data, rows), data.dataset.features()))?;
        codes.extend(attar_linear::row_major(block.as_ref()));
    }
    Ok(codes)
}

/// The reconstruction from the principal components of row-major `[rows, features]`.
///
/// # Errors
/// As [`FittedPca::transform`].
pub fn forward(pca: &FittedPca, rows: &[f32]) -> Result<Vec<f32>, Error> {
    let codes = pca.transform(matrix(rows, pca.mean.len()))?;
    Ok(attar_linear::row_major(pca.inverse_transform(codes.as_ref())?.as_ref()))
}

fn read(data: &Prepared, rows: &[usize]) -> Vec<f32> {
    let mut values = vec![0.0; rows.len() * data.dataset.features()];
    data.read(rows, &mut values);
    values
}
