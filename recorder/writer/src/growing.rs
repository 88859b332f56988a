//! A file that grows: what is to be written into it, first by way of the journal, then itself.

use std::io;

use recorder::journal::{Commit, Operation};

use crate::storage::{Storage, Write};

/// What marks a file as unfinished.
pub(crate) const PART: &str = ".part";

/// Bytes with their places in a file: those that the journal knows, and after them those that are
/// still to be told to it.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    /// How many of the bytes the journal knows.
    told: usize,
    /// How many of them the file has.
    written: usize,
}

/// Bytes in a row.
#[derive(Debug, Clone, Copy)]
struct Piece {
    offset: u64,
    /// Where they are among all.
    start: usize,
    end: usize,
}

impl Patch {
    /// Adds bytes at a place, and says how many.
    fn put(&mut self, offset: u64, fill: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len();
        fill(&mut self.bytes);
        let end = self.bytes.len();
        match self.pieces.last_mut() {
            _ if start == end => {}
            Some(last) if last.offset + (last.end - last.start) as u64 == offset => last.end = end,
            _ => self.pieces.push(Piece { offset, start, end }),
        }
        end - start
    }

    /// Forgets the last bytes, all of which were put there at once.
    fn take_back(&mut self, count: usize) {
        let end = self.bytes.len() - count;
        self.bytes.truncate(end);
        if let Some(last) = self.pieces.last_mut() {
            last.end = end;
        }
        self.pieces.pop_if(|last| last.start == last.end);
    }

    /// What lies between two of its bytes, in the order in which it is to be written.
    fn between(&self, from: usize, to: usize) -> impl Iterator<Item = (u64, &[u8])> {
        self.pieces.iter().filter_map(move |piece| {
            let (start, end) = (piece.start.max(from), piece.end.min(to));
            let bytes = self.bytes.get(start..end)?;
            let offset = piece.offset + (start - piece.start) as u64;
            (!bytes.is_empty()).then_some((offset, bytes))
        })
    }

    /// What the journal is to be told.
    fn untold(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.between(self.told, self.bytes.len())
    }

    /// What the journal knows, and the file does not have.
    fn told(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.between(self.written, self.told)
    }

    /// What the file does not have.
    fn unwritten(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.between(self.written, self.bytes.len())
    }

    /// Forgets what the journal knows, for the file has it, and says how much that was.
    fn forget_told(&mut self) -> usize {
        let told = std::mem::take(&mut self.told);
        self.written = self.written.saturating_sub(told);
        if told == self.bytes.len() {
            self.bytes.clear();
            self.pieces.clear();
            return told;
        }
        let rest = self.between(told, self.bytes.len());
        let mut pieces: Vec<Piece> = Vec::new();
        let mut start = 0;
        for (offset, bytes) in rest {
            pieces.push(Piece { offset, start, end: start + bytes.len() });
            start += bytes.len();
        }
        self.pieces = pieces;
        self.bytes.drain(..told);
        told
    }
}

/// A file of a recording that goes on.
#[derive(Debug)]
pub(crate) struct Growing<F> {
    /// Its final name.
    pub(crate) name: String,
    /// Its number in the journal.
    number: u32,
    /// The segment of the journal that knows its name.
    named_in: Option<u64>,
    file: Option<F>,
    /// Its length with all that is still to be written.
    pub(crate) length: u64,
    /// CRC-32 of what was appended, but for the first `head` bytes.
    crc: crc32fast::Hasher,
    /// The first bytes, which may be written over: never a part of the patches, so that a file's
    /// writes can be performed in any order.
    head: Vec<u8>,
    /// Whether the journal, and whether the file is to be told of the first bytes.
    is_head_fresh: bool,
    is_head_journaled: bool,
    /// What the file does not have yet.
    patch: Patch,
}

impl<F> Growing<F> {
    /// A file of that name, which begins with bytes that may be written over.
    pub(crate) fn new(name: String, number: u32, head: Vec<u8>) -> Self {
        Self {
            name,
            number,
            named_in: None,
            file: None,
            length: head.len() as u64,
            crc: crc32fast::Hasher::new(),
            is_head_fresh: !head.is_empty(),
            is_head_journaled: false,
            head,
            patch: Patch::default(),
        }
    }

    /// Appends what `fill` puts behind what is there.
    pub(crate) fn append(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        self.add(fill);
    }

    /// Appends what `fill` puts behind what is there; where that is nothing but zeroes, without a
    /// byte to be written. Others must follow.
    pub(crate) fn append_or_leave_hole(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let added = self.add(fill);
        let bytes = &self.patch.bytes;
        if bytes[bytes.len() - added..].iter().all(|&byte| byte == 0) {
            self.patch.take_back(added);
        }
    }

    fn add(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> usize {
        let added = self.patch.put(self.length, fill);
        let bytes = &self.patch.bytes;
        self.crc.update(&bytes[bytes.len() - added..]);
        self.length += added as u64;
        added
    }

    /// Writes over the first bytes, as long as what it began with.
    pub(crate) fn set_head(&mut self, head: Vec<u8>) {
        if head.len() == self.head.len() && head != self.head {
            self.head = head;
            self.is_head_fresh = true;
        }
    }

    /// CRC-32 of the whole file.
    pub(crate) fn crc32(&self) -> u32 {
        let mut whole = crc32fast::Hasher::new();
        whole.update(&self.head);
        whole.combine(&self.crc);
        whole.finalize()
    }

    /// The name while it grows.
    fn part(&self) -> String {
        format!("{}{PART}", self.name)
    }

    /// Whether there is something for the journal.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_head_fresh || self.patch.told < self.patch.bytes.len()
    }

    /// Octets in memory that the file does not have yet.
    pub(crate) fn waiting(&self) -> usize {
        self.patch.bytes.len() - self.patch.written
    }

    /// Tells the journal what is new. The segment's number says whether it knows the name.
    pub(crate) fn tell(&mut self, segment: u64, commit: &mut Commit<'_>) {
        self.name_in(segment, commit);
        if self.is_head_fresh {
            commit.add(Operation::Write { file: self.number, offset: 0, bytes: &self.head });
        }
        for (offset, bytes) in self.patch.untold() {
            commit.add(Operation::Write { file: self.number, offset, bytes });
        }
    }

    /// Tells the journal that the file is complete.
    pub(crate) fn tell_finish(&mut self, segment: u64, commit: &mut Commit<'_>) {
        self.name_in(segment, commit);
        commit.add(Operation::Finish { file: self.number });
    }

    /// Tells the journal that the file goes away.
    pub(crate) fn tell_removal(&mut self, segment: u64, commit: &mut Commit<'_>) {
        self.name_in(segment, commit);
        commit.add(Operation::Remove { file: self.number });
    }

    fn name_in(&mut self, segment: u64, commit: &mut Commit<'_>) {
        if self.named_in != Some(segment) {
            commit.add(Operation::Name { file: self.number, name: &self.name });
            self.named_in = Some(segment);
        }
    }

    /// The journal holds what was told.
    pub(crate) fn was_told(&mut self) {
        self.is_head_journaled |= std::mem::take(&mut self.is_head_fresh);
        self.patch.told = self.patch.bytes.len();
    }

    /// Opens the file, where that is needed for what waits.
    pub(crate) fn open<S: Storage<File = F>>(&mut self, storage: &mut S) -> io::Result<()> {
        if self.file.is_none() && !self.is_written() {
            self.file = Some(storage.create(&self.part())?);
        }
        Ok(())
    }

    /// What is to be written, where the file is open.
    pub(crate) fn writes(&self) -> impl Iterator<Item = Write<'_, F>> {
        let file = self.file.as_ref();
        file.into_iter().flat_map(|file| {
            let head = self.is_head_journaled.then_some((0, &self.head[..]));
            let pieces = head.into_iter().chain(self.patch.told());
            pieces.map(move |(offset, bytes)| Write { file, offset, bytes })
        })
    }

    /// What can be written before it is certain that the disk holds the journal: what is appended,
    /// where the file is open.
    pub(crate) fn early_writes(&self) -> impl Iterator<Item = Write<'_, F>> {
        let file = self.file.as_ref();
        file.into_iter().flat_map(|file| {
            self.patch.unwritten().map(move |(offset, bytes)| Write { file, offset, bytes })
        })
    }

    /// All early writes were performed.
    pub(crate) fn were_written_early(&mut self) {
        if self.file.is_some() {
            self.patch.written = self.patch.bytes.len();
        }
    }

    /// All writes were performed; or one was refused, and all are to be repeated on a file that
    /// is opened anew. Returns how many octets were written.
    pub(crate) fn were_written(&mut self, taken: bool) -> usize {
        if !taken {
            self.file = None;
            self.patch.written = 0;
        }
        if self.file.is_none() {
            return 0;
        }
        self.is_head_journaled = false;
        self.patch.forget_told()
    }

    /// Whether everything is in the file, as far as the journal has it.
    pub(crate) fn is_written(&self) -> bool {
        !self.is_head_journaled && self.patch.told <= self.patch.written
    }

    /// Closes the file until there is more to be written.
    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    /// Gives the file its final name. Can be repeated.
    pub(crate) fn finish<S: Storage<File = F>>(&mut self, storage: &mut S) -> io::Result<()> {
        let part = self.part();
        if !storage.exists(&part) && storage.exists(&self.name) {
            return Ok(());
        }
        self.file = None;
        storage.rename(&part, &self.name)
    }

    /// Removes the file, whatever its name is now.
    pub(crate) fn remove<S: Storage<File = F>>(&mut self, storage: &mut S) -> io::Result<()> {
        self.file = None;
        for name in [self.part(), self.name.clone()] {
            match storage.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_in_a_row_are_one_and_others_keep_their_places() {
        let mut patch = Patch::default();
        for (offset, bytes) in [(0, "ab"), (2, "cd"), (9, "e"), (0, "X")] {
            patch.put(offset, |out| out.extend(bytes.as_bytes()));
        }
        patch.put(50, |_| {});
        let pieces: Vec<_> = patch.untold().collect();
        assert_eq!(pieces, [(0, &b"abcd"[..]), (9, b"e"), (0, b"X")]);
    }

    #[test]
    fn what_comes_while_something_told_waits_stays_to_be_told() {
        let mut patch = Patch::default();
        patch.put(0, |out| out.extend(b"ab"));
        patch.told = 2;
        patch.put(2, |out| out.extend(b"cd"));
        patch.put(9, |out| out.extend(b"e"));
        assert_eq!(patch.told().collect::<Vec<_>>(), [(0, &b"ab"[..])]);
        assert_eq!(patch.untold().collect::<Vec<_>>(), [(2, &b"cd"[..]), (9, b"e")]);
        assert_eq!(patch.forget_told(), 2);
        assert_eq!(patch.told().count(), 0);
        assert_eq!(patch.untold().collect::<Vec<_>>(), [(2, &b"cd"[..]), (9, b"e")]);
        patch.told = 3;
        assert_eq!(patch.forget_told(), 3);
        assert!(patch.bytes.is_empty() && patch.pieces.is_empty());
    }

    #[test]
    fn the_checksum_is_that_of_the_whole_file_with_its_last_head_and_its_holes() {
        let mut growing = Growing::<()>::new("x".into(), 1, b"head".to_vec());
        growing.append(|out| out.extend(b"sound"));
        growing.append_or_leave_hole(|out| out.extend([0; 3]));
        growing.append(|out| out.extend(b"more"));
        growing.set_head(b"HEAD".to_vec());
        growing.set_head(b"too long".to_vec());
        growing.set_head(Vec::new());
        assert_eq!(growing.crc32(), crc32fast::hash(b"HEADsound\0\0\0more"));
        assert_eq!(growing.length, 16);
        let pieces: Vec<_> = growing.patch.untold().collect();
        assert_eq!(pieces, [(4, &b"sound"[..]), (12, b"more")]);
    }
}
