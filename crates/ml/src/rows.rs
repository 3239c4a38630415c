//! Rows as bytes: one encoding for each value, so that a hash of the bytes names the rows.
//!
//! ```text
//! "aiarows" 1 | number of rows, 4 bytes, big-endian | per row: 784 pixels, 1 label
//! ```
//!
//! Whoever wrote the bytes may wish us harm: the length follows from the number of rows, which is bounded, before anything
//! is allocated.

use crate::{
    dataset::{MAX_ROWS, PIXELS, Rows},
    error::DatasetError,
};

/// Names the encoding and its version.
const MAGIC: &[u8; 8] = b"aiarows\x01";
/// Bytes before the first row.
const HEADER_BYTES: usize = MAGIC.len() + 4;
/// Bytes of one row.
const ROW_BYTES: usize = PIXELS + 1;

impl Rows {
    /// The rows as bytes. Equal rows give equal bytes, and no others do.
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u32::try_from(self.len()).expect("at most MAX_ROWS rows");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.len() * ROW_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&count.to_be_bytes());
        for row in 0..self.len() {
            bytes.extend_from_slice(self.image(row));
            bytes.push(self.label(row));
        }
        bytes
    }

    /// Reads rows that anybody may have written.
    ///
    /// # Errors
    /// [`DatasetError::NotRows`], [`DatasetError::TooManyRows`], [`DatasetError::UnknownClass`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DatasetError> {
        let header = bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first_chunk::<4>);
        let (count, content) = header.ok_or(DatasetError::NotRows { expected: None, got: bytes.len() })?;
        let count = u32::from_be_bytes(*count);
        if count > MAX_ROWS {
            return Err(DatasetError::TooManyRows { limit: MAX_ROWS, got: count.into() });
        }
        let expected = count as usize * ROW_BYTES;
        if content.len() != expected {
            let expected = Some(HEADER_BYTES + expected);
            return Err(DatasetError::NotRows { expected, got: bytes.len() });
        }
        let mut pixels = Vec::with_capacity(count as usize * PIXELS);
        let mut labels = Vec::with_capacity(count as usize);
        for row in content.chunks_exact(ROW_BYTES) {
            pixels.extend_from_slice(&row[..PIXELS]);
            labels.push(row[PIXELS]);
        }
        Self::new(pixels, labels)
    }

    /// The given rows, in the given order; a row given twice is there twice.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, rows: &[u32]) -> Self {
        let pixels = rows.iter().flat_map(|row| self.image(*row as usize)).copied().collect();
        let labels = rows.iter().map(|row| self.label(*row as usize)).collect();
        Self::new(pixels, labels).expect("rows of a data set, whose labels were checked")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(labels: &[u8]) -> Rows {
        let pixels = (0..labels.len() * PIXELS).map(|i| u8::try_from(i % 251).unwrap()).collect();
        Rows::new(pixels, labels.iter().map(|label| label % 10).collect()).unwrap()
    }

    #[test]
    fn selected_rows_are_those_rows() {
        let all = rows(&[1, 2, 3]);
        let some = all.select(&[2, 0]);
        assert_eq!((some.len(), some.label(0), some.image(1)), (2, 3, all.image(0)));
    }

    proptest! {
        #[test]
        fn bytes_and_back(labels in prop::collection::vec(0..10_u8, 0..6)) {
            let bytes = rows(&labels).to_bytes();
            prop_assert_eq!(Rows::from_bytes(&bytes).unwrap(), rows(&labels));
        }

        #[test]
        fn anything_else_is_refused(labels in prop::collection::vec(0..10_u8, 0..4), at: usize, cut: usize) {
            let bytes = rows(&labels).to_bytes();
            prop_assert!(Rows::from_bytes(&bytes[..cut % bytes.len()]).is_err());
            prop_assert!(Rows::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
            let mut changed = bytes.clone();
            changed[at % HEADER_BYTES] ^= 0x80;
            prop_assert!(Rows::from_bytes(&changed).is_err());
        }

        #[test]
        fn whatever_is_read_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(rows) = Rows::from_bytes(&bytes) {
                prop_assert_eq!(rows.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn a_label_of_no_class_and_a_great_number_of_rows_are_refused() {
        let mut bytes = rows(&[1]).to_bytes();
        *bytes.last_mut().unwrap() = 10;
        assert!(matches!(Rows::from_bytes(&bytes), Err(DatasetError::UnknownClass { row: 0, label: 10 })));
        bytes[8..12].fill(0xff);
        assert!(matches!(Rows::from_bytes(&bytes), Err(DatasetError::TooManyRows { .. })));
    }
}
