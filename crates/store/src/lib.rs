//! Content-addressed artifacts: a folder of them, and fetching them from folders, buckets and web servers.
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
//!
//! On a public network artifacts come from elsewhere. [`Stores::fetch`] brings them into a folder, the cache, from
//! stores that the operator has configured and from the [`Location`] that a submission names. All of these may be slow,
//! broken or dishonest, so sizes, times and addresses are limited ([`Limits`], [`Policy`]) and hashes compared:
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let elsewhere = format!("file:{}/elsewhere", folder.path().display());
//! use aiarena_store::{FolderStore, Limits, Settings, Stores};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let limits = Limits::new(1024);
//! let stores = Stores::open([elsewhere.as_str()], &Settings::default())?;
//! let hash = stores.stores()[0].put("weights", &limits).await?;
//!
//! let cache = FolderStore::open(folder.path().join("cache"), limits.max_size)?;
//! stores.fetch(hash, &[], &cache, &limits).await?;
//! assert_eq!(cache.get(hash, limits.max_size)?, b"weights");
//! # Ok::<(), aiarena_store::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Some objects are not artifacts but have a name ([`ObjectName`]), such as evaluation data that were sealed to somebody:
//! [`Store::get_named`] returns what the store gives, and whoever reads it verifies it.

mod error;
mod fetch;
mod folder;
mod hash;
mod location;
mod named;
mod partial;
mod s3;
mod store;
mod web;

pub use error::{Error, Tried};
pub use fetch::{Fetched, Limits, Stores};
pub use folder::FolderStore;
pub use hash::{ContentHash, ParseHashError};
pub use location::{Location, LocationError, MAX_LOCATION_BYTES, Policy};
pub use named::ObjectName;
pub use s3::S3Settings;
pub use store::{Settings, Store};
