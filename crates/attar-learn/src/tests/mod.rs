//! Tests that span the modules of the crate.

mod certificate;
mod reference;
mod staged_net;
mod training;
