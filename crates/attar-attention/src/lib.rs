#![doc = include_str!("../README.md")]

mod attention;
pub mod burn;
mod denominator;
mod error;
mod kernel;
mod linear;
mod map;
pub mod naive;
mod projection;
mod recurrent;
mod shape;
mod similarity;
mod tile;
mod tiled;

pub use attention::{Attention, Denominators, Form, Forward, Gradients};
pub use denominator::tau;
pub use error::Error;
pub use recurrent::State;
pub use shape::{Inputs, Shape};
pub use similarity::{HardGradient, Positivity, Similarity};
