//! What attention stands for, in Burn's own operations: all pairs of queries and keys at once.

use burn::tensor::{Bool, DType, Int, Tensor, TensorData};

use crate::projection::projection;
use crate::similarity::scale_or_default;
use crate::{Attention, HardGradient, Positivity, Similarity, tau};

/// On `f32` or `f64` and shapes that were checked.
pub(super) fn attention(
    attention: &Attention,
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    hidden: Option<Tensor<2, Bool>>,
) -> Tensor<4> {
    let [batch, heads, count, dim] = queries.dims();
    let [_, _, keys_count, value_dim] = values.dims();
    if batch * count * keys_count == 0 {
        // Of the queries, so that autodiff follows it as everything else.
        let rows = queries.sum_dim(3);
        let all = rows.clone().equal(rows.clone());
        return rows.mask_fill(all, 0.0).repeat_dim(3, value_dim);
    }
    let unseen = unseen(attention.causal, &queries, keys_count, hidden);
    let (keys, values) = (repeated(keys, heads), repeated(values, heads));
    match attention.similarity {
        Similarity::Hard { gradient: HardGradient::StraightThrough { scale } } => {
            let scores = products(queries, keys);
            let hard = chosen(&scores, &unseen).matmul(values.clone());
            let soft = exponentials(scores * scale_or_default(scale, dim), &unseen);
            let least = soft.clone().sum_dim(3).zeros_like();
            let soft = mean(soft, least, values.detach());
            hard + (soft.clone() - soft.detach())
        }
        similarity => {
            let least = least(similarity, &queries, &keys, &unseen);
            mean(weights(similarity, queries, keys, &unseen), least, values)
        }
    }
}

/// `[batch, heads, queries, keys]`: the keys that a query does not see.
fn unseen(causal: bool, queries: &Tensor<4>, keys: usize, hidden: Option<Tensor<2, Bool>>) -> Tensor<4, Bool> {
    let [batch, heads, count, _] = queries.dims();
    let shape = [batch, heads, count, keys];
    // The last query sees all keys, and a tensor's length is far from the ends of an i64.
    let offset = if causal { keys as i64 - count as i64 } else { keys as i64 };
    let later = Tensor::<2, Bool>::tril_mask([count, keys], offset, &queries.device()).unsqueeze::<4>().expand(shape);
    match hidden {
        Some(hidden) => later.bool_or(hidden.reshape([batch, 1, 1, keys]).expand(shape)),
        None => later,
    }
}

/// Heads of keys or values, each as often as heads of queries share it.
fn repeated(tensor: Tensor<4>, heads: usize) -> Tensor<4> {
    let [batch, key_heads, count, dim] = tensor.dims();
    if key_heads == heads {
        return tensor;
    }
    let groups = tensor.reshape([batch, key_heads, 1, count, dim]).repeat_dim(2, heads / key_heads);
    groups.reshape([batch, heads, count, dim])
}

fn products(queries: Tensor<4>, keys: Tensor<4>) -> Tensor<4> {
    queries.matmul(keys.transpose())
}

/// The similarities, up to a factor of each query, and 0 where a key is not seen.
fn weights(similarity: Similarity, queries: Tensor<4>, keys: Tensor<4>, unseen: &Tensor<4, Bool>) -> Tensor<4> {
    let dim = queries.dims()[3];
    let weights = match similarity {
        Similarity::Softmax { scale } => {
            return exponentials(products(queries, keys) * scale_or_default(scale, dim), unseen);
        }
        Similarity::Hard { .. } => return chosen(&products(queries, keys), unseen),
        Similarity::Polynomial { scale, shift, degree } => power(products(queries, keys) * scale + shift, degree),
        Similarity::Elu => products(elu(queries), elu(keys)),
        Similarity::Relu => products(relu(queries), relu(keys)),
        Similarity::Product { .. } => products(queries, keys),
        Similarity::Random { features, seed, scale } => {
            let rows = projection(features, dim, seed);
            let rows = Tensor::from_data(TensorData::new(rows, [features, dim]), (&queries.device(), queries.dtype()));
            let root = scale_or_default(scale, dim).sqrt();
            let (queries, keys) = (exponents(queries, &rows, root), exponents(keys, &rows, root));
            // Each key by its own largest exponent, and each pair by that over the largest which the query sees.
            let of_key = keys.clone().detach().max_dim(3).transpose().expand(unseen.dims());
            products(of_rows(queries), of_rows(keys)) * exponentials(of_key, unseen)
        }
    };
    weights.mask_fill(unseen.clone(), 0.0)
}

/// The mean of the values with these weights; zero where the sum of the weights is not above `least`.
fn mean(weights: Tensor<4>, least: Tensor<4>, values: Tensor<4>) -> Tensor<4> {
    let denominator = weights.clone().sum_dim(3).detach();
    let zero = denominator.clone().abs().lower_equal(least);
    // Of weights whose sum is about one, so that its square, which the gradient is divided by, does not vanish.
    let weights = weights / denominator.mask_fill(zero.clone(), 1.0);
    let total = weights.clone().sum_dim(3).mask_fill(zero.clone(), 1.0);
    let mean = weights.matmul(values) / total;
    let shape = mean.dims();
    mean.mask_fill(zero.expand(shape), 0.0)
}

/// The largest sum of weights that counts as zero, `[batch, heads, queries, 1]`.
fn least(similarity: Similarity, queries: &Tensor<4>, keys: &Tensor<4>, unseen: &Tensor<4, Bool>) -> Tensor<4> {
    let tau = if queries.dtype() == DType::F64 { tau::<f64>() } else { tau::<f32>() };
    let smallest = if queries.dtype() == DType::F64 { f64::MIN_POSITIVE } else { f64::from(f32::MIN_POSITIVE) };
    let lengths = |rows: &Tensor<4>| lengths(similarity, rows.clone().detach());
    let [batch, heads, count, _] = queries.dims();
    if similarity.positivity() == Positivity::Strict {
        return Tensor::full([batch, heads, count, 1], smallest, (&queries.device(), queries.dtype()));
    }
    let seen = unseen.clone().bool_not().float().cast(queries.dtype());
    (lengths(queries) * seen.matmul(lengths(keys)) * tau).clamp_min(smallest)
}

/// `sqrt(sim(x, x))` of each row, `[.., 1]`.
fn lengths(similarity: Similarity, rows: Tensor<4>) -> Tensor<4> {
    match similarity {
        Similarity::Polynomial { scale, shift, degree } => {
            (rows.square().sum_dim(3) * scale + shift).powf_scalar(f64::from(degree) / 2.0)
        }
        Similarity::Product { .. } => rows.square().sum_dim(3).sqrt(),
        _ => relu(rows).square().sum_dim(3).sqrt(),
    }
}

/// 1 for the first of the largest scores that a query sees, 0 for all others; a row with a score that is no number is
/// none.
fn chosen(scores: &Tensor<4>, unseen: &Tensor<4, Bool>) -> Tensor<4> {
    let shape = scores.dims();
    let scores = scores.clone().detach().mask_fill(unseen.clone(), lowest(scores.dtype()));
    let undefined = scores.clone().is_nan().any_dim(3).expand(shape);
    let lower = scores.clone().lower(scores.clone().max_dim(3).expand(shape));
    let places = Tensor::<1, Int>::arange(0..shape[3] as i64, &scores.device()).unsqueeze::<4>().expand(shape);
    let first = places.clone().mask_fill(lower, shape[3] as i64).min_dim(3).expand(shape);
    let one = places.equal(first).float().cast(scores.dtype());
    one.mask_fill(unseen.clone(), 0.0).mask_fill(undefined, f64::NAN)
}

/// The exponentials of the scores that are seen, over that of each row's largest; 0 for the others.
fn exponentials(scores: Tensor<4>, unseen: &Tensor<4, Bool>) -> Tensor<4> {
    // Not minus infinity, whose difference from itself is no number.
    let kind = scores.dtype();
    let scores = scores.mask_fill(unseen.clone(), lowest(kind));
    of_rows(scores).mask_fill(unseen.clone(), 0.0)
}

/// The exponentials, over that of each row's largest.
fn of_rows(exponents: Tensor<4>) -> Tensor<4> {
    let largest = exponents.clone().detach().max_dim(3);
    (exponents - largest).exp()
}

/// `root w.x - root^2 |x|^2 / 2` of each row x and each row w of the random matrix.
fn exponents(rows: Tensor<4>, projection: &Tensor<2>, root: f64) -> Tensor<4> {
    let squares = rows.clone().square().sum_dim(3) * (root * root / 2.0);
    rows.matmul(projection.clone().transpose().unsqueeze()) * root - squares
}

fn power(base: Tensor<4>, degree: u32) -> Tensor<4> {
    (1..degree).fold(base.clone(), |product, _| product * base.clone())
}

/// `elu(x) + 1`, with the slope 1 at 0.
fn elu(x: Tensor<4>) -> Tensor<4> {
    let positive = x.clone().greater_elem(0.0);
    x.clone().mask_fill(positive.clone().bool_not(), 0.0) + x.mask_fill(positive, 0.0).exp()
}

/// `max(x, 0)`, with the slope 0 at 0.
fn relu(x: Tensor<4>) -> Tensor<4> {
    let negative = x.clone().lower_equal_elem(0.0);
    x.mask_fill(negative, 0.0)
}

/// The lowest finite number.
fn lowest(kind: DType) -> f64 {
    if kind == DType::F64 { f64::MIN } else { f64::from(f32::MIN) }
}
