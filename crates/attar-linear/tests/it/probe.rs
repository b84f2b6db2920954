//! The course's probe from outside; its arithmetic is tested beside its code.

use attar_linear::{FittedLinearProbe, LinearProbe};
use faer::{MatRef, mat};

use crate::support::{rows_of, sample};

#[test]
fn learns_what_can_be_separated() {
    let (values, labels) = sample(600, 30, 3, 4);
    let codes = MatRef::from_row_major_slice(&values, 600, 30);
    let probe = LinearProbe { epochs: 200, learning_rate: 1e-2, ..LinearProbe::default() };
    let before = LinearProbe { epochs: 0, ..probe }.fit(codes, &labels, 3).unwrap();
    let after = probe.fit(codes, &labels, 3).unwrap();
    assert!(before.accuracy(codes, &labels).unwrap() < 0.8);
    assert!(after.accuracy(codes, &labels).unwrap() > 0.95);
}

#[test]
fn starts_as_a_linear_layer_of_pytorch() {
    let (values, labels) = sample(50, 16, 2, 5);
    let probe = LinearProbe { epochs: 0, ..LinearProbe::default() };
    let fitted = probe.fit(MatRef::from_row_major_slice(&values, 50, 16), &labels, 2).unwrap();
    let weights = rows_of(fitted.weight.as_ref());
    let largest = weights.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    assert!((0.2..=0.25).contains(&largest), "32 uniform draws within 1/4 reach near it, found {largest}");
}

#[test]
fn the_seed_decides() {
    let (values, labels) = sample(130, 9, 2, 6);
    let codes = MatRef::from_row_major_slice(&values, 130, 9);
    let fit =
        |seed| LinearProbe { epochs: 3, batch_size: 50, learning_rate: 1e-3, seed }.fit(codes, &labels, 2).unwrap();
    assert_eq!(fit(1), fit(1));
    assert_ne!(fit(1), fit(2));
}

#[test]
fn a_given_layer_is_scored_as_it_is() {
    let layer = FittedLinearProbe { weight: mat![[1.0f32, 0.0], [0.0, 1.0]], bias: vec![0.0, 0.5] };
    let codes = mat![[2.0f32, 1.0], [1.0, 2.0], [1.5, 1.0], [1.0, 0.25]];
    assert_eq!(layer.predict(codes.as_ref()).unwrap(), [0, 1, 0, 0]);
    assert_eq!(layer.accuracy(codes.as_ref(), &[0, 1, 1, 1]).unwrap(), 0.5);
}
