//! PyTorch's loss and weight decay against the objective they stand for.

use attar_linear::linear_autoencoder::{
    Factor, LinearAutoencoder, Normalisation, Objective, Tolerances, TorchOptimizer, TorchRule, WeightDecay, Weights,
    regularised_path, torch_path,
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

/// Steps whose result is stored in single precision end within what the tolerances for it allow.
#[test]
fn single_precision_ends_within_its_tolerances() {
    for (name, variances) in SPECTRA {
        let rows = rows_of_spectrum(&variances, 96);
        let factor = Factor::of(rows.as_ref()).unwrap();
        let sgd = TorchOptimizer::for_l2(0.1 / variances[0], LAMBDA, 8);
        let single =
            |matrix: &Mat<f64>| Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| f64::from(matrix[(i, j)] as f32));
        let mut weights = Weights::random(8, CODES, 0.1, 97);
        for _ in 0..20_000 {
            let next = torch_path(&weights, &[rows.as_ref()], &sgd).unwrap();
            weights = Weights { encoder: single(&next.encoder), decoder: single(&next.decoder) };
        }
        let config = config(Objective::L2 { lambda: LAMBDA });
        let certificate = config.certify(&factor, &weights, None, &Tolerances::single()).unwrap();
        println!("{name}: residual {:.1e}", certificate.check("residual").unwrap().measured);
        assert!(certificate.holds(), "{name}: {:?}", certificate.failing());
    }
}

/// `MSELoss` is the loss per entry, and there a weight decay `w` is `λ = w/2` whatever the number of features.
#[test]
fn per_entry_the_penalty_is_half_the_weight_decay() {
    let rows = rows_of_spectrum(&SPECTRA[0].1, 98);
    let factor = Factor::of(rows.as_ref()).unwrap();
    let decay = TorchOptimizer::for_l2(0.01, LAMBDA, 8).weight_decay;
    let per_sample = config(Objective::L2 { lambda: LAMBDA }).optimum(&factor).unwrap();
    let normalisation = Normalisation::PerEntry;
    let per_entry = LinearAutoencoder { codes: CODES, objective: Objective::L2 { lambda: decay / 2.0 }, normalisation };
    let per_entry = per_entry.optimum(&factor).unwrap();
    assert!(difference(&per_sample.weights, &per_entry.weights) < 1e-12);
    assert!((per_sample.loss - 8.0 * per_entry.loss).abs() < 1e-12);
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

    let adam = TorchOptimizer { rule: TorchRule::Adam, learning_rate: 2e-4, ..sgd };
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
