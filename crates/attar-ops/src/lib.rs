#![doc = include_str!("../README.md")]

mod activation;
pub mod bf16;
mod buffers;
pub mod burn;
mod cross_entropy;
mod float;
mod layer_norm;
mod linear_pair;
mod loss;
mod matrix;
mod matrix_mut;
pub mod naive;
pub mod network;
mod normal;
mod optimizer;
mod product;
mod reduce;
mod sparse;
mod threads;
mod vectorised;

pub use activation::Activation;
pub use buffers::Buffers;
pub use cross_entropy::{LabelOutOfRange, cross_entropy};
pub use float::Float;
pub use layer_norm::{LayerNormGradient, Moments, layer_norm, layer_norm_backward};
pub use loss::squared_error;
pub use matrix::Matrix;
pub use matrix_mut::MatrixMut;
pub use normal::{NORMALS, standard_normals};
pub use optimizer::{Averages, Parameter, SquaredNorms, Update};
pub use product::{Precision, product};
pub use reduce::{column_sums, largest, sum, sum_of_products};
pub use sparse::Panels;
pub use threads::awake;
pub use vectorised::vectorised;
