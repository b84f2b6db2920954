//! Digits small enough that a run takes a fraction of a second.

use attar_data::random::{Purpose, permutation, stream};
use attar_data::{Dataset, Labels, Layout};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::{Classified, Error};

/// Pixels of a side: a quarter of those of a digit, each the mean of four.
pub(super) const SIDE: usize = 14;
pub(super) const CLASSES: usize = 10;

/// Labelled digits of 14 x 14 pixels, of mean 0 and variance 1 over all pixels.
#[derive(Clone, Debug)]
pub struct Digits {
    pixels: Vec<f64>,
    labels: Vec<u32>,
}

impl Digits {
    /// Of the bundled digits, or of any data of that shape with ten classes; without the rows it sets aside as test.
    ///
    /// # Errors
    /// [`Error::Config`] for other data.
    pub fn of(dataset: &Dataset) -> Result<Self, Error> {
        let Some(Labels::Classes { of, names }) = dataset.labels.as_ref().filter(|_| is_digit(&dataset.schema.layout))
        else {
            return Err(expected("without labels or of another size"));
        };
        if names.len() != CLASSES {
            return Err(expected(&format!("{} classes", names.len())));
        }
        let train = dataset.test_rows.as_ref().map_or(dataset.samples(), |test| test.start);
        let mut pixels = vec![0.0; train * 4 * SIDE * SIDE];
        dataset.values.read(&(0..train).collect::<Vec<_>>(), &mut pixels);
        let pixels = pixels.chunks_exact(4 * SIDE * SIDE).flat_map(pooled).collect();
        Ok(Self { pixels: standardised(pixels), labels: of[..train].to_vec() })
    }

    /// Some of them, which the seed chooses.
    pub(super) fn choose(&self, samples: usize, seed: u64, dtype: DType, device: &Device) -> Classified {
        let mut rng = stream(seed, Purpose::Split, 0, 0, 0);
        let rows: Vec<usize> = permutation(self.labels.len(), &mut rng).into_iter().take(samples).collect();
        let image = |row: &usize| self.pixels[row * SIDE * SIDE..][..SIDE * SIDE].iter().copied();
        let values = TensorData::new(rows.iter().flat_map(image).collect::<Vec<f64>>(), [rows.len(), SIDE * SIDE, 1]);
        Classified {
            input: Tensor::from_data(values, (device, dtype)),
            labels: rows.iter().map(|row| self.labels[*row] as usize).collect(),
            classes: CLASSES,
        }
    }
}

fn is_digit(layout: &Layout) -> bool {
    matches!(layout, Layout::Image { height, width, channels: 1 } if [*height, *width] == [2 * SIDE; 2])
}

fn expected(got: &str) -> Error {
    let side = 2 * SIDE;
    Error::Config { key: "data", expected: format!("grey images of {side} x {side} in ten classes"), got: got.into() }
}

/// The means of two by two pixels.
fn pooled(image: &[f32]) -> impl Iterator<Item = f64> {
    let pixel = |place: usize| f64::from(image[place]);
    (0..SIDE * SIDE).map(move |place| {
        let corner = 2 * (place / SIDE) * 2 * SIDE + 2 * (place % SIDE);
        (pixel(corner) + pixel(corner + 1) + pixel(corner + 2 * SIDE) + pixel(corner + 2 * SIDE + 1)) / 4.0
    })
}

fn standardised(mut pixels: Vec<f64>) -> Vec<f64> {
    let count = pixels.len().max(1) as f64;
    let mean = pixels.iter().sum::<f64>() / count;
    let deviation = (pixels.iter().map(|pixel| (pixel - mean).powi(2)).sum::<f64>() / count).sqrt();
    pixels.iter_mut().for_each(|pixel| *pixel = (*pixel - mean) / deviation.max(f64::MIN_POSITIVE));
    pixels
}
