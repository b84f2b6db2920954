//! The operations in Burn's autodiff graph: each one node, with its gradients written by hand.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;

use super::host::{self, HostOps, Optional, Slopes};
use crate::{Activation, Moments};

type Tracked = FloatTensor<Autodiff<Flex>>;

impl<C: CheckpointStrategy> HostOps for Autodiff<Flex, C> {
    fn dense(input: Tracked, weight: Tracked, bias: Optional<Self>, activation: Activation) -> Tracked {
        match bias {
            Optional::Some(bias) => dense::<C, 3>([input, weight, bias], activation),
            Optional::None => dense::<C, 2>([input, weight], activation),
        }
    }

    fn activation(input: Tracked, activation: Activation) -> Tracked {
        match ActivationNode.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (output, kept) = host::activate(input.into_primitive(), None, activation, Slopes::Kept);
                prep.finish((activation, kept), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::activation(input.into_primitive(), activation)),
        }
    }

    fn squared_error(output: Tracked, target: Tracked, weight: Optional<Self>, scale: f64) -> Tracked {
        match weight {
            Optional::Some(weight) => {
                let nodes = [output.node(), target.node(), weight.node()];
                squared_error::<C, 3>(nodes, output, target, Some(weight), scale)
            }
            Optional::None => squared_error::<C, 2>([output.node(), target.node()], output, target, None, scale),
        }
    }

    fn cross_entropy(logits: Tracked, labels: Vec<u32>, scale: f64) -> Tracked {
        match LossNode.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (loss, gradient) = host::cross_entropy(logits.into_primitive(), &labels, scale);
                prep.finish([Some(gradient)], loss)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::cross_entropy(logits.into_primitive(), labels, scale)),
        }
    }

    fn layer_norm(input: Tracked, gamma: Tracked, beta: Tracked, epsilon: f64) -> Tracked {
        let nodes = [input.node(), gamma.node(), beta.node()];
        let (output, moments) = host::layer_norm(input.primitive(), gamma.primitive(), beta.primitive(), epsilon);
        match LayerNormNode.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = LayerNormState { input: prep.checkpoint(&input), gamma: prep.checkpoint(&gamma), moments };
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// A dense layer of input, weight and, if there is a third, bias.
#[derive(Debug)]
struct DenseNode;

#[derive(Clone, Debug)]
struct DenseState {
    activation: Activation,
    kept: Option<FlexTensor>,
    /// Only where the weight's gradient is asked for.
    input: Option<NodeId>,
    /// Only where the input's gradient is asked for.
    weight: Option<NodeId>,
}

fn dense<C: CheckpointStrategy, const N: usize>(tensors: [Tracked; N], activation: Activation) -> Tracked {
    let (input, weight, bias) = (&tensors[0], &tensors[1], tensors.get(2));
    let forward =
        |slopes| host::dense(input.primitive(), weight.primitive(), bias.map(Tracked::primitive), activation, slopes);
    match DenseNode.prepare::<C>(tensors.each_ref().map(Tracked::node)).compute_bound().stateful() {
        OpsKind::Tracked(mut prep) => {
            let (output, kept) = forward(Slopes::Kept);
            let input_of_state = weight.is_tracked().then(|| prep.checkpoint(input));
            let weight_of_state = input.is_tracked().then(|| prep.checkpoint(weight));
            prep.finish(DenseState { activation, kept, input: input_of_state, weight: weight_of_state }, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(Slopes::Forgotten).0),
    }
}

impl<const N: usize> Backward<Flex, N> for DenseNode {
    type State = DenseState;

    fn backward(self, ops: Ops<DenseState, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let DenseState { activation, kept, input, weight } = ops.state;
        let gradient = host::through_activation(grads.consume::<Flex>(&ops.node), activation, kept.as_ref());
        let mut parents = ops.parents.into_iter();
        if let (Some(Some(parent)), Some(weight)) = (parents.next(), weight) {
            let weight: FlexTensor = checkpointer.retrieve_node_output(weight);
            grads.register::<Flex>(parent.id, host::product(&gradient, &weight.transpose(0, 1)));
        }
        if let (Some(Some(parent)), Some(input)) = (parents.next(), input) {
            let input: FlexTensor = checkpointer.retrieve_node_output(input);
            grads.register::<Flex>(parent.id, host::product(&input.transpose(0, 1), &gradient));
        }
        if let Some(Some(parent)) = parents.next() {
            grads.register::<Flex>(parent.id, host::column_sums(&gradient));
        }
    }
}

#[derive(Debug)]
struct ActivationNode;

impl Backward<Flex, 1> for ActivationNode {
    type State = (Activation, Option<FlexTensor>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (activation, kept) = ops.state;
        let gradient = host::through_activation(grads.consume::<Flex>(&ops.node), activation, kept.as_ref());
        for parent in ops.parents.into_iter().flatten() {
            grads.register::<Flex>(parent.id, gradient.clone());
        }
    }
}

/// A loss `[1]` that left its gradients by its parents on the way down; none for a parent that does not ask.
#[derive(Debug)]
struct LossNode;

impl<const N: usize> Backward<Flex, N> for LossNode {
    type State = [Option<FlexTensor>; N];

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_loss = grads.consume::<Flex>(&ops.node);
        for (parent, gradient) in ops.parents.into_iter().zip(ops.state) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, host::scaled(gradient, &of_loss));
            }
        }
    }
}

fn squared_error<C: CheckpointStrategy, const N: usize>(
    nodes: [NodeGuard; N],
    output: Tracked,
    target: Tracked,
    weight: Option<Tracked>,
    scale: f64,
) -> Tracked {
    let of_target = target.is_tracked();
    let of_weight = weight.as_ref().is_some_and(Tracked::is_tracked);
    let (output, target) = (output.into_primitive(), target.into_primitive());
    let weight = weight.map(Tracked::into_primitive);
    match LossNode.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let of_weight = of_weight.then(|| scaled_squares(&output, &target, scale));
            let (loss, gradient) = host::squared_error(output, &target, weight.as_ref(), scale);
            let of_target = of_target.then(|| Flex::float_neg(gradient.clone()));
            let mut gradients = [Some(gradient), of_target, of_weight].into_iter();
            prep.finish(std::array::from_fn(|_| gradients.next().flatten()), loss)
        }
        OpsKind::UnTracked(prep) => prep.finish(host::squared_error(output, &target, weight.as_ref(), scale).0),
    }
}

/// `scale * (output - target)^2`: the gradient of the squared error by its weight, which hardly anyone asks for.
fn scaled_squares(output: &FlexTensor, target: &FlexTensor, scale: f64) -> FlexTensor {
    let error = Flex::float_sub(output.clone(), target.clone());
    Flex::float_mul_scalar(Flex::float_mul(error.clone(), error), scale.into())
}

#[derive(Debug)]
struct LayerNormNode;

#[derive(Clone, Debug)]
struct LayerNormState {
    input: NodeId,
    gamma: NodeId,
    moments: Vec<Moments>,
}

impl Backward<Flex, 3> for LayerNormNode {
    type State = LayerNormState;

    fn backward(self, ops: Ops<LayerNormState, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let LayerNormState { input, gamma, moments } = ops.state;
        let (input, gamma): (FlexTensor, FlexTensor) =
            (checkpointer.retrieve_node_output(input), checkpointer.retrieve_node_output(gamma));
        let gradient = grads.consume::<Flex>(&ops.node);
        let gradients = host::layer_norm_backward(&input, &gamma, &moments, &gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
