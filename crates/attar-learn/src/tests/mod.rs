//! Tests that span the modules of the crate.

mod certificate;
mod certified_nets;
mod mutant;
mod reference;
mod staged_net;
mod training;
