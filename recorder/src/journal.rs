//! The journal: what was to be written into files, in commits that are whole or not there.
//!
//! A segment is a file of commits, one after the other, each padded to [`ALIGNMENT`] so that it
//! can bypass the page cache. A commit has a header with its sequence number and a CRC-32 over
//! all of it; its operations name files by numbers that the same segment has introduced. To
//! replay a segment is to perform its operations again: each gives the same result however often
//! it is performed. What is read may be anything: never a panic, never a name that leaves the
//! folder.

/// Commits start and end at multiples of it.
pub const ALIGNMENT: usize = 4096;

/// Bytes of a commit's header.
pub const HEADER_BYTES: usize = 32;

/// A commit is never longer.
pub const COMMIT_BYTES_MAX: usize = 256 << 20;

/// The longest name of a file, in octets.
pub const NAME_BYTES_MAX: usize = 1024;

const MAGIC: &[u8; 8] = b"mmjrnl01";

/// One operation. Files are named without what marks them as unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// From now on in this segment, this number is this file.
    Name {
        /// The number.
        file: u32,
        /// Relative to the recordings' folder; harmless by [`is_harmless`].
        name: &'a str,
    },
    /// Bytes at a place of a file.
    Write {
        /// Which file.
        file: u32,
        /// From which byte on.
        offset: u64,
        /// What.
        bytes: &'a [u8],
    },
    /// The file is complete and gets its final name.
    Finish {
        /// Which file.
        file: u32,
    },
    /// The file goes away.
    Remove {
        /// Which file.
        file: u32,
    },
    /// Segments with lower numbers do not count any more. First in its segment.
    Void {
        /// The first segment that counts.
        before: u64,
    },
}

/// Why what was read is no commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Damage {
    /// Nothing was ever written here.
    Blank,
    /// It does not begin like a commit, or claims to be longer than what is there.
    Header,
    /// It is not what was written.
    Checksum,
    /// Its operations make no sense.
    Operation,
}

/// A commit under construction, appended to `bytes`.
#[derive(Debug)]
pub struct Commit<'a> {
    bytes: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Commit<'a> {
    /// An empty one, after what is there already.
    pub fn begin(bytes: &'a mut Vec<u8>) -> Self {
        let start = bytes.len();
        bytes.resize(start + HEADER_BYTES, 0);
        Self { bytes, start }
    }

    /// Adds an operation.
    pub fn add(&mut self, operation: Operation<'_>) {
        let out = &mut *self.bytes;
        match operation {
            Operation::Name { file, name } => {
                out.push(1);
                out.extend(file.to_le_bytes());
                out.extend((name.len() as u16).to_le_bytes());
                out.extend(name.as_bytes());
            }
            Operation::Write { file, offset, bytes } => {
                out.push(2);
                out.extend(file.to_le_bytes());
                out.extend(offset.to_le_bytes());
                out.extend((bytes.len() as u32).to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Operation::Finish { file } => {
                out.push(3);
                out.extend(file.to_le_bytes());
            }
            Operation::Remove { file } => {
                out.push(4);
                out.extend(file.to_le_bytes());
            }
            Operation::Void { before } => {
                out.push(5);
                out.extend(before.to_le_bytes());
            }
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == HEADER_BYTES
    }

    /// Its length so far.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Completes it: header, checksum, padding.
    pub fn seal(self, sequence: u64) {
        let body = (self.len() - HEADER_BYTES) as u32;
        let (header, rest) = self.bytes[self.start..].split_at_mut(HEADER_BYTES);
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&sequence.to_le_bytes());
        header[16..20].copy_from_slice(&body.to_le_bytes());
        let sum = checksum(&header[..20], rest);
        header[20..24].copy_from_slice(&sum.to_le_bytes());
        let padded = self.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(self.start + padded, 0);
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(body);
    hasher.finalize()
}

/// What a commit's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// One more than that of the commit before.
    pub sequence: u64,
    /// Bytes of its operations.
    pub body: usize,
    checksum: u32,
}

impl Header {
    /// Reads the header at the start of a commit.
    pub fn read(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Damage> {
        if bytes == &[0; HEADER_BYTES] {
            return Err(Damage::Blank);
        }
        if &bytes[..8] != MAGIC {
            return Err(Damage::Header);
        }
        let mut rest = Bytes(&bytes[8..]);
        let (Some(sequence), Some(body), Some(checksum)) = (rest.u64(), rest.u32(), rest.u32())
        else {
            return Err(Damage::Header);
        };
        let body = body as usize;
        if body > COMMIT_BYTES_MAX {
            return Err(Damage::Header);
        }
        Ok(Self { sequence, body, checksum })
    }

    /// Bytes of the commit with its padding.
    pub const fn commit_bytes(&self) -> usize {
        (HEADER_BYTES + self.body).next_multiple_of(ALIGNMENT)
    }

    /// The operations in `body`, once they are known to be what was written.
    pub fn operations<'a>(&self, body: &'a [u8]) -> Result<Vec<Operation<'a>>, Damage> {
        let body = body.get(..self.body).ok_or(Damage::Header)?;
        let mut header = [0; 20];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        header[16..].copy_from_slice(&(self.body as u32).to_le_bytes());
        if checksum(&header, body) != self.checksum {
            return Err(Damage::Checksum);
        }
        let mut rest = Bytes(body);
        let mut operations = Vec::new();
        while !rest.0.is_empty() {
            operations.push(rest.operation().ok_or(Damage::Operation)?);
        }
        Ok(operations)
    }
}

/// Whether a file may be called that: a relative path of plain components, none of them hidden.
pub fn is_harmless(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.split('/').all(|part| {
            !part.is_empty()
                && part.len() <= 200
                && !part.starts_with('.')
                && !part.chars().any(|c| c.is_control() || c == '\\')
        })
}

/// What is still to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn operation(&mut self) -> Option<Operation<'a>> {
        let [kind] = self.array()?;
        if kind == 5 {
            return Some(Operation::Void { before: self.u64()? });
        }
        let file = self.u32()?;
        Some(match kind {
            1 => {
                let length = self.array().map(u16::from_le_bytes)?;
                let name = std::str::from_utf8(self.take(usize::from(length))?).ok()?;
                is_harmless(name).then_some(Operation::Name { file, name })?
            }
            2 => {
                let (offset, length) = (self.u64()?, self.u32()?);
                let bytes = self.take(length as usize)?;
                offset.checked_add(u64::from(length))?;
                Operation::Write { file, offset, bytes }
            }
            3 => Operation::Finish { file },
            4 => Operation::Remove { file },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads one commit from the start of `bytes`.
    fn read(bytes: &[u8]) -> Result<(u64, Vec<Operation<'_>>), Damage> {
        let header = bytes.first_chunk().ok_or(Damage::Header)?;
        let header = Header::read(header)?;
        Ok((header.sequence, header.operations(&bytes[HEADER_BYTES..])?))
    }

    const OPERATIONS: [Operation<'_>; 5] = [
        Operation::Name { file: 7, name: "2026/room.wav" },
        Operation::Write { file: 7, offset: 44, bytes: b"sound" },
        Operation::Finish { file: 7 },
        Operation::Remove { file: 8 },
        Operation::Void { before: 9 },
    ];

    fn sealed() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut commit = Commit::begin(&mut bytes);
        assert!(commit.is_empty());
        for operation in OPERATIONS {
            commit.add(operation);
        }
        commit.seal(3);
        bytes
    }

    #[test]
    fn what_was_committed_is_read_again() {
        let bytes = sealed();
        assert_eq!(bytes.len(), ALIGNMENT);
        assert_eq!(read(&bytes), Ok((3, OPERATIONS.to_vec())));
        assert_eq!(read(&[0; ALIGNMENT]), Err(Damage::Blank));
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        for name in ["", "/etc/x", "a//b", "../x", "a/../b", ".journal/x", "a/", "a\0b", "a\\b"] {
            assert!(!is_harmless(name), "{name:?}");
            let mut bytes = Vec::new();
            let mut commit = Commit::begin(&mut bytes);
            commit.add(Operation::Name { file: 1, name });
            commit.seal(0);
            assert_eq!(read(&bytes), Err(Damage::Operation));
        }
        assert!(is_harmless("2026-11-21/room 7..wav"));
    }

    proptest! {
        #[test]
        fn any_changed_bit_is_noticed(bit in 0..8 * (HEADER_BYTES + 61)) {
            let mut bytes = sealed();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let unused = (24 * 8..32 * 8).contains(&bit);
            prop_assert_eq!(read(&bytes).is_ok(), unused);
        }

        #[test]
        fn any_truncation_is_noticed(length in 0..HEADER_BYTES + 61) {
            prop_assert!(read(&sealed()[..length]).is_err());
        }

        #[test]
        fn operations_of_anything_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = Vec::new();
            let commit = Commit::begin(&mut bytes);
            commit.bytes.extend_from_slice(&body);
            commit.seal(1);
            for operation in read(&bytes).map(|(_, operations)| operations).unwrap_or_default() {
                if let Operation::Name { name, .. } = operation {
                    prop_assert!(is_harmless(name));
                }
            }
        }
    }
}
