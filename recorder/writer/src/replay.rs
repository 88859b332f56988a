//! Replays the journal: performs again what was to be written into files.
//!
//! Every operation gives the same result however often it is performed. Replay stops before the
//! first damage, and never touches a file outside of the folder: names were looked at when they
//! were read.

use std::collections::BTreeMap;
use std::io;

use recorder::journal::{Damage, HEADER_BYTES, Header, Operation};

use crate::growing::PART;
use crate::journal::{FOLDER, segment_name, segment_number};
use crate::storage::{Storage, Write};

/// Files that are open at one time.
const OPEN_MAX: usize = 256;

/// The numbers of all segments that are there, oldest first.
pub(crate) fn segments<S: Storage>(storage: &S) -> io::Result<Vec<u64>> {
    let names = storage.names_in(FOLDER)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What became of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Replayed {
    pub(crate) commits: u64,
    /// Why it ended before the last byte, where it did: anything but [`Damage::Blank`] is where
    /// the last write was torn.
    pub(crate) damage: Option<Damage>,
}

/// Performs what these segments say. After damage the next segment counts only if it goes on
/// where the damage began.
pub(crate) fn replay<S: Storage>(storage: &mut S, segments: &[u64]) -> io::Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut expected = None;
    let void = void_before(storage, segments)?;
    for &number in segments.iter().filter(|&&number| number >= void) {
        let file = storage.open(&segment_name(number))?;
        let mut targets = Targets::default();
        let mut at = 0;
        let mut is_first = true;
        replayed.damage = loop {
            let (header, body) = match read_commit(storage, &file, at)? {
                Ok(commit) => commit,
                Err(damage) => break Some(damage),
            };
            let goes_on = match expected {
                // A repetition after a refusal begins earlier.
                Some(expected) if is_first => header.sequence <= expected,
                Some(expected) => header.sequence == expected,
                None => true,
            };
            if !goes_on {
                return Ok(replayed);
            }
            match header.operations(&body) {
                Ok(operations) => targets.perform(storage, &operations)?,
                Err(damage) => break Some(damage),
            }
            is_first = false;
            expected = Some(header.sequence.saturating_add(1));
            replayed.commits += 1;
            at += header.commit_bytes() as u64;
        };
        if is_first && replayed.damage.is_some_and(|damage| damage != Damage::Blank) {
            // Not even its first commit: what comes later may build on it.
            return Ok(replayed);
        }
    }
    Ok(replayed)
}

/// The first segment that counts: the disk held what earlier ones were written for.
fn void_before<S: Storage>(storage: &mut S, segments: &[u64]) -> io::Result<u64> {
    let mut void = 0;
    for &number in segments {
        let file = storage.open(&segment_name(number))?;
        if let Ok((header, body)) = read_commit(storage, &file, 0)?
            && let Ok(operations) = header.operations(&body)
            && let Some(Operation::Void { before }) = operations.first()
        {
            void = void.max(*before);
        }
    }
    Ok(void)
}

fn read_commit<S: Storage>(
    storage: &S,
    file: &S::File,
    at: u64,
) -> io::Result<Result<(Header, Vec<u8>), Damage>> {
    let mut header = [0; HEADER_BYTES];
    if read_up_to(storage, file, at, &mut header)? < HEADER_BYTES {
        return Ok(Err(Damage::Blank));
    }
    let header = match Header::read(&header) {
        Ok(header) => header,
        Err(damage) => return Ok(Err(damage)),
    };
    let left = storage.length(file)?.saturating_sub(at + HEADER_BYTES as u64);
    if (header.body as u64) > left {
        return Ok(Err(Damage::Header));
    }
    let mut body = vec![0; header.body];
    let read = read_up_to(storage, file, at + HEADER_BYTES as u64, &mut body)?;
    body.truncate(read);
    Ok(Ok((header, body)))
}

/// Fills as much of the buffer as the file has.
pub(crate) fn read_up_to<S: Storage>(
    storage: &S,
    file: &S::File,
    at: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let count = storage.read(file, at + filled as u64, &mut buffer[filled..])?;
        if count == 0 {
            break;
        }
        filled += count;
    }
    Ok(filled)
}

/// What was opened; none where there is no such file.
fn or_none<F>(opened: io::Result<F>) -> io::Result<Option<F>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// A file that a segment names.
struct Target<F> {
    name: String,
    file: Option<F>,
    /// It was removed by somebody: what is left in the journal makes no file.
    is_gone: bool,
}

struct Targets<F> {
    known: BTreeMap<u32, Target<F>>,
    open: usize,
}

impl<F> Default for Targets<F> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), open: 0 }
    }
}

impl<F> Targets<F> {
    fn perform<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        operations: &[Operation<'_>],
    ) -> io::Result<()> {
        let mut writes = Vec::new();
        for operation in operations {
            match *operation {
                Operation::Name { file, name } => {
                    let target = Target { name: name.to_owned(), file: None, is_gone: false };
                    self.known.insert(file, target);
                }
                Operation::Write { file, offset, bytes } => writes.push((file, offset, bytes)),
                Operation::Finish { file } => {
                    self.write(storage, &mut writes)?;
                    self.finish(storage, file)?;
                }
                Operation::Remove { file } => {
                    self.write(storage, &mut writes)?;
                    self.remove(storage, file)?;
                }
                Operation::Void { .. } => {}
            }
        }
        self.write(storage, &mut writes)
    }

    /// Performs the writes, and closes files where too many are open.
    fn write<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        writes: &mut Vec<(u32, u64, &[u8])>,
    ) -> io::Result<()> {
        // A piece at a time: each file at most once with its head, and few files at a time.
        for piece in writes.chunks(OPEN_MAX) {
            for &(file, offset, _) in piece {
                self.open(storage, file, offset)?;
            }
            let open = piece.iter().filter_map(|&(file, offset, bytes)| {
                let file = self.known.get(&file)?.file.as_ref()?;
                Some(Write { file, offset, bytes })
            });
            let mut outcomes = Vec::new();
            storage.write(&open.collect::<Vec<_>>(), &mut outcomes);
            outcomes.into_iter().collect::<io::Result<()>>()?;
            if self.open > OPEN_MAX {
                self.known.values_mut().for_each(|target| target.file = None);
                self.open = 0;
            }
        }
        writes.clear();
        Ok(())
    }

    /// Opens the file by the name it has now. One that is not there is made only from its start.
    fn open<S: Storage<File = F>>(
        &mut self,
        storage: &mut S,
        file: u32,
        offset: u64,
    ) -> io::Result<()> {
        let Some(target) = self.known.get_mut(&file) else { return Ok(()) };
        if target.file.is_some() || target.is_gone {
            return Ok(());
        }
        let part = format!("{}{PART}", target.name);
        // What cannot be opened is not gone: the journal is needed until it can be.
        let opened = match or_none(storage.open(&part))? {
            None => or_none(storage.open(&target.name))?,
            opened => opened,
        };
        let opened = match opened {
            None if offset == 0 => Some(storage.create(&part)?),
            opened => opened,
        };
        target.is_gone = opened.is_none();
        self.open += usize::from(opened.is_some());
        target.file = opened;
        Ok(())
    }

    fn finish<S: Storage<File = F>>(&mut self, storage: &mut S, file: u32) -> io::Result<()> {
        let Some(target) = self.known.get_mut(&file) else { return Ok(()) };
        let part = format!("{}{PART}", target.name);
        target.file = None;
        if storage.exists(&part) { storage.rename(&part, &target.name) } else { Ok(()) }
    }

    fn remove<S: Storage<File = F>>(&mut self, storage: &mut S, file: u32) -> io::Result<()> {
        let Some(target) = self.known.get_mut(&file) else { return Ok(()) };
        target.file = None;
        for name in [format!("{}{PART}", target.name), target.name.clone()] {
            if storage.exists(&name) {
                storage.remove(&name)?;
            }
        }
        Ok(())
    }
}
