//! One chunk of socket reads: what to read, the memory it goes to, and what came of it.
//!
//! Both drivers fill the same batch, so that the shard's thread sees one kind of result. All of
//! its memory is reserved at start.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::ptr;

use engine::Port;
use libc::{c_int, iovec, msghdr, sockaddr_storage, socklen_t};

use crate::message;
use crate::network::{CHUNK, RECEIVE_BYTES_MAX};

/// Flags of every read: never wait, and tell the true length of a datagram that did not fit.
pub(crate) const RECEIVE_FLAGS: c_int = libc::MSG_DONTWAIT | libc::MSG_TRUNC;

/// One socket to be read once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    /// Whose socket.
    pub(crate) slot: u32,
    /// Which of its sockets.
    pub(crate) port: Port,
    /// The descriptor, open for as long as the batch is in use.
    pub(crate) socket: RawFd,
    /// Whether source and time stamp are wanted (`recvmsg`), or only the bytes (`recv`).
    pub(crate) message: bool,
    /// Whether the kernel stamps what comes to it.
    pub(crate) stamps: bool,
    /// What the socket is connected to when it is read.
    pub(crate) connected_to: Option<SocketAddr>,
}

/// What a socket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome<'a> {
    /// A datagram.
    Received(Received<'a>),
    /// Nothing waits.
    Empty,
    /// An error: an earlier datagram of ours was refused on its way (ICMP).
    Refused,
}

/// A datagram as the kernel gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    /// Its bytes, as many as fit.
    pub(crate) bytes: &'a [u8],
    /// Whether it had more.
    pub(crate) truncated: bool,
    /// Who sent it, where asked for.
    pub(crate) source: Option<SocketAddr>,
    /// When the kernel got it (nanoseconds since the Unix epoch), where the socket stamps.
    pub(crate) stamp_unix_nanos: Option<u64>,
}

/// A chunk of reads with its memory.
pub(crate) struct Batch {
    reads: Vec<Read>,
    places: Box<[Place]>,
}

/// The memory of one read. Its size is not a power of two, so that the first lines of all places
/// do not compete for the same cache sets.
#[repr(C, align(64))]
struct Place {
    header: msghdr,
    vector: iovec,
    name: sockaddr_storage,
    control: [u64; CONTROL_WORDS],
    /// Bytes received, or a negated error number. Beside the bytes: `recv` needs no more.
    result: i32,
    bytes: [u8; RECEIVE_BYTES_MAX],
}

/// Room for one control message with a time stamp.
const CONTROL_WORDS: usize = 8;

impl Batch {
    pub(crate) fn new() -> Self {
        let places = (0..CHUNK)
            // SAFETY: integers, null pointers and bytes: all zeros is a valid place.
            .map(|_| unsafe { MaybeUninit::<Place>::zeroed().assume_init() })
            .collect();
        Self { reads: Vec::with_capacity(CHUNK), places }
    }

    /// Bytes that a batch reserves.
    pub(crate) const fn memory_bytes() -> usize {
        CHUNK * (size_of::<Place>() + size_of::<Read>())
    }

    /// Empties the batch and takes up to a chunk of `reads`.
    pub(crate) fn fill(&mut self, reads: impl Iterator<Item = Read>) {
        self.reads.clear();
        self.reads.extend(reads.take(CHUNK));
    }

    /// The reads, in the order of their outcomes.
    pub(crate) fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// Where the bytes of read `index` go: `RECEIVE_BYTES_MAX` of them.
    pub(crate) fn bytes_mut(&mut self, index: usize) -> &mut [u8; RECEIVE_BYTES_MAX] {
        &mut self.places[index].bytes
    }

    /// The message header of read `index`, ready for `recvmsg`. It points into the batch and is
    /// valid until the batch is next touched.
    pub(crate) fn header_mut(&mut self, index: usize) -> *mut msghdr {
        let place = &mut self.places[index];
        place.vector =
            iovec { iov_base: place.bytes.as_mut_ptr().cast(), iov_len: RECEIVE_BYTES_MAX };
        place.header.msg_name = ptr::from_mut(&mut place.name).cast();
        place.header.msg_namelen = size_of::<sockaddr_storage>() as socklen_t;
        place.header.msg_iov = &raw mut place.vector;
        place.header.msg_iovlen = 1;
        place.header.msg_control = place.control.as_mut_ptr().cast();
        place.header.msg_controllen = mem::size_of_val(&place.control) as _;
        place.header.msg_flags = 0;
        &raw mut place.header
    }

    /// Notes what the kernel answered to read `index`: a length, or a negated error number.
    pub(crate) fn complete(&mut self, index: usize, result: i32) {
        if let Some(place) = self.places.get_mut(index) {
            place.result = result;
        }
    }

    /// What came of read `index`.
    pub(crate) fn outcome(&self, index: usize) -> Outcome<'_> {
        let (read, place) = (self.reads[index], &self.places[index]);
        let Ok(length) = usize::try_from(place.result) else {
            return match -place.result {
                libc::EAGAIN | libc::EINTR => Outcome::Empty,
                _ => Outcome::Refused,
            };
        };
        Outcome::Received(Received {
            bytes: &place.bytes[..length.min(RECEIVE_BYTES_MAX)],
            truncated: length > RECEIVE_BYTES_MAX,
            source: if read.message { place.source() } else { None },
            stamp_unix_nanos: if read.message { place.stamp_unix_nanos() } else { None },
        })
    }
}

impl Place {
    fn source(&self) -> Option<SocketAddr> {
        message::source(&self.name, self.header.msg_namelen)
    }

    fn stamp_unix_nanos(&self) -> Option<u64> {
        message::stamp_unix_nanos(&self.header)
    }
}

/// The result of a system call as [`Batch::complete`] takes it.
pub(crate) fn as_result(returned: isize) -> i32 {
    if returned < 0 {
        -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
    } else {
        returned as i32
    }
}
