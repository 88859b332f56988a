//! The file `<name>.shelf`: what was done to a finished recording. It is replaced as a whole, and
//! only after what it says is on the disk or confirmed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::document::within;

/// How its name ends.
const MARK: &str = ".shelf";

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// All its files but the metadata are encrypted.
    #[serde(default)]
    pub(crate) encrypted: bool,
    /// All its files are uploaded, and each was confirmed.
    #[serde(default)]
    pub(crate) uploaded: bool,
    /// The files whose upload was confirmed.
    #[serde(default)]
    pub(crate) objects: Vec<Object>,
}

/// A file in the storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    /// Its name here.
    pub(crate) name: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// What the storage calls this content.
    pub(crate) etag: Option<String>,
}

impl Mark {
    /// What is known of `name`: nothing, where there is no mark or none that can be read.
    pub(crate) fn read(folder: &Path, name: &str) -> Self {
        within(folder, &format!("{name}{MARK}"))
            .and_then(|path| fs::read(path).ok())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Replaces the mark, and waits for the disk.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> io::Result<()> {
        let path = within(folder, &format!("{name}{MARK}")).ok_or(io::ErrorKind::InvalidInput)?;
        let part = path.with_extension("shelf.part");
        let mut file = File::create(&part)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&part, &path)?;
        sync_folder_of(&path)
    }

    /// Removes the mark.
    pub(crate) fn remove(folder: &Path, name: &str) -> io::Result<()> {
        within(folder, &format!("{name}{MARK}")).map_or(Ok(()), |path| gone(fs::remove_file(path)))
    }
}

/// Makes names that were given or taken last.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// What is not there need not be removed.
pub(crate) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
