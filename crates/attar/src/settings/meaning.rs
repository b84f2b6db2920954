//! Settings in the words of the crates that do the work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use attar_data::{Dataset, ReadOptions, SplitFractions};
use attar_learn::config::{Affine, Architecture, Noise, Objective, Optimizer, Schedule, Training};
use attar_learn::judge::Judging;

use super::{ObjectiveName, OptimizerName, Settings};
use crate::error::CliError;

/// Keys whose values may differ between two starts of one run.
const NOT_THE_RUN: [&str; 7] = ["out", "name", "data-dir", "note", "threads", "json", "checkpoint-seconds"];

impl Settings {
    /// The seed of the first repeat.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// The objectives of the sweep; a single one where there is no sweep.
    pub(crate) fn objectives(&self) -> &[ObjectiveName] {
        self.objective.as_deref().unwrap_or_default()
    }

    /// The latent sizes of the sweep; a single one where there is no sweep.
    pub(crate) fn latents(&self) -> &[usize] {
        self.latent.as_deref().unwrap_or_default()
    }

    /// Trainings of each objective and latent size, at least one.
    pub(crate) fn repeats(&self) -> usize {
        self.repeats.unwrap_or(1).max(1)
    }

    /// Where the run goes: `--out`, else `runs/` and the name of the run or of its source.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let of_source = || self.source.as_deref().and_then(|source| Path::new(source).file_stem()?.to_str());
        let name = self.name.as_deref().or_else(of_source).unwrap_or("run");
        self.out.clone().unwrap_or_else(|| Path::new("runs").join(name))
    }

    /// How to read the source.
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            label_column: self.label_column.clone(),
            id_column: self.id_column.clone(),
            header: self.header,
            impute: self.impute,
            categorical: self.categorical,
            data_dir: self.data_dir.clone(),
            seed: self.seed(),
        }
    }

    /// Shares of the rows: those that are set, and the others in proportion to the data's defaults.
    pub(crate) fn fractions(&self, data: &Dataset) -> SplitFractions {
        let default = SplitFractions::default_for(data);
        let defaults = [default.train, default.validation, default.test];
        let set = [self.train_fraction, self.validation_fraction, self.test_fraction];
        let [train, validation, test] = shares(set, defaults);
        SplitFractions { train, validation, test }
    }

    /// One training of the sweep: repeat `r` has the seed that is `r` after the first.
    ///
    /// # Errors
    /// A value that no training can have; a key that [`Settings::complete`] would have set.
    pub(crate) fn training(
        &self,
        objective: ObjectiveName,
        latent: usize,
        repeat: usize,
        train_samples: usize,
    ) -> Result<Training, CliError> {
        let batch_size = need("batch-size", self.batch_size)?;
        let training = Training {
            architecture: self.architecture(latent)?,
            objective: self.objective_of(objective)?,
            optimizer: self.optimizer_of()?,
            learning_rate: need("learning-rate", self.learning_rate)?,
            schedule: self.schedule_of(train_samples.div_ceil(batch_size.max(1)))?,
            clip_norm: self.clip_norm,
            epochs: need("epochs", self.epochs)?,
            batch_size,
            accumulation: need("accumulation", self.accumulation)?,
            precision: need("precision", self.precision)?,
            seed: self.seed().wrapping_add(repeat as u64),
        };
        training.validate()?;
        Ok(training)
    }

    /// Time between checkpoints.
    ///
    /// # Errors
    /// A number that is no time.
    pub(crate) fn checkpoint_interval(&self) -> Result<Duration, CliError> {
        let seconds = self.checkpoint_seconds.unwrap_or(5.0);
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| CliError::input(format!("`checkpoint-seconds` must be a number of at least 0, got {seconds}")))
    }

    /// How to judge the codes.
    ///
    /// # Errors
    /// A number of neighbours or draws that is zero; a key that [`Settings::complete`] would have set.
    pub(crate) fn judging(&self) -> Result<Judging, CliError> {
        Ok(Judging {
            budgets: need("label-budget", self.label_budget.as_deref().map(<[_]>::to_vec))?,
            draws: positive("draws", need("draws", self.draws)?)?,
            neighbours: positive("neighbours", need("neighbours", self.neighbours)?)?,
            probe_epochs: need("probe-epochs", self.probe_epochs)?,
            seed: self.seed(),
        })
    }

    /// The first key in which another start would not be the same run: key, value here, value there.
    pub(crate) fn difference(&self, other: &Self) -> Result<Option<(String, String, String)>, CliError> {
        let (here, there) = (super::layers::table(self)?, super::layers::table(other)?);
        let mut keys = here.keys().chain(there.keys());
        let text = |table: &toml::Table, key: &str| table.get(key).map_or("absent".to_owned(), ToString::to_string);
        let differs = |key: &&String| !NOT_THE_RUN.contains(&key.as_str()) && here.get(*key) != there.get(*key);
        Ok(keys.find(differs).map(|key| (key.clone(), text(&here, key), text(&there, key))))
    }

    fn architecture(&self, latent: usize) -> Result<Architecture, CliError> {
        Ok(Architecture {
            hidden: need("hidden", self.hidden.as_deref().map(<[_]>::to_vec))?,
            latent,
            decoder_hidden: self.decoder_hidden.as_deref().map(<[_]>::to_vec),
            activation: need("activation", self.activation)?,
        })
    }

    fn objective_of(&self, name: ObjectiveName) -> Result<Objective, CliError> {
        Ok(match name {
            ObjectiveName::Vanilla => Objective::Vanilla,
            ObjectiveName::Denoising => Objective::Denoising(self.noise()),
            ObjectiveName::Masked => Objective::Masked {
                probability: need("mask-probability", self.mask_probability)?,
                loss_on: need("loss-on", self.loss_on)?,
            },
        })
    }

    /// The noises that are set; the others are absent.
    fn noise(&self) -> Noise {
        let affine = Affine {
            shift: self.shift.unwrap_or(0.0),
            rotation: self.rotation.unwrap_or(0.0),
            scale: self.scale.unwrap_or(0.0),
            shear: self.shear.unwrap_or(0.0),
        };
        Noise {
            affine: (affine != Affine::default()).then_some(affine),
            gaussian: self.noise_std.unwrap_or(0.0),
            salt_and_pepper: self.salt_and_pepper.unwrap_or(0.0),
        }
    }

    fn optimizer_of(&self) -> Result<Optimizer, CliError> {
        let weight_decay = need("weight-decay", self.weight_decay)?;
        Ok(match need("optimizer", self.optimizer)? {
            OptimizerName::Sgd => Optimizer::Sgd { momentum: need("momentum", self.momentum)?, weight_decay },
            OptimizerName::Adam => Optimizer::Adam { weight_decay },
            OptimizerName::AdamW => Optimizer::AdamW { weight_decay },
        })
    }

    fn schedule_of(&self, steps_per_epoch: usize) -> Result<Schedule, CliError> {
        let epochs = need("warmup-epochs", self.warmup_epochs)?;
        if !(epochs.is_finite() && epochs >= 0.0) {
            return Err(CliError::input(format!("`warmup-epochs` must be a number of at least 0, got {epochs}")));
        }
        let warmup_steps = (epochs * steps_per_epoch as f64).round() as usize;
        Ok(Schedule { warmup_steps, decay: need("schedule", self.schedule)? })
    }
}

fn need<T>(key: &str, value: Option<T>) -> Result<T, CliError> {
    value.ok_or_else(|| CliError::input(format!("no value for `{key}`, in flags, files or defaults")))
}

fn positive(key: &str, value: usize) -> Result<usize, CliError> {
    match value {
        0 => Err(CliError::input(format!("`{key}` must be at least 1, got 0"))),
        value => Ok(value),
    }
}

/// Fills in the shares that are not set, so that all add up to 1 where they can.
fn shares(set: [Option<f64>; 3], defaults: [f64; 3]) -> [f64; 3] {
    if set == [None; 3] {
        return defaults;
    }
    let left = (1.0 - set.iter().flatten().sum::<f64>()).max(0.0);
    let open: f64 = set.iter().zip(defaults).map(|(set, default)| set.map_or(default, |_| 0.0)).sum();
    let share = |set: Option<f64>, default: f64| set.unwrap_or(if open > 0.0 { left * default / open } else { 0.0 });
    // To twelve digits, so that a file shows 0.1 and not 0.09999999999999998.
    [0, 1, 2].map(|part| (share(set[part], defaults[part]) * 1e12).round() / 1e12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_shares_divide_what_is_left() {
        let check = |set, expected| assert_eq!(shares(set, [0.7, 0.2, 0.1]), expected);
        check([None, None, None], [0.7, 0.2, 0.1]);
        check([Some(0.4), None, None], [0.4, 0.4, 0.2]);
        check([None, Some(0.1), Some(0.1)], [0.8, 0.1, 0.1]);
        check([Some(0.9), Some(0.9), None], [0.9, 0.9, 0.0]);
        assert_eq!(shares([None, Some(0.2), None], [0.9, 0.1, 0.0]), [0.8, 0.2, 0.0]);
    }

    #[test]
    fn warm_up_is_counted_in_steps() {
        let check = |epochs, expected| {
            let settings = Settings {
                warmup_epochs: Some(epochs),
                schedule: Some(attar_learn::config::Decay::Cosine),
                ..Settings::default()
            };
            assert_eq!(settings.schedule_of(7).unwrap().warmup_steps, expected, "{epochs}");
        };
        check(0.0, 0);
        check(0.5, 4);
        check(3.0, 21);
    }

    #[test]
    fn runs_are_named_after_their_source_unless_told_otherwise() {
        let check = |out: Option<&str>, name: Option<&str>, source: &str, expected: &str| {
            let settings = Settings {
                out: out.map(Into::into),
                name: name.map(Into::into),
                source: Some(source.into()),
                ..Settings::default()
            };
            assert_eq!(settings.run_folder(), Path::new(expected));
        };
        check(None, None, "digits", "runs/digits");
        check(None, None, "../data/wine.csv", "runs/wine");
        check(None, Some("a"), "wine.csv", "runs/a");
        check(Some("b/c"), Some("a"), "wine.csv", "b/c");
    }

    #[test]
    fn a_difference_is_named_unless_it_changes_nothing() {
        let one = Settings { epochs: Some(3), out: Some("a".into()), threads: Some(1), ..Settings::default() };
        let same = Settings { out: None, threads: Some(2), ..one.clone() };
        let other = Settings { epochs: Some(5), ..one.clone() };
        assert_eq!(one.difference(&same).unwrap(), None);
        assert_eq!(one.difference(&other).unwrap(), Some(("epochs".into(), "3".into(), "5".into())));
    }
}
