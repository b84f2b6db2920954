//! Tests that span the modules of the crate.

mod certificate;
mod certified_nets;
mod classify;
mod depth;
mod mutant;
mod ranks;
mod recording;
mod reference;
pub(crate) mod staged_net;
mod training;
