//! Which finished recordings there are: found once in the folder, kept up to date since. Of each
//! only what lists and rules need is held in memory; the rest is read when it is asked for. No file
//! is touched while the catalogue is locked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::Path;

use recorder::{Expiry, Kept, Retention};

use crate::config::ShelfConfig;
use crate::document::{Document, within};
use crate::mark::{Mark, gone, sync_folder_of};

/// How deep naming templates may nest folders.
const DEPTH_MAX: usize = 8;

/// When a recording started, and its name: the order of lists.
pub(crate) type Key = (String, String);

/// The finished recordings of a folder.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    recordings: BTreeMap<Key, Brief>,
    started: BTreeMap<String, String>,
    /// Those whose files the writer still writes, or might write anew after a crash.
    volatile: BTreeSet<String>,
    /// Those that are about to be put on the shelf.
    coming: BTreeSet<String>,
    bytes: u64,
}

/// What is remembered of one.
#[derive(Debug)]
struct Brief {
    ended: String,
    bytes: u64,
    /// Whether nothing is left to be done with it.
    settled: bool,
    /// Whether somebody works with its files at the moment.
    busy: bool,
}

/// What the disk says of one recording.
#[derive(Debug)]
pub(crate) struct Found {
    started: String,
    ended: String,
    bytes: u64,
    settled: bool,
}

impl Found {
    /// Looks at its files.
    pub(crate) fn read(config: &ShelfConfig, name: &str) -> io::Result<Self> {
        let document = Document::read(&config.folder, name)?;
        let mark = Mark::read(&config.folder, name);
        let settled = (mark.encrypted || config.encryption.is_none())
            && (mark.uploaded || config.upload.is_none());
        let bytes = document.bytes();
        Ok(Self { started: document.started, ended: document.ended, bytes, settled })
    }
}

impl Catalogue {
    /// Finds what is in the folder.
    pub(crate) fn open(config: &ShelfConfig) -> Self {
        let mut catalogue = Self::default();
        for name in names(&config.folder) {
            catalogue.put(&name, Found::read(config, &name).ok());
        }
        catalogue
    }

    /// Takes what was found of a recording; nothing, where it is gone.
    pub(crate) fn put(&mut self, name: &str, found: Option<Found>) {
        let busy = self.is_busy(name);
        self.forget(name);
        if let Some(Found { started, ended, bytes, settled }) = found {
            self.bytes += bytes;
            self.started.insert(name.to_owned(), started.clone());
            let brief = Brief { ended, bytes, settled, busy };
            self.recordings.insert((started, name.to_owned()), brief);
        }
    }

    /// Leaves its files alone until the disk holds them.
    pub(crate) fn set_volatile(&mut self, name: &str, volatile: bool) {
        if volatile {
            self.volatile.insert(name.to_owned());
        } else {
            self.volatile.remove(name);
        }
    }

    /// Whether its files are left alone until the disk holds them.
    pub(crate) fn is_volatile(&self, name: &str) -> bool {
        self.volatile.contains(name)
    }

    /// Whether one is about to be put on the shelf, from now on.
    pub(crate) fn set_coming(&mut self, name: &str, coming: bool) {
        if coming {
            self.coming.insert(name.to_owned());
        } else {
            self.coming.remove(name);
        }
    }

    /// Whether one is about to be put on the shelf.
    pub(crate) fn is_coming(&self, name: &str) -> bool {
        self.coming.contains(name)
    }

    /// One is gone.
    pub(crate) fn forget(&mut self, name: &str) {
        let Some(started) = self.started.remove(name) else { return };
        if let Some(brief) = self.recordings.remove(&(started, name.to_owned())) {
            self.bytes -= brief.bytes;
        }
    }

    fn brief(&self, name: &str) -> Option<&Brief> {
        let started = self.started.get(name)?;
        self.recordings.get(&(started.clone(), name.to_owned()))
    }

    /// Whether there is one of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.started.contains_key(name)
    }

    /// Whether somebody works with its files.
    pub(crate) fn is_busy(&self, name: &str) -> bool {
        self.brief(name).is_some_and(|brief| brief.busy)
    }

    /// Keeps others away from its files, or lets them.
    pub(crate) fn set_busy(&mut self, name: &str, busy: bool) {
        if let Some(started) = self.started.get(name)
            && let Some(brief) = self.recordings.get_mut(&(started.clone(), name.to_owned()))
        {
            brief.busy = busy;
        }
    }

    /// Those with which something is left to be done and can be, oldest first.
    pub(crate) fn unsettled(&self) -> Vec<String> {
        let unsettled = self.recordings.iter().filter(|(_, brief)| !brief.settled);
        let names = unsettled.map(|((_, name), _)| name);
        names.filter(|name| !self.is_volatile(name)).cloned().collect()
    }

    /// How many there are, what they take, and with how many something is left to be done.
    pub(crate) fn numbers(&self) -> (u64, u64, u64) {
        let waiting = self.recordings.values().filter(|brief| !brief.settled).count();
        (self.recordings.len() as u64, self.bytes, waiting as u64)
    }

    /// Newest first, those older than `before`.
    pub(crate) fn list(&self, before: Option<Key>, count: usize) -> Vec<Key> {
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.recordings.range((Bound::Unbounded, end));
        range.rev().take(count).map(|(key, _)| key.clone()).collect()
    }

    /// Those that the rule does not keep. They are busy from now on: they are to be removed.
    pub(crate) fn expire(&mut self, rule: Retention, now_unix_nanos: u64) -> Vec<(String, Expiry)> {
        let kept = self.recordings.iter().map(|((_, name), brief)| Kept {
            ended: &brief.ended,
            bytes: brief.bytes,
            held: brief.busy || !brief.settled || self.is_volatile(name),
        });
        let all: Vec<_> = kept.collect();
        let judged = rule.judge(now_unix_nanos, &all);
        let recordings = self.recordings.iter_mut().zip(judged);
        let expired = recordings.filter_map(|(((_, name), brief), expiry)| {
            brief.busy |= expiry.is_some();
            Some((name.clone(), expiry?))
        });
        expired.collect()
    }
}

/// Removes all files of a recording, the metadata last: where that fails in between, the recording
/// is still there to be removed.
pub(crate) fn remove(folder: &Path, name: &str) -> io::Result<()> {
    let document = match Document::read(folder, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    for file in document.content() {
        remove_file(folder, &file.name)?;
    }
    Mark::remove(folder, name)?;
    remove_file(folder, &format!("{name}.json"))
}

fn remove_file(folder: &Path, name: &str) -> io::Result<()> {
    let Some(path) = within(folder, name) else { return Ok(()) };
    gone(fs::remove_file(&path))?;
    sync_folder_of(&path)
}

/// The names of all recordings in the folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    // Whoever cannot record, or never has, takes calls all the same.
    if let Err(error) = find_names(folder, "", 0, &mut names)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "what was recorded before is not known");
    }
    names
}

/// The names of metadata files, in folders within folders. Hidden ones and links are not ours.
fn find_names(
    folder: &Path,
    prefix: &str,
    depth: usize,
    names: &mut Vec<String>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DEPTH_MAX {
            // What cannot be read does not hide the rest.
            let _ = find_names(&entry.path(), &format!("{prefix}{file_name}/"), depth + 1, names);
        } else if kind.is_file()
            && let Some(name) = file_name.strip_suffix(".json")
        {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
