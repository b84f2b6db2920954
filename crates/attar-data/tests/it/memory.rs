//! A file larger than memory is read in place.

use crate::files::*;
use attar_data::random::{Purpose, below, stream};
use attar_data::{Prepared, Preprocessing, ReadOptions};
use std::fs::OpenOptions;

const FEATURES: usize = 512;
const ROWS: u64 = (8 << 30) / (4 * FEATURES as u64);

/// Memory of this process that is no file's, in bytes.
#[cfg(target_os = "linux")]
fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Opening, fingerprint, means and a thousand random batches of an 8 GB file (with holes: nothing but its header is on
/// the disk) take less than 64 MB beside the mapped pages.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "reads 8 GB several times"]
fn eight_gigabytes_are_not_copied() {
    let folder = Folder::new();
    let mut header = npy("'<f4'", false, &format!("({ROWS}, {FEATURES})"), &[]);
    header.extend(1.5_f32.to_le_bytes());
    let path = folder.file("large.npy", &header);
    let size = header.len() as u64 - 4 + ROWS * FEATURES as u64 * 4;
    OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();

    let before = anonymous();
    let clock = std::time::Instant::now();
    let time = |what: &str| eprintln!("{what}: {:.1} s, {} kB", clock.elapsed().as_secs_f64(), anonymous() / 1024);
    let dataset = open(&path, &ReadOptions::default()).unwrap();
    time("opened");
    assert_eq!(dataset.samples() as u64, ROWS);
    assert_eq!(dataset.fingerprint().len(), 64);
    time("fingerprint");
    let train: Vec<usize> = (0..ROWS as usize).step_by(4).collect();
    let preprocessing = Preprocessing::fit(&dataset, &train, None).unwrap();
    time("means");
    assert!((preprocessing.mean[0] - 1.5 / train.len() as f64).abs() < 1e-12);
    let prepared = Prepared { dataset, preprocessing };
    let mut rng = stream(0, Purpose::Shuffle, 0, 0, 0);
    let mut batch = vec![0.0; 256 * FEATURES];
    for _ in 0..1000 {
        let rows: Vec<usize> = (0..256).map(|_| below(ROWS, &mut rng) as usize).collect();
        prepared.read(&rows, &mut batch);
    }
    time("batches");
    let grown = anonymous().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
}
