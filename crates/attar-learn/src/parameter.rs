//! Parameters by name.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// A parameter of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The stage's name and, after a point, what it is there: `conv1.norm.weight`.
    pub name: String,
    /// The stage that it belongs to.
    pub stage: String,
    /// Lengths of its axes, as a saved model has them.
    pub shape: Vec<usize>,
}

impl Parameter {
    pub(crate) fn of<const D: usize>(stage: &str, what: &str, values: &Param<Tensor<D>>) -> Self {
        Self { name: format!("{stage}.{what}"), stage: stage.into(), shape: values.lazy_shape().to_vec() }
    }

    /// As a record's header has it.
    pub(crate) fn tensor(&self) -> attar_doctor::Tensor {
        let shape = self.shape.iter().map(|&length| length as u64).collect();
        attar_doctor::Tensor { name: self.name.clone(), stage: self.stage.clone(), shape, optimised: true }
    }
}

/// What is trained, in the order in which the network is visited: named by its path, in the stage that this leads to.
pub(crate) fn parameters_by_path<N: Module>(network: &N) -> Vec<Parameter> {
    listed(network).into_iter().filter(|(_, trained)| *trained).map(|(parameter, _)| parameter).collect()
}

/// Which of a network's float tensors are trained, in the order in which it is visited; the others are statistics.
pub(crate) fn trained<N: Module>(network: &N) -> Vec<bool> {
    listed(network).into_iter().map(|(_, trained)| trained).collect()
}

fn listed<N: Module>(network: &N) -> Vec<(Parameter, bool)> {
    #[derive(Default)]
    struct List {
        path: Vec<String>,
        parameters: Vec<(Parameter, bool)>,
    }
    impl ModuleVisitor for List {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            let stage = self.path.split_last().map_or_else(String::new, |(_, stage)| stage.join("."));
            let found = Parameter { name: self.path.join("."), stage, shape: parameter.lazy_shape().to_vec() };
            self.parameters.push((found, parameter.val().is_require_grad()));
        }
    }
    let mut list = List::default();
    // On a device without autodiff nothing else tells what is trained.
    network.clone().train().visit(&mut list);
    list.parameters
}
