//! New data for a trained model: matched by name, then by order.

use crate::files::*;
use attar_data::{Categorical, Dataset, Error, Labels, ReadOptions, Schema, open_like};

struct Case {
    folder: Folder,
    schema: Schema,
}

impl Case {
    fn new() -> Self {
        let folder = Folder::new();
        let path = folder.file("train.csv", "a,kind,y,b\n1,red,u,4\n2,blue,v,5\n3,red,u,6\n");
        let options = ReadOptions {
            label_column: Some("y".to_owned()),
            categorical: Some(Categorical::OneHot),
            ..ReadOptions::default()
        };
        let schema = open(&path, &options).unwrap().schema;
        // What a model stores, it also gets back.
        let schema = serde_json::from_str(&serde_json::to_string(&schema).unwrap()).unwrap();
        Case { folder, schema }
    }

    fn open(&self, text: &str) -> Result<Dataset, Error> {
        let path = self.folder.file("new.csv", text);
        open_like(path.to_str().unwrap(), &ReadOptions::default(), &self.schema)
    }

    fn check(&self, text: &str, expected: &[f32]) -> Option<Labels> {
        let set = self.open(text).unwrap();
        assert_eq!(set.schema, self.schema);
        assert_eq!(numbers(&set), expected, "{text}");
        set.labels
    }
}

#[test]
fn columns_are_matched_by_name_then_by_order() {
    let case = Case::new();
    let expected = [7.0, 1.0, 0.0, 8.0];
    assert_eq!(case.check("a,kind,b\n7,blue,8\n", &expected), None);
    assert_eq!(case.check("b,more,kind,a\n8,text,blue,7\n", &expected), None);
    assert_eq!(case.check("7,blue,8\n", &expected), None);
    let labels = case.check("7,blue,v,8\n7,blue,new,8\n", &[expected, expected].concat()).unwrap();
    let names = ["u", "v", "new"].map(str::to_owned).to_vec();
    assert_eq!(labels, Labels::Classes { names, of: vec![1, 2] });
}

#[test]
fn other_columns_are_refused() {
    let case = Case::new();
    let check = |text: &str, expected: &str| {
        let message = case.open(text).unwrap_err().to_string();
        assert!(message.ends_with(expected), "{message}");
    };
    check("a,kinds,c\n7,blue,8\n", "columns of the training data are missing: `kind`, `b`");
    check("7,8\n", "expected 3 feature columns, got 2");
    check(
        "a,kind,b\n7,green,8\n",
        "row 2, column `kind`: `green` was not in the training data, which had `blue`, `red`",
    );
    check("a,kind,b\n7,blue,x\n", "row 2, column `b`: expected a number, got `x`");
}

#[test]
fn images_are_matched_by_size() {
    let digits = attar_data::open("digits", &ReadOptions::default()).unwrap();
    let folder = Folder::new();
    folder.file("0.png", png(28, 28, 255));
    let path = folder.path().to_str().unwrap();
    assert_eq!(open_like(path, &ReadOptions::default(), &digits.schema).unwrap().samples(), 1);
    folder.file("0.png", png(14, 14, 255));
    let error = open_like(path, &ReadOptions::default(), &digits.schema).unwrap_err().to_string();
    assert!(
        error.ends_with("expected images of 28x28 pixels with 1 channels, got images of 14x14 pixels with 1 channels")
    );
}

#[test]
fn vectors_are_matched_by_width() {
    let folder = Folder::new();
    let options = ReadOptions::default();
    let train = open(&folder.file("x.npy", npy_f32("(2, 2)", &[1.0, 2.0, 3.0, 4.0])), &options).unwrap();
    let new = folder.file("new.csv", "p,q\n5,6\n");
    assert_eq!(numbers(&open_like(new.to_str().unwrap(), &options, &train.schema).unwrap()), [5.0, 6.0]);
    let wide = folder.file("wide.csv", "p,q,r\n5,6,7\n");
    let error = open_like(wide.to_str().unwrap(), &options, &train.schema).unwrap_err();
    assert!(matches!(error, Error::ColumnCount { expected: 2, got: 3, .. }), "{error:?}");
}

/// A model trained without labels can be probed with data that has some.
#[test]
fn labels_may_be_new() {
    let folder = Folder::new();
    let schema = open(&folder.file("train.csv", "a,b\n1,2\n"), &ReadOptions::default()).unwrap().schema;
    let new = folder.file("new.csv", "b,y,a\n2,u,1\n4,t,3\n");
    let options = ReadOptions { label_column: Some("y".to_owned()), ..ReadOptions::default() };
    let set = open_like(new.to_str().unwrap(), &options, &schema).unwrap();
    assert_eq!(numbers(&set), [1.0, 2.0, 3.0, 4.0]);
    let names = ["t", "u"].map(str::to_owned).to_vec();
    assert_eq!(set.labels, Some(Labels::Classes { names, of: vec![1, 0] }));
}
