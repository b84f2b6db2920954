#![doc = include_str!("../README.md")]

mod attention;
pub mod burn;
mod cost;
mod denominator;
mod error;
mod features;
mod kernel;
mod linear;
mod map;
pub mod naive;
mod projection;
mod recurrent;
mod shape;
mod shift;
mod similarity;
mod symmetric;
mod tile;
mod tiled;

pub use attention::{Attention, Denominators, Form, Forward, Gradients};
pub use cost::{Choice, Cost};
pub use denominator::tau;
pub use error::Error;
pub use recurrent::{Advanced, State, StateGradient};
pub use shape::{Inputs, Shape};
pub use similarity::{HardGradient, Positivity, Similarity};
