//! Burn modules: against PyTorch with its own weights (`pytorch/make.py`), and the gradients of every weight.

use attar_attention::burn::{Arrangement, BlockConfig, MultiHeadAttention, MultiHeadConfig, TransformerBlock, Weights};
use attar_attention::{Attention, Error, Form, Similarity};
use attar_ops::Activation;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bool, Device, Gradients, Tensor, TensorData};

use crate::cases::noise;

fn device() -> Device {
    Device::flex().autodiff()
}

/// The gradients of a module's weights in the place of the weights.
struct OfWeights<'a>(&'a Gradients);

impl ModuleMapper for OfWeights<'_> {
    fn map_float<const D: usize>(&mut self, weight: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::from_tensor(weight.val().grad(self.0).unwrap())
    }
}

/// A file from PyTorch: weights, arguments, output and gradients.
struct Reference {
    file: Weights,
    /// What differences may be, absolute.
    tolerance: f64,
}

impl Reference {
    fn new(bytes: &[u8], tolerance: f64) -> Self {
        Self { file: Weights::from_bytes(bytes).unwrap(), tolerance }
    }

    fn input<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D> {
        self.file.tensor(&format!("input.{name}"), shape, &device()).unwrap().require_grad()
    }

    fn hidden(&self, shape: [usize; 2]) -> Tensor<2, Bool> {
        self.file.tensor("input.hidden", shape, &device()).unwrap().equal_elem(1.0)
    }

    fn check<const D: usize>(&self, name: &str, got: Tensor<D>) {
        let want = self.file.tensor(name, got.dims(), &device()).unwrap();
        assert_eq!(got.dtype(), want.dtype(), "{name}");
        let [got, want]: [Vec<f64>; 2] = [got, want].map(|tensor| tensor.into_data().iter().collect());
        let difference = got.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max);
        assert!(difference <= self.tolerance, "{name}: {difference:e}");
    }

    /// The output, and the gradients of half the sum of its squares.
    fn check_all<M: Module>(&self, output: Tensor<3>, inputs: &[(&str, &Tensor<3>)], module: M, save: Save<M>) {
        self.check("output", output.clone());
        let gradients = (output.square().sum() / 2.0).backward();
        for (name, input) in inputs {
            self.check(&format!("gradient.{name}"), input.grad(&gradients).unwrap());
        }
        let mut of_weights = Weights::default();
        save(&module.map(&mut OfWeights(&gradients)), &mut of_weights, "gradient.");
        let wanted = self.file.names().filter(|name| name.starts_with("gradient.")).count();
        assert_eq!(of_weights.names().count() + inputs.len(), wanted);
        for name in of_weights.names() {
            match name.ends_with("weight") && !name.contains("norm") {
                true => self.check(name, of_weights.tensor::<2>(name, self.matrix(name), &device()).unwrap()),
                false => self.check(name, of_weights.tensor::<1>(name, self.row(name), &device()).unwrap()),
            }
        }
    }

    fn matrix(&self, name: &str) -> [usize; 2] {
        self.file.shape(name).unwrap().try_into().unwrap()
    }

    fn row(&self, name: &str) -> [usize; 1] {
        self.file.shape(name).unwrap().try_into().unwrap()
    }
}

type Save<M> = fn(&M, &mut Weights, &str);

#[test]
fn self_attention_is_that_of_pytorch() {
    let reference = Reference::new(include_bytes!("pytorch/self_attention.safetensors"), 1e-12);
    let causal = Attention { causal: true, ..Attention::new(Similarity::Softmax { scale: None }) };
    let config = MultiHeadConfig { attention: causal, ..MultiHeadConfig::new(6, 3) };
    for form in [Form::Tiled, Form::Naive] {
        let layer = MultiHeadConfig { form, ..config }.load(&reference.file, "", &device()).unwrap();
        let x = reference.input("query", [2, 5, 6]);
        let output = layer.forward(x.clone(), x.clone(), x.clone(), Some(reference.hidden([2, 5]))).unwrap();
        reference.check_all(output, &[("query", &x)], layer, MultiHeadAttention::save);
    }
}

#[test]
fn cross_attention_is_that_of_pytorch() {
    let reference = Reference::new(include_bytes!("pytorch/cross_attention.safetensors"), 1e-5);
    let config = MultiHeadConfig { key_width: 5, value_width: 3, ..MultiHeadConfig::new(4, 2) };
    let layer = config.load(&reference.file, "", &device()).unwrap();
    let [q, k, v] = [("query", [2, 3, 4]), ("key", [2, 7, 5]), ("value", [2, 7, 3])]
        .map(|(name, shape)| reference.input(name, shape));
    let output = layer.forward(q.clone(), k.clone(), v.clone(), Some(reference.hidden([2, 7]))).unwrap();
    let inputs = [("query", &q), ("key", &k), ("value", &v)];
    reference.check_all(output, &inputs, layer, MultiHeadAttention::save);
}

#[test]
fn biases_may_be_left_out() {
    let reference = Reference::new(include_bytes!("pytorch/without_bias.safetensors"), 1e-12);
    let config = MultiHeadConfig { bias: false, ..MultiHeadConfig::new(4, 2) };
    let layer = config.load(&reference.file, "", &device()).unwrap();
    let [q, k, v] = [("query", [1, 3, 4]), ("key", [1, 5, 4]), ("value", [1, 5, 4])]
        .map(|(name, shape)| reference.input(name, shape));
    let output = layer.forward(q.clone(), k.clone(), v.clone(), None).unwrap();
    let inputs = [("query", &q), ("key", &k), ("value", &v)];
    reference.check_all(output, &inputs, layer, MultiHeadAttention::save);
}

#[test]
fn blocks_are_those_of_pytorch() {
    let post: &[u8] = include_bytes!("pytorch/post_norm.safetensors");
    let pre: &[u8] = include_bytes!("pytorch/pre_norm.safetensors");
    let kinds = [(post, Arrangement::PostNorm, Activation::Relu), (pre, Arrangement::PreNorm, Activation::Gelu)];
    for (bytes, arrangement, activation) in kinds {
        let reference = Reference::new(bytes, 1e-11);
        let config = BlockConfig { activation, ..BlockConfig::new(MultiHeadConfig::new(6, 2), arrangement, 7) };
        let block = config.load(&reference.file, "", &device()).unwrap();
        let x = reference.input("query", [2, 5, 6]);
        let output = block.forward(x.clone(), Some(reference.hidden([2, 5]))).unwrap();
        reference.check_all(output, &[("query", &x)], block, TransformerBlock::save);
    }
}

fn input(shape: [usize; 3], seed: u64) -> Tensor<3> {
    let values: Vec<f32> = noise(shape.iter().product(), seed).into_iter().map(|value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

/// `T(x) = f(A(x) + x)`, written out.
#[test]
fn the_plain_block_is_its_definition() {
    let config = BlockConfig::new(MultiHeadConfig::new(6, 3), Arrangement::Plain, 5);
    let block = config.init(3, &device()).unwrap();
    let x = input([2, 4, 6], 1);
    let y = block.attention.forward(x.clone(), x.clone(), x.clone(), None).unwrap() + x.clone();
    let hidden = burn::tensor::activation::relu(block.linear1.forward(y));
    let want = block.linear2.forward(hidden);
    let difference = (block.forward(x, None).unwrap() - want).abs().max();
    assert!(numbers(difference)[0] < 1e-6);
}

#[test]
fn gradients_flow_to_every_weight() {
    struct Flows(usize);
    impl ModuleMapper for Flows {
        fn map_float<const D: usize>(&mut self, gradient: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let largest = numbers(gradient.val().abs().max())[0];
            assert!(largest > 1e-5 && largest.is_finite(), "{:?}: {largest}", gradient.dims());
            self.0 += 1;
            gradient
        }
    }
    let kinds = [(Arrangement::PreNorm, 16), (Arrangement::PostNorm, 16), (Arrangement::Plain, 12)];
    for (arrangement, count) in kinds {
        for similarity in [Similarity::QUADRATIC_PLUS_ONE, Similarity::Elu] {
            let attention = Attention { causal: true, ..Attention::new(similarity) };
            let heads = MultiHeadConfig { attention, form: Form::Linear, key_heads: 2, ..MultiHeadConfig::new(8, 4) };
            let block = BlockConfig::new(heads, arrangement, 7).init(1, &device()).unwrap();
            let output = block.forward(input([2, 5, 8], 1), None).unwrap();
            let gradients = (output * input([2, 5, 8], 2)).sum().backward();
            let mut flows = Flows(0);
            block.map(&mut OfWeights(&gradients)).map(&mut flows);
            assert_eq!(flows.0, count);
        }
    }
}

/// One token, several, none at all: what the block gives of all tokens at once.
#[test]
fn blocks_decode_what_they_compute_at_once() {
    for arrangement in [Arrangement::PreNorm, Arrangement::PostNorm, Arrangement::Plain] {
        for similarity in [Similarity::QUADRATIC_PLUS_ONE, Similarity::Elu] {
            let attention = Attention { causal: true, ..Attention::new(similarity) };
            let heads = MultiHeadConfig { attention, key_heads: 2, ..MultiHeadConfig::new(8, 4) };
            let block = BlockConfig::new(heads, arrangement, 7).init(1, &device()).unwrap();
            let x = input([2, 9, 8], 1);
            let marks: Vec<bool> = (0..18).map(|at| at % 5 == 3).collect();
            let hidden = Tensor::<2, Bool>::from_data(TensorData::new(marks, [2, 9]), &device());
            let mut state = block.attention.start::<f32>(2).unwrap();
            let none = Tensor::zeros([2, 0, 8], &device());
            assert_eq!(block.advance(&mut state.clone(), none.clone(), None).unwrap().dims(), [2, 0, 8]);
            assert_eq!(block.forward(none, None).unwrap().dims(), [2, 0, 8]);
            let mut decode = |first, count| {
                let (tokens, hidden) = (x.clone().narrow(1, first, count), hidden.clone().narrow(1, first, count));
                block.advance(&mut state, tokens, Some(hidden)).unwrap()
            };
            let decoded = Tensor::cat(vec![decode(0, 1), decode(1, 1), decode(2, 6), decode(8, 1)], 1);
            let want = block.forward(x.clone(), Some(hidden.clone())).unwrap();
            let difference = numbers((decoded - want).abs().max())[0];
            assert!(difference < 1e-5, "{arrangement:?} {similarity:?}: {difference}");
        }
    }
}

#[test]
fn what_cannot_be_decoded_is_refused() {
    let causal = |similarity| Attention { causal: true, ..Attention::new(similarity) };
    let layer = |attention| MultiHeadConfig { attention, ..MultiHeadConfig::new(6, 3) }.init(1, &device()).unwrap();
    let error = |attention| layer(attention).start::<f32>(1).unwrap_err();
    assert_eq!(error(causal(Similarity::Softmax { scale: None })), Error::NoFeatures("softmax"));
    assert_eq!(error(Attention::new(Similarity::Elu)), Error::NotCausal);
    let layer = layer(causal(Similarity::Elu));
    let mut state = layer.start::<f32>(2).unwrap();
    let one_sequence = layer.advance(&mut state, input([1, 3, 6], 1), None);
    assert!(matches!(one_sequence, Err(Error::State { .. })));
    let of_relu =
        MultiHeadConfig { attention: causal(Similarity::Relu), ..*layer.config() }.init(1, &device()).unwrap();
    assert!(matches!(of_relu.advance(&mut state, input([2, 3, 6], 1), None), Err(Error::Mismatch { .. })));
    let hidden = Tensor::<2, Bool>::full([2, 4], false, &device());
    assert!(matches!(layer.advance(&mut state, input([2, 3, 6], 1), Some(hidden)), Err(Error::Mismatch { .. })));
}

/// As many heads of keys as of queries, where those of a group are the same, are as good as one for each group.
#[test]
fn heads_of_keys_can_be_shared() {
    let shared = MultiHeadConfig { key_heads: 2, ..MultiHeadConfig::new(8, 4) };
    let layer = shared.init(7, &device()).unwrap();
    let mut weights = Weights::default();
    layer.save(&mut weights, "");
    let read = |name, shape| weights.tensor::<2>(name, shape, &device()).unwrap();
    let packed = read("in_proj_weight", [16, 8]);
    let repeated = |first: usize| {
        let head = |head: usize| packed.clone().narrow(0, first + 2 * head, 2);
        vec![head(0), head(0), head(1), head(1)]
    };
    let rows = [vec![packed.clone().narrow(0, 0, 8)], repeated(8), repeated(12)].concat();
    weights.insert("in_proj_weight".into(), Tensor::cat(rows, 0));
    weights.insert("in_proj_bias".into(), Tensor::<1>::zeros([24], &device()));
    let full = MultiHeadConfig::new(8, 4).load(&weights, "", &device()).unwrap();
    let x = input([2, 5, 8], 1);
    let run = |layer: &MultiHeadAttention| layer.forward(x.clone(), x.clone(), x.clone(), None).unwrap();
    assert!(numbers((run(&layer) - run(&full)).abs().max())[0] < 1e-6);
}

#[test]
fn what_is_saved_is_what_is_loaded() {
    let heads = MultiHeadConfig { key_heads: 1, ..MultiHeadConfig::new(6, 3) };
    for arrangement in [Arrangement::PostNorm, Arrangement::Plain] {
        let config = BlockConfig::new(heads, arrangement, 5);
        let block = config.init(7, &device()).unwrap();
        let mut weights = Weights::default();
        block.save(&mut weights, "layers.0.");
        let weights = Weights::from_bytes(&weights.to_bytes().unwrap()).unwrap();
        let again = config.load(&weights, "layers.0.", &device()).unwrap();
        let run = |block: &TransformerBlock| numbers(block.forward(input([2, 5, 6], 1), None).unwrap());
        assert_eq!(run(&again), run(&block));
        assert_eq!(run(&config.init(7, &device()).unwrap()), run(&block));
        assert_ne!(run(&config.init(8, &device()).unwrap()), run(&block));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let check = |result: Result<String, attar_attention::Error>, want: &str| {
        assert_eq!(result.unwrap_err().to_string(), want);
    };
    let made = |config: MultiHeadConfig| config.init(1, &device()).map(|layer| format!("{layer:?}"));
    check(made(MultiHeadConfig::new(6, 4)), "expected a width that 4 heads divide, got 6");
    check(made(MultiHeadConfig::new(6, 0)), "expected at least one head, got none");
    let linear = MultiHeadConfig { form: Form::Linear, ..MultiHeadConfig::new(6, 3) };
    check(made(linear), "softmax has no finite feature map: use the tiled form");
    let mut weights = Weights::default();
    weights.insert("in_proj_weight".into(), Tensor::<2>::zeros([17, 6], &device()));
    let loaded =
        |prefix: &str| MultiHeadConfig::new(6, 3).load(&weights, prefix, &device()).map(|layer| format!("{layer:?}"));
    check(loaded(""), "expected `in_proj_weight` of shape [18, 6], got [17, 6]");
    check(loaded("a."), "expected a tensor `a.in_proj_weight`, got in_proj_weight");
    let layer = MultiHeadConfig::new(6, 3).init(1, &device()).unwrap();
    let [narrow, fits] = [input([1, 2, 5], 1), input([1, 2, 6], 1)];
    let run = |q: &Tensor<3>, k: &Tensor<3>| layer.forward(q.clone(), k.clone(), k.clone(), None);
    check(run(&narrow, &fits).map(|output| format!("{output}")), "expected queries of width 6, got 5");
    check(run(&fits, &narrow).map(|output| format!("{output}")), "expected keys of width 6, got 5");
    let two = MultiHeadConfig { key_width: 5, ..MultiHeadConfig::new(6, 3) };
    let block = BlockConfig::new(two, Arrangement::Plain, 5).init(1, &device()).map(|block| format!("{block:?}"));
    check(block, "expected keys and values of widths [6, 6], got [5, 6]");
    assert!(Weights::from_bytes(b"not one").is_err());
}
