//! The same bits at any number of threads.

use attar_linear::linear_autoencoder::{Factor, LinearAutoencoder, Normalisation, Objective, Training, Weights};
use attar_linear::{CodeHealth, KNearest, L2, LinearProbe, LogisticRegression, Pca, Ridge, row_major};
use faer::{Mat, MatRef};

use crate::support::sample;

/// Everything that is fitted on three blocks of rows and more than one tile of features, as one list of bits.
fn all_bits(values: &[f32], labels: &[u32], rows: usize, features: usize) -> Vec<u64> {
    let codes = MatRef::from_row_major_slice(values, rows, features);
    let targets: Vec<f64> = labels.iter().zip(values).map(|(&l, &v)| f64::from(l) + f64::from(v)).collect();
    let l2 = L2::CrossValidated { folds: 3, strengths: vec![10.0, 100.0], seed: 1 };
    let pca = Pca { components: 9 }.fit(codes).unwrap();
    let logistic = LogisticRegression { l2: l2.clone(), ..LogisticRegression::default() };
    let logistic = logistic.fit(codes, labels, 4).unwrap();
    let ridge = Ridge { l2 }.fit(codes, &targets).unwrap();
    let probe = LinearProbe { epochs: 2, ..LinearProbe::default() }.fit(codes, labels, 4).unwrap();
    let few = pca.transform(codes).unwrap();
    let neighbours = KNearest { k: 5 }.fit(few.as_ref(), labels, 4).unwrap();
    let singles = [row_major(few.as_ref()), row_major(logistic.weight.as_ref()), row_major(probe.weight.as_ref())];
    let doubles = [pca.spectrum, ridge.predict(codes).unwrap(), ridge.weight].into_iter();
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

#[test]
fn one_two_and_four_threads_agree() {
    let (rows, features) = (2300, 210);
    let (values, labels) = sample(rows, features, 4, 16);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| all_bits(&values, &labels, rows, features))
    };
    let single = run(1);
    assert!(single == run(2), "two threads");
    assert!(single == run(4), "four threads");
}
