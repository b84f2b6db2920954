//! Tests that span the modules of the crate.

mod classify;
mod recording;
mod reference;
mod training;
