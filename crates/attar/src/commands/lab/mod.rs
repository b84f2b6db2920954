//! `lab`: experiments whose every statement is a claim with a measured number.

mod answer;
mod attention;
mod autoencoders;
mod debugging;
mod figure;
mod linear;
mod mnist;
mod power_law;
mod questions;
mod submission;
mod synthetic;

pub(crate) use attention::{Method, attention};
pub(crate) use autoencoders::autoencoders;
pub(crate) use debugging::debugging;
pub(crate) use linear::linear;
