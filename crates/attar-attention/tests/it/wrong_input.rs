//! What is refused, and how it is said.

use attar_attention::{Attention, Error, Form, Inputs, Shape, Similarity};

use crate::cases::{Case, Hidden, Kind, shape};

fn check(similarity: Similarity, change: impl Fn(&mut Inputs<'_, f32>), want: &str) {
    let case = Case::<f32>::new(shape([1, 2, 1, 3, 4, 2, 2]), Kind::Random, Hidden::None);
    let mut inputs = case.inputs();
    change(&mut inputs);
    let error = Attention::new(similarity).forward(Form::Linear, &inputs).unwrap_err();
    assert_eq!(error.to_string(), want);
}

#[test]
fn wrong_inputs_are_errors() {
    let elu = Similarity::Elu;
    check(elu, |inputs| inputs.keys = &inputs.keys[1..], "expected 8 values of keys, got 7");
    check(elu, |inputs| inputs.hidden = Some(&[true]), "expected 4 marks of hidden keys, got 1");
    check(elu, |inputs| inputs.shape.dim = 0, "expected at least one feature of queries and keys, got none");
    let groups = "expected heads in groups of equal size, got 2 heads for 3 heads of keys";
    check(elu, |inputs| inputs.shape.key_heads = 3, groups);
    let too_large = |inputs: &mut Inputs<'_, f32>| inputs.shape = Shape { batch: usize::MAX, ..inputs.shape };
    check(elu, too_large, &Error::TooLarge(Shape { batch: usize::MAX, ..shape([1, 2, 1, 3, 4, 2, 2]) }).to_string());
    let softmax = Similarity::Softmax { scale: None };
    check(softmax, |_| (), "softmax has no finite feature map: use the tiled form");
    let cubic = Similarity::Polynomial { scale: 1.0, shift: 0.0, degree: 3 };
    check(cubic, |_| (), &Error::Signed.to_string());
    let nan = Similarity::Softmax { scale: Some(f64::NAN) };
    check(nan, |_| (), "expected a finite scale above 0, got NaN");
    let none = Similarity::Random { features: 0, seed: 0, scale: None };
    check(none, |_| (), "expected at least one random feature, got none");
    let many = Similarity::Random { features: usize::MAX, seed: 0, scale: None };
    check(many, |_| (), "expected at most 1,048,576 random features, got 18446744073709552000");
    let high = Similarity::Polynomial { scale: 1.0, shift: 0.0, degree: 2000 };
    check(high, |_| (), "expected a polynomial of at most degree 1,024, got 2000");
}

#[test]
fn a_gradient_of_another_shape_is_an_error() {
    let case = Case::<f32>::new(shape([1, 2, 1, 3, 4, 2, 2]), Kind::Random, Hidden::None);
    let attention = Attention::new(Similarity::Elu);
    let mut forward = attention.forward(Form::Tiled, &case.inputs()).unwrap();
    assert!(attention.backward(&case.inputs(), &forward, &case.of_output[1..]).is_err());
    let causal = Attention { causal: true, ..attention };
    assert!(matches!(causal.backward(&case.inputs(), &forward, &case.of_output), Err(Error::Mismatch { .. })));
    let other = Case::<f32>::new(shape([1, 2, 2, 3, 4, 2, 2]), Kind::Random, Hidden::None);
    assert!(matches!(attention.backward(&other.inputs(), &forward, &other.of_output), Err(Error::Mismatch { .. })));
    forward.normaliser.pop();
    assert!(attention.backward(&case.inputs(), &forward, &case.of_output).is_err());
}
