//! Messages that wait for one URL. Each is a file of its own from the moment it is told to the
//! moment it is taken or given up, so a restart sends what was left; what was being sent when the
//! server stopped is sent again. Where the disk refuses, a message waits in memory only.
//!
//! Files are not forced to the disk: a crash of the server loses none, a loss of power may lose the
//! last seconds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::mark::gone;

/// The folder of all messages, within that of recordings; hidden, so that nobody takes them for recordings.
const FOLDER: &str = ".webhooks";

/// Messages that wait for one URL.
const WAITING_MAX: usize = 1000;

/// The end of the queue of one URL where messages are put in.
pub(crate) struct Outbox {
    folder: PathBuf,
    last: u64,
    messages: mpsc::Sender<Message>,
}

/// A message that waits.
pub(crate) struct Message {
    pub(crate) body: Vec<u8>,
    file: PathBuf,
}

impl Outbox {
    /// The queue to `url`, with what an earlier run has left in it.
    pub(crate) fn open(recordings: &Path, url: &str) -> (Self, mpsc::Receiver<Message>) {
        let folder = recordings.join(FOLDER).join(name(url));
        let left = left_in(&folder);
        let last = left.last_key_value().map_or(0, |(number, _)| *number);
        let (sender, messages) = mpsc::channel(WAITING_MAX.max(left.len()));
        for message in left.into_values() {
            // There is room for all.
            let _ = sender.try_send(message);
        }
        (Self { folder, last, messages: sender }, messages)
    }

    /// Puts a message at the end of the queue; false, where that is full.
    pub(crate) fn put(&mut self, body: &[u8]) -> bool {
        let Ok(place) = self.messages.try_reserve() else { return false };
        self.last += 1;
        let file = self.folder.join(format!("{:020}.json", self.last));
        let written = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&file, body));
        if let Err(error) = written {
            tracing::warn!(%error, "a message to a webhook waits in memory only");
        }
        place.send(Message { body: body.to_vec(), file });
        true
    }
}

impl Message {
    /// It was taken or given up.
    pub(crate) fn remove(self) {
        if let Err(error) = gone(fs::remove_file(&self.file)) {
            tracing::warn!(%error, "a message to a webhook will be sent again after a restart");
        }
    }
}

/// Removes the messages to all URLs but these.
pub(crate) fn keep_only<'a>(recordings: &Path, urls: impl Iterator<Item = &'a str>) {
    let names: Vec<String> = urls.map(name).collect();
    let Ok(found) = fs::read_dir(recordings.join(FOLDER)) else { return };
    for entry in found.flatten() {
        let is_known = names.iter().any(|name| entry.file_name() == name.as_str());
        if !is_known && fs::remove_dir_all(entry.path()).is_ok() {
            tracing::warn!("messages to a webhook that is not configured any more are given up");
        }
    }
}

/// The folder's name for a URL.
fn name(url: &str) -> String {
    let mut name = String::new();
    for byte in &Sha256::digest(url)[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The messages in the folder, by their numbers. What a crash has torn is removed.
fn left_in(folder: &Path) -> BTreeMap<u64, Message> {
    let mut left = BTreeMap::new();
    let Ok(found) = fs::read_dir(folder) else { return left };
    for file in found.flatten().map(|entry| entry.path()) {
        let number = file.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let (Some(number), Ok(body)) = (number, fs::read(&file)) else { continue };
        let message = Message { body, file };
        if serde_json::from_slice::<Map<String, Value>>(&message.body).is_ok() {
            left.insert(number, message);
        } else {
            message.remove();
        }
    }
    left
}
