//! Decompositions, single-threaded so that its bits do not depend on the machine's load or cores.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Conj, Mat, MatMut, MatRef, Par};

use crate::Error;

/// Eigenvalues from largest to smallest, and their eigenvectors as the columns of a matrix in the same order.
pub(crate) struct Eigen {
    pub(crate) values: Vec<f64>,
    pub(crate) vectors: Mat<f64>,
}

/// Decomposes a symmetric matrix, of which only the lower triangle is read.
pub(crate) fn eigen(symmetric: MatRef<'_, f64>) -> Result<Eigen, Error> {
    let n = symmetric.nrows();
    let mut vectors = Mat::zeros(n, n);
    let values = decompose(symmetric, Some(&mut vectors))?;
    Ok(Eigen { values, vectors: Mat::from_fn(n, n, |i, j| vectors[(i, n - 1 - j)]) })
}

/// Eigenvalues alone, from largest to smallest.
pub(crate) fn eigenvalues(symmetric: MatRef<'_, f64>) -> Result<Vec<f64>, Error> {
    decompose(symmetric, None)
}

fn decompose(symmetric: MatRef<'_, f64>, vectors: Option<&mut Mat<f64>>) -> Result<Vec<f64>, Error> {
    let n = symmetric.nrows();
    let wanted = if vectors.is_some() { ComputeEigenvectors::Yes } else { ComputeEigenvectors::No };
    let scratch = self_adjoint_evd_scratch::<f64>(n, wanted, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let mut values = Diag::zeros(n);
    self_adjoint_evd(
        symmetric,
        values.as_mut(),
        vectors.map(|v| v.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .map_err(|_| Error::Decomposition { what: "eigendecomposition", size: n })?;
    Ok(values.column_vector().iter().rev().copied().collect())
}

/// Singular values from largest to smallest, and right singular vectors, `[columns, min(rows, columns)]`.
pub(crate) fn right_singular(matrix: MatRef<'_, f64>) -> Result<(Vec<f64>, Mat<f64>), Error> {
    let (rows, columns) = matrix.shape();
    let size = rows.min(columns);
    let (no, thin) = (ComputeSvdVectors::No, ComputeSvdVectors::Thin);
    let mut memory = MemBuffer::new(svd_scratch::<f64>(rows, columns, no, thin, Par::Seq, Default::default()));
    let mut values = Diag::zeros(size);
    let mut vectors = Mat::zeros(columns, size);
    let stack = MemStack::new(&mut memory);
    svd(matrix, values.as_mut(), None, Some(vectors.as_mut()), Par::Seq, stack, Default::default())
        .map_err(|_| Error::Decomposition { what: "singular value decomposition", size })?;
    Ok((values.column_vector().iter().copied().collect(), vectors))
}

/// The triangle `R` of the QR decomposition, `[min(rows, columns), columns]`.
pub(crate) fn triangle(mut matrix: Mat<f64>) -> Mat<f64> {
    factorise(&mut matrix);
    Mat::from_fn(matrix.nrows().min(matrix.ncols()), matrix.ncols(), |i, j| if i <= j { matrix[(i, j)] } else { 0.0 })
}

/// An orthonormal basis of the span of the columns, of which there are no more than rows: the `Q` of the QR
/// decomposition. Columns that add nothing to the span of those before them are replaced by ones that do.
pub(crate) fn orthonormal(mut matrix: Mat<f64>) -> Mat<f64> {
    let (rows, columns) = matrix.shape();
    let coefficients = factorise(&mut matrix);
    let mut basis = Mat::identity(rows, columns);
    let mut memory = MemBuffer::new(apply_scratch::<f64>(rows, coefficients.nrows(), columns));
    let stack = MemStack::new(&mut memory);
    apply(matrix.as_ref(), coefficients.as_ref(), Conj::No, basis.as_mut(), Par::Seq, stack);
    basis
}

/// Leaves `R` above the diagonal and the Householder vectors below it, and returns their coefficients.
fn factorise(matrix: &mut Mat<f64>) -> Mat<f64> {
    let (rows, columns) = matrix.shape();
    let block = recommended_block_size::<f64>(rows, columns);
    let mut coefficients = Mat::zeros(block, rows.min(columns));
    let mut memory = MemBuffer::new(qr_in_place_scratch::<f64>(rows, columns, block, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut memory);
    qr_in_place(matrix.as_mut(), coefficients.as_mut(), Par::Seq, stack, Default::default());
    coefficients
}

/// Solves `matrix · x = right` in place for a positive definite matrix, of which the lower triangle is read and
/// overwritten.
pub(crate) fn cholesky_solve(mut matrix: MatMut<'_, f64>, right: MatMut<'_, f64>) -> Result<(), Error> {
    let size = matrix.nrows();
    let scratch = llt::factor::cholesky_in_place_scratch::<f64>(size, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    llt::factor::cholesky_in_place(matrix.as_mut(), Default::default(), Par::Seq, stack, Default::default())
        .map_err(|_| Error::Decomposition { what: "Cholesky decomposition", size })?;
    llt::solve::solve_in_place(matrix.as_ref(), right, Par::Seq, stack);
    Ok(())
}
