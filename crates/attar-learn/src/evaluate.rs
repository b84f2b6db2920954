//! Codes and reconstructions of a trained network, and their losses, on clean inputs.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use attar_data::Prepared;
use attar_ops::{Buffers, vectorised};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::autoencoder::{Autoencoder, Layers};
use crate::host::HostLayers;

/// Rows that go through the network at a time; fixed, so that results do not depend on the machine.
const BLOCK: usize = 512;

/// Squared error of the reconstruction, summed over features and averaged over the given rows.
pub fn loss(model: &Autoencoder, data: &Prepared, rows: &[usize], device: &Device) -> f64 {
    let errors = row_errors(model, data, rows, device);
    errors.iter().sum::<f64>() / rows.len() as f64
}

/// Squared error of each row's reconstruction, summed over features.
pub fn row_errors(model: &Autoencoder, data: &Prepared, rows: &[usize], device: &Device) -> Vec<f64> {
    let features = data.dataset.features();
    let mut errors = Vec::with_capacity(rows.len());
    reconstruct(model, data, rows, device, |clean, output| {
        let pairs = clean.chunks_exact(features).zip(output.chunks_exact(features));
        errors.extend(pairs.map(|(clean, output)| squared_distance(clean, output)));
    });
    errors
}

/// Squared error of each feature's reconstruction, averaged over the given rows.
pub fn feature_errors(model: &Autoencoder, data: &Prepared, rows: &[usize], device: &Device) -> Vec<f64> {
    let features = data.dataset.features();
    let mut errors = vec![0.0; features];
    reconstruct(model, data, rows, device, |clean, output| {
        for (at, (clean, output)) in clean.iter().zip(output).enumerate() {
            errors[at % features] += f64::from(output - clean).powi(2);
        }
    });
    errors.iter().map(|error| error / rows.len() as f64).collect()
}

/// The codes of the given rows, row-major `[rows, latent]`.
pub fn codes(model: &Autoencoder, data: &Prepared, rows: &[usize], device: &Device) -> Vec<f32> {
    let latent = model.latent();
    let codes = Mutex::new(attar_ops::zeros(rows.len() * latent));
    let Ok(()) = each_codes(model, data, rows, device, |first, block| {
        let mut codes = codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes[first * latent..][..block.len()].copy_from_slice(block);
        Ok::<(), Infallible>(())
    });
    codes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Hands the codes of each block of rows to `take`, with the place of the first among `rows`: from several threads and
/// in any order, and no more of them after an error.
///
/// # Errors
/// The first of `take`.
pub fn each_codes<E: Send>(
    model: &Autoencoder,
    data: &Prepared,
    rows: &[usize],
    device: &Device,
    take: impl Fn(usize, &[f32]) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let Some(encoder) = HostLayers::of(&model.encoder) else {
        let mut first = 0;
        return each_block(data, rows, |clean| {
            let codes = run(&model.encoder, clean, data.dataset.features(), device);
            take(first, &codes)?;
            first += codes.len() / model.latent();
            Ok(())
        });
    };
    let encoder = encoder.for_many();
    // In their order: rows that are still being unpacked come in it too.
    let blocks = rows.chunks(BLOCK).enumerate().par_bridge();
    blocks.try_for_each_init(Buffers::default, |buffers, (at, rows)| {
        let codes = encoder.forward(data, rows, buffers);
        let taken = take(at * BLOCK, &codes);
        buffers.give(codes);
        taken
    })
}

/// Hands each block of rows and its reconstruction to `take`, both row-major `[block, features]`.
pub fn reconstruct(
    model: &Autoencoder,
    data: &Prepared,
    rows: &[usize],
    device: &Device,
    mut take: impl FnMut(&[f32], &[f32]),
) {
    let host = HostLayers::of_autoencoder(model);
    let mut buffers = Buffers::default();
    let Ok(()) = each_block(data, rows, |clean| {
        match &host {
            Some(layers) => {
                let output = layers.forward(clean, &mut buffers);
                take(clean, &output);
                buffers.give(output);
            }
            None => take(clean, &forward(model, clean, data.dataset.features(), device)),
        }
        Ok::<(), Infallible>(())
    });
}

/// The reconstructions of the given inputs, row-major `[rows, features]`.
pub fn forward(model: &Autoencoder, input: &[f32], features: usize, device: &Device) -> Vec<f32> {
    if let Some(layers) = HostLayers::of_autoencoder(model) {
        return layers.forward(input, &mut Buffers::default());
    }
    let code = run(&model.encoder, input, features, device);
    run(&model.decoder, &code, model.latent(), device)
}

/// The output of one part of the network, in the host's memory where that is where it lives.
fn run(layers: &Layers, input: &[f32], width: usize, device: &Device) -> Vec<f32> {
    match HostLayers::of(layers) {
        Some(layers) => layers.forward(input, &mut Buffers::default()),
        None => {
            let input = TensorData::new(input.to_vec(), [input.len() / width, width]);
            layers.forward(Tensor::from_data(input, device)).into_data().iter::<f32>().collect()
        }
    }
}

fn each_block<E>(data: &Prepared, rows: &[usize], mut take: impl FnMut(&[f32]) -> Result<(), E>) -> Result<(), E> {
    let features = data.dataset.features();
    let mut buffer = vec![0.0; BLOCK.min(rows.len()) * features];
    for rows in rows.chunks(BLOCK) {
        let block = &mut buffer[..rows.len() * features];
        data.read(rows, block);
        take(block)?;
    }
    Ok(())
}

/// In fixed lanes, which become vectors.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    vectorised(
        &mut sums,
        #[inline(always)]
        |sums: &mut [f64; LANES]| {
            for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
                for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                    *sum += f64::from(a - b).powi(2);
                }
            }
        },
    );
    sums.iter().sum()
}
