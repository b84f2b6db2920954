//! Tables, images and arrays in; splits, seeded streams, synthetic sets and bundled digits.
//!
//! Data is `[samples, features]`, row-major, read as `f32`. This crate knows nothing of networks, tensors or reports.

mod budget;
mod dataset;
mod digits;
mod error;
mod idx;
mod mnist;
mod open;
mod options;
mod preprocessing;
pub mod random;
mod split;
mod synthetic;
mod values;

pub use budget::{Budget, label_budgets, parse_budgets};
pub use dataset::{Column, Dataset, Labels, Layout, Schema};
pub use error::Error;
pub use open::{open, open_like};
pub use options::{Categorical, Impute, ReadOptions};
pub use preprocessing::{Prepared, Preprocessing, Scaling};
pub use split::{Split, SplitFractions, split};
pub use synthetic::Synthetic;
pub use values::{Bytes, Matrix, Values};
