//! Metrics on matrices whose values are known.

use attar_linear::linear_autoencoder::{
    Weights, axis_alignment, condition_number, orthonormality, principal_angles, subspace_distance, transpose_gap,
};
use faer::{Mat, mat};

use super::rotation;
use crate::support::assert_close;

#[test]
fn angles_are_accurate_however_small() {
    for angle in [0.7f64, 1e-3, 1e-9, 1e-14] {
        let left = mat![[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]];
        let right = mat![[1.0, 0.0], [0.0, angle.cos()], [0.0, angle.sin()], [0.0, 0.0]];
        let turn = rotation(4, 40);
        let found = principal_angles((&turn * left).as_ref(), (&turn * right).as_ref()).unwrap();
        assert!(found[0] < 1e-15 && (found[1] - angle).abs() < 1e-15 + 1e-3 * angle, "{found:?}, not {angle}");
    }
    let axis = |i: usize| Mat::from_fn(3, 1, |row, _| if row == i { 2.0 } else { 0.0 });
    let right_angle = principal_angles(axis(0).as_ref(), axis(2).as_ref()).unwrap();
    assert_close("right angle", right_angle, &[std::f64::consts::FRAC_PI_2], 1e-15);
}

#[test]
fn distances_do_not_see_the_basis() {
    let basis = Weights::random(9, 3, 1.0, 41).decoder;
    let other = Weights::random(9, 3, 1.0, 42).decoder;
    let stretch = mat![[2.0, 0.3, 0.0], [0.0, 1.0, -1.0], [0.5, 0.0, 3.0]];
    let distance = subspace_distance(basis.as_ref(), other.as_ref()).unwrap();
    let stretched = subspace_distance((&basis * &stretch).as_ref(), (&other * &stretch).as_ref()).unwrap();
    assert!((distance - stretched).abs() < 1e-14);
    let projector = |b: &Mat<f64>| {
        let svd = b.thin_svd().unwrap();
        svd.U() * svd.U().transpose()
    };
    let trace: f64 = (0..9).map(|i| (projector(&basis) * projector(&other))[(i, i)]).sum();
    assert!((distance - (1.0 - trace / 3.0)).abs() < 1e-14);
}

#[test]
fn axes_may_be_swapped_flipped_and_stretched() {
    let directions = rotation(6, 43);
    let directions = directions.subcols(0, 3);
    let decoder = Mat::from_fn(6, 3, |i, j| [-2.0, 0.1, 7.0][j] * directions[(i, (j + 1) % 3)]);
    assert!(axis_alignment(directions, decoder.as_ref()).unwrap() < 1e-28);
    let turned = Mat::from_fn(6, 2, |i, j| directions[(i, 0)] + [1.0, -1.0][j] * directions[(i, 1)]);
    let found = axis_alignment(directions.subcols(0, 2), turned.as_ref()).unwrap();
    assert!((found - 0.5).abs() < 1e-15, "both at 45 degrees: {found}");
    assert_eq!(axis_alignment(directions, Mat::zeros(6, 3).as_ref()).unwrap(), 1.0);
}

#[test]
fn norms_by_hand() {
    let weights =
        Weights { encoder: mat![[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]], decoder: mat![[1.0, 0.0], [0.0, 1.0], [0.0, 3.0]] };
    assert_eq!(transpose_gap(&weights), 2.0);
    assert_eq!(orthonormality(weights.decoder.as_ref()), 9.0);
    assert!((condition_number(weights.decoder.as_ref()).unwrap() - 10f64.sqrt()).abs() < 1e-14);
    assert_eq!(condition_number(Mat::<f64>::zeros(3, 2).as_ref()).unwrap(), f64::INFINITY);
    let refused = principal_angles(Mat::<f64>::zeros(3, 0).as_ref(), weights.decoder.as_ref());
    assert_eq!(refused.unwrap_err().to_string(), "expected at least one feature, got none");
}
