//! NPZ: a ZIP archive of NPY arrays.

use crate::array::{Shape, attach_labels};
use crate::npy::{Header, Number, vector};
use crate::{Dataset, Error, ReadOptions, Values};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Names that the features may have when there is more than one array of two or more dimensions.
const FEATURES: [&str; 7] = ["x", "X", "data", "features", "images", "embeddings", "arr_0"];
/// Names that the labels have unless a label column is named.
const LABELS: [&str; 5] = ["y", "Y", "label", "labels", "targets"];

/// Reads an archive: either `x_train`, `x_test` (and `y_train`, `y_test`), whose test rows are set aside, or one array
/// of features, and labels if there is an array of them.
pub(crate) fn read(path: &Path, name: String, options: &ReadOptions) -> Result<Dataset, Error> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let archive = ZipArchive::new(file).map_err(|error| fault(path, &error))?;
    let mut archive = Archive { path: path.to_owned(), archive };
    let names = archive.names();
    let has = |name: &str| names.iter().any(|known| known == name);
    if has("x_train") && has("x_test") {
        return read_parts(&mut archive, name, has("y_train") && has("y_test"));
    }
    let features = features_name(path, &names)?;
    let (shape, values) = archive.values(&features)?;
    let dataset = shape.dataset(name, values);
    match labels_name(path, &names, options.label_column.as_deref())? {
        Some(labels) => {
            let numbers = archive.vector(&labels)?;
            attach_labels(dataset, path, numbers)
        }
        None => Ok(dataset),
    }
}

fn read_parts(archive: &mut Archive, name: String, labelled: bool) -> Result<Dataset, Error> {
    let (train, mut values) = archive.values("x_train")?;
    let (test, more) = archive.values("x_test")?;
    match (&mut values, more) {
        (Values::Bytes(all), Values::Bytes(more)) if all.features == more.features => all.data.extend(more.data),
        (Values::Memory(all), Values::Memory(more)) if all.features == more.features => all.data.extend(more.data),
        _ => return Err(fault(&archive.path, &"x_train and x_test differ in shape or type")),
    }
    let mut dataset = train.dataset(name, values);
    dataset.test_rows = Some(train.samples..train.samples + test.samples);
    if !labelled {
        return Ok(dataset);
    }
    let mut labels = archive.vector("y_train")?;
    labels.extend(archive.vector("y_test")?);
    attach_labels(dataset, &archive.path, labels)
}

fn features_name(path: &Path, names: &[String]) -> Result<String, Error> {
    if let [only] = names {
        return Ok(only.clone());
    }
    let known = FEATURES.iter().find(|known| names.iter().any(|name| name == *known));
    known.map(ToString::to_string).ok_or_else(|| Error::NoSuchColumn {
        path: path.to_owned(),
        role: "feature",
        name: "x".to_owned(),
        available: crate::table::listed(names),
    })
}

fn labels_name(path: &Path, names: &[String], asked: Option<&str>) -> Result<Option<String>, Error> {
    let Some(asked) = asked else {
        return Ok(LABELS.iter().find(|known| names.iter().any(|name| name == *known)).map(ToString::to_string));
    };
    if names.iter().any(|name| name == asked) {
        return Ok(Some(asked.to_owned()));
    }
    let available = crate::table::listed(names);
    Err(Error::NoSuchColumn { path: path.to_owned(), role: "label", name: asked.to_owned(), available })
}

struct Archive {
    path: PathBuf,
    archive: ZipArchive<File>,
}

impl Archive {
    /// Names of the arrays, without the ending `.npy`.
    fn names(&self) -> Vec<String> {
        let names = self.archive.file_names().filter_map(Result::ok);
        names.filter_map(|name| name.strip_suffix(".npy").map(str::to_owned)).collect()
    }

    /// Unpacks an array; memory grows with what is there, not with what the archive says.
    fn unpack(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        let mut entry = self.archive.by_name(&format!("{name}.npy")).map_err(|error| fault(&self.path, &error))?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| fault(&self.path, &error))?;
        Ok(bytes)
    }

    fn values(&mut self, name: &str) -> Result<(Shape, Values), Error> {
        let mut bytes = self.unpack(name)?;
        let place = self.path.join(format!("{name}.npy"));
        let header = Header::parse(&place, &bytes)?;
        let shape = Shape::of(&place, &header.shape, header.number == Number::U8)?;
        if header.number == Number::U8 {
            bytes.drain(..header.offset);
            bytes.truncate(shape.samples * shape.features);
            return Ok((shape, shape.values_of_bytes(bytes)));
        }
        let mut data = vec![0.0; shape.samples * shape.features];
        header.number.decode(&bytes[header.offset..], &mut data, |number| number as f32);
        Ok((shape, Values::Memory(crate::Matrix { features: shape.features, data })))
    }

    fn vector(&mut self, name: &str) -> Result<Vec<f64>, Error> {
        let bytes = self.unpack(name)?;
        vector(&self.path.join(format!("{name}.npy")), &bytes)
    }
}

fn fault(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Npz { path: path.to_owned(), reason: error.to_string() }
}
