//! The course's synthetic set: a Gaussian with few directions of high variance, hidden by a rotation.

use crate::random::{Purpose, stream};
use crate::{Dataset, Error, Labels, Layout, Matrix, Schema, Values};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

/// Gaussian samples in `dimensions` dimensions: the first `high` coordinates have variance `variance`, the others 1;
/// all are then turned by one random rotation. The label is the sign of the sum of the `high` coordinates before it.
///
/// The default is the course's: 20,000 samples of 100 dimensions, 20 of them of variance 10.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Synthetic {
    /// Number of features.
    pub dimensions: usize,
    /// Number of rows.
    pub samples: usize,
    /// How many coordinates have a high variance.
    pub high: usize,
    /// Variance of those coordinates.
    pub variance: f64,
    /// Same seed, same samples. Each sample is a function of the seed and its own index.
    pub seed: u64,
}

impl Default for Synthetic {
    fn default() -> Self {
        Synthetic { dimensions: 100, samples: 20_000, high: 20, variance: 10.0, seed: 0 }
    }
}

impl Synthetic {
    /// Draws the samples.
    ///
    /// # Errors
    /// [`Error::Synthetic`] if a size is zero, `high` is above `dimensions`, or the variance is not a positive number.
    pub fn generate(&self) -> Result<Dataset, Error> {
        self.validate()?;
        let rotation = random_rotation(self.dimensions, self.seed);
        let mut data = Vec::with_capacity(self.samples * self.dimensions);
        let mut of = Vec::with_capacity(self.samples);
        for sample in 0..self.samples {
            let latent = self.latent(sample);
            of.push(u32::from(latent[..self.high].iter().sum::<f64>() > 0.0));
            data.extend(rotate(&latent, &rotation).into_iter().map(|value| value as f32));
        }
        Ok(self.dataset(data, of))
    }

    fn validate(&self) -> Result<(), Error> {
        let reason = if self.dimensions == 0 || self.samples == 0 {
            "dimensions and samples must be at least 1".to_owned()
        } else if self.high == 0 || self.high > self.dimensions {
            format!("high must lie in 1..={}, got {}", self.dimensions, self.high)
        } else if !(self.variance.is_finite() && self.variance > 0.0) {
            format!("the variance must be a positive number, got {}", self.variance)
        } else {
            return Ok(());
        };
        Err(Error::Synthetic { reason })
    }

    /// The sample before rotation.
    fn latent(&self, sample: usize) -> Vec<f64> {
        let mut rng = stream(self.seed, Purpose::Synthetic, 0, 0, sample as u64);
        let deviation = self.variance.sqrt();
        (0..self.dimensions)
            .map(|i| rng.sample::<f64, _>(StandardNormal) * if i < self.high { deviation } else { 1.0 })
            .collect()
    }

    fn dataset(&self, data: Vec<f32>, of: Vec<u32>) -> Dataset {
        let names = vec!["-1".to_owned(), "1".to_owned()];
        let schema =
            Schema { class_names: Some(names.clone()), ..Schema::unnamed(Layout::Synthetic, "x", self.dimensions) };
        Dataset {
            name: "synthetic".to_owned(),
            schema,
            values: Values::Memory(Matrix { features: self.dimensions, data }),
            labels: Some(Labels::Classes { names, of }),
            ids: None,
            test_rows: None,
        }
    }
}

/// `latent` as a row vector times `rotation` (row-major, rows orthonormal), summed in a fixed order.
fn rotate(latent: &[f64], rotation: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; latent.len()];
    for (&weight, row) in latent.iter().zip(rotation.chunks_exact(latent.len())) {
        add_scaled(&mut out, weight, row);
    }
    out
}

/// A rotation drawn uniformly: the orthogonal factor of a Gaussian matrix with the signs of R's diagonal made positive
/// (Mezzadri 2007, "How to generate random matrices from the classical compact groups").
///
/// Gram and Schmidt, each row twice against those before it: orthonormal to rounding, and R's diagonal, a norm, is
/// positive by itself.
fn random_rotation(dimensions: usize, seed: u64) -> Vec<f64> {
    let mut rng = stream(seed, Purpose::Rotation, 0, 0, 0);
    let mut rows: Vec<f64> = (0..dimensions * dimensions).map(|_| rng.sample(StandardNormal)).collect();
    for start in (0..rows.len()).step_by(dimensions) {
        let (before, rest) = rows.split_at_mut(start);
        let row = &mut rest[..dimensions];
        for _ in 0..2 {
            for unit in before.chunks_exact(dimensions) {
                add_scaled(row, -dot(row, unit), unit);
            }
            let norm = dot(row, row).sqrt();
            row.iter_mut().for_each(|value| *value /= norm);
        }
    }
    rows
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(out: &mut [f64], weight: f64, row: &[f64]) {
    for (out, value) in out.iter_mut().zip(row) {
        *out += weight * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rotation_is_orthonormal() {
        let n = 37;
        let rotation = random_rotation(n, 3);
        for i in 0..n {
            for j in 0..n {
                let product = dot(&rotation[i * n..][..n], &rotation[j * n..][..n]);
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-13, "rows {i} and {j}: {product}");
            }
        }
    }

    /// The total variance is h·v + (d-h)·1 whatever the rotation, and labels are halves by symmetry.
    #[test]
    fn variance_and_labels_are_those_of_the_definition() {
        let set = Synthetic { seed: 11, ..Synthetic::default() }.generate().unwrap();
        let Values::Memory(matrix) = &set.values else { panic!("not in memory") };
        let total: f64 = matrix.data.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 20_000.0;
        // The standard deviation of this mean is sqrt(2 (20·10² + 80) / 20,000) = 0.456.
        assert!((total - 280.0).abs() < 5.0 * 0.456, "{total}");
        let Some(Labels::Classes { of, .. }) = &set.labels else { panic!("no classes") };
        let positive = of.iter().sum::<u32>();
        assert!(positive.abs_diff(10_000) < 354, "{positive}");
    }

    /// Undoing the rotation gives back the coordinates whose sum the label is the sign of.
    #[test]
    fn labels_are_the_sign_before_the_rotation() {
        let config = Synthetic { dimensions: 7, samples: 50, high: 3, variance: 4.0, seed: 2 };
        let set = config.generate().unwrap();
        let rotation = random_rotation(7, 2);
        let mut row = [0.0; 7];
        let Some(Labels::Classes { of, .. }) = &set.labels else { panic!("no classes") };
        for (sample, &class) in of.iter().enumerate() {
            set.values.read(&[sample], &mut row);
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let sum: f64 = rotation.chunks_exact(7).take(3).map(|unit| dot(&row, unit)).sum();
            assert_eq!(class, u32::from(sum > 0.0), "sample {sample}: {sum}");
        }
    }

    #[test]
    fn a_longer_set_begins_with_the_shorter_one_and_a_seed_changes_it() {
        let config = Synthetic { dimensions: 5, samples: 4, high: 2, ..Synthetic::default() };
        let data = |config: &Synthetic| match config.generate().unwrap().values {
            Values::Memory(matrix) => matrix.data,
            other => panic!("{other:?}"),
        };
        let short = data(&config);
        assert_eq!(short, data(&Synthetic { samples: 9, ..config.clone() })[..20]);
        assert_ne!(short, data(&Synthetic { seed: 1, ..config.clone() }));
    }

    #[test]
    fn impossible_sets_are_refused() {
        let base = Synthetic::default();
        for config in [
            Synthetic { dimensions: 0, ..base.clone() },
            Synthetic { samples: 0, ..base.clone() },
            Synthetic { high: 101, ..base.clone() },
            Synthetic { high: 0, ..base.clone() },
            Synthetic { variance: f64::NAN, ..base.clone() },
        ] {
            assert!(matches!(config.generate(), Err(Error::Synthetic { .. })), "{config:?}");
        }
    }
}
