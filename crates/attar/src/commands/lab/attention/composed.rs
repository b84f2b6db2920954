//! Attention composed of Burn's operations, whose autodiff stores what stands between them.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::cell::{DIM, Rows};

/// What the gradients are taken of, with what autodiff has stored for them.
pub(super) struct Graph {
    leaves: [Tensor<2>; 3],
    output: Tensor<2>,
    of_output: Tensor<2>,
}

/// `softmax(Q K^T / sqrt(D)) V`: the matrix of weights is stored.
pub(super) fn softmax(rows: &Rows) -> Graph {
    Graph::new(rows, |[queries, keys, values]| {
        let scores = queries.matmul(keys.transpose()) * (DIM as f64).sqrt().recip();
        activation::softmax(scores, 1).matmul(values)
    })
}

/// `phi(Q) (phi(K)^T V) / phi(Q) sum phi(K)` of `(q.k)^2`: the features of the sequence are stored.
pub(super) fn quadratic(rows: &Rows) -> Graph {
    Graph::new(rows, |[queries, keys, values]| {
        let [queries, keys] = [queries, keys].map(features);
        let denominators = queries.clone().matmul(keys.clone().sum_dim(0).transpose());
        queries.matmul(keys.transpose().matmul(values)) / denominators
    })
}

/// `x_i^2` and `sqrt(2) x_i x_j` for i < j, of every row.
fn features(rows: Tensor<2>) -> Tensor<2> {
    let device = rows.device();
    let pairs: Vec<(usize, usize)> = (0..DIM).flat_map(|i| (i..DIM).map(move |j| (i, j))).collect();
    let place = |of: fn(&(usize, usize)) -> usize| {
        let places: Vec<i64> = pairs.iter().map(|pair| of(pair) as i64).collect();
        Tensor::<1, Int>::from_data(TensorData::new(places, [pairs.len()]), &device)
    };
    let factors: Vec<f32> = pairs.iter().map(|(i, j)| if i == j { 1.0 } else { 2.0_f32.sqrt() }).collect();
    let factors = Tensor::<2>::from_data(TensorData::new(factors, [1, pairs.len()]), &device);
    rows.clone().select(1, place(|pair| pair.0)) * rows.select(1, place(|pair| pair.1)) * factors
}

impl Graph {
    fn new(rows: &Rows, attend: impl Fn([Tensor<2>; 3]) -> Tensor<2>) -> Self {
        let device = Device::flex().autodiff();
        let tensor = |values: &[f32]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [values.len() / DIM, DIM]), &device)
        };
        let leaves = [&rows.queries, &rows.keys, &rows.values].map(|values| tensor(values).require_grad());
        Self { output: attend(leaves.clone()), leaves, of_output: tensor(&rows.of_output) }
    }

    /// Gradients of queries, keys and values.
    pub(super) fn backward(self) -> [Option<Tensor<2>>; 3] {
        let gradients = (self.output * self.of_output).sum().backward();
        self.leaves.map(|leaf| leaf.grad(&gradients))
    }
}

#[cfg(test)]
mod tests {
    use attar_attention::{Attention, Form, Similarity};

    use super::*;
    use crate::commands::lab::attention::arithmetic::difference;

    /// What is timed beside our forms is the same attention.
    #[test]
    fn the_compositions_are_attention() {
        let rows = Rows::new(20, 3);
        let check = |graph: Graph, similarity: Similarity| {
            let attention = Attention::new(similarity);
            let forward = attention.forward(Form::Tiled, &rows.inputs()).unwrap();
            let ours = attention.backward(&rows.inputs(), &forward, &rows.of_output).unwrap();
            let numbers = |tensor: Tensor<2>| tensor.into_data().iter::<f64>().collect::<Vec<f64>>();
            let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
            assert!(difference(&numbers(graph.output.clone()), &wide(&forward.output)) < 1e-4);
            let gradients = graph.backward().map(|gradient| numbers(gradient.unwrap()));
            for (composed, ours) in gradients.iter().zip([&ours.queries, &ours.keys, &ours.values]) {
                assert!(difference(composed, &wide(ours)) < 1e-4);
            }
        };
        check(softmax(&rows), Similarity::Softmax { scale: None });
        check(quadratic(&rows), Similarity::QUADRATIC);
    }
}
