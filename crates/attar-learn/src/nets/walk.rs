//! What a pass gathers on its way through a network.

use attar_attention::Choice;
use attar_ops::Activation;
use burn::tensor::Tensor;

use super::dropout;
use crate::staged::{Pass, StageOutput};

/// The pass, and the outputs of the stages behind it.
pub(super) struct Walk<'a, 'b> {
    pub(super) pass: &'a mut Pass<'b>,
    outputs: Vec<StageOutput>,
    dropouts: u64,
}

impl<'a, 'b> Walk<'a, 'b> {
    pub(super) fn new(pass: &'a mut Pass<'b>) -> Self {
        Self { pass, outputs: Vec::new(), dropouts: 0 }
    }

    /// The values, which are a stage's output.
    pub(super) fn stage(&mut self, name: &str, activation: Activation, values: Tensor<3>) -> Tensor<3> {
        let output = self.pass.stage(name, activation, values);
        let values = output.values.clone();
        self.outputs.push(output);
        values
    }

    /// Says in which form the last stage was computed.
    pub(super) fn in_form(&mut self, choice: Option<Choice>) {
        if let Some(stage) = self.outputs.last_mut() {
            stage.form = choice;
        }
    }

    /// The values without the units that are dropped out, the others larger by as much: each call is another layer.
    pub(super) fn dropout(&mut self, rate: f64, values: Tensor<3>) -> Tensor<3> {
        let layer = self.dropouts;
        self.dropouts += 1;
        if self.pass.training && rate > 0.0 { dropout::dropout(values, rate, layer, self.pass) } else { values }
    }

    /// Keeps the first reason.
    pub(super) fn fail(&mut self, reason: impl FnOnce() -> String) {
        self.pass.failure.get_or_insert_with(reason);
    }

    pub(super) fn into_outputs(self) -> Vec<StageOutput> {
        self.outputs
    }
}
