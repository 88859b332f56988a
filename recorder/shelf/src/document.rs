//! A recording as its metadata file describes it. Read with tolerance: what is not needed here may
//! be anything, and is handed on as it is.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use recorder::{Format, rfc3339};
use serde::Deserialize;

use crate::mark::Mark;

/// How the names of encrypted files end.
pub(crate) const ENCRYPTED: &str = ".age";

/// The longest metadata file that is read.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// A finished recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Its name: that of its metadata file, relative to the folder, without `.json`.
    pub name: String,
    /// Its metadata, as the file holds them.
    pub metadata: serde_json::Value,
    /// All its files that are there, the metadata file first.
    pub files: Vec<StoredFile>,
    /// Whether its sound is encrypted.
    pub encrypted: bool,
    /// Whether its upload is confirmed.
    pub uploaded: bool,
}

/// A file of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Its name, relative to the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its media type.
    pub media_type: &'static str,
}

/// What is needed of the metadata.
#[derive(Debug, Deserialize)]
struct Needed {
    started: String,
    #[serde(default)]
    ended: String,
    files: Vec<NeededFile>,
}

#[derive(Debug, Deserialize)]
struct NeededFile {
    name: String,
    #[serde(default)]
    peaks: Option<String>,
}

/// What the catalogue and the work need to know of a recording.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) started: String,
    /// Its end, for the rule of retention: no sooner than its metadata were written. By their own
    /// word it may seem older: the machine was suspended, or its clock was set meanwhile.
    pub(crate) ended: String,
    pub(crate) files: Vec<StoredFile>,
    value: serde_json::Value,
}

impl Document {
    /// Reads the metadata of `name` and looks which of its files are there. What is no metadata is
    /// [`io::ErrorKind::InvalidData`].
    pub(crate) fn read(folder: &Path, name: &str) -> io::Result<Self> {
        let foreign = || io::Error::from(io::ErrorKind::InvalidData);
        let json = format!("{name}.json");
        let path = within(folder, &json).ok_or_else(foreign)?;
        let metadata = fs::symlink_metadata(&path)?;
        let own = file(json, &metadata).filter(|file| file.bytes <= DOCUMENT_BYTES_MAX);
        let own = own.ok_or_else(foreign)?;
        let value: serde_json::Value =
            serde_json::from_slice(&fs::read(&path)?).map_err(|_| foreign())?;
        let needed = Needed::deserialize(&value).map_err(|_| foreign())?;
        let ended = if needed.ended.is_empty() { &needed.started } else { &needed.ended };
        let ended = written(&metadata)?.max(ended.clone());
        let mut files = vec![own];
        for NeededFile { name, peaks } in needed.files {
            for name in std::iter::once(name).chain(peaks) {
                let plain = stored(folder, &name);
                files.extend(plain.or_else(|| stored(folder, &format!("{name}{ENCRYPTED}"))));
            }
        }
        Ok(Self { started: needed.started, ended, files, value })
    }

    /// What all its files take.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Its files but the metadata.
    pub(crate) fn content(&self) -> &[StoredFile] {
        &self.files[1..]
    }

    /// For those who asked.
    pub(crate) fn into_recording(self, name: String, mark: &Mark) -> Recording {
        Recording {
            name,
            metadata: self.value,
            files: self.files,
            encrypted: mark.encrypted,
            uploaded: mark.uploaded,
        }
    }
}

/// The path of a file in the folder; none for a name that would lead out of it.
pub(crate) fn within(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let plain = |component| matches!(component, Component::Normal(_));
    (!name.is_empty() && path.components().all(plain)).then(|| folder.join(path))
}

/// A file that is there.
fn stored(folder: &Path, name: &str) -> Option<StoredFile> {
    file(name.to_owned(), &fs::symlink_metadata(within(folder, name)?).ok()?)
}

/// A link is not a file of ours.
fn file(name: String, metadata: &Metadata) -> Option<StoredFile> {
    let media_type = media_type(&name);
    metadata.is_file().then_some(StoredFile { name, bytes: metadata.len(), media_type })
}

/// When a file was written last.
fn written(metadata: &Metadata) -> io::Result<String> {
    let since = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(rfc3339(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)))
}

fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "json" => "application/json",
        _ => Format::of_extension(extension).map_or("application/octet-stream", Format::media_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = Path::new("/recordings");
        for name in ["", "..", "../x", "/etc/passwd", "a/../../x", "./..", "a/.."] {
            assert_eq!(within(folder, name), None, "{name}");
        }
        assert_eq!(within(folder, "2026/a.wav"), Some("/recordings/2026/a.wav".into()));
    }

    #[test]
    fn browsers_are_told_what_a_file_is() {
        let types = ["a.wav", "a.opus", "b.json", "a.wav.age", "a.peaks.dat", "a"].map(media_type);
        let bytes = "application/octet-stream";
        assert_eq!(types, ["audio/wav", "audio/ogg", "application/json", bytes, bytes, bytes]);
    }
}
