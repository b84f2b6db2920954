//! Every form and similarity, causal and not, with hidden keys and without, in both types.

use attar_attention::{Attention, Form, Similarity, naive};
use attar_ops::Float;

use crate::cases::{Case, HIDDEN, Hidden, KINDS, Kind, SHAPES, SIMILARITIES, attention, shape};

/// A result, what it should be, and what rounding is relative to; and how much the denominators of each row cancel.
struct Compared<'a, T> {
    name: &'a str,
    got: &'a [T],
    want: &'a [f64],
    size: &'a [f64],
    width: usize,
    /// One for each row, or one for all.
    kappa: &'a [f64],
}

impl<T: Float> Compared<'_, T> {
    /// Row by row: the norm of the error to the norm of the size times kappa. Returns the largest, over the tolerance.
    fn check(&self, tolerance: f64, case: &str) -> f64 {
        let Self { name, got, want, size, width, kappa } = self;
        assert_eq!(got.len(), want.len(), "{case}: {name}");
        // A weight of `f32` is never below e^-87, about the smallest number: errors of 1e-35 are none.
        let least = T::MIN_POSITIVE.to_f64() * 1e3 / tolerance;
        let mut worst: f64 = 0.0;
        for row in 0..want.len() / width {
            let places = row * width..(row + 1) * width;
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
            let error = norm(&mut places.clone().map(|at| got[at].to_f64() - want[at]));
            let kappa = kappa[row.min(kappa.len() - 1)];
            let ratio = error / (norm(&mut places.clone().map(|at| size[at])) * kappa.max(1.0) + least) / tolerance;
            assert!(ratio <= 1.0, "{case}: {name}, row {row}: {ratio} times the tolerance, kappa {kappa}");
            worst = worst.max(ratio);
        }
        worst
    }
}

fn check<T: Float>(attention: &Attention, form: Form, case: &Case<T>, tolerance: f64, words: &str) -> f64 {
    let inputs = case.inputs();
    let want = naive::forward(attention, &inputs).unwrap();
    let gradients = naive::backward(attention, &inputs, &case.of_output).unwrap();
    let sizes = naive::sizes(attention, &inputs, &case.of_output).unwrap();
    let got = attention.forward(form, &inputs).unwrap();
    let back = attention.backward(&inputs, &got, &case.of_output).unwrap();
    // Rows that count as zero are zero in every form.
    let kappa: Vec<f64> = want.kappa.iter().map(|kappa| if kappa.is_finite() { *kappa } else { 1.0 }).collect();
    let largest = [kappa.iter().copied().fold(1.0, f64::max)];
    let (dim, value_dim) = (case.shape.dim, case.shape.value_dim);
    let compared = |name, got, want, size, width, kappa| Compared { name, got, want, size, width, kappa };
    let [of_queries, of_keys, of_values] = [&gradients.queries, &gradients.keys, &gradients.values];
    let size = &sizes.gradients;
    [
        compared("output", &got.output[..], &want.output[..], &sizes.output[..], value_dim, &kappa[..]),
        compared("gradient of queries", &back.queries, of_queries, &size.queries, dim, &kappa),
        compared("gradient of keys", &back.keys, of_keys, &size.keys, dim, &largest),
        compared("gradient of values", &back.values, of_values, &size.values, value_dim, &largest),
    ]
    .iter()
    .map(|compared| compared.check(tolerance, words))
    .fold(0.0, f64::max)
}

fn check_all<T: Float>(tolerance: f64) {
    let (mut checked, mut worst) = (0, 0.0);
    for similarity in SIMILARITIES {
        for (dims, kind, hidden, causal) in combinations() {
            let case = Case::<T>::new(shape(dims), kind, hidden);
            let attention = attention(similarity, causal);
            for form in forms(similarity) {
                let words = format!("{similarity:?}, {form:?}, {dims:?}, {kind:?}, {hidden:?}, causal {causal}");
                worst = f64::max(worst, check(&attention, form, &case, tolerance, &words));
                checked += 1;
            }
        }
    }
    println!("{checked} cases, largest error {worst:.3} of the tolerance");
    assert_eq!(checked, (SIMILARITIES.len() + 6) * combinations().len());
}

fn forms(similarity: Similarity) -> Vec<Form> {
    if similarity.has_features() { vec![Form::Tiled, Form::Linear] } else { vec![Form::Tiled] }
}

/// All of everything, but the long sequences, which are for the blocks, once with long rows.
fn combinations() -> Vec<([usize; 7], Kind, Hidden, bool)> {
    let mut all = Vec::new();
    for dims in SHAPES {
        let long = dims[3] * dims[4] > 1000;
        for kind in KINDS.into_iter().filter(|kind| !long || *kind == Kind::Large) {
            for hidden in HIDDEN.into_iter().filter(|hidden| !long || *hidden != Hidden::All) {
                all.extend([false, true].map(|causal| (dims, kind, hidden, causal)));
            }
        }
    }
    all
}

#[test]
fn f32_agrees() {
    check_all::<f32>(1e-5);
}

#[test]
fn f64_agrees() {
    check_all::<f64>(1e-12);
}

/// More rows in one piece than a chunk without pairs has; there are as many groups as tasks.
#[test]
fn chunks_of_a_long_piece_agree() {
    let case = Case::<f64>::new(shape([2, 4, 4, 530, 600, 3, 5]), Kind::Random, Hidden::Some);
    for similarity in [Similarity::Elu, Similarity::Relu] {
        check(&attention(similarity, false), Form::Linear, &case, 1e-12, "long piece");
    }
}

/// The naive form through the same door as the others.
#[test]
fn the_naive_form_is_one_of_the_forms() {
    let case = Case::<f64>::new(shape(SHAPES[1]), Kind::Random, Hidden::Some);
    for similarity in SIMILARITIES {
        check(&attention(similarity, true), Form::Naive, &case, 1e-12, "naive");
    }
}

/// Orthogonal to every key: the row and its gradients are zero in every form, and counted.
#[test]
fn a_denominator_that_vanishes_is_reported() {
    let shape = shape([1, 1, 1, 2, 3, 2, 1]);
    let case = Case::<f32> {
        shape,
        queries: vec![1.0, -1.0, 1.0, 0.5],
        keys: vec![1.0, 1.0, 2.0, 2.0, -3.0, -3.0],
        values: vec![1.0, 2.0, 3.0],
        of_output: vec![1.0, 1.0],
        hidden: None,
    };
    let attention = Attention::new(Similarity::QUADRATIC);
    for form in [Form::Naive, Form::Tiled, Form::Linear] {
        let forward = attention.forward(form, &case.inputs()).unwrap();
        assert_eq!([forward.output[0], forward.normaliser[0]], [0.0; 2], "{form:?}");
        assert!(forward.output[1] > 1.0, "{form:?}");
        let gradients = attention.backward(&case.inputs(), &forward, &case.of_output).unwrap();
        assert_eq!(gradients.queries[..2], [0.0; 2], "{form:?}");
        let found = attention.check(form, &case.inputs()).unwrap();
        assert_eq!((found.rows, found.zero), (2, 1), "{form:?}");
        // (q.k)^2 / |q|^2|k|^2 of the other query, whatever the key.
        let nearest = found.nearest.unwrap();
        assert!((nearest - 0.9).abs() < 1e-6, "{form:?}: {nearest}");
    }
    let softmax = Attention::new(Similarity::Softmax { scale: None });
    let found = softmax.check(Form::Tiled, &case.inputs()).unwrap();
    assert_eq!((found.zero, found.nearest), (0, None));
}

/// Equal scores: the first key is taken.
#[test]
fn ties_go_to_the_first() {
    let shape = shape([1, 1, 1, 1, 300, 1, 1]);
    let mut keys = vec![0.5_f32; 300];
    keys[140..].fill(1.0);
    let values: Vec<f32> = (0..300_u16).map(f32::from).collect();
    let (queries, of_output) = (vec![2.0], vec![1.0]);
    let case = Case { shape, queries, keys, values, of_output, hidden: None };
    let attention = Attention::new(Similarity::Hard { gradient: attar_attention::HardGradient::None });
    for form in [Form::Naive, Form::Tiled] {
        assert_eq!(attention.forward(form, &case.inputs()).unwrap().output, [140.0], "{form:?}");
    }
}

/// One NaN among the inputs is one in every output that sees it.
#[test]
fn not_a_number_stays_visible() {
    for similarity in SIMILARITIES {
        for form in forms(similarity) {
            let mut case = Case::<f32>::new(shape([1, 1, 1, 6, 6, 3, 2]), Kind::Random, Hidden::None);
            case.keys[3 * 3] = f32::NAN;
            let output = attention(similarity, true).forward(form, &case.inputs()).unwrap().output;
            for (row, values) in output.chunks(2).enumerate().filter(|(row, _)| *row >= 3) {
                assert!(values.iter().all(|value| value.is_nan()), "{similarity:?} {form:?} {row}: {values:?}");
            }
        }
    }
}
