//! Content-addressed artifacts in a folder.
//!
//! An artifact is named by the SHA-256 of its bytes ([`ContentHash`]), which is also what a node commits to on
//! chain. So a store needs no trust: [`FolderStore::get`] returns the bytes that were asked for, or an error. A name
//! holds nothing but 32 bytes, hence no input can lead outside the folder.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! use aiarena_store::{ContentHash, FolderStore};
//!
//! let store = FolderStore::open(folder.path(), 1024)?;
//! let hash = store.put(b"weights")?;
//! assert_eq!(hash, ContentHash::of(b"weights"));
//! assert_eq!(store.get(hash, 1024)?, b"weights");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod folder;
mod hash;

pub use error::Error;
pub use folder::FolderStore;
pub use hash::{ContentHash, ParseHashError};
