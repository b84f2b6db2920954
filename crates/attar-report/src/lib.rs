//! Charts, tables and pictures on one self-contained HTML page.
//!
//! Plain data in, one file out. The page asks nothing of a network (its own content policy forbids it), reads on a
//! phone, in print, in the dark and without colour vision, and keeps the numbers behind each chart in a table under
//! it. This crate knows nothing of learning: what a curve means is in the caller's words.
//!
//! ```
//! use attar_report::{Axis, Block, Lines, Panel, Report, Section, Series, Spread};
//!
//! let loss = Series {
//!     name: "latent 5".into(),
//!     x: vec![0.0, 1.0, 2.0],
//!     y: vec![280.0, 250.0, 240.0],
//!     spread: Spread::Band { low: vec![279.0, 248.0, 239.0], high: vec![281.0, 252.0, 242.0] },
//!     markers: true,
//!     ..Series::default()
//! };
//! let lines = Lines {
//!     title: "Validation loss".into(),
//!     x: Axis::linear("epoch"),
//!     y: Axis::log("squared error"),
//!     panels: vec![Panel { title: String::new(), series: vec![loss] }],
//!     ..Lines::default()
//! };
//! let report = Report {
//!     title: "A sweep".into(),
//!     sections: vec![Section { title: "Curves".into(), blocks: vec![Block::Lines(lines)], ..Section::default() }],
//!     ..Report::default()
//! };
//! let page = attar_report::render(&report);
//! assert!(page.contains("Validation loss"));
//! ```

mod block;
mod chart;
mod error;
mod html;
mod image;
mod page;
mod report;

pub use chart::Axis;
pub use chart::bars::{BarSeries, Bars};
pub use chart::lines::{Dash, Lines, Panel, Series, Spread};
pub use chart::scatter::{Colouring, Scatter};
pub use error::Error;
pub use image::Image;
pub use page::{render, write};
pub use report::{Block, Claim, Claims, ImageRow, Images, KeyValues, Report, Section, Statement, Table, Verdict};
