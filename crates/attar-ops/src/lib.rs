#![doc = include_str!("../README.md")]

mod activation;
mod buffers;
mod float;
mod loss;
mod matrix;
pub mod naive;
pub mod network;
mod optimizer;
mod product;
mod reduce;
mod threads;

pub use activation::Activation;
pub use buffers::Buffers;
pub use float::Float;
pub use loss::squared_error;
pub use matrix::Matrix;
pub use optimizer::{Averages, Parameter, SquaredNorms, Update};
pub use product::product;
pub use reduce::column_sums;
pub use threads::awake;
