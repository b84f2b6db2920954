//! What the doctor finds in records: `cargo run -p attar-doctor --example diagnose -- RUN.jsonl...`.

use attar_doctor::{Error, Record, Thresholds, diagnose};

fn main() -> Result<(), Error> {
    for path in std::env::args().skip(1) {
        let findings = diagnose(&Record::read(&path)?, &Thresholds::default());
        println!("{path}: {} findings", findings.len());
        findings.iter().for_each(|finding| println!("{finding}"));
    }
    Ok(())
}
