//! Learn representations without labels, and show that the training can be trusted.
//!
//! This is the library behind the command `attar`: one door to the crates that do the work.
//!
//! PCA of a data set, the baseline that a learned code has to beat:
//!
//! ```
//! use attar::{data, linear};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let synthetic = data::Synthetic { dimensions: 12, samples: 400, high: 3, variance: 10.0, seed: 7 }.generate()?;
//! let rows: Vec<usize> = (0..synthetic.samples()).collect();
//! let mut values = vec![0.0; rows.len() * synthetic.features()];
//! synthetic.values.read(&rows, &mut values);
//!
//! let matrix = faer::MatRef::from_row_major_slice(&values, rows.len(), synthetic.features());
//! let pca = linear::Pca::new(3).fit(matrix)?;
//! let codes = pca.transform(matrix)?;
//! assert_eq!((codes.nrows(), codes.ncols()), (400, 3));
//! # Ok(())
//! # }
//! ```

/// Attention with any similarity.
pub use attar_attention as attention;
/// Tables, images and arrays in; splits, seeds, synthetic sets and bundled digits.
pub use attar_data as data;
/// The run record.
pub use attar_doctor as doctor;
/// Autoencoders: objectives, training loop, checkpoints, and the judging of their codes.
pub use attar_learn as learn;
/// PCA and probes: all that has a closed form or a convex optimum.
pub use attar_linear as linear;
/// Fused operations on the CPU.
pub use attar_ops as ops;
/// Charts and one self-contained HTML page.
pub use attar_report as report;
