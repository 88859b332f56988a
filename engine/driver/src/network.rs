//! The seam between the shard's thread and the system calls that carry its packets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use crate::batch::Batch;

/// Most sockets read, and most datagrams sent, by one system call.
///
/// Measured: 16 to 256 operations per call cost the same, more are dearer.
pub(crate) const CHUNK: usize = 128;

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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::{SystemTime, UNIX_EPOCH};

    use engine::Port;

    use super::*;
    use crate::batch::{Outcome, Read};
    use crate::plain::Plain;
    use crate::sockets::SocketPlan;
    use crate::uring::Uring;

    fn drivers() -> [Box<dyn Network>; 2] {
        let mut uring = Uring::new().unwrap();
        uring.adopt().unwrap();
        [Box::new(Plain::new()), Box::new(uring)]
    }

    fn socket() -> UdpSocket {
        let plan = SocketPlan {
            bind: [127, 0, 0, 1].into(),
            receive_buffer_bytes: 1 << 20,
            rtp_stamps: true,
        };
        plan.open(Port::Rtp, 0).unwrap().into()
    }

    fn read(socket: &UdpSocket, message: bool) -> Read {
        let socket = socket.as_raw_fd();
        Read { slot: 0, port: Port::Rtp, socket, message, stamps: true, connected_to: None }
    }

    #[test]
    fn a_message_read_names_source_and_time_and_a_plain_one_only_the_bytes() {
        for mut network in drivers() {
            let (here, there) = (socket(), socket());
            let mut batch = Batch::new();
            there.send_to(b"first", here.local_addr().unwrap()).unwrap();
            there.send_to(b"second", here.local_addr().unwrap()).unwrap();
            batch.fill([read(&here, true), read(&here, false), read(&here, true)].into_iter());
            network.receive(&mut batch);
            let Outcome::Received(first) = batch.outcome(0) else { panic!("nothing came") };
            assert_eq!((first.bytes, first.truncated), (&b"first"[..], false));
            assert_eq!(first.source, Some(there.local_addr().unwrap()));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
            let age = now - first.stamp_unix_nanos.expect("the socket stamps");
            assert!(age < 10_000_000_000, "{age} ns old");
            let Outcome::Received(second) = batch.outcome(1) else { panic!("nothing came") };
            assert_eq!(second.bytes, b"second");
            assert_eq!((second.source, second.stamp_unix_nanos), (None, None));
            assert_eq!(batch.outcome(2), Outcome::Empty);
        }
    }

    #[test]
    fn a_datagram_too_long_is_cut_and_says_so() {
        for mut network in drivers() {
            let (here, there) = (socket(), socket());
            let mut batch = Batch::new();
            for length in [RECEIVE_BYTES_MAX, RECEIVE_BYTES_MAX + 1, RECEIVE_BYTES_MAX, 9000] {
                there.send_to(&vec![7; length], here.local_addr().unwrap()).unwrap();
            }
            let messages = [true, true, false, false];
            batch.fill(messages.iter().map(|&message| read(&here, message)));
            network.receive(&mut batch);
            for (index, truncated) in [false, true, false, true].into_iter().enumerate() {
                let Outcome::Received(received) = batch.outcome(index) else { panic!("{index}") };
                assert_eq!(received.truncated, truncated);
                assert_eq!(received.bytes, [7; RECEIVE_BYTES_MAX]);
            }
        }
    }

    #[test]
    fn more_than_a_chunk_is_sent_in_order_and_joined() {
        for mut network in drivers() {
            let (here, there) = (socket(), socket());
            let count = 3 * CHUNK as u16 + 1;
            let to = there.local_addr().unwrap();
            for number in 0..count {
                let [high, low] = number.to_be_bytes();
                if number == count / 2 {
                    network.flush();
                    here.connect(to).unwrap();
                }
                let to = (number < count / 2).then_some(to);
                network.send(here.as_fd(), to, [&[high], &[low, 9, 9]]);
            }
            network.flush();
            assert_eq!(network.take_refused(), 0);
            let mut buffer = [0; 8];
            for number in 0..count {
                assert_eq!(there.recv(&mut buffer).unwrap(), 4);
                assert_eq!(buffer[..2], number.to_be_bytes());
                assert_eq!(buffer[2..4], [9, 9]);
            }
            assert!(there.recv(&mut buffer).is_err(), "nothing twice");
        }
    }

    #[test]
    fn what_the_kernel_or_the_buffer_refuses_is_counted_and_harms_nothing() {
        for mut network in drivers() {
            let (here, there) = (socket(), socket());
            let to = there.local_addr().unwrap();
            let long = [0; SEND_BYTES_MAX];
            network.send(here.as_fd(), Some(to), [&long, &[1]]);
            network.send(here.as_fd(), Some("[::1]:9".parse().unwrap()), [b"wrong family", b""]);
            network.send(here.as_fd(), None, [b"not connected", b""]);
            network.send(here.as_fd(), Some(to), [b"good", b""]);
            network.flush();
            assert_eq!(network.take_refused(), 3);
            assert_eq!(network.take_refused(), 0);
            let mut buffer = [0; 16];
            assert_eq!(there.recv(&mut buffer).unwrap(), 4);
        }
    }

    #[test]
    fn a_closed_port_answers_with_an_error_that_is_not_emptiness() {
        for mut network in drivers() {
            let (here, gone) = (socket(), socket());
            here.connect(gone.local_addr().unwrap()).unwrap();
            drop(gone);
            network.send(here.as_fd(), None, [b"anyone?", b""]);
            network.flush();
            let mut batch = Batch::new();
            batch.fill([read(&here, false), read(&here, false)].into_iter());
            network.receive(&mut batch);
            assert_eq!(batch.outcome(0), Outcome::Refused);
            assert_eq!(batch.outcome(1), Outcome::Empty);
        }
    }
}
