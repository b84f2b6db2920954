//! PyTorch's loss and weight decay against the objective they stand for.

use attar_linear::linear_autoencoder::{
    Factor, Normalisation, Objective, Tolerances, TorchOptimizer, TorchRule, WeightDecay, Weights, regularised_path,
    torch_path,
};
use faer::{Mat, MatRef};

use super::{CODES, SPECTRA, config, rows_of_spectrum};

const LAMBDA: f64 = 0.5;

fn difference(a: &Weights, b: &Weights) -> f64 {
    (&a.encoder - &b.encoder).norm_max().max((&a.decoder - &b.decoder).norm_max())
}

/// Batches of ten rows, in turn.
fn batches(rows: &Mat<f64>, steps: usize) -> Vec<MatRef<'_, f64>> {
    (0..steps).map(|i| rows.as_ref().subrows(i % 4 * 10, 10)).collect()
}

#[test]
fn coupled_weight_decay_is_the_l2_sum() {
    let rows = rows_of_spectrum(&SPECTRA[0].1, 90);
    let start = Weights::random(8, CODES, 0.1, 91);
    let batches = batches(&rows, 400);
    let ours = regularised_path(&start, &batches, 0.01, LAMBDA).unwrap();
    let sgd = TorchOptimizer::for_l2(0.01, LAMBDA, 8);
    assert_eq!((sgd.learning_rate, sgd.weight_decay), (0.08, 0.125));
    let theirs = torch_path(&start, &batches, &sgd).unwrap();
    let gap = difference(&ours, &theirs);
    println!("after 400 steps: {gap:.1e}");
    assert!(gap < 1e-12 && difference(&ours, &start) > 0.1, "{gap:.1e}");
    for wrong in [LAMBDA, 2.0 * LAMBDA, LAMBDA / 8.0] {
        let other = TorchOptimizer { weight_decay: wrong, ..sgd.clone() };
        assert!(difference(&ours, &torch_path(&start, &batches, &other).unwrap()) > 1e-3, "{wrong}");
    }
}

/// On all the rows at once PyTorch's SGD ends in the optimum of the L2 sum.
#[test]
fn it_ends_in_the_optimum_of_the_l2_sum() {
    let rows = rows_of_spectrum(&SPECTRA[0].1, 92);
    let factor = Factor::of(rows.as_ref()).unwrap();
    let sgd = TorchOptimizer::for_l2(0.02, LAMBDA, 8);
    let end = torch_path(&Weights::random(8, CODES, 0.1, 93), &vec![rows.as_ref(); 3000], &sgd).unwrap();
    let config = config(Objective::L2 { lambda: LAMBDA });
    let certificate = config.certify(&factor, &end, None, &Tolerances::double()).unwrap();
    assert!(certificate.holds(), "{:?}", certificate.failing());
    assert_eq!(config.normalisation, Normalisation::PerSample);
}

/// Without averages a decoupled decay is the same step; behind Adam's it is another rule with another end.
#[test]
fn decoupled_weight_decay_is_no_l2_penalty() {
    let rows = rows_of_spectrum(&SPECTRA[0].1, 94);
    let factor = Factor::of(rows.as_ref()).unwrap();
    let start = Weights::random(8, CODES, 0.1, 95);
    let sgd = TorchOptimizer::for_l2(0.01, LAMBDA, 8);
    let decoupled = TorchOptimizer { decay: WeightDecay::Decoupled, ..sgd.clone() };
    let path = |optimizer: &TorchOptimizer| torch_path(&start, &batches(&rows, 400), optimizer).unwrap();
    assert!(difference(&path(&sgd), &path(&decoupled)) < 1e-12, "SGD: the same");

    let adam = TorchOptimizer { rule: TorchRule::Adam, learning_rate: 1e-3, ..sgd };
    let adamw = TorchOptimizer { decay: WeightDecay::Decoupled, ..adam.clone() };
    let config = config(Objective::L2 { lambda: LAMBDA });
    let certificate = |optimizer: &TorchOptimizer| {
        let end = torch_path(&start, &vec![rows.as_ref(); 20_000], optimizer).unwrap();
        config.certify(&factor, &end, None, &Tolerances::double()).unwrap()
    };
    let coupled = certificate(&adam);
    assert!(coupled.holds(), "{:#?}", coupled.checks);
    let failing = certificate(&adamw).failing();
    assert!(failing.contains(&"residual") && failing.contains(&"decoder singular values"), "{failing:?}");
}
