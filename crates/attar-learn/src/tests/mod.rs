//! Tests that span the modules of the crate.

mod certificate;
mod classify;
mod recording;
mod reference;
mod staged_net;
mod training;
