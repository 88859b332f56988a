//! The phones: one socket each, one packet in 20 ms.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::Duration;

use crate::{Plan, talks};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustix::time::{ClockId, Timespec, clock_gettime};
use socket2::SockRef;

const FRAME: Duration = Duration::from_millis(20);
/// The load is spread over so many moments of a frame.
const SLOTS: u32 = 80;

/// The other end of one session.
pub(crate) struct Phone {
    socket: UdpSocket,
    packet: [u8; 172],
    pub(crate) sent: u64,
    pub(crate) received: u64,
    last_us: u64,
    pub(crate) gap_max_us: u64,
}

impl Phone {
    /// A phone that sends to `media`.
    pub(crate) fn calling(socket: UdpSocket, media: SocketAddr, index: u32) -> Self {
        socket.set_nonblocking(true).expect("non-blocking");
        SockRef::from(&socket).set_recv_buffer_size(16 * 1024).expect("receive buffer");
        socket.connect(media).expect("connected");
        let mut packet = [0x55; 172];
        packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet[8..12].copy_from_slice(&index.to_be_bytes());
        Self { socket, packet, sent: 0, received: 0, last_us: 0, gap_max_us: 0 }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// Sockets for so many phones, in a network namespace of their own where one is named.
    pub(crate) fn sockets(
        count: u32,
        address: IpAddr,
        namespace: Option<String>,
    ) -> Vec<UdpSocket> {
        let bind = move || {
            if let Some(namespace) = namespace {
                let file = File::open(format!("/run/netns/{namespace}")).expect("the namespace");
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(file.as_fd(), kind).expect("the right to enter it");
            }
            let socket = |_| UdpSocket::bind((address, 0)).expect("a free port");
            (0..count).map(socket).collect()
        };
        // A thread that enters a namespace stays there.
        std::thread::spawn(bind).join().expect("sockets")
    }

    fn turn(&mut self, round: u32, talks: bool, now_us: u64) {
        let mut buffer = [0; 256];
        while self.socket.recv(&mut buffer).is_ok() {
            self.received += 1;
            self.gap_max_us = self.gap_max_us.max(now_us.saturating_sub(self.last_us));
            self.last_us = now_us;
        }
        self.packet[2..4].copy_from_slice(&(round as u16).to_be_bytes());
        self.packet[4..8].copy_from_slice(&(round * 160).to_be_bytes());
        // A saw tooth of mu-law codes, soft enough that three of them are no work for a limiter; or
        // silence.
        for (at, code) in self.packet[12..].iter_mut().enumerate() {
            *code = if talks { 0xa0 | (at as u8 & 0x1f) } else { 0xff };
        }
        self.sent += u64::from(self.socket.send(&self.packet).is_ok());
    }
}

/// Plays one frame of every phone, spread over 20 ms.
pub(crate) fn play(phones: &mut [Phone], round: u32, plan: &Plan) {
    let count = phones.len() as u32;
    for slot in 0..SLOTS {
        let frame = FRAME.as_micros() as u64;
        let now_us =
            sleep_until_us(u64::from(round) * frame + u64::from(slot) * frame / u64::from(SLOTS));
        let of = |slot| (slot * count / SLOTS) as usize;
        for (index, phone) in (of(slot)..).zip(&mut phones[of(slot)..of(slot + 1)]) {
            phone.turn(round, talks(index as u32, plan.room_size, plan.talkers), now_us);
        }
    }
}

/// Sleeps until so long after the first call, and returns the time.
pub(crate) fn sleep_until_us(after_us: u64) -> u64 {
    static ORIGIN: OnceLock<u64> = OnceLock::new();
    let now = || {
        let time = clock_gettime(ClockId::Monotonic);
        time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
    };
    let due = ORIGIN.get_or_init(now) + after_us;
    let until =
        Timespec { tv_sec: (due / 1_000_000) as i64, tv_nsec: (due % 1_000_000 * 1000) as i64 };
    let _ = rustix::thread::clock_nanosleep_absolute(ClockId::Monotonic, &until);
    now()
}
