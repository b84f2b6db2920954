//! Decoding token by token is causal attention, and resumes anywhere.

use attar_attention::{Attention, Error, Form, Inputs, Shape, Similarity, State, naive};
use attar_ops::Float;

use crate::cases::{Case, Hidden, Kind, SIMILARITIES, attention, shape};

/// Rows `[heads, rows, width]` of one sequence from `first` on, of every head.
fn some<T: Float>(values: &[T], rows: usize, width: usize, first: usize, count: usize) -> Vec<T> {
    values.chunks_exact(rows * width).flat_map(|head| &head[first * width..(first + count) * width]).copied().collect()
}

/// The outputs of the next `count` tokens.
fn step<T: Float>(state: &mut State<T>, case: &Case<T>, first: usize, count: usize) -> Vec<T> {
    let all = case.shape;
    let shape = Shape { queries: count, keys: count, ..all };
    let cut = |values: &[T], width| some(values, all.keys, width, first, count);
    let hidden = case.hidden.as_ref().map(|hidden| {
        hidden.chunks_exact(all.keys).flat_map(|hidden| &hidden[first..first + count]).copied().collect::<Vec<bool>>()
    });
    let (queries, keys) = (cut(&case.queries, all.dim), cut(&case.keys, all.dim));
    let values = cut(&case.values, all.value_dim);
    let tokens = Inputs { shape, queries: &queries, keys: &keys, values: &values, hidden: hidden.as_deref() };
    state.advance(&tokens).unwrap()
}

fn check<T: Float>(attention: Attention, case: &Case<T>, steps: &[usize], tolerance: f64) {
    let want = naive::forward(&attention, &case.inputs()).unwrap();
    let sizes = naive::sizes(&attention, &case.inputs(), &case.of_output).unwrap().output;
    let mut state = State::new(attention, case.shape).unwrap();
    let (width, mut first) = (case.shape.value_dim, 0);
    for &count in steps {
        // A clone goes on as the state itself would.
        let resumed = step(&mut state.clone(), case, first, count);
        let got = step(&mut state, case, first, count);
        assert_eq!(got, resumed);
        let want_rows = some(&want.output, case.shape.queries, width, first, count);
        let size = some(&sizes, case.shape.queries, width, first, count);
        let kappa = some(&want.kappa, case.shape.queries, 1, first, count);
        for (at, (got, want)) in got.iter().zip(&want_rows).enumerate() {
            let kappa = if kappa[at / width].is_finite() { kappa[at / width].max(1.0) } else { 1.0 };
            let error = (got.to_f64() - want).abs();
            let row = &size[at / width * width..][..width];
            let least = tolerance * kappa * row.iter().sum::<f64>() + T::MIN_POSITIVE.to_f64();
            assert!(error <= least, "{:?}, from {first}, place {at}: {got:?} for {want}", attention.similarity);
        }
        first += count;
    }
    assert_eq!(first, case.shape.queries);
}

#[test]
fn decoding_is_causal_attention() {
    let features: Vec<Similarity> = SIMILARITIES.into_iter().filter(Similarity::has_features).collect();
    assert_eq!(features.len(), 7);
    for similarity in features {
        for (kind, hidden) in [(Kind::Large, Hidden::None), (Kind::Zeros, Hidden::Some)] {
            let shape = shape([2, 4, 2, 140, 140, 4, 3]);
            let ones = [1; 140];
            for steps in [&ones[..], &[1, 3, 128, 8], &[140]] {
                check(attention(similarity, true), &Case::<f32>::new(shape, kind, hidden), steps, 1e-5);
                check(attention(similarity, true), &Case::<f64>::new(shape, kind, hidden), steps, 1e-12);
            }
        }
    }
}

#[test]
fn what_has_no_state_is_refused() {
    let shape = shape([1, 1, 1, 2, 2, 3, 2]);
    let softmax = State::<f32>::new(attention(Similarity::Softmax { scale: None }, true), shape);
    assert_eq!(softmax.unwrap_err(), Error::NoFeatures("softmax"));
    assert_eq!(State::<f32>::new(attention(Similarity::Elu, false), shape).unwrap_err(), Error::NotCausal);
    let mut state = State::<f32>::new(attention(Similarity::Elu, true), shape).unwrap();
    let other = Case::<f32>::new(Shape { keys: 3, ..shape }, Kind::Random, Hidden::None);
    assert!(matches!(state.advance(&other.inputs()), Err(Error::State { .. })));
    // Said once with the right tokens, it is as if the wrong ones had never come.
    let case = Case::<f32>::new(shape, Kind::Random, Hidden::None);
    let want = attention(Similarity::Elu, true).forward(Form::Linear, &case.inputs()).unwrap().output;
    assert_eq!(state.advance(&case.inputs()).unwrap(), want);
}
