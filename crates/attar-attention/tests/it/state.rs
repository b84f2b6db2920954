//! Decoding token by token is causal attention, and resumes anywhere.

use attar_attention::{Attention, Error, Form, Gradients, Inputs, Shape, Similarity, State, StateGradient, naive};
use attar_ops::Float;

use crate::agreement::{Found, Tolerance, compare, report};
use crate::cases::{Case, HIDDEN, Hidden, KINDS, Kind, SIMILARITIES, attention, shape};

/// Rows `[heads, rows, width]` of one sequence from `first` on, of every head.
fn some<T: Float>(values: &[T], rows: usize, width: usize, first: usize, count: usize) -> Vec<T> {
    values.chunks_exact(rows * width).flat_map(|head| &head[first * width..(first + count) * width]).copied().collect()
}

/// Puts such rows back to where they are in all.
fn put<T: Float>(all: &mut [T], part: &[T], rows: usize, width: usize, first: usize, count: usize) {
    for (head, part) in all.chunks_exact_mut(rows * width).zip(part.chunks_exact((count * width).max(1))) {
        head[first * width..(first + count) * width].copy_from_slice(part);
    }
}

/// `count` tokens of the case, from `first` on.
fn tokens<T: Float>(case: &Case<T>, first: usize, count: usize) -> Case<T> {
    let all = case.shape;
    let cut = |values: &[T], width| some(values, all.keys, width, first, count);
    let hidden = case.hidden.as_ref().map(|hidden| {
        hidden.chunks_exact(all.keys).flat_map(|hidden| &hidden[first..first + count]).copied().collect::<Vec<bool>>()
    });
    Case {
        shape: Shape { queries: count, keys: count, ..all },
        queries: cut(&case.queries, all.dim),
        keys: cut(&case.keys, all.dim),
        values: cut(&case.values, all.value_dim),
        of_output: cut(&case.of_output, all.value_dim),
        hidden,
    }
}

/// The outputs of the next `count` tokens.
fn step<T: Float>(state: &mut State<T>, case: &Case<T>, first: usize, count: usize) -> Vec<T> {
    state.advance(&tokens(case, first, count).inputs()).unwrap()
}

/// Output and gradients of the whole case, a piece at a time.
pub(crate) fn by_pieces<T: Float>(attention: Attention, case: &Case<T>, counts: &[usize]) -> (Vec<T>, Gradients<T>) {
    let Shape { queries: rows, dim, value_dim, .. } = case.shape;
    let starts = counts.iter().scan(0, |next, count| Some(std::mem::replace(next, *next + count)));
    let pieces: Vec<_> = starts.zip(counts).map(|(first, count)| (first, tokens(case, first, *count))).collect();
    let mut state = State::new(attention, case.shape).unwrap();
    let advanced: Vec<_> = pieces.iter().map(|(_, piece)| state.forward(&piece.inputs()).unwrap()).collect();
    let zeros = |values: &[T]| vec![T::ZERO; values.len()];
    let mut output = zeros(&case.of_output);
    let [queries, keys, values] = [&case.queries, &case.keys, &case.values].map(|values| zeros(values));
    let mut all = Gradients { queries, keys, values };
    let mut of_state = StateGradient::zero(&state);
    for ((first, piece), advanced) in pieces.iter().zip(&advanced).rev() {
        let of = of_state.backward(&piece.inputs(), advanced, &piece.of_output).unwrap();
        let count = piece.shape.queries;
        put(&mut output, advanced.output(), rows, value_dim, *first, count);
        put(&mut all.queries, &of.queries, rows, dim, *first, count);
        put(&mut all.keys, &of.keys, rows, dim, *first, count);
        put(&mut all.values, &of.values, rows, value_dim, *first, count);
    }
    (output, all)
}

/// Every similarity with features, every kind of input, cut in several ways, by the measure of the other forms.
fn check_pieces<T: Float>(tolerance: f64) {
    let (mut checked, mut all) = (0, Found::default());
    for similarity in SIMILARITIES.into_iter().filter(Similarity::has_features) {
        for (dims, counts) in PIECES {
            for (kind, hidden) in KINDS.into_iter().flat_map(|kind| HIDDEN.map(|hidden| (kind, hidden))) {
                let (case, attention) = (Case::<T>::new(shape(*dims), kind, hidden), attention(similarity, true));
                let (output, gradients) = by_pieces(attention, &case, counts);
                let words = format!("{similarity:?}, {dims:?} by {counts:?}, {kind:?}, {hidden:?}");
                all.add(&compare(&attention, &case, &output, &gradients, Tolerance::of::<T>(tolerance), &words));
                checked += 1;
            }
        }
    }
    report(&format!("{checked} cases by pieces"), &all);
    assert_eq!(checked, 7 * PIECES.len() * KINDS.len() * HIDDEN.len());
}

/// Shapes of sequences, and the tokens of each piece.
const PIECES: &[([usize; 7], &[usize])] = &[
    ([2, 2, 2, 5, 5, 4, 3], &[1, 1, 1, 1, 1]),
    ([1, 4, 2, 7, 7, 3, 5], &[3, 0, 4]),
    ([2, 1, 1, 1, 1, 1, 1], &[1]),
    ([1, 2, 1, 40, 40, 6, 4], &[33, 1, 6]),
];

#[test]
fn pieces_agree_forward_and_backward() {
    check_pieces::<f32>(1e-5);
    check_pieces::<f64>(1e-12);
}

/// Pieces longer than the stretches between kept sums.
#[test]
fn long_pieces_agree_forward_and_backward() {
    let random = Similarity::Random { features: 24, seed: 5, scale: None };
    for similarity in [Similarity::Elu, Similarity::QUADRATIC_PLUS_ONE, random] {
        let case = Case::<f64>::new(shape([1, 2, 1, 700, 700, 3, 4]), Kind::Fading, Hidden::Some);
        let attention = attention(similarity, true);
        let (output, gradients) = by_pieces(attention, &case, &[570, 130]);
        compare(&attention, &case, &output, &gradients, Tolerance::of::<f64>(1e-12), &format!("{similarity:?}"));
    }
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

/// Token by token through a long sequence, and on from anywhere in one step, what the causal form gives in `f64`.
#[test]
fn long_decoding_is_causal_attention() {
    let shape = shape([1, 2, 1, 4096, 4096, 4, 3]);
    let (single, double) = (Case::new(shape, Kind::Random, Hidden::None), Case::new(shape, Kind::Random, Hidden::None));
    for similarity in [Similarity::QUADRATIC, Similarity::Elu] {
        decode::<f32>(attention(similarity, true), &single, &widened(&single), 1e-5);
        decode::<f64>(attention(similarity, true), &double, &double, 1e-12);
    }
}

/// The same numbers in `f64`.
fn widened(case: &Case<f32>) -> Case<f64> {
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect();
    let [queries, keys, values, of_output] =
        [&case.queries, &case.keys, &case.values, &case.of_output].map(|x| wide(x));
    Case { shape: case.shape, queries, keys, values, of_output, hidden: case.hidden.clone() }
}

fn decode<T: Float>(attention: Attention, case: &Case<T>, reference: &Case<f64>, tolerance: f64) {
    let (length, width) = (case.shape.queries, case.shape.value_dim);
    let want = attention.forward(Form::Linear, &reference.inputs()).unwrap();
    let size = reference.values.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
    let kappa = kappa(&attention, reference, &want.normaliser);
    let compare = |first: usize, count: usize, got: &[T]| {
        let rows = some(&want.output, length, width, first, count);
        let kappa = some(&kappa, length, 1, first, count);
        for (at, (got, want)) in got.iter().zip(&rows).enumerate() {
            let error = (got.to_f64() - want).abs();
            let least = tolerance * kappa[at / width] * size;
            assert!(error <= least, "{:?}, from {first}, place {at}: {got:?} for {want}", attention.similarity);
        }
    };
    let mut state = State::new(attention, case.shape).unwrap();
    for at in 0..length {
        if [1, 127, 128, 1000, 4000].contains(&at) {
            compare(at, length - at, &step(&mut state.clone(), case, at, length - at));
        }
        compare(at, 1, &step(&mut state, case, at, 1));
    }
}

/// How much the denominators of the quadratic kernel cancel; those of others are taken to be 1.
fn kappa(attention: &Attention, case: &Case<f64>, denominators: &[f64]) -> Vec<f64> {
    if attention.similarity != Similarity::QUADRATIC {
        return vec![1.0; denominators.len()];
    }
    let squares = |rows: &[f64]| -> Vec<f64> {
        rows.chunks_exact(case.shape.dim).map(|row| row.iter().map(|x| x * x).sum()).collect()
    };
    let keys = squares(&case.keys).into_iter().scan(0.0, |sum, square| {
        *sum += square;
        Some(*sum)
    });
    let queries = squares(&case.queries);
    let sums: Vec<f64> = keys.collect();
    let rows = queries.iter().zip(sums.iter().cycle()).zip(denominators);
    rows.map(|((query, keys), denominator)| query * keys / denominator).collect()
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
    assert_eq!(state.clone().advance(&case.inputs()).unwrap(), want);
    let advanced = state.forward(&case.inputs()).unwrap();
    assert_eq!(advanced.output(), want);
    let mut of_state = StateGradient::zero(&state);
    let one = tokens(&case, 0, 1);
    assert!(matches!(of_state.backward(&one.inputs(), &advanced, &one.of_output), Err(Error::Mismatch { .. })));
    let relu = State::<f32>::new(attention(Similarity::Relu, true), shape).unwrap().forward(&case.inputs()).unwrap();
    assert!(matches!(of_state.backward(&case.inputs(), &relu, &case.of_output), Err(Error::Mismatch { .. })));
    assert!(matches!(of_state.backward(&case.inputs(), &advanced, &[1.0]), Err(Error::Length { .. })));
}

/// Tokens that are all the same, one by one, whose outputs are their value: rounding goes one way in every step.
#[test]
fn equal_tokens_add_up() {
    let (one, length) = (shape([1, 1, 1, 1, 1, 16, 16]), 40_000);
    for similarity in [Similarity::Elu, Similarity::QUADRATIC_PLUS_ONE] {
        let mut state = State::<f32>::new(attention(similarity, true), one).unwrap();
        let (query, key, value) = ([0.05; 16], [0.1; 16], [1.0 / 1.1; 16]);
        let token = Inputs { shape: one, queries: &query, keys: &key, values: &value, hidden: None };
        for at in 0..length {
            let output = state.advance(&token).unwrap()[0];
            assert!((output * 1.1 - 1.0).abs() < 1e-6, "{similarity:?} {at}: {output}");
        }
    }
}
