//! Question 3: what it takes, in PyTorch's terms, to minimise the regularised objective.

use attar_linear::linear_autoencoder::{
    Factor, Objective, TorchOptimizer, TorchRule, WeightDecay, Weights, regularised_path, torch_path,
};
use attar_report::Block;
use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::Lab;
use super::arithmetic::map_of;
use super::source::{Source, Subject, gentle_rows};
use super::variants::{Sgd, Variant, map_after};
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::table;
use crate::commands::lab::questions::Part;
use crate::error::CliError;

const STEPS: usize = 100;
const BATCH: usize = 50;

const VARIANTS: [(&str, Variant); 6] = [
    ("dropout on the code", Variant::Dropout),
    ("layer norm on the code", Variant::LayerNorm),
    ("batch norm on the code", Variant::BatchNorm),
    ("L1Loss", Variant::AbsoluteLoss),
    ("three linear layers", Variant::ThreeLayers),
    ("one linear layer", Variant::OneLayer),
];

/// A path that is not the regularised one differs by more than a million times the rounding of one that is.
const DIFFERENT: f64 = 1e-6;

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let (mut claims, mut columns, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    for source in &lab.sources {
        let (distances, weights) = distances(source, lab.seed)?;
        let sentence = format!("{}: largest difference of a weight after these {STEPS} steps of SGD", source.name);
        claims.extend(of_source(source.name, &distances));
        claims.push(Claim::at_most(sentence, weights, 1e-12));
        columns.push((source.name, distances));
    }
    tables.extend(paths(&columns));
    if let Some(gentle) = lab.spectra.first() {
        let ends = ends(&gentle.subject, lab.seed)?;
        claims.extend(of_ends(gentle.name, &ends));
        tables.push(end_table(gentle.name, &ends));
    }
    Ok(Part { answer: answer(claims), figures: tables })
}

/// How far a training is from the regularised path after the same start and batches.
struct Distance {
    what: &'static str,
    /// Whether it should be the same path.
    same: bool,
    /// Of the map, over how far the regularised path has moved it.
    distance: f64,
}

type Path<'a> = (&'static str, bool, Box<dyn Fn() -> Result<Mat<f64>, CliError> + Sync + 'a>);

/// The distances of all trainings, and the largest difference of a weight under SGD.
fn distances(source: &Source, seed: u64) -> Result<(Vec<Distance>, f64), CliError> {
    let subject = &source.subject;
    let rows: Vec<usize> = source.split.train.iter().copied().cycle().take(STEPS * BATCH).collect();
    let batches: Vec<Mat<f64>> = rows.chunks(BATCH).map(|rows| source.centred(rows)).collect();
    let refs: Vec<MatRef<'_, f64>> = batches.iter().map(Mat::as_ref).collect();
    let start = subject.start(seed);
    let (rate, lambda) = (0.05 / subject.variances()[0], subject.medium_lambda());
    let sgd = TorchOptimizer::for_l2(rate, lambda, subject.factor.features());
    let (regularised, by_torch) = (regularised_path(&start, &refs, rate, lambda)?, torch_path(&start, &refs, &sgd)?);
    let of_encoder = (&regularised.encoder - &by_torch.encoder).norm_max();
    let of_weights = of_encoder.max((&regularised.decoder - &by_torch.decoder).norm_max());
    let end = map_of(&regularised);
    let moved = (&end - map_of(&start)).norm_l2();
    let paths = paths_beside(&start, &refs, sgd);
    let one = |(what, same, path): &Path<'_>| {
        Ok(Distance { what, same: *same, distance: (path()? - &end).norm_l2() / moved })
    };
    let distances = paths.par_iter().map(one).collect::<Result<Vec<_>, CliError>>()?;
    Ok((distances, of_weights))
}

/// The map that each training comes to.
fn paths_beside<'a>(start: &'a Weights, refs: &'a [MatRef<'a, f64>], sgd: TorchOptimizer) -> Vec<Path<'a>> {
    let (rule, decay) = (TorchRule::Adam, WeightDecay::Decoupled);
    let m = start.encoder.ncols() as f64;
    let (rate, weight_decay) = (sgd.learning_rate, sgd.weight_decay);
    let adam = TorchOptimizer { rule, learning_rate: 1e-3, ..sgd.clone() };
    let unscaled = TorchOptimizer { learning_rate: rate / m, weight_decay: m * weight_decay, ..sgd.clone() };
    let optimizers = [
        ("SGD, MSELoss, weight decay 2 lambda / m", true, sgd.clone()),
        ("the same, decoupled (SGDW)", true, TorchOptimizer { decay, ..sgd.clone() }),
        ("weight decay lambda / m", false, TorchOptimizer { weight_decay: 0.5 * weight_decay, ..sgd.clone() }),
        ("neither rate nor decay scaled by m", false, unscaled),
        ("no weight decay", false, TorchOptimizer { weight_decay: 0.0, ..sgd.clone() }),
        ("Adam with L2", false, adam.clone()),
        ("AdamW", false, TorchOptimizer { decay, ..adam }),
    ];
    let by_optimizer = optimizers.into_iter().map(|(what, same, optimizer)| -> Path<'a> {
        (what, same, Box::new(move || Ok(map_of(&torch_path(start, refs, &optimizer)?))))
    });
    let settings = Sgd { learning_rate: rate, weight_decay };
    let by_variant = VARIANTS.into_iter().map(|(what, variant)| -> Path<'a> {
        (what, false, Box::new(move || Ok(map_after(variant, start, refs, settings, 0))))
    });
    by_optimizer.chain(by_variant).collect()
}

fn of_source(name: &str, distances: &[Distance]) -> Vec<Claim> {
    let claim = |distance: &Distance| {
        let Distance { what, same, distance } = distance;
        let sentence =
            format!("{name}: {what}: distance from the regularised path after {STEPS} steps, over its length");
        if *same { Claim::at_most(sentence, *distance, 1e-12) } else { Claim::at_least(sentence, *distance, DIFFERENT) }
    };
    distances.iter().map(claim).collect()
}

fn paths(columns: &[(&str, Vec<Distance>)]) -> Option<Block> {
    let (_, first) = columns.first()?;
    let row = |i: usize, what: &str| {
        let numbers = columns.iter().filter_map(|(_, distances)| distances.get(i)).map(|d| shown(d.distance));
        std::iter::once(what.to_owned()).chain(numbers).collect()
    };
    let rows = first.iter().enumerate().map(|(i, distance)| row(i, distance.what)).collect();
    let names: Vec<&str> = std::iter::once("training").chain(columns.iter().map(|(name, _)| *name)).collect();
    let caption = format!(
        "||W2 W1 - map of the regularised path|| after {STEPS} steps on the same batches of {BATCH} rows from the \
         same start, over how far that path has moved. Norms are without affine parameters; dropout drops one half."
    );
    Some(table("Which trainings take the steps of the regularised objective", &caption, &names, rows))
}

/// Where full-batch training ends.
struct End {
    what: &'static str,
    same: bool,
    /// `‖map - optimal map‖` over `‖optimal map‖`.
    distance: f64,
    /// Of a certificate; nothing where two weights are not all there is.
    failing: String,
}

/// A map whose loss is within 1e-6 is within the root of that: the loss is quadratic around its minimum.
const AT_OPTIMUM: f64 = 1e-3;

/// Learning rates of Adam, one after another, as a constant one leaves it within about one of the minimum.
const RATES: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];
const STEPS_PER_RATE: usize = 10_000;

fn ends(subject: &Subject, seed: u64) -> Result<Vec<End>, CliError> {
    let rows = gentle_rows(seed)?;
    let lambda = subject.medium_lambda();
    let sgd = TorchOptimizer::for_l2(0.05 / subject.variances()[0], lambda, subject.factor.features());
    let adam = TorchOptimizer { rule: TorchRule::Adam, ..sgd.clone() };
    let adamw = TorchOptimizer { decay: WeightDecay::Decoupled, ..adam.clone() };
    let optimizers =
        [("SGD with weight decay", true, sgd.clone()), ("Adam with L2", true, adam), ("AdamW", false, adamw)];
    let config = subject.model(Objective::L2 { lambda });
    let optimum = map_of(&config.optimum(&subject.factor)?.weights);
    let apart = |map: Mat<f64>| (map - &optimum).norm_l2() / optimum.norm_l2();
    let batches = vec![rows.as_ref(); STEPS_PER_RATE];
    let by_optimizer = optimizers.into_par_iter().map(|(what, same, optimizer)| {
        let weights = annealed(subject.start(seed), &batches, &optimizer)?;
        let failing = config.certify(&subject.factor, &weights, None, &Default::default())?.failing().join(", ");
        Ok(End { what, same, distance: apart(map_of(&weights)), failing })
    });
    let settings = Sgd { learning_rate: sgd.learning_rate, weight_decay: sgd.weight_decay };
    let by_variant = VARIANTS.into_par_iter().map(|(what, variant)| {
        let map = map_after(variant, &subject.start(seed), &batches, settings, seed);
        Ok(End { what, same: false, distance: apart(map), failing: String::new() })
    });
    by_optimizer.chain(by_variant).collect()
}

/// The weights after all the batches at each learning rate of Adam, or at the one of SGD.
fn annealed(
    mut weights: Weights,
    batches: &[MatRef<'_, f64>],
    optimizer: &TorchOptimizer,
) -> Result<Weights, CliError> {
    for rate in RATES {
        let learning_rate = if optimizer.rule == TorchRule::Adam { rate } else { optimizer.learning_rate };
        weights = torch_path(&weights, batches, &TorchOptimizer { learning_rate, ..optimizer.clone() })?;
    }
    Ok(weights)
}

/// As many rows as features, with the same second moments as the data.
pub(super) fn root_rows(factor: &Factor, variances: &[f64]) -> Mat<f64> {
    let rank = variances.len();
    Mat::from_fn(rank, factor.features(), |i, j| (rank as f64 * variances[i]).sqrt() * factor.vectors()[(j, i)])
}

fn of_ends(name: &str, ends: &[End]) -> Vec<Claim> {
    let claim = |End { what, same, distance, .. }: &End| {
        let sentence =
            format!("{name}: {what}, all rows at once: distance of the map at the end from the optimal one, relative");
        if *same {
            Claim::at_most(sentence, *distance, AT_OPTIMUM)
        } else {
            Claim::at_least(sentence, *distance, 10.0 * AT_OPTIMUM)
        }
    };
    ends.iter().map(claim).collect()
}

fn end_table(name: &str, ends: &[End]) -> Block {
    let row = |end: &End| vec![end.what.to_owned(), shown(end.distance), end.failing.clone()];
    let caption = format!(
        "{name}: {STEPS_PER_RATE} steps at each of four learning rates for Adam, four times as many at one for SGD, \
         {STEPS_PER_RATE} for the others. The optimum is that of \
         ||X - W2 W1 X||^2/n + lambda (||W1||^2 + ||W2||^2). With layer norm the model is not linear; its W2 W1 is \
         taken."
    );
    let columns = ["training", "distance of the map, relative", "failing checks"];
    table("Where they end", &caption, &columns, ends.iter().map(row).collect())
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "3. How many linear layers, which loss, and which ingredients make training in PyTorch minimise \
                   (1/n) ||X - W2 W1 X||^2 + lambda (||W1||^2 + ||W2||^2)?"
            .into(),
        derivation: "MSELoss averages over the b rows of a batch and over the m features too: its gradient is 1/m of \
                     that of ||X - W2 W1 X||^2 / b. Weight decay w adds w W. A step of rate r is therefore \
                     W - (r/m) (grad ||X - W2 W1 X||^2 / b + m w W), one of the regularised objective with rate r/m \
                     and 2 lambda = m w: take weight_decay = 2 lambda / m and a learning rate m times larger. SGD's \
                     decay is an L2 penalty coupled or decoupled; Adam divides the gradient by its running size, so \
                     with the decay beside it (AdamW) no penalty of the weights' norm is minimised. Dropout adds a \
                     penalty of its own on code and decoder together, norms take the scale of W1 out of the model, \
                     L1Loss asks for medians, three layers share the penalty among three factors, one layer has no \
                     bottleneck and no product."
            .into(),
        answer: "Two linear layers without biases on centred data, MSELoss, and SGD with weight_decay = 2 lambda / m: \
                 then every step is the same but for rounding. Adam with L2 takes another path to the same optimum, \
                 AdamW ends elsewhere. No dropout, no layer norm, no batch norm."
            .into(),
        claims,
    }
}
