//! The data set, and files that claim to be one.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

use std::{fs, io::Write, path::Path};

use aiarena_ml::{Dataset, DatasetError, FILE_NAMES, Rows};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use tempfile::TempDir;

fn small() -> Dataset {
    let rows = |count: u8| {
        let pixels = (0..count).flat_map(|row| [row; 784]).collect();
        Rows::new(pixels, (0..count).map(|row| row % 10).collect()).unwrap()
    };
    Dataset { training: rows(3), evaluation: rows(2) }
}

fn saved() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    small().save(folder.path()).unwrap();
    folder
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn load_with(file: usize, bytes: &[u8]) -> Result<Dataset, DatasetError> {
    let folder = saved();
    fs::write(folder.path().join(FILE_NAMES[file]), bytes).unwrap();
    Dataset::load(folder.path())
}

#[test]
fn the_embedded_rows() {
    let dataset = Dataset::embedded();
    assert_eq!((dataset.training.len(), dataset.evaluation.len()), (8_000, 4_000));
    for rows in [&dataset.training, &dataset.evaluation] {
        let mut classes = [0; 10];
        (0..rows.len()).for_each(|row| classes[usize::from(rows.label(row))] += 1);
        let expected = rows.len() / 10;
        assert!(
            classes.iter().all(|count| (expected * 9 / 10..expected * 11 / 10).contains(count)),
            "{classes:?}"
        );
    }
}

#[test]
fn a_folder_holds_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = Dataset::embedded();
    embedded.save(&folder.path().join("new/folder")).unwrap();
    let loaded = Dataset::load(&folder.path().join("new/folder")).unwrap();
    assert_eq!(loaded.digest(), embedded.digest());
    assert_eq!(loaded, embedded);
    assert_ne!(small().digest(), embedded.digest());
    // The committed files are read like any other.
    assert_eq!(Dataset::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data")).unwrap(), embedded);
}

#[test]
fn broken_files() {
    let images = words(&[0x0803, 3, 28, 28]);
    let whole = [&images[..], &[0; 3 * 784]].concat();
    let rows: Vec<(usize, Vec<u8>, &str)> = vec![
        (0, vec![], "does not unpack"),
        (0, b"not gzip".to_vec(), "does not unpack"),
        (0, gzip(b""), "does not unpack"),
        (0, gzip(&images[..15]), "does not unpack"),
        (0, gzip(&whole)[..40].to_vec(), "does not unpack"),
        (0, gzip(&words(&[0x0801, 3, 28, 28])), "header has 0x801"),
        (0, gzip(&words(&[0x0803, 3, 29, 28])), "header has 0x1d"),
        (0, gzip(&words(&[0x0803, u32::MAX, 28, 28])), "4294967295 rows"),
        (0, gzip(&images), "2352 bytes and nothing after them, 0 were read"),
        (0, gzip(&whole[..whole.len() - 1]), "2351 were read"),
        (0, gzip(&[&whole[..], &[0]].concat()), "2353 were read"),
        (0, [gzip(&whole), gzip(b"more")].concat(), "nothing after them"),
        (0, gzip(&[words(&[0x0803, 2, 28, 28]), vec![0; 2 * 784]].concat()), "2 images but 3 labels"),
        (1, gzip(&[words(&[0x0801, 3]), vec![0, 1, 10]].concat()), "row 2 has the unknown label 10"),
        (3, gzip(&words(&[0x0801, 0])), "2 images but 0 labels"),
    ];
    for (file, bytes, reason) in rows {
        let error = load_with(file, &bytes).unwrap_err().to_string();
        assert!(error.contains(reason), "{error} instead of {reason}");
    }
}

/// A small file that unpacks to a gigabyte: only what the header announces is unpacked.
#[test]
fn a_bomb() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&words(&[0x0803, 3, 28, 28])).unwrap();
    for _ in 0..256 {
        bomb.write_all(&[0; 1 << 20]).unwrap();
    }
    let error = load_with(0, &bomb.finish().unwrap()).unwrap_err();
    assert!(matches!(error, DatasetError::WrongLength { expected: 2_352, got: 2_353, .. }), "{error}");
}

#[test]
fn things_that_are_no_files() {
    let folder = saved();
    let path = folder.path().join(FILE_NAMES[2]);
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(Dataset::load(folder.path()), Err(DatasetError::NotADataFile { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(Dataset::load(folder.path()), Err(DatasetError::Io { .. })));
    fs::create_dir(&path).unwrap();
    assert!(matches!(Dataset::load(folder.path()), Err(DatasetError::NotADataFile { .. })));
    assert!(matches!(Dataset::load(Path::new("/nowhere")), Err(DatasetError::Io { .. })));
    assert!(matches!(small().save(&folder.path().join(FILE_NAMES[0])), Err(DatasetError::Io { .. })));
}

#[test]
fn rows_are_checked() {
    assert!(Rows::new(vec![], vec![]).unwrap().is_empty());
    assert!(matches!(Rows::new(vec![0; 783], vec![]), Err(DatasetError::CountMismatch { .. })));
    assert!(matches!(Rows::new(vec![0; 784], vec![]), Err(DatasetError::CountMismatch { .. })));
    assert!(matches!(
        Rows::new(vec![0; 784], vec![10]),
        Err(DatasetError::UnknownClass { row: 0, label: 10 })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn damaged_files(
        file in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        packed: bool,
    ) {
        let folder = saved();
        let path = folder.path().join(FILE_NAMES[file]);
        let mut bytes = fs::read(&path).unwrap();
        if packed {
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut content).unwrap();
            for (index, byte) in changes {
                let at = index.index(content.len().min(20));
                content[at] = byte;
            }
            bytes = gzip(&content);
        } else {
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        fs::write(&path, bytes).unwrap();
        if let Ok(dataset) = Dataset::load(folder.path()) {
            prop_assert_eq!((dataset.training.len(), dataset.evaluation.len()), (3, 2));
        }
    }
}
