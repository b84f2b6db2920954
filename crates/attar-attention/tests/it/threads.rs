//! The same bits at any number of threads.

use attar_attention::{Attention, Form, Forward, Gradients, Similarity};
use attar_ops::Float;

use crate::cases::{Case, Hidden, Kind, SIMILARITIES, attention, shape};
use crate::state::by_pieces;

fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn run<T: Float>(attention: &Attention, form: Form, case: &Case<T>, threads: usize) -> (Forward<T>, Gradients<T>) {
    on_threads(threads, || {
        let forward = attention.forward(form, &case.inputs()).unwrap();
        let gradients = attention.backward(&case.inputs(), &forward, &case.of_output).unwrap();
        (forward, gradients)
    })
}

fn check<T: Float>() {
    // One head, whose sequence is what is shared; and several.
    for dims in [[1, 1, 1, 700, 700, 8, 8], [1, 4, 2, 300, 420, 8, 8]] {
        let case = Case::<T>::new(shape(dims), Kind::Fading, Hidden::Some);
        for similarity in SIMILARITIES {
            for form in [Form::Tiled, Form::Linear] {
                if form == Form::Linear && !similarity.has_features() {
                    continue;
                }
                for causal in [false, true] {
                    let attention = attention(similarity, causal);
                    let one = run(&attention, form, &case, 1);
                    assert!(one == run(&attention, form, &case, 2), "{similarity:?} {form:?} {causal}: 2 threads");
                    assert!(one == run(&attention, form, &case, 4), "{similarity:?} {form:?} {causal}: 4 threads");
                }
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    check::<f32>();
    check::<f64>();
}

#[test]
fn nor_do_those_of_a_state() {
    let case = Case::<f32>::new(shape([1, 4, 2, 300, 300, 8, 8]), Kind::Random, Hidden::Some);
    for similarity in SIMILARITIES.into_iter().filter(Similarity::has_features) {
        let run = |threads| on_threads(threads, || by_pieces(attention(similarity, true), &case, &[180, 1, 119]));
        let one = run(1);
        assert!(one == run(2) && one == run(4), "{similarity:?}");
    }
}
