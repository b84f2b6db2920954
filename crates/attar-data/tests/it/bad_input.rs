//! Bad input of every kind: one error, of its own kind, with its place.

use crate::files::*;
use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, Float64Array, ListArray, StructArray};
use attar_data::{Categorical, Error, Impute, ReadOptions, SplitFractions, split};
use std::path::Path;
use std::sync::Arc;

/// Opening `path` fails with an error whose name is `kind` and whose message holds all of `words` and the path.
fn check_with(path: &Path, options: &ReadOptions, kind: &str, words: &[&str]) {
    let error = open(path, options).expect_err(&format!("{} was accepted", path.display()));
    let (debug, message) = (format!("{error:?}"), error.to_string());
    assert!(debug.starts_with(kind), "{}: expected {kind}, got {debug}", path.display());
    assert!(message.starts_with(path.to_str().unwrap()), "the message does not begin with the place: {message}");
    for word in words {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
}

fn check(name: &str, content: impl AsRef<[u8]>, kind: &str, words: &[&str]) {
    let folder = Folder::new();
    check_with(&folder.file(name, content), &ReadOptions::default(), kind, words);
}

#[test]
fn files_that_are_nothing() {
    check("empty", "", "Empty", &["no data"]);
    check("noise", [7, 0, 1, 2, 0, 9], "UnknownFormat", &["CSV, Parquet, NPY"]);
    check("one.png", png(2, 2, 0), "SingleImage", &["folder"]);
    let folder = Folder::new();
    check_with(&folder.path().join("absent.csv"), &ReadOptions::default(), "Io", &["No such file"]);
    check_with(folder.path(), &ReadOptions::default(), "NoImages", &[]);
}

#[test]
fn gzip_and_idx() {
    let good = idx(8, &[3, 2], &[1, 2, 3, 4, 5, 6]);
    let packed = gzip(&idx(8, &[100, 20], &(0..2000).map(|i| (i * i % 251) as u8).collect::<Vec<_>>()));
    check("cut.gz", &packed[..packed.len() - 30], "Gzip", &["truncated or damaged"]);
    check("stub.gz", &packed[..12], "Gzip", &["truncated or damaged"]);
    let mut flipped = packed.clone();
    flipped[60] ^= 0xff;
    check("flipped.gz", flipped, "Gzip", &["truncated or damaged"]);
    check("short.idx", &good[..good.len() - 1], "IdxSize", &["promises 6 bytes", "holds 5"]);
    check("long.idx", [&good[..], &[9]].concat(), "IdxSize", &["promises 6 bytes", "holds 7"]);
    check("stub.idx", &good[..7], "IdxHeader", &["ends within it"]);
    check("empty.idx", idx(8, &[0, 28, 28], &[]), "Empty", &["0 rows"]);
    check("flat.idx", idx(8, &[3, 0], &[]), "Empty", &["of 0 features"]);
    // Four billion to the third power of bytes: read without an allocation of that size.
    check("promise.idx", idx(8, &[u32::MAX; 3], &[1]), "IdxSize", &["holds 1"]);
    check("overflow.idx", idx(14, &[u32::MAX; 8], &[1]), "IdxHeader", &["overflow"]);
    check("promise.gz", gzip(&idx(13, &[u32::MAX; 2], &[1])), "IdxSize", &["holds 1"]);
}

#[test]
fn text() {
    check("ragged.csv", "a,b\n1,2\n3\n", "Ragged", &["line 3", "expected 2 fields, got 1"]);
    check("long.csv", "a,b\r\n1,2\r\n\r\n3,4,5\r\n", "Ragged", &["line 4", "expected 2 fields, got 3"]);
    check("bom.csv", "\u{feff}a\n1\n2\n\"3\n\"\n4,5\n", "Ragged", &["line 6", "expected 1 fields, got 2"]);
    check("quoted.csv", "a,b\n\"1\n\",2\n3,\n", "MissingValue", &["row 4", "column `b`"]);
    check("header.csv", "a,b\n", "Empty", &["0 rows"]);
    check("blank.csv", "\n\n", "Empty", &["no data"]);
    check("gap.csv", "a,b\n1,2\n3,\n", "MissingValue", &["row 3", "column `b`", "--impute mean"]);
    for nan in ["nan", "NaN", "NA", "n/a", "NULL", "\"\"", " "] {
        check("nan.csv", format!("a,b\n1,2\n{nan},4\n"), "MissingValue", &["row 3", "column `a`"]);
    }
    for infinity in ["inf", "-Infinity", "1e39"] {
        check("inf.csv", format!("a\n1\n{infinity}\n"), "NotFinite", &["row 3", "column `a`"]);
    }
    check("text.csv", "a,b,c\n1,x,y\n2,y,z\n", "TextColumns", &["`b`, `c`", "--categorical one-hot"]);
    check("twice.csv", "a,b,a\n1,2,3\n", "DuplicateColumn", &["`a`"]);
    check("latin.csv", b"a,b\n1,2\n3,\xe9\n", "NotUtf8", &["line 3"]);
    check("cut.csv.gz", &gzip(&b"a,b\n1,2\n".repeat(900))[..40], "Gzip", &["truncated"]);
}

#[test]
fn columns_that_are_not_there() {
    let folder = Folder::new();
    let table = folder.file("t.csv", "a,b\n1,2\n3,4\n");
    let label = ReadOptions { label_column: Some("c".to_owned()), ..ReadOptions::default() };
    let id = ReadOptions { id_column: Some("c".to_owned()), ..ReadOptions::default() };
    check_with(&table, &label, "NoSuchColumn", &["no label column `c`", "`a`, `b`"]);
    check_with(&table, &id, "NoSuchColumn", &["no id column `c`", "`a`, `b`"]);
    let array = folder.file("x.npy", npy_f32("(2, 1)", &[1.0, 2.0]));
    check_with(&array, &label, "NoLabelFile", &["second, one-dimensional"]);
    let archive = folder.file("x.npz", zip(&[("x.npy", npy_f32("(2, 1)", &[1.0, 2.0]))]));
    check_with(&archive, &label, "NoSuchColumn", &["no label column `c`", "`x`"]);
    let idx = folder.file("x.idx", idx(8, &[2, 1], &[1, 2]));
    check_with(&idx, &label, "NoSuchColumn", &["no label column `c`", "no named columns"]);
    check_with(&array, &id, "NoSuchColumn", &["no id column `c`", "no named columns"]);
    let only = ReadOptions { label_column: Some("a".to_owned()), ..ReadOptions::default() };
    check_with(&folder.file("l.csv", "a\n1\n2\n"), &only, "Empty", &["2 rows of 0 features"]);
    let dropped = ReadOptions { categorical: Some(Categorical::Drop), ..ReadOptions::default() };
    check_with(&folder.file("d.csv", "a\nx\ny\n"), &dropped, "Empty", &["of 0 features"]);
    let impute = ReadOptions { impute: Some(Impute::Drop), ..ReadOptions::default() };
    check_with(&folder.file("i.csv", "a,b\n1,\n,2\n"), &impute, "Empty", &["0 rows"]);
    let mean = ReadOptions { impute: Some(Impute::Mean), ..only };
    check_with(
        &folder.file("m.csv", "a,b\n1,2\n,2\n"),
        &mean,
        "MissingValue",
        &["row 3", "column `a`", "only be dropped"],
    );
    let many: String = (0..1001).map(|i| format!("t{i}\n")).collect();
    let one_hot = ReadOptions { categorical: Some(Categorical::OneHot), ..ReadOptions::default() };
    check_with(&folder.file("h.csv", format!("a\n{many}")), &one_hot, "TooManyLevels", &["more than 1000"]);
}

#[test]
fn arrays() {
    let eight = [0; 8];
    check("short.npy", npy("'<f8'", false, "(5, 2)", &eight), "NpySize", &["promises 80 bytes", "holds 8"]);
    let huge = format!("({}, {})", u64::MAX, u64::MAX);
    check("huge.npy", npy("'<f8'", false, &huge, &eight), "NpySize", &["holds 8"]);
    check("fortran.npy", npy("'<f8'", true, "(1, 1)", &eight), "FortranOrder", &["ascontiguousarray"]);
    check("object.npy", npy("'|O'", false, "(1,)", &eight), "Npy", &["`|O`"]);
    check("big.npy", npy("'>f8'", false, "(1,)", &eight), "Npy", &["big-endian"]);
    check("fields.npy", npy("[('a', '<f4')]", false, "(1,)", &eight), "Npy", &["structured"]);
    check("text.npy", npy("'<U2'", false, "(1,)", &eight), "Npy", &["`<U2`"]);
    check("shape.npy", npy("'<f8'", false, "(-1,)", &eight), "Npy", &["shape"]);
    check("cut.npy", &npy("'<f8'", false, "(1,)", &eight)[..40], "Npy", &["cut short"]);
    check("zero.npy", npy("'<f8'", false, "(0, 3)", &[]), "Empty", &["0 rows of 3 features"]);
    check("wide.npy", npy("'|u1'", false, "(1, 4194305)", &[0; 4194305]), "TooManyFeatures", &["4194305"]);
    check("nan.npy", npy_f32("(2, 2)", &[1.0, 2.0, 3.0, f32::NAN]), "MissingValue", &["row 1", "`feature_1`"]);
    check("inf.npy", npy_f32("(2, 1)", &[1.0, f32::INFINITY]), "NotFinite", &["row 1", "`feature_0`"]);
    let archive = zip(&[("x.npy", npy_f32("(2, 1)", &[1.0, 2.0]))]);
    check("cut.npz", &archive[..archive.len() - 10], "Npz", &["cannot be read as NPZ"]);
    let named = zip(&[("p.npy", npy_f32("(1, 1)", &[1.0])), ("q.npy", npy_f32("(1, 1)", &[1.0]))]);
    check("names.npz", named, "NoSuchColumn", &["no feature column `x`", "`p`, `q`"]);
}

#[test]
fn parquet_files() {
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), None]));
    let field = arrow_schema::Field::new("a", arrow_schema::DataType::Float64, true);
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(field), numbers.clone())]));
    let lists = [Some(vec![Some(1.0), Some(2.0)]), Some(vec![Some(1.0), Some(2.0)]), Some(vec![Some(3.0)])];
    let ragged: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists));
    let good = parquet(vec![("a", numbers.clone())]);
    check("nested.parquet", parquet(vec![("s", nested)]), "UnsupportedColumn", &["`s`", "nested", "Struct"]);
    check("ragged.parquet", parquet(vec![("l", ragged)]), "ListLength", &["row 2", "list of 2 numbers, got 1"]);
    check("gap.parquet", &good, "MissingValue", &["row 2", "column `a`"]);
    check("cut.parquet", &good[..good.len() / 2], "Parquet", &["cannot be read as Parquet"]);
    check("none.parquet", parquet(vec![("a", numbers.slice(0, 0))]), "Empty", &["0 rows"]);
}

#[test]
fn images() {
    let check = |name: &str, content: Vec<u8>, kind: &str, words: &[&str]| {
        let folder = Folder::new();
        folder.file("a.png", png(3, 2, 1));
        let path = folder.file(name, content);
        let error = open(folder.path(), &ReadOptions::default()).unwrap_err();
        assert!(format!("{error:?}").starts_with(kind), "{error:?}");
        assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "no `{word}` in: {error}"));
    };
    let mut none = png(3, 2, 1);
    none[16..20].fill(0);
    check("b.png", none, "ZeroSizeImage", &["no pixels"]);
    check("c.png", Vec::new(), "ZeroSizeImage", &["no pixels"]);
    check("d.png", png(3, 4, 1), "ImageSize", &["3x2 pixels", "got 3x4"]);
    let whole = png(3, 2, 1);
    check("e.png", whole[..whole.len() - 20].to_vec(), "Image", &["not a readable image"]);
    check("f.jpg", b"text".to_vec(), "Image", &["neither PNG nor JPEG"]);
    let mut wide = png(3, 2, 1);
    wide[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
    check("g.png", wide, "Image", &[]);
    let mut large = png(3, 2, 1);
    large[16..24].copy_from_slice(&[0, 1, 134, 160, 0, 1, 134, 160]);
    let checksum = crc32(&large[12..29]).to_be_bytes();
    large[29..33].copy_from_slice(&checksum);
    check("h.png", large, "Image", &["limit"]);
}

#[test]
fn images_beside_class_folders() {
    let folder = Folder::new();
    folder.file("cat/a.png", png(1, 1, 1));
    folder.file("b.png", png(1, 1, 1));
    let error = open(folder.path(), &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, Error::LabelCount { labels: 1, rows: 2 }), "{error:?}");
}

#[test]
fn classes_that_cannot_be_learned() {
    let folder = Folder::new();
    let options = ReadOptions { label_column: Some("y".to_owned()), ..ReadOptions::default() };
    let one = open(&folder.file("one.csv", "x,y\n1,a\n2,a\n3,a\n"), &options).unwrap();
    let error = one.labels.unwrap().check_for_probe(&[0, 1, 2]).unwrap_err();
    assert!(matches!(&error, Error::OneClass { class, rows: 3 } if class == "a"), "{error:?}");
    let rows: String = (0..10).map(|i| format!("{i},name{i}\n")).collect();
    let many = open(&folder.file("many.csv", format!("x,y\n{rows}")), &options).unwrap();
    let error = split(&many, &SplitFractions::default(), 0).unwrap_err();
    assert!(matches!(error, Error::FewerRowsThanClasses { rows: 7, classes: 10 }), "{error:?}");
}

/// The checksum of a PNG's chunk.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
