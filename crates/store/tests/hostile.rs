//! The store against whatever may lie in its folder.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a failed expectation is the point of a test"
)]

use std::{
    fs,
    io::{self, Read},
    path::Path,
    thread,
};

use aiarena_store::{ContentHash, Error, FolderStore};
use proptest::prelude::*;
use tempfile::TempDir;

const LIMIT: u64 = 1 << 20;

fn store() -> (TempDir, FolderStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(folder.path().join("artifacts"), LIMIT).unwrap();
    (folder, store)
}

/// All files below a folder, temporary ones included.
fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(files(&entry.path()));
        } else {
            names.push(entry.file_name().into_string().unwrap());
        }
    }
    names
}

#[test]
fn sizes_from_nothing_to_the_limit() {
    let (_folder, store) = store();
    for size in [0, 1, 2, 65_536, LIMIT] {
        let bytes = vec![7; size as usize];
        let hash = store.put(&bytes).unwrap();
        assert_eq!(store.put_reader(&bytes[..]).unwrap(), hash);
        assert_eq!(store.get(hash, size).unwrap(), bytes);
        assert!(store.contains(hash));
        if size > 0 {
            let error = store.get(hash, size - 1).unwrap_err();
            assert!(
                matches!(error, Error::TooLarge { limit, got } if limit == size - 1 && got == size),
                "{error}"
            );
        }
    }
}

#[test]
fn more_than_the_limit_is_refused_and_leaves_nothing() {
    let (_folder, store) = store();
    let bytes = vec![7; LIMIT as usize + 1];
    assert!(matches!(store.put(&bytes), Err(Error::TooLarge { limit: LIMIT, .. })));
    // A stream without end is given up one byte after the limit.
    let error = store.put_reader(io::repeat(7)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: LIMIT, got } if got == LIMIT + 1), "{error}");
    assert_eq!(files(store.root()), Vec::<String>::new());
}

#[test]
fn a_failing_reader_leaves_nothing() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    let (_folder, store) = store();
    assert!(matches!(store.put_reader(b"half".chain(Failing)), Err(Error::Io { .. })));
    assert_eq!(files(store.root()), Vec::<String>::new());
}

#[test]
fn absent() {
    let (_folder, store) = store();
    let hash = ContentHash::of(b"never stored");
    let error = store.get(hash, LIMIT).unwrap_err();
    assert!(matches!(error, Error::NotFound { hash: missing } if missing == hash));
    assert!(error.is_retryable());
    assert!(!store.contains(hash));
}

#[test]
fn changed_bytes_are_never_returned_and_a_put_repairs_them() {
    let (_folder, store) = store();
    let bytes = b"the true bytes".to_vec();
    let hash = store.put(&bytes).unwrap();
    let swapped = store.put(b"another artifact").unwrap();
    let rows: [Vec<u8>; 5] = [
        vec![],
        bytes[..7].to_vec(),
        b"the true bytes ".to_vec(),
        b"the true Bytes".to_vec(),
        fs::read(store.path_of(swapped)).unwrap(),
    ];
    for row in rows {
        fs::write(store.path_of(hash), &row).unwrap();
        let error = store.get(hash, LIMIT).unwrap_err();
        assert!(
            matches!(error, Error::Corrupt { expected, got } if expected == hash && got == ContentHash::of(&row)),
            "{error}"
        );
        assert!(!error.is_retryable());
        assert_eq!(store.put(&bytes).unwrap(), hash);
        assert_eq!(store.get(hash, LIMIT).unwrap(), bytes);
    }
}

#[test]
fn a_file_longer_than_the_limit_is_not_read() {
    let (_folder, store) = store();
    let hash = store.put(b"short").unwrap();
    // A sparse file: reading all of it would need a terabyte.
    fs::File::options().write(true).open(store.path_of(hash)).unwrap().set_len(1 << 40).unwrap();
    let error = store.get(hash, LIMIT).unwrap_err();
    assert!(matches!(error, Error::TooLarge { got, .. } if got == 1 << 40), "{error}");
    assert_eq!(store.put(b"short").unwrap(), hash);
    assert_eq!(store.get(hash, LIMIT).unwrap(), b"short");
}

#[test]
fn a_folder_in_place_of_a_file() {
    let (_folder, store) = store();
    let hash = ContentHash::of(b"x");
    fs::create_dir_all(store.path_of(hash).join("inside")).unwrap();
    assert!(matches!(store.get(hash, LIMIT), Err(Error::NotAFile { .. })));
    assert!(!store.contains(hash));
    assert!(matches!(store.put(b"x"), Err(Error::Io { .. })));
    assert_eq!(files(store.root()), Vec::<String>::new());
}

#[test]
fn a_file_in_place_of_a_folder() {
    let (_folder, store) = store();
    let hash = ContentHash::of(b"x");
    fs::write(store.path_of(hash).parent().unwrap(), b"in the way").unwrap();
    assert!(matches!(store.get(hash, LIMIT), Err(Error::Io { .. })));
    assert!(!store.contains(hash));
    assert!(matches!(store.put(b"x"), Err(Error::Io { .. })));

    let root = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(FolderStore::open(root.path(), LIMIT), Err(Error::Io { .. })));
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_and_a_put_replaces_them_only() {
    let (folder, store) = store();
    let secret = folder.path().join("secret");
    fs::write(&secret, b"x").unwrap();
    let hash = ContentHash::of(b"x");
    let path = store.path_of(hash);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for target in [secret.as_path(), Path::new("/dev/zero"), Path::new("nowhere")] {
        std::os::unix::fs::symlink(target, &path).unwrap();
        assert!(matches!(store.get(hash, LIMIT), Err(Error::NotAFile { .. })), "{}", target.display());
        assert!(!store.contains(hash));
        assert_eq!(store.put(b"x").unwrap(), hash);
        assert_eq!(store.get(hash, LIMIT).unwrap(), b"x");
        assert_eq!(fs::read(&secret).unwrap(), b"x");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn half_written_files_of_a_crash_are_ignored() {
    let (_folder, store) = store();
    let hash = ContentHash::of(b"whole");
    let shard = store.path_of(hash).parent().unwrap().to_owned();
    fs::create_dir_all(&shard).unwrap();
    fs::write(shard.join(".partial-crash"), b"who").unwrap();
    assert!(!store.contains(hash));
    assert!(matches!(store.get(hash, LIMIT), Err(Error::NotFound { .. })));
    store.put(b"whole").unwrap();
    assert_eq!(store.get(hash, LIMIT).unwrap(), b"whole");
}

#[test]
fn writers_and_readers_at_once() {
    let (_folder, store) = store();
    let artifacts: Vec<Vec<u8>> = (0..4).map(|seed| vec![seed; 50_000]).collect();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for bytes in artifacts.iter().cycle().take(12) {
                    let hash = store.put(bytes).unwrap();
                    assert_eq!(&store.get(hash, LIMIT).unwrap(), bytes);
                }
            });
        }
    });
    assert_eq!(files(store.root()).len(), artifacts.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_put_is_got(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let (_folder, store) = store();
        let hash = store.put(&bytes).unwrap();
        prop_assert_eq!(store.get(hash, LIMIT).unwrap(), bytes);
    }

    /// Whatever is done to the file, the answer is the true bytes or an error.
    #[test]
    fn damage_is_found(
        bytes in prop::collection::vec(any::<u8>(), 1..500),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (_folder, store) = store();
        let hash = store.put(&bytes).unwrap();
        let mut damaged = bytes.clone();
        for (index, bit) in flips {
            damaged[index.index(bytes.len())] ^= 1 << bit;
        }
        damaged.truncate(cut.index(bytes.len() + 1));
        fs::write(store.path_of(hash), &damaged).unwrap();
        match store.get(hash, LIMIT) {
            Ok(got) => prop_assert_eq!(got, bytes),
            Err(error) => prop_assert!(matches!(error, Error::Corrupt { .. }), "{}", error),
        }
    }
}
