//! The seam between the shard's thread and the system calls that carry its packets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use crate::batch::Batch;

/// Most sockets read, and most datagrams sent, by one system call.
///
/// Measured: 16 to 256 operations per call cost the same, more are dearer.
pub(crate) const CHUNK: usize = 64;

/// Longest datagram that is taken whole.
pub(crate) const RECEIVE_BYTES_MAX: usize = 2048;

/// Longest datagram that is sent: one Ethernet frame's worth.
pub(crate) const SEND_BYTES_MAX: usize = 1536;

/// Carries datagrams. Used by one thread; nothing it does ever blocks.
pub(crate) trait Network {
    /// Makes the calling thread its only user.
    fn adopt(&mut self) -> io::Result<()>;

    /// Reads every socket of the batch once, and puts what each said into the batch.
    fn receive(&mut self, batch: &mut Batch);

    /// Takes one datagram for the kernel, to `to` where the socket is not connected there. It is
    /// sent now or by the next [`Network::flush`]: the descriptor must stay open until then.
    fn send(&mut self, socket: BorrowedFd<'_>, to: Option<SocketAddr>, parts: [&[u8]; 2]);

    /// Hands everything taken to the kernel.
    fn flush(&mut self);

    /// Datagrams that the kernel refused to send since last asked.
    fn take_refused(&mut self) -> u64;
}

/// Joins a datagram's parts in a buffer that the kernel can read; `None` where they are too long.
pub(crate) fn join(buffer: &mut [u8; SEND_BYTES_MAX], [head, tail]: [&[u8]; 2]) -> Option<usize> {
    let length = head.len() + tail.len();
    buffer.get_mut(..head.len())?.copy_from_slice(head);
    buffer.get_mut(head.len()..length)?.copy_from_slice(tail);
    Some(length)
}
