//! The command `attar`.
fn main() {}
