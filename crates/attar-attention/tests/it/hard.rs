//! The key that hard attention takes, where rounding leaves no doubt about it.

use attar_attention::{Form, HardGradient, Similarity};
use attar_ops::Float;

use crate::cases::{Case, Hidden, KINDS, Kind, attention, shape};

/// Rows whose best score exceeds all others by more than rounding, and those where it does not.
#[derive(Default)]
struct Margins {
    clear: usize,
    close: usize,
}

/// The scores in `f64` of the keys that a query sees, with the magnitudes that their rounding is relative to.
fn scores<T: Float>(case: &Case<T>, causal: bool, row: usize) -> Vec<(usize, f64, f64)> {
    let (shape, dim) = (case.shape, case.shape.dim);
    let query = &case.queries[row * dim..][..dim];
    let seen = (0..shape.keys)
        .filter(|key| !causal || *key <= row + shape.keys - shape.queries)
        .filter(|key| case.hidden.as_ref().is_none_or(|hidden| !hidden[*key]));
    seen.map(|key| {
        let terms = query.iter().zip(&case.keys[key * dim..][..dim]).map(|(q, k)| q.to_f64() * k.to_f64());
        let (score, size) = terms.fold((0.0, 0.0), |(score, size), term: f64| (score + term, size + term.abs()));
        (key, score, size)
    })
    .collect()
}

/// The key whose value the row of the output is; all values differ.
fn taken<T: Float>(case: &Case<T>, output: &[T]) -> Option<usize> {
    case.values.chunks_exact(case.shape.value_dim).position(|value| value == output)
}

fn check<T: Float>(case: &Case<T>, causal: bool) -> Margins {
    let (dim, value_dim) = (case.shape.dim, case.shape.value_dim);
    let mut margins = Margins::default();
    for gradient in [HardGradient::None, HardGradient::StraightThrough { scale: None }] {
        let attention = attention(Similarity::Hard { gradient }, causal);
        let output = attention.forward(Form::Tiled, &case.inputs()).unwrap().output;
        for (row, output) in output.chunks_exact(value_dim).enumerate() {
            let scores = scores(case, causal, row);
            let Some(&best) = scores.iter().reduce(|a, b| if b.1 > a.1 { b } else { a }) else {
                assert_eq!(output, vec![T::ZERO; value_dim]);
                continue;
            };
            // Of a sum of so many products (Higham 2002, section 3.1), for both scores.
            let rounding = |size: f64| (dim + 1) as f64 * T::EPSILON.to_f64() * size;
            let near = |other: &&(usize, f64, f64)| best.1 - other.1 <= rounding(best.2) + rounding(other.2);
            let candidates: Vec<usize> = scores.iter().filter(near).map(|score| score.0).collect();
            let key = taken(case, output).unwrap();
            assert!(candidates.contains(&key), "row {row}: {key}, not of {candidates:?}");
            if candidates.len() == 1 { margins.clear += 1 } else { margins.close += 1 }
        }
    }
    margins
}

#[test]
fn the_largest_score_is_taken_where_rounding_leaves_no_doubt() {
    let mut all = Margins::default();
    for (kind, causal) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        for hidden in [Hidden::None, Hidden::Some] {
            let shape = shape([1, 1, 1, 140, 300, 16, 3]);
            let single = check(&Case::<f32>::new(shape, kind, hidden), causal);
            let double = check(&Case::<f64>::new(shape, kind, hidden), causal);
            all.clear += single.clear + double.clear;
            all.close += single.close + double.close;
        }
    }
    println!("{} rows with a clear margin, {} without", all.clear, all.close);
    // Zero queries and repeated keys have none.
    assert!(all.clear > 5000 && all.close > 500);
}

/// Two keys that differ by less than rounding, then by more.
#[test]
fn a_margin_beyond_rounding_decides() {
    let dim = 16;
    let mut case = Case::<f32>::new(shape([1, 1, 1, 1, 2, dim, 1]), Kind::Random, Hidden::None);
    case.keys.copy_within(..dim, dim);
    for (by, clear) in [(0.0_f32, 0), (1e-4, 2)] {
        case.keys[dim] += by * case.queries[0].signum();
        let margins = check(&case, false);
        assert_eq!((margins.clear, margins.close), (clear, 2 - clear));
    }
}

/// Keys that are the same have the same score, in whole blocks and in what is left of one: the first is taken.
#[test]
fn equal_keys_tie_wherever_they_lie() {
    for dim in [1, 16, 64, 160] {
        for gradient in [HardGradient::None, HardGradient::StraightThrough { scale: None }] {
            for causal in [false, true] {
                let mut case = Case::<f32>::new(shape([1, 1, 1, 143, 301, dim, 1]), Kind::Random, Hidden::Some);
                let key = case.keys[..dim].to_vec();
                case.keys.chunks_exact_mut(dim).for_each(|row| row.copy_from_slice(&key));
                let attention = attention(Similarity::Hard { gradient }, causal);
                let output = attention.forward(Form::Tiled, &case.inputs()).unwrap().output;
                // The key at 0 is hidden.
                assert!(output.iter().all(|value| *value == case.values[1]), "{dim} {gradient:?} causal {causal}");
            }
        }
    }
}
