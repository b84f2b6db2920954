//! Labelled images, few and small, for trainings that shall not take long.

use attar_data::random::{Purpose, permutation, stream};
use attar_data::{Dataset, Labels, Layout, Matrix, Prepared, Preprocessing, Scaling, Schema, Values};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::{Classified, Error, Labelled};

/// Images of which all are trained on.
#[derive(Debug)]
pub struct Images {
    /// Their mean over the images subtracted from each pixel, and all divided by one deviation.
    pub data: Prepared,
    /// The class of each.
    pub labels: Vec<u32>,
    /// Number of classes.
    pub classes: usize,
    /// Height, width and channels.
    pub shape: [usize; 3],
    /// Height, width and channels of the source.
    pub original: [usize; 3],
    /// Training images of the source.
    pub available: usize,
    rows: Vec<usize>,
}

impl Images {
    /// At most so many of the source's training images, drawn by `seed`, made so small that `size` is their height.
    ///
    /// # Errors
    /// [`Error::Config`] if the source does not hold images with classes, or not of this height.
    pub fn reduced(source: &Dataset, size: usize, samples: usize, seed: u64) -> Result<Self, Error> {
        let refuse = |key, expected: &str, got: String| Err(Error::Config { key, expected: expected.into(), got });
        let Layout::Image { height, width, channels } = source.schema.layout else {
            return refuse("data", "images", source.schema.layout.to_string());
        };
        let Some(Labels::Classes { names, of }) = &source.labels else {
            return refuse("data", "images with classes", "images without".into());
        };
        if !(1..=height).contains(&size) {
            return refuse("size", &format!("from 1 to {height} pixels"), size.to_string());
        }
        let (available, rows) = chosen(source, samples, seed);
        if rows.len() < 2 {
            return refuse("samples", "at least 2 images", rows.len().to_string());
        }
        let (original, shape) = ([height, width, channels], [size, (width * size).div_ceil(height), channels]);
        let labels: Vec<u32> = rows.iter().map(|&row| of[row]).collect();
        let data = prepared(source, &rows, original, shape)?;
        let rows = (0..labels.len()).collect();
        Ok(Self { data, labels, classes: names.len(), shape, original, available, rows })
    }

    /// As what a classifier is trained on.
    pub fn labelled(&self, device: &Device) -> Labelled<'_> {
        let (data, labels, classes) = (&self.data, &self.labels, self.classes);
        Labelled { data, labels, classes, train: &self.rows, validation: &[], device: device.clone() }
    }

    /// The first of them as a problem of which batches are cut, in `dtype`.
    pub fn classified(&self, count: usize, dtype: DType) -> Classified {
        let rows = &self.rows[..count.min(self.rows.len())];
        let [height, width, channels] = self.shape;
        let mut values = vec![0.0_f32; rows.len() * height * width * channels];
        self.data.read(rows, &mut values);
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let values = TensorData::new(values, [rows.len(), height * width, channels]);
        Classified {
            input: Tensor::from_data(values, (&Device::flex(), dtype)),
            labels: rows.iter().map(|&row| self.labels[row] as usize).collect(),
            classes: self.classes,
        }
    }

    /// How many there are.
    pub fn samples(&self) -> usize {
        self.labels.len()
    }
}

/// How many training rows there are, and those that are taken, in their order.
fn chosen(source: &Dataset, samples: usize, seed: u64) -> (usize, Vec<usize>) {
    let test = source.test_rows.clone().unwrap_or(0..0);
    let training: Vec<usize> = (0..source.samples()).filter(|row| !test.contains(row)).collect();
    let order = permutation(training.len(), &mut stream(seed, Purpose::Split, 0, 0, 0));
    let mut rows: Vec<usize> = order.into_iter().take(samples).map(|place| training[place]).collect();
    rows.sort_unstable();
    (training.len(), rows)
}

fn prepared(source: &Dataset, rows: &[usize], original: [usize; 3], shape: [usize; 3]) -> Result<Prepared, Error> {
    let [height, width, channels] = shape;
    let features = height * width * channels;
    let (mut image, mut data) = (vec![0.0; source.features()], Vec::with_capacity(rows.len() * features));
    for row in rows {
        source.values.read(&[*row], &mut image);
        data.extend(averaged(&image, original, shape));
    }
    let layout = Layout::Image { height, width, channels };
    let dataset = Dataset {
        name: source.name.clone(),
        schema: Schema::unnamed(layout, "pixel", features),
        values: Values::Memory(Matrix { features, data }),
        labels: None,
        ids: None,
        test_rows: None,
    };
    let all: Vec<usize> = (0..rows.len()).collect();
    let mut preprocessing = Preprocessing::fit(&dataset, &all, Some(Scaling::Standardise))?;
    // Pixels at the border hardly vary: divided by deviations of their own they would be the largest of all.
    let varies = |pixel: &usize| !preprocessing.constant.contains(pixel);
    let squares = (0..features).filter(varies).map(|pixel| preprocessing.deviation[pixel].powi(2)).sum::<f64>();
    let deviation = if squares > 0.0 { (squares / features as f64).sqrt() } else { 1.0 };
    preprocessing.deviation.fill(deviation);
    Ok(Prepared { dataset, preprocessing })
}

/// The mean over the part of an image that each pixel of the smaller one covers; channels last.
fn averaged(image: &[f32], [height, width, channels]: [usize; 3], [rows, columns, _]: [usize; 3]) -> Vec<f32> {
    let (down, across) = (shares(height, rows), shares(width, columns));
    let mut smaller = Vec::with_capacity(rows * columns * channels);
    for row in &down {
        for column in &across {
            for channel in 0..channels {
                let pixel = |y: usize, x: usize| f64::from(image[(y * width + x) * channels + channel]);
                let line =
                    |&(y, share): &(usize, f64)| share * column.iter().map(|&(x, s)| s * pixel(y, x)).sum::<f64>();
                smaller.push(row.iter().map(line).sum::<f64>() as f32);
            }
        }
    }
    smaller
}

/// Of each of `parts` equal parts of a line of `length` pixels: the pixels that it covers, and each one's share of it.
fn shares(length: usize, parts: usize) -> Vec<Vec<(usize, f64)>> {
    let part = |index: usize| {
        let (from, to) = (index * length, (index + 1) * length);
        // In units of a pixel over `parts`, so that all is whole.
        let covered = |pixel: usize| ((pixel + 1) * parts).min(to) - (pixel * parts).max(from);
        (from / parts..to.div_ceil(parts)).map(|pixel| (pixel, covered(pixel) as f64 / length as f64)).collect()
    };
    (0..parts).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_means_of_what_they_cover() {
        // Three pixels into two: each covers one and a half.
        let image = [1.0, 10.0, 2.0, 20.0, 6.0, 60.0];
        assert_eq!(averaged(&image, [1, 3, 2], [1, 2, 2]), [4.0 / 3.0, 40.0 / 3.0, 14.0 / 3.0, 140.0 / 3.0]);
        let image: Vec<f32> = (0..16).map(|value| value as f32).collect();
        assert_eq!(averaged(&image, [4, 4, 1], [2, 2, 1]), [2.5, 4.5, 10.5, 12.5]);
        assert_eq!(averaged(&image, [4, 4, 1], [4, 4, 1]), image);
    }

    #[test]
    fn images_are_centred_by_pixel_and_scaled_as_one() {
        let digits = attar_data::open("digits", &attar_data::ReadOptions::default()).unwrap();
        let images = Images::reduced(&digits, 7, 60, 3).unwrap();
        assert_eq!((images.shape, images.original, images.available), ([7, 7, 1], [28, 28, 1], 5_000));
        let mut values = vec![0.0; 60 * 49];
        images.data.read(&(0..60).collect::<Vec<_>>(), &mut values);
        let mean = |pixel: usize| values.iter().skip(pixel).step_by(49).sum::<f32>() / 60.0;
        assert!((0..49).all(|pixel| mean(pixel).abs() < 1e-5));
        let square = values.iter().map(|value| value * value).sum::<f32>() / (59.0 * 49.0);
        assert!((square - 1.0).abs() < 1e-5, "{square}");
        assert!(matches!(Images::reduced(&digits, 29, 60, 3), Err(Error::Config { key: "size", .. })));
    }
}
