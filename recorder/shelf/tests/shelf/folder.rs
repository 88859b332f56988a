//! A folder of recordings that is gone after the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("shelf-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A finished recording of a day of January 2026.
    pub(crate) fn record(&self, name: &str, day: u32, sound: &[u8]) {
        self.record_at(name, &format!("2026-01-{day:02}T12:00:00.000Z"), sound);
    }

    pub(crate) fn record_at(&self, name: &str, started: &str, sound: &[u8]) {
        let file = name.rsplit_once("inner/").map_or(name, |(_, file)| file);
        self.write(&format!("{name}.wav"), sound);
        self.write(&format!("{name}.peaks.dat"), b"peaks");
        let document = format!(
            r#"{{"version": 1, "name": "{file}", "subject": "test", "room": null,
                "started": "{started}", "ended": "{started}", "seconds": 1.5, "anything": [{{}}],
                "files": [{{"name": "{file}.wav", "format": "wav", "peaks": "{file}.peaks.dat"}}]}}"#
        );
        self.write(&format!("{name}.json"), document.as_bytes());
        // So that it is as old as it says.
        self.written_at(name, SystemTime::UNIX_EPOCH);
    }

    /// When the metadata of a recording were written.
    pub(crate) fn written_at(&self, name: &str, at: SystemTime) {
        let file = File::options().write(true).open(self.0.join(format!("{name}.json")));
        file.unwrap().set_modified(at).unwrap();
    }

    /// All files, in the order of their names.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.strip_prefix(&self.0).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
