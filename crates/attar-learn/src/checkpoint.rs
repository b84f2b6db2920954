//! Checkpoints: where a training stands, so that it ends with the same bits as if never stopped.
//!
//! A file holds eight bytes of magic, the SHA-256 of the rest, and a safetensors file: the weights,
//! the optimizer's averages, and the position in its metadata. Randomness is counter-based, so the
//! position is all of it. Two checkpoints are kept, the older in case the newer is damaged.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use sha2::{Digest, Sha256};

use crate::config::Activation;
use crate::file::write_atomically;
use crate::model_file::{Array, arrays, deserialize, from_arrays, serialize};
use crate::optimizer::{Moments, OptimizerState};
use crate::{Error, State};

const MAGIC: &[u8; 8] = b"ATTARCK1";
const KEPT: usize = 2;

/// Writes a checkpoint into `folder` and removes those that are no longer kept; a state whose weights
/// are not all finite is not worth one.
///
/// # Errors
/// [`Error::Io`].
pub fn save(state: &State, folder: &Path) -> Result<(), Error> {
    let path = folder.join(format!("step-{:010}.ckpt", state.optimizer.steps));
    let mut arrays = arrays(&state.model);
    if arrays.iter().any(|array| array.values.iter().any(|value| !value.is_finite())) {
        return Ok(());
    }
    for (index, moments) in state.optimizer.moments.iter().enumerate() {
        arrays.push(flat(format!("moments.{index}.first"), &moments.first));
        arrays.push(flat(format!("moments.{index}.second"), &moments.second));
    }
    let body = serialize(&arrays, position(state), &path)?;
    let bytes = [MAGIC.as_slice(), &Sha256::digest(&body), &body].concat();
    write_atomically(&path, &bytes)?;
    // Later ones were passed over as damaged; kept, they would push out those of the resumed run.
    let (later, kept): (Vec<PathBuf>, Vec<PathBuf>) = list(folder)?.into_iter().partition(|other| *other > path);
    for old in later.iter().chain(kept.iter().rev().skip(KEPT)) {
        std::fs::remove_file(old).map_err(Error::io(old))?;
    }
    Ok(())
}

/// The newest checkpoint of `folder` that is whole, and what is wrong with those that are not;
/// `None` when there is none.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read.
pub fn load_newest(
    folder: &Path,
    activation: Activation,
    device: &Device,
) -> Result<(Option<State>, Vec<Error>), Error> {
    let mut damaged = Vec::new();
    for path in list(folder)?.iter().rev() {
        match load(path, activation, device) {
            Ok(state) => return Ok((Some(state), damaged)),
            Err(error) => damaged.push(error),
        }
    }
    Ok((None, damaged))
}

/// Paths of the checkpoints, oldest first.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(Error::io(folder))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ckpt"));
    paths.sort();
    Ok(paths)
}

fn load(path: &Path, activation: Activation, device: &Device) -> Result<State, Error> {
    let malformed =
        |expected: &str, got: String| Error::Malformed { path: path.into(), expected: expected.into(), got };
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let (sum, body) = bytes
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.split_at_checked(32))
        .ok_or_else(|| malformed("a checkpoint", format!("{} bytes of something else", bytes.len())))?;
    if Sha256::digest(body).as_slice() != sum {
        return Err(malformed("the checksum that was written", "another: the file is truncated or altered".into()));
    }
    let (arrays, metadata) = deserialize(body, path)?;
    let number = |key: &str| {
        let value = metadata.get(key).and_then(|value| value.parse::<u64>().ok());
        value.ok_or_else(|| malformed(&format!("a whole number `{key}`"), format!("{:?}", metadata.get(key))))
    };
    let model = from_arrays(&arrays, activation, device).map_err(|(expected, got)| malformed(&expected, got))?;
    Ok(State {
        model,
        optimizer: OptimizerState { steps: number("steps")? as usize, moments: moments(&arrays, device) },
        epoch: number("epoch")? as usize,
        batches: number("batches")? as usize,
        loss_sum: f64::from_bits(number("loss-sum-bits")?),
        last_loss: f64::from_bits(number("last-loss-bits")?),
    })
}

fn position(state: &State) -> HashMap<String, String> {
    let entries = [
        ("steps", state.optimizer.steps as u64),
        ("epoch", state.epoch as u64),
        ("batches", state.batches as u64),
        ("loss-sum-bits", state.loss_sum.to_bits()),
        ("last-loss-bits", state.last_loss.to_bits()),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value.to_string())).collect()
}

fn flat(name: String, tensor: &Tensor<1>) -> Array {
    let values: Vec<f32> = tensor.to_data().iter::<f32>().collect();
    Array { name, shape: vec![values.len()], values }
}

fn moments(arrays: &[Array], device: &Device) -> Vec<Moments> {
    let find = |name: String| arrays.iter().find(|array| array.name == name);
    let tensor = |array: &Array| Tensor::from_data(TensorData::new(array.values.clone(), [array.values.len()]), device);
    (0..)
        .map_while(|index| {
            let first = find(format!("moments.{index}.first"))?;
            let second = find(format!("moments.{index}.second"))?;
            Some(Moments { first: tensor(first), second: tensor(second) })
        })
        .collect()
}
