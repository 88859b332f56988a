//! Steers a range of UDP ports into one socket for each shard: a BPF program of type `sk_lookup`
//! (Linux 5.9), which the kernel asks for every datagram that no connected socket wants.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use aya::Ebpf;
use aya::maps::{MapData, SockMap};
use aya::programs::SkLookup;
use engine_control::PortPlan;

use super::Failure;
use super::bpf::{
    ADD_VALUE, CALL, EXIT, Instruction, JUMP_IF_ABOVE, JUMP_IF_BELOW, JUMP_IF_EQUAL, JUMP_IF_OTHER,
    JUMP_IF_OTHER_WORD, LOAD_WIDE, LOAD_WORD, MOVE, MOVE_VALUE, MapPlan, SHIFT_RIGHT, SOCKET_BYTES,
    STORE_WORD, SUBTRACT_VALUE, instruction, load, missing, resolve, whole,
};

const MAP: &str = "SHARDS";
const PROGRAM: &str = "steer";

/// Datagrams to the ports of the plan go to the shards' sockets, from [`Self::begin`] until this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Steering {
    /// The program is attached for as long as it is loaded.
    loaded: Ebpf,
}

impl Steering {
    /// What steers all that is sent to `address` (to any, where it is unspecified) and a port of the
    /// plan to `sockets`, one for each shard. Nothing is steered yet.
    pub(crate) fn load(
        ports: PortPlan,
        address: IpAddr,
        sockets: &[&OwnedFd],
    ) -> Result<Self, Failure> {
        const SOCKMAP: u32 = 15;
        let (value_bytes, entries) = (SOCKET_BYTES, sockets.len() as u32);
        let plan = MapPlan { name: MAP, kind: SOCKMAP, value_bytes, entries };
        let program = instructions(ports, sockets.len(), address);
        let mut loaded = load("sk_lookup/steer", PROGRAM, &program, &plan)?;
        let map = loaded.map_mut(MAP).ok_or_else(|| missing(MAP))?;
        let mut map: SockMap<&mut MapData> =
            map.try_into().map_err(|error| ("bpf(MAP_CREATE)", whole(&error)))?;
        for (index, socket) in (0..).zip(sockets) {
            map.set(index, *socket, 0).map_err(|error| ("bpf(MAP_UPDATE_ELEM)", whole(&error)))?;
        }
        let mut steering = Self { loaded };
        steering.program()?.load().map_err(|error| ("bpf(PROG_LOAD)", whole(&error)))?;
        Ok(steering)
    }

    /// Steers from now on, in the network namespace of this process.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        let namespace = File::open("/proc/thread-self/ns/net").map_err(|error| ("open", error))?;
        let program = self.program()?;
        program.attach(namespace).map_err(|error| ("bpf(LINK_CREATE)", whole(&error)))?;
        Ok(())
    }

    fn program(&mut self) -> Result<&mut SkLookup, Failure> {
        let program = self.loaded.program_mut(PROGRAM).ok_or_else(|| missing(PROGRAM))?;
        program.try_into().map_err(|error| ("bpf(PROG_LOAD)", whole(&error)))
    }
}

/// A jump that leaves the datagram to the kernel: its offset is filled in at the end.
const TO_PASS: i16 = i16::MAX;

// The kernel's functions by number (linux/bpf.h).
const MAP_LOOKUP: i32 = 1;
const SOCKET_RELEASE: i32 = 86;
const SOCKET_ASSIGN: i32 = 124;

// Offsets in `struct bpf_sk_lookup` (linux/bpf.h). Ports are in host order, addresses as sent.
const FAMILY: i16 = 8;
const PROTOCOL: i16 = 12;
const LOCAL_IP4: i16 = 40;
const LOCAL_IP6: i16 = 44;
const LOCAL_PORT: i16 = 60;

const SK_PASS: i32 = 1;

/// The program: is it UDP, for our address and one of our ports? Then it is for the shard whose
/// block the port is in.
fn instructions(ports: PortPlan, shards: usize, address: IpAddr) -> Vec<Instruction> {
    let first = i32::from(ports.first);
    let last = (first + shards as i32 * ports.block as i32 - 1).min(i32::from(u16::MAX));
    let mut program = vec![
        instruction(MOVE, 6, 1, 0, 0),
        instruction(LOAD_WORD, 2, 6, PROTOCOL, 0),
        instruction(JUMP_IF_OTHER, 2, 0, TO_PASS, libc::IPPROTO_UDP),
    ];
    for (offset, word) in address_words(address) {
        program.push(instruction(LOAD_WORD, 2, 6, offset, 0));
        program.push(instruction(JUMP_IF_OTHER_WORD, 2, 0, TO_PASS, word));
    }
    program.extend([
        instruction(LOAD_WORD, 2, 6, LOCAL_PORT, 0),
        instruction(JUMP_IF_BELOW, 2, 0, TO_PASS, first),
        instruction(JUMP_IF_ABOVE, 2, 0, TO_PASS, last),
        instruction(SUBTRACT_VALUE, 2, 0, 0, first),
        instruction(SHIFT_RIGHT, 2, 0, 0, ports.block.ilog2() as i32),
        instruction(STORE_WORD, 10, 2, -4, 0),
        instruction(LOAD_WIDE, 1, 0, 0, 0),
        instruction(0, 0, 0, 0, 0),
        instruction(MOVE, 2, 10, 0, 0),
        instruction(ADD_VALUE, 2, 0, 0, -4),
        instruction(CALL, 0, 0, 0, MAP_LOOKUP),
        instruction(JUMP_IF_EQUAL, 0, 0, TO_PASS, 0),
        instruction(MOVE, 7, 0, 0, 0),
        instruction(MOVE, 1, 6, 0, 0),
        instruction(MOVE, 2, 7, 0, 0),
        instruction(MOVE_VALUE, 3, 0, 0, 0),
        instruction(CALL, 0, 0, 0, SOCKET_ASSIGN),
        instruction(MOVE, 1, 7, 0, 0),
        instruction(CALL, 0, 0, 0, SOCKET_RELEASE),
        instruction(MOVE_VALUE, 0, 0, 0, SK_PASS),
        instruction(EXIT, 0, 0, 0, 0),
    ]);
    let pass = program.len() - 2;
    resolve(&mut program, TO_PASS, pass);
    program
}

/// Which words of the context must hold what, for a datagram to be for this address.
fn address_words(address: IpAddr) -> Vec<(i16, i32)> {
    let word = |bytes: &[u8]| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    match address {
        _ if address.is_unspecified() => Vec::new(),
        IpAddr::V4(v4) => vec![(FAMILY, libc::AF_INET), (LOCAL_IP4, word(&v4.octets()))],
        IpAddr::V6(v6) => {
            let words = v6.octets();
            let words = (0..).step_by(4).zip(words.chunks(4));
            let words = words.map(|(offset, bytes)| (LOCAL_IP6 + offset, word(bytes)));
            std::iter::once((FAMILY, libc::AF_INET6)).chain(words).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bpf::assert_jumps_lead_to;
    use super::*;

    const PORTS: PortPlan = PortPlan { first: 16384, block: 8192 };

    #[test]
    fn every_way_out_of_the_program_passes_the_datagram_on() {
        for address in ["0.0.0.0", "192.0.2.200", "::", "2001:db8::1"] {
            let program = instructions(PORTS, 2, address.parse().unwrap());
            assert_jumps_lead_to(&program, &[program.len() - 2]);
        }
    }

    #[test]
    fn only_a_given_address_is_steered() {
        assert!(address_words("0.0.0.0".parse().unwrap()).is_empty());
        let v4 = address_words("192.0.2.200".parse().unwrap());
        assert_eq!(v4[1], (LOCAL_IP4, i32::from_ne_bytes([192, 0, 2, 200])));
        let v6 = address_words("2001:db8::1".parse().unwrap());
        assert_eq!(v6.len(), 5);
        assert_eq!(v6[4], (LOCAL_IP6 + 12, i32::from_ne_bytes([0, 0, 0, 1])));
    }
}
