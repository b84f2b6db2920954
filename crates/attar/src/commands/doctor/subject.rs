//! The small networks that certificates are of, and what they learn.

use attar_learn::config::{Decay, Descent, Optimizer, Schedule};
use attar_learn::mutant::Plan;
use attar_learn::nets::{Kind, Net, NetConfig, Norm};
use attar_learn::{Classified, Error};
use attar_ops::Activation;
use burn::tensor::{DType, Device};

use crate::cli::doctor::{DtypeName, ModelName, NetArgs, NormName};

/// Height and width of the images.
const SIDE: usize = 6;
const CLASSES: usize = 5;
/// Masks are keyed by sample, so that they are no obstacle.
const DROPOUT: f64 = 0.2;
/// Samples of the certificate's batch.
pub(super) const BATCH: usize = 32;
/// Samples of the loop's run: two batches and one of 24, three micro-batches of eight, which fill no window of four.
const TRAINED: usize = 2 * BATCH + 24;

/// A network, what it learns, and the loop.
pub(super) struct Subject {
    pub(super) network: Net,
    pub(super) problem: Classified,
    pub(super) plan: Plan,
    /// Of the certificate's batch.
    pub(super) samples: Vec<u64>,
}

impl Subject {
    pub(super) fn new(args: NetArgs, seed: u64) -> Result<Self, Error> {
        let dtype = if args.dtype == DtypeName::F64 { DType::F64 } else { DType::F32 };
        let config = NetConfig {
            kind: kind(args.model),
            norm: norm(args.norm),
            activation: Activation::Relu,
            dropout: DROPOUT,
            input: [SIDE, SIDE, 1],
            classes: CLASSES,
        };
        Ok(Self {
            network: Net::new(&config, seed, dtype, &Device::flex())?,
            problem: Classified::about_centres([TRAINED, SIDE * SIDE, 1], CLASSES, 1.0, seed).cast(dtype),
            plan: plan(seed),
            samples: (0..BATCH as u64).collect(),
        })
    }
}

fn kind(model: ModelName) -> Kind {
    match model {
        ModelName::Mlp => Kind::Mlp { hidden: vec![16, 12] },
        ModelName::ConvNet => Kind::ConvNet { widths: vec![4, 8] },
        ModelName::ResNet => Kind::Residual { n: 1, width: 4 },
        ModelName::Attention => Kind::Attention { patch: [3, 3], width: 8, heads: 2, blocks: 1 },
    }
}

fn norm(norm: NormName) -> Norm {
    match norm {
        NormName::Batch => Norm::Batch,
        NormName::Layer => Norm::Layer,
        NormName::Group => Norm::Group,
        NormName::None => Norm::None,
    }
}

fn plan(seed: u64) -> Plan {
    let descent = Descent {
        optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 },
        learning_rate: 0.05,
        schedule: Schedule { warmup_steps: 0, decay: Decay::Cosine },
        // Below every micro-batch's gradient, so that clipping in the wrong place shows.
        clip_norm: Some(0.05),
        epochs: 2,
        batch_size: BATCH,
        accumulation: 4,
        seed,
    };
    Plan { descent, norms_every: 1, fresh_every: 0, probes: false, held_out: 0 }
}
