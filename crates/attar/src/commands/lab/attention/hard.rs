//! Question 2: argmax attention by hand, its gradient, and what it learns.

use attar_attention::{Attention, Form, HardGradient, Inputs, Shape, Similarity};
use attar_report::Block;

use super::arithmetic::{difference, dot, largest, normals};
use super::{Lab, retrieval};
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::table;
use crate::commands::lab::questions::Part;
use crate::error::CliError;
use crate::weights::weights;

pub(super) const ARGMAX: Similarity = Similarity::Hard { gradient: HardGradient::None };
pub(super) const STRAIGHT_THROUGH: Similarity =
    Similarity::Hard { gradient: HardGradient::StraightThrough { scale: None } };
pub(super) const SOFTMAX: Similarity = Similarity::Softmax { scale: None };

const QUERY: [f64; 3] = [1.0, 1.0, 2.0];
const KEYS: [f64; 12] = [1.0, 0.0, 1.0, 0.0, 1.0, 2.0, 2.0, 1.0, 0.0, 1.0, 1.0, 1.0];
const VALUES: [f64; 8] = [1.0, 0.0, 0.0, 1.0, 2.0, 2.0, 3.0, -1.0];

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let (mut claims, example) = by_hand()?;
    claims.extend(of_gradients(lab.seed)?);
    let (of_learning, curves) = retrieval::measure(lab.seed)?;
    claims.extend(of_learning);
    Ok(Part { answer: answer(claims), figures: std::iter::once(example).chain(curves).collect() })
}

/// One query and four keys.
fn inputs(keys: &[f64]) -> Inputs<'_, f64> {
    let shape = Shape { batch: 1, heads: 1, key_heads: 1, queries: 1, keys: 4, dim: 3, value_dim: 2 };
    Inputs { shape, queries: &QUERY, keys, values: &VALUES, hidden: None }
}

fn by_hand() -> Result<(Vec<Claim>, Block), CliError> {
    let inputs = inputs(&KEYS);
    let hard = Attention::new(ARGMAX);
    let of_hard = weights(&hard, Form::Tiled, &inputs)?;
    let output = hard.forward(Form::Tiled, &inputs)?.output;
    let of_soft = weights(&Attention::new(SOFTMAX), Form::Tiled, &inputs)?;
    let steep = Attention::new(Similarity::Softmax { scale: Some(40.0) }).forward(Form::Tiled, &inputs)?.output;
    let mut tied = KEYS;
    tied[9..].copy_from_slice(&[1.0, 2.0, 1.0]);
    let of_tie = weights(&hard, Form::Tiled, &self::inputs(&tied))?;
    let claims = vec![
        Claim::near("query (1, 1, 2): the key that is taken, counted from 0", taken(&of_hard), 1.0, 0.0),
        Claim::near("its output is value 1 itself: largest difference", difference(&output, &VALUES[2..4]), 0.0, 0.0),
        Claim::near("key 3 replaced by (1, 2, 1), of the same score: the key that is taken", taken(&of_tie), 1.0, 0.0),
        Claim::at_most(
            "softmax of 40 q.k: largest difference of its output from that of argmax",
            difference(&steep, &output),
            1e-15,
        ),
    ];
    Ok((claims, example(&of_hard, &of_soft)))
}

/// The place of the one weight that is not 0.
fn taken(weights: &[f64]) -> f64 {
    weights.iter().position(|&weight| weight == 1.0).map_or(f64::NAN, |place| place as f64)
}

fn example(of_hard: &[f64], of_soft: &[f64]) -> Block {
    let vector = |values: &[f64]| {
        let values: Vec<String> = values.iter().map(|value| shown(*value)).collect();
        format!("({})", values.join(", "))
    };
    let row = |key: usize| {
        let k = &KEYS[3 * key..][..3];
        let value = vector(&VALUES[2 * key..][..2]);
        vec![key.to_string(), vector(k), value, shown(dot(&QUERY, k)), shown(of_hard[key]), shown(of_soft[key])]
    };
    let columns = ["number", "key", "value", "score", "weight by argmax", "by softmax"];
    let caption = "The query is (1, 1, 2); softmax with s = 1/sqrt(3). Argmax gives the value of key 1. \
                   `attar attend FILE.json --similarity argmax` does the same with any numbers.";
    table("Argmax attention by hand", caption, &columns, (0..4).map(row).collect())
}

fn of_gradients(seed: u64) -> Result<Vec<Claim>, CliError> {
    let (count, dim) = (40, 8);
    let shape = Shape { batch: 1, heads: 1, key_heads: 1, queries: count, keys: count, dim, value_dim: dim };
    let [queries, keys, values, of_output] = [0, 1, 2, 3].map(|part| normals(count * dim, seed, [2, 0, part]));
    let inputs = Inputs { shape, queries: &queries, keys: &keys, values: &values, hidden: None };
    let gradients = |similarity| {
        let attention = Attention::new(similarity);
        attention.backward(&inputs, &attention.forward(Form::Tiled, &inputs)?, &of_output)
    };
    let (plain, through, soft) = (gradients(ARGMAX)?, gradients(STRAIGHT_THROUGH)?, gradients(SOFTMAX)?);
    let size = |values: &[f64]| largest(values.iter().map(|value| value.abs()));
    let of_pair = [difference(&through.queries, &soft.queries), difference(&through.keys, &soft.keys)];
    Ok(vec![
        Claim::near(
            "argmax: largest gradient by a query or key",
            largest([size(&plain.queries), size(&plain.keys)]),
            0.0,
            0.0,
        ),
        Claim::near(
            "argmax: largest change of an output when one query or key is moved by 1e-7",
            moved(&inputs)?,
            0.0,
            0.0,
        ),
        Claim::at_least("argmax: largest gradient by a value", size(&plain.values), 0.1),
        Claim::at_most(
            "straight-through: gradients by queries and keys against those of softmax",
            largest(of_pair),
            1e-13,
        ),
        Claim::at_most(
            "straight-through: gradients by values against those of argmax",
            difference(&through.values, &plain.values),
            1e-13,
        ),
    ])
}

/// What argmax attention makes of small changes: nothing, as long as no two scores change their order.
fn moved(inputs: &Inputs<'_, f64>) -> Result<f64, CliError> {
    let attention = Attention::new(ARGMAX);
    let output = attention.forward(Form::Tiled, inputs)?.output;
    let mut most = 0.0_f64;
    for at in 0..inputs.queries.len() {
        let (mut queries, mut keys) = (inputs.queries.to_vec(), inputs.keys.to_vec());
        queries[at] += 1e-7;
        let by_query = attention.forward(Form::Tiled, &Inputs { queries: &queries, ..*inputs })?.output;
        keys[at] += 1e-7;
        let by_key = attention.forward(Form::Tiled, &Inputs { keys: &keys, ..*inputs })?.output;
        most = largest([most, difference(&by_query, &output), difference(&by_key, &output)]);
    }
    Ok(most)
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "2. What does attention with argmax in place of softmax give, and what does it do to training?"
            .into(),
        derivation:
            "Argmax gives weight 1 to the key of the largest score and 0 to all others: the output is that key's \
                     value, and the limit of softmax as its scale grows. A small change of a query or key does not \
                     change which score is largest, so the output stays as it is: the derivative is 0 wherever it \
                     exists, and nothing before queries and keys learns. Values still do. Straight-through \
                     (Bengio et al. 2013) keeps the hard output and lends it the gradient of the softmax: \
                     by the score of key j that is s p_j (g.v_j - g.o), with the softmax's weights p_j and its own \
                     output o, the values v_j and the gradient g of the output."
                .into(),
        answer:
            "The query (1, 1, 2) has scores 3, 5, 3, 4 and takes the value of key 1; among equals the first is taken. \
                 No gradient reaches queries and keys. On a task of finding the item that a query was made from, \
                 softmax and straight-through learn to find it; plain argmax leaves its projections where they were \
                 drawn and finds little more than a random item would, though its readout is trained."
                .into(),
        claims,
    }
}
