//! A task that can only be solved by finding the right item, learned by softmax, straight-through and plain argmax.

use attar_attention::{Attention, Form, Inputs, Shape, Similarity};
use attar_linear::wilson_interval;
use attar_ops::{Averages, Matrix, Parameter, Precision, Update, product};
use attar_report::{Axis, Block, Dash, Series, Spread};
use rayon::prelude::*;

use super::arithmetic::{difference, dot, largest, mean, norm, normals};
use super::hard::{ARGMAX, SOFTMAX, STRAIGHT_THROUGH};
use crate::commands::lab::answer::{Claim, shown};
use crate::commands::lab::figure::{line, lines, panel, table};
use crate::error::CliError;

/// Items of a sequence, one of which is asked for.
const ITEMS: usize = 16;
/// Components of an item, of a query and of a key.
const WIDTH: usize = 16;
/// Classes that an item's value may name.
const CLASSES: usize = 8;
const BATCH: usize = 64;
const STEPS: usize = 400;
/// Steps between two tests.
const BETWEEN: usize = 10;
const TEST: usize = 512;
const SEEDS: u64 = 5;
const RATE: f64 = 0.003;
const REFLECTIONS: usize = WIDTH;

const METHODS: [(&str, Similarity); 3] =
    [("softmax", SOFTMAX), ("straight-through", STRAIGHT_THROUGH), ("plain argmax", ARGMAX)];

/// Probability that a random item has the class of the right one.
const CHANCE: f64 = 1.0 / ITEMS as f64 + (1.0 - 1.0 / ITEMS as f64) / CLASSES as f64;

/// The least that counts as learned.
const LEARNED: f64 = 0.9;
/// The most that projections as they were drawn come to: with luck they turn somewhat like the rotation.
const UNTRAINED: f64 = 0.35;

/// Sequences: items with a class each, a question that is made from one of them, and that one's class.
struct Sequences {
    count: usize,
    /// `[count, WIDTH]`: the item asked for, rotated.
    questions: Vec<f64>,
    /// `[count, ITEMS, WIDTH]`.
    items: Vec<f64>,
    /// `[count, ITEMS, CLASSES]`: 1 at the item's class.
    values: Vec<f64>,
    /// `[count]`.
    classes: Vec<usize>,
}

/// What is learned: projections of questions and items, and a readout of the attention's output.
struct Model {
    attention: Attention,
    /// `[WIDTH, WIDTH]` twice and `[CLASSES, CLASSES]`, each with its two running averages.
    weights: [[Vec<f64>; 3]; 3],
}

/// Accuracy on test sequences by step, and how far the projections went.
struct Curve {
    points: Vec<(f64, f64)>,
    correct: usize,
    moved: f64,
}

/// The claims and figures on learning.
pub(super) fn measure(seed: u64) -> Result<(Vec<Claim>, [Block; 2]), CliError> {
    let runs: Vec<(usize, u64)> =
        (0..METHODS.len()).flat_map(|method| (0..SEEDS).map(move |run| (method, run))).collect();
    let train = |&(method, run): &(usize, u64)| train(METHODS[method].1, seed, run);
    let curves = runs.par_iter().map(train).collect::<Result<Vec<Curve>, CliError>>()?;
    let by_method: Vec<&[Curve]> = curves.chunks_exact(SEEDS as usize).collect();
    Ok((claims(&by_method), [figure(&by_method), numbers(&by_method)]))
}

fn train(similarity: Similarity, seed: u64, run: u64) -> Result<Curve, CliError> {
    let mut model = Model::new(similarity, seed, run);
    let start = [model.weights[0][0].clone(), model.weights[1][0].clone()];
    let test = Sequences::draw(TEST, seed, run, u64::MAX);
    let (mut points, mut correct) = (Vec::new(), 0);
    for step in 0..=STEPS {
        if step % BETWEEN == 0 {
            correct = model.correct(&test)?;
            points.push((step as f64, correct as f64 / TEST as f64));
        }
        model.learn(&Sequences::draw(BATCH, seed, run, step as u64), step)?;
    }
    let moved = [0, 1].map(|which| difference(&model.weights[which][0], &start[which]));
    Ok(Curve { points, correct, moved: largest(moved) })
}

impl Sequences {
    /// Item and class of each place are drawn anew; the rotation belongs to the seed and the run.
    fn draw(count: usize, seed: u64, run: u64, part: u64) -> Self {
        let items = normals(count * ITEMS * WIDTH, seed, [2, 100 + run, part]);
        let mirrors = normals(REFLECTIONS * WIDTH, seed, [2, 200 + run, 0]);
        let draws = normals(count * (ITEMS + 1), seed, [2, 300 + run, part]);
        let of_place: Vec<usize> = draws[count..].iter().map(|&draw| part_of(draw, CLASSES)).collect();
        let mut values = vec![0.0; count * ITEMS * CLASSES];
        of_place.iter().enumerate().for_each(|(place, class)| values[place * CLASSES + class] = 1.0);
        let asked: Vec<usize> = (0..count).map(|at| at * ITEMS + part_of(draws[at], ITEMS)).collect();
        let questions = asked.iter().flat_map(|&place| rotated(&items[place * WIDTH..][..WIDTH], &mirrors)).collect();
        Self { count, questions, items, values, classes: asked.iter().map(|&place| of_place[place]).collect() }
    }
}

/// A number below `parts`, each as likely, from a standard normal draw: by its digits, far behind the point.
fn part_of(draw: f64, parts: usize) -> usize {
    ((draw.abs() * 4096.0).fract() * parts as f64) as usize
}

/// The row reflected at one plane after another.
fn rotated(row: &[f64], mirrors: &[f64]) -> Vec<f64> {
    let mut row = row.to_vec();
    for mirror in mirrors.chunks_exact(WIDTH) {
        let along = 2.0 * dot(&row, mirror) / norm(mirror).powi(2);
        row.iter_mut().zip(mirror).for_each(|(value, m)| *value -= along * m);
    }
    row
}

impl Model {
    fn new(similarity: Similarity, seed: u64, run: u64) -> Self {
        let projection = |part| -> Vec<f64> {
            let draws = normals(WIDTH * WIDTH, seed, [2, 400 + run, part]);
            draws.into_iter().map(|draw| draw / (WIDTH as f64).sqrt()).collect()
        };
        let readout: Vec<f64> = (0..CLASSES * CLASSES).map(|at| f64::from(u8::from(at % (CLASSES + 1) == 0))).collect();
        let with_averages = |values: Vec<f64>| {
            let zeros = vec![0.0; values.len()];
            [values, zeros.clone(), zeros]
        };
        let weights = [projection(0), projection(1), readout].map(with_averages);
        Self { attention: Attention::new(similarity), weights }
    }

    fn project(&self, sequences: &Sequences) -> [Vec<f64>; 2] {
        let rows = [&sequences.questions, &sequences.items];
        [0, 1].map(|which| {
            times(Matrix::row_major(rows[which], WIDTH), Matrix::row_major(&self.weights[which][0], WIDTH))
        })
    }

    /// Sequences whose class has the largest output.
    fn correct(&self, sequences: &Sequences) -> Result<usize, CliError> {
        let [queries, keys] = self.project(sequences);
        let mixed = self.attention.forward(Form::Tiled, &inputs(sequences, &queries, &keys))?.output;
        let output = times(Matrix::row_major(&mixed, CLASSES), Matrix::row_major(&self.weights[2][0], CLASSES));
        let guess = |row: &[f64]| (0..CLASSES).fold(0, |best, at| if row[at] > row[best] { at } else { best });
        let guesses = output.chunks_exact(CLASSES).map(guess);
        Ok(guesses.zip(&sequences.classes).filter(|(guess, class)| guess == *class).count())
    }

    /// One step of Adam on the squared error, averaged over sequences.
    fn learn(&mut self, sequences: &Sequences, step: usize) -> Result<(), CliError> {
        let [queries, keys] = self.project(sequences);
        let inputs = inputs(sequences, &queries, &keys);
        let forward = self.attention.forward(Form::Tiled, &inputs)?;
        let (mixed, readout) =
            (Matrix::row_major(&forward.output, CLASSES), Matrix::row_major(&self.weights[2][0], CLASSES));
        let mut of_output = times(mixed, readout);
        for (row, &class) in of_output.chunks_exact_mut(CLASSES).zip(&sequences.classes) {
            row[class] -= 1.0;
            row.iter_mut().for_each(|value| *value *= 2.0 / sequences.count as f64);
        }
        let of_output = Matrix::row_major(&of_output, CLASSES);
        let of_readout = times(mixed.transposed(), of_output);
        let of_mixed = times(of_output, readout.transposed());
        let gradients = self.attention.backward(&inputs, &forward, &of_mixed)?;
        let of = |rows: &[f64], gradient: &[f64]| {
            times(Matrix::row_major(rows, WIDTH).transposed(), Matrix::row_major(gradient, WIDTH))
        };
        let all = [of(&sequences.questions, &gradients.queries), of(&sequences.items, &gradients.keys), of_readout];
        let update = adam(step as i32 + 1);
        for ([values, first, second], gradient) in self.weights.iter_mut().zip(&all) {
            update.apply(Parameter { values, gradient, first, second });
        }
        Ok(())
    }
}

/// Adam at a step, counted from 1, with its usual averages.
fn adam(step: i32) -> Update {
    let (beta_1, beta_2) = (0.9_f64, 0.999_f64);
    Update {
        averages: Averages::Adam { beta_1, beta_2, epsilon: 1e-8 },
        rate: RATE / (1.0 - beta_1.powi(step)),
        decay: 0.0,
        shrinkage: 0.0,
        second_scale: (1.0 - beta_2.powi(step)).sqrt().recip(),
    }
}

fn times(left: Matrix<'_, f64>, right: Matrix<'_, f64>) -> Vec<f64> {
    let mut out = vec![0.0; left.rows() * right.columns()];
    product(Precision::Full, &mut out, left, right);
    out
}

fn inputs<'a>(sequences: &'a Sequences, queries: &'a [f64], keys: &'a [f64]) -> Inputs<'a, f64> {
    let shape = Shape {
        batch: sequences.count,
        heads: 1,
        key_heads: 1,
        queries: 1,
        keys: ITEMS,
        dim: WIDTH,
        value_dim: CLASSES,
    };
    Inputs { shape, queries, keys, values: &sequences.values, hidden: None }
}

fn claims(by_method: &[&[Curve]]) -> Vec<Claim> {
    let shares = |curves: &[Curve]| curves.iter().map(|curve| curve.correct as f64 / TEST as f64).collect::<Vec<_>>();
    let mut claims = Vec::new();
    for ((name, similarity), curves) in METHODS.iter().zip(by_method) {
        if *similarity == ARGMAX {
            let most = largest(shares(curves));
            let sentence = format!(
                "{name}: best accuracy of {SEEDS} trainings after {STEPS} steps; a random item has {CHANCE:.2}"
            );
            claims.push(Claim::at_most(sentence, most, UNTRAINED));
            let moved = largest(curves.iter().map(|curve| curve.moved));
            claims.push(Claim::near(format!("{name}: largest change of a weight of the projections"), moved, 0.0, 0.0));
        } else {
            let least = -largest(shares(curves).into_iter().map(|share| -share));
            let sentence = format!("{name}: worst accuracy of {SEEDS} trainings after {STEPS} steps");
            claims.push(Claim::at_least(sentence, least, LEARNED));
        }
    }
    claims
}

fn figure(by_method: &[&[Curve]]) -> Block {
    let series = METHODS.iter().zip(by_method).enumerate().map(|(colour, ((name, _), curves))| {
        let at = |index: usize| curves.iter().map(|curve| curve.points[index].1).collect::<Vec<f64>>();
        let steps: Vec<f64> = curves[0].points.iter().map(|point| point.0).collect();
        let means: Vec<(f64, f64)> = steps.iter().enumerate().map(|(index, step)| (*step, mean(&at(index)))).collect();
        let high = (0..steps.len()).map(|index| largest(at(index))).collect();
        let low = (0..steps.len()).map(|index| -largest(at(index).into_iter().map(|share| -share))).collect();
        Series { spread: Spread::Band { low, high }, ..line(*name, colour, Dash::Solid, &means) }
    });
    let chance = line("a random item", METHODS.len(), Dash::Dotted, &[(0.0, CHANCE), (STEPS as f64, CHANCE)]);
    let series = series.chain([chance]).collect();
    let caption = format!(
        "{ITEMS} items of {WIDTH} normal components with one of {CLASSES} classes each; the question is one of the items, \
         rotated. Projections of questions and items and a readout of the output are trained on the squared error, \
         {BATCH} new sequences a step, Adam, rate {RATE}. Accuracy on {TEST} other sequences: mean over {SEEDS} \
         trainings, and from the least to the largest."
    );
    let axes = [Axis::linear("step"), Axis::linear("accuracy")];
    lines("Finding an item", &caption, axes, vec![panel("", series)])
}

fn numbers(by_method: &[&[Curve]]) -> Block {
    let row = |((name, _), curves): (&(&str, Similarity), &&[Curve])| {
        let shares: Vec<f64> = curves.iter().map(|curve| curve.correct as f64 / TEST as f64).collect();
        let least = -largest(shares.iter().map(|share| -share));
        let range = format!("{} to {}", shown(least), shown(largest(shares.iter().copied())));
        let correct = curves.iter().map(|curve| curve.correct).sum();
        let by_sequence = wilson_interval(correct, TEST * curves.len());
        let interval =
            by_sequence.map_or_else(String::new, |found| format!("[{}, {}]", shown(found.low), shown(found.high)));
        let moved = largest(curves.iter().map(|curve| curve.moved));
        vec![(*name).to_owned(), shown(mean(&shares)), interval, range, shown(moved)]
    };
    let columns = ["attention", "accuracy", "95 % interval", "over trainings", "projections moved"];
    let caption = format!(
        "After {STEPS} steps. A random item has the right class with probability {}. Intervals (Wilson) are over all \
         test sequences. The last column is the largest change of a weight, over the largest weight at the start.",
        shown(CHANCE)
    );
    table("What each has learned", &caption, &columns, METHODS.iter().zip(by_method).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_rotated_items_of_the_right_class() {
        let sequences = Sequences::draw(20, 3, 0, 0);
        for at in 0..20 {
            let question = norm(&sequences.questions[at * WIDTH..][..WIDTH]);
            let items = sequences.items[at * ITEMS * WIDTH..][..ITEMS * WIDTH].chunks_exact(WIDTH);
            let lengths: Vec<f64> = items.map(norm).collect();
            let place = lengths.iter().position(|length| (length - question).abs() < 1e-12).unwrap();
            assert_eq!(sequences.values[(at * ITEMS + place) * CLASSES + sequences.classes[at]], 1.0);
        }
    }

    #[test]
    fn parts_are_as_likely() {
        let mut counts = [0_i32; CLASSES];
        normals(16_000, 1, [0, 0, 0]).into_iter().for_each(|draw| counts[part_of(draw, CLASSES)] += 1);
        // Five standard deviations of a count of 16,000 draws with probability 1/8 are 209.
        assert!(counts.iter().all(|count| (count - 2000).abs() < 209), "{counts:?}");
    }

    /// The loss's finite differences by some weights of each kind.
    #[test]
    fn gradients_are_those_of_the_loss() {
        let sequences = Sequences::draw(6, 3, 0, 0);
        let loss = |model: &Model| {
            let [queries, keys] = model.project(&sequences);
            let mixed = model.attention.forward(Form::Tiled, &inputs(&sequences, &queries, &keys)).unwrap().output;
            let output = times(Matrix::row_major(&mixed, CLASSES), Matrix::row_major(&model.weights[2][0], CLASSES));
            let rows = output.chunks_exact(CLASSES).zip(&sequences.classes);
            let errors = rows.map(|(row, &class)| dot(row, row) - 2.0 * row[class] + 1.0);
            errors.sum::<f64>() / sequences.count as f64
        };
        let mut learned = Model::new(SOFTMAX, 3, 0);
        learned.learn(&sequences, 0).unwrap();
        for (which, at) in [(0, 5), (0, 200), (1, 17), (1, 100), (2, 3)] {
            let at_step = |step: f64| {
                let mut model = Model::new(SOFTMAX, 3, 0);
                model.weights[which][0][at] += step;
                loss(&model)
            };
            let slope = (at_step(1e-5) - at_step(-1e-5)) / 2e-5;
            // After the first step the first average is a tenth of the gradient.
            let gradient = 10.0 * learned.weights[which][1][at];
            assert!((slope - gradient).abs() < 1e-8, "{which} {at}: {slope} {gradient}");
        }
    }
}
