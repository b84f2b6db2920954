//! `lab`: experiments whose every statement is a claim with a measured number.

mod answer;
mod autoencoders;
mod linear;
mod mnist;
mod submission;
mod synthetic;

pub(crate) use autoencoders::autoencoders;
pub(crate) use linear::linear;
