//! A ring in which the kernel leaves what comes to a packet socket, in blocks (`TPACKET_V3`,
//! linux/if_packet.h).

use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::Socket;

use crate::cable::option;

const BLOCK_BYTES: usize = 256 * 1024;
const BLOCKS: usize = 64;
/// A block that is not full is handed over after so many milliseconds.
const PATIENCE_MS: u32 = 4;

/// Offsets in a block's header.
const STATUS: usize = 8;
const PACKETS: usize = 12;
const FIRST: usize = 16;

const OF_KERNEL: u32 = 0;
const OF_USER: u32 = 1;

/// The ring, with its socket.
pub(crate) struct Ring {
    start: NonNull<u8>,
    next: usize,
    _socket: Socket,
}

impl Ring {
    /// Makes a ring for what comes to this socket.
    pub(crate) fn open(socket: Socket) -> io::Result<Self> {
        option(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as i32))?;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK_BYTES as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: 2048,
            tp_frame_nr: (BLOCKS * BLOCK_BYTES / 2048) as u32,
            tp_retire_blk_tov: PATIENCE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        option(&socket, libc::PACKET_RX_RING, &request)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (bytes, file) = (BLOCKS * BLOCK_BYTES, socket.as_raw_fd());
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, next: 0, _socket: socket })
    }

    /// Gives every frame that has come to `take`, with the time when it did.
    pub(crate) fn read(&mut self, mut take: impl FnMut(&[u8], u64)) {
        loop {
            // SAFETY: the next block is inside the mapping, which lives as long as the ring.
            let block = unsafe { self.start.add(self.next * BLOCK_BYTES) };
            // SAFETY: an aligned word of the block's header, which both sides access as one.
            let status = unsafe { block.add(STATUS).cast::<AtomicU32>().as_ref() };
            if status.load(Ordering::Acquire) & OF_USER == 0 {
                return;
            }
            // SAFETY: the kernel leaves the block alone until it is given back below.
            read_block(unsafe { slice::from_raw_parts(block.as_ptr(), BLOCK_BYTES) }, &mut take);
            status.store(OF_KERNEL, Ordering::Release);
            self.next = (self.next + 1) % BLOCKS;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and what was borrowed from it is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), BLOCKS * BLOCK_BYTES) };
    }
}

fn read_block(block: &[u8], take: &mut impl FnMut(&[u8], u64)) {
    let word = |at: usize| u32::from_ne_bytes(block[at..at + 4].try_into().expect("four octets"));
    let half = |at: usize| u16::from_ne_bytes([block[at], block[at + 1]]);
    let mut at = word(FIRST) as usize;
    for _ in 0..word(PACKETS) {
        let [next, seconds, nanos, length] = [0, 4, 8, 12].map(|offset| word(at + offset));
        let start = at + usize::from(half(at + 24));
        let time_ns = u64::from(seconds) * 1_000_000_000 + u64::from(nanos);
        take(&block[start..start + length as usize], time_ns);
        at += next as usize;
    }
}
