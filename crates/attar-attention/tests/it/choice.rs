//! The form that is chosen, and why.

use attar_attention::{Attention, Error, Form, Shape, Similarity};

use crate::cases::{Case, Hidden, Kind, SIMILARITIES, attention, shape};

/// Lengths through the crossover of every similarity.
fn shapes() -> impl Iterator<Item = Shape> {
    (4..=17).map(|power| shape([1, 8, 8, 1 << power, 1 << power, 64, 64]))
}

#[test]
fn the_least_predicted_is_chosen() {
    for similarity in SIMILARITIES {
        for (causal, shape) in [false, true].into_iter().flat_map(|causal| shapes().map(move |shape| (causal, shape))) {
            let choice = attention(similarity, causal).choose(&shape).unwrap();
            let forms: Vec<Form> = choice.costs.iter().map(|cost| cost.form).collect();
            assert_eq!(forms.len(), 1 + usize::from(similarity.has_features()), "{similarity:?}");
            assert_eq!(choice.form, forms[0]);
            assert!(choice.costs.iter().all(|cost| cost.seconds > 0.0 && cost.seconds >= choice.costs[0].seconds));
            assert!(choice.to_string().starts_with(&format!("{:?} ", choice.form).to_lowercase()), "{choice}");
        }
    }
}

/// Short sequences of many features go pair by pair, long ones through sums, and there is one crossover between.
#[test]
fn long_sequences_go_through_sums() {
    for similarity in [Similarity::QUADRATIC, Similarity::QUADRATIC_PLUS_ONE] {
        for causal in [false, true] {
            let chosen: Vec<Form> =
                shapes().map(|shape| attention(similarity, causal).choose(&shape).unwrap().form).collect();
            assert_eq!((chosen[2], chosen[13]), (Form::Tiled, Form::Linear), "{similarity:?} {causal}");
            assert_eq!(chosen.windows(2).filter(|pair| pair[0] != pair[1]).count(), 1, "{similarity:?} {chosen:?}");
        }
    }
}

/// The products written out: scores and output forward; both again and three gradients backward, of which that of
/// weights and of values have the values' width. In sums rows of queries and of keys meet their features three times each,
/// but once without the denominator's column.
#[test]
fn operations_are_counted() {
    let shape = shape([2, 8, 8, 1000, 1000, 64, 32]);
    let flops = |similarity| {
        let choice = attention(similarity, false).choose(&shape).unwrap();
        let of = |form| choice.costs.iter().find(|cost| cost.form == form).map(|cost| cost.flops);
        [of(Form::Tiled), of(Form::Linear)]
    };
    let pairs = 16.0 * 1000.0 * 1000.0;
    assert_eq!(flops(Similarity::Softmax { scale: None }), [Some(2.0 * pairs * (4.0 * 64.0 + 3.0 * 32.0)), None]);
    let sums = 2.0 * 16.0 * 1000.0 * (64.0 * 65.0 / 2.0) * (5.0 * 33.0 + 32.0);
    assert_eq!(flops(Similarity::QUADRATIC)[1], Some(sums));
}

/// What is chosen computes the same bits as when it is named, and says what it was.
#[test]
fn what_is_chosen_is_recorded() {
    for length in [8, 300] {
        let case = Case::<f32>::new(shape([1, 2, 1, length, length, 4, 3]), Kind::Random, Hidden::Some);
        for similarity in SIMILARITIES {
            let attention = attention(similarity, true);
            let chosen = attention.choose(&case.shape).unwrap().form;
            let [forward, named] = [Form::Auto, chosen].map(|form| attention.forward(form, &case.inputs()).unwrap());
            assert_eq!((forward.form(), &forward), (chosen, &named));
            let [back, of_named] =
                [&forward, &named].map(|forward| attention.backward(&case.inputs(), forward, &case.of_output).unwrap());
            assert_eq!(back, of_named);
            let [found, of_named] = [Form::Auto, chosen].map(|form| attention.check(form, &case.inputs()).unwrap());
            assert_eq!(found, of_named);
        }
    }
}

#[test]
fn a_wrong_shape_has_no_choice() {
    let wrong = Shape { key_heads: 0, ..shape([1, 1, 1, 2, 2, 2, 2]) };
    assert_eq!(Attention::new(Similarity::Elu).choose(&wrong).unwrap_err(), Error::None("head of keys"));
}
