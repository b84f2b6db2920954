//! Whatever a file holds, opening it gives data or an error: no panic, no allocation by a header's promise.

use crate::files::*;
use arrow_array::{ArrayRef, Float64Array, StringArray};
use attar_data::ReadOptions;
use proptest::prelude::*;
use std::sync::Arc;

fn samples() -> Vec<Vec<u8>> {
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a"]));
    vec![
        idx(8, &[3, 2, 2], &[7; 12]),
        gzip(&idx(13, &[3, 1], &[1; 12])),
        npy_f32("(2, 2)", &[1.0, 2.0, 3.0, 4.0]),
        zip(&[("x.npy", npy_f32("(2, 1)", &[1.0, 2.0])), ("y.npy", npy_f32("(2,)", &[1.0, 0.0]))]),
        b"a,b\n1,2\n\"3\",4\n".to_vec(),
        parquet(vec![("x", numbers), ("t", text)]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_file_is_data_or_an_error(
        which in 0_usize..6,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        keep in 0.0_f64..1.3,
    ) {
        let mut bytes = samples().swap_remove(which);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate((bytes.len() as f64 * keep) as usize);
        let folder = Folder::new();
        if let Ok(dataset) = open(&folder.file("damaged", &bytes), &ReadOptions::default()) {
            prop_assert_eq!(numbers(&dataset).len(), dataset.samples() * dataset.features());
        }
    }
}
