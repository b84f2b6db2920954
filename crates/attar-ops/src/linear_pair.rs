//! Two dense layers without an activation, taken as the one affine map that they are.
//!
//! The products of `X W1 W2` and of its gradients may be taken in any order. Where the layers meet in more numbers than
//! there are inputs, outputs and samples, it is cheaper to multiply the weights first; the result is the same but for
//! rounding.

use crate::loss::squared_error_with_bias;
use crate::network::{Dense, DenseGradient, Target};
use crate::{Activation, Buffers, Float, Matrix, Precision, column_sums, product};

/// Two layers that are worth taking as one map.
pub(crate) struct LinearPair<'a, T> {
    first: &'a Dense<'a, T>,
    second: &'a Dense<'a, T>,
}

impl<'a, T: Float> LinearPair<'a, T> {
    /// The pair that the layers are, if a pass down takes fewer multiplications through the map.
    pub(crate) fn for_forward(layers: &'a [Dense<'a, T>], samples: usize) -> Option<Self> {
        let pair = Self::of(layers)?;
        let [inputs, inner, outputs] = pair.widths();
        (inputs * outputs * (inner + samples) < samples * inner * (inputs + outputs)).then_some(pair)
    }

    /// The pair that the layers are, if a pass down and up takes fewer multiplications through the map.
    pub(crate) fn for_gradients(layers: &'a [Dense<'a, T>], samples: usize) -> Option<Self> {
        let pair = Self::of(layers)?;
        let [inputs, inner, outputs] = pair.widths();
        let through_map = inputs * outputs * (3 * inner + 2 * samples);
        (through_map < samples * inner * (2 * inputs + 3 * outputs)).then_some(pair)
    }

    fn of(layers: &'a [Dense<'a, T>]) -> Option<Self> {
        let [first, second] = layers else { return None };
        let linear = |layer: &Dense<'_, T>| {
            layer.activation == Activation::Identity && layer.precision == Precision::Full && layer.bias.is_some()
        };
        (linear(first) && linear(second)).then_some(Self { first, second })
    }

    fn widths(&self) -> [usize; 3] {
        [self.first.inputs, self.first.outputs, self.second.outputs]
    }

    /// `X (W1 W2) + (b1 W2 + b2)`.
    pub(crate) fn forward(&self, input: &[T], samples: usize, buffers: &mut Buffers<T>) -> Vec<T> {
        let (mut output, bias) = self.output_and_bias(input, samples, buffers);
        Activation::Identity.add_bias_and_apply(&mut output, Some(&bias), &mut []);
        buffers.give(bias);
        output
    }

    fn output_and_bias(&self, input: &[T], samples: usize, buffers: &mut Buffers<T>) -> (Vec<T>, Vec<T>) {
        let [inputs, inner, outputs] = self.widths();
        let mut map = buffers.take(inputs * outputs);
        multiply(&mut map, self.first.weight(), self.second.weight());
        let mut bias = buffers.take(outputs);
        multiply(&mut bias, Matrix::row_major(self.first.bias.unwrap_or_default(), inner), self.second.weight());
        for (bias, &second) in bias.iter_mut().zip(self.second.bias.unwrap_or_default()) {
            *bias += second;
        }
        let mut output = buffers.take(samples * outputs);
        multiply(&mut output, Matrix::row_major(input, inputs), Matrix::row_major(&map, outputs));
        buffers.give(map);
        (output, bias)
    }

    /// The target's squared error and the gradients of both layers.
    ///
    /// With G = X^T dY and s the sums of the columns of dY: dW1 = G W2^T, db1 = s W2^T, dW2 = W1^T G + b1^T s, db2 = s.
    pub(crate) fn gradients(
        &self,
        input: &[T],
        samples: usize,
        target: &Target<'_, T>,
        buffers: &mut Buffers<T>,
    ) -> (f64, Vec<DenseGradient<T>>) {
        let [inputs, inner, outputs] = self.widths();
        let (mut gradient, bias) = self.output_and_bias(input, samples, buffers);
        let loss = squared_error_with_bias(&mut gradient, Some(&bias), target);
        buffers.give(bias);
        let mut of_map = buffers.take(inputs * outputs);
        multiply(&mut of_map, Matrix::row_major(input, inputs).transposed(), Matrix::row_major(&gradient, outputs));
        let of_first = [buffers.take(inputs * inner), buffers.take(inner)];
        let of_second = [buffers.take(inner * outputs), buffers.take(outputs)];
        let ([mut first, mut first_bias], [mut second, mut second_bias]) = (of_first, of_second);
        column_sums(&gradient, &mut second_bias);
        let (map, sums) = (Matrix::row_major(&of_map, outputs), Matrix::row_major(&second_bias, outputs));
        multiply(&mut first, map, self.second.weight().transposed());
        multiply(&mut first_bias, sums, self.second.weight().transposed());
        multiply(&mut second, self.first.weight().transposed(), map);
        for (row, &bias) in second.chunks_exact_mut(outputs.max(1)).zip(self.first.bias.unwrap_or_default()) {
            row.iter_mut().zip(&second_bias).for_each(|(value, &sum)| *value += bias * sum);
        }
        buffers.give(gradient);
        buffers.give(of_map);
        let of_layer = |weight, bias| DenseGradient { weight, bias };
        (loss, vec![of_layer(first, first_bias), of_layer(second, second_bias)])
    }
}

fn multiply<T: Float>(out: &mut [T], left: Matrix<'_, T>, right: Matrix<'_, T>) {
    product(Precision::Full, out, left, right);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layer_by_layer;

    fn values(count: usize, seed: f64) -> Vec<f64> {
        (0..count).map(|at| (at as f64 * 0.731 + seed).sin() + 0.1).collect()
    }

    fn difference(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// Through the map against layer by layer, weighted and not.
    #[test]
    fn the_map_is_the_two_layers() {
        let (inputs, inner, outputs, samples) = (7, 40, 6, 11);
        let (w1, b1) = (values(inputs * inner, 0.0), values(inner, 1.0));
        let (w2, b2) = (values(inner * outputs, 2.0), values(outputs, 3.0));
        let dense = |weight, bias, inputs, outputs| Dense {
            weight,
            bias: Some(bias),
            inputs,
            outputs,
            activation: Activation::Identity,
            precision: Precision::Full,
        };
        let layers = [dense(&w1[..], &b1[..], inputs, inner), dense(&w2[..], &b2[..], inner, outputs)];
        let (input, wanted, weight) =
            (values(samples * inputs, 4.0), values(samples * outputs, 5.0), values(samples * outputs, 6.0));
        let mut buffers = Buffers::default();
        for weight in [None, Some(&weight[..])] {
            let target = Target { values: &wanted, weight, scale: 0.3 };
            let pair = LinearPair::for_gradients(&layers, samples).expect("a pair that meets in many numbers");
            let (loss, mut through) = pair.gradients(&input, samples, &target, &mut buffers);
            let (want, by_layer) = layer_by_layer(&layers, &input, samples, &target, &mut buffers);
            assert!((loss - want).abs() < 1e-11 * want.abs(), "{loss} for {want}");
            for (through, by_layer) in through.drain(..).zip(by_layer) {
                assert!(difference(&through.weight, &by_layer.weight) < 1e-9);
                assert!(difference(&through.bias, &by_layer.bias) < 1e-9);
            }
        }
        assert!(LinearPair::for_gradients(&layers, 2).is_none(), "few samples go layer by layer");
    }
}
