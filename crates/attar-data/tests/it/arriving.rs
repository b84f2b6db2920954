//! Images that are read while they are unpacked: the same numbers, and the same errors at the end.

use crate::files::{Folder, gzip, idx, open};
use attar_data::{Dataset, Error, ReadOptions, Schema, Unpacking, Values};
use std::path::Path;

const ROWS: u32 = 2500;

/// 2,500 images of 2 by 3 pixels, less than a part.
fn images() -> Vec<u8> {
    idx(8, &[ROWS, 2, 3], &(0..ROWS * 6).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect::<Vec<_>>())
}

/// The data as it arrives, with the schema of the same data read whole.
fn arrive(path: &Path) -> Result<(Dataset, Unpacking), Error> {
    let folder = Folder::new();
    let whole = open(&folder.file("whole", gzip(&images())), &ReadOptions::default()).unwrap();
    open_arriving(path, &whole.schema)
}

fn open_arriving(path: &Path, schema: &Schema) -> Result<(Dataset, Unpacking), Error> {
    attar_data::open_arriving(path.to_str().unwrap(), &ReadOptions::default(), schema)
}

fn read_all(dataset: &Dataset) -> Vec<f32> {
    let mut values = vec![0.0; dataset.samples() * dataset.features()];
    dataset.values.read(&(0..dataset.samples()).collect::<Vec<_>>(), &mut values);
    values
}

#[test]
fn the_same_data_as_read_whole() {
    let folder = Folder::new();
    folder.file("few-labels-idx1-ubyte", idx(8, &[ROWS], &[7, 3].repeat(ROWS as usize / 2)));
    let path = folder.file("few-images-idx3-ubyte.gz", gzip(&images()));
    let whole = open(&path, &ReadOptions::default()).unwrap();
    let (dataset, unpacking) = open_arriving(&path, &whole.schema).unwrap();
    assert!(matches!(dataset.values, Values::Arriving(_)));
    assert_eq!(read_all(&dataset), read_all(&whole));
    assert_eq!(dataset.labels, whole.labels);
    assert_eq!(dataset.fingerprint(), whole.fingerprint());
    unpacking.finish().unwrap();
}

/// Later parts take the memory of those that are forgotten, and who asks for the last one early gets it.
#[test]
fn forgotten_rows_make_room_for_others() {
    let folder = Folder::new();
    const IMAGES: u32 = 12;
    // A part holds one image.
    let side = 1100;
    let pixels: Vec<u8> =
        (0..IMAGES * side * side).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 & 3).collect();
    let path = folder.file("large.gz", gzip(&idx(8, &[IMAGES, side, side], &pixels)));
    let whole = open(&path, &ReadOptions::default()).unwrap();
    let (dataset, unpacking) = open_arriving(&path, &whole.schema).unwrap();
    let rows = |dataset: &Dataset, row: usize| {
        let mut values = vec![0.0; dataset.features()];
        dataset.values.read(&[row], &mut values);
        values
    };
    let last = IMAGES as usize - 1;
    for row in (0..5).chain([last]).chain(5..last) {
        assert!(rows(&dataset, row) == rows(&whole, row), "{row}");
        dataset.values.forget(&[row]);
    }
    unpacking.finish().unwrap();
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rows(&dataset, 3)));
    assert!(again.is_err(), "forgotten rows are not read again");
}

/// A file whose rows nobody reads is still looked through to its end, and one that nobody finishes is let go.
#[test]
fn nobody_has_to_read() {
    let folder = Folder::new();
    let path = folder.file("good.gz", gzip(&images()));
    let (dataset, unpacking) = arrive(&path).unwrap();
    unpacking.finish().unwrap();
    assert_eq!(read_all(&dataset).len(), ROWS as usize * 6);
    drop(arrive(&path).unwrap());
}

/// What does not come is 0 and waits for nobody; the end says why, as reading the file whole does.
#[test]
fn damage_is_said_at_the_end() {
    let folder = Folder::new();
    let (good, packed) = (images(), gzip(&images()));
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 0xff;
    let cases = [
        ("cut.gz", packed[..packed.len() / 2].to_vec()),
        ("flipped.gz", flipped),
        ("short.gz", gzip(&good[..good.len() - 1])),
        ("long.gz", gzip(&[&good[..], &[1]].concat())),
    ];
    for (name, content) in cases {
        let path = folder.file(name, content);
        let want = open(&path, &ReadOptions::default()).unwrap_err().to_string();
        let (dataset, unpacking) = arrive(&path).unwrap();
        assert_eq!(read_all(&dataset).len(), ROWS as usize * 6);
        assert_eq!(unpacking.finish().unwrap_err().to_string(), want, "{name}");
    }
}

/// Everything else is read whole, and what is wrong at its beginning is said there.
#[test]
fn other_sources_are_there_at_once() {
    let folder = Folder::new();
    let (dataset, unpacking) = arrive(&folder.file("plain", images())).unwrap();
    assert!(matches!(dataset.values, Values::Bytes(_)));
    unpacking.finish().unwrap();
    let promise = folder.file("promise.gz", gzip(&idx(8, &[1 << 30, 2, 3], &[1])));
    assert!(matches!(arrive(&promise), Err(Error::IdxSize { held: 1, .. })));
    let wider = folder.file("wider.gz", gzip(&idx(8, &[2, 2, 4], &[1; 16])));
    assert!(matches!(arrive(&wider), Err(Error::OtherLayout { .. })));
    assert!(matches!(arrive(&folder.file("stub.gz", gzip(&[0, 0, 8, 3, 0]))), Err(Error::IdxHeader { .. })));
}
