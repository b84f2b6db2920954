//! What a run of the suite is.

use attar_doctor::Finding;
use attar_doctor::accumulation::Fault;
use attar_ops::Activation;
use serde::Serialize;

use crate::config::{Decay, Descent, Optimizer, Schedule};
use crate::mutant::Planted;
use crate::nets::{Kind, NetConfig, Norm};

/// One kind of run.
#[derive(Debug)]
pub struct Case {
    /// In a word.
    pub name: &'static str,
    /// How network and training are set.
    pub setting: Setting,
    /// The mistake in the loop, if there is one.
    pub planted: Option<Planted>,
    /// The findings that name what is wrong; none for a sound run.
    pub named_by: &'static [Named],
}

/// A finding that names a fault.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    /// Any of this rule.
    By(&'static str),
    /// One of this rule whose message has these words.
    Saying(&'static str, &'static str),
    /// One of the rule `accumulation` that is of this fault.
    Accumulation(Fault),
}

impl Named {
    /// Whether it is this finding.
    pub fn is(self, finding: &Finding) -> bool {
        match self {
            Self::By(rule) => finding.rule == rule,
            Self::Saying(rule, words) => finding.rule == rule && finding.message.contains(words),
            // Each fault has a remedy of its own.
            Self::Accumulation(fault) => finding.rule == "accumulation" && finding.remedy == fault.remedy(),
        }
    }

    /// The rule, and which of its findings.
    pub fn words(self) -> String {
        match self {
            Self::By(rule) => rule.into(),
            Self::Saying(rule, words) => format!("{rule} (\"{words}\")"),
            Self::Accumulation(fault) => format!("accumulation ({fault:?})"),
        }
    }
}

/// The networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Dense layers.
    Mlp,
    /// Convolutions.
    ConvNet,
    /// A transformer on pairs of rows.
    Attention,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mlp, Self::ConvNet, Self::Attention];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::ConvNet => "convnet",
            Self::Attention => "attention",
        }
    }

    fn kind(self, size: Size) -> Kind {
        let layers = |usual: &[usize], wide: &[usize], deep: &[usize]| match size {
            Size::Usual => usual.to_vec(),
            Size::Wide => wide.to_vec(),
            Size::Deep => deep.to_vec(),
        };
        match self {
            Self::Mlp => Kind::Mlp { hidden: layers(&[48, 32], &[256, 128], &[32; 8]) },
            Self::ConvNet => Kind::ConvNet { widths: layers(&[8, 16], &[16, 32], &[8; 5]) },
            Self::Attention => {
                let (width, blocks) = match size {
                    Size::Usual => (32, 1),
                    Size::Wide => (64, 1),
                    Size::Deep => (32, 3),
                };
                Kind::Attention { patch: [2, super::digits::SIDE], width, heads: 2, blocks }
            }
        }
    }

    /// Transformers do not train well without.
    fn norm(self) -> Norm {
        if self == Self::Attention { Norm::Layer } else { Norm::None }
    }
}

/// How large the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Two layers, or one block.
    Usual,
    /// Two layers of several times the width, or one such block.
    Wide,
    /// Eight dense layers, five convolutions, three blocks.
    Deep,
}

/// How network and training are set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Of the network; `None` for what its architecture usually has: layer norm for attention, none for the others.
    pub norm: Option<Norm>,
    /// Of the network.
    pub activation: Activation,
    /// Of the network.
    pub dropout: f64,
    /// Of the network.
    pub size: Size,
    /// Of the network: `f64` in place of `f32`.
    pub double: bool,
    /// How many digits are learnt.
    pub samples: usize,
    /// Of the training.
    pub optimizer: Optimizer,
    /// Of the training.
    pub learning_rate: f64,
    /// Of the training.
    pub schedule: Schedule,
    /// Of the training.
    pub clip_norm: Option<f64>,
    /// Of the training.
    pub epochs: usize,
    /// Of the training.
    pub batch_size: usize,
    /// Of the training.
    pub accumulation: usize,
}

pub(super) const CONSTANT: Schedule = Schedule { warmup_steps: 0, decay: Decay::Constant };
pub(super) const COSINE: Schedule = Schedule { warmup_steps: 0, decay: Decay::Cosine };

/// Gradient descent with momentum.
pub(super) const fn sgd(momentum: f64, weight_decay: f64) -> Optimizer {
    Optimizer::Sgd { momentum, weight_decay }
}

/// What everybody would begin with; the last batch of an epoch is smaller than the others.
pub(super) const USUAL: Setting = Setting {
    norm: None,
    activation: Activation::Relu,
    dropout: 0.0,
    size: Size::Usual,
    double: false,
    samples: 650,
    optimizer: sgd(0.9, 0.0),
    learning_rate: 0.05,
    schedule: CONSTANT,
    clip_norm: None,
    epochs: 8,
    batch_size: 32,
    accumulation: 1,
};

/// The same in four micro-batches.
pub(super) const ACCUMULATED: Setting = Setting { accumulation: 4, ..USUAL };

impl Setting {
    pub(super) fn net(&self, architecture: Architecture) -> NetConfig {
        NetConfig {
            kind: architecture.kind(self.size),
            norm: self.norm.unwrap_or(architecture.norm()),
            activation: self.activation,
            dropout: self.dropout,
            input: [super::digits::SIDE, super::digits::SIDE, 1],
            classes: super::digits::CLASSES,
        }
    }

    pub(super) fn descent(&self, seed: u64) -> Descent {
        Descent {
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            clip_norm: self.clip_norm,
            epochs: self.epochs,
            batch_size: self.batch_size,
            accumulation: self.accumulation,
            seed,
        }
    }
}
