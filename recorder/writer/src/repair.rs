//! Repair: what a crash has cut becomes whole.
//!
//! First the journal is replayed into the files. Then every recording whose account is still
//! there is cut to what the account says is kept, which is the same moment in all its files; its
//! containers get their heads and tails, and its metadata says that it was cut. Whenever this is
//! interrupted itself, the next repair goes on: accounts go away last.

use std::io::{self, BufReader, Read};

use recorder::Metadata;
use recorder::account::{Account, FileFacts, Kept};
use recorder::container::{Format, whole};
use recorder::journal::is_harmless;
use recorder::metadata::Sealed;
use recorder::peaks::{self, PERIODS_PER_PAIR};

use crate::growing::PART;
use crate::journal::segment_name;
use crate::recording::metadata_name;
use crate::replay::{replay, segments};
use crate::storage::{Reading, Storage, write_one};

/// How the name of a recording's account ends, while it is needed.
const ACCOUNT: &str = ".facts.part";

/// An account is never longer; of a longer one the beginning is read.
const ACCOUNT_BYTES_MAX: u64 = 256 << 20;

/// Periods in a second.
const PERIODS: u64 = 50;

/// The metadata of a repaired recording; or its account, and why it could not be repaired.
pub(crate) type Outcome = Result<String, (String, io::Error)>;

/// Repairs everything in the folder.
pub(crate) fn repair_all<S: Storage>(storage: &mut S) -> Vec<Outcome> {
    let journal = match segments(storage).and_then(|segments| {
        replay(storage, &segments)?;
        Ok(segments)
    }) {
        Ok(segments) => segments,
        Err(error) => return vec![Err((crate::journal::FOLDER.to_owned(), error))],
    };
    let names = match storage.names() {
        Ok(names) => names,
        Err(error) => return vec![Err((crate::journal::FOLDER.to_owned(), error))],
    };
    let accounts: Vec<String> =
        names.into_iter().filter(|name| name.ends_with(ACCOUNT) && is_harmless(name)).collect();
    let outcomes: Vec<(String, io::Result<String>)> = accounts
        .into_iter()
        .map(|name| {
            let outcome = repair_one(storage, &name);
            (name, outcome)
        })
        .collect();
    let is_held = storage.sync_all();
    if is_held.is_ok() {
        for number in journal {
            // One that stays is replayed again, which changes nothing.
            let _ = storage.remove(&segment_name(number));
        }
    }
    let conclude = |(name, outcome): (String, io::Result<String>)| match (outcome, &is_held) {
        (Ok(metadata), Ok(())) => match storage.remove(&name) {
            Ok(()) => Ok(metadata),
            Err(error) => Err((name, error)),
        },
        (Ok(_), Err(error)) => Err((name, error.kind().into())),
        (Err(error), _) => Err((name, error)),
    };
    outcomes.into_iter().map(conclude).collect()
}

/// The number for the next segment: above all that are there.
pub(crate) fn next_segment<S: Storage>(storage: &S) -> io::Result<u64> {
    Ok(segments(storage)?.last().map_or(1, |last| last.saturating_add(1)))
}

/// Repairs one recording, but leaves its account. Returns the name of its metadata.
fn repair_one<S: Storage>(storage: &mut S, name: &str) -> io::Result<String> {
    let stem = name.strip_suffix(ACCOUNT).unwrap_or(name);
    let mut account = read_account(storage, name)?;
    let is_ours = |name: &String| is_harmless(name) && name.starts_with(stem);
    let named = account.files.iter().flat_map(|file| [Some(&file.name), file.peaks.as_ref()]);
    if account.name != stem || !named.flatten().all(is_ours) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Files of which nothing is kept had not begun.
    let kept = account.kept.clone();
    for file in account.files.drain(kept.len().min(account.files.len())..) {
        remove_if_there(storage, &file.name)?;
    }
    account.tracks.retain(|track| (track.facts.file as usize) < kept.len());
    let longest = kept.iter().map(|kept| kept.periods).max().unwrap_or_default();
    let mut sealed = Vec::with_capacity(kept.len());
    for (file, kept) in account.files.iter_mut().zip(&kept) {
        sealed.push(repair_file(storage, file, *kept, longest)?);
    }
    let document = metadata_name(stem);
    let part = format!("{document}{PART}");
    let file = storage.create(&part)?;
    storage.set_length(&file, 0)?;
    write_one(storage, &file, 0, &Metadata::of(&account, &sealed).to_json())?;
    drop(file);
    storage.rename(&part, &document)?;
    Ok(document)
}

/// The name that a file has now.
fn present<S: Storage>(storage: &S, name: &str) -> Option<String> {
    let part = format!("{name}{PART}");
    if storage.exists(&part) {
        return Some(part);
    }
    storage.exists(name).then(|| name.to_owned())
}

fn remove_if_there<S: Storage>(storage: &mut S, name: &str) -> io::Result<()> {
    present(storage, name).map_or(Ok(()), |name| storage.remove(&name))
}

fn read_account<S: Storage>(storage: &mut S, name: &str) -> io::Result<Account> {
    let file = storage.open(name)?;
    let mut lines = Vec::new();
    Reading::new(storage, &file, ACCOUNT_BYTES_MAX).read_to_end(&mut lines)?;
    let storage = std::cell::RefCell::new(storage);
    let length = |file: &FileFacts| {
        if !is_harmless(&file.name) {
            return 0;
        }
        let mut storage = storage.borrow_mut();
        let Some(name) = present(&**storage, &file.name) else { return 0 };
        storage.open(&name).and_then(|file| storage.length(&file)).unwrap_or_default()
    };
    Account::read(&lines, length).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Makes one file whole and gives it its final name.
fn repair_file<S: Storage>(
    storage: &mut S,
    facts: &mut FileFacts,
    kept: Kept,
    longest: u64,
) -> io::Result<Sealed> {
    let format = Format::of_extension(&facts.format).ok_or(io::ErrorKind::InvalidData)?;
    let name = present(storage, &facts.name).ok_or(io::ErrorKind::NotFound)?;
    let file = storage.open(&name)?;
    let mut bytes = kept.bytes;
    if format == Format::Wav && kept.periods < longest {
        // It was about to catch up with the others: what it lacks is silence.
        let frame = u64::from(facts.channels) * 2 * u64::from(facts.sample_rate) / PERIODS;
        bytes = bytes.saturating_add((longest - kept.periods).saturating_mul(frame));
    }
    storage.set_length(&file, kept.bytes)?;
    storage.set_length(&file, bytes)?;
    let found = whole(format, &mut Reading::new(storage, &file, bytes))?;
    storage.set_length(&file, found.bytes)?;
    if !found.tail.is_empty() {
        write_one(storage, &file, found.bytes, &found.tail)?;
    }
    if !found.head.is_empty() {
        write_one(storage, &file, 0, &found.head)?;
    }
    let rate = u64::from(facts.sample_rate);
    let samples = if rate == 0 { kept.periods } else { found.samples };
    let periods = if rate == 0 { 0 } else { samples.saturating_mul(PERIODS).div_ceil(rate) };
    let bytes = found.bytes + found.tail.len() as u64;
    let crc32 = checksum(storage, &file, bytes)?;
    drop(file);
    if name != facts.name {
        storage.rename(&name, &facts.name)?;
    }
    repair_peaks(storage, facts, periods)?;
    Ok(Sealed { bytes, samples, crc32 })
}

/// Makes the waveform preview say how long it is. One that is missing is no longer told of.
fn repair_peaks<S: Storage>(
    storage: &mut S,
    facts: &mut FileFacts,
    periods: u64,
) -> io::Result<()> {
    let Some(peaks) = &facts.peaks else { return Ok(()) };
    let rate = media_units::RateClass::ALL.into_iter().find(|one| one.hertz() == facts.sample_rate);
    let (Some(rate), Some(name)) = (rate, present(storage, peaks)) else {
        facts.peaks = None;
        return Ok(());
    };
    let file = storage.open(&name)?;
    let pair = 2 * u64::from(facts.channels).max(1);
    let there = storage.length(&file)?.saturating_sub(peaks::HEADER_BYTES as u64) / pair;
    let pairs = there.min(periods.div_ceil(PERIODS_PER_PAIR as u64));
    let mut head = Vec::new();
    peaks::header(rate, facts.channels, u32::try_from(pairs).unwrap_or(u32::MAX), &mut head);
    storage.set_length(&file, peaks::HEADER_BYTES as u64 + pairs * pair)?;
    write_one(storage, &file, 0, &head)?;
    drop(file);
    if name == *peaks { Ok(()) } else { storage.rename(&name, peaks) }
}

/// CRC-32 of a file's first bytes.
pub(crate) fn checksum<S: Storage>(storage: &S, file: &S::File, bytes: u64) -> io::Result<u32> {
    let mut reading = BufReader::with_capacity(1 << 16, Reading::new(storage, file, bytes));
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reading.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
