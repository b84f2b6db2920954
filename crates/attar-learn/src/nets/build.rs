//! From a configuration to blocks with initial weights.

use attar_ops::{Convolution, Shortcut};

use super::config::{Kind, NetConfig, Norm};
use super::initial::Draw;
use super::net::Block;
use super::norm::Normalisation;
use super::residual::ResidualBlock;
use super::transformer::{Embedding, TransformerBlock};
use super::unit::Unit;

/// The variance of the head's weights times its inputs, as that of PyTorch's `nn.Linear`: logits begin small.
pub(super) const HEAD_GAIN: f64 = 1.0 / 3.0;

/// The blocks, and the features that the head gets.
pub(super) fn blocks(config: &NetConfig, draw: &mut Draw) -> (Vec<Block>, usize) {
    match &config.kind {
        Kind::Mlp { hidden } => mlp(config, hidden, draw),
        Kind::ConvNet { widths } => conv_net(config, widths, draw),
        Kind::Plain { n, width } => (plain(config, *n, *width, draw), 4 * width),
        Kind::Residual { n, width } => (residual(config, *n, *width, draw), 4 * width),
        Kind::Attention { patch, width, heads, blocks } => {
            (attention(config, *patch, *width, *heads, *blocks, draw), *width)
        }
    }
}

fn mlp(config: &NetConfig, hidden: &[usize], draw: &mut Draw) -> (Vec<Block>, usize) {
    let mut inputs = config.features();
    let units = hidden.iter().enumerate().map(|(index, &outputs)| {
        let unit = Unit::dense(config, format!("hidden{}", index + 1), [inputs, outputs], draw);
        inputs = outputs;
        Block::Unit(unit)
    });
    (units.collect(), inputs)
}

fn conv_net(config: &NetConfig, widths: &[usize], draw: &mut Draw) -> (Vec<Block>, usize) {
    let [mut height, mut width, mut inputs] = config.input;
    let units = widths.iter().enumerate().map(|(index, &outputs)| {
        let shape = three_by_three([height, width], if index == 0 { 1 } else { 2 });
        let unit = Unit::convolution(config, format!("conv{}", index + 1), shape, [inputs, outputs], draw);
        [height, width] = shape.output();
        inputs = outputs;
        Block::Unit(unit)
    });
    (units.collect(), height * width * inputs)
}

/// Two convolutions of a group: where the first stands, and from how many channels to how many they lead.
struct Place {
    block: String,
    shape: Convolution,
    inputs: usize,
    outputs: usize,
}

/// The first convolution, and those of the three groups two by two.
fn he(config: &NetConfig, n: usize, width: usize, draw: &mut Draw) -> (Unit, Vec<(Place, [Unit; 2])>) {
    let [height, columns, channels] = config.input;
    let shape = three_by_three([height, columns], 1);
    let first = Unit::convolution(config, "conv1".into(), shape, [channels, width], draw);
    let (mut size, mut inputs, mut pairs) = ([height, columns], width, Vec::new());
    for (group, outputs) in [width, 2 * width, 4 * width].into_iter().enumerate() {
        for block in 0..n {
            let stride = if group > 0 && block == 0 { 2 } else { 1 };
            let place = Place {
                block: format!("group{}.block{}", group + 1, block + 1),
                shape: three_by_three(size, stride),
                inputs,
                outputs,
            };
            (size, inputs) = (place.shape.output(), outputs);
            let units = place.units(config, draw);
            pairs.push((place, units));
        }
    }
    (first, pairs)
}

impl Place {
    fn shortcut(&self) -> Shortcut {
        let Convolution { height, width, stride, .. } = self.shape;
        Shortcut { height, width, stride, inputs: self.inputs, outputs: self.outputs }
    }

    fn units(&self, config: &NetConfig, draw: &mut Draw) -> [Unit; 2] {
        let second = three_by_three(self.shape.output(), 1);
        [(1, self.shape, self.inputs), (2, second, self.outputs)].map(|(index, shape, inputs)| {
            let name = format!("{}.conv{index}", self.block);
            Unit::convolution(config, name, shape, [inputs, self.outputs], draw)
        })
    }
}

fn plain(config: &NetConfig, n: usize, width: usize, draw: &mut Draw) -> Vec<Block> {
    let (first, pairs) = he(config, n, width, draw);
    [first].into_iter().chain(pairs.into_iter().flat_map(|(_, units)| units)).map(Block::Unit).collect()
}

/// Without norms the branches begin smaller by the square root of their number: the variance of the sum would double
/// with each block.
fn residual(config: &NetConfig, n: usize, width: usize, draw: &mut Draw) -> Vec<Block> {
    let (first, pairs) = he(config, n, width, draw);
    let scale = if config.norm == Norm::None { 1.0 / (pairs.len() as f64).sqrt() } else { 1.0 };
    let block = |(place, [first, second]): (Place, [Unit; 2])| {
        let shortcut = place.shortcut();
        let units = [first, second.scaled(scale)];
        Block::Residual(ResidualBlock::new(place.block, config.activation, shortcut, units))
    };
    [Block::Unit(first)].into_iter().chain(pairs.into_iter().map(block)).collect()
}

fn attention(
    config: &NetConfig,
    [rows, columns]: [usize; 2],
    width: usize,
    heads: usize,
    blocks: usize,
    draw: &mut Draw,
) -> Vec<Block> {
    let inputs = rows * columns * config.input[2];
    let tokens = config.features() / inputs;
    let embedding = Block::Embedding(Embedding::new([tokens, inputs], width, draw));
    let block = |index: usize| {
        Block::Transformer(TransformerBlock::new(config, &format!("block{}", index + 1), width, heads, draw))
    };
    let blocks: Vec<Block> = (0..blocks).map(block).collect();
    let norm = Normalisation::of_positions(config.norm, "norm".into(), width, draw).map(Block::Norm);
    [embedding].into_iter().chain(blocks).chain(norm).collect()
}

fn three_by_three([height, width]: [usize; 2], stride: usize) -> Convolution {
    Convolution { height, width, kernel: 3, stride, padding: 1 }
}
