//! Packs plotly.js, so that a program with reports is 6 MB smaller.

use std::io::{Error, Write};
use std::path::Path;

use flate2::{Compression, write::GzEncoder};

/// The crate gives plotly.js as a script element, together with MathJax, which is of no use here.
fn main() -> Result<(), Error> {
    const END: &str = "</script>";
    println!("cargo::rerun-if-changed=build.rs");
    let sources = plotly::Plot::offline_js_sources();
    let end = sources.find(END).ok_or_else(|| Error::other("plotly gives no script element"))?;
    let folder = std::env::var_os("OUT_DIR").ok_or_else(|| Error::other("cargo sets OUT_DIR"))?;
    let file = std::fs::File::create(Path::new(&folder).join("plotly.html.gz"))?;
    let mut packed = GzEncoder::new(file, Compression::best());
    packed.write_all(&sources.as_bytes()[..end + END.len()])?;
    packed.finish().map(drop)
}
