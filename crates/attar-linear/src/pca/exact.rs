//! The solvers that see the variance along every direction.

use std::slice;

use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::{Components, Found, Solver};
use crate::blocks::{BLOCK, centred, centred_columns, row_blocks, row_blocks_of};
use crate::columns::means;
use crate::products::{LowerProduct, product};
use crate::real::Real;
use crate::spectral::{eigen, orthonormal, right_singular, triangle};
use crate::{CovarianceSum, Error};

pub(super) fn by_covariance<T: Real, P: Real>(
    rows: MatRef<'_, T>,
    components: Components,
    solver: Solver,
) -> Result<Found, Error> {
    let mut sum = CovarianceSum::new(rows.ncols());
    sum.add_products::<T, P>(rows)?;
    of_sum(&sum, components, solver)
}

/// Constant features stay out of the eigenproblem: along them there is exactly no variance.
pub(super) fn of_sum(sum: &CovarianceSum, components: Components, solver: Solver) -> Result<Found, Error> {
    let varying = sum.varying();
    let covariance = sum.lower_covariance(&varying)?;
    let squares: f64 = (0..varying.len()).map(|j| covariance[(j, j)]).sum();
    check_range(squares, sum.count(), solver == Solver::SingleCovariance)?;
    let eigen = eigen(covariance)?;
    let mut variances = not_negative(&eigen.values, 1.0);
    variances.resize(sum.count().min(sum.mean().len()), 0.0);
    let kept = components.count(&variances, sum.count());
    let vectors = eigen.vectors(kept.min(varying.len()));
    Ok(Found {
        solver,
        mean: sum.mean().to_vec(),
        total: variances.iter().sum(),
        directions: among_all(vectors.as_ref(), &varying, sum.mean().len(), kept),
        rank_at_most: varying.len().min(sum.count() - 1),
        estimate: None,
        variances,
    })
}

/// Directions, `[varying, at most kept]`, in the space of all features, filled up to `kept` along the constant ones.
fn among_all(vectors: MatRef<'_, f64>, varying: &[usize], features: usize, kept: usize) -> Mat<f64> {
    let mut directions = Mat::zeros(features, kept);
    for component in 0..vectors.ncols() {
        varying.iter().enumerate().for_each(|(i, &j)| directions[(j, component)] = vectors[(i, component)]);
    }
    let constant = (0..features).filter(|j| varying.binary_search(j).is_err());
    (varying.len()..kept).zip(constant).for_each(|(component, j)| directions[(j, component)] = 1.0);
    directions
}

/// With `X` the centred rows and `X Xᵀ = U S² Uᵀ`, the directions are `Xᵀ U S⁻¹`.
pub(super) fn by_gram<T: Real>(rows: MatRef<'_, T>, components: Components) -> Result<Found, Error> {
    let mean = means(rows)?;
    let columns: Mat<f64> = centred_columns(rows, &mean, slice::from_ref(&(0..mean.len())));
    let gram = LowerProduct::of(columns.as_ref()).into_matrix();
    check_range((0..gram.ncols()).map(|j| gram[(j, j)]).sum(), rows.nrows(), false)?;
    let eigen = eigen(gram)?;
    let mut variances = not_negative(&eigen.values, 1.0 / (rows.nrows() - 1) as f64);
    variances.truncate(rows.ncols());
    let kept = components.count(&variances, rows.nrows());
    let vectors = eigen.vectors(kept);
    let blocks = row_blocks(rows.ncols());
    let part = |&(start, length): &(usize, usize)| product(columns.subrows(start, length), vectors.as_ref());
    let parts: Vec<Mat<f64>> = blocks.par_iter().map(part).collect();
    Ok(Found {
        solver: Solver::Gram,
        mean,
        total: variances.iter().sum(),
        // Not divided by S: where that is nothing but rounding, the columns are not even nearly orthogonal.
        directions: orthonormal(Mat::from_fn(rows.ncols(), kept, |i, j| parts[i / BLOCK][(i % BLOCK, j)])),
        rank_at_most: rows.nrows() - 1,
        estimate: None,
        variances,
    })
}

/// Singular values and directions of the centred rows.
pub(super) fn by_svd<T: Real>(rows: MatRef<'_, T>, components: Components) -> Result<Found, Error> {
    let mean = means(rows)?;
    let (singular, vectors) = right_singular(reduced(rows, &mean).as_ref())?;
    let squares: Vec<f64> = singular.iter().map(|s| s * s).collect();
    check_range(squares.iter().sum(), rows.nrows(), false)?;
    let variances = not_negative(&squares, 1.0 / (rows.nrows() - 1) as f64);
    let kept = components.count(&variances, rows.nrows());
    Ok(Found {
        solver: Solver::Svd,
        mean,
        total: variances.iter().sum(),
        directions: vectors.subcols(0, kept).to_owned(),
        rank_at_most: rows.nrows() - 1,
        estimate: None,
        variances,
    })
}

/// A matrix with the singular values and right singular vectors of the shifted rows, and no more than four times as
/// many rows as features: of each block only the triangle of its QR decomposition is left, and so on until they are
/// few (Demmel, Grigori, Hoemmen & Langou 2012, "Communication-optimal parallel and sequential QR and LU
/// factorizations").
fn reduced<T: Real>(rows: MatRef<'_, T>, shift: &[f64]) -> Mat<f64> {
    let height = (4 * rows.ncols()).max(BLOCK);
    if rows.nrows() <= height {
        return centred(rows, shift);
    }
    let part = |(start, length)| triangle(centred(rows.subrows(start, length), shift));
    let triangles: Vec<Mat<f64>> = row_blocks_of(rows.nrows(), height).into_par_iter().map(part).collect();
    let stacked = stack(&triangles);
    reduced(stacked.as_ref(), &vec![0.0; shift.len()])
}

fn stack(parts: &[Mat<f64>]) -> Mat<f64> {
    let columns = parts.first().map_or(0, Mat::ncols);
    let mut stacked = Mat::zeros(parts.iter().map(Mat::nrows).sum(), columns);
    let mut start = 0;
    for part in parts {
        stacked.as_mut().subrows_mut(start, part.nrows()).copy_from(part);
        start += part.nrows();
    }
    stacked
}

/// Rounding leaves the variance of nothing on either side of zero.
fn not_negative(values: &[f64], scale: f64) -> Vec<f64> {
    values.iter().map(|value| scale * value.max(0.0)).collect()
}

/// Refuses data without variance, and sums of squares of which part may have left the range of the numbers.
pub(super) fn check_range(squares: f64, rows: usize, single: bool) -> Result<(), Error> {
    let range = if single { 1e-24..1e36 } else { 1e-280..1e300 };
    match squares {
        0.0 => Err(Error::NoVariance { rows }),
        _ if range.contains(&squares) => Ok(()),
        _ => Err(Error::Range { sum: squares }),
    }
}
