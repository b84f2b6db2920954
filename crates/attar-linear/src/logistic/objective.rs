//! The penalised cross-entropy of several problems on the same rows, evaluated together.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::blocks::BLOCK;
use crate::exponential::exp;

/// The rows that all problems share: coordinates in blocks, the last column 1, and labels.
pub(super) struct Rows<'a> {
    pub(super) blocks: &'a [Mat<f32>],
    pub(super) labels: &'a [u32],
    pub(super) classes: usize,
    /// The fold of each row.
    pub(super) folds: &'a [u32],
}

/// One problem: which fold it must not learn from, and how strongly it is penalised.
#[derive(Clone, Copy)]
pub(super) struct Problem {
    /// `None` learns from every row.
    pub(super) held_out: Option<u32>,
    pub(super) l2: f64,
    /// Rows it learns from.
    pub(super) rows: usize,
}

/// What one evaluation says about one problem.
pub(super) struct Evaluation {
    /// `(Σ cross-entropy + l2/2 |weight|²) / rows`, over the rows learnt from.
    pub(super) value: f64,
    pub(super) gradient: Vec<f32>,
    /// The summed cross-entropy of the rows held out.
    pub(super) held_out_loss: f64,
}

/// Sums over one block of rows: gradients `[coordinates, problems * classes]`, and both losses of each problem.
struct Partial {
    gradient: Mat<f32>,
    losses: Vec<(f64, f64)>,
}

/// Evaluates each problem at its parameters, `[coordinates + 1, classes]` in column-major order.
pub(super) fn evaluate(rows: &Rows<'_>, problems: &[(Problem, &[f32])]) -> Vec<Evaluation> {
    let on_block = |start: usize, coordinates: MatRef<'_, f32>| {
        let mut values = logits(coordinates, problems, rows.classes);
        let losses = residuals(rows, start, problems, values.as_mut());
        Partial { gradient: product(coordinates.transpose(), values.as_ref()), losses }
    };
    let total = rows.sum(on_block, Partial::plus);
    let finish = |(index, problem)| total.as_ref().map(|total| total.finish(index, problem, rows.classes));
    problems.iter().enumerate().filter_map(finish).collect()
}

/// The diagonal of each problem's Hessian, of the shape of its parameters:
/// `(Σ p (1 - p) coordinate² + l2) / rows` with `p` the probability of the class.
pub(super) fn curvatures(rows: &Rows<'_>, problems: &[(Problem, &[f32])]) -> Vec<Vec<f32>> {
    let on_block = |start: usize, coordinates: MatRef<'_, f32>| {
        let mut values = logits(coordinates, problems, rows.classes);
        residuals(rows, start, problems, values.as_mut());
        // A residual is p or p - 1, and 0 for a row held out: |r| (1 - |r|) is the variance in every case.
        values.col_iter_mut().for_each(|column| column.iter_mut().for_each(|r| *r = r.abs() * (1.0 - r.abs())));
        let squares = Mat::from_fn(coordinates.nrows(), coordinates.ncols(), |i, j| coordinates[(i, j)].powi(2));
        product(squares.transpose(), values.as_ref())
    };
    let total = rows.sum(on_block, |sum, part| sum + part);
    let finish = |(index, (problem, _)): (usize, &(Problem, &[f32]))| {
        total.as_ref().map(|sums| diagonal(sums.subcols(index * rows.classes, rows.classes), problem))
    };
    problems.iter().enumerate().filter_map(finish).collect()
}

fn diagonal(sums: MatRef<'_, f32>, problem: &Problem) -> Vec<f32> {
    let mut diagonal = Vec::with_capacity(sums.nrows() * sums.ncols());
    for column in sums.col_iter() {
        let penalties = std::iter::repeat_n(problem.l2, sums.nrows() - 1).chain([0.0]);
        let entry = |(sum, l2): (&f32, f64)| ((f64::from(*sum) + l2) / problem.rows as f64) as f32;
        diagonal.extend(column.iter().zip(penalties).map(entry));
    }
    diagonal
}

impl Rows<'_> {
    /// Maps each block, given where it starts, and adds up the results in the order of the blocks.
    fn sum<T: Send>(
        &self,
        on_block: impl Fn(usize, MatRef<'_, f32>) -> T + Sync,
        plus: impl Fn(T, T) -> T,
    ) -> Option<T> {
        let parts = self.blocks.par_iter().enumerate().map(|(index, block)| on_block(index * BLOCK, block.as_ref()));
        parts.collect::<Vec<T>>().into_iter().reduce(plus)
    }
}

/// `[rows, problems * classes]`.
fn logits(coordinates: MatRef<'_, f32>, problems: &[(Problem, &[f32])], classes: usize) -> Mat<f32> {
    let parameters = problems.iter().flat_map(|(_, p)| p.iter().copied()).collect::<Vec<f32>>();
    let columns = classes * problems.len();
    product(coordinates, MatRef::from_column_major_slice(&parameters, coordinates.ncols(), columns))
}

fn product(left: MatRef<'_, f32>, right: MatRef<'_, f32>) -> Mat<f32> {
    let mut out = Mat::zeros(left.nrows(), right.ncols());
    matmul(&mut out, Accum::Replace, left, right, 1.0, Par::Seq);
    out
}

impl Partial {
    fn plus(mut self, other: Self) -> Self {
        self.gradient += other.gradient;
        for (mine, theirs) in self.losses.iter_mut().zip(other.losses) {
            *mine = (mine.0 + theirs.0, mine.1 + theirs.1);
        }
        self
    }

    /// Adds the penalty, which spares the bias in each column's last place, and divides by the number of rows.
    fn finish(&self, index: usize, (problem, parameters): &(Problem, &[f32]), classes: usize) -> Evaluation {
        let height = self.gradient.nrows();
        let (scale, l2) = (1.0 / problem.rows as f64, problem.l2);
        let mut gradient = Vec::with_capacity(height * classes);
        let mut squares = 0.0;
        for (class, weight) in parameters.chunks_exact(height).enumerate() {
            let column = self.gradient.col(index * classes + class);
            let penalised = |w: f32, g: f32| ((f64::from(g) + l2 * f64::from(w)) * scale) as f32;
            gradient.extend(weight.iter().zip(column.iter()).map(|(w, g)| penalised(*w, *g)));
            let bias = gradient.len() - 1;
            gradient[bias] = (f64::from(column[height - 1]) * scale) as f32;
            squares += weight[..height - 1].iter().map(|w| f64::from(w * w)).sum::<f64>();
        }
        let (loss, held_out_loss) = self.losses[index];
        Evaluation { value: (loss + 0.5 * l2 * squares) * scale, gradient, held_out_loss }
    }
}

/// Turns logits into softmax minus one-hot label, zero where a row is held out; returns each problem's summed
/// cross-entropy over the rows learnt from and over those held out.
fn residuals(
    rows: &Rows<'_>,
    start: usize,
    problems: &[(Problem, &[f32])],
    mut logits: MatMut<'_, f32>,
) -> Vec<(f64, f64)> {
    let length = logits.nrows();
    let (labels, folds) = (&rows.labels[start..start + length], &rows.folds[start..start + length]);
    let mut work = Work { largest: vec![0.0; length], total: vec![0.0; length] };
    let mut columns: Vec<&mut [f32]> = logits
        .as_mut()
        .col_iter_mut()
        .filter_map(|column| column.try_as_col_major_mut().map(|column| column.as_slice_mut()))
        .collect();
    let on_problem = |((problem, _), columns): (&(Problem, &[f32]), &mut [&mut [f32]])| {
        let truth: Vec<f32> = labels.iter().enumerate().map(|(i, &label)| columns[label as usize][i]).collect();
        Arch::new().dispatch(Softmax { columns, work: &mut work });
        let mut losses = (0.0, 0.0);
        for (i, (&label, &fold)) in labels.iter().zip(folds).enumerate() {
            let loss = f64::from(work.largest[i] - truth[i] + work.total[i].ln());
            if problem.held_out == Some(fold) {
                losses.1 += loss;
                columns.iter_mut().for_each(|column| column[i] = 0.0);
            } else {
                losses.0 += loss;
                columns[label as usize][i] -= 1.0;
            }
        }
        losses
    };
    problems.iter().zip(columns.chunks_exact_mut(rows.classes)).map(on_problem).collect()
}

/// For each row, the largest logit and the sum of exponentials above it.
struct Work {
    largest: Vec<f32>,
    total: Vec<f32>,
}

/// Softmax over the columns, in place, row by row.
struct Softmax<'a, 'b> {
    columns: &'a mut [&'b mut [f32]],
    work: &'a mut Work,
}

impl WithSimd for Softmax<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Work { largest, total } = self.work;
        largest.fill(f32::NEG_INFINITY);
        total.fill(0.0);
        for column in self.columns.iter() {
            for (most, z) in largest.iter_mut().zip(column.iter()) {
                *most = most.max(*z);
            }
        }
        for column in self.columns.iter_mut() {
            for ((z, most), sum) in column.iter_mut().zip(largest.iter()).zip(total.iter_mut()) {
                *z = exp(*z - *most);
                *sum += *z;
            }
        }
        for column in self.columns.iter_mut() {
            for (z, sum) in column.iter_mut().zip(total.iter()) {
                *z /= *sum;
            }
        }
    }
}
