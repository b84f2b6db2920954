//! Scores and intervals.

use attar_linear::{CodeHealth, accuracy, effective_rank, mean_interval, r_squared, wilson_interval};
use faer::{Mat, MatRef};

use crate::support::{assert_close, sample, table, table_matrix};

#[test]
fn intervals_agree_with_scipy() {
    let trials = [(0, 10), (1, 3), (53, 100), (100, 100), (981, 1000)];
    let wilson = trials.map(|(k, n)| wilson_interval(k, n).unwrap()).map(|i| [i.low, i.high]);
    assert_close("Wilson", wilson.concat(), &table("wilson"), 1e-9);
    let targets = table("targets");
    let samples = [vec![1.0, 2.0], vec![3.0, 1.0, 2.5], targets[..20].to_vec(), targets];
    let means = samples.map(|values| mean_interval(&values).unwrap().interval.unwrap()).map(|i| [i.low, i.high]);
    assert_close("Student", means.concat(), &table("mean_interval"), 1e-9);
}

#[test]
fn intervals_of_too_little() {
    assert_eq!(wilson_interval(0, 0), None);
    assert_eq!(wilson_interval(3, 2), None);
    assert_eq!(mean_interval(&[]), None);
    let single = mean_interval(&[4.5]).unwrap();
    assert_eq!((single.mean, single.interval), (4.5, None));
}

#[test]
fn scores_by_hand() {
    assert_eq!(accuracy(&[0, 1, 2, 2], &[0, 2, 2, 2]).unwrap(), 0.75);
    assert!((r_squared(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0]).unwrap() - 0.5).abs() < 1e-15);
    assert_eq!(r_squared(&[2.0; 3], &[2.0; 3]).unwrap(), 1.0);
    assert_eq!(r_squared(&[1.0, 2.0, 3.0], &[2.0; 3]).unwrap(), 0.0);
}

#[test]
fn effective_rank_agrees_with_numpy() {
    let rank = effective_rank(table_matrix("x", 5).as_ref()).unwrap();
    assert_close("effective rank", [rank], &table("effective_rank"), 1e-9);
}

#[test]
fn effective_rank_counts_equal_directions() {
    let corners = Mat::from_fn(8, 3, |i, j| if i >> j & 1 == 1 { 1.0f32 } else { -1.0 });
    assert!((effective_rank(corners.as_ref()).unwrap() - 3.0).abs() < 1e-12);
}

fn health(dimension: impl Fn(usize, usize) -> f32) -> CodeHealth {
    CodeHealth::of(Mat::from_fn(50, 40, dimension).as_ref()).unwrap()
}

#[test]
fn collapse_is_seen_and_named() {
    let (values, _) = sample(50, 40, 2, 15);
    let codes = MatRef::from_row_major_slice(&values, 50, 40);
    let fine = CodeHealth::of(codes).unwrap();
    assert!(!fine.collapsed && fine.dead.is_empty() && fine.reason.is_none());

    let dead = health(|i, j| if j % 4 == 1 { 3.25 } else { codes[(i, j)] });
    assert!(!dead.collapsed);
    assert_eq!(dead.dead, (1..40).step_by(4).collect::<Vec<_>>());

    let constant = health(|_, j| j as f32);
    assert!(constant.collapsed && constant.reason.unwrap().contains("constant"));
    assert_eq!((constant.effective_rank, constant.dead.len()), (0.0, 40));

    let line = health(|i, j| codes[(i, 0)] * (j + 1) as f32);
    assert!(line.collapsed && line.reason.unwrap().contains("one direction"));

    let plane = Mat::from_fn(50, 200, |i, j| codes[(i, 0)] * (j % 7) as f32 + codes[(i, 1)] * (j % 5) as f32);
    let plane = CodeHealth::of(plane.as_ref()).unwrap();
    assert!(plane.collapsed && plane.reason.unwrap().contains("under 2 %"));
}
