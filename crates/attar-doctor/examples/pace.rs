//! How long events take to write and to read: `cargo run --release -p attar-doctor --example pace`.

use std::time::Instant;

use attar_doctor::{Error, Event, Header, Norms, Reader, Step, Writer};

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

    let sizes: Vec<f64> = (1..=12).map(|i| 0.123_456_789 / f64::from(i)).collect();
    let gradient = sizes.iter().copied().map(Some).collect();
    let norms = Norms { epoch: 1, step: 1, gradient, weight: sizes.clone(), update: sizes, nonfinite: Vec::new() };
    let norms = Event::Norms(norms);
    let start = Instant::now();
    for _ in 0..STEPS / 10 {
        writer.write(&norms)?;
    }
    writer.flush()?;
    println!("write {:5.0} ns for the norms of 12 tensors", start.elapsed().as_nanos() as f64 / (STEPS / 10) as f64);

    let start = Instant::now();
    let events = Reader::open(&path)?.filter(Result::is_ok).count();
    println!("read  {:5.0} ns an event", start.elapsed().as_nanos() as f64 / events as f64);
    std::fs::remove_file(&path).map_err(|source| Error::Io { path, source })
}
