//! Settings in layers, as TOML tables: flags over a file over a recipe over the defaults.

use std::path::Path;

use clap::CommandFactory;
use toml::{Table, Value};

use super::{Recipe, Settings};
use crate::cli::Cli;
use crate::error::CliError;
use crate::nearest::nearest;

/// Flags of `train` about what is done with a run, not about what it is.
const NO_KEYS: [&str; 5] = ["config", "resume", "overwrite", "help", "version"];

/// Keys that mean something only beside a certain value of another key.
const NEEDS: [(&str, &str, &str); 9] = [
    ("noise-std", "objective", "denoising"),
    ("salt-and-pepper", "objective", "denoising"),
    ("shift", "objective", "denoising"),
    ("rotation", "objective", "denoising"),
    ("scale", "objective", "denoising"),
    ("shear", "objective", "denoising"),
    ("mask-probability", "objective", "masked"),
    ("loss-on", "objective", "masked"),
    ("momentum", "optimizer", "sgd"),
];

/// Keys that say how to corrupt; one of them given speaks for all of them.
pub(super) const NOISE: [&str; 6] = ["noise-std", "salt-and-pepper", "shift", "rotation", "scale", "shear"];

impl Settings {
    /// What the user said: flags over the file over the recipe that either names.
    ///
    /// The rest waits for the data: see [`Settings::complete`].
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value of the wrong kind, no source.
    pub(crate) fn resolve(flags: &Self, config: Option<&Path>) -> Result<Self, CliError> {
        let mut table = table(flags)?;
        if let Some(path) = config {
            fill(&mut table, read(path)?);
        }
        let settings = settings(table.clone())?;
        if settings.source.is_none() {
            let help = "`attar train digits` learns from the bundled digits, `attar train FILE` from your own data";
            return Err(CliError::input("there is no source to learn from").with_help(help));
        }
        match settings.recipe {
            Some(recipe) => of_recipe(table, recipe),
            None => Ok(settings),
        }
    }

    /// The settings of a file, such as the `config.toml` of a run.
    ///
    /// # Errors
    /// As [`Settings::resolve`].
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        settings(read(path)?)
    }

    /// The text of a configuration file with these settings, without those that its other choices make meaningless:
    /// of a sweep's settings that were narrowed to one objective, the noise of another.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    pub(crate) fn to_toml(&self) -> Result<String, CliError> {
        let mut run = Table::new();
        fill(&mut run, table(&Self { threads: None, json: None, ..self.clone() })?);
        toml::to_string(&settings(run)?).map_err(unwritable)
    }
}

fn of_recipe(mut table: Table, recipe: Recipe) -> Result<Settings, CliError> {
    fill(&mut table, parse(recipe.text(), "the recipe")?);
    settings(table)
}

/// The keys of a configuration file: the flags of `train`, by their definition.
fn known_keys() -> Vec<String> {
    let mut attar = Cli::command();
    attar.build();
    let train = attar.find_subcommand("train").into_iter();
    let arguments = train.flat_map(|train| train.get_arguments());
    let keys = arguments.map(|argument| argument.get_long().unwrap_or(argument.get_id().as_str()).to_owned());
    keys.filter(|key| !NO_KEYS.contains(&key.as_str())).collect()
}

fn read(path: &Path) -> Result<Table, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::input(format!("the configuration {}: {error}", path.display())))?;
    let table = parse(&text, &path.display().to_string())?;
    check_needs(&table)?;
    Ok(table)
}

/// A file's table, each key known and each value of its kind.
pub(super) fn parse(text: &str, origin: &str) -> Result<Table, CliError> {
    let wrong = |error: toml::de::Error| CliError::input(format!("{origin}: {error}"));
    refuse_unknown(&text.parse::<Table>().map_err(wrong)?, origin)?;
    // From the text and not from the table, so that an error has its line.
    table(&toml::from_str(text).map_err(wrong)?)
}

fn refuse_unknown(table: &Table, origin: &str) -> Result<(), CliError> {
    let known = known_keys();
    let Some(key) = table.keys().find(|key| !known.contains(key)) else { return Ok(()) };
    let error = CliError::input(format!("{origin}: unknown key `{key}`"));
    Err(match nearest(key, &known) {
        Some(near) => error.with_help(format!("did you mean `{near}`?")),
        None => error.with_help("each flag of `attar train --help` has its key of the same name"),
    })
}

pub(super) fn table(settings: &Settings) -> Result<Table, CliError> {
    Table::try_from(settings).map_err(unwritable)
}

fn unwritable(error: toml::ser::Error) -> CliError {
    CliError::input(format!("settings that TOML cannot hold: {error}"))
}

pub(super) fn settings(table: Table) -> Result<Settings, CliError> {
    table.try_into().map_err(|error| CliError::input(error.to_string()))
}

/// Puts the keys of `lower` where `upper` has none, but for keys that the choices of `upper` make meaningless.
pub(super) fn fill(upper: &mut Table, lower: Table) {
    let (choices, rest): (Table, Table) =
        lower.into_iter().partition(|(key, _)| NEEDS.iter().any(|(_, other, _)| key == other));
    for (key, value) in choices.into_iter().chain(rest) {
        match (upper.get_mut(&key), value) {
            (Some(Value::Table(upper)), Value::Table(lower)) => {
                for (key, value) in lower {
                    upper.entry(key).or_insert(value);
                }
            }
            (Some(_), _) => {}
            (None, value) => {
                if unmet(upper, &key).is_none() {
                    upper.insert(key, value);
                }
            }
        }
    }
}

/// Refuses a key that the other choices make meaningless.
pub(super) fn check_needs(table: &Table) -> Result<(), CliError> {
    match table.keys().find_map(|key| unmet(table, key).map(|need| (key, need))) {
        Some((key, (other, value))) => Err(CliError::input(format!(
            "`{key}` has no meaning here: `{other}` is {}, without {value}",
            table.get(other).map(Value::to_string).unwrap_or_default()
        ))
        .with_help(format!("leave `{key}` out, or set `{other}` to {value}"))),
        None => Ok(()),
    }
}

/// The choice that `key` needs and that `table` makes otherwise.
fn unmet(table: &Table, key: &str) -> Option<(&'static str, &'static str)> {
    let (_, other, value) = *NEEDS.iter().find(|(needing, ..)| *needing == key)?;
    let chosen = table.get(other)?;
    let is_value = |chosen: &Value| chosen.as_str() == Some(value);
    let met = is_value(chosen) || chosen.as_array().is_some_and(|chosen| chosen.iter().any(is_value));
    (!met).then_some((other, value))
}

#[cfg(test)]
mod tests {
    use super::super::words::names;
    use super::super::{List, ObjectiveName};
    use super::*;
    use crate::cli::Command;
    use clap::Parser;
    use std::collections::BTreeSet;

    fn message(text: &str) -> String {
        parse(text, "a.toml").unwrap_err().to_string()
    }

    #[test]
    fn each_flag_of_train_has_its_key() {
        let mut keys = known_keys();
        let mut fields = names::<Settings>().to_vec();
        keys.sort();
        fields.sort_unstable();
        assert_eq!(keys, fields);
    }

    #[test]
    fn a_flag_and_its_key_mean_the_same() {
        let line = "attar train a.csv --label-column l --id-column i --header=false --impute drop --categorical one-hot \
                    --scaling none --train-fraction 0.5 --validation-fraction 0.25 --test-fraction 0.25 --hidden none \
                    --decoder-hidden 8,4 --latent 2,3 --activation silu --objective vanilla,denoising,masked \
                    --noise-std 0.5 --salt-and-pepper 0.1 --shift 1 --rotation 2 --scale 0.1 --shear 0.2 \
                    --mask-probability 0.25 --loss-on hidden --optimizer sgd --momentum 0.9 --weight-decay 0.1 \
                    --learning-rate 1e-4 --warmup-epochs 0.5 --schedule cosine --clip-norm 1 --epochs 3 --batch-size 7 \
                    --accumulation 2 --precision bf16 --repeats 4 --first-repeat 2 --checkpoint-seconds 3 --recipe few-labels --label-budget 10,all --draws 5 --neighbours 3 \
                    --probe-epochs 9 --name n --seed 11 --out o --data-dir d --note a=b --threads 2 --json";
        let cli = Cli::parse_from(line.split_whitespace());
        let Command::Train(train) = &cli.command else { panic!("{cli:?}") };
        let typed = train.typed(&cli.common);
        let mut given = table(&typed).unwrap();
        assert_eq!(given.keys().cloned().collect::<BTreeSet<_>>(), known_keys().into_iter().collect());
        assert_eq!(settings(parse(&given.to_string(), "").unwrap()).unwrap(), typed);
        // What is written down is the run, not how fast or in what form it was asked for.
        given.retain(|key, _| !["threads", "json"].contains(&key));
        assert_eq!(parse(&typed.to_toml().unwrap(), "").unwrap(), given);
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_placed() {
        let check = |text: &str, parts: &[&str]| {
            let message = message(text);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        };
        check("latnet = 5", &["a.toml", "unknown key `latnet`", "did you mean `latent`?"]);
        check("learning_rate = 1e-3", &["did you mean `learning-rate`?"]);
        check("zzzz = 1", &["attar train --help"]);
        check("epochs = 3\nlatent = \"x\"", &["a.toml", "line 2", "`x`"]);
        check("activation = \"rel\"", &["line 1", "relu"]);
        check("epochs = ", &["line 1"]);
    }

    #[test]
    fn upper_layers_win_and_notes_are_joined() {
        let mut upper = parse("epochs = 3\nnote = { author = \"A\" }", "").unwrap();
        fill(&mut upper, parse("epochs = 5\nrepeats = 2\nnote = { author = \"B\", hours = \"4\" }", "").unwrap());
        let all = settings(upper).unwrap();
        assert_eq!((all.epochs, all.repeats), (Some(3), Some(2)));
        let note = all.note.unwrap();
        assert_eq!((note["author"].as_str(), note["hours"].as_str()), ("A", "4"));
    }

    #[test]
    fn lower_layers_bring_nothing_meaningless() {
        let mut upper = parse("objective = \"vanilla\"", "").unwrap();
        fill(&mut upper, parse("shift = 2.0\nloss-on = \"all\"\nepochs = 5", "").unwrap());
        assert_eq!(upper.keys().collect::<Vec<_>>(), ["epochs", "objective"]);
        // The lower layer's own choice counts before its other keys do, whatever their order.
        let mut upper = parse("epochs = 1", "").unwrap();
        fill(&mut upper, parse("mask-probability = 0.5\nobjective = \"masked\"\nshift = 1.0", "").unwrap());
        assert_eq!(upper.keys().collect::<Vec<_>>(), ["epochs", "mask-probability", "objective"]);
    }

    #[test]
    fn one_run_of_a_sweep_has_a_file_that_can_be_read() {
        let sweep = "objective = [\"masked\", \"denoising\"]\nloss-on = \"all\"\nnoise-std = 0.5\nepochs = 3";
        let sweep = settings(parse(sweep, "").unwrap()).unwrap();
        let one = Settings { objective: Some(List(vec![ObjectiveName::Denoising])), ..sweep };
        let text = one.to_toml().unwrap();
        assert_eq!(
            text.lines().collect::<BTreeSet<_>>(),
            ["epochs = 3", "noise-std = 0.5", "objective = [\"denoising\"]"].into()
        );
    }

    #[test]
    fn a_key_without_meaning_is_refused() {
        let check = |text: &str, key: &str| {
            let message = check_needs(&parse(text, "").unwrap()).unwrap_err().to_string();
            assert!(message.contains(&format!("`{key}` has no meaning")), "{message}");
        };
        check("objective = [\"vanilla\", \"masked\"]\nnoise-std = 0.5", "noise-std");
        check("objective = \"denoising\"\nmask-probability = 0.5", "mask-probability");
        check("optimizer = \"adam\"\nmomentum = 0.9", "momentum");
        assert!(check_needs(&parse("objective = [\"vanilla\", \"denoising\"]\nshift = 1.0", "").unwrap()).is_ok());
    }
}
