//! The parameters of a network and their gradients, each as a list of flat tensors that outlive any pass.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};

use crate::Staged;

/// A parameter of a network.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// That of [`Staged::parameters`].
    pub(crate) name: String,
    /// Its dimensions.
    pub(crate) shape: Vec<usize>,
    /// Its entries, without autodiff.
    pub(crate) entries: Tensor<1>,
}

/// What is trained, in the order in which the module is visited.
pub(crate) fn parameters<N: Staged>(network: &N) -> Vec<Value> {
    let mut reader = Reader { values: Vec::new() };
    // On a device without autodiff nothing else tells what is trained.
    network.clone().train().visit(&mut reader);
    let names = network.parameters().into_iter().map(|parameter| parameter.name);
    reader.values.into_iter().zip(names).map(|((shape, entries), name)| Value { name, shape, entries }).collect()
}

struct Reader {
    values: Vec<(Vec<usize>, Tensor<1>)>,
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let value = parameter.val();
        if value.is_require_grad() {
            self.values.push((value.dims().to_vec(), value.without_autodiff().flatten(0, D - 1)));
        }
    }
}

/// The network with every parameter changed by `change`, which gets its dimensions and entries.
pub(crate) fn changed<N: Module>(network: N, change: impl FnMut(&[usize], Tensor<1>) -> Tensor<1>) -> N {
    network.train().map(&mut Changer { change }).valid()
}

struct Changer<F> {
    change: F,
}

impl<F: FnMut(&[usize], Tensor<1>) -> Tensor<1>> ModuleMapper for Changer<F> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !parameter.is_require_grad() {
            return parameter;
        }
        parameter.map(|value| {
            let shape = value.dims();
            (self.change)(&shape, value.without_autodiff().flatten(0, D - 1)).reshape(shape)
        })
    }
}

/// The gradient of a loss: one flat tensor for each parameter, in their order; `None` where nothing has reached it.
#[derive(Clone, Debug, Default)]
pub struct Gradient(pub(crate) Vec<Option<Tensor<1>>>);

impl Gradient {
    /// Of `loss` `[1]`, which came from `network` with autodiff.
    pub(crate) fn of<N: Module>(network: &N, loss: Tensor<1>) -> Self {
        let mut taker = Taker { gradients: loss.backward(), taken: Vec::new() };
        network.visit(&mut taker);
        Self(taker.taken)
    }

    /// Adds as a backward pass does: what nothing has reached before begins with `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.resize(other.0.len(), None);
        for (sum, term) in self.0.iter_mut().zip(&other.0) {
            *sum = match (sum.take(), term) {
                (Some(sum), Some(term)) => Some(sum + term.clone()),
                (sum, term) => sum.or_else(|| term.clone()),
            };
        }
    }

    /// This gradient times `factor`.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        let scale = |gradient: &Option<Tensor<1>>| gradient.clone().map(|gradient| gradient.mul_scalar(factor));
        Self(self.0.iter().map(scale).collect())
    }

    /// This gradient if its norm is at most `limit`, else scaled down to it.
    pub(crate) fn clipped(&self, limit: f64) -> Self {
        let norm = self.norm();
        if norm > limit { self.scaled(limit / norm) } else { self.clone() }
    }

    /// The Euclidean norm of each parameter's.
    pub(crate) fn norms(&self) -> Vec<Option<f64>> {
        self.0.iter().map(|gradient| gradient.as_ref().map(norm)).collect()
    }

    /// The Euclidean norm of all together.
    pub(crate) fn norm(&self) -> f64 {
        self.norms().into_iter().flatten().map(|norm| norm * norm).sum::<f64>().sqrt()
    }

    /// All entries, with zeros where there is no gradient; `of` gives the lengths.
    pub(crate) fn entries(&self, of: &[Value]) -> Vec<Vec<f64>> {
        let entries = |(place, value): (usize, &Value)| match self.0.get(place) {
            Some(Some(gradient)) => entries(gradient),
            _ => vec![0.0; value.shape.iter().product()],
        };
        of.iter().enumerate().map(entries).collect()
    }

    /// How many entries of each parameter's are not finite.
    pub(crate) fn nonfinite(&self) -> Vec<u64> {
        let count = |gradient: &Tensor<1>| entries(gradient).iter().filter(|entry| !entry.is_finite()).count() as u64;
        self.0.iter().map(|gradient| gradient.as_ref().map_or(0, count)).collect()
    }

    /// |self - terms| / |over|.
    pub(crate) fn rest(&self, terms: &[&Self], over: &Self) -> f64 {
        let mut rest = self.clone();
        terms.iter().for_each(|term| rest.add(&term.scaled(-1.0)));
        rest.norm() / over.norm()
    }

    /// As optimizers take it.
    pub(crate) fn for_optimizer<N: Module>(&self, network: &N) -> GradientsParams {
        let mut giver = Giver { gradients: self, place: 0, given: GradientsParams::new() };
        network.clone().train().visit(&mut giver);
        giver.given
    }
}

struct Taker {
    gradients: Gradients,
    taken: Vec<Option<Tensor<1>>>,
}

impl ModuleVisitor for Taker {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let value = parameter.val();
        if value.is_require_grad() {
            let gradient = value.grad_remove(&mut self.gradients);
            self.taken.push(gradient.map(|gradient| gradient.flatten(0, D - 1)));
        }
    }
}

struct Giver<'a> {
    gradients: &'a Gradient,
    place: usize,
    given: GradientsParams,
}

impl ModuleVisitor for Giver<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let value = parameter.val();
        if !value.is_require_grad() {
            return;
        }
        let place = self.place;
        self.place += 1;
        if let Some(Some(gradient)) = self.gradients.0.get(place) {
            self.given.register(parameter.id, gradient.clone().reshape(value.dims()));
        }
    }
}

/// The entries of a tensor in double precision.
pub(crate) fn entries<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// The Euclidean norm of a tensor, in double precision.
pub(crate) fn norm<const D: usize>(tensor: &Tensor<D>) -> f64 {
    entries(tensor).iter().map(|entry| entry * entry).sum::<f64>().sqrt()
}
