//! What can go wrong.

use std::{io, path::PathBuf};

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        r#source: io::Error,
    },
    /// Not a regular file, or too large to be one of ours.
    #[error("{file} is not a regular file of at most {limit} bytes")]
    NotADataFile {
        /// The file's name.
        file: &'static str,
        /// Largest size allowed, in bytes.
        limit: u64,
    },
    /// The file is cut short or not gzip at all.
    #[error("{file} does not unpack: {source}")]
    Gzip {
        /// The file's name.
        file: &'static str,
        /// Where the decoder stopped.
        r#source: io::Error,
    },
    /// The magic number or a dimension in the header is not ours.
    #[error("{file}: header has {got:#x} instead of {expected:#x}")]
    WrongHeader {
        /// The file's name.
        file: &'static str,
        /// The word expected.
        expected: u32,
        /// The word found.
        got: u32,
    },
    /// The file holds less or more than its header announces.
    #[error("{file}: the header announces {expected} bytes and nothing after them, {got} were read")]
    WrongLength {
        /// The file's name.
        file: &'static str,
        /// Bytes announced.
        expected: u64,
        /// Bytes read, at most one more than announced.
        got: u64,
    },
    /// More rows than anybody needs.
    #[error("{got} rows, the limit is {limit}")]
    TooManyRows {
        /// Most rows allowed.
        limit: u32,
        /// Rows announced.
        got: u64,
    },
    /// There are not as many images as labels.
    #[error("{images} images but {labels} labels")]
    CountMismatch {
        /// Whole images found.
        images: usize,
        /// Labels found.
        labels: usize,
    },
    /// Not the encoding of rows, or not as long as it says.
    #[error("{got} bytes are no rows{}", expected.map_or(String::new(), |bytes| format!(": {bytes} were announced")))]
    NotRows {
        /// Bytes announced, if the header could be read.
        expected: Option<usize>,
        /// Bytes given.
        got: usize,
    },
    /// A label stands for no class.
    #[error("row {row} has the unknown label {label}")]
    UnknownClass {
        /// The row.
        row: usize,
        /// Its label.
        label: u8,
    },
}

/// Why bytes are no artifact. Whoever submitted them gets score 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// Larger than any artifact may be.
    #[error("{got} bytes, the limit is {limit}")]
    TooLarge {
        /// Largest size allowed, in bytes.
        limit: usize,
        /// Size found, in bytes.
        got: usize,
    },
    /// The header's length is beyond its limit or the file's end.
    #[error("the header claims {got} bytes, at most {limit} are possible")]
    HeaderLength {
        /// Largest length possible here, in bytes.
        limit: u64,
        /// Length claimed, in bytes.
        got: u64,
    },
    /// The header is not the JSON that it must be: syntax, a name given twice, an unknown field, too many tensors.
    #[error("header: {reason}")]
    Header {
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest in the header's metadata describes no model that we know.
    #[error("manifest: {reason}")]
    Manifest {
        /// What is wrong with it.
        reason: String,
    },
    /// The family has a tensor that the file lacks.
    #[error("no tensor {name}")]
    MissingTensor {
        /// The tensor's name.
        name: String,
    },
    /// The file has a tensor that the family lacks.
    #[error("unexpected tensor {name}")]
    UnexpectedTensor {
        /// The tensor's name.
        name: String,
    },
    /// A tensor's type is not F32.
    #[error("tensor {name} has the type {got}, not F32")]
    WrongType {
        /// The tensor's name.
        name: String,
        /// The type found.
        got: String,
    },
    /// A tensor's shape is not the family's.
    #[error("tensor {name} has the shape {got:?}, not {expected:?}")]
    WrongShape {
        /// The tensor's name.
        name: String,
        /// The shape that the manifest implies.
        expected: Vec<usize>,
        /// The shape found.
        got: Vec<u64>,
    },
    /// The tensors do not cover the rest of the file exactly once.
    #[error("tensor {name} is at {got:?}, but the bytes up to {expected} are covered")]
    Layout {
        /// The first tensor in the wrong place, or `end of file`.
        name: String,
        /// Where it must begin (or the file end).
        expected: u64,
        /// Where it begins and ends.
        got: [u64; 2],
    },
    /// A weight is infinite or not a number.
    #[error("tensor {name} holds a value that is not finite at {index}")]
    NotFinite {
        /// The tensor's name.
        name: String,
        /// The position of the value in the tensor.
        index: usize,
    },
}

/// Why a model cannot be built, trained or evaluated as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dimension is outside of its bounds.
    #[error("{what} is {got}, allowed is {min} to {max}")]
    OutOfBounds {
        /// What was set.
        what: &'static str,
        /// Smallest value allowed.
        min: usize,
        /// Largest value allowed.
        max: usize,
        /// The value found.
        got: usize,
    },
    /// A real number of the configuration makes no sense.
    #[error("{what} must be finite and at least 0, below {below}; it is {got}")]
    NotAllowed {
        /// What was set.
        what: &'static str,
        /// The bound.
        below: String,
        /// The value found.
        got: String,
    },
    /// Training led to infinite weights: the learning rate is too high.
    #[error("training diverged in pass {pass}")]
    Diverged {
        /// The pass over the training rows, from 0.
        pass: usize,
    },
    /// The evaluation was asked for a row that does not exist.
    #[error("row {row} of {rows}")]
    NoSuchRow {
        /// The row.
        row: u32,
        /// How many rows there are.
        rows: usize,
    },
    /// The model answers with infinities or no numbers at all: it is invalid.
    #[error("the output for row {row} is not finite")]
    NotFinite {
        /// The first such row.
        row: u32,
    },
}
