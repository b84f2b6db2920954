//! Classifiers whose stages are named: perceptrons, convolutional nets plain and residual, attention.

mod build;
mod config;
mod dropout;
mod initial;
mod layers;
mod loss;
mod net;
mod norm;
mod residual;
#[cfg(test)]
mod tests;
mod transformer;
mod unit;
mod walk;

pub use config::{Kind, NetConfig, Norm};
pub use loss::sample_losses;
pub use net::Net;
