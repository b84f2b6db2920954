//! Sound runs: settings that are unusual, and train.

use attar_ops::Activation;

use super::case::{ACCUMULATED, CONSTANT, COSINE, Case, Setting, Size, USUAL, sgd};
use crate::config::{Decay, Optimizer, Schedule};
use crate::nets::Norm;

const fn sound(name: &'static str, setting: Setting) -> Case {
    Case { name, setting, planted: None, named_by: &[] }
}

const STEP: Schedule = Schedule { warmup_steps: 0, decay: Decay::Step };
const WARM_COSINE: Schedule = Schedule { warmup_steps: 20, decay: Decay::Cosine };
const ADAM: Optimizer = Optimizer::Adam { weight_decay: 0.0 };

/// As [`Case`]s without a mistake.
pub static SOUND: [Case; 32] = [
    sound("usual", USUAL),
    sound("high-rate", Setting { learning_rate: 0.1, ..USUAL }),
    sound("low-rate", Setting { learning_rate: 5e-3, epochs: 16, ..USUAL }),
    sound("one-epoch", Setting { epochs: 1, samples: 1300, ..USUAL }),
    sound("no-momentum", Setting { optimizer: sgd(0.0, 0.0), learning_rate: 0.1, epochs: 12, ..USUAL }),
    sound("heavy-decay", Setting { optimizer: sgd(0.9, 1e-2), ..USUAL }),
    sound("cosine", Setting { schedule: COSINE, learning_rate: 0.1, ..USUAL }),
    sound("warm-up", Setting { schedule: Schedule { warmup_steps: 40, ..CONSTANT }, learning_rate: 0.1, ..USUAL }),
    sound("clipped", Setting { clip_norm: Some(5.0), ..USUAL }),
    sound("adam", Setting { optimizer: ADAM, learning_rate: 3e-3, ..USUAL }),
    sound("adam-high-rate", Setting { optimizer: ADAM, learning_rate: 1e-2, ..USUAL }),
    sound("adamw", Setting { optimizer: Optimizer::AdamW { weight_decay: 0.1 }, learning_rate: 3e-3, ..USUAL }),
    sound("batches-of-1", Setting { batch_size: 1, learning_rate: 2e-3, epochs: 2, ..USUAL }),
    sound("batches-of-4", Setting { batch_size: 4, learning_rate: 1e-2, epochs: 3, ..USUAL }),
    sound("full-batch", Setting { batch_size: 650, learning_rate: 0.05, epochs: 80, ..USUAL }),
    sound(
        "he-recipe",
        Setting {
            norm: Some(Norm::Batch),
            optimizer: sgd(0.9, 1e-4),
            learning_rate: 0.1,
            schedule: STEP,
            epochs: 10,
            ..USUAL
        },
    ),
    sound("batch-norm-high-rate", Setting { norm: Some(Norm::Batch), learning_rate: 0.1, ..USUAL }),
    sound("layer-norm", Setting { norm: Some(Norm::Layer), schedule: WARM_COSINE, ..USUAL }),
    sound("group-norm", Setting { norm: Some(Norm::Group), ..USUAL }),
    sound("dropout", Setting { dropout: 0.5, epochs: 12, ..USUAL }),
    sound("tanh", Setting { activation: Activation::Tanh, ..USUAL }),
    sound("tanh-deep", Setting { activation: Activation::Tanh, size: Size::Deep, learning_rate: 0.02, ..USUAL }),
    sound("gelu", Setting { activation: Activation::Gelu, ..USUAL }),
    sound("silu-adam", Setting { activation: Activation::Silu, optimizer: ADAM, learning_rate: 3e-3, ..USUAL }),
    sound("wide", Setting { size: Size::Wide, ..USUAL }),
    sound(
        "deep-layer-norm",
        Setting { size: Size::Deep, norm: Some(Norm::Layer), learning_rate: 0.02, epochs: 10, ..USUAL },
    ),
    sound("deep-batch-norm", Setting { size: Size::Deep, norm: Some(Norm::Batch), epochs: 10, ..USUAL }),
    sound("accumulated", ACCUMULATED),
    sound("long-accumulation", Setting { batch_size: 64, accumulation: 32, learning_rate: 0.1, ..USUAL }),
    sound("uneven-accumulation", Setting { batch_size: 50, accumulation: 4, norm: Some(Norm::Group), ..USUAL }),
    sound(
        "all-at-once",
        Setting {
            dropout: 0.2,
            norm: Some(Norm::Layer),
            clip_norm: Some(5.0),
            schedule: WARM_COSINE,
            optimizer: Optimizer::AdamW { weight_decay: 1e-2 },
            learning_rate: 5e-3,
            ..ACCUMULATED
        },
    ),
    sound("double-precision", Setting { double: true, ..ACCUMULATED }),
];
