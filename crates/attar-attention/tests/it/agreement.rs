//! Every form and similarity, causal and not, with hidden keys and without, in both types.

use attar_attention::{Form, Similarity, naive};
use attar_ops::Float;

use crate::cases::{Case, HIDDEN, KINDS, SHAPES, SIMILARITIES, attention, shape};

fn check_all<T: Float>(tolerance: f64) {
    let mut worst = std::collections::BTreeMap::new();
    for similarity in SIMILARITIES {
        for dims in SHAPES {
            for kind in KINDS {
                for hidden in HIDDEN {
                    for causal in [false, true] {
                        let case = Case::<T>::new(shape(dims), kind, hidden);
                        let attention = attention(similarity, causal);
                        let inputs = case.inputs();
                        let want = naive::forward(&attention, &inputs).unwrap();
                        let want_back = naive::backward(&attention, &inputs, &case.of_output).unwrap();
                        for form in [Form::Tiled, Form::Linear] {
                            if form == Form::Linear && !similarity.has_features() { continue; }
                            let got = attention.forward(form, &inputs).unwrap();
                            let back = attention.backward(&inputs, &got, &case.of_output).unwrap();
                            let s = case.shape;
                            let kmax = want.kappa.iter().copied().filter(|k| k.is_finite()).fold(1.0, f64::max);
                            for (name, g, w, width) in [("out", &got.output, &want.output, s.value_dim), ("dq", &back.queries, &want_back.queries, s.dim), ("dk", &back.keys, &want_back.keys, s.dim), ("dv", &back.values, &want_back.values, s.value_dim)] {
                                for (row, (g, w)) in g.chunks_exact(width).zip(w.chunks_exact(width)).enumerate() {
                                    let norm = w.iter().map(|x| x * x).sum::<f64>().sqrt();
                                    let error = g.iter().zip(w).map(|(g, w)| (g.to_f64() - w).powi(2)).sum::<f64>().sqrt();
                                    let kappa = if name == "out" || name == "dq" { want.kappa[row].max(1.0) } else { kmax };
                                    let kappa = if kappa.is_finite() { kappa } else { 1.0 };
                                    let rel = if error == 0.0 { 0.0 } else { error / norm / kappa / tolerance };
                                    let key = format!("{name} {similarity:?} {form:?} {kind:?}");
                                    let entry = worst.entry(key).or_insert((0.0, String::new()));
                                    if !(rel <= entry.0) {
                                        *entry = (rel, format!("{dims:?} {hidden:?} {causal} row {row} norm {norm:.2e} err {error:.2e} kappa {kappa:.2e}"));
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    let mut bad = 0;
    for (k, (v, d)) in worst { if !(v <= 1.0) { bad += 1; println!("{v:.2e} {k}: {d}"); } }
    assert_eq!(bad, 0);
}

#[test]
fn f32_agrees() {
    check_all::<f32>(1e-5);
}

#[test]
fn f64_agrees() {
    check_all::<f64>(1e-12);
}
