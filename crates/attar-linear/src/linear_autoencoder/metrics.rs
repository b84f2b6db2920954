//! How far given weights are from principal component analysis.

use faer::{Mat, MatRef};

use super::Weights;
use super::arithmetic::{left_svd, product, singular_values};
use super::factor::check_finite;
use crate::{Error, check};

/// The principal angles between the column spaces of two matrices with as many rows, in radians, smallest first; as
/// many as the smaller of the two ranks would be if all columns were independent.
///
/// Both cosines and sines are computed (Björck & Golub 1973), so angles are accurate down to rounding, where an
/// arccosine would end at 1e-8.
///
/// # Errors
/// Different numbers of rows, no columns, a value that is not finite, or a decomposition that does not converge.
pub fn principal_angles(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Result<Vec<f64>, Error> {
    check::length("rows, as many as the other matrix has", left.nrows(), right.nrows())?;
    let (wide, narrow) = if left.ncols() >= right.ncols() { (left, right) } else { (right, left) };
    let (wide, narrow) = (orthonormal(wide)?, orthonormal(narrow)?);
    let overlap = product(wide.transpose(), narrow.as_ref());
    let rest = &narrow - product(wide.as_ref(), overlap.as_ref());
    let cosines = singular_values(overlap.as_ref())?;
    let sines = singular_values(rest.as_ref())?;
    Ok(cosines.iter().zip(sines.iter().rev()).map(|(cosine, sine)| sine.atan2(*cosine)).collect())
}

/// `1 - tr(U Uᵀ W Wᵀ)/k` for orthonormal bases `U`, `W` of the column spaces of two `[features, k]` matrices: the mean
/// squared sine of the principal angles, from 0 (the same space) to 1 (Bao et al. 2020, `utils/metrics.py`).
///
/// # Errors
/// As [`principal_angles`].
pub fn subspace_distance(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Result<f64, Error> {
    let angles = principal_angles(left, right)?;
    Ok(angles.iter().map(|angle| angle.sin().powi(2)).sum::<f64>() / angles.len() as f64)
}

/// `‖W₁ - W₂ᵀ‖²/k`: 0 at every critical point of the L2 sum (Kunin et al. 2019, the transpose theorem).
pub fn transpose_gap(weights: &Weights) -> f64 {
    let difference = &weights.encoder - weights.decoder.transpose();
    difference.squared_norm_l2() / weights.decoder.ncols() as f64
}

/// `‖W₂ᵀW₂ - I‖`: 0 where the decoder's columns are orthonormal, as those of PCA are.
pub fn orthonormality(decoder: MatRef<'_, f64>) -> f64 {
    let k = decoder.ncols();
    (product(decoder.transpose(), decoder) - Mat::<f64>::identity(k, k)).norm_l2()
}

/// `(1/k) Σᵢ (1 - maxⱼ cos²(uᵢ, wⱼ))` over the columns `u` of `directions` and `w` of `decoder`: 0 where every
/// direction is a column's, up to order, sign and scale (Bao et al. 2020, `utils/metrics.py`).
///
/// `directions` has orthonormal columns. Columns of zeros are along nothing.
///
/// # Errors
/// Different numbers of rows, or no columns.
pub fn axis_alignment(directions: MatRef<'_, f64>, decoder: MatRef<'_, f64>) -> Result<f64, Error> {
    check::length("rows, as many as the other matrix has", directions.nrows(), decoder.nrows())?;
    if directions.ncols() == 0 || decoder.ncols() == 0 {
        return Err(Error::NoFeatures);
    }
    let overlap = product(directions.transpose(), decoder);
    let squared_sine = |i: usize, j: usize| {
        let square = decoder.col(j).squared_norm_l2();
        let aside = (decoder.col(j) - directions.col(i) * faer::Scale(overlap[(i, j)])).squared_norm_l2();
        if square > 0.0 { aside / square } else { 1.0 }
    };
    let best = |i: usize| (0..decoder.ncols()).map(|j| squared_sine(i, j)).fold(1.0, f64::min);
    Ok((0..directions.ncols()).map(best).sum::<f64>() / directions.ncols() as f64)
}

/// The largest over the smallest singular value; infinite where the smallest is 0.
///
/// # Errors
/// No columns, a value that is not finite, or a decomposition that does not converge.
pub fn condition_number(matrix: MatRef<'_, f64>) -> Result<f64, Error> {
    check_columns(matrix)?;
    let values = singular_values(matrix)?;
    Ok(match (values.first(), values.last()) {
        (Some(largest), Some(smallest)) if *smallest > 0.0 => largest / smallest,
        _ => f64::INFINITY,
    })
}

/// An orthonormal basis of the column space.
fn orthonormal(matrix: MatRef<'_, f64>) -> Result<Mat<f64>, Error> {
    check_columns(matrix)?;
    Ok(left_svd(matrix)?.vectors)
}

fn check_columns(matrix: MatRef<'_, f64>) -> Result<(), Error> {
    if matrix.ncols() == 0 || matrix.nrows() == 0 {
        return Err(Error::NoFeatures);
    }
    check_finite(matrix)
}
