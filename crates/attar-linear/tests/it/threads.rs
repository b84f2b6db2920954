//! The same bits at any number of threads.

use attar_linear::linear_autoencoder::{Factor, LinearAutoencoder, Normalisation, Objective, Training, Weights};
use attar_linear::{CodeHealth, KNearest, L2, LinearProbe, LogisticRegression, Pca, Ridge, Solver, row_major};
use faer::{Mat, MatRef};

use crate::support::{sample, values_of};

/// Everything that is fitted on three blocks of rows and more than one tile of features, as one list of bits.
fn all_bits(values: &[f32], labels: &[u32], rows: usize, features: usize) -> Vec<u64> {
    let codes = MatRef::from_row_major_slice(values, rows, features);
    let targets: Vec<f64> = labels.iter().zip(values).map(|(&l, &v)| f64::from(l) + f64::from(v)).collect();
    let l2 = L2::CrossValidated { folds: 3, strengths: vec![10.0, 100.0], seed: 1 };
    let pca = Pca::new(9).fit(codes).unwrap();
    let logistic = LogisticRegression { l2: l2.clone(), ..LogisticRegression::default() };
    let logistic = logistic.fit(codes, labels, 4).unwrap();
    let ridge = Ridge { l2 }.fit(codes, &targets).unwrap();
    let probe = LinearProbe { epochs: 2, ..LinearProbe::default() }.fit(codes, labels, 4).unwrap();
    let few = pca.transform(codes).unwrap();
    let neighbours = KNearest { k: 5 }.fit(few.as_ref(), labels, 4).unwrap();
    let singles = [row_major(few.as_ref()), row_major(logistic.weight.as_ref()), row_major(probe.weight.as_ref())];
    let doubles = [pca.spectrum.unwrap(), ridge.predict(codes).unwrap(), ridge.weight].into_iter();
    let doubles = doubles.chain([vec![CodeHealth::of(codes).unwrap().effective_rank, logistic.scores[1].loss]]);
    let wide = Mat::from_fn(rows, features, |i, j| f64::from(codes[(i, j)]));
    let factor = Factor::of(wide.as_ref()).unwrap();
    let objective = Objective::L2 { lambda: 1.0 };
    let autoencoder = LinearAutoencoder { codes: 5, objective, normalisation: Normalisation::PerSample };
    let few_steps = Training { max_iterations: 3, ..Training::default() };
    let start = Weights::random(features, 5, 0.001, 1);
    let trained = autoencoder.train(&factor, &start, &few_steps).unwrap();
    let doubles = doubles.chain([factor.singular_values().to_vec(), vec![trained.loss, trained.residual]]);
    let predicted = neighbours.predict(few.as_ref()).unwrap().into_iter().map(u64::from);
    let singles = singles.into_iter().flatten().map(|v| u64::from(v.to_bits()));
    singles.chain(doubles.flatten().map(f64::to_bits)).chain(predicted).collect()
}

fn assert_same_bits(bits: impl Fn() -> Vec<u64> + Sync) {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(&bits)
    };
    let single = run(1);
    assert!(single == run(2), "two threads");
    assert!(single == run(4), "four threads");
}

#[test]
fn one_two_and_four_threads_agree() {
    let (rows, features) = (2300, 210);
    let (values, labels) = sample(rows, features, 4, 16);
    assert_same_bits(|| all_bits(&values, &labels, rows, features));
}

/// Several blocks, panels and triangles; rows that are fewer than features for the products between rows.
#[test]
fn every_solver_of_pca_agrees_with_itself() {
    let (rows, features) = (3100, 300);
    let (values, _) = sample(rows, features, 4, 17);
    let tall = MatRef::from_row_major_slice(&values, rows, features);
    let randomised = Solver::Randomised { oversampling: 5, iterations: 2, seed: 4 };
    for solver in [Solver::Covariance, Solver::SingleCovariance, Solver::Gram, Solver::Svd, randomised] {
        let data = if solver == Solver::Gram { tall.transpose() } else { tall };
        let doubles = Mat::from_fn(data.nrows(), data.ncols(), |i, j| f64::from(data[(i, j)]));
        let pca = Pca { solver, ..Pca::new(7) };
        assert_same_bits(|| {
            let fitted = [pca.fit(data).unwrap(), pca.fit(doubles.as_ref()).unwrap()];
            let numbers = fitted.into_iter().flat_map(|fitted| {
                let white = values_of(&fitted.whiten(doubles.as_ref()).unwrap());
                let errors = fitted.error_estimate.map_or(Vec::new(), |e| [e.residuals, vec![e.left_out]].concat());
                [fitted.explained_variance, fitted.mean, values_of(&fitted.components), white, errors].concat()
            });
            numbers.map(f64::to_bits).collect()
        });
    }
}
