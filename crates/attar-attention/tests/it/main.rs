//! Attention from outside: every form against the definition in `f64`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod agreement;
mod burn;
mod cases;
mod modules;
mod slopes;
mod state;
mod threads;
mod wrong_input;
