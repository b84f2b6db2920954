//! Decompositions, single-threaded so that its bits do not depend on the machine's load or cores.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::evd::tridiag::tridiag_in_place;
use faer::linalg::evd::{
    ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch, tridiagonal_self_adjoint_evd,
};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Conj, Mat, MatMut, MatRef, Par};

use crate::Error;

/// The eigenvalues of a symmetric matrix, and what its eigenvectors follow from.
pub(crate) struct Eigen {
    /// From largest to smallest.
    pub(crate) values: Vec<f64>,
    /// Eigenvectors of the tridiagonal matrix, by rising eigenvalue.
    vectors: Mat<f64>,
    /// The reflections that made the matrix tridiagonal, below the diagonal, and their coefficients.
    reflections: Mat<f64>,
    coefficients: Mat<f64>,
}

/// Decomposes a symmetric matrix, of which only the lower triangle is read.
pub(crate) fn eigen(mut symmetric: Mat<f64>) -> Result<Eigen, Error> {
    let n = symmetric.nrows();
    let mut memory = eigen_memory(n, ComputeEigenvectors::Yes);
    let stack = MemStack::new(&mut memory);
    let mut coefficients = Mat::zeros(recommended_block_size::<f64>(n, n), n.saturating_sub(1));
    tridiag_in_place(symmetric.as_mut(), coefficients.as_mut(), Par::Seq, stack, Default::default());
    let (mut diagonal, mut below) = (Diag::zeros(n), Diag::zeros(n));
    for i in 0..n {
        diagonal[i] = symmetric[(i, i)];
        below[i] = if i + 1 < n { symmetric[(i + 1, i)] } else { 0.0 };
    }
    let (mut values, mut vectors) = (Diag::zeros(n), Mat::zeros(n, n));
    let into = Some(vectors.as_mut());
    let (diagonal, below) = (diagonal.as_ref(), below.as_ref());
    tridiagonal_self_adjoint_evd(diagonal, below, values.as_mut(), into, Par::Seq, stack, Default::default())
        .map_err(|_| Error::Decomposition { what: "eigendecomposition", size: n })?;
    Ok(Eigen { values: falling(&values), vectors, reflections: symmetric, coefficients })
}

impl Eigen {
    /// The eigenvectors of the `count` largest eigenvalues as columns. Turning those alone back from the tridiagonal
    /// matrix saves most of a fifth of the decomposition where they are few.
    pub(crate) fn vectors(&self, count: usize) -> Mat<f64> {
        let n = self.values.len();
        let mut vectors = Mat::from_fn(n, count, |i, j| self.vectors[(i, n - 1 - j)]);
        if n > 1 {
            let reflections = self.reflections.submatrix(1, 0, n - 1, n - 1);
            reflect(reflections, self.coefficients.as_ref(), vectors.as_mut().subrows_mut(1, n - 1));
        }
        vectors
    }
}

/// Eigenvalues alone, from largest to smallest.
pub(crate) fn eigenvalues(symmetric: MatRef<'_, f64>) -> Result<Vec<f64>, Error> {
    let n = symmetric.nrows();
    let mut memory = eigen_memory(n, ComputeEigenvectors::No);
    let mut values = Diag::zeros(n);
    self_adjoint_evd(symmetric, values.as_mut(), None, Par::Seq, MemStack::new(&mut memory), Default::default())
        .map_err(|_| Error::Decomposition { what: "eigendecomposition", size: n })?;
    Ok(falling(&values))
}

/// Enough for the whole decomposition and for each of its steps.
fn eigen_memory(size: usize, vectors: ComputeEigenvectors) -> MemBuffer {
    MemBuffer::new(self_adjoint_evd_scratch::<f64>(size, vectors, Par::Seq, Default::default()))
}

fn falling(rising: &Diag<f64>) -> Vec<f64> {
    rising.column_vector().iter().rev().copied().collect()
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
    reflect(matrix.as_ref(), coefficients.as_ref(), basis.as_mut());
    basis
}

/// Applies a sequence of Householder reflections, the last one first.
fn reflect(reflections: MatRef<'_, f64>, coefficients: MatRef<'_, f64>, columns: MatMut<'_, f64>) {
    let scratch = apply_scratch::<f64>(reflections.nrows(), coefficients.nrows(), columns.ncols());
    let mut memory = MemBuffer::new(scratch);
    apply(reflections, coefficients, Conj::No, columns, Par::Seq, MemStack::new(&mut memory));
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
