#![doc = include_str!("../README.md")]
//!
//! # In Rust
//!
//! ```
//! use attar_doctor::{Choice, Event, Header, Reader, Step, Writer};
//!
//! # fn main() -> Result<(), attar_doctor::Error> {
//! # let path = std::env::temp_dir().join(format!("attar-doctor-{}.jsonl", std::process::id()));
//! let header = Header {
//!     framework: "attar 0.1.0".into(),
//!     seed: 7,
//!     optimizer: Choice::new("adam", [("beta1", 0.9), ("beta2", 0.999)]),
//!     batch_size: 100,
//!     ..Header::default()
//! };
//! let mut record = Writer::create(&path, &header)?;
//! record.write(&Event::Step(Step { epoch: 1, step: 1, loss: 52.7, learning_rate: 1e-3 }))?;
//! record.flush()?;
//!
//! let mut reader = Reader::open(&path)?;
//! let events = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(events.len(), 2);
//! assert!(!reader.is_torn());
//!
//! for finding in attar_doctor::diagnose(&attar_doctor::Record::read(&path)?, &attar_doctor::Thresholds::default()) {
//!     println!("{finding}");
//! }
//! # std::fs::remove_file(&path).ok();
//! # Ok(())
//! # }
//! ```

pub mod accumulation;
mod error;
mod event;
mod finding;
mod number;
mod observation;
pub mod ranks;
mod reader;
mod record;
mod rules;
mod statistics;
mod thresholds;
mod windows;
mod writer;

pub use error::Error;
pub use event::{Choice, Epoch, Evaluation, Event, FORMAT, Finish, Header, Position, Status, Step};
pub use finding::{Finding, Gravity, Place};
pub use observation::{Activations, Backward, Clip, Norms, Probe, Schedule, Stage, StageStatistics, Tensor};
pub use reader::Reader;
pub use record::Record;
pub use rules::{RULES, Rule, diagnose, explain};
pub use thresholds::Thresholds;
pub use writer::Writer;
