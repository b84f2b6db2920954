//! Decompositions of symmetric matrices, single-threaded so that its bits do not depend on the machine's load or cores.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatMut, MatRef, Par};

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
