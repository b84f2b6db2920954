//! Attention in Burn's autodiff graph: one node, with its gradients written by hand.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};

use super::host::{self, HostAttention, Kept};
use crate::{Attention, Form};

type Tracked = FloatTensor<Autodiff<Flex>>;

impl<C: CheckpointStrategy> HostAttention for Autodiff<Flex, C> {
    fn attention(
        queries: Tracked,
        keys: Tracked,
        values: Tracked,
        hidden: Option<Vec<bool>>,
        attention: Attention,
        form: Form,
    ) -> Tracked {
        let tensors = [&queries, &keys, &values];
        let (output, kept) = host::forward(&attention, form, tensors.map(Tracked::primitive), hidden.as_deref());
        match AttentionNode.prepare::<C>(tensors.map(Tracked::node)).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let inputs = tensors.map(|tensor| prep.checkpoint(tensor));
                prep.finish(AttentionState { attention, hidden, inputs, kept }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

#[derive(Debug)]
struct AttentionNode;

#[derive(Clone, Debug)]
struct AttentionState {
    attention: Attention,
    hidden: Option<Vec<bool>>,
    /// Queries, keys and values.
    inputs: [NodeId; 3],
    kept: Kept,
}

impl Backward<Flex, 3> for AttentionNode {
    type State = AttentionState;

    fn backward(self, ops: Ops<AttentionState, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let AttentionState { attention, hidden, inputs, kept } = ops.state;
        let tensors: [FlexTensor; 3] = inputs.map(|input| checkpointer.retrieve_node_output(input));
        let of_output = grads.consume::<Flex>(&ops.node);
        let gradients = host::backward(&attention, &kept, tensors.each_ref(), hidden.as_deref(), &of_output);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
