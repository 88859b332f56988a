//! The phones of a whole load at the other end of a cable. They write frames to one packet socket and
//! read what comes from a ring of another: a phone with a socket of its own costs more than the shard
//! does for it, and would be what is measured.
//!
//! Who hears whom is checked, of every packet: those who talk say a steady level that is theirs and their
//! room's, so that one octet tells whether exactly the others of the room were heard.

use std::fs::read_to_string;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use libc::{iovec, mmsghdr};
use media_kernels::Kernels;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use crate::phone::{SLOTS, sleep_until_slot};
use crate::ring::Ring;
use crate::{FIRST_PORT, TALKERS, WARM_UP, busy_cores, talks};

const SOUND_BYTES: usize = 160;
const RTP_BYTES: usize = 12;
const UDP_BYTES: usize = 8 + RTP_BYTES + SOUND_BYTES;
/// What tells the kernel where the checksum is that it shall leave to the card (linux/virtio_net.h).
const OFFLOAD_BYTES: usize = 10;
const ETHERNET: usize = OFFLOAD_BYTES;
const IP: usize = ETHERNET + 14;
const UDP: usize = IP + 20;
const RTP: usize = UDP + 8;
const FRAME_BYTES: usize = UDP + UDP_BYTES;

/// Where the phones are: nobody's hardware address, so that the kernel there lets their packets be.
const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 3];

/// Gaps between two packets of one stream are counted by the millisecond.
const GAPS: usize = 256;

/// Who calls from where to where, by which interface.
pub(crate) struct CablePlan {
    pub(crate) count: u32,
    pub(crate) room_size: u32,
    pub(crate) here: Ipv4Addr,
    pub(crate) there: Ipv4Addr,
    pub(crate) interface: String,
    /// Those who do not talk send nothing, else they send silence.
    pub(crate) listeners_rest: bool,
}

/// The phones, with what they heard.
pub(crate) struct Cable {
    out: OwnedFd,
    ring: Ring,
    frames: Box<[[u8; FRAME_BYTES]]>,
    _vectors: Box<[iovec]>,
    headers: Box<[mmsghdr]>,
    ears: Box<[Ear]>,
    tally: Tally,
}

/// What one phone heard last, and what it is to hear.
struct Ear {
    expected: u8,
    last: Option<(u16, u64)>,
}

/// What all of them heard.
struct Tally {
    sent: u64,
    refused: u64,
    received: u64,
    lost: u64,
    wrong: u64,
    gaps_ms: [u64; GAPS],
}

impl Cable {
    /// Opens both sockets and writes all frames.
    pub(crate) fn open(plan: &CablePlan) -> io::Result<Self> {
        let interface = interface_index(&plan.interface)?;
        let out = packet_socket(interface, 0)?;
        option(&out, libc::PACKET_QDISC_BYPASS, &1_i32)?;
        option(&out, libc::PACKET_VNET_HDR, &1_i32)?;
        let ring = Ring::open(packet_socket(interface, libc::ETH_P_IP as u16)?)?;
        let hardware = neighbour(plan.there)?;
        let kernels = Kernels::detect();
        let sound = |index| sound(&kernels, plan.room_size, index);
        let sends = |index: &u32| !plan.listeners_rest || talks(*index, plan.room_size, TALKERS);
        let frame = |index| frame(plan, hardware, index, sound(index).0);
        let mut frames: Box<[_]> = (0..plan.count).filter(sends).map(frame).collect();
        let mut vectors: Box<[_]> = frames
            .iter_mut()
            .map(|frame| iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: FRAME_BYTES })
            .collect();
        let headers = vectors.iter_mut().map(header).collect();
        let ears =
            (0..plan.count).map(|index| Ear { expected: sound(index).1, last: None }).collect();
        Ok(Self {
            out: out.into(),
            ring,
            frames,
            _vectors: vectors,
            headers,
            ears,
            tally: Tally::NEW,
        })
    }

    /// Is silent until each has heard something; then all talk so many seconds, and what they heard
    /// is printed.
    pub(crate) fn call(&mut self, seconds: u32) {
        let (mut begins, mut busy) = (None, busy_cores());
        for round in 0.. {
            self.play(round, begins.is_some());
            if begins.is_none() && self.ears.iter().all(|ear| ear.last.is_some()) {
                begins = Some(round + 50 * (WARM_UP + 1));
            }
            if begins == Some(round) {
                (self.tally, busy) = (Tally::NEW, busy_cores());
            }
            if begins.is_some_and(|begins| round == begins + 50 * seconds) {
                break;
            }
        }
        self.tally.print(self.ears.len(), &busy, &busy_cores());
    }

    /// One frame of each phone, spread over 20 ms, and all that came.
    fn play(&mut self, round: u32, talks: bool) {
        let count = self.frames.len();
        for slot in 0..SLOTS {
            sleep_until_slot(round, slot);
            let of = |slot| slot as usize * count / SLOTS as usize;
            if talks {
                self.send(of(slot)..of(slot + 1), round);
            }
            let Self { ring, ears, tally, .. } = self;
            ring.read(|frame, at_ns| hear(ears, tally, frame, at_ns));
        }
    }

    fn send(&mut self, phones: std::ops::Range<usize>, round: u32) {
        for frame in &mut self.frames[phones.clone()] {
            frame[RTP + 2..RTP + 4].copy_from_slice(&(round as u16).to_be_bytes());
            frame[RTP + 4..RTP + 8].copy_from_slice(&(round * 160).to_be_bytes());
        }
        let mut left = &mut self.headers[phones];
        while !left.is_empty() {
            // SAFETY: each header points to its vector and that to its frame, which live as long.
            let sent = unsafe {
                libc::sendmmsg(self.out.as_raw_fd(), left.as_mut_ptr(), left.len() as u32, 0)
            };
            let done = usize::try_from(sent).unwrap_or(0);
            self.tally.sent += done as u64;
            // Where none was taken, the first is given up.
            self.tally.refused += u64::from(done == 0);
            left = &mut left[done.max(1)..];
        }
    }
}

impl Tally {
    const NEW: Self =
        Self { sent: 0, refused: 0, received: 0, lost: 0, wrong: 0, gaps_ms: [0; GAPS] };

    fn print(&self, phones: usize, before: &[[u64; 2]], after: &[[u64; 2]]) {
        let Self { sent, refused, received, lost, wrong, .. } = self;
        println!(
            "{phones} phones: sent {sent}, refused {refused}, received {received}, lost {lost}, \
             heard wrong {wrong}"
        );
        let percent = |share: u64| {
            let all: u64 = self.gaps_ms.iter().sum();
            let mut left = all * share / 1000;
            self.gaps_ms
                .iter()
                .take_while(|&&count| {
                    left >= count && {
                        left -= count;
                        true
                    }
                })
                .count()
        };
        println!(
            "gaps: p50 under {} ms, p99 under {} ms, p99.9 under {} ms",
            percent(500) + 1,
            percent(990) + 1,
            percent(999) + 1,
        );
        for (core, ([busy, all], [busy_before, all_before])) in after.iter().zip(before).enumerate()
        {
            let share = (busy - busy_before) as f64 / (all - all_before).max(1) as f64;
            println!(
                "core {core}: {:.0} % busy, with all that the kernel does there",
                100.0 * share
            );
        }
    }
}

/// Notes a frame that came.
fn hear(ears: &mut [Ear], tally: &mut Tally, frame: &[u8], at_ns: u64) {
    // Behind no header of the offload.
    let at = |place: usize| frame.get(place - OFFLOAD_BYTES).copied().unwrap_or(0);
    let word = |place: usize| u16::from_be_bytes([at(place), at(place + 1)]);
    let offset = word(UDP + 2).wrapping_sub(FIRST_PORT);
    let is_rtp = at(IP + 9) == 17 && at(RTP) == 0x80 && offset.is_multiple_of(2);
    let Some(ear) = ears.get_mut(usize::from(offset / 2)).filter(|_| is_rtp) else { return };
    let sequence = word(RTP + 2);
    if let Some((last, last_ns)) = ear.last {
        tally.lost += u64::from(sequence.wrapping_sub(last).wrapping_sub(1));
        let gap_ms = (at_ns.saturating_sub(last_ns) / 1_000_000) as usize;
        tally.gaps_ms[gap_ms.min(GAPS - 1)] += 1;
    }
    ear.last = Some((sequence, at_ns));
    tally.received += 1;
    tally.wrong += u64::from(at(RTP + RTP_BYTES + SOUND_BYTES / 2) != ear.expected);
}

/// What a phone says all the time, and what it hears when the others of its room say theirs.
fn sound(kernels: &Kernels, room_size: u32, index: u32) -> (u8, u8) {
    let code = |sample: i16| {
        let mut code = [0];
        kernels.encode_ulaw(&[sample], &mut code);
        code[0]
    };
    let level = |index: u32| {
        let room = index.checked_div(room_size).unwrap_or(0) % 8;
        let level =
            if talks(index, room_size, TALKERS) { 500 << (index % room_size.max(1)) } else { 0 };
        let mut heard = [0];
        kernels.decode_ulaw(&[code(level + level / 16 * room as i16)], &mut heard);
        heard[0]
    };
    let others: i16 = match room_size {
        0 => level(index),
        size => {
            (index / size * size..).take(size as usize).filter(|&i| i != index).map(level).sum()
        }
    };
    (code(level(index)), code(others))
}

/// A whole packet of one phone, all but its number and time.
fn frame(plan: &CablePlan, to: [u8; 6], index: u32, code: u8) -> [u8; FRAME_BYTES] {
    let port = (FIRST_PORT + 2 * index as u16).to_be_bytes();
    let mut frame = [code; FRAME_BYTES];
    let mut put = |at: usize, bytes: &[u8]| frame[at..at + bytes.len()].copy_from_slice(bytes);
    // The checksum begins at UDP's header and belongs six octets behind its start.
    put(0, &[1, 0, 0, 0, 0, 0]);
    put(6, &((UDP - OFFLOAD_BYTES) as u16).to_ne_bytes());
    put(8, &6_u16.to_ne_bytes());
    put(ETHERNET, &to);
    put(ETHERNET + 6, &HARDWARE);
    put(ETHERNET + 12, &[8, 0]);
    let mut ip = [0; 20];
    ip[..9].copy_from_slice(&[0x45, 0, 0, (20 + UDP_BYTES) as u8, 0, 0, 0x40, 0, 64]);
    ip[9] = 17;
    ip[12..16].copy_from_slice(&plan.here.octets());
    ip[16..].copy_from_slice(&plan.there.octets());
    let checksum = !folded(&ip);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    put(IP, &ip);
    let length = (UDP_BYTES as u16).to_be_bytes();
    let pseudo = folded(&[&ip[12..], &[0, 17][..], &length[..]].concat()).to_be_bytes();
    put(UDP, &[port, port, length, pseudo].concat());
    put(RTP, &[0x80, 0]);
    put(RTP + 8, &index.to_be_bytes());
    frame
}

/// The sum of the 16-bit words (RFC 1071).
fn folded(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
    (sum % 0xffff) as u16
}

fn header(vector: &mut iovec) -> mmsghdr {
    // SAFETY: integers and null pointers: all zeros is a valid header.
    let mut header: mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header
}

fn interface_index(name: &str) -> io::Result<i32> {
    let text = read_to_string(format!("/sys/class/net/{name}/ifindex"))?;
    text.trim().parse().map_err(io::Error::other)
}

/// The hardware address of the other end, for which the kernel asks when something is sent there.
fn neighbour(address: Ipv4Addr) -> io::Result<[u8; 6]> {
    let poke = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    for _ in 0..100 {
        poke.send_to(&[], SocketAddrV4::new(address, 9))?;
        std::thread::sleep(Duration::from_millis(20));
        let known = read_to_string("/proc/net/arp")?;
        let line = known.lines().find(|line| line.split(' ').next() == Some(&address.to_string()));
        let word = line.and_then(|line| line.split_whitespace().nth(3)).unwrap_or_default();
        let octets = word.split(':').filter_map(|octet| u8::from_str_radix(octet, 16).ok());
        let octets: Vec<u8> = octets.collect();
        if let Ok(octets) = <[u8; 6]>::try_from(octets)
            && octets != [0; 6]
        {
            return Ok(octets);
        }
    }
    Err(io::ErrorKind::HostUnreachable.into())
}

/// A socket for frames of one interface; of those that come, for such as have this type.
fn packet_socket(interface: i32, kind: u16) -> io::Result<Socket> {
    let protocol = i32::from(kind.to_be());
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(protocol)))?;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is one of the platform's address types.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = kind.to_be();
    address.sll_ifindex = interface;
    // SAFETY: a whole `sockaddr_ll` was written to the storage.
    socket.bind(&unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as u32) })?;
    Ok(socket)
}

/// Sets an option of a packet socket.
pub(crate) fn option<T>(socket: &Socket, name: i32, value: &T) -> io::Result<()> {
    let (value, size) = (std::ptr::from_ref(value).cast(), size_of::<T>() as u32);
    // SAFETY: the value lives during the call, and has this size.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, value, size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
