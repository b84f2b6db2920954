//! `doctor depth`: is a deep plain net harder to train than its shallow twin, on the training images themselves?

use attar_learn::depth::{Contrast, Depth, Finding, Outcome};
use attar_report::{Report, Section, Statement, Verdict};
use serde_json::{Value, json};

use crate::cli::doctor::DepthArgs;
use crate::cli::{Common, read_options};
use crate::depth::words::{COLUMNS, SIGNAL_COLUMNS, conditions, findings, signals, table};
use crate::depth::{Experiment, Wanted, figures};
use crate::error::CliError;
use crate::output::{print, print_columns, print_json};

/// Trains, prints tables and verdict, then writes the report if one is asked for; an error when depth degrades training.
/// Where the seeds leave it undecided that is said, and is no error.
pub(crate) fn run(args: &DepthArgs, common: &Common) -> Result<(), CliError> {
    let experiment = Experiment::plan(&wanted(args, common)?, &read_options(&args.reading, common))?;
    let bar = crate::progress::bar(experiment.trainings(), "trainings");
    let found = experiment.run(|_| bar.inc(1))?;
    bar.finish_and_clear();
    match common.json {
        true => print_json(&json_of(&experiment, &found))?,
        false => show(&experiment, &found)?,
    }
    if let Some(path) = &common.out {
        attar_report::write(&page(&experiment, &found), path)?;
    }
    match found.verdict.finding {
        Finding::Degradation => Err(CliError::run("degradation: the deeper plain net fits its training images worse")),
        _ => Ok(()),
    }
}

fn wanted(args: &DepthArgs, common: &Common) -> Result<Wanted, CliError> {
    let &[shallow, deep] = args.depths.as_slice() else {
        return Err(CliError::input(format!("`--depths` must be two numbers, got {}", args.depths.len())));
    };
    let first = common.seed.unwrap_or(0);
    Ok(Wanted {
        data: args.data.clone(),
        depths: [shallow, deep],
        seeds: (0..args.seeds).map(|seed| first + seed).collect(),
        width: args.width,
        size: args.size,
        samples: args.samples,
        epochs: args.epochs,
        budget: args.budget,
    })
}

fn show(experiment: &Experiment, found: &Depth) -> Result<(), CliError> {
    let headed = |heads: &[&str], rows: Vec<Vec<String>>| {
        let heads = heads.iter().map(|head| (*head).to_owned()).collect();
        print_columns(&std::iter::once(heads).chain(rows).collect::<Vec<_>>())
    };
    headed(&COLUMNS, table(&found.outcomes))?;
    print("\n")?;
    headed(&SIGNAL_COLUMNS, signals(&found.outcomes))?;
    print(&format!("\n{}\n", conditions(experiment).join("\n")))?;
    print(&format!("\n{}\n", findings(experiment, found).join("\n")))
}

fn page(experiment: &Experiment, found: &Depth) -> Report {
    let [shallow, deep] = experiment.depths;
    let first = match found.verdict.finding {
        Finding::None => Verdict::Good,
        Finding::Degradation => Verdict::Bad,
        Finding::SlowStart | Finding::Undecided => Verdict::Neutral,
    };
    let verdicts = std::iter::once(first).chain(std::iter::repeat(Verdict::Neutral));
    let statements = findings(experiment, found).into_iter().zip(verdicts);
    let section = |title: &str, text, blocks| Section { title: title.into(), text, blocks };
    Report {
        title: format!("{}: does depth hurt?", experiment.source),
        subtitle: format!("Plain nets of {shallow} and {deep} layers, and the residual twin of the deep one"),
        verdict: statements.map(|(text, verdict)| Statement { text, verdict }).collect(),
        sections: vec![
            section("What was measured", Vec::new(), figures::all(experiment, found)),
            section("How it was made", conditions(experiment), Vec::new()),
        ],
    }
}

fn json_of(experiment: &Experiment, found: &Depth) -> Value {
    let Experiment { images, recipe, depths, seeds, source, is_jpeg, .. } = experiment;
    json!({
        "certificate": "depth",
        "data": {
            "source": source, "samples": images.samples(), "available": images.available, "shape": images.shape,
            "original": images.original, "jpeg": is_jpeg,
        },
        "recipe": {
            "depths": depths, "seeds": seeds, "width": recipe.width, "epochs": recipe.epochs,
            "batch_size": recipe.batch_size, "learning_rate": recipe.learning_rate,
        },
        "outcomes": found.outcomes.iter().map(outcome).collect::<Vec<_>>(),
        "finding": found.verdict.finding,
        "plain": found.verdict.plain.each_ref().map(contrast),
        "residual": found.verdict.residual.each_ref().map(contrast),
        "verdict": findings(experiment, found),
        "conditions": conditions(experiment),
    })
}

fn outcome(outcome: &Outcome) -> Value {
    let signal = |signal: &attar_learn::depth::Signal| {
        json!({
            "step": signal.step, "variance_slope": signal.variance_slope, "gradient_slope": signal.gradient_slope,
            "gradient_first_over_last": signal.ratio,
            "gradients": signal.layers.iter().map(|layer| layer.gradient).collect::<Vec<_>>(),
        })
    };
    json!({
        "net": outcome.trial.net.name(), "seed": outcome.trial.seed, "steps": outcome.steps,
        "training_error": outcome.errors.training, "evaluation_error": outcome.errors.evaluation,
        "diverged": outcome.diverged, "losses": outcome.losses,
        "signals": outcome.signals.iter().map(signal).collect::<Vec<_>>(),
    })
}

fn contrast(contrast: &Contrast) -> Value {
    json!({
        "net": contrast.net.name(), "longer": contrast.longer, "differences": contrast.differences,
        "mean": contrast.mean, "interval": contrast.interval.map(|interval| [interval.low, interval.high]),
        "shallow_learned": contrast.learned, "judgement": contrast.judgement,
    })
}
