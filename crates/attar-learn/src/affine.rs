//! Small random affine distortions of an image.

use rand::{Rng, RngExt};

use crate::config::Affine;

/// Distorts an image in place; `shape` is `[height, width, channels]`, the channels of a pixel
/// side by side. Each parameter is drawn uniformly from its range; outside the image is 0.
pub(crate) fn distort(ranges: Affine, shape: [usize; 3], image: &mut [f32], rng: &mut impl Rng) {
    let mut draw = |range: f64| (rng.random::<f64>() * 2.0 - 1.0) * range;
    let shift = [draw(ranges.shift), draw(ranges.shift)];
    let angle = draw(ranges.rotation).to_radians();
    let scale = 1.0 + draw(ranges.scale);
    let shear = draw(ranges.shear);
    resample(source_from_target(angle, scale, shear), shift, shape, image);
}

/// The map from a target pixel's offset to the source's, `(x, y)` about the centre: the inverse of
/// rotation times shear times scale.
fn source_from_target(angle: f64, scale: f64, shear: f64) -> [[f64; 2]; 2] {
    let (sin, cos) = angle.sin_cos();
    // (R S)^-1 = S^-1 R^T with S = [[1, shear], [0, 1]].
    [[(cos + shear * sin) / scale, (sin - shear * cos) / scale], [-sin / scale, cos / scale]]
}

/// Reads each target pixel at `matrix * (target - centre - shift) + centre`, bilinearly.
fn resample(matrix: [[f64; 2]; 2], shift: [f64; 2], [height, width, channels]: [usize; 3], image: &mut [f32]) {
    let source = image.to_vec();
    let centre = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
    let matrix = matrix.map(|row| row.map(|v| v as f32));
    let (centre, shift) = (centre.map(|v| v as f32), shift.map(|v| v as f32));
    for (y, line) in image.chunks_exact_mut(width * channels).enumerate() {
        for (x, pixel) in line.chunks_exact_mut(channels).enumerate() {
            let offset = [x as f32 - centre[0] - shift[0], y as f32 - centre[1] - shift[1]];
            let [at_x, at_y] = [0, 1].map(|i| matrix[i][0] * offset[0] + matrix[i][1] * offset[1] + centre[i]);
            bilinear(&source, [height, width, channels], at_x, at_y, pixel);
        }
    }
}

/// The value of every channel at `(x, y)`, between the four nearest pixels; 0 outside.
fn bilinear(image: &[f32], [height, width, channels]: [usize; 3], x: f32, y: f32, pixel: &mut [f32]) {
    pixel.fill(0.0);
    let (left, top) = (x.floor(), y.floor());
    let (right_part, bottom_part) = (x - left, y - top);
    let corners = [
        (left, top, (1.0 - right_part) * (1.0 - bottom_part)),
        (left + 1.0, top, right_part * (1.0 - bottom_part)),
        (left, top + 1.0, (1.0 - right_part) * bottom_part),
        (left + 1.0, top + 1.0, right_part * bottom_part),
    ];
    for (x, y, part) in corners {
        if x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32 {
            let start = (y as usize * width + x as usize) * channels;
            for (value, source) in pixel.iter_mut().zip(&image[start..start + channels]) {
                *value += part * source;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [5, 4, 2];

    fn image() -> Vec<f32> {
        (0..40).map(|i| i as f32).collect()
    }

    fn check(matrix: [[f64; 2]; 2], shift: [f64; 2], source: impl Fn(usize, usize) -> Option<(usize, usize)>) {
        let mut out = image();
        resample(matrix, shift, SHAPE, &mut out);
        for y in 0..5 {
            for x in 0..4 {
                for channel in 0..2 {
                    let expected = source(x, y).map_or(0.0, |(x, y)| image()[(y * 4 + x) * 2 + channel]);
                    let got = out[(y * 4 + x) * 2 + channel];
                    assert!((got - expected).abs() < 1e-4, "({x}, {y}, {channel}): {got} for {expected}");
                }
            }
        }
    }

    #[test]
    fn no_distortion_changes_nothing() {
        check(source_from_target(0.0, 1.0, 0.0), [0.0, 0.0], |x, y| Some((x, y)));
    }

    #[test]
    fn a_shift_moves_right_and_down() {
        check(source_from_target(0.0, 1.0, 0.0), [1.0, 2.0], |x, y| (x >= 1 && y >= 2).then(|| (x - 1, y - 2)));
    }

    #[test]
    fn half_a_turn_turns_the_image_round() {
        check(source_from_target(std::f64::consts::PI, 1.0, 0.0), [0.0, 0.0], |x, y| Some((3 - x, 4 - y)));
    }

    #[test]
    fn the_map_is_the_inverse_of_rotation_times_shear_times_scale() {
        let (angle, scale, shear) = (0.3_f64, 1.2, -0.25);
        let inverse = source_from_target(angle, scale, shear);
        let (sin, cos) = angle.sin_cos();
        let forward = [[scale * cos, scale * (cos * shear - sin)], [scale * sin, scale * (sin * shear + cos)]];
        let [[a, b], [c, d]] = inverse;
        let [[e, f], [g, h]] = forward;
        let product = [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h];
        for (got, identity) in product.into_iter().zip([1.0, 0.0, 0.0, 1.0]) {
            assert!((got - identity).abs() < 1e-12, "{product:?}");
        }
    }

    #[test]
    fn a_half_pixel_shift_averages_neighbours() {
        let mut out = vec![0.0, 8.0, 4.0, 2.0];
        resample(source_from_target(0.0, 1.0, 0.0), [0.5, 0.0], [1, 4, 1], &mut out);
        assert_eq!(out, [0.0, 4.0, 6.0, 3.0]);
    }
}
