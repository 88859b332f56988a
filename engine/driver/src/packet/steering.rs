//! Steers a range of UDP ports into one socket for each shard: a BPF program of type `sk_lookup`
//! (Linux 5.9), which the kernel asks for every datagram that no connected socket wants.
//!
//! The program is thirty instructions made here, so that neither building nor running needs a BPF
//! compiler; they are packed as the object file that `aya` loads. The instruction set is RFC 9669.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use aya::Ebpf;
use aya::maps::{MapData, SockMap};
use aya::programs::SkLookup;
use engine_control::PortPlan;
use object::write::{Object, Relocation, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};

const MAP: &str = "SHARDS";
const PROGRAM: &str = "steer";

/// Datagrams to the ports of the plan go to the shards' sockets, until this is dropped.
#[derive(Debug)]
pub(crate) struct Steering {
    /// The program is attached for as long as it is loaded.
    _loaded: Ebpf,
}

impl Steering {
    /// Steers what is sent to `address` (to any, where it is unspecified) and a port of the plan,
    /// in the network namespace of this process, to `sockets`, one for each shard.
    pub(crate) fn begin(
        ports: PortPlan,
        address: IpAddr,
        sockets: &[&OwnedFd],
    ) -> Result<Self, (&'static str, io::Error)> {
        let file = object_file(&instructions(ports, sockets.len(), address), sockets.len())
            .map_err(|error| ("BPF object", io::Error::other(error)))?;
        let mut loaded = Ebpf::load(&file).map_err(|error| ("bpf(MAP_CREATE)", whole(&error)))?;
        let map = loaded.map_mut(MAP).ok_or_else(|| missing(MAP))?;
        let mut map: SockMap<&mut MapData> =
            map.try_into().map_err(|error| ("bpf(MAP_CREATE)", whole(&error)))?;
        for (index, socket) in (0..).zip(sockets) {
            map.set(index, *socket, 0).map_err(|error| ("bpf(MAP_UPDATE_ELEM)", whole(&error)))?;
        }
        let program = loaded.program_mut(PROGRAM).ok_or_else(|| missing(PROGRAM))?;
        let program: &mut SkLookup =
            program.try_into().map_err(|error| ("bpf(PROG_LOAD)", whole(&error)))?;
        program.load().map_err(|error| ("bpf(PROG_LOAD)", whole(&error)))?;
        let namespace = File::open("/proc/self/ns/net").map_err(|error| ("open", error))?;
        program.attach(namespace).map_err(|error| ("bpf(LINK_CREATE)", whole(&error)))?;
        Ok(Self { _loaded: loaded })
    }
}

fn missing(name: &'static str) -> (&'static str, io::Error) {
    ("BPF object", io::Error::other(format!("{name} is not in it")))
}

/// An error with everything it was caused by, in one line.
fn whole(error: &dyn std::error::Error) -> io::Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    io::Error::other(text)
}

/// One instruction, eight bytes (RFC 9669 section 3).
type Instruction = [u8; 8];

/// A jump that leaves the datagram to the kernel: its offset is filled in at the end.
const TO_PASS: i16 = i16::MAX;

/// The instruction that names the map: two of them, completed by the loader.
const LOAD_WIDE: u8 = 0x18;

// Registers: r1 holds the context and arguments, r10 the frame; r6 and up survive calls.
const LOAD_WORD: u8 = 0x61;
const STORE_WORD: u8 = 0x63;
const MOVE: u8 = 0xbf;
const MOVE_VALUE: u8 = 0xb7;
const ADD_VALUE: u8 = 0x07;
const SUBTRACT_VALUE: u8 = 0x17;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_ABOVE: u8 = 0x25;
const JUMP_IF_OTHER: u8 = 0x55;
/// Of 32 bits: the value is not extended by its sign, which a loaded word never is.
const JUMP_IF_OTHER_WORD: u8 = 0x56;
const JUMP_IF_BELOW: u8 = 0xa5;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

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

fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    let ([o0, o1], [v0, v1, v2, v3]) = (offset.to_le_bytes(), value.to_le_bytes());
    [code, from << 4 | to, o0, o1, v0, v1, v2, v3]
}

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
    for (index, instruction) in program.iter_mut().enumerate() {
        if instruction[2..4] == TO_PASS.to_le_bytes() {
            let offset = (pass - index - 1) as i16;
            instruction[2..4].copy_from_slice(&offset.to_le_bytes());
        }
    }
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

/// The program and its map as a loader expects them.
fn object_file(program: &[Instruction], shards: usize) -> Result<Vec<u8>, object::write::Error> {
    let mut file = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let (code, _) = section(&mut file, "sk_lookup/steer", PROGRAM, &program.concat());
    // Kind, bytes of a key and of a value, entries, flags.
    const SOCKMAP: u32 = 15;
    let definition = [SOCKMAP, 4, 4, shards as u32, 0].map(u32::to_le_bytes).concat();
    let (_, map) = section(&mut file, "maps", MAP, &definition);
    let names_map = |instruction: &Instruction| instruction[0] == LOAD_WIDE;
    let at = program.iter().position(names_map).unwrap_or_default();
    let flags = RelocationFlags::Elf { r_type: elf::R_BPF_64_64 };
    file.add_relocation(code, Relocation { offset: 8 * at as u64, symbol: map, addend: 0, flags })?;
    section(&mut file, "license", "_license", b"Apache-2.0\0");
    file.write()
}

fn section(
    file: &mut Object<'_>,
    name: &str,
    symbol: &str,
    bytes: &[u8],
) -> (object::write::SectionId, SymbolId) {
    let kind = if name.starts_with("sk_lookup") { SectionKind::Text } else { SectionKind::Data };
    let section = file.add_section(Vec::new(), name.into(), kind);
    file.append_section_data(section, bytes, 8);
    let symbol = file.add_symbol(Symbol {
        name: symbol.into(),
        value: 0,
        size: bytes.len() as u64,
        kind: if kind == SectionKind::Text { SymbolKind::Text } else { SymbolKind::Data },
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    (section, symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: PortPlan = PortPlan { first: 16384, block: 8192 };

    #[test]
    fn every_way_out_of_the_program_passes_the_datagram_on() {
        for address in ["0.0.0.0", "192.0.2.200", "::", "2001:db8::1"] {
            let program = instructions(PORTS, 2, address.parse().unwrap());
            let pass = program.len() as i16 - 2;
            let is_jump = |code: u8| matches!(code & 7, 5 | 6) && code != CALL && code != EXIT;
            let jumps: Vec<_> = program.iter().zip(0..).filter(|(i, _)| is_jump(i[0])).collect();
            assert!(jumps.len() >= 4, "{address}: {} conditions", jumps.len());
            for (instruction, at) in jumps {
                let offset = i16::from_le_bytes([instruction[2], instruction[3]]);
                assert_eq!(at + 1 + offset, pass, "{address}: instruction {at}");
            }
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
