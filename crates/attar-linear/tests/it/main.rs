//! The crate from outside: laws, agreement with naive forms and with scikit-learn, and what is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod covariance;
mod errors;
mod linear_autoencoder;
mod logistic;
mod neighbours;
mod pca;
mod pca_laws;
mod probe;
mod ridge;
mod scores;
mod support;
mod threads;
