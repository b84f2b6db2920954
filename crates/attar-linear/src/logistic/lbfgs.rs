//! L-BFGS for a smooth convex function, turned inside out: it proposes a point and is told what was found there.
//!
//! So several problems can advance together, their evaluations batched into one product. The two-loop recursion is
//! Nocedal & Wright (2006), algorithm 7.4, started from a diagonal preconditioner; the line search halves the step until
//! Armijo's condition holds.

use std::collections::VecDeque;

/// Pairs of step and gradient change that are remembered.
const MEMORY: usize = 10;

/// Armijo's constant.
const SUFFICIENT: f64 = 1e-4;

/// Values come from `f32` products: a rise below this share of the value is rounding.
const ROUNDING: f64 = 1e-6;

/// Halvings of the step after which nothing more is to be gained.
const MOST_HALVINGS: usize = 20;

struct Pair {
    step: Vec<f32>,
    change: Vec<f32>,
    /// `step · change`, positive.
    curvature: f64,
}

/// One minimisation under way.
pub(super) struct Lbfgs {
    /// Where the function is to be evaluated next.
    pub(super) trial: Vec<f32>,
    /// The best point so far.
    pub(super) point: Vec<f32>,
    /// Euclidean length of the gradient at `point`; infinite before the first evaluation.
    pub(super) gradient_norm: f64,
    pub(super) iterations: usize,
    /// Whether there is nothing left to do: converged, out of iterations, or at the limit of the arithmetic.
    pub(super) finished: bool,
    value: f64,
    gradient: Vec<f32>,
    direction: Vec<f32>,
    slope: f64,
    step: f64,
    halvings: usize,
    pairs: VecDeque<Pair>,
    /// The inverse of the diagonal that stands for the Hessian.
    inverse_diagonal: Vec<f32>,
    tolerance: f64,
    max_iterations: usize,
}

impl Lbfgs {
    pub(super) fn new(start: Vec<f32>, inverse_diagonal: Vec<f32>, tolerance: f64, max_iterations: usize) -> Self {
        let size = start.len();
        Self {
            trial: start.clone(),
            point: start,
            gradient_norm: f64::INFINITY,
            iterations: 0,
            finished: false,
            value: f64::INFINITY,
            gradient: vec![0.0; size],
            direction: vec![0.0; size],
            slope: 0.0,
            step: 0.0,
            halvings: 0,
            pairs: VecDeque::with_capacity(MEMORY),
            inverse_diagonal,
            tolerance,
            max_iterations,
        }
    }

    /// Takes the function's value and gradient at `trial`, and sets the next `trial` or `finished`; says
    /// whether the trial is now the point.
    pub(super) fn tell(&mut self, value: f64, gradient: Vec<f32>) -> bool {
        let first = self.value.is_infinite();
        let bound = self.value + SUFFICIENT * self.step * self.slope + ROUNDING * self.value.abs();
        let accepted = first || value <= bound;
        if accepted {
            self.move_to_trial(value, gradient, first);
        } else {
            self.halve();
        }
        accepted
    }

    fn move_to_trial(&mut self, value: f64, gradient: Vec<f32>, first: bool) {
        if !first {
            self.iterations += 1;
            self.remember(&gradient);
        }
        self.point.clone_from(&self.trial);
        (self.value, self.gradient) = (value, gradient);
        self.gradient_norm = dot(&self.gradient, &self.gradient).sqrt();
        if self.gradient_norm <= self.tolerance || self.iterations >= self.max_iterations {
            self.finished = true;
            return;
        }
        self.direct();
        (self.step, self.halvings) = (1.0, 0);
        self.propose();
    }

    fn halve(&mut self) {
        self.halvings += 1;
        self.step *= 0.5;
        self.finished = self.halvings > MOST_HALVINGS;
        self.propose();
    }

    fn propose(&mut self) {
        self.trial.clone_from(&self.point);
        add_scaled(&mut self.trial, self.step, &self.direction);
    }

    fn remember(&mut self, gradient: &[f32]) {
        let step = difference(&self.trial, &self.point);
        let change = difference(gradient, &self.gradient);
        let curvature = dot(&step, &change);
        if curvature <= 1e-10 * (dot(&step, &step) * dot(&change, &change)).sqrt() {
            return;
        }
        if self.pairs.len() == MEMORY {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair { step, change, curvature });
    }

    /// The two-loop recursion: minus the approximate inverse Hessian times the gradient.
    fn direct(&mut self) {
        let mut q = self.gradient.clone();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let share = dot(&pair.step, &q) / pair.curvature;
            add_scaled(&mut q, -share, &pair.change);
            shares.push(share);
        }
        let scale = self.pairs.back().map_or(1.0, |pair| self.curvature_scale(pair));
        q.iter_mut().zip(&self.inverse_diagonal).for_each(|(q, d)| *q *= scale * d);
        for (pair, share) in self.pairs.iter().zip(shares.iter().rev()) {
            let back = dot(&pair.change, &q) / pair.curvature;
            add_scaled(&mut q, share - back, &pair.step);
        }
        q.iter_mut().for_each(|q| *q = -*q);
        self.slope = dot(&self.gradient, &q);
        self.direction = q;
    }

    /// Fits the preconditioner to the curvature last seen.
    fn curvature_scale(&self, pair: &Pair) -> f32 {
        let preconditioned: f64 =
            pair.change.iter().zip(&self.inverse_diagonal).map(|(y, d)| f64::from(y * y * d)).sum();
        (pair.curvature / preconditioned) as f32
    }
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn add_scaled(to: &mut [f32], scale: f64, from: &[f32]) {
    let scale = scale as f32;
    to.iter_mut().zip(from).for_each(|(t, f)| *t += scale * f);
}

/// Eight running sums, so that the additions vectorise; each short run is added up in `f64`.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let run = |(a, b): (&[f32], &[f32])| {
        let mut sums = [0.0f32; 8];
        for (a, b) in a.chunks(8).zip(b.chunks(8)) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
        sums.iter().map(|&s| f64::from(s)).sum::<f64>()
    };
    a.chunks(512).zip(b.chunks(512)).map(run).sum()
}
