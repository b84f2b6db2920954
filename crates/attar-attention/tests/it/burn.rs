//! Burn's tensors through its autodiff: the operation on the host and the composition, against the definition.

use attar_attention::{Attention, Error, Form, Gradients, HardGradient, Positivity, Similarity, burn as attar_burn};
use attar_ops::Float;
use burn::tensor::{Bool, DType, Device, Element, Tensor, TensorData};

use crate::agreement::{Tolerance, compare};
use crate::cases::{Case, HIDDEN, Hidden, KINDS, Kind, SHAPES, SIMILARITIES, attention, shape};

/// Queries, keys and values.
type Leaves = [Tensor<4>; 3];
type Run<'a> = &'a dyn Fn(Leaves, Option<Tensor<2, Bool>>) -> Result<Tensor<4>, Error>;

fn leaf<T: Float + Element>(values: &[T], shape: [usize; 4], kind: DType) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (&Device::flex().autodiff(), kind))
}

fn leaves<T: Float + Element>(case: &Case<T>, kind: DType) -> Leaves {
    let s = case.shape;
    [
        leaf(&case.queries, [s.batch, s.heads, s.queries, s.dim], kind).require_grad(),
        leaf(&case.keys, [s.batch, s.key_heads, s.keys, s.dim], kind).require_grad(),
        leaf(&case.values, [s.batch, s.key_heads, s.keys, s.value_dim], kind).require_grad(),
    ]
}

fn hidden<T>(case: &Case<T>) -> Option<Tensor<2, Bool>> {
    let shape = [case.shape.batch, case.shape.keys];
    case.hidden.clone().map(|hidden| Tensor::from_data(TensorData::new(hidden, shape), &Device::flex()))
}

fn numbers<T: Element>(tensor: Tensor<4>) -> Vec<T> {
    tensor.into_data().iter().collect()
}

/// The output and its gradients, where a missing one is zero.
fn evaluate<T: Float + Element>(run: Run<'_>, case: &Case<T>, kind: DType) -> (Vec<T>, Gradients<T>) {
    let leaves = leaves(case, kind);
    let output = run(leaves.clone(), hidden(case)).unwrap();
    assert_eq!(output.dtype(), kind);
    let direction = leaf(&case.of_output, output.dims(), kind);
    let gradients = (output.clone() * direction).sum().backward();
    let [queries, keys, values] = leaves.map(|leaf| {
        let zeros = || vec![T::ZERO; leaf.dims().iter().product()];
        leaf.grad(&gradients).map_or_else(zeros, |gradient| {
            assert_eq!(gradient.dtype(), kind);
            numbers(gradient)
        })
    });
    (numbers(output), Gradients { queries, keys, values })
}

/// Short sequences with everything.
fn cases<T: Float>() -> Vec<(Case<T>, bool, String)> {
    let mut all = Vec::new();
    for dims in SHAPES.into_iter().filter(|dims| dims[3] * dims[4] < 1000) {
        for kind in KINDS {
            for hidden in HIDDEN {
                let words = format!("{dims:?}, {kind:?}, {hidden:?}");
                let case = || Case::new(shape(dims), kind, hidden);
                all.extend([false, true].map(|causal| (case(), causal, format!("{words}, causal {causal}"))));
            }
        }
    }
    all
}

fn check_composition<T: Float + Element>(kind: DType, tolerance: f64) {
    let tolerance = Tolerance::of::<T>(tolerance);
    for (case, causal, words) in cases::<T>() {
        for similarity in SIMILARITIES {
            let attention = attention(similarity, causal);
            let composed: Run<'_> = &|[q, k, v], hidden| attar_burn::composed(&attention, q, k, v, hidden);
            let (output, gradients) = evaluate(composed, &case, kind);
            compare(&attention, &case, &output, &gradients, tolerance, &format!("{similarity:?}, {words}"));
        }
    }
}

#[test]
fn the_composition_agrees_in_f32() {
    check_composition::<f32>(DType::F32, 1e-5);
}

#[test]
fn the_composition_agrees_in_f64() {
    check_composition::<f64>(DType::F64, 1e-12);
}

/// The slices themselves are tested elsewhere: here it is that they get what they should.
fn check_operation<T: Float + Element>(kind: DType) {
    for dims in [SHAPES[1], SHAPES[4], SHAPES[9], SHAPES[11]] {
        let case = Case::<T>::new(shape(dims), Kind::Random, Hidden::Some);
        for similarity in SIMILARITIES {
            for form in [Form::Naive, Form::Tiled, Form::Linear] {
                if form == Form::Linear && !similarity.has_features() {
                    continue;
                }
                let attention = attention(similarity, true);
                let forward = attention.forward(form, &case.inputs()).unwrap();
                let want = attention.backward(&case.inputs(), &forward, &case.of_output).unwrap();
                let run: Run<'_> = &|[q, k, v], hidden| attar_burn::attention(&attention, form, q, k, v, hidden);
                assert_eq!(evaluate(run, &case, kind), (forward.output, want), "{similarity:?} {form:?} {dims:?}");
            }
        }
    }
}

#[test]
fn the_operation_is_that_on_slices() {
    check_operation::<f32>(DType::F32);
    check_operation::<f64>(DType::F64);
}

/// Heads as projections leave them, `[batch, length, heads, dim]`, transposed: no values in row-major order.
#[test]
fn tensors_may_lie_in_memory_as_they_like() {
    let case = Case::<f64>::new(shape([2, 4, 2, 6, 5, 3, 2]), Kind::Random, Hidden::Some);
    let attention = attention(Similarity::QUADRATIC_PLUS_ONE, false);
    let run = |turn: bool| {
        let turned = |tensor: Tensor<4>| match turn {
            true => (tensor.swap_dims(1, 2) * 1.0).swap_dims(1, 2),
            false => tensor,
        };
        let run: Run<'_> = &|leaves, hidden| {
            let [q, k, v] = leaves.map(turned);
            attar_burn::attention(&attention, Form::Linear, q, k, v, hidden).map(turned)
        };
        evaluate(run, &case, DType::F64)
    };
    assert_eq!(run(true), run(false));
}

/// Both ways take inputs of 16 bits, sum in `f32` and round what comes out.
fn check_16_bits(kind: DType, tolerance: Tolerance, cases: impl Iterator<Item = (Case<f32>, bool, String)>) {
    for (case, causal, words) in cases {
        let case = rounded(case, kind);
        // Where sums cancel, gradients are beyond 65504, where f16 ends.
        let within = |similarity: &Similarity| kind != DType::F16 || similarity.positivity() != Positivity::Signed;
        for similarity in SIMILARITIES.into_iter().filter(within) {
            let attention = attention(similarity, causal);
            let in_form = |form| {
                let attention = &attention;
                move |[q, k, v]: Leaves, hidden| attar_burn::attention(attention, form, q, k, v, hidden)
            };
            let (tiled, linear) = (in_form(Form::Tiled), in_form(Form::Linear));
            let composed: Run<'_> = &|[q, k, v], hidden| attar_burn::composed(&attention, q, k, v, hidden);
            let linear: Option<Run<'_>> = similarity.has_features().then_some(&linear);
            for run in [&tiled, composed].into_iter().chain(linear) {
                let (output, gradients) = evaluate(run, &case, kind);
                let words = format!("{kind:?}, {similarity:?}, {words}");
                compare(&attention, &case, &output, &gradients, tolerance, &words);
            }
        }
    }
}

#[test]
fn bf16_is_summed_in_f32() {
    check_16_bits(DType::BF16, Tolerance::of::<f32>(2e-2), cases().into_iter());
}

/// Long rows are left out: their gradients too are beyond where f16 ends.
#[test]
fn f16_is_summed_in_f32() {
    let short = cases().into_iter().filter(|(.., words)| !words.contains("Large"));
    check_16_bits(DType::F16, Tolerance { relative: 2e-3, smallest: 1e-7 }, short);
}

/// With values that numbers of that kind hold.
fn rounded(case: Case<f32>, kind: DType) -> Case<f32> {
    let round = |values: Vec<f32>| numbers(leaf(&values, [1, 1, 1, values.len()], kind));
    Case {
        queries: round(case.queries),
        keys: round(case.keys),
        values: round(case.values),
        of_output: round(case.of_output),
        ..case
    }
}

#[test]
fn not_a_number_stays_visible() {
    for similarity in SIMILARITIES {
        let mut case = Case::<f32>::new(shape([1, 1, 1, 6, 6, 3, 2]), Kind::Random, Hidden::None);
        case.keys[3 * 3] = f32::NAN;
        let [q, k, v] = leaves(&case, DType::F32);
        let output = attar_burn::composed(&attention(similarity, true), q, k, v, None).unwrap();
        let seeing = &numbers::<f32>(output)[3 * 2..];
        assert!(seeing.iter().all(|value| value.is_nan()), "{similarity:?}: {seeing:?}");
    }
}

/// `elu(x) + 1` by Burn's operations before a product of features is the similarity that has it built in.
#[test]
fn a_feature_map_may_be_the_users() {
    let case = Case::<f64>::new(shape([2, 4, 2, 9, 9, 3, 2]), Kind::Random, Hidden::Some);
    let map = |x: Tensor<4>| {
        let above = x.clone().clamp_min(0.0);
        above.clone() + (x - above).exp()
    };
    let product = Similarity::Product { positivity: Positivity::Strict };
    for form in [Form::Naive, Form::Tiled, Form::Linear] {
        let [own, built_in] = [product, Similarity::Elu].map(|similarity| attention(similarity, true));
        let own: Run<'_> = &|[q, k, v], hidden| attar_burn::attention(&own, form, map(q), map(k), v, hidden);
        let (output, gradients) = evaluate(own, &case, DType::F64);
        let words = format!("{form:?}");
        compare(&built_in, &case, &output, &gradients, Tolerance::of::<f64>(1e-12), &words);
    }
}

#[test]
fn tensors_that_do_not_fit_are_errors() {
    let zeros = |shape: [usize; 4]| Tensor::<4>::zeros(shape, &Device::flex());
    let fitting = || [zeros([2, 4, 3, 5]), zeros([2, 2, 7, 5]), zeros([2, 2, 7, 6])];
    let check = |similarity, [q, k, v]: Leaves, hidden: Option<[usize; 2]>, want: &str| {
        let hidden = hidden.map(|shape| Tensor::<2>::zeros(shape, &Device::flex()).equal_elem(0.0));
        let result = attar_burn::attention(&Attention::new(similarity), Form::Linear, q, k, v, hidden);
        assert_eq!(result.unwrap_err().to_string(), want);
    };
    let elu = Similarity::Elu;
    let [q, k, v] = fitting();
    check(
        elu,
        [q.clone(), zeros([2, 2, 7, 4]), v.clone()],
        None,
        "expected keys of shape [2, 2, 7, 5], got [2, 2, 7, 4]",
    );
    check(
        elu,
        [q.clone(), k.clone(), zeros([2, 2, 6, 7])],
        None,
        "expected values of shape [2, 2, 7, 7], got [2, 2, 6, 7]",
    );
    check(elu, [q.clone(), k.clone(), v.clone().cast(DType::F64)], None, "expected values of F32, got F64");
    let marks = "expected marks of hidden keys of shape [2, 7], got [7, 2]";
    check(elu, fitting(), Some([7, 2]), marks);
    let heads = "expected heads in groups of equal size, got 4 heads for 3 heads of keys";
    check(elu, [q, zeros([2, 3, 7, 5]), zeros([2, 3, 7, 6])], None, heads);
    let hard = Similarity::Hard { gradient: HardGradient::None };
    check(hard, fitting(), None, "hard attention has no finite feature map: use the tiled form");
    let cubic = Similarity::Polynomial { scale: 1.0, shift: 0.0, degree: 3 };
    check(cubic, fitting(), None, &Error::Signed.to_string());
}
