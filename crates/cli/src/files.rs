//! Files that are read with a limit, and written as a whole or not at all.

use std::{io::Write, path::Path};

use anyhow::{Context, Result, ensure};
use serde::{Serialize, de::DeserializeOwned};

/// Largest file of configuration or JSON that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Reads a small file of text.
///
/// # Errors
/// If it cannot be read, is larger than a mebibyte, or is no text.
pub fn read_text(path: &Path) -> Result<String> {
    let reading = || format!("cannot read {}", path.display());
    let size = std::fs::metadata(path).with_context(reading)?.len();
    ensure!(size <= LARGEST_FILE, "{} is larger than {LARGEST_FILE} bytes", path.display());
    std::fs::read_to_string(path).with_context(reading)
}

/// Reads a small file of JSON.
///
/// # Errors
/// As [`read_text`], or if it does not hold what it should.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_text(path)?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what it should be", path.display()))
}

/// Reads a small file of TOML; errors name the file, the line and what is allowed there.
///
/// # Errors
/// As [`read_text`], or if it does not hold what it should.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_text(path)?;
    toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// Writes a text that people edit; what is there already stays, unless `force`.
///
/// # Errors
/// If the file exists, or cannot be written.
pub fn write_new(path: &Path, text: &str, force: bool) -> Result<()> {
    ensure!(
        force || !path.exists(),
        "{} exists already: choose another name, or overwrite it with --force",
        path.display()
    );
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut file = new_file(folder).with_context(|| format!("cannot write into {}", folder.display()))?;
    file.write_all(text.as_bytes())?;
    let writing = || format!("cannot write {}", path.display());
    if force {
        file.persist(path).with_context(writing)?;
    } else {
        file.persist_noclobber(path).with_context(writing)?;
    }
    Ok(())
}

/// The folder in which a file lies.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a value as JSON, the file as a whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let folder = folder_of(path);
    let mut file = new_file(folder).with_context(|| format!("cannot write into {}", folder.display()))?;
    serde_json::to_writer_pretty(&mut file, value)?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// A temporary file that others may read once it has its name, as any file that a program writes for its user.
fn new_file(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder.tempfile_in(folder)
}
