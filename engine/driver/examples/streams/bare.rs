//! The yardstick: every socket read once and written once in 20 ms, in four phases like a shard's,
//! and nothing else.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use socket2::SockRef;

use crate::phone::{Phone, sleep_until_us};
use crate::{SHARD_CORE, SHARD_NAMES, make_realtime, pin_to};

/// The bare loop's thread. It carries the shard's name, so that its CPU time is found alike.
pub(crate) struct Bare {
    frames: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Bare {
    /// Starts the loop with one phone for each of its sockets.
    pub(crate) fn start(streams: u32, realtime: bool) -> (Self, Vec<Phone>) {
        let phones = Phone::sockets(streams, Ipv4Addr::LOCALHOST.into(), None);
        let (phones, sockets): (Vec<_>, Vec<_>) = (0..).zip(phones).map(pair).unzip();
        let (frames, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (Arc::clone(&frames), Arc::clone(&stop));
        let work = move || {
            pin_to(SHARD_CORE);
            if realtime {
                make_realtime();
            }
            carry(&sockets, &counter, &stopped);
        };
        let thread = thread::Builder::new().name(SHARD_NAMES.into()).spawn(work).expect("a thread");
        (Self { frames, stop, thread }, phones)
    }

    /// Packets sent so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Ends the loop.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the loop does not panic");
    }
}

fn pair((index, phone): (u32, UdpSocket)) -> (Phone, UdpSocket) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.set_nonblocking(true).expect("non-blocking");
    SockRef::from(&socket).set_recv_buffer_size(16 * 1024).expect("receive buffer");
    let here: SocketAddr = socket.local_addr().expect("bound");
    let phone = Phone::calling(phone, here, index);
    socket.connect(phone.address()).expect("connected");
    (phone, socket)
}

fn carry(sockets: &[UdpSocket], frames: &AtomicU64, stop: &AtomicBool) {
    let mut packet = [0x55; 2048];
    for tick in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        sleep_until_us(tick * 5000);
        for socket in sockets.iter().skip(tick as usize % 4).step_by(4) {
            let _ = socket.recv(&mut packet);
            let sent = socket.send(&packet[..172]).is_ok();
            frames.fetch_add(u64::from(sent), Ordering::Relaxed);
        }
    }
}
