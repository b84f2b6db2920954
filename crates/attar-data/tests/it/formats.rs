//! Every format gives the numbers, labels and names that its file holds.

use crate::files::*;
use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeListArray, Float32Array,
    Int64Array, ListArray, StringArray, StructArray,
};
use attar_data::{Categorical, Dataset, Impute, Labels, Layout, ReadOptions, Values};
use std::path::Path;
use std::sync::Arc;

fn check(dataset: &Dataset, names: &str, expected: &[f32]) {
    assert_eq!(columns(dataset).join(" "), names);
    let got = numbers(dataset);
    let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
    assert!(got.len() == expected.len() && got.iter().zip(expected).all(same), "expected {expected:?}, got {got:?}");
}

fn check_csv(text: &str, names: &str, expected: &[f32]) {
    let folder = Folder::new();
    check(&open(&folder.file("t", text), &ReadOptions::default()).unwrap(), names, expected);
}

fn labelled(column: &str) -> ReadOptions {
    ReadOptions { label_column: Some(column.to_owned()), ..ReadOptions::default() }
}

fn classes(names: &[&str], of: &[u32]) -> Option<Labels> {
    Some(Labels::Classes { names: names.iter().map(ToString::to_string).collect(), of: of.to_vec() })
}

#[test]
fn csv_in_all_its_spellings() {
    check_csv("a,b\n1,2\n3,4\n", "a b", &[1.0, 2.0, 3.0, 4.0]);
    check_csv("1,2\n3,4", "column_0 column_1", &[1.0, 2.0, 3.0, 4.0]);
    check_csv("\u{feff}a;b\r\n1;-2.5e1\r\n", "a b", &[1.0, -25.0]);
    check_csv("\u{feff}1;2\r\n3;4\r\n", "column_0 column_1", &[1.0, 2.0, 3.0, 4.0]);
    check_csv("a\tb\n 1 \t2\n\n", "a b", &[1.0, 2.0]);
    check_csv("\"a, \"\"b\"\"\",c\n\"1\",\"2\"\n", "a, \"b\" c", &[1.0, 2.0]);
    check_csv(",x\n0,5\n1,6\n", "column_0 x", &[0.0, 5.0, 1.0, 6.0]);
}

#[test]
fn the_header_can_be_told() {
    let folder = Folder::new();
    let with = |header| ReadOptions { header: Some(header), ..ReadOptions::default() };
    check(&open(&folder.file("years.csv", "2019,2020\n1,2\n"), &with(true)).unwrap(), "2019 2020", &[1.0, 2.0]);
    let text = ReadOptions { categorical: Some(Categorical::OneHot), ..with(false) };
    let set = open(&folder.file("text.csv", "b\na\nb\n"), &text).unwrap();
    check(&set, "column_0=a column_0=b", &[0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn labels_ids_and_text_columns() {
    let folder = Folder::new();
    let path = folder.file("t.csv", "id,size,colour,kind\nr1,1,red,7\nr2,2,blue,-3\nr3,3,red,7\nr4,4,red,-3\n");
    let options =
        ReadOptions { id_column: Some("id".to_owned()), categorical: Some(Categorical::OneHot), ..labelled("kind") };
    let set = open(&path, &options).unwrap();
    let expected = [1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 3.0, 0.0, 1.0, 4.0, 0.0, 1.0];
    check(&set, "size colour=blue colour=red", &expected);
    assert_eq!(set.labels, classes(&["-3", "7"], &[1, 0, 1, 0]));
    assert_eq!(set.ids.as_ref().unwrap().join(" "), "r1 r2 r3 r4");
    let dropped = open(&path, &ReadOptions { categorical: Some(Categorical::Drop), ..options }).unwrap();
    check(&dropped, "size", &[1.0, 2.0, 3.0, 4.0]);
    let text = open(&path, &ReadOptions { categorical: Some(Categorical::Drop), ..labelled("colour") }).unwrap();
    assert_eq!(text.labels, classes(&["blue", "red"], &[1, 0, 1, 1]));
    let numeric = open(&folder.file("n.csv", "x,y\n1,0.5\n2,0.25\n"), &labelled("y")).unwrap();
    assert_eq!(numeric.labels, Some(Labels::Numbers(vec![0.5, 0.25])));
}

#[test]
fn missing_values_are_kept_for_imputation_or_dropped() {
    let folder = Folder::new();
    let csv = folder.file("t.csv", "a,b,y\n1,2,u\n,4,v\n5,6,u\n7,8,\n");
    let npy = folder.file("t.npy", npy_f32("(3, 2)", &[1.0, 2.0, f32::NAN, 4.0, 5.0, 6.0]));
    let npz = folder.file(
        "t.npz",
        zip(&[("x.npy", npy_f32("(3, 1)", &[1.0, f32::NAN, 5.0])), ("y.npy", npy_f32("(3,)", &[4.5, 5.5, 6.5]))]),
    );
    let with = |impute, options: ReadOptions| ReadOptions { impute: Some(impute), ..options };
    let set = open(&csv, &with(Impute::Drop, labelled("y"))).unwrap();
    check(&set, "a b", &[1.0, 2.0, 5.0, 6.0]);
    assert_eq!(set.labels, classes(&["u"], &[0, 0]));
    let none = ReadOptions { categorical: Some(Categorical::Drop), ..ReadOptions::default() };
    let nan = f32::NAN;
    check(&open(&csv, &with(Impute::Mean, none)).unwrap(), "a b", &[1.0, 2.0, nan, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let kept = open(&npy, &with(Impute::Mean, ReadOptions::default())).unwrap();
    check(&kept, "feature_0 feature_1", &[1.0, 2.0, nan, 4.0, 5.0, 6.0]);
    let dropped = open(&npy, &with(Impute::Drop, ReadOptions::default())).unwrap();
    check(&dropped, "feature_0 feature_1", &[1.0, 2.0, 5.0, 6.0]);
    assert_ne!(kept.fingerprint(), dropped.fingerprint());
    let archive = open(&npz, &with(Impute::Drop, ReadOptions::default())).unwrap();
    check(&archive, "feature_0", &[1.0, 5.0]);
    assert_eq!(archive.labels, Some(Labels::Numbers(vec![4.5, 6.5])));
}

#[test]
fn npy_of_every_number_type() {
    let folder = Folder::new();
    let names = "feature_0 feature_1";
    let check_bytes = |descr: &str, bytes: Vec<u8>, expected: [f32; 2]| {
        let set = open(&folder.file("x.npy", npy(descr, false, "(1, 2)", &bytes)), &ReadOptions::default()).unwrap();
        assert!(matches!(set.values, Values::Mapped(_)));
        check(&set, names, &expected);
    };
    macro_rules! check_type {
        ($descr:literal, $type:ty, $a:expr, $b:expr) => {
            check_bytes($descr, [<$type>::to_le_bytes($a), <$type>::to_le_bytes($b)].concat(), [$a as f32, $b as f32]);
        };
    }
    check_type!("'<f4'", f32, -1.5, 2.25);
    check_type!("'<f8'", f64, -1.5, 1e9);
    check_type!("'|u1'", u8, 3, 255);
    check_type!("'|i1'", i8, -3, 127);
    check_type!("'<u2'", u16, 3, 65535);
    check_type!("'<i2'", i16, -3, 32767);
    check_type!("'<u4'", u32, 3, 4_000_000);
    check_type!("'<i4'", i32, -3, 4_000_000);
    check_type!("'<u8'", u64, 3, 4_000_000);
    check_type!("'<i8'", i64, -3, 4_000_000);
    check_bytes("'|b1'", vec![1, 0], [1.0, 0.0]);
}

#[test]
fn arrays_and_their_layouts() {
    let folder = Folder::new();
    let open_npy = |descr: &str, shape: &str, bytes: &[u8]| {
        open(&folder.file("x.npy", npy(descr, false, shape, bytes)), &ReadOptions::default()).unwrap()
    };
    let bytes: Vec<u8> = (0..12).collect();
    let image = open_npy("'|u1'", "(2, 3, 2)", &bytes);
    assert_eq!(image.schema.layout, Layout::Image { height: 3, width: 2, channels: 1 });
    assert_eq!(numbers(&image)[11], 11.0 / 255.0);
    let colour = open_npy("'|u1'", "(1, 2, 2, 3)", &bytes);
    assert_eq!(colour.schema.layout, Layout::Image { height: 2, width: 2, channels: 3 });
    let vectors = open_npy("'|u1'", "(3, 4)", &bytes);
    assert_eq!((vectors.schema.layout, numbers(&vectors)[11]), (Layout::Vectors, 11.0));
    assert_eq!(open_npy("'|u1'", "(12,)", &bytes).features(), 1);
}

#[test]
fn npy_with_a_file_of_labels() {
    let folder = Folder::new();
    let path = folder.file("x.npy", npy_f32("(4, 1)", &[1.0, 2.0, 3.0, 4.0]));
    folder.file("y.npy", npy("'|u1'", false, "(4,)", &[5, 9, 5, 9]));
    assert_eq!(open(&path, &labelled("y.npy")).unwrap().labels, classes(&["5", "9"], &[0, 1, 0, 1]));
    folder.file("short.npy", npy("'|u1'", false, "(3,)", &[5, 9, 5]));
    let error = open(&path, &labelled("short.npy")).unwrap_err();
    assert_eq!(error.to_string(), "3 labels for 4 rows");
}

#[test]
fn npz_with_features_and_labels_or_with_parts() {
    let folder = Folder::new();
    let y = |values: &[u8]| npy("'|u1'", false, &format!("({},)", values.len()), values);
    let plain = zip(&[("x.npy", npy_f32("(4, 1)", &[1.0, 2.0, 3.0, 4.0])), ("y.npy", y(&[1, 0, 1, 0]))]);
    let set = open(&folder.file("a.npz", plain), &ReadOptions::default()).unwrap();
    check(&set, "feature_0", &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(set.labels, classes(&["0", "1"], &[1, 0, 1, 0]));
    let image = |n: usize, value: u8| npy("'|u1'", false, &format!("({n}, 1, 2)"), &vec![value; 2 * n]);
    let parts = zip(&[
        ("x_train.npy", image(3, 255)),
        ("y_train.npy", y(&[1, 0, 1])),
        ("x_test.npy", image(2, 0)),
        ("y_test.npy", y(&[0, 1])),
    ]);
    let set = open(&folder.file("b.npz", parts), &ReadOptions::default()).unwrap();
    check(&set, "pixel_0 pixel_1", &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!((set.test_rows, set.labels), (Some(3..5), classes(&["0", "1"], &[1, 0, 1, 0, 1])));
}

#[test]
fn idx_plain_and_gzip_with_labels_beside_it() {
    let folder = Folder::new();
    let pixels = idx(8, &[4, 1, 2], &[0, 255, 51, 0, 0, 0, 255, 255]);
    let labels = idx(8, &[4], &[3, 1, 3, 1]);
    folder.file("few-labels-idx1-ubyte.gz", gzip(&labels));
    for (name, content) in [("few-images-idx3-ubyte.gz", gzip(&pixels)), ("few-images", pixels.clone())] {
        let set = open(&folder.file(name, content), &ReadOptions::default()).unwrap();
        check(&set, "pixel_0 pixel_1", &[0.0, 1.0, 0.2, 0.0, 0.0, 0.0, 1.0, 1.0]);
        let expected = if name.ends_with("gz") { classes(&["1", "3"], &[1, 0, 1, 0]) } else { None };
        assert_eq!(set.labels, expected);
    }
    let shorts = idx(11, &[2, 1], &[0xff, 0xfe, 0x01, 0x00]);
    check(&open(&folder.file("shorts", shorts), &ReadOptions::default()).unwrap(), "feature_0", &[-2.0, 256.0]);
}

#[test]
fn parquet_tables() {
    let folder = Folder::new();
    let kinds: DictionaryArray<Int32Type> = ["u", "v", "u", "v"].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", Arc::new(Int64Array::from(vec![9_007_199_254_740_993, 2, 3, 4]))),
        ("x", Arc::new(Float32Array::from(vec![0.5, 1.5, 2.5, 3.5]))),
        ("on", Arc::new(BooleanArray::from(vec![true, false, true, true]))),
        ("kind", Arc::new(kinds)),
        ("price", Arc::new(Decimal128Array::from(vec![125, -50, 0, 1]).with_precision_and_scale(9, 2).unwrap())),
    ];
    let options = ReadOptions { id_column: Some("key".to_owned()), ..labelled("kind") };
    let set = open(&folder.file("t.bin", parquet(columns)), &options).unwrap();
    check(&set, "x on price", &[0.5, 1.0, 1.25, 1.5, 0.0, -0.5, 2.5, 1.0, 0.0, 3.5, 1.0, 0.01]);
    assert_eq!(set.ids.unwrap()[0], "9007199254740993");
    assert_eq!((set.labels, set.schema.layout), (classes(&["u", "v"], &[0, 1, 0, 1]), Layout::Table));
}

#[test]
fn parquet_lists_are_vectors() {
    let folder = Folder::new();
    let rows = || [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].map(|row| Some(row.map(Some).to_vec()));
    let fixed: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows(), 2));
    let variable: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows()));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a"]));
    for list in [fixed, variable] {
        let file = folder.file("v", parquet(vec![("e", list), ("y", text.clone())]));
        let set = open(&file, &labelled("y")).unwrap();
        check(&set, "e_0 e_1", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(set.schema.layout, Layout::Vectors);
    }
}

#[test]
fn parquet_images_as_the_hub_lays_them_out() {
    let folder = Folder::new();
    let pngs = [colour_png(2, 1, [255, 0, 51]), png(2, 1, 255), png(2, 1, 0)];
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(&pngs));
    let paths: ArrayRef = Arc::new(StringArray::from(vec![Some("a.png"), None, None]));
    let images = StructArray::try_from(vec![("bytes", bytes), ("path", paths)]).unwrap();
    let labels: ArrayRef = Arc::new(Int64Array::from(vec![4, 4, 4]));
    let file = folder.file("i", parquet(vec![("image", Arc::new(images)), ("label", labels)]));
    let set = open(&file, &ReadOptions::default()).unwrap();
    assert_eq!(set.schema.layout, Layout::Image { height: 1, width: 2, channels: 3 });
    assert_eq!(numbers(&set)[..9], [1.0, 0.0, 0.2, 1.0, 0.0, 0.2, 1.0, 1.0, 1.0]);
    assert_eq!(set.labels, classes(&["4"], &[0, 0, 0]));
    assert!(matches!(set.values, Values::Bytes(_)));
}

#[test]
fn cifar_from_the_hub() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/cifar10-test.parquet");
    if !path.is_file() {
        eprintln!("skipped: no {}", path.display());
        return;
    }
    let set = open(&path, &ReadOptions::default()).unwrap();
    assert_eq!(set.schema.layout, Layout::Image { height: 32, width: 32, channels: 3 });
    let Some(Labels::Classes { names, of }) = &set.labels else { panic!("{:?}", set.labels) };
    assert_eq!((names.len(), of.len()), (10, set.samples()));
}

#[test]
fn a_folder_of_images() {
    let folder = Folder::new();
    folder.file("b/2.png", png(2, 1, 51));
    folder.file("a/1.PNG", png(2, 1, 255));
    folder.file("a/0.png", png(2, 1, 0));
    folder.file("a/notes.txt", "no image");
    folder.file(".hidden/9.png", png(9, 9, 9));
    let set = open(folder.path(), &ReadOptions::default()).unwrap();
    check(&set, "pixel_0 pixel_1", &[0.0, 0.0, 1.0, 1.0, 0.2, 0.2]);
    assert_eq!(set.labels, classes(&["a", "b"], &[0, 0, 1]));
    assert_eq!(set.ids.unwrap().join(" "), "a/0.png a/1.PNG b/2.png");

    let plain = Folder::new();
    plain.file("grey.png", png(1, 1, 255));
    plain.file("red.png", colour_png(1, 1, [255, 0, 0]));
    let set = open(plain.path(), &ReadOptions::default()).unwrap();
    check(&set, "pixel_0 pixel_1 pixel_2", &[1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(set.labels, None);
}

#[test]
fn a_folder_of_train_and_test_images() {
    let folder = Folder::new();
    for (name, grey) in [("train/b/1.png", 51), ("train/a/1.png", 0), ("test/b/1.png", 255)] {
        folder.file(name, png(1, 1, grey));
    }
    let set = open(folder.path(), &ReadOptions::default()).unwrap();
    check(&set, "pixel_0", &[0.0, 0.2, 1.0]);
    assert_eq!((set.labels, set.test_rows), (classes(&["a", "b"], &[0, 1, 1]), Some(2..3)));
    assert_eq!(set.ids.unwrap().join(" "), "train/a/1.png train/b/1.png test/b/1.png");

    let classes_of_these_names = Folder::new();
    classes_of_these_names.file("train/1.png", png(1, 1, 0));
    classes_of_these_names.file("test/1.png", png(1, 1, 0));
    let set = open(classes_of_these_names.path(), &ReadOptions::default()).unwrap();
    assert_eq!((set.labels, set.test_rows), (classes(&["test", "train"], &[0, 1]), None));
}

/// A missing byte, another label or another order is other data.
#[test]
fn fingerprints_tell_data_apart() {
    let folder = Folder::new();
    let print = |text: &str| open(&folder.file("t.csv", text), &labelled("y")).unwrap().fingerprint();
    let base = print("x,y\n1,a\n2,b\n");
    assert_eq!(base, print("x,y\n1.0,a\n2,b\n"));
    for other in ["x,y\n1,a\n2,a\n", "x,y\n2,b\n1,a\n", "x,y\n1,a\n2.5,b\n", "x,z,y\n1,1,a\n2,2,b\n"] {
        assert_ne!(base, print(other), "{other}");
    }
}
