//! The operations in Burn's autodiff graph: each one node, with its gradients written by hand.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::tensor::FloatTensor;

use super::super::host::{Optional, Slopes, column_sums, through_activation};
use super::host::{self, ImageOps, NormSettings};
use crate::{Activation, Convolution, Moments, Shortcut};

type Tracked = FloatTensor<Autodiff<Flex>>;

impl<C: CheckpointStrategy> ImageOps for Autodiff<Flex, C> {
    fn conv2d_of_images(
        input: Tracked,
        weight: Tracked,
        bias: Optional<Self>,
        shape: Convolution,
        activation: Activation,
    ) -> Tracked {
        match bias {
            Optional::Some(bias) => conv2d::<C, 3>([input, weight, bias], shape, activation),
            Optional::None => conv2d::<C, 2>([input, weight], shape, activation),
        }
    }

    /// A constant: whoever asks takes the gradient through the norm.
    fn column_moments(input: Tracked) -> Tracked {
        Tracked::new(Flex::column_moments(input.into_primitive()))
    }

    fn batch_norm(input: Tracked, moments: Tracked, gamma: Tracked, beta: Tracked, settings: NormSettings) -> Tracked {
        let moments = moments.into_primitive();
        let output = host::batch_norm(input.primitive(), [&moments, gamma.primitive(), beta.primitive()], settings);
        let nodes = [input.node(), gamma.node(), beta.node()];
        match BatchNormNode.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let [input, gamma, beta] = [&input, &gamma, &beta].map(|tensor| prep.checkpoint(tensor));
                prep.finish(NormState { input, gamma, beta, moments, settings }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn group_norm(input: Tracked, gamma: Tracked, beta: Tracked, settings: NormSettings) -> Tracked {
        let (output, moments) = host::group_norm(input.primitive(), [gamma.primitive(), beta.primitive()], settings);
        let nodes = [input.node(), gamma.node(), beta.node()];
        match GroupNormNode.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let [input, gamma, beta] = [&input, &gamma, &beta].map(|tensor| prep.checkpoint(tensor));
                prep.finish(NormState { input, gamma, beta, moments, settings }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn residual_sum(branch: Tracked, input: Tracked, shape: Shortcut, rectified: bool) -> Tracked {
        let nodes = [branch.node(), input.node()];
        let output = Flex::residual_sum(branch.into_primitive(), input.into_primitive(), shape, rectified);
        match ResidualSumNode.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((shape, rectified.then(|| output.clone())), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// A convolution of input, weight and, if there is a third, bias.
#[derive(Debug)]
struct ConvolutionNode;

#[derive(Clone, Debug)]
struct ConvolutionState {
    shape: Convolution,
    activation: Activation,
    kept: Option<FlexTensor>,
    input: NodeId,
    weight: NodeId,
}

fn conv2d<C: CheckpointStrategy, const N: usize>(
    tensors: [Tracked; N],
    shape: Convolution,
    activation: Activation,
) -> Tracked {
    let (input, weight, bias) = (&tensors[0], &tensors[1], tensors.get(2).map(Tracked::primitive));
    let forward = |slopes| host::conv2d(input.primitive(), weight.primitive(), bias, (shape, activation), slopes);
    match ConvolutionNode.prepare::<C>(tensors.each_ref().map(Tracked::node)).compute_bound().stateful() {
        OpsKind::Tracked(mut prep) => {
            let (output, kept) = forward(Slopes::Kept);
            let [input, weight] = [input, weight].map(|tensor| prep.checkpoint(tensor));
            prep.finish(ConvolutionState { shape, activation, kept, input, weight }, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(Slopes::Forgotten).0),
    }
}

impl<const N: usize> Backward<Flex, N> for ConvolutionNode {
    type State = ConvolutionState;

    fn backward(self, ops: Ops<ConvolutionState, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let ConvolutionState { shape, activation, kept, input, weight } = ops.state;
        let [input, weight]: [FlexTensor; 2] = [input, weight].map(|node| checkpointer.retrieve_node_output(node));
        let gradient = through_activation(grads.consume::<Flex>(&ops.node), activation, kept.as_ref());
        let wanted = ops.parents[0].is_some();
        let (of_input, of_weight) = host::conv2d_backward(&input, &weight, shape, &gradient, wanted);
        let mut of_parents = [of_input, Some(of_weight)].into_iter();
        for parent in ops.parents {
            // The third is the bias.
            let of_parent = of_parents.next();
            if let Some(parent) = parent {
                let values = of_parent.unwrap_or_else(|| Some(of_bias(&gradient)));
                values.into_iter().for_each(|values| grads.register::<Flex>(parent.id, values));
            }
        }
    }
}

/// The sum over samples and pixels.
fn of_bias(gradient: &FlexTensor) -> FlexTensor {
    let shape = gradient.layout().shape();
    column_sums(&gradient.reshape([shape[0] * shape[1], shape[2]].into()))
}

#[derive(Debug)]
struct BatchNormNode;

#[derive(Debug)]
struct GroupNormNode;

/// Of a norm by moments of one kind or the other.
#[derive(Clone, Debug)]
struct NormState<M> {
    input: NodeId,
    gamma: NodeId,
    beta: NodeId,
    moments: M,
    settings: NormSettings,
}

impl Backward<Flex, 3> for BatchNormNode {
    type State = NormState<FlexTensor>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let NormState { input, gamma, beta, moments, settings } = ops.state;
        let [input, gamma, beta] = [input, gamma, beta].map(|node| checkpointer.retrieve_node_output(node));
        let gradient = grads.consume::<Flex>(&ops.node);
        let gradients = host::batch_norm_backward(&input, [&moments, &gamma, &beta], settings, &gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

impl Backward<Flex, 3> for GroupNormNode {
    type State = NormState<Vec<Moments>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let NormState { input, gamma, beta, moments, settings } = ops.state;
        let [input, gamma, beta] = [input, gamma, beta].map(|node| checkpointer.retrieve_node_output(node));
        let gradient = grads.consume::<Flex>(&ops.node);
        let gradients = host::group_norm_backward(&input, [&gamma, &beta], settings, &moments, &gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct ResidualSumNode;

impl Backward<Flex, 2> for ResidualSumNode {
    type State = (Shortcut, Option<FlexTensor>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (shape, output) = ops.state;
        let gradient = grads.consume::<Flex>(&ops.node);
        let gradients = host::residual_sum_backward(shape, output.as_ref(), &gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
