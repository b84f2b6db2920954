//! Plain nets of two depths and the deep one's residual twin, on the bundled digits: every setting by name, to look for
//! a recipe that shows what depth does within the time there is.
//!
//! `cargo run --release --example depth_trial -- depths=20,56 seeds=0,1,2 width=4 size=14 samples=1500 epochs=4`

use std::error::Error;
use std::time::Instant;

use attar_data::{ReadOptions, open};
use attar_learn::Augmentation;
use attar_learn::depth::{Family, Images, NetSpec, Outcome, Recipe, compare, seconds_per_image};
use attar_learn::nets::Norm;

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str, default: &str| {
        let found = given.iter().find_map(|text| text.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or(default).to_owned()
    };
    let whole = |name: &str, default: &str| value(name, default).parse::<usize>();
    let list = |text: String| text.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>();
    let depths = list(value("depths", "20,56"))?;
    let seeds: Vec<u64> = list(value("seeds", "100,101"))?.into_iter().map(|seed| seed as u64).collect();
    let source = open(&value("data", "digits"), &ReadOptions::default())?;
    let images = Images::reduced(&source, whole("size", "14")?, whole("samples", "1500")?, 0)?;
    let padding = whole("padding", "0")?;
    let recipe = Recipe {
        width: whole("width", "4")?,
        norm: Norm::Batch,
        epochs: whole("epochs", "4")?,
        batch_size: whole("batch", "32")?,
        learning_rate: value("rate", "0.1").parse()?,
        warmup_steps: whole("warmup", "0")?,
        augmentation: (padding > 0).then_some(Augmentation { padding, flip: false }),
    };
    for net in depths.iter().map(|&depth| NetSpec { family: Family::Plain, depth }) {
        println!("{}: {:.0} us an image", net.name(), 1e6 * seconds_per_image(&images, &recipe, net)?);
    }
    let started = Instant::now();
    let show = |outcome: &Outcome| {
        let errors = outcome.errors;
        let signals: Vec<String> = outcome
            .signals
            .iter()
            .map(|signal| {
                format!(
                    "{}: {:+.3} {:+.3} {:.1e}",
                    signal.step, signal.variance_slope, signal.gradient_slope, signal.ratio
                )
            })
            .collect();
        println!(
            "{} seed {} x{}: {} steps, training {:.4}, evaluation {:.4}; {} [{:.0} s]",
            outcome.trial.net.name(),
            outcome.trial.seed,
            outcome.trial.longer,
            outcome.steps,
            errors.training,
            errors.evaluation,
            signals.join(", "),
            started.elapsed().as_secs_f64(),
        );
    };
    let threads = std::thread::available_parallelism()?.get();
    let found = compare(&images, &recipe, [depths[0], depths[1]], &seeds, threads, show)?;
    for contrast in found.verdict.plain.iter().chain(&found.verdict.residual) {
        println!(
            "{} x{}: {:+.4} {:?} {:?}",
            contrast.net.name(),
            contrast.longer,
            contrast.mean,
            contrast.interval,
            contrast.judgement
        );
    }
    println!("{:?}", found.verdict.finding);
    Ok(())
}
