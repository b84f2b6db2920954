//! Draws the bundled digits again: `cargo run -p attar-data --example draw_digits -- FOLDER-WITH-MNIST OUTPUT-FOLDER`.

use attar_data::{Budget, Dataset, Labels, ReadOptions, Values, label_budgets, open};
use flate2::{Compression, GzBuilder};
use std::error::Error;
use std::io::Write;
use std::path::Path;

/// Fixed for ever: another seed draws other digits.
const SEED: u64 = 0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(source), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("expected two folders: the one with MNIST's four files, and the one to write to".into());
    };
    let mnist = open("mnist", &ReadOptions { data_dir: Some(source.into()), ..ReadOptions::default() })?;
    let mut rows = draw(&mnist, 0..60_000, 5_000)?;
    rows.extend(draw(&mnist, 60_000..70_000, 1_000)?);

    let (Values::Bytes(pixels), Some(Labels::Classes { of, .. })) = (&mnist.values, &mnist.labels) else {
        return Err("MNIST has pixels and classes".into());
    };
    let images: Vec<u8> = rows.iter().flat_map(|&row| &pixels.data[row * 784..][..784]).copied().collect();
    let labels: Vec<u8> = rows.iter().map(|&row| of[row] as u8).collect();
    let target = Path::new(&target);
    write(&target.join("digits-images-idx3-ubyte.gz"), &[6_000, 28, 28], &images)?;
    write(&target.join("digits-labels-idx1-ubyte.gz"), &[6_000], &labels)?;
    Ok(())
}

/// A stratified draw of `number` of the rows, in the order of the official file.
fn draw(mnist: &Dataset, rows: std::ops::Range<usize>, number: usize) -> Result<Vec<usize>, Box<dyn Error>> {
    let Some(Labels::Classes { of, .. }) = &mnist.labels else { return Err("MNIST has classes".into()) };
    let all: Vec<usize> = rows.clone().collect();
    let draws = label_budgets(&of[rows], &all, &[Budget::Labels(number)], 1, SEED)?;
    let mut drawn = draws[0][0].clone();
    drawn.sort_unstable();
    Ok(drawn)
}

/// Writes an IDX file of bytes, gzip without a time stamp, so that a second draw gives the same file.
fn write(path: &Path, shape: &[u32], bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut gzip = GzBuilder::new().mtime(0).write(std::fs::File::create(path)?, Compression::best());
    gzip.write_all(&[0, 0, 0x08, shape.len() as u8])?;
    for size in shape {
        gzip.write_all(&size.to_be_bytes())?;
    }
    gzip.write_all(bytes)?;
    gzip.finish()?;
    Ok(())
}
