//! Labelled images, and the files that hold them.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use sha2::{Digest, Sha256};

use crate::error::DatasetError;

/// Lines, and columns, of an image.
pub const SIDE: usize = 28;
/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;
/// Kinds of things that an image can show; a label is less than this.
pub const CLASSES: usize = 10;

/// The names of the files of a data set, in the order in which they are hashed.
pub const FILE_NAMES: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

/// More rows than this are refused: it bounds what a hostile file can make us unpack (78 MB).
pub(crate) const MAX_ROWS: u32 = 100_000;
/// A compressed file larger than this is not read.
const MAX_FILE_BYTES: u64 = 64 << 20;

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;
const SIDE_WORD: u32 = 28;

/// The [`Dataset::digest`] of the embedded data set.
pub const EMBEDDED_DIGEST: &str = "b3264371ea38c4dd9fd8b1b67c15bcc28d392026854be14bf0cd3e999fddf822";

const EMBEDDED_FILES: [&[u8]; 4] = [
    include_bytes!("../data/train-images-idx3-ubyte.gz"),
    include_bytes!("../data/train-labels-idx1-ubyte.gz"),
    include_bytes!("../data/t10k-images-idx3-ubyte.gz"),
    include_bytes!("../data/t10k-labels-idx1-ubyte.gz"),
];

/// Images with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Rows {
    /// Images with their labels, checked.
    ///
    /// - *Shape*: `pixels`: `(rows, 28, 28)`, 0 is background; `labels`: `(rows)`.
    ///
    /// # Errors
    /// [`DatasetError::CountMismatch`], [`DatasetError::TooManyRows`], [`DatasetError::UnknownClass`].
    pub fn new(pixels: Vec<u8>, labels: Vec<u8>) -> Result<Self, DatasetError> {
        let images = pixels.len() / PIXELS;
        if images != labels.len() || !pixels.len().is_multiple_of(PIXELS) {
            return Err(DatasetError::CountMismatch { images, labels: labels.len() });
        }
        if images > MAX_ROWS as usize {
            return Err(DatasetError::TooManyRows { limit: MAX_ROWS, got: images as u64 });
        }
        if let Some(row) = labels.iter().position(|label| usize::from(*label) >= CLASSES) {
            return Err(DatasetError::UnknownClass { row, label: labels[row] });
        }
        Ok(Self { pixels, labels })
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of one image, line by line.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn image(&self, row: usize) -> &[u8] {
        &self.pixels[row * PIXELS..][..PIXELS]
    }

    /// What one image shows.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn label(&self, row: usize) -> u8 {
        self.labels[row]
    }

    /// The first `count` rows, or all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        Self { pixels: self.pixels[..count * PIXELS].to_vec(), labels: self.labels[..count].to_vec() }
    }

    /// SHA-256 of the two uncompressed files that hold these rows, images before labels, in lower-case hexadecimal digits.
    ///
    /// Over the training rows it names the data of a task whose evaluation rows are nobody's business yet.
    pub fn digest_hex(&self) -> String {
        let digest = Sha256::new().chain_update(self.images_file()).chain_update(self.labels_file());
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn images_file(&self) -> Vec<u8> {
        let header = [IMAGES_MAGIC, self.count(), SIDE_WORD, SIDE_WORD];
        [header.map(u32::to_be_bytes).as_flattened(), &self.pixels].concat()
    }

    fn labels_file(&self) -> Vec<u8> {
        [[LABELS_MAGIC, self.count()].map(u32::to_be_bytes).as_flattened(), &self.labels].concat()
    }

    fn count(&self) -> u32 {
        u32::try_from(self.len()).expect("at most MAX_ROWS rows")
    }
}

/// Rows to learn from, and rows to be scored on.
///
/// On disk it is a folder of four gzip files in the IDX format of MNIST, so that any data set of that form can be
/// used: see [`FILE_NAMES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Rows that nodes train on.
    pub training: Rows,
    /// Rows that a slice is drawn from in each epoch ([`crate::eval_slice`]).
    pub evaluation: Rows,
}

impl Dataset {
    /// The data set inside this program: 8 000 training rows and 4 000 evaluation rows of Fashion-MNIST.
    pub fn embedded() -> Self {
        let [a, b, c, d] = EMBEDDED_FILES;
        let dataset = Self::parse([a, b, c, d]).expect("the embedded files are part of this program");
        assert_eq!(dataset.digest_hex(), EMBEDDED_DIGEST, "the embedded files are those that were reviewed");
        dataset
    }

    /// Reads a data set from a folder. Nothing about the files is trusted.
    ///
    /// # Errors
    /// [`DatasetError`], which names the file.
    pub fn load(folder: &Path) -> Result<Self, DatasetError> {
        Ok(Self { training: Self::load_training(folder)?, evaluation: Self::load_evaluation(folder)? })
    }

    /// Reads only the training rows of a folder, the first two of [`FILE_NAMES`]; the others need not be there.
    ///
    /// # Errors
    /// [`DatasetError`], which names the file.
    pub fn load_training(folder: &Path) -> Result<Rows, DatasetError> {
        let [a, b, ..] = FILE_NAMES;
        Rows::new(images(a, &read(folder, a)?)?, labels(b, &read(folder, b)?)?)
    }

    /// Reads only the evaluation rows of a folder, the last two of [`FILE_NAMES`]; the others need not be there.
    ///
    /// # Errors
    /// [`DatasetError`], which names the file.
    pub fn load_evaluation(folder: &Path) -> Result<Rows, DatasetError> {
        let [.., c, d] = FILE_NAMES;
        Rows::new(images(c, &read(folder, c)?)?, labels(d, &read(folder, d)?)?)
    }

    /// Writes the data set into a folder, which is created if need be.
    ///
    /// # Errors
    /// [`DatasetError::Io`].
    pub fn save(&self, folder: &Path) -> Result<(), DatasetError> {
        fs::create_dir_all(folder).map_err(|source| DatasetError::Io { path: folder.to_owned(), source })?;
        for (name, content) in FILE_NAMES.into_iter().zip(self.files()) {
            let path = folder.join(name);
            let write = || {
                // No time and no name in the header: equal rows give equal files.
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(&content)?;
                fs::write(&path, encoder.finish()?)
            };
            write().map_err(|source| DatasetError::Io { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// SHA-256 of the four uncompressed files, one after the other: names the rows, not how they were compressed.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for content in self.files() {
            digest.update(content);
        }
        digest.finalize().into()
    }

    /// [`Dataset::digest`] in lower-case hexadecimal digits.
    pub fn digest_hex(&self) -> String {
        self.digest().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn files(&self) -> [Vec<u8>; 4] {
        let (training, evaluation) = (&self.training, &self.evaluation);
        [training.images_file(), training.labels_file(), evaluation.images_file(), evaluation.labels_file()]
    }

    fn parse(files: [&[u8]; 4]) -> Result<Self, DatasetError> {
        let [training_images, training_labels, evaluation_images, evaluation_labels] = files;
        let [a, b, c, d] = FILE_NAMES;
        let training = Rows::new(images(a, training_images)?, labels(b, training_labels)?)?;
        let evaluation = Rows::new(images(c, evaluation_images)?, labels(d, evaluation_labels)?)?;
        Ok(Self { training, evaluation })
    }
}

fn read(folder: &Path, name: &'static str) -> Result<Vec<u8>, DatasetError> {
    let path = folder.join(name);
    let io_error = |source| DatasetError::Io { path: path.clone(), source };
    let metadata = fs::metadata(&path).map_err(io_error)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(DatasetError::NotADataFile { file: name, limit: MAX_FILE_BYTES });
    }
    fs::read(&path).map_err(io_error)
}

fn images(file: &'static str, gzip: &[u8]) -> Result<Vec<u8>, DatasetError> {
    unpack(file, gzip, IMAGES_MAGIC, &[SIDE_WORD, SIDE_WORD])
}

fn labels(file: &'static str, gzip: &[u8]) -> Result<Vec<u8>, DatasetError> {
    unpack(file, gzip, LABELS_MAGIC, &[])
}

/// Unpacks one file: a magic number, the number of rows, the dimensions of a row, then the rows and nothing else.
///
/// Never unpacks more than the header announces, nor more than `MAX_ROWS` rows.
fn unpack(file: &'static str, gzip: &[u8], magic: u32, dimensions: &[u32]) -> Result<Vec<u8>, DatasetError> {
    let broken = |source| DatasetError::Gzip { file, source };
    let mut decoder = GzDecoder::new(gzip);
    let mut word = || {
        let mut bytes = [0; 4];
        decoder.read_exact(&mut bytes).map_err(broken)?;
        Ok(u32::from_be_bytes(bytes))
    };
    let (got_magic, rows) = (word()?, word()?);
    if got_magic != magic {
        return Err(DatasetError::WrongHeader { file, expected: magic, got: got_magic });
    }
    if rows > MAX_ROWS {
        return Err(DatasetError::TooManyRows { limit: MAX_ROWS, got: u64::from(rows) });
    }
    for expected in dimensions {
        let got = word()?;
        if got != *expected {
            return Err(DatasetError::WrongHeader { file, expected: *expected, got });
        }
    }
    let expected = dimensions.iter().fold(u64::from(rows), |bytes, size| bytes * u64::from(*size));
    let mut content = Vec::new();
    (&mut decoder).take(expected + 1).read_to_end(&mut content).map_err(broken)?;
    let got = content.len() as u64;
    if got != expected || !decoder.into_inner().is_empty() {
        return Err(DatasetError::WrongLength { file, expected, got });
    }
    Ok(content)
}
