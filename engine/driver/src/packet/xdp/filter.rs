//! The program at the interface: datagrams for our address and one of our ports go to the socket of
//! their shard on the queue that they came by, before the kernel's network stack sees them. All else
//! passes to the kernel: what is for others, fragments, IP options and extension headers, VLAN tags,
//! ICMP, and what is longer than a place.

use std::net::IpAddr;

use engine_control::PortPlan;

use super::STAMP_BYTES;
use crate::packet::bpf::{
    ADD, ADD_VALUE, AND_VALUE, CALL, EXIT, FROM_NETWORK, Instruction, JUMP_IF_ABOVE,
    JUMP_IF_ABOVE_REGISTER, JUMP_IF_BELOW, JUMP_IF_BELOW_REGISTER, JUMP_IF_OTHER,
    JUMP_IF_OTHER_WORD, LOAD_BYTE, LOAD_HALF, LOAD_WIDE, LOAD_WORD, MOVE, MOVE_VALUE,
    MULTIPLY_VALUE, SHIFT_RIGHT, STORE_DOUBLE, SUBTRACT_VALUE, instruction, resolve,
};
use crate::packet::frame::{ETHERNET_IPV4, ETHERNET_IPV6};
use crate::packet::routes::ETHERNET_BYTES;

/// Longest frame that is taken: what an Ethernet interface's usual MTU allows.
const FRAME_BYTES_MAX: i32 = 1514;

/// Leaves the frame to the kernel.
pub(super) const XDP_PASS: i32 = 2;

// The kernel's functions by number (linux/bpf.h).
const MONOTONIC_NANOS: i32 = 5;
const REDIRECT_BY_MAP: i32 = 51;
const ADJUST_METADATA: i32 = 54;

// Offsets in `struct xdp_md` (linux/bpf.h).
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const METADATA: i16 = 8;
const QUEUE: i16 = 16;

/// Jumps to the end, to places known when it is.
const TO_PASS: i16 = i16::MAX;
const TO_REDIRECT: i16 = i16::MAX - 1;

/// What the program must know.
pub(super) struct Filter {
    /// Ours, of the interface.
    pub(super) hardware: [u8; 6],
    pub(super) address: IpAddr,
    pub(super) ports: PortPlan,
    pub(super) shards: usize,
    /// Whether it writes the time in front of what it takes.
    pub(super) stamps: bool,
}

impl Filter {
    /// The place of a socket in the program's map.
    pub(super) fn key(&self, queue: u32, shard: usize) -> u32 {
        queue * self.shards as u32 + shard as u32
    }

    /// The program, which does `otherwise` where there is no socket for what it takes.
    pub(super) fn instructions(&self, otherwise: i32) -> Vec<Instruction> {
        let mut program = self.is_there_a_datagram().to_vec();
        program.extend(self.is_it_ours());
        if self.stamps {
            program.extend(stamp());
        }
        let redirect = program.len();
        program.extend([
            instruction(LOAD_WIDE, 1, 0, 0, 0),
            instruction(0, 0, 0, 0, 0),
            instruction(MOVE, 2, 7, 0, 0),
            instruction(MOVE_VALUE, 3, 0, 0, otherwise),
            instruction(CALL, 0, 0, 0, REDIRECT_BY_MAP),
            instruction(EXIT, 0, 0, 0, 0),
            instruction(MOVE_VALUE, 0, 0, 0, XDP_PASS),
            instruction(EXIT, 0, 0, 0, 0),
        ]);
        let pass = program.len() - 2;
        resolve(&mut program, TO_PASS, pass);
        resolve(&mut program, TO_REDIRECT, redirect);
        program
    }

    fn ip_bytes(&self) -> i16 {
        if self.address.is_ipv4() { 20 } else { 40 }
    }

    /// Leaves the context in r6 and the frame in r2, long enough for its headers.
    fn is_there_a_datagram(&self) -> [Instruction; 9] {
        let headers = ETHERNET_BYTES as i32 + i32::from(self.ip_bytes()) + 8;
        [
            instruction(MOVE, 6, 1, 0, 0),
            instruction(LOAD_WORD, 2, 6, DATA, 0),
            instruction(LOAD_WORD, 3, 6, DATA_END, 0),
            instruction(MOVE, 4, 2, 0, 0),
            instruction(ADD_VALUE, 4, 0, 0, headers),
            instruction(JUMP_IF_ABOVE_REGISTER, 4, 3, TO_PASS, 0),
            instruction(MOVE, 4, 2, 0, 0),
            instruction(ADD_VALUE, 4, 0, 0, FRAME_BYTES_MAX),
            instruction(JUMP_IF_BELOW_REGISTER, 4, 3, TO_PASS, 0),
        ]
    }

    /// Leaves the place of its socket in r7.
    fn is_it_ours(&self) -> Vec<Instruction> {
        let first = i32::from(self.ports.first);
        let last =
            (first + self.shards as i32 * self.ports.block as i32 - 1).min(i32::from(u16::MAX));
        let mut program = Vec::new();
        let mut must_be = |load: u8, offset: i16, mask: Option<i32>, value: i32| {
            program.push(instruction(load, 4, 2, offset, 0));
            if let Some(mask) = mask {
                program.push(instruction(AND_VALUE, 4, 0, 0, mask));
            }
            program.push(instruction(JUMP_IF_OTHER_WORD, 4, 0, TO_PASS, value));
        };
        must_be(LOAD_WORD, 0, None, word(&self.hardware[..4]));
        must_be(LOAD_HALF, 4, None, half(&self.hardware[4..]));
        let ip = ETHERNET_BYTES as i16;
        match self.address {
            IpAddr::V4(address) => {
                must_be(LOAD_HALF, ip - 2, None, half(&ETHERNET_IPV4.to_be_bytes()));
                must_be(LOAD_BYTE, ip, None, 0x45);
                must_be(LOAD_HALF, ip + 6, Some(half(&[0x3f, 0xff])), 0);
                must_be(LOAD_BYTE, ip + 9, None, libc::IPPROTO_UDP);
                must_be(LOAD_WORD, ip + 16, None, word(&address.octets()));
            }
            IpAddr::V6(address) => {
                must_be(LOAD_HALF, ip - 2, None, half(&ETHERNET_IPV6.to_be_bytes()));
                must_be(LOAD_BYTE, ip + 6, None, libc::IPPROTO_UDP);
                for (offset, part) in (24..).step_by(4).zip(address.octets().chunks(4)) {
                    must_be(LOAD_WORD, ip + offset, None, word(part));
                }
            }
        }
        program.extend([
            instruction(LOAD_HALF, 4, 2, ip + self.ip_bytes() + 2, 0),
            instruction(FROM_NETWORK, 4, 0, 0, 16),
            instruction(JUMP_IF_BELOW, 4, 0, TO_PASS, first),
            instruction(JUMP_IF_ABOVE, 4, 0, TO_PASS, last),
            instruction(SUBTRACT_VALUE, 4, 0, 0, first),
            instruction(SHIFT_RIGHT, 4, 0, 0, self.ports.block.ilog2() as i32),
            instruction(LOAD_WORD, 7, 6, QUEUE, 0),
            instruction(MULTIPLY_VALUE, 7, 0, 0, self.shards as i32),
            instruction(ADD, 7, 4, 0, 0),
        ]);
        program
    }
}

/// Writes the time into the metadata in front of the frame, where the driver has room for it.
fn stamp() -> [Instruction; 11] {
    [
        instruction(CALL, 0, 0, 0, MONOTONIC_NANOS),
        instruction(MOVE, 8, 0, 0, 0),
        instruction(MOVE, 1, 6, 0, 0),
        instruction(MOVE_VALUE, 2, 0, 0, -(STAMP_BYTES as i32)),
        instruction(CALL, 0, 0, 0, ADJUST_METADATA),
        instruction(JUMP_IF_OTHER, 0, 0, TO_REDIRECT, 0),
        instruction(LOAD_WORD, 2, 6, METADATA, 0),
        instruction(LOAD_WORD, 3, 6, DATA, 0),
        instruction(ADD_VALUE, 2, 0, 0, STAMP_BYTES as i32),
        instruction(JUMP_IF_ABOVE_REGISTER, 2, 3, TO_REDIRECT, 0),
        instruction(STORE_DOUBLE, 2, 8, -(STAMP_BYTES as i16), 0),
    ]
}

/// Bytes of a frame, as the machine loads them.
fn word(bytes: &[u8]) -> i32 {
    i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn half(bytes: &[u8]) -> i32 {
    i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::os::fd::{AsFd, AsRawFd};

    use aya::Ebpf;
    use aya::programs::Xdp;

    use super::*;
    use crate::packet::bpf::{MapPlan, SOCKET_BYTES, assert_jumps_lead_to, load};
    use crate::packet::frame;

    const XDP_DROP: i32 = 1;
    const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 7];

    fn filter(address: &str, stamps: bool) -> Filter {
        let ports = PortPlan { first: 16384, block: 8192 };
        Filter { hardware: HARDWARE, address: address.parse().unwrap(), ports, shards: 2, stamps }
    }

    #[test]
    fn every_way_out_of_the_program_passes_the_frame_on_or_redirects_it() {
        for address in ["192.0.2.200", "2001:db8::1"] {
            for stamps in [false, true] {
                let program = filter(address, stamps).instructions(XDP_PASS);
                let pass = program.len() - 2;
                assert_jumps_lead_to(&program, &[pass, pass - 6]);
            }
        }
    }

    #[test]
    fn each_shard_has_its_own_place_on_each_queue() {
        let filter = filter("192.0.2.200", true);
        let keys = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(queue, shard)| filter.key(queue, shard));
        assert_eq!(keys, [0, 1, 2, 3]);
    }

    /// The program as the kernel has it, which drops what it takes, as no socket is in its map.
    /// `None`: this process may not have one.
    fn in_the_kernel(filter: &Filter) -> Option<Ebpf> {
        let map = MapPlan { name: "QUEUES", kind: 17, value_bytes: SOCKET_BYTES, entries: 4 };
        let loaded = load("xdp", "take", &filter.instructions(XDP_DROP), &map);
        let loaded = loaded.map_err(|(_, error)| error.to_string()).and_then(|mut loaded| {
            program(&mut loaded).load().map_err(|error| format!("{error:?}"))?;
            Ok(loaded)
        });
        match loaded {
            Err(text) if text.contains("os error 1)") || text.contains("code: 1,") => {
                eprintln!("not tested here: {text}");
                None
            }
            loaded => Some(loaded.unwrap()),
        }
    }

    fn program(loaded: &mut Ebpf) -> &mut Xdp {
        loaded.program_mut("take").unwrap().try_into().unwrap()
    }

    /// What the kernel's run of a program says to a frame.
    fn verdict(program: &Xdp, frame: &[u8]) -> i32 {
        /// The part of `union bpf_attr` that is for a run (linux/bpf.h).
        #[repr(C)]
        #[derive(Default)]
        struct Run {
            program: u32,
            verdict: u32,
            bytes_in: u32,
            bytes_out: u32,
            data_in: u64,
            rest: [u64; 8],
        }
        const RUN: i32 = 10;
        let mut run = Run {
            program: program.fd().unwrap().as_fd().as_raw_fd() as u32,
            bytes_in: frame.len() as u32,
            data_in: frame.as_ptr() as u64,
            ..Run::default()
        };
        // SAFETY: the attributes and the frame outlive the call, which writes no frame back.
        let done = unsafe { libc::syscall(libc::SYS_bpf, RUN, &raw mut run, size_of::<Run>()) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        run.verdict as i32
    }

    fn frame(to: &str, payload: usize) -> Vec<u8> {
        let to: SocketAddr = to.parse().unwrap();
        let from = if to.is_ipv4() { "198.51.100.7:9" } else { "[2001:db8::7]:9" };
        let mut packet = [0; 2048];
        let payload = vec![0; payload];
        let from = from.parse().unwrap();
        let length = frame::write(&mut packet, from, to, [&payload, b""]).unwrap();
        let kind = if to.is_ipv4() { ETHERNET_IPV4 } else { ETHERNET_IPV6 };
        [&HARDWARE[..], &[9; 6], &kind.to_be_bytes(), &packet[..length]].concat()
    }

    #[test]
    fn the_kernel_takes_only_what_is_surely_ours() {
        for stamps in [false, true] {
            for (address, ip) in [("192.0.2.200", "192.0.2.200"), ("2001:db8::1", "[2001:db8::1]")]
            {
                let Some(mut loaded) = in_the_kernel(&filter(address, stamps)) else { return };
                let program = program(&mut loaded);
                let to =
                    |port: u16, payload| verdict(program, &frame(&format!("{ip}:{port}"), payload));
                for port in [16384, 24575, 24576, 32767] {
                    assert_eq!(to(port, 0), XDP_DROP, "{ip}:{port}");
                }
                assert_eq!([to(16383, 0), to(32768, 0)], [XDP_PASS; 2], "{ip}: other ports");
                let headers = frame(&format!("{ip}:16384"), 0).len();
                assert_eq!(to(16384, 1514 - headers), XDP_DROP, "{ip}: the longest");
                assert_eq!(to(16384, 1515 - headers), XDP_PASS, "{ip}: too long");
                let good = frame(&format!("{ip}:16384"), 160);
                assert_eq!(verdict(program, &good[..headers - 1]), XDP_PASS, "{ip}: cut");
                let tagged = [&good[..12], &[0x81, 0, 0, 7], &good[12..]].concat();
                assert_eq!(verdict(program, &tagged), XDP_PASS, "{ip}: of a VLAN");
                // Hardware address, kind, version and length, fragment, protocol, address.
                let at: &[usize] = if address == ip {
                    &[0, 5, 12, 13, 14, 20, 21, 23, 30, 33]
                } else {
                    &[0, 5, 12, 13, 20, 38, 45, 53]
                };
                for &at in at {
                    let mut other = good.clone();
                    other[at] ^= 0x21;
                    assert_eq!(verdict(program, &other), XDP_PASS, "{ip}: byte {at}");
                }
            }
        }
    }
}
