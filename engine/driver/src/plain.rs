//! The plain driver: `recv`, `recvmsg`, `send` and `sendto`, one call per packet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use rustix::net::{SendFlags, send, sendto};

use crate::batch::{Batch, RECEIVE_FLAGS, as_result};
use crate::network::{Network, RECEIVE_BYTES_MAX, SEND_BYTES_MAX, join};

/// Carries packets by one system call each.
pub(crate) struct Plain {
    buffer: Box<[u8; SEND_BYTES_MAX]>,
    refused: u64,
}

impl Plain {
    pub(crate) fn new() -> Self {
        Self { buffer: Box::new([0; SEND_BYTES_MAX]), refused: 0 }
    }
}

impl Network for Plain {
    fn adopt(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, batch: &mut Batch) {
        for index in 0..batch.reads().len() {
            let read = batch.reads()[index];
            let returned = if read.message {
                let header = batch.header_mut(index);
                // SAFETY: the header points to memory of the batch, which outlives the call.
                unsafe { libc::recvmsg(read.socket, header, RECEIVE_FLAGS) }
            } else {
                let bytes = batch.bytes_mut(index).as_mut_ptr().cast();
                // SAFETY: so many bytes of the batch, which outlives the call.
                unsafe { libc::recv(read.socket, bytes, RECEIVE_BYTES_MAX, RECEIVE_FLAGS) }
            };
            batch.complete(index, as_result(returned));
        }
    }

    fn send(&mut self, socket: BorrowedFd<'_>, to: Option<SocketAddr>, parts: [&[u8]; 2]) {
        let Some(length) = join(&mut self.buffer, parts) else {
            self.refused += 1;
            return;
        };
        let bytes = &self.buffer[..length];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = match to {
            None => send(socket, bytes, flags),
            Some(to) => sendto(socket, bytes, flags, &to),
        };
        self.refused += u64::from(sent.is_err());
    }

    fn flush(&mut self) {}

    fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}
