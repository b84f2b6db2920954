//! How long one `step` event takes to write and to read: `cargo run --release -p attar-doctor --example pace`.

use std::time::Instant;

use attar_doctor::{Error, Event, Header, Reader, Step, Writer};

const STEPS: u64 = 2_000_000;

fn main() -> Result<(), Error> {
    let path = std::env::temp_dir().join(format!("attar-pace-{}.jsonl", std::process::id()));
    let mut writer = Writer::create(&path, &Header::default())?;
    let start = Instant::now();
    for step in 1..=STEPS {
        let loss = 300.0 / (step as f64).sqrt();
        writer.write(&Event::Step(Step { epoch: 1 + step / 140, step, loss, learning_rate: 5e-4 }))?;
    }
    writer.flush()?;
    println!("write {:5.0} ns an event", start.elapsed().as_nanos() as f64 / STEPS as f64);

    let start = Instant::now();
    let events = Reader::open(&path)?.filter(Result::is_ok).count();
    println!("read  {:5.0} ns an event", start.elapsed().as_nanos() as f64 / events as f64);
    std::fs::remove_file(&path).map_err(|source| Error::Io { path, source })
}
