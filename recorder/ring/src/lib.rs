//! Many writes to many files as one batch of `io_uring`, behind safe calls.
//!
//! A call gives back the buffers it borrowed only when the kernel is done with all of them, so a
//! batch never outlives its memory. Nothing is retried and nothing is interpreted here: each write
//! has its own outcome. It must never be called from a thread that may not wait for a disk.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, Probe, opcode, types};

/// Writes under way at one time.
const ENTRIES: u32 = 256;

/// Kernel threads that may wait for the disk for one ring, where a file system cannot write
/// without waiting. One is as fast as many where pages of memory are written, and cheaper.
const WORKERS_MAX: u32 = 2;

/// One write.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// Where.
    pub file: &'a File,
    /// From which byte on.
    pub offset: u64,
    /// What.
    pub bytes: &'a [u8],
}

/// A ring of its own.
pub struct Ring {
    ring: IoUring,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring, or why there is none: `io_uring` may be forbidden.
    pub fn new() -> io::Result<Self> {
        // Whoever submits waits for all of it anyway: nobody is to be woken for each.
        let ring = IoUring::builder().setup_submit_all().setup_coop_taskrun().build(ENTRIES)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Write::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        ring.submitter().register_iowq_max_workers(&mut [WORKERS_MAX, WORKERS_MAX])?;
        Ok(Self { ring })
    }

    /// Performs all writes, in any order, and says of each how many bytes were written.
    pub fn write(&mut self, writes: &[Write<'_>], outcomes: &mut Vec<io::Result<usize>>) {
        let first = outcomes.len();
        outcomes.extend(writes.iter().map(|_| Ok(0)));
        for (number, chunk) in writes.chunks(ENTRIES as usize).enumerate() {
            let at = first + number * ENTRIES as usize;
            self.write_chunk(chunk, &mut outcomes[at..at + chunk.len()]);
        }
    }

    fn write_chunk(&mut self, writes: &[Write<'_>], outcomes: &mut [io::Result<usize>]) {
        for (index, write) in writes.iter().enumerate() {
            let length = u32::try_from(write.bytes.len()).unwrap_or(u32::MAX);
            let file = types::Fd(write.file.as_raw_fd());
            let entry = opcode::Write::new(file, write.bytes.as_ptr(), length)
                .offset(write.offset)
                .build()
                .user_data(index as u64);
            // SAFETY: the bytes and the file are borrowed for the whole call, and the call ends
            // only when each entry has completed (or the process does).
            let pushed = unsafe { self.ring.submission().push(&entry) };
            assert!(pushed.is_ok(), "the ring holds a chunk");
        }
        let mut open = writes.len();
        while open > 0 {
            match self.ring.submit_and_wait(open) {
                Ok(_) => {}
                // Interrupted, or out of memory for a moment: what is queued stays queued.
                Err(error) if is_transient(&error) => std::thread::yield_now(),
                // To return or to unwind would free memory that the kernel may still read.
                Err(_) => std::process::abort(),
            }
            for completion in self.ring.completion() {
                open -= 1;
                if let Some(outcome) = outcomes.get_mut(completion.user_data() as usize) {
                    let result = completion.result();
                    *outcome =
                        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
                }
            }
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
        || error.kind() == io::ErrorKind::ResourceBusy
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;

    use super::*;

    /// None where this machine has no `io_uring`: then the server writes without it, too.
    fn ring() -> Option<Ring> {
        Ring::new().ok()
    }

    fn file(name: &str) -> (std::path::PathBuf, File) {
        let path =
            std::env::temp_dir().join(format!("recorder-ring-{}-{name}", std::process::id()));
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path);
        (path, file.unwrap())
    }

    #[test]
    fn more_writes_than_a_ring_holds_all_land_where_they_belong() {
        let Some(mut ring) = ring() else { return };
        let (path, mut file) = file("many");
        let count = 3 * ENTRIES as usize + 7;
        let pieces: Vec<[u8; 2]> = (0..count).map(|i| (i as u16).to_le_bytes()).collect();
        let writes: Vec<Write<'_>> = pieces
            .iter()
            .enumerate()
            .rev()
            .map(|(i, bytes)| Write { file: &file, offset: 2 * i as u64, bytes })
            .collect();
        let mut outcomes = Vec::new();
        ring.write(&writes, &mut outcomes);
        assert_eq!(outcomes.len(), count);
        assert!(outcomes.into_iter().all(|outcome| matches!(outcome, Ok(2))));
        let mut found = Vec::new();
        file.read_to_end(&mut found).unwrap();
        assert_eq!(found, pieces.concat());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn one_refused_write_does_not_touch_the_others() {
        let Some(mut ring) = ring() else { return };
        let (path, file) = file("one");
        let closed_to_writing = File::open(&path).unwrap();
        let write = |file| Write { file, offset: 0, bytes: b"abc" };
        let mut outcomes = Vec::new();
        ring.write(&[write(&closed_to_writing), write(&file)], &mut outcomes);
        assert!(outcomes[0].is_err());
        assert!(matches!(outcomes[1], Ok(3)));
        fs::remove_file(path).unwrap();
    }
}
