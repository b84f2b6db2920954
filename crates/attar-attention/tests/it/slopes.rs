//! The gradients of every form against central differences of that form's own output, in `f64`.

use attar_attention::{Form, HardGradient, Similarity};

use crate::cases::{Case, Hidden, Kind, SIMILARITIES, attention, shape};

/// The sum of the outputs times the gradient that they are given.
fn value(similarity: Similarity, form: Form, causal: bool, case: &Case<f64>) -> f64 {
    let output = attention(similarity, causal).forward(form, &case.inputs()).unwrap().output;
    output.iter().zip(&case.of_output).map(|(output, of)| output * of).sum()
}

fn check(similarity: Similarity, form: Form, causal: bool) {
    let case = Case::<f64>::new(shape([1, 2, 1, 4, 5, 3, 2]), Kind::Random, Hidden::Some);
    let attention = attention(similarity, causal);
    let forward = attention.forward(form, &case.inputs()).unwrap();
    let gradients = attention.backward(&case.inputs(), &forward, &case.of_output).unwrap();
    type Part = fn(&mut Case<f64>) -> &mut Vec<f64>;
    let parts: [(Part, &[f64]); 3] = [
        (|case| &mut case.queries, &gradients.queries),
        (|case| &mut case.keys, &gradients.keys),
        (|case| &mut case.values, &gradients.values),
    ];
    for (part, (of, gradient)) in parts.into_iter().enumerate() {
        for (at, got) in gradient.iter().enumerate() {
            let shifted = |by: f64| {
                let mut case = case.clone();
                of(&mut case)[at] += by;
                value(similarity, form, causal, &case)
            };
            let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            let error = (got - slope).abs();
            assert!(error < 1e-6 * slope.abs().max(1.0), "{similarity:?} {form:?} {part} {at}: {got} for {slope}");
        }
    }
}

/// All that have a slope: hard attention that learns has that of softmax in its place.
#[test]
fn gradients_are_slopes() {
    let mut checked = 0;
    for similarity in SIMILARITIES {
        let learns = matches!(similarity, Similarity::Hard { gradient: HardGradient::StraightThrough { .. } });
        for form in [Form::Naive, Form::Tiled, Form::Linear] {
            if learns || (form == Form::Linear && !similarity.has_features()) {
                continue;
            }
            for causal in [false, true] {
                check(similarity, form, causal);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 2 * (12 + 12 + 7));
}

/// Queries and keys of hard attention learn what those of softmax do; values what the hard output says.
#[test]
fn straight_through_is_the_gradient_of_softmax() {
    let case = Case::<f64>::new(shape([1, 2, 1, 4, 5, 3, 2]), Kind::Random, Hidden::Some);
    for form in [Form::Naive, Form::Tiled] {
        let of = |similarity| {
            let attention = attention(similarity, true);
            let forward = attention.forward(form, &case.inputs()).unwrap();
            attention.backward(&case.inputs(), &forward, &case.of_output).unwrap()
        };
        let soft = of(Similarity::Softmax { scale: None });
        let hard = of(Similarity::Hard { gradient: HardGradient::None });
        let through = of(crate::cases::STRAIGHT_THROUGH);
        assert_eq!((through.queries, through.keys, through.values), (soft.queries, soft.keys, hard.values), "{form:?}");
    }
}
