//! Tables, images and arrays in; splits, seeded streams, synthetic sets and bundled digits.
//!
//! Data is `[samples, features]`, row-major, read as `f32`. This crate knows nothing of networks, tensors or reports.
//!
//! ```
//! use attar_data::{Prepared, Preprocessing, ReadOptions, SplitFractions, open, split};
//!
//! let dataset = open("digits", &ReadOptions::default())?;
//! let parts = split(&dataset, &SplitFractions::default_for(&dataset), 0)?;
//! let preprocessing = Preprocessing::fit(&dataset, &parts.train, None)?;
//! let prepared = Prepared { dataset, preprocessing };
//! let mut batch = vec![0.0; 100 * 784];
//! prepared.read(&parts.train[..100], &mut batch);
//! # Ok::<(), attar_data::Error>(())
//! ```

mod open;
mod options;

mod dataset;
mod labels;
mod missing;
mod values;

mod columnar;
mod delimited;
mod filling;
mod matching;
mod reading;
mod table;

mod array;
mod arriving;
mod idx;
mod images;
mod npy;
mod npy_file;
mod npz;

mod catalogue;
mod digits;
pub mod fetch;
mod mnist;
mod synthetic;

mod budget;
mod preprocessing;
pub mod random;
mod split;

mod error;
mod output;

pub use arriving::{Parts, Unpacking};
pub use budget::{Budget, label_budgets, parse_budgets};
pub use catalogue::{Entry, Location, cache_folder, catalogue};
pub use dataset::{Column, Dataset, Labels, Layout, Schema};
pub use error::Error;
pub use npy::Mapped;
pub use npy_file::NpyFile;
pub use open::{open, open_arriving, open_like};
pub use options::{Categorical, Impute, ReadOptions};
pub use output::{OutTable, write_table};
pub use preprocessing::{Prepared, Preprocessing, Scaling};
pub use split::{Split, SplitFractions, split};
pub use synthetic::Synthetic;
pub use values::{Bytes, Matrix, Values};
