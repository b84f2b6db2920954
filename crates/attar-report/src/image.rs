//! Small pictures, kept as PNG.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Error;

/// A grey or RGB picture of 8 bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    width: u32,
    height: u32,
    png: Vec<u8>,
}

impl Image {
    /// A picture from `[height, width]` grey values or `[height, width, 3]` RGB values, row-major; the length tells
    /// which.
    ///
    /// # Errors
    /// [`Error::Pixels`] when the length fits neither or is zero.
    pub fn new(width: u32, height: u32, pixels: &[u8]) -> Result<Self, Error> {
        let area = width as usize * height as usize;
        let color = match pixels.len() {
            found if area > 0 && found == area => png::ColorType::Grayscale,
            found if area > 0 && found == 3 * area => png::ColorType::Rgb,
            found => return Err(Error::Pixels { width, height, found }),
        };
        let png = encode(width, height, color, pixels).map_err(|source| Error::Encoding { width, height, source })?;
        Ok(Self { width, height, png })
    }

    /// As [`new`](Image::new), from values in [0, 1]; what lies outside is clamped, NaN is black.
    ///
    /// # Errors
    /// As [`new`](Image::new).
    pub fn from_unit(width: u32, height: u32, values: &[f32]) -> Result<Self, Error> {
        let pixels: Vec<u8> = values.iter().map(|value| (value * 255.0).round() as u8).collect();
        Self::new(width, height, &pixels)
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The picture as a `data:` address, for an `<img>`.
    pub(crate) fn data_uri(&self) -> String {
        format!("data:image/png;base64,{}", STANDARD.encode(&self.png))
    }
}

fn encode(width: u32, height: u32, color: png::ColorType, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(bytes)
}
