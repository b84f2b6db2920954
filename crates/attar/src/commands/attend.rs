//! `attend`: attention on queries, keys and values from a file, with everything that leads to the output.

mod input;

use attar_attention::{Attention, Choice, Form, HardGradient, Inputs, Positivity, Shape, Similarity, naive};
use attar_learn::write_atomically;
use clap::ValueEnum;
use serde_json::{Value, json};

use self::input::Input;
use crate::cli::{AttendArgs, Common};
use crate::error::CliError;
use crate::output::{print, print_columns, print_json};
use crate::weights::weights;

/// A similarity by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SimilarityName {
    /// 1 for the key of the largest q.k, the first among equals, and 0 for all others
    Argmax,
    /// exp(scale q.k)
    Softmax,
    /// (q.k)^2
    Quadratic,
    /// (q.k + 1)^2
    QuadraticPlusOne,
    /// (scale q.k + shift)^degree
    Polynomial,
    /// phi(q).phi(k) with phi(x) = elu(x) + 1
    Elu,
    /// phi(q).phi(k) with phi(x) = max(x, 0)
    Relu,
    /// Positive random features, whose mean over seeds is softmax
    Random,
    /// q.k, of queries and keys that are features already
    Product,
}

/// A form by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormName {
    /// By the definition
    Naive,
    /// All pairs, block by block
    Tiled,
    /// Through sums of features, for similarities that have them
    Linear,
    /// Tiled or linear, whichever is predicted to be the quicker one, and why
    Auto,
}

/// Prints scores, weights, denominators and outputs, and writes them to a file that is named.
pub(crate) fn run(args: &AttendArgs, common: &Common) -> Result<(), CliError> {
    check_flags(args)?;
    let input = Input::read(&args.file)?;
    let similarity = similarity(args, &input.inputs(), common.seed.unwrap_or(0));
    let attention = Attention { similarity, causal: args.causal, allow_signed: args.allow_signed };
    let attended = Attended::new(&attention, args.form, &input)?;
    if let Some(row) = attended.outputs.iter().position(|row| row.iter().any(|value| !value.is_finite())) {
        let file = args.file.display();
        let message = format!("{file}: the output of `queries[{row}]` is not finite: its scores are too large");
        return Err(CliError::input(message));
    }
    let json = attended.json(args);
    if let Some(path) = &common.out {
        write_atomically(path, &serde_json::to_vec_pretty(&json)?)?;
    }
    match common.json {
        true => print_json(&json),
        false => attended.print(args),
    }
}

fn form(name: FormName) -> Form {
    match name {
        FormName::Naive => Form::Naive,
        FormName::Tiled => Form::Tiled,
        FormName::Linear => Form::Linear,
        FormName::Auto => Form::Auto,
    }
}

/// Refuses flags of another similarity than the one that is named.
fn check_flags(args: &AttendArgs) -> Result<(), CliError> {
    use SimilarityName::{Polynomial, Random, Softmax};
    let AttendArgs { scale, shift, degree, features, .. } = *args;
    let takes_scale = matches!(args.similarity, Softmax | Polynomial | Random);
    let idle = [
        ("scale", scale.is_some() && !takes_scale, "softmax, polynomial and random"),
        ("shift", shift.is_some() && args.similarity != Polynomial, "polynomial"),
        ("degree", degree.is_some() && args.similarity != Polynomial, "polynomial"),
        ("features", features.is_some() && args.similarity != Random, "random"),
    ];
    if let Some((flag, _, owner)) = idle.into_iter().find(|(_, idle, _)| *idle) {
        let name = word(&args.similarity);
        return Err(CliError::input(format!("`--{flag}` belongs to {owner}: {name} has no such parameter")));
    }
    Ok(())
}

/// The similarity that the flags name; whether a product takes both signs is seen from the features.
fn similarity(args: &AttendArgs, inputs: &Inputs<'_, f64>, seed: u64) -> Similarity {
    use SimilarityName::{Argmax, Elu, Polynomial, Product, Quadratic, QuadraticPlusOne, Random, Relu, Softmax};
    let AttendArgs { scale, shift, degree, features, .. } = *args;
    match args.similarity {
        Argmax => Similarity::Hard { gradient: HardGradient::None },
        Softmax => Similarity::Softmax { scale },
        Quadratic => Similarity::QUADRATIC,
        QuadraticPlusOne => Similarity::QUADRATIC_PLUS_ONE,
        Polynomial => Similarity::Polynomial {
            scale: scale.unwrap_or(1.0),
            shift: shift.unwrap_or(0.0),
            degree: degree.unwrap_or(2),
        },
        Elu => Similarity::Elu,
        Relu => Similarity::Relu,
        Random => Similarity::Random { features: features.unwrap_or(256), seed, scale },
        Product => {
            let signed = inputs.queries.iter().chain(inputs.keys).any(|&feature| feature < 0.0);
            Similarity::Product { positivity: if signed { Positivity::Signed } else { Positivity::NonNegative } }
        }
    }
}

/// What came of the attention, row by row of the queries.
struct Attended {
    shape: Shape,
    form: Form,
    /// Why that form, where it was chosen.
    choice: Option<Choice>,
    /// q.k; nothing where the query does not see the key.
    scores: Vec<Vec<Option<f64>>>,
    weights: Vec<Vec<f64>>,
    outputs: Vec<Vec<f64>>,
    /// Of softmax the logarithms; of argmax 1 where a key is seen.
    denominators: Vec<f64>,
    /// How much each denominator cancels.
    kappa: Vec<f64>,
    /// Rows whose denominator counts as zero, or that see no key.
    zero_rows: usize,
    /// Of argmax alone.
    taken: Vec<Option<Taken>>,
}

/// The key that a query takes.
struct Taken {
    key: usize,
    /// Its score less the best of the others; nothing if it is the only one.
    margin: Option<f64>,
    /// The other keys of the same score.
    ties: Vec<usize>,
}

impl Attended {
    fn new(attention: &Attention, name: FormName, input: &Input) -> Result<Self, CliError> {
        let inputs = input.inputs();
        let choice = (name == FormName::Auto).then(|| attention.choose(&inputs.shape)).transpose()?;
        let form = choice.as_ref().map_or(form(name), |choice| choice.form);
        let forward = attention.forward(form, &inputs)?;
        let defined = naive::forward(attention, &inputs)?;
        let zero_rows = attention.check(form, &inputs)?.zero;
        let weights = weights(attention, form, &inputs)?;
        let scores = scores(&inputs, attention.causal);
        let hard = matches!(attention.similarity, Similarity::Hard { .. });
        let weights = rows(&weights, inputs.shape.keys);
        let taken = if hard { taken(&scores, &weights) } else { Vec::new() };
        let denominators = if hard { weights.iter().map(|row| row.iter().sum()).collect() } else { defined.normaliser };
        Ok(Self {
            shape: inputs.shape,
            form,
            choice,
            scores,
            weights,
            outputs: rows(&forward.output, inputs.shape.value_dim),
            denominators,
            kappa: defined.kappa,
            zero_rows,
            taken,
        })
    }

    fn json(&self, args: &AttendArgs) -> Value {
        let taken = |taken: &Option<Taken>| {
            taken.as_ref().map(|Taken { key, margin, ties }| json!({ "key": key, "margin": margin, "ties": ties }))
        };
        let Shape { queries, keys, dim, value_dim, .. } = self.shape;
        let mut all = json!({
            "similarity": word(&args.similarity),
            "form": self.form_word(),
            "causal": args.causal,
            "shape": { "queries": queries, "keys": keys, "dim": dim, "value_dim": value_dim },
            "scores": self.scores,
            "weights": self.weights,
            denominators_name(args.similarity).replace(' ', "_"): self.denominators,
            "zero_rows": self.zero_rows,
            "outputs": self.outputs,
        });
        if args.similarity == SimilarityName::Argmax {
            all["chosen"] = self.taken.iter().map(taken).collect();
        } else {
            all[kappa_name(args.similarity).replace(' ', "_")] = json!(self.kappa);
        }
        if let Some(choice) = &self.choice {
            all["form_chosen"] = json!(choice.to_string());
        }
        all
    }

    fn form_word(&self) -> String {
        format!("{:?}", self.form).to_lowercase()
    }

    fn print(&self, args: &AttendArgs) -> Result<(), CliError> {
        let Shape { queries, keys, dim, value_dim, .. } = self.shape;
        print(&format!(
            "{} in {} form: {queries} x {dim} queries, {keys} x {dim} keys, {keys} x {value_dim} values{}\n\n",
            word(&args.similarity),
            self.form_word(),
            if args.causal { ", causal" } else { "" },
        ))?;
        if let Some(choice) = &self.choice {
            print(&format!("The form was chosen: {choice}\n\n"))?;
        }
        let seen = |value: &Option<f64>| value.map_or_else(|| "unseen".to_owned(), number);
        print_matrix(
            "score q.k",
            "key",
            &self.scores.iter().map(|row| row.iter().map(seen).collect()).collect::<Vec<_>>(),
        )?;
        print_matrix("weight", "key", &shown(&self.weights))?;
        print_columns(&self.row_table(args))?;
        print("\n")?;
        print_matrix("output", "value", &shown(&self.outputs))?;
        match self.zero_rows {
            0 => Ok(()),
            count => print(&format!("Zero rows, which see no key or whose denominator counts as zero: {count}\n")),
        }
    }

    /// A line for each query: what it takes, or what its weights were divided by.
    fn row_table(&self, args: &AttendArgs) -> Vec<Vec<String>> {
        let name = |query: usize| format!("query {query}");
        if args.similarity == SimilarityName::Argmax {
            let heads = ["", "takes", "score", "margin to the second", "ties with"].map(str::to_owned).to_vec();
            let line = |(query, taken): (usize, &Option<Taken>)| match taken {
                None => vec![name(query), "no key".to_owned()],
                Some(Taken { key, margin, ties }) => {
                    let score = self.scores[query][*key].map_or_else(String::new, number);
                    let margin = margin.map_or_else(|| "no second".to_owned(), number);
                    let ties: Vec<String> = ties.iter().map(|key| format!("key {key}")).collect();
                    let ties = if ties.is_empty() { "none".to_owned() } else { ties.join(", ") };
                    vec![name(query), format!("key {key}"), score, margin, ties]
                }
            };
            return std::iter::once(heads).chain(self.taken.iter().enumerate().map(line)).collect();
        }
        let kappa = kappa_name(args.similarity);
        let heads =
            vec![String::new(), denominators_name(args.similarity).trim_end_matches('s').to_owned(), kappa.into()];
        let pairs = self.denominators.iter().zip(&self.kappa).enumerate();
        let line = |(query, (denominator, kappa)): (usize, (&f64, &f64))| {
            vec![name(query), number(*denominator), number(*kappa)]
        };
        std::iter::once(heads).chain(pairs.map(line)).collect()
    }
}

fn denominators_name(similarity: SimilarityName) -> &'static str {
    match similarity {
        SimilarityName::Softmax => "log denominators",
        SimilarityName::Random => "scaled denominators",
        _ => "denominators",
    }
}

fn kappa_name(similarity: SimilarityName) -> &'static str {
    if similarity == SimilarityName::Softmax { "largest exponent" } else { "kappa" }
}

fn rows(values: &[f64], width: usize) -> Vec<Vec<f64>> {
    values.chunks_exact(width).map(<[f64]>::to_vec).collect()
}

/// The products of queries with the keys that they see.
fn scores(inputs: &Inputs<'_, f64>, causal: bool) -> Vec<Vec<Option<f64>>> {
    let Shape { queries, keys, dim, .. } = inputs.shape;
    let row = |(query, q): (usize, &[f64])| {
        let visible = if causal { (query + 1 + keys).saturating_sub(queries) } else { keys };
        let score = |(key, k): (usize, &[f64])| {
            let seen = key < visible && !inputs.hidden.is_some_and(|hidden| hidden[key]);
            seen.then(|| q.iter().zip(k).map(|(q, k)| q * k).sum())
        };
        inputs.keys.chunks_exact(dim).enumerate().map(score).collect()
    };
    inputs.queries.chunks_exact(dim).enumerate().map(row).collect()
}

/// The one key of weight 1 in each row, beside the others.
fn taken(scores: &[Vec<Option<f64>>], weights: &[Vec<f64>]) -> Vec<Option<Taken>> {
    let taken = |(scores, weights): (&Vec<Option<f64>>, &Vec<f64>)| {
        let key = weights.iter().position(|&weight| weight > 0.0)?;
        let best = scores[key]?;
        let others = || scores.iter().enumerate().filter(|(other, _)| *other != key);
        let margin = others().filter_map(|(_, score)| *score).reduce(f64::max).map(|second| best - second);
        let ties = others().filter(|(_, score)| **score == Some(best)).map(|(other, _)| other).collect();
        Some(Taken { key, margin, ties })
    };
    scores.iter().zip(weights).map(taken).collect()
}

fn shown(rows: &[Vec<f64>]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|&value| number(value)).collect()).collect()
}

/// A matrix with numbered rows and columns, and an empty line.
fn print_matrix(title: &str, column: &str, rows: &[Vec<String>]) -> Result<(), CliError> {
    let width = rows.first().map_or(0, Vec::len);
    let heads = std::iter::once(title.to_owned()).chain((0..width).map(|at| format!("{column} {at}"))).collect();
    let line = |(query, row): (usize, &Vec<String>)| {
        std::iter::once(format!("query {query}")).chain(row.iter().cloned()).collect()
    };
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows.iter().enumerate().map(line)).collect();
    print_columns(&lines)?;
    print("\n")
}

/// Six decimals where they say something, else a power of ten.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e9).contains(&size) {
        let text = format!("{value:.6}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    if value.is_finite() { format!("{value:.6e}") } else { value.to_string() }
}

/// A name as it is typed.
fn word(name: &impl ValueEnum) -> String {
    name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_where_they_can_be() {
        let check = |value: f64, text: &str| assert_eq!(number(value), text);
        check(0.0, "0");
        check(-3.0, "-3");
        check(1.0 / 3.0, "0.333333");
        check(1000.0, "1000");
        check(1.25e-7, "1.250000e-7");
        check(f64::NEG_INFINITY, "-inf");
    }

    #[test]
    fn a_taken_key_names_its_margin_and_its_ties() {
        let scores =
            vec![vec![Some(2.0), Some(5.0), None, Some(5.0)], vec![None; 4], vec![Some(1.0), None, None, None]];
        let weights = vec![vec![0.0, 1.0, 0.0, 0.0], vec![0.0; 4], vec![1.0, 0.0, 0.0, 0.0]];
        let taken = taken(&scores, &weights);
        let tied = taken[0].as_ref().unwrap();
        assert_eq!((tied.key, tied.margin, &tied.ties[..]), (1, Some(0.0), &[3][..]));
        assert!(taken[1].is_none());
        assert_eq!(taken[2].as_ref().map(|alone| alone.margin), Some(None));
    }
}
