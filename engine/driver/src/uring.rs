//! The `io_uring` driver: chunks of one-shot operations, one system call per chunk.
//!
//! Nothing is ever left pending: every operation carries `MSG_DONTWAIT`, which makes the kernel
//! finish it while it is submitted, with `EAGAIN` where it would have to wait. That is what keeps
//! the buffers of this file safe to use again after each submission. There is no multishot
//! operation and no timeout in the ring.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use engine::Port;
use io_uring::{IoUring, Probe, opcode, squeue, types};
use socket2::SockAddr;

use crate::batch::{Batch, Outcome, RECEIVE_FLAGS, Read};
use crate::network::{CHUNK, Network, RECEIVE_BYTES_MAX, SEND_BYTES_MAX, join};

/// Marks the completion of a send: only failed ones complete visibly.
const SEND: u64 = 1 << 63;

/// Carries packets by chunks.
pub(crate) struct Uring {
    ring: IoUring,
    sends: Box<[Place]>,
    queued: usize,
    refused: u64,
}

/// The memory of one send. Not a power of two in size, for the sake of the cache sets.
#[repr(C, align(64))]
struct Place {
    bytes: [u8; SEND_BYTES_MAX],
    to: SockAddr,
}

impl Uring {
    /// A ring, not yet enabled: that is for the thread that will use it.
    pub(crate) fn new() -> Result<Self, (&'static str, io::Error)> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_r_disabled()
            .setup_submit_all()
            .build(2 * CHUNK as u32)
            .map_err(|error| ("io_uring_setup", error))?;
        let mut probe = Probe::new();
        ring.submitter()
            .register_probe(&mut probe)
            .map_err(|error| ("io_uring_register(PROBE)", error))?;
        let needed = [opcode::Recv::CODE, opcode::RecvMsg::CODE, opcode::Send::CODE];
        if !needed.iter().all(|&code| probe.is_supported(code)) {
            return Err(("RECV, RECVMSG and SEND", io::ErrorKind::Unsupported.into()));
        }
        if !ring.params().is_feature_skip_cqe_on_success() {
            return Err(("IOSQE_CQE_SKIP_SUCCESS", io::ErrorKind::Unsupported.into()));
        }
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let sends = (0..CHUNK)
            .map(|_| Place { bytes: [0; SEND_BYTES_MAX], to: SockAddr::from(nowhere) })
            .collect();
        Ok(Self { ring, sends, queued: 0, refused: 0 })
    }

    /// Bytes that one ring and its buffers reserve.
    pub(crate) const fn memory_bytes() -> usize {
        CHUNK * (size_of::<Place>() + 2 * size_of::<squeue::Entry>() + 4 * 16)
    }

    /// Performs each operation once, on the calling thread: only then is it known to be allowed.
    pub(crate) fn probe() -> Result<(), (&'static str, io::Error)> {
        let mut ring = Self::new()?;
        ring.adopt().map_err(|error| ("io_uring_register(ENABLE)", error))?;
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| ("bind", error))?;
        let here = socket.local_addr().map_err(|error| ("getsockname", error))?;
        let mut batch = Batch::new();
        for message in [false, true] {
            let read = Read {
                slot: 0,
                port: Port::Rtp,
                socket: socket.as_raw_fd(),
                message,
                stamps: true,
                connected_to: None,
            };
            ring.send(socket.as_fd(), Some(here), [b"probe", b""]);
            ring.flush();
            batch.fill([read, read].into_iter());
            ring.receive(&mut batch);
            let outcomes = [batch.outcome(0), batch.outcome(1)];
            if !matches!(outcomes, [Outcome::Received(_), Outcome::Empty]) {
                return Err(("SEND and RECV", io::ErrorKind::Unsupported.into()));
            }
        }
        Ok(())
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the entry points to memory of this driver or of a batch. Both outlive the
        // submission, and the operation is over when the submission returns (MSG_DONTWAIT).
        let pushed = unsafe { self.ring.submission().push(entry) };
        assert!(pushed.is_ok(), "the ring holds a chunk of each kind");
    }

    /// Hands everything queued to the kernel, which performs it before it returns.
    fn submit(&mut self) {
        while !self.ring.submission().is_empty() {
            match self.ring.submit() {
                Ok(_) => {}
                // Out of memory for a moment, or interrupted: what is queued stays queued.
                Err(error) if is_transient(&error) => std::thread::yield_now(),
                Err(error) => panic!("io_uring_enter: {error}"),
            }
        }
        self.queued = 0;
    }

    fn wait_for_one(&mut self) {
        match self.ring.submit_and_wait(1) {
            Err(error) if !is_transient(&error) => panic!("io_uring_enter: {error}"),
            _ => {}
        }
    }

    /// Notes what completed; returns how many reads did.
    fn harvest(&mut self, batch: &mut Batch) -> usize {
        let mut reads = 0;
        for completion in self.ring.completion() {
            if completion.user_data() == SEND {
                self.refused += 1;
            } else {
                batch.complete(completion.user_data() as usize, completion.result());
                reads += 1;
            }
        }
        reads
    }
}

impl Network for Uring {
    fn adopt(&mut self) -> io::Result<()> {
        self.ring.submitter().register_enable_rings()
    }

    fn receive(&mut self, batch: &mut Batch) {
        for index in 0..batch.reads().len() {
            let read = batch.reads()[index];
            let socket = types::Fd(read.socket);
            let entry = if read.message {
                let header = batch.header_mut(index);
                opcode::RecvMsg::new(socket, header).flags(RECEIVE_FLAGS as u32).build()
            } else {
                let bytes = batch.bytes_mut(index).as_mut_ptr();
                opcode::Recv::new(socket, bytes, RECEIVE_BYTES_MAX as u32)
                    .flags(RECEIVE_FLAGS)
                    .build()
            };
            self.push(&entry.user_data(index as u64));
        }
        self.submit();
        let mut done = self.harvest(batch);
        while done < batch.reads().len() {
            // Does not happen: a read that never waits completes inline. But were a kernel to
            // break that promise, its late write must not meet the next reader of the batch.
            self.wait_for_one();
            done += self.harvest(batch);
        }
    }

    fn send(&mut self, socket: BorrowedFd<'_>, to: Option<SocketAddr>, parts: [&[u8]; 2]) {
        if self.queued == CHUNK {
            self.flush();
        }
        let place = &mut self.sends[self.queued];
        let Some(length) = join(&mut place.bytes, parts) else {
            self.refused += 1;
            return;
        };
        let mut send =
            opcode::Send::new(types::Fd(socket.as_raw_fd()), place.bytes.as_ptr(), length as u32)
                .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
        if let Some(to) = to {
            place.to = SockAddr::from(to);
            send = send.dest_addr(place.to.as_ptr().cast()).dest_addr_len(place.to.len());
        }
        let entry = send.build().user_data(SEND).flags(squeue::Flags::SKIP_SUCCESS);
        self.push(&entry);
        self.queued += 1;
    }

    fn flush(&mut self) {
        if self.queued == 0 {
            return;
        }
        self.submit();
        self.refused += self.ring.completion().count() as u64;
    }

    fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR | libc::EBUSY))
}
