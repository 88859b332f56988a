//! What can be done with recordings while nobody records: repair, and verify.

use std::fmt;
use std::io;
use std::path::Path;

use recorder::Metadata;
use recorder::container::{Format, whole};
use recorder::journal::is_harmless;
use recorder::metadata::FileEntry;

use crate::disk::{Disk, Found};
use crate::growing::PART;
use crate::journal::{FOLDER, segment_number};
use crate::repair::{checksum, repair_all};
use crate::sealed::{self, ENCRYPTED};
use crate::storage::{Reading, Storage};
use crate::writer::{Failure, unprepared};

/// How the name of metadata ends.
const METADATA: &str = ".json";

/// How the names end of what is made of finished recordings: it is made anew where that was cut.
const OF_THE_SHELF: [&str; 2] = [".age.part", ".shelf.part"];

/// A file of metadata is never longer.
const METADATA_BYTES_MAX: u64 = 64 << 20;

/// What is wrong with a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It was cut, or a journal is left that may hold what was, and is not repaired yet.
    Cut,
    /// The metadata is not what this server writes.
    Metadata,
    /// A file is missing.
    Missing(String),
    /// A file, or all in a folder, cannot be read.
    Unreadable(String, io::ErrorKind),
    /// A file is not what was written: its length or its checksum differs.
    Changed(String),
    /// A file is as it was written, and no player takes all of it.
    Broken(String),
    /// A file is longer or shorter than the others.
    Misaligned(String),
    /// It could not be made whole.
    Unrepaired(io::ErrorKind),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("was cut and is not repaired"),
            Self::Metadata => f.write_str("is no metadata of this server"),
            Self::Missing(file) => write!(f, "{file} is missing"),
            Self::Unreadable(file, kind) => write!(f, "{file}: {kind}"),
            Self::Changed(file) => write!(f, "{file} is not what was written"),
            Self::Broken(file) => write!(f, "{file} is not whole"),
            Self::Misaligned(file) => write!(f, "{file} has another length than the others"),
            Self::Unrepaired(kind) => write!(f, "cannot be repaired: {kind}"),
        }
    }
}

/// What was found out about one recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its metadata, or where it has none yet a file that was cut, or the journal, or a folder; relative to the
    /// first folder.
    pub name: String,
    /// What is wrong; nothing where it is as it should be.
    pub faults: Vec<Fault>,
    /// Whether files of it are encrypted: of these it is only known that they are there, and as
    /// long as they must be.
    pub is_encrypted: bool,
}

impl Finding {
    /// Of which this is wrong.
    fn of(name: String, fault: Fault) -> Self {
        Self { name, faults: vec![fault], is_encrypted: false }
    }
}

/// Whether a writer has ever recorded in the folder.
pub fn was_used(folder: &Path) -> bool {
    folder.join(crate::journal::FOLDER).is_dir()
}

/// Makes everything in the folder whole that a crash has cut. `path` is the folder of recordings.
/// Nobody may record there meanwhile.
pub fn repair(path: &Path) -> Result<Vec<Finding>, Failure> {
    there(path)?;
    let mut disk = Disk::prepare(path).map_err(|error| unprepared(path.to_owned(), &error))?;
    let finding = |outcome| match outcome {
        Ok(name) => Finding { name, faults: Vec::new(), is_encrypted: false },
        Err((name, error)) => {
            let error: io::Error = error;
            Finding::of(name, Fault::Unrepaired(error.kind()))
        }
    };
    Ok(repair_all(&mut disk).into_iter().map(finding).collect())
}

/// Compares every recording in the folder with its metadata, and reads its files to the end.
/// Nobody may record there meanwhile. Nothing is written, and nothing but reading need be allowed.
pub fn verify(path: &Path) -> Result<Vec<Finding>, Failure> {
    there(path)?;
    let unread = |error: io::Error| match unprepared(path.to_owned(), &error) {
        Failure::Folder { path, kind } => Failure::Unread { path, kind },
        failure => failure,
    };
    let mut disk = Disk::look(path).map_err(unread)?;
    let Found { files: names, closed } = disk.find().map_err(unread)?;
    let cut = |name| Finding::of(name, Fault::Cut);
    // Nobody records here, and who did and ended in order has left no journal.
    let is_journaled = names.iter().any(|name| segment_number(name).is_some());
    let mut findings = Vec::from_iter(is_journaled.then(|| cut(FOLDER.to_owned())));
    for name in names.into_iter().filter(|name| is_harmless(name)) {
        if name.ends_with(PART) {
            if !OF_THE_SHELF.iter().any(|ending| name.ends_with(ending)) {
                findings.push(cut(name));
            }
        } else if name.ends_with(METADATA) {
            findings.push(verify_one(&mut disk, name));
        }
    }
    findings.extend(closed.into_iter().map(|name| {
        let fault = Fault::Unreadable(name.clone(), io::ErrorKind::PermissionDenied);
        Finding::of(name, fault)
    }));
    Ok(findings)
}

/// Whether the folder is there already.
fn there(path: &Path) -> Result<(), Failure> {
    let kind = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => io::ErrorKind::NotADirectory,
        Err(error) => error.kind(),
    };
    Err(Failure::Unread { path: path.to_owned(), kind })
}

fn verify_one<S: Storage>(storage: &mut S, name: String) -> Finding {
    let metadata = match read_metadata(storage, &name) {
        Ok(Some(metadata)) => metadata,
        Ok(None) => return Finding::of(name, Fault::Metadata),
        Err(error) => return Finding::of(name.clone(), Fault::Unreadable(name, error.kind())),
    };
    let mut finding = Finding { name, faults: Vec::new(), is_encrypted: false };
    for file in &metadata.files {
        if !is_harmless(&file.name) {
            return Finding::of(finding.name, Fault::Metadata);
        }
        match verify_file(storage, &metadata, file) {
            Ok(is_encrypted) => finding.is_encrypted |= is_encrypted,
            Err(fault) => finding.faults.push(fault),
        }
        if let Some(peaks) = &file.peaks
            && !(is_harmless(peaks) && is_there(storage, peaks))
        {
            finding.faults.push(Fault::Missing(peaks.clone()));
        }
    }
    finding
}

fn is_there<S: Storage>(storage: &S, name: &str) -> bool {
    storage.exists(name) || storage.exists(&format!("{name}{ENCRYPTED}"))
}

fn read_metadata<S: Storage>(storage: &mut S, name: &str) -> io::Result<Option<Metadata>> {
    let file = storage.open(name)?;
    let mut json = Vec::new();
    io::Read::read_to_end(&mut Reading::new(storage, &file, METADATA_BYTES_MAX), &mut json)?;
    Ok(Metadata::from_json(&json))
}

/// Compares a file with its entry; `Ok(true)` where it is encrypted and cannot be read.
fn verify_file<S: Storage>(
    storage: &mut S,
    metadata: &Metadata,
    entry: &FileEntry,
) -> Result<bool, Fault> {
    let name = || entry.name.clone();
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing(name()),
        kind => Fault::Unreadable(name(), kind),
    };
    let times = |samples: u64, rate: u32| u128::from(samples) * u128::from(rate);
    let (clock, rate) = (metadata.clock_rate, entry.sample_rate);
    let is_packets = entry.format == Format::Pcapng.extension();
    if !is_packets && times(entry.samples, clock) != times(metadata.samples, rate) {
        return Err(Fault::Misaligned(name()));
    }
    let sealed = format!("{}{ENCRYPTED}", entry.name);
    if !storage.exists(&entry.name) && storage.exists(&sealed) {
        let file = storage.open(&sealed).map_err(unreadable)?;
        let is_whole = sealed::holds(storage, &file, entry.bytes).map_err(unreadable)?;
        return if is_whole { Ok(true) } else { Err(Fault::Changed(sealed)) };
    }
    let file = storage.open(&entry.name).map_err(unreadable)?;
    let bytes = storage.length(&file).map_err(unreadable)?;
    let crc32 = checksum(storage, &file, bytes).map_err(unreadable)?;
    if bytes != entry.bytes || format!("{crc32:08x}") != entry.crc32 {
        return Err(Fault::Changed(name()));
    }
    let format = Format::of_extension(&entry.format).ok_or(Fault::Metadata)?;
    let found = whole(format, &mut Reading::new(storage, &file, bytes)).map_err(unreadable)?;
    if found.bytes != bytes
        || !found.tail.is_empty()
        || (found.samples != entry.samples && !is_packets)
    {
        return Err(Fault::Broken(name()));
    }
    Ok(false)
}
