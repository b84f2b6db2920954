//! Milliseconds forward and backward of every form, in `f32`:
//! `cargo run --release -p attar-attention --example timings -- 1024 4096`.

use std::time::Instant;

use attar_attention::{Attention, Error, Form, HardGradient, Inputs, Shape, Similarity};

const TRIES: usize = 5;

/// Forward and backward in milliseconds, each the least of some tries.
fn milliseconds(attention: &Attention, form: Form, inputs: &Inputs<'_, f32>) -> Result<[f64; 2], Error> {
    let of_output = noise(inputs.shape.rows() * inputs.shape.value_dim, 0.4);
    let mut least = [f64::INFINITY; 2];
    for _ in 0..TRIES {
        let start = Instant::now();
        let forward = attention.forward(form, inputs)?;
        let between = Instant::now();
        let gradients = attention.backward(inputs, &forward, &of_output)?;
        let end = Instant::now();
        std::hint::black_box(gradients);
        least[0] = least[0].min((between - start).as_secs_f64() * 1e3);
        least[1] = least[1].min((end - between).as_secs_f64() * 1e3);
    }
    Ok(least)
}

fn noise(count: usize, seed: f64) -> Vec<f32> {
    (0..count).map(|at| (1.6 * (at as f64 * 0.731 + seed).sin()) as f32).collect()
}

fn main() -> Result<(), Error> {
    let similarities = [
        ("softmax", Similarity::Softmax { scale: None }),
        ("(q.k)^2", Similarity::QUADRATIC),
        ("elu + 1", Similarity::Elu),
        ("256 random features", Similarity::Random { features: 256, seed: 0, scale: None }),
        ("hard", Similarity::Hard { gradient: HardGradient::StraightThrough { scale: None } }),
    ];
    let mut lengths: Vec<usize> = std::env::args().filter_map(|length| length.parse().ok()).collect();
    if lengths.is_empty() {
        lengths = vec![1024, 4096];
    }
    println!("batch 1, 8 heads, dim 64, {} threads", rayon::current_num_threads());
    println!("{:>6} {:20} {:7} {:6} {:>9} {:>9}", "length", "similarity", "form", "causal", "forward", "backward");
    for length in lengths {
        let shape = Shape { batch: 1, heads: 8, key_heads: 8, queries: length, keys: length, dim: 64, value_dim: 64 };
        let [queries, keys, values] = [0.1, 0.2, 0.3].map(|seed| noise(shape.rows() * shape.dim, seed));
        let inputs = Inputs { shape, queries: &queries, keys: &keys, values: &values, hidden: None };
        for (name, similarity) in similarities {
            for form in [Form::Tiled, Form::Linear].into_iter().take(1 + usize::from(similarity.has_features())) {
                for causal in [false, true] {
                    let attention = Attention { causal, ..Attention::new(similarity) };
                    let [forward, backward] = milliseconds(&attention, form, &inputs)?;
                    println!("{length:6} {name:20} {form:7?} {causal:6} {forward:9.1} {backward:9.1}");
                }
            }
        }
    }
    Ok(())
}
