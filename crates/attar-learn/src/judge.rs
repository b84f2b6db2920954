//! Judging a representation: the same probes on the learned code and on honest baselines.
//!
//! Probes see the training split's labels only (the course's: the validation split's) and are scored
//! on the test split, which no weight and no statistic comes from. Draws of a label budget are the same
//! for every representation.

use attar_data::random::{Purpose, permutation, stream};
use attar_data::{Budget, Labels, Prepared, Split, label_budgets};
use attar_linear::{
    CovarianceSum, FittedPca, KNearest, L2, LogisticRegression, Pca, Ridge, Solver, mean_interval, wilson_interval,
};
use faer::MatRef;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::representation::Representation;
use crate::sweep::CourseProbe;

/// What to measure a representation with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Judging {
    /// Labels that a probe may see, for the curve of accuracy against labels.
    pub budgets: Vec<Budget>,
    /// Draws of each budget smaller than all labels.
    pub draws: usize,
    /// Neighbours of the k-nearest-neighbours probe.
    pub neighbours: usize,
    /// Epochs of the course's linear probe.
    pub probe_epochs: usize,
    /// Seed of the draws and of the linear probe.
    pub seed: u64,
}

/// One representation under every probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// What was judged: `learned code`, `PCA`, `raw features`, `random encoder`.
    pub representation: String,
    /// Numbers per sample.
    pub size: usize,
    /// The probe of the budgets: logistic regression, or ridge regression where labels are numbers.
    pub main_probe: String,
    /// The main probe at each label budget.
    pub budgets: Vec<BudgetScore>,
    /// The others, with all the labels that they may see; none where labels are numbers.
    pub other_probes: Vec<ProbeScore>,
}

impl Scores {
    /// Whether the scores are R^2 of numbers rather than accuracies of classes.
    pub fn is_numeric(&self) -> bool {
        self.main_probe == RIDGE
    }
}

/// One probe's score on the test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeScore {
    /// The probe.
    pub probe: String,
    /// Its accuracy.
    pub score: f64,
    /// 95 % interval of an accuracy (Wilson 1927).
    pub interval: Option<(f64, f64)>,
}

/// The main probe at one label budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetScore {
    /// Labels the probe saw.
    pub labels: usize,
    /// Whether these are all the labels of the training split.
    pub all: bool,
    /// Score of each draw on the test split.
    pub draws: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// 95 % interval of the mean over draws (Student), or of one draw's accuracy (Wilson) or R^2 (normal).
    pub interval: Option<(f64, f64)>,
    /// What each test row adds to the score, averaged over draws: 1 or 0 for a class that is right or
    /// wrong; for numbers 1 minus the squared error over the variance, whose mean is R^2.
    #[serde(skip)]
    pub of_rows: Vec<f64>,
}

/// A representation's codes of the training and the test split, row-major.
struct Codes {
    width: usize,
    train: Vec<f32>,
    test: Vec<f32>,
}

/// Scores every representation on the labels of `data`; the course's probe sees those of the validation split.
/// Budgets larger than the training split are left out.
///
/// # Errors
/// Training labels of one class only, fewer rows than classes, or a code that is not finite.
pub fn judge(
    representations: &[Representation],
    data: &Prepared,
    split: &Split,
    labels: &Labels,
    judging: &Judging,
    course_probe: Option<&CourseProbe>,
) -> Result<Vec<Scores>, Error> {
    labels.check_for_probe(&split.train)?;
    let task = Task::new(labels, split, judging, course_probe)?;
    representations.iter().map(|representation| task.score(representation, data, split)).collect()
}

/// The labels of the splits and the rows of every draw, as places in the training split.
struct Task<'a> {
    judging: &'a Judging,
    course_probe: Option<&'a CourseProbe>,
    target: Target,
    draws: Vec<Vec<Vec<usize>>>,
    budgets: Vec<Budget>,
}

enum Target {
    Classes { train: Vec<u32>, test: Vec<u32>, count: usize },
    Numbers { train: Vec<f64>, test: Vec<f64> },
}

impl<'a> Task<'a> {
    fn new(
        labels: &Labels,
        split: &Split,
        judging: &'a Judging,
        course_probe: Option<&'a CourseProbe>,
    ) -> Result<Self, Error> {
        let target = Target::new(labels, split);
        let places: Vec<usize> = (0..split.train.len()).collect();
        let budgets = settled(&judging.budgets, places.len());
        let draws = match &target {
            Target::Classes { train, .. } => label_budgets(train, &places, &budgets, judging.draws, judging.seed)?,
            Target::Numbers { .. } => number_budgets(places.len(), &budgets, judging),
        };
        Ok(Self { judging, course_probe, target, draws, budgets })
    }

    fn score(&self, representation: &Representation, data: &Prepared, split: &Split) -> Result<Scores, Error> {
        let codes = Codes {
            width: representation.size(data),
            train: representation.codes(data, &split.train)?,
            test: representation.codes(data, &split.test)?,
        };
        let budgets = (0..self.budgets.len()).map(|budget| self.budget_score(budget, &codes));
        let budgets = budgets.collect::<Result<Vec<_>, Error>>()?;
        Ok(Scores {
            representation: representation.name().to_owned(),
            size: codes.width,
            main_probe: self.target.main_probe_name().to_owned(),
            budgets,
            other_probes: self.other_probes(&codes, data, representation)?,
        })
    }

    fn budget_score(&self, budget: usize, codes: &Codes) -> Result<BudgetScore, Error> {
        let all = self.budgets[budget] == Budget::All;
        let draws = if all { &self.draws[..1] } else { &self.draws[..] };
        let of_draws: Result<Vec<Vec<f64>>, Error> =
            draws.par_iter().map(|rows| self.main_probe(codes, &rows[budget])).collect();
        let of_draws = of_draws?;
        let scores: Vec<f64> = of_draws.iter().map(|of_rows| average(of_rows)).collect();
        let mean = average(&scores);
        let of_rows: Vec<f64> = (0..self.target.test_rows())
            .map(|row| of_draws.iter().map(|of_rows| of_rows[row]).sum::<f64>() / of_draws.len() as f64)
            .collect();
        let interval = match mean_interval(&scores).and_then(|mean| mean.interval) {
            Some(interval) => Some((interval.low, interval.high)),
            None => self.target.interval(mean).or_else(|| normal_interval(mean, standard_error(&of_rows))),
        };
        Ok(BudgetScore { labels: draws[0][budget].len(), all, draws: scores, mean, interval, of_rows })
    }

    /// What each test row adds to the score of a multinomial logistic regression, or of a ridge
    /// regression for numbers, on the given rows' labels; see [`BudgetScore::of_rows`].
    fn main_probe(&self, codes: &Codes, rows: &[usize]) -> Result<Vec<f64>, Error> {
        let labelled: Vec<f32> =
            rows.iter().flat_map(|row| &codes.train[row * codes.width..][..codes.width]).copied().collect();
        let (labelled, test) = (matrix(&labelled, codes.width), matrix(&codes.test, codes.width));
        Ok(match &self.target {
            Target::Classes { train, test: truth, .. } => {
                let seen: Vec<u32> = rows.iter().map(|&row| train[row]).collect();
                let guessed = predict_among_seen(labelled, &seen, test)?;
                guessed.iter().zip(truth).map(|(guessed, truth)| f64::from(u8::from(guessed == truth))).collect()
            }
            Target::Numbers { train, test: truth } => {
                let seen: Vec<f64> = rows.iter().map(|&row| train[row]).collect();
                let guessed = Ridge { l2: L2::default() }.fit(labelled, &seen)?.predict(test)?;
                let centre = average(truth);
                let variance = average(&truth.iter().map(|y| (y - centre).powi(2)).collect::<Vec<_>>());
                guessed.iter().zip(truth).map(|(guess, truth)| 1.0 - (guess - truth).powi(2) / variance).collect()
            }
        })
    }

    /// The other probes, each with all the labels it may see; none for numbers.
    fn other_probes(
        &self,
        codes: &Codes,
        data: &Prepared,
        representation: &Representation,
    ) -> Result<Vec<ProbeScore>, Error> {
        let Target::Classes { train, test, count } = &self.target else { return Ok(Vec::new()) };
        let (train_codes, test_codes) = (matrix(&codes.train, codes.width), matrix(&codes.test, codes.width));
        let neighbours = KNearest { k: self.judging.neighbours.min(train.len()) };
        let nearest = neighbours.fit(train_codes, train, *count)?.accuracy(test_codes, test)?;
        let mut scores = vec![(format!("{} nearest neighbours", neighbours.k), nearest)];
        if let Some(probe) = self.course_probe {
            scores.push((COURSE_PROBE.to_owned(), probe.accuracy_of(representation, data)?));
        }
        let score = |(probe, score)| ProbeScore { probe, score, interval: self.target.interval(score) };
        Ok(scores.into_iter().map(score).collect())
    }
}

/// The name of the main probe where labels are numbers.
const RIDGE: &str = "ridge regression";
/// The name of the course's probe in results.
const COURSE_PROBE: &str = "linear layer, Adam";

impl Target {
    fn new(labels: &Labels, split: &Split) -> Self {
        match labels {
            Labels::Classes { names, of } => {
                let of = |rows: &[usize]| rows.iter().map(|&row| of[row]).collect();
                Self::Classes { train: of(&split.train), test: of(&split.test), count: names.len() }
            }
            Labels::Numbers(numbers) => {
                let of = |rows: &[usize]| rows.iter().map(|&row| numbers[row]).collect();
                Self::Numbers { train: of(&split.train), test: of(&split.test) }
            }
        }
    }

    fn test_rows(&self) -> usize {
        match self {
            Self::Classes { test, .. } => test.len(),
            Self::Numbers { test, .. } => test.len(),
        }
    }

    fn main_probe_name(&self) -> &'static str {
        match self {
            Self::Classes { .. } => "logistic regression",
            Self::Numbers { .. } => RIDGE,
        }
    }

    /// The interval of one accuracy on the test split.
    fn interval(&self, accuracy: f64) -> Option<(f64, f64)> {
        let Self::Classes { test, .. } = self else { return None };
        let correct = (accuracy * test.len() as f64).round() as usize;
        wilson_interval(correct, test.len()).map(|interval| (interval.low, interval.high))
    }
}

/// The class of each row of `test`, by logistic regression over the classes that were seen: a small
/// budget can miss some.
fn predict_among_seen(labelled: MatRef<'_, f32>, seen: &[u32], test: MatRef<'_, f32>) -> Result<Vec<u32>, Error> {
    let mut classes = seen.to_vec();
    classes.sort_unstable();
    classes.dedup();
    if let [class] = classes[..] {
        // All that such labels teach is to name that class.
        return Ok(vec![class; test.nrows()]);
    }
    let places: Vec<u32> = seen.iter().map(|class| classes.partition_point(|other| other < class) as u32).collect();
    let fitted = LogisticRegression::default().fit(labelled, &places, classes.len())?;
    Ok(fitted.predict(test)?.into_iter().map(|place| classes[place as usize]).collect())
}

/// As [`label_budgets`] where labels are numbers, so that there are no classes to keep in proportion:
/// the first rows of a random order.
fn number_budgets(rows: usize, budgets: &[Budget], judging: &Judging) -> Vec<Vec<Vec<usize>>> {
    let draw = |draw: usize| {
        let order = permutation(rows, &mut stream(judging.seed, Purpose::Budget, 0, 0, draw as u64));
        let first = |budget: &Budget| match *budget {
            Budget::Labels(labels) => order[..labels].to_vec(),
            Budget::All => (0..rows).collect(),
        };
        budgets.iter().map(first).collect()
    };
    (0..judging.draws).map(draw).collect()
}

/// The budgets that the rows can meet, each once, smallest first; one of every row is `all`.
fn settled(budgets: &[Budget], rows: usize) -> Vec<Budget> {
    let size = |budget: &Budget| match *budget {
        Budget::Labels(labels) => labels,
        Budget::All => rows,
    };
    let mut sizes: Vec<usize> = budgets.iter().map(size).filter(|&size| size <= rows).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes.into_iter().map(|size| if size == rows { Budget::All } else { Budget::Labels(size) }).collect()
}

pub(crate) fn matrix(values: &[f32], width: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(values, values.len() / width.max(1), width)
}

/// How the learned code compares with one baseline at one budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Better, and the 95 % interval of the difference is above zero.
    Better,
    /// The interval holds zero, or nothing says how far chance goes.
    Alike,
    /// Worse, and the interval is below zero.
    Worse,
}

/// Compares two representations at one budget, pair by pair: the variance of the mean difference is
/// that over the common test rows plus that over the common draws of labels.
pub fn compare(learned: &BudgetScore, baseline: &BudgetScore) -> Comparison {
    let differences = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
    let rows = differences(&learned.of_rows, &baseline.of_rows);
    let draws = differences(&learned.draws, &baseline.draws);
    let error = standard_error(&rows).hypot(if draws.len() > 1 { standard_error(&draws) } else { 0.0 });
    match normal_interval(average(&draws), error) {
        Some((low, _)) if low > 0.0 => Comparison::Better,
        Some((_, high)) if high < 0.0 => Comparison::Worse,
        _ => Comparison::Alike,
    }
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation (n - 1) of a mean of the values; NaN for fewer than two.
fn standard_error(values: &[f64]) -> f64 {
    let mean = average(values);
    let n = values.len() as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

/// The 95 % interval of a normal mean; none where the error is not known.
fn normal_interval(mean: f64, error: f64) -> Option<(f64, f64)> {
    error.is_finite().then_some((mean - 1.96 * error, mean + 1.96 * error))
}

/// The PCA of the training split, by streaming covariance when the rows are many, else by the products between rows:
/// either way the whole spectrum is known. Rows that are all the same have a stand-in, so that they can be judged.
///
/// # Errors
/// As [`attar_linear::Pca::fit`], but for rows that are all the same.
pub fn fit_pca(data: &Prepared, rows: &[usize], components: usize) -> Result<FittedPca, Error> {
    let features = data.dataset.features();
    let components = components.min(features).min(rows.len().saturating_sub(1));
    let pca = Pca { solver: Solver::Gram, ..Pca::new(components) };
    let mut buffer = vec![0.0; rows.len().min(PCA_BLOCK) * features];
    if rows.len() <= features {
        buffer.resize(rows.len() * features, 0.0);
        data.read(rows, &mut buffer);
        let mean = || buffer[..features].iter().map(|&value| f64::from(value)).collect();
        return or_stand_in(pca.fit(matrix(&buffer, features)), mean, components);
    }
    let mut sum = CovarianceSum::new(features);
    for rows in rows.chunks(PCA_BLOCK) {
        let block = &mut buffer[..rows.len() * features];
        data.read(rows, block);
        sum.add(matrix(block, features))?;
    }
    or_stand_in(pca.fit_covariance(&sum), || sum.mean().to_vec(), components)
}

fn or_stand_in(
    fitted: Result<FittedPca, attar_linear::Error>,
    mean: impl Fn() -> Vec<f64>,
    components: usize,
) -> Result<FittedPca, Error> {
    match fitted {
        Err(attar_linear::Error::NoVariance { .. }) => Ok(FittedPca::of_constant(mean(), components)),
        fitted => Ok(fitted?),
    }
}

/// Rows read at a time for the covariance.
const PCA_BLOCK: usize = 4096;
