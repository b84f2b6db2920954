//! Codes and reconstructions of a trained network, and their losses, on clean inputs.

use attar_data::Prepared;
use attar_ops::Buffers;
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
    codes_and(model, data, rows, device, |_| {})
}

/// As [`codes`], of rows that nobody will read again: see [`attar_data::Values::forget`].
pub fn codes_and_forget(model: &Autoencoder, data: &Prepared, rows: &[usize], device: &Device) -> Vec<f32> {
    codes_and(model, data, rows, device, |rows| data.dataset.values.forget(rows))
}

fn codes_and(
    model: &Autoencoder,
    data: &Prepared,
    rows: &[usize],
    device: &Device,
    done: impl Fn(&[usize]) + Sync,
) -> Vec<f32> {
    match HostLayers::of(&model.encoder) {
        Some(layers) => host_codes(&layers, model.latent(), data, rows, done),
        None => {
            let mut codes = Vec::with_capacity(rows.len() * model.latent());
            each_block(data, rows, |clean| {
                codes.extend(run(&model.encoder, clean, data.dataset.features(), device));
            });
            codes
        }
    }
}

/// The same with threads sharing the blocks of rows.
fn host_codes(
    encoder: &HostLayers,
    latent: usize,
    data: &Prepared,
    rows: &[usize],
    done: impl Fn(&[usize]) + Sync,
) -> Vec<f32> {
    let encoder = encoder.for_many();
    let mut codes = attar_ops::zeros(rows.len() * latent);
    // In their order: rows that are still being unpacked come in it too.
    let blocks = codes.chunks_mut((BLOCK * latent).max(1)).zip(rows.chunks(BLOCK)).par_bridge();
    blocks.for_each_init(Buffers::default, |buffers, (codes, rows)| {
        let output = encoder.forward(data, rows, buffers);
        codes.copy_from_slice(&output);
        buffers.give(output);
        done(rows);
    });
    codes
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
    each_block(data, rows, |clean| match &host {
        Some(layers) => {
            let output = layers.forward(clean, &mut buffers);
            take(clean, &output);
            buffers.give(output);
        }
        None => take(clean, &forward(model, clean, data.dataset.features(), device)),
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

fn each_block(data: &Prepared, rows: &[usize], mut take: impl FnMut(&[f32])) {
    let features = data.dataset.features();
    let mut buffer = vec![0.0; BLOCK.min(rows.len()) * features];
    for rows in rows.chunks(BLOCK) {
        let block = &mut buffer[..rows.len() * features];
        data.read(rows, block);
        take(block);
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}
