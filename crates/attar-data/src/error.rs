//! Everything that can be wrong with data, each with its place.

use crate::Layout;
use std::path::PathBuf;

/// What went wrong. Rows of text files are lines of the file, counted from 1; other rows are counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A gzip stream ends early or is damaged.
    #[error("{}: the gzip stream is truncated or damaged ({source})", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: std::io::Error,
    },
    /// An IDX file's size is not what its header says.
    #[error("{}: the IDX header promises {promised} bytes of data, the file holds {held}", path.display())]
    IdxSize {
        /// The file.
        path: PathBuf,
        /// Bytes that follow the header according to it.
        promised: u128,
        /// Bytes that follow the header, counted up to one more than promised.
        held: u64,
    },
    /// An IDX header that makes no sense.
    #[error("{}: not a usable IDX header: {reason}", path.display())]
    IdxHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There are no rows or no features.
    #[error("{}: no data: {samples} rows of {features} features", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// Rows found.
        samples: usize,
        /// Features found.
        features: usize,
    },
    /// More features than anything here is made for.
    #[error("{}: {features} features are more than the {limit} that are supported", path.display())]
    TooManyFeatures {
        /// The file.
        path: PathBuf,
        /// Features found, or promised by a header.
        features: usize,
        /// The most that are read.
        limit: usize,
    },
    /// There are not as many labels as rows.
    #[error("{labels} labels for {rows} rows")]
    LabelCount {
        /// Labels found.
        labels: usize,
        /// Rows found.
        rows: usize,
    },
    /// A synthetic set that cannot be drawn.
    #[error("cannot draw a synthetic set: {reason}")]
    Synthetic {
        /// What is wrong.
        reason: String,
    },
    /// Shares of a split that do not add up.
    #[error("the shares of training, validation and test rows must add up to 1, got {train}, {validation}, {test}")]
    Fractions {
        /// Share of the training rows.
        train: f64,
        /// Share of the validation rows.
        validation: f64,
        /// Share of the test rows.
        test: f64,
    },
    /// A part of a split would have no rows.
    #[error("no row is left for the {part} part: the data has only {samples} rows")]
    EmptyPart {
        /// `training`, `validation` or `test`.
        part: &'static str,
        /// Rows of the data set.
        samples: usize,
    },
    /// Classes outnumber the rows.
    #[error("fewer training rows than classes: {rows} rows for {classes} classes")]
    FewerRowsThanClasses {
        /// Training rows.
        rows: usize,
        /// Classes.
        classes: usize,
    },
    /// Only one class, which no probe can learn from.
    #[error("all {rows} rows are of one class, `{class}`; a probe needs at least two")]
    OneClass {
        /// The class.
        class: String,
        /// Rows looked at.
        rows: usize,
    },
    /// A label budget that is neither `all` nor a positive number.
    #[error("a label budget is `all` or a number of at least 1, got `{text}`")]
    Budget {
        /// What came.
        text: String,
    },
    /// A label budget above the number of labelled rows.
    #[error("a label budget of {budget} is more than the {rows} labelled rows")]
    BudgetTooLarge {
        /// Labels asked for.
        budget: usize,
        /// Labelled rows.
        rows: usize,
    },
    /// None of the known formats.
    #[error("{}: not a known format: expected CSV, Parquet, NPY, NPZ, IDX, or a folder of PNG or JPEG images", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A single image is no data set.
    #[error("{}: a single image; name the folder that holds the images", path.display())]
    SingleImage {
        /// The file.
        path: PathBuf,
    },
    /// A row of a text file has another number of fields than the first.
    #[error("{}: line {line}: expected {expected} fields, got {got}", path.display())]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1.
        line: u64,
        /// Fields of the first record.
        expected: u64,
        /// Fields of this one.
        got: u64,
    },
    /// A text file is not UTF-8.
    #[error("{}: line {line}: the text is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1.
        line: u64,
    },
    /// Two columns have one name.
    #[error("{}: two columns are called `{column}`", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// A value is missing where none may be.
    #[error(
        "{}: row {row}, column `{column}`: the value is missing; `--impute mean` fills in the column's mean, \
         `--impute drop` leaves such rows out (a missing label can only be dropped)", path.display()
    )]
    MissingValue {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The column.
        column: String,
    },
    /// A value is infinite, or too large for an f32.
    #[error("{}: row {row}, column `{column}`: the value is not finite as a 32-bit float", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The column.
        column: String,
    },
    /// Text where training had numbers.
    #[error("{}: row {row}, column `{column}`: expected a number, got `{text}`", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The column.
        column: String,
        /// What is there.
        text: String,
    },
    /// Columns hold text and nobody said what to do with it.
    #[error(
        "{}: columns with text: {columns}; `--categorical one-hot` encodes them, `--categorical drop` leaves them out, \
         `--label-column` and `--id-column` say which are no features", path.display()
    )]
    TextColumns {
        /// The file.
        path: PathBuf,
        /// Their names.
        columns: String,
    },
    /// A text column has too many distinct texts to be one-hot encoded.
    #[error("{}: column `{column}` has more than {limit} distinct texts; leave it out with `--categorical drop`", path.display())]
    TooManyLevels {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The most that are encoded.
        limit: usize,
    },
    /// A text that training never saw.
    #[error("{}: row {row}, column `{column}`: `{text}` was not in the training data, which had {known}", path.display())]
    UnknownLevel {
        /// The file.
        path: PathBuf,
        /// The row.
        row: u64,
        /// The column.
        column: String,
        /// What is there.
        text: String,
        /// What training had.
        known: String,
    },
    /// A column or array that the user named, or that is needed, is not there.
    #[error("{}: no {role} column `{name}`; there are {available}", path.display())]
    NoSuchColumn {
        /// The file.
        path: PathBuf,
        /// `label`, `id` or `feature`.
        role: &'static str,
        /// The name.
        name: String,
        /// What there is.
        available: String,
    },
    /// The label column of an NPY file is a second file, which is not there.
    #[error("{}: no file of labels {}; for an NPY file the label column is a second, one-dimensional NPY file", path.display(), labels.display())]
    NoLabelFile {
        /// The file.
        path: PathBuf,
        /// Where the labels were looked for.
        labels: PathBuf,
    },
    /// New data lacks columns that the model was trained on.
    #[error("{}: columns of the training data are missing: {columns}", path.display())]
    MissingColumns {
        /// The file.
        path: PathBuf,
        /// Their names.
        columns: String,
    },
    /// New data has another number of features than the model was trained on.
    #[error("{}: expected {expected} feature columns, got {got}", path.display())]
    ColumnCount {
        /// The file.
        path: PathBuf,
        /// Features or columns of the training data.
        expected: usize,
        /// Those of the new data.
        got: usize,
    },
    /// New data is of another kind than the model was trained on.
    #[error("{}: expected {expected}, got {got}", path.display())]
    OtherLayout {
        /// The file.
        path: PathBuf,
        /// Of the training data.
        expected: Layout,
        /// Of the new data.
        got: Layout,
    },
    /// A Parquet column that is neither numbers, text, lists of numbers, nor images.
    #[error(
        "{}: column `{column}` is of the nested or unsupported type {kind}; expected numbers, text, or lists of numbers; \
         `--categorical drop` leaves it out", path.display()
    )]
    UnsupportedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        kind: String,
    },
    /// Lists of different lengths in one column.
    #[error("{}: row {row}, column `{column}`: expected a list of {expected} numbers, got {got}", path.display())]
    ListLength {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row.
        row: u64,
        /// Length of the first list.
        expected: usize,
        /// Length of this one.
        got: usize,
    },
    /// A damaged Parquet file.
    #[error("{}: cannot be read as Parquet: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// An NPY file of an unsupported kind, or a damaged header.
    #[error("{}: cannot be read as NPY: {reason}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An NPY file's columns lie one after the other.
    #[error("{}: the array is in Fortran order; save it again with `np.save(path, np.ascontiguousarray(x))`", path.display())]
    FortranOrder {
        /// The file.
        path: PathBuf,
    },
    /// An NPY header promises more than the file holds.
    #[error("{}: the NPY header promises {promised} bytes of data, the file holds {held}", path.display())]
    NpySize {
        /// The file.
        path: PathBuf,
        /// Bytes according to the header.
        promised: u128,
        /// Bytes after the header.
        held: u64,
    },
    /// A damaged NPZ archive.
    #[error("{}: cannot be read as NPZ: {reason}", path.display())]
    Npz {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// A folder without images.
    #[error("{}: no PNG or JPEG images in this folder or its sub-folders", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// A damaged image.
    #[error("{}: not a readable image: {reason}", path.display())]
    Image {
        /// The image, or the row of a Parquet file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// An image without pixels.
    #[error("{}: the image has no pixels", path.display())]
    ZeroSizeImage {
        /// The image, or the row of a Parquet file.
        path: PathBuf,
    },
    /// An image of another size than the first.
    #[error("{}: expected an image of {}x{} pixels like the first, got {}x{}", path.display(), expected.1, expected.0, got.1, got.0)]
    ImageSize {
        /// The image, or the row of a Parquet file.
        path: PathBuf,
        /// Height and width of the first.
        expected: (usize, usize),
        /// Height and width of this one.
        got: (usize, usize),
    },
    /// A file cannot be fetched.
    #[error("cannot fetch {url}: {reason}")]
    Download {
        /// Where from.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// What a file holds is not what it should.
    #[error("{}: the checksum is wrong: expected {expected}, got {got}; the file was set aside", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// SHA-256 of the unpacked content.
        expected: String,
        /// SHA-256 found.
        got: String,
    },
    /// MNIST is neither here nor can it be fetched.
    #[error(
        "MNIST is not here and could not be fetched ({reason}); put {files} into {} or into a folder given by `--data-dir`",
        folder.display()
    )]
    NoMnist {
        /// Why the last mirror failed.
        reason: String,
        /// Names of the four files.
        files: String,
        /// The cache folder.
        folder: PathBuf,
    },
    /// A table to be written contradicts itself.
    #[error("cannot write {}: {reason}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
