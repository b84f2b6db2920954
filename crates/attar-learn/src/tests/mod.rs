//! Tests that span the modules of the crate.

mod reference;
mod training;
