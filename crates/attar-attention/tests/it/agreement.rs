//! Every form and similarity, causal and not, with hidden keys and without, in both types.

use attar_attention::{Attention, Form, Gradients, Inputs, Similarity, naive};
use attar_ops::Float;

use crate::cases::{Case, HIDDEN, Hidden, KINDS, Kind, SHAPES, SIMILARITIES, STRAIGHT_THROUGH, attention, shape};

/// A result, what it should be, and the sums of its terms' magnitudes; and how much the denominators of each row cancel.
struct Compared<'a, T> {
    name: &'a str,
    got: &'a [T],
    want: &'a [f64],
    size: &'a [f64],
    width: usize,
    /// One for each row, or one for all.
    kappa: &'a [f64],
}

/// What errors may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    /// To what rounding is relative to.
    pub(crate) relative: f64,
    /// Absolute: smaller ones are none.
    pub(crate) smallest: f64,
}

impl Tolerance {
    pub(crate) fn of<T: Float>(relative: f64) -> Self {
        // A weight of `f32` is never below e^-87, about the smallest number, and a gradient is the sum of some hundred times
        // a factor of some tens: errors of 1e-34 are none.
        Self { relative, smallest: T::MIN_POSITIVE.to_f64() * 1e4 }
    }
}

/// Rows by what their error is relative to, with the largest errors in tolerances.
#[derive(Default)]
pub(crate) struct Found {
    /// Relative to the row itself.
    literal: (usize, f64),
    /// To the magnitudes of its terms, because it has cancelled.
    cancelled: (usize, f64),
    /// All zeros.
    zero: usize,
    /// The least and the largest.
    kappa: Option<[f64; 2]>,
}

impl Found {
    pub(crate) fn add(&mut self, other: &Self) {
        let both = |a: (usize, f64), b: (usize, f64)| (a.0 + b.0, a.1.max(b.1));
        self.literal = both(self.literal, other.literal);
        self.cancelled = both(self.cancelled, other.cancelled);
        self.zero += other.zero;
        other.kappa.into_iter().flatten().for_each(|kappa| self.see(kappa));
    }

    fn see(&mut self, kappa: f64) {
        let [least, largest] = self.kappa.unwrap_or([kappa; 2]);
        self.kappa = Some([least.min(kappa), largest.max(kappa)]);
    }
}

impl<T: Float> Compared<'_, T> {
    /// Row by row: the norm of the error to the norm of the row times kappa. Of a row that has cancelled, to the norm of
    /// its terms' magnitudes times kappa: where those are `tolerance / EPSILON` times the row, 84 in `f32` and 4,500 in
    /// `f64`, the rounding of a single term is all that the tolerance leaves to the row.
    fn check(&self, Tolerance { relative: tolerance, smallest }: Tolerance, case: &str) -> Found {
        let Self { name, got, want, size, width, kappa } = self;
        assert_eq!(got.len(), want.len(), "{case}: {name}");
        let least = smallest / tolerance;
        let mut found = Found::default();
        for row in 0..want.len() / width {
            let places = row * width..(row + 1) * width;
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
            let error = norm(&mut places.clone().map(|at| got[at].to_f64() - want[at]));
            let [own, of_terms] = [want, size].map(|values| norm(&mut values[places.clone()].iter().copied()));
            let kappa = kappa[row.min(kappa.len() - 1)];
            let cancelled = own < T::EPSILON.to_f64() / tolerance * of_terms;
            let ratio = error / (if cancelled { of_terms } else { own } * kappa.max(1.0) + least) / tolerance;
            let measure = if cancelled { "its terms" } else { "itself" };
            assert!(ratio <= 1.0, "{case}: {name}, row {row}: {ratio} tolerances of {measure}, kappa {kappa}");
            let counted = if cancelled { &mut found.cancelled } else { &mut found.literal };
            *counted = (counted.0 + usize::from(of_terms > 0.0), counted.1.max(ratio));
            found.zero += usize::from(of_terms == 0.0);
            found.see(kappa);
        }
        found
    }
}

/// Output and gradients by the definition, and what rounding is relative to.
struct Reference {
    want: naive::Output,
    gradients: naive::Gradients,
    sizes: naive::Sizes,
    /// Rows that count as zero are zero in every form.
    kappa: Vec<f64>,
}

impl Reference {
    fn new<T: Float>(attention: &Attention, case: &Case<T>) -> Self {
        let inputs = case.inputs();
        let want = naive::forward(attention, &inputs).unwrap();
        let gradients = naive::backward(attention, &inputs, &case.of_output).unwrap();
        let sizes = naive::sizes(attention, &inputs, &case.of_output).unwrap();
        let kappa = want.kappa.iter().map(|kappa| if kappa.is_finite() { *kappa } else { 1.0 }).collect();
        Self { want, gradients, sizes, kappa }
    }

    fn compare<T: Float>(
        &self,
        case: &Case<T>,
        output: &[T],
        gradients: &Gradients<T>,
        tolerance: Tolerance,
        words: &str,
    ) -> Found {
        // The smallest of which a sum is made are as many as there are rows.
        let rows = case.shape.queries.max(case.shape.keys) as f64;
        let tolerance = Tolerance { smallest: tolerance.smallest * (rows / 150.0).max(1.0), ..tolerance };
        let largest = [self.kappa.iter().copied().fold(1.0, f64::max)];
        let (dim, value_dim) = (case.shape.dim, case.shape.value_dim);
        let naive::Gradients { queries: of_queries, keys: of_keys, values: of_values } = &self.gradients;
        let (size, kappa) = (&self.sizes.gradients, &self.kappa[..]);
        let compared = |name, got, want, size, width, kappa| Compared { name, got, want, size, width, kappa };
        let mut found = Found::default();
        for compared in [
            compared("output", output, &self.want.output[..], &self.sizes.output[..], value_dim, kappa),
            compared("gradient of queries", &gradients.queries, of_queries, &size.queries, dim, kappa),
            compared("gradient of keys", &gradients.keys, of_keys, &size.keys, dim, &largest),
            compared("gradient of values", &gradients.values, of_values, &size.values, value_dim, &largest),
        ] {
            found.add(&compared.check(tolerance, words));
        }
        found
    }
}

/// Output and gradients against the definition.
pub(crate) fn compare<T: Float>(
    attention: &Attention,
    case: &Case<T>,
    output: &[T],
    gradients: &Gradients<T>,
    tolerance: Tolerance,
    words: &str,
) -> Found {
    Reference::new(attention, case).compare(case, output, gradients, tolerance, words)
}

/// Every form against the definition.
fn check<T: Float>(attention: &Attention, forms: &[Form], case: &Case<T>, tolerance: f64, words: &str) -> Found {
    let reference = Reference::new(attention, case);
    let mut found = Found::default();
    for form in forms {
        let got = attention.forward(*form, &case.inputs()).unwrap();
        let back = attention.backward(&case.inputs(), &got, &case.of_output).unwrap();
        let words = format!("{words}, {form:?}");
        found.add(&reference.compare(case, &got.output, &back, Tolerance::of::<T>(tolerance), &words));
    }
    found
}

fn check_all<T: Float>(tolerance: f64) {
    let (mut checked, mut all) = (0, Found::default());
    for similarity in SIMILARITIES {
        let mut found = Found::default();
        for (dims, kind, hidden, causal) in combinations() {
            let case = Case::<T>::new(shape(dims), kind, hidden);
            let words = format!("{similarity:?}, {dims:?}, {kind:?}, {hidden:?}, causal {causal}");
            found.add(&check(&attention(similarity, causal), &forms(similarity), &case, tolerance, &words));
            checked += forms(similarity).len();
        }
        report(&format!("{similarity:?}"), &found);
        all.add(&found);
    }
    report(&format!("{checked} cases"), &all);
    assert_eq!(checked, (SIMILARITIES.len() + 7) * combinations().len());
    // The exception stays one.
    assert!(all.cancelled.0 * 10 < all.literal.0);
}

pub(crate) fn report(what: &str, found: &Found) {
    let Found { literal, cancelled, zero, kappa } = found;
    let [least, largest] = kappa.unwrap_or_default();
    println!(
        "{what}: kappa from {least:.1e} to {largest:.1e}; {} rows relative to themselves, largest error {:.3} of the \
         tolerance; {} to their terms, {:.3}; {zero} zero",
        literal.0, literal.1, cancelled.0, cancelled.1
    );
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

/// Several blocks of the width that is common: long sums, and kappa as random rows have it.
#[test]
fn long_sequences_agree() {
    let random = Similarity::Random { features: 40, seed: 5, scale: None };
    let softmax = Similarity::Softmax { scale: None };
    let cases = [
        (300, softmax, true),
        (300, Similarity::QUADRATIC, false),
        (300, Similarity::QUADRATIC_PLUS_ONE, true),
        (300, Similarity::Elu, true),
        (300, random, false),
        (300, STRAIGHT_THROUGH, true),
        (1000, Similarity::QUADRATIC, true),
    ];
    for (length, similarity, causal) in cases {
        let shape = shape([1, 1, 1, length, length, 64, 64]);
        let (attention, forms) = (attention(similarity, causal), forms(similarity));
        let words = format!("{similarity:?}, {length}, causal {causal}");
        let single = Case::<f32>::new(shape, Kind::Random, Hidden::Some);
        report(&format!("{words}, f32"), &check(&attention, &forms, &single, 1e-5, &words));
        if length < 1000 {
            let double = Case::<f64>::new(shape, Kind::Random, Hidden::Some);
            report(&format!("{words}, f64"), &check(&attention, &forms, &double, 1e-12, &words));
        }
    }
}

/// Every similarity and kind of input in the width that is common, over several blocks.
#[test]
fn wide_rows_agree() {
    let (mut checked, mut all) = (0, Found::default());
    for similarity in SIMILARITIES {
        for kind in KINDS {
            let mut found = Found::default();
            for causal in [false, true] {
                let case = Case::<f32>::new(shape([1, 2, 1, 150, 150, 64, 16]), kind, Hidden::Some);
                let words = format!("{similarity:?}, {kind:?}, causal {causal}");
                found.add(&check(&attention(similarity, causal), &forms(similarity), &case, 1e-5, &words));
                checked += forms(similarity).len();
            }
            report(&format!("{similarity:?}, {kind:?}"), &found);
            all.add(&found);
        }
    }
    report(&format!("{checked} cases of width 64"), &all);
    assert_eq!(checked, (SIMILARITIES.len() + 7) * KINDS.len() * 2);
}

/// Keys that are all the same: rounding goes one way in every step of a long sum, in one piece and in several.
#[test]
fn equal_keys_add_up() {
    for (heads, width) in [(1, 16), (8, 2)] {
        let shape = shape([1, heads, heads, 65_536, 65_536, width, width]);
        let [queries, keys, values] = [0.05, 0.1, 1.0 / 1.1].map(|value| vec![value; shape.rows() * shape.dim]);
        let inputs = Inputs { shape, queries: &queries, keys: &keys, values: &values, hidden: None };
        for similarity in [Similarity::Elu, Similarity::QUADRATIC_PLUS_ONE] {
            for causal in [false, true] {
                let output = attention(similarity, causal).forward(Form::Linear, &inputs).unwrap().output;
                let largest = output.iter().map(|output: &f32| (output * 1.1 - 1.0).abs()).fold(0.0, f32::max);
                println!("{similarity:?}, {heads} heads, causal {causal}: {largest:e}");
                assert!(largest < 1e-5, "{similarity:?}, {heads} heads, causal {causal}: {largest:e}");
            }
        }
    }
}

/// As many blocks as go through the tiled form together, the last ones in part.
#[test]
fn blocks_together_agree() {
    for similarity in SIMILARITIES {
        for causal in [false, true] {
            let case = Case::<f32>::new(shape([8, 1, 1, 1030, 520, 4, 3]), Kind::Large, Hidden::Some);
            let words = format!("{similarity:?}, causal {causal}");
            check(&attention(similarity, causal), &[Form::Tiled], &case, 1e-5, &words);
        }
    }
}

/// Weights among the smallest numbers have lost their digits: such rows are zero in every form, and counted.
#[test]
fn denominators_that_underflow_count_as_zero() {
    let shape = shape([1, 1, 1, 1, 1, 1, 1]);
    let quartic = Similarity::Polynomial { scale: 1.0, shift: 0.0, degree: 4 };
    for (similarity, value) in [(Similarity::QUADRATIC, 1e-10), (quartic, 2e-10), (Similarity::Elu, -45.0)] {
        let row = vec![value];
        let case = Case::<f32> {
            shape,
            queries: row.clone(),
            keys: row,
            values: vec![3.0],
            of_output: vec![1.0],
            hidden: None,
        };
        let attention = Attention::new(similarity);
        for form in forms(similarity).into_iter().chain([Form::Naive]) {
            let forward = attention.forward(form, &case.inputs()).unwrap();
            let gradients = attention.backward(&case.inputs(), &forward, &case.of_output).unwrap();
            let all = [&forward.output, &gradients.queries, &gradients.keys, &gradients.values];
            assert!(all.iter().all(|values| values[..] == [0.0]), "{similarity:?} {form:?}: {all:?}");
            assert_eq!(attention.check(form, &case.inputs()).unwrap().zero, 1, "{similarity:?} {form:?}");
        }
    }
}

/// What comes later has no influence, whatever its size.
#[test]
fn a_later_key_changes_nothing() {
    for similarity in SIMILARITIES {
        for form in forms(similarity) {
            let mut case = Case::<f32>::new(shape([1, 1, 1, 40, 40, 3, 2]), Kind::Random, Hidden::None);
            // All keys are long but the last, whose random features are far above those of the others.
            case.keys.iter_mut().for_each(|value| *value *= 16.0);
            let attention = attention(similarity, true);
            case.keys[39 * 3..].fill(0.01);
            let before = attention.forward(form, &case.inputs()).unwrap().output;
            case.keys[39 * 3..].fill(20.0);
            let after = attention.forward(form, &case.inputs()).unwrap().output;
            for (row, (before, after)) in before.chunks(2).zip(after.chunks(2)).enumerate().take(39) {
                let differ = before.iter().zip(after).any(|(a, b)| (a - b).abs() > 1e-5 * a.abs().max(0.1));
                assert!(!differ, "{similarity:?} {form:?} {row}: {before:?} {after:?}");
            }
        }
    }
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
        check(&attention(similarity, false), &[Form::Linear], &case, 1e-12, "long piece");
    }
}

/// The naive form through the same door as the others.
#[test]
fn the_naive_form_is_one_of_the_forms() {
    let case = Case::<f64>::new(shape(SHAPES[1]), Kind::Random, Hidden::Some);
    for similarity in SIMILARITIES {
        check(&attention(similarity, true), &[Form::Naive], &case, 1e-12, "naive");
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
