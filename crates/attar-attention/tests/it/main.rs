//! Attention from outside: every form against the definition in `f64`.

mod agreement;
mod cases;
mod slopes;
mod state;
mod threads;
mod wrong_input;
