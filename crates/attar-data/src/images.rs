//! PNG and JPEG images of one size, from a folder or from a Parquet column, kept as bytes.

use crate::array::Shape;
use crate::columnar::{builder, parquet_error, reader};
use crate::labels::Classes;
use crate::{Dataset, Error, Labels, Layout, ReadOptions};
use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray};
use arrow_schema::{DataType, Field};
use image::ImageReader;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Images decoded so far: all of one size; grey until the first colour image, then red, green, blue.
struct Pixels {
    /// Height, width and channels.
    size: Option<(usize, usize, usize)>,
    data: Vec<u8>,
    samples: usize,
}

impl Pixels {
    fn new() -> Self {
        Pixels { size: None, data: Vec::new(), samples: 0 }
    }

    /// Decodes and adds one image; `place` names it in messages.
    fn push(&mut self, place: &Path, encoded: &[u8]) -> Result<(), Error> {
        let (height, width, channels, pixels) = decode(place, encoded)?;
        let expected = *self.size.get_or_insert((height, width, channels));
        if (expected.0, expected.1) != (height, width) {
            return Err(Error::ImageSize {
                path: place.to_owned(),
                expected: (expected.0, expected.1),
                got: (height, width),
            });
        }
        match (expected.2, channels) {
            (1, 3) => {
                self.data = to_colour(&self.data);
                self.size = Some((height, width, 3));
                self.data.extend(pixels);
            }
            (3, 1) => self.data.extend(to_colour(&pixels)),
            _ => self.data.extend(pixels),
        }
        self.samples += 1;
        Ok(())
    }

    fn finish(self, path: &Path, name: String) -> Result<Dataset, Error> {
        let Some((height, width, channels)) = self.size else {
            return Err(Error::Empty { path: path.to_owned(), samples: 0, features: 0 });
        };
        let layout = Layout::Image { height, width, channels };
        let shape = Shape { samples: self.samples, features: height * width * channels, layout };
        let values = shape.values_of_bytes(self.data);
        Ok(shape.dataset(name, values))
    }
}

fn to_colour(grey: &[u8]) -> Vec<u8> {
    grey.iter().flat_map(|&value| [value; 3]).collect()
}

/// Height, width, channels (1 or 3) and pixels of a PNG or JPEG; transparency is dropped, 16 bits become 8.
fn decode(place: &Path, encoded: &[u8]) -> Result<(usize, usize, usize, Vec<u8>), Error> {
    let fault = |reason: String| Error::Image { path: place.to_owned(), reason };
    if encoded.is_empty() {
        return Err(Error::ZeroSizeImage { path: place.to_owned() });
    }
    let reader = ImageReader::new(Cursor::new(encoded)).with_guessed_format().map_err(|e| fault(e.to_string()))?;
    if reader.format().is_none() {
        return Err(fault("it is neither PNG nor JPEG".to_owned()));
    }
    if png_size(encoded).is_some_and(|(width, height)| width == 0 || height == 0) {
        return Err(Error::ZeroSizeImage { path: place.to_owned() });
    }
    let image = reader.decode().map_err(|error| fault(error.to_string()))?;
    let (height, width) = (image.height() as usize, image.width() as usize);
    Ok(match image.color().has_color() {
        true => (height, width, 3, image.into_rgb8().into_raw()),
        false => (height, width, 1, image.into_luma8().into_raw()),
    })
}

/// Width and height in a PNG's header, which the decoder refuses to tell when one is zero.
fn png_size(encoded: &[u8]) -> Option<(u32, u32)> {
    let header = encoded.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(8..16)?;
    let (width, height) = header.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(height.try_into().ok()?)))
}

/// Whether a file that begins with these bytes is a PNG or JPEG.
pub(crate) fn recognise(start: &[u8]) -> bool {
    start.starts_with(b"\x89PNG\r\n\x1a\n") || start.starts_with(b"\xff\xd8\xff")
}

/// Reads a folder of images, sorted by path; if they lie in sub-folders, these are the classes. A folder of nothing but
/// `train` and `test`, each with classes, has its test images set aside. Ids are the paths within the folder.
pub(crate) fn read_folder(path: &Path, name: String) -> Result<Dataset, Error> {
    let (files, test_rows) = match train_and_test(path)? {
        Some([train, test]) => {
            let test_rows = train.len()..train.len() + test.len();
            ([train, test].concat(), Some(test_rows))
        }
        None => (image_files(path)?, None),
    };
    if files.is_empty() {
        return Err(Error::NoImages { path: path.to_owned() });
    }
    let mut pixels = Pixels::new();
    let mut classes = Classes::default();
    let mut ids = Vec::new();
    for (class, file) in &files {
        let bytes = fs::read(file).map_err(|source| Error::Io { path: file.clone(), source })?;
        pixels.push(file, &bytes)?;
        class.iter().for_each(|class| classes.push(class));
        ids.push(file.strip_prefix(path).unwrap_or(file).to_string_lossy().into_owned());
    }
    let labels = classes.finish_sorted();
    let mut dataset = pixels.finish(path, name)?;
    dataset.ids = Some(ids);
    dataset.test_rows = test_rows;
    if labels.is_empty() {
        return Ok(dataset);
    }
    if labels.len() != files.len() {
        return Err(Error::LabelCount { labels: labels.len(), rows: files.len() });
    }
    dataset.schema.class_names = labels.names().map(<[String]>::to_vec);
    dataset.labels = Some(labels);
    Ok(dataset)
}

/// The class of an image, if it lies in a class's folder, and the image.
type ClassedFile = (Option<String>, PathBuf);

/// The images of `train` and those of `test`, if a folder is made that way.
fn train_and_test(path: &Path) -> Result<Option<[Vec<ClassedFile>; 2]>, Error> {
    let parts = sorted_entries(path)?;
    let [test, train] = &parts[..] else { return Ok(None) };
    if !(test.ends_with("test") && train.ends_with("train") && test.is_dir() && train.is_dir()) {
        return Ok(None);
    }
    let parts = [image_files(train)?, image_files(test)?];
    let classed = |files: &Vec<ClassedFile>| !files.is_empty() && files.iter().all(|(class, _)| class.is_some());
    Ok(parts.iter().all(classed).then_some(parts))
}

/// Files with an image's ending, in the folder and in its sub-folders, with the name of the sub-folder.
fn image_files(path: &Path) -> Result<Vec<ClassedFile>, Error> {
    let mut files = Vec::new();
    for entry in sorted_entries(path)? {
        if entry.is_dir() {
            let class = entry.file_name().map(|name| name.to_string_lossy().into_owned());
            let inner = sorted_entries(&entry)?.into_iter().filter(|file| has_image_ending(file));
            files.extend(inner.map(|file| (class.clone(), file)));
        } else if has_image_ending(&entry) {
            files.push((None, entry));
        }
    }
    Ok(files)
}

/// What a folder holds, sorted, without hidden entries.
pub(crate) fn sorted_entries(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let error = |source| Error::Io { path: path.to_owned(), source };
    let entries = fs::read_dir(path).map_err(error)?;
    let mut paths = entries.map(|entry| Ok(entry.map_err(error)?.path())).collect::<Result<Vec<_>, Error>>()?;
    paths.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}

fn has_image_ending(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    path.is_file() && matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// The column of a Parquet file that holds images as the Hugging Face hub lays them out: `struct {bytes, path}`.
pub(crate) fn image_column(path: &Path) -> Result<Option<usize>, Error> {
    let is_bytes = |field: &Field| {
        field.name() == "bytes" && matches!(field.data_type(), DataType::Binary | DataType::LargeBinary)
    };
    let schema = builder(path)?.schema().clone();
    Ok(schema.fields().iter().position(|field| match field.data_type() {
        DataType::Struct(fields) => fields.iter().any(|field| is_bytes(field)),
        _ => false,
    }))
}

/// Reads the images of a Parquet file; labels come from the label column, or else from one called `label`.
pub(crate) fn read_parquet(path: &Path, name: String, column: usize, options: &ReadOptions) -> Result<Dataset, Error> {
    let schema = builder(path)?.schema().clone();
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let label = find(path, &names, options.label_column.as_deref(), "label")?;
    let label = label.or_else(|| schema.fields().iter().position(|field| is_label(field)));
    let id = find(path, &names, options.id_column.as_deref(), "id")?;

    let wanted = [Some(column), label, id];
    let mut pixels = Pixels::new();
    let (mut labels, mut ids) = (Vec::new(), Vec::new());
    for batch in reader(path, wanted.into_iter().flatten())? {
        let batch = batch.map_err(|error| parquet_error(path, &error))?;
        push_images(path, &mut pixels, &batch, &names[column])?;
        label.map_or(Ok(()), |label| push_text(path, &mut labels, &batch, &names[label]))?;
        id.map_or(Ok(()), |id| push_text(path, &mut ids, &batch, &names[id]))?;
    }
    let mut dataset = pixels.finish(path, name)?;
    dataset.schema.label_column = label.map(|label| names[label].clone());
    dataset.schema.id_column = id.map(|id| names[id].clone());
    dataset.ids = id.map(|_| ids);
    if label.is_some() {
        let labels = labels_of_text(&labels);
        dataset.schema.class_names = labels.names().map(<[String]>::to_vec);
        dataset.labels = Some(labels);
    }
    Ok(dataset)
}

/// A column that is taken for the labels unasked.
fn is_label(field: &Field) -> bool {
    field.name() == "label" && (field.data_type().is_integer() || *field.data_type() == DataType::Utf8)
}

fn find(path: &Path, names: &[String], name: Option<&str>, role: &'static str) -> Result<Option<usize>, Error> {
    let Some(name) = name else { return Ok(None) };
    let available = || crate::table::listed(names);
    let found = names.iter().position(|column| column == name);
    let error = || Error::NoSuchColumn { path: path.to_owned(), role, name: name.to_owned(), available: available() };
    found.map(Some).ok_or_else(error)
}

fn push_images(path: &Path, pixels: &mut Pixels, batch: &RecordBatch, column: &str) -> Result<(), Error> {
    let images = batch.column_by_name(column).and_then(|images| images.as_struct_opt());
    let bytes = images.and_then(|images| images.column_by_name("bytes"));
    for row in 0..batch.num_rows() {
        let place = path.join(format!("row {}", pixels.samples));
        let encoded = bytes.and_then(|bytes| binary(bytes, row));
        let encoded = encoded.ok_or_else(|| Error::MissingValue {
            path: path.to_owned(),
            row: pixels.samples as u64,
            column: format!("{column}.bytes"),
        })?;
        pixels.push(&place, encoded)?;
    }
    Ok(())
}

fn binary(array: &ArrayRef, row: usize) -> Option<&[u8]> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Binary => Some(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Some(array.as_binary::<i64>().value(row)),
        _ => None,
    }
}

/// Appends a column of whole numbers or text, as text.
fn push_text(path: &Path, out: &mut Vec<String>, batch: &RecordBatch, column: &str) -> Result<(), Error> {
    let array = batch.column_by_name(column);
    let texts = array.and_then(crate::columnar::texts).ok_or_else(|| Error::UnsupportedColumn {
        path: path.to_owned(),
        column: column.to_owned(),
        kind: array.map_or_else(String::new, |array| array.data_type().to_string()),
    })?;
    for text in texts {
        let row = out.len() as u64;
        let missing = || Error::MissingValue { path: path.to_owned(), row, column: column.to_owned() };
        out.push(text.ok_or_else(missing)?);
    }
    Ok(())
}

fn labels_of_text(texts: &[String]) -> Labels {
    if let Ok(numbers) = texts.iter().map(|text| text.parse()).collect::<Result<Vec<f64>, _>>() {
        return crate::labels::labels_of_numbers(numbers);
    }
    let mut classes = Classes::default();
    texts.iter().for_each(|text| classes.push(text));
    classes.finish_sorted()
}
