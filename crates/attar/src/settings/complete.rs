//! Settings filled in for the data at hand: nothing that determines the run is left open.

use attar_data::{Budget, Dataset, Layout, Scaling, split};
use toml::{Table, Value};

use super::layers::{self, NOISE};
use super::{List, ObjectiveName, Settings};
use crate::error::CliError;

const DEFAULTS: &str = include_str!("../../recipes/default.toml");
const IMAGE_DEFAULTS: &str = include_str!("../../recipes/image.toml");
const TABLE_DEFAULTS: &str = include_str!("../../recipes/table.toml");

/// Keys that only images have a use for.
const DISTORTIONS: [&str; 4] = ["shift", "rotation", "scale", "shear"];

impl Settings {
    /// These settings with every open choice made: by the defaults for such data, then by those for any.
    ///
    /// A corruption that was chosen is taken as it is: the defaults add no other to it.
    ///
    /// # Errors
    /// A key that the objective, the optimizer or the data has no use for; denoising without noise.
    pub(crate) fn complete(&self, data: &Dataset) -> Result<Self, CliError> {
        let layout = data.schema.layout;
        let mut table = layers::table(self)?;
        for text in [layout_defaults(layout), DEFAULTS] {
            let mut lower = layers::parse(text, "the defaults")?;
            if NOISE.iter().any(|key| table.contains_key(*key)) {
                lower.retain(|key, _| !NOISE.contains(&key));
            }
            layers::fill(&mut table, lower);
        }
        layers::check_needs(&table)?;
        refuse_distortion(&table, layout)?;
        let mut settings = layers::settings(table)?;
        settings.refuse_idle_denoising()?;
        settings.size_for(data);
        settings.meet_budgets(data, self.label_budget.is_none())?;
        Ok(settings)
    }

    /// Makes the choices that depend on the size of the data.
    fn size_for(&mut self, data: &Dataset) {
        let layout = data.schema.layout;
        let fractions = self.fractions(data);
        self.latent.get_or_insert_with(|| List(vec![default_latent(layout, data.features())]));
        self.scaling.get_or_insert(Scaling::default_for(layout));
        self.seed = Some(self.seed());
        self.train_fraction = Some(fractions.train);
        self.validation_fraction = Some(fractions.validation);
        self.test_fraction = Some(fractions.test);
    }

    /// Leaves out default label budgets that the training rows cannot meet; refuses chosen ones, before the training.
    fn meet_budgets(&mut self, data: &Dataset, default: bool) -> Result<(), CliError> {
        let (fractions, seed) = (self.fractions(data), self.seed());
        let Some(budgets) = self.label_budget.as_mut().filter(|_| data.labels.is_some()) else { return Ok(()) };
        let rows = split(data, &fractions, seed)?.train.len();
        if default {
            budgets.0.retain(|budget| !matches!(budget, Budget::Labels(labels) if *labels >= rows));
        }
        match budgets.iter().find_map(|budget| exceeding(*budget, rows)) {
            Some(budget) => Err(attar_data::Error::BudgetTooLarge { budget, rows }.into()),
            None => Ok(()),
        }
    }

    fn refuse_idle_denoising(&self) -> Result<(), CliError> {
        let noises = [self.noise_std, self.salt_and_pepper, self.shift, self.rotation, self.scale, self.shear];
        let noisy = noises.into_iter().flatten().any(|noise| noise != 0.0);
        if noisy || !self.objectives().contains(&ObjectiveName::Denoising) {
            return Ok(());
        }
        let help = "set `noise-std` or another noise above 0, or take the objective `vanilla`";
        Err(CliError::input("`objective` is denoising, but every noise is 0").with_help(help))
    }
}

fn exceeding(budget: Budget, rows: usize) -> Option<usize> {
    match budget {
        Budget::Labels(labels) if labels > rows => Some(labels),
        Budget::Labels(_) | Budget::All => None,
    }
}

fn layout_defaults(layout: Layout) -> &'static str {
    match layout {
        Layout::Image { .. } => IMAGE_DEFAULTS,
        Layout::Table | Layout::Vectors | Layout::Synthetic => TABLE_DEFAULTS,
    }
}

fn default_latent(layout: Layout, features: usize) -> usize {
    match layout {
        Layout::Image { .. } => 64,
        _ => (features / 4).clamp(2, 32),
    }
}

fn refuse_distortion(table: &Table, layout: Layout) -> Result<(), CliError> {
    let distorts = |key: &&&str| table.get(**key).and_then(Value::as_float).is_some_and(|size| size != 0.0);
    match DISTORTIONS.iter().find(distorts) {
        Some(key) if !matches!(layout, Layout::Image { .. }) => {
            Err(CliError::input(format!("`{key}` distorts images, and these are {layout}"))
                .with_help(format!("leave `{key}` out; `noise-std` and `salt-and-pepper` corrupt any data")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attar_data::{Labels, Matrix, Schema, Values};

    const IMAGE: Layout = Layout::Image { height: 2, width: 6, channels: 1 };

    fn data(layout: Layout) -> Dataset {
        Dataset {
            name: "test".to_owned(),
            schema: Schema::unnamed(layout, "x", 12),
            values: Values::Memory(Matrix { features: 12, data: vec![0.5; 12 * 200] }),
            labels: Some(Labels::Classes { names: vec!["a".into(), "b".into()], of: [0, 1].repeat(100) }),
            ids: None,
            test_rows: None,
        }
    }

    fn settings(text: &str) -> Settings {
        let flags = layers::settings(layers::parse(&format!("source = \"x\"\n{text}"), "").unwrap()).unwrap();
        Settings::resolve(&flags, None).unwrap()
    }

    #[test]
    fn the_defaults_complete_every_objective_on_every_layout() {
        for layout in [IMAGE, Layout::Table, Layout::Vectors, Layout::Synthetic] {
            for objective in ["vanilla", "denoising", "masked", "vanilla,denoising,masked"] {
                for optimizer in ["sgd", "adam", "adam-w"] {
                    let text = format!("objective = \"{objective}\"\noptimizer = \"{optimizer}\"");
                    trains(&settings(&text), &data(layout));
                }
            }
            trains(&settings(""), &data(layout));
        }
    }

    #[test]
    fn the_recipes_complete_on_images() {
        for recipe in ["few-labels", "reconstruction"] {
            trains(&settings(&format!("recipe = \"{recipe}\"")), &data(IMAGE));
            trains(&settings(&format!("recipe = \"{recipe}\"\nobjective = \"vanilla\"")), &data(Layout::Table));
        }
    }

    fn trains(settings: &Settings, data: &Dataset) {
        let complete = settings.complete(data).unwrap();
        for &objective in complete.objectives() {
            for &latent in complete.latents() {
                complete.training(objective, latent, 0, 140).unwrap();
            }
        }
        complete.judging().unwrap();
        assert_eq!(complete.complete(data).unwrap(), complete, "completing twice changes nothing");
        let text = complete.to_toml().unwrap();
        let again = layers::settings(layers::parse(&text, "").unwrap()).unwrap();
        assert_eq!(again, complete, "the file does not give back the settings");
    }

    #[test]
    fn a_chosen_noise_is_the_only_one() {
        let noise = |text: &str| {
            let complete = settings(text).complete(&data(IMAGE)).unwrap();
            (complete.noise_std, complete.shift)
        };
        assert_eq!(noise("objective = \"denoising\"\nnoise-std = 0.25"), (Some(0.25), None));
        assert_eq!(noise("objective = \"denoising\"\nshift = 1.5"), (None, Some(1.5)));
    }

    #[test]
    fn what_the_data_has_no_use_for_is_refused() {
        let check = |layout, text: &str, named: &str| {
            let message = settings(text).complete(&data(layout)).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        };
        check(Layout::Table, "objective = \"denoising\"\nshift = 2.0", "`shift` distorts images");
        check(IMAGE, "objective = \"denoising\"\nnoise-std = 0.0", "every noise is 0");
        check(IMAGE, "objective = \"vanilla\"\nnoise-std = 0.5", "`noise-std` has no meaning");
        check(IMAGE, "label-budget = 141", "a label budget of 141 is more than the 140 labelled rows");
        check(Layout::Table, "objective = \"vanilla\"\nmask-probability = 0.5", "`mask-probability` has no meaning");
    }

    #[test]
    fn sizes_follow_the_data() {
        let check = |layout, text: &str, latent: usize, budgets: &[Budget]| {
            let complete = settings(text).complete(&data(layout)).unwrap();
            assert_eq!(complete.latents(), [latent]);
            assert_eq!(complete.judging().unwrap().budgets, budgets);
        };
        // 140 of the 200 rows train: the default's 200 and 1,000 labels are not to be had.
        check(IMAGE, "", 64, &[Budget::Labels(10), Budget::Labels(50), Budget::Labels(100), Budget::All]);
        check(Layout::Table, "label-budget = 140", 3, &[Budget::Labels(140)]);
        check(Layout::Table, "latent = 7\nlabel-budget = \"all\"", 7, &[Budget::All]);
    }
}
