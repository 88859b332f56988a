//! Small BPF programs made at run time, so that neither building nor running needs a BPF compiler: the
//! instruction set (RFC 9669), and the object file that `aya` loads.

use std::io;

use aya::Ebpf;
use object::write::{Object, Relocation, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};

use super::Failure;

/// One instruction, eight bytes (RFC 9669 section 3).
pub(crate) type Instruction = [u8; 8];

/// The instruction that names the map: two of them, completed by the loader.
pub(crate) const LOAD_WIDE: u8 = 0x18;

// Registers: r1 holds the context and arguments, r10 the frame; r6 and up survive calls.
pub(crate) const LOAD_BYTE: u8 = 0x71;
pub(crate) const LOAD_HALF: u8 = 0x69;
pub(crate) const LOAD_WORD: u8 = 0x61;
pub(crate) const STORE_WORD: u8 = 0x63;
pub(crate) const STORE_DOUBLE: u8 = 0x7b;
pub(crate) const MOVE: u8 = 0xbf;
pub(crate) const MOVE_VALUE: u8 = 0xb7;
pub(crate) const ADD: u8 = 0x0f;
pub(crate) const ADD_VALUE: u8 = 0x07;
pub(crate) const SUBTRACT_VALUE: u8 = 0x17;
pub(crate) const MULTIPLY_VALUE: u8 = 0x27;
pub(crate) const AND_VALUE: u8 = 0x57;
pub(crate) const SHIFT_RIGHT: u8 = 0x77;
/// Turns a number from the network's order of bytes into the machine's.
pub(crate) const FROM_NETWORK: u8 = 0xdc;
pub(crate) const JUMP_IF_EQUAL: u8 = 0x15;
pub(crate) const JUMP_IF_ABOVE: u8 = 0x25;
pub(crate) const JUMP_IF_ABOVE_REGISTER: u8 = 0x2d;
pub(crate) const JUMP_IF_OTHER: u8 = 0x55;
/// Of 32 bits: the value is not extended by its sign, which a loaded word never is.
pub(crate) const JUMP_IF_OTHER_WORD: u8 = 0x56;
pub(crate) const JUMP_IF_BELOW: u8 = 0xa5;
pub(crate) const JUMP_IF_BELOW_REGISTER: u8 = 0xad;
pub(crate) const CALL: u8 = 0x85;
pub(crate) const EXIT: u8 = 0x95;

pub(crate) fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    let ([o0, o1], [v0, v1, v2, v3]) = (offset.to_le_bytes(), value.to_le_bytes());
    [code, from << 4 | to, o0, o1, v0, v1, v2, v3]
}

/// Makes every jump to `label` one to the instruction `at`, which lies ahead of it.
pub(crate) fn resolve(program: &mut [Instruction], label: i16, at: usize) {
    for (index, instruction) in program.iter_mut().enumerate() {
        if instruction[2..4] == label.to_le_bytes() {
            let offset = (at - index - 1) as i16;
            instruction[2..4].copy_from_slice(&offset.to_le_bytes());
        }
    }
}

/// A map of the kernel with `u32` keys.
pub(crate) struct MapPlan {
    pub(crate) name: &'static str,
    /// Its number in linux/bpf.h.
    pub(crate) kind: u32,
    pub(crate) value_bytes: u32,
    pub(crate) entries: u32,
}

/// Bytes of a value that is a socket.
pub(crate) const SOCKET_BYTES: u32 = 4;

/// Gives a program and its map to the kernel's loader; `section` says of which type the program is.
pub(crate) fn load(
    section: &str,
    name: &str,
    program: &[Instruction],
    map: &MapPlan,
) -> Result<Ebpf, Failure> {
    let file = object_file(section, name, program, map)
        .map_err(|error| ("BPF object", io::Error::other(error)))?;
    Ebpf::load(&file).map_err(|error| ("bpf(MAP_CREATE)", whole(&error)))
}

pub(crate) fn missing(name: &'static str) -> Failure {
    ("BPF object", io::Error::other(format!("{name} is not in it")))
}

/// An error with everything it was caused by, in one line.
pub(crate) fn whole(error: &dyn std::error::Error) -> io::Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    io::Error::other(text)
}

/// The program and its map as a loader expects them.
fn object_file(
    section: &str,
    name: &str,
    program: &[Instruction],
    map: &MapPlan,
) -> Result<Vec<u8>, object::write::Error> {
    let mut file = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let (code, _) = add(&mut file, SectionKind::Text, section, name, &program.concat());
    // Kind, bytes of a key and of a value, entries, flags.
    let definition = [map.kind, 4, map.value_bytes, map.entries, 0].map(u32::to_le_bytes).concat();
    let (_, symbol) = add(&mut file, SectionKind::Data, "maps", map.name, &definition);
    let names_map = |instruction: &Instruction| instruction[0] == LOAD_WIDE;
    let at = program.iter().position(names_map).unwrap_or_default();
    let flags = RelocationFlags::Elf { r_type: elf::R_BPF_64_64 };
    file.add_relocation(code, Relocation { offset: 8 * at as u64, symbol, addend: 0, flags })?;
    add(&mut file, SectionKind::Data, "license", "_license", b"Apache-2.0\0");
    file.write()
}

fn add(
    file: &mut Object<'_>,
    kind: SectionKind,
    name: &str,
    symbol: &str,
    bytes: &[u8],
) -> (object::write::SectionId, SymbolId) {
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

/// Asserts that every jump of a program leads to one of these instructions.
#[cfg(test)]
pub(crate) fn assert_jumps_lead_to(program: &[Instruction], ways_out: &[usize]) {
    let is_jump = |code: u8| matches!(code & 7, 5 | 6) && code != CALL && code != EXIT;
    let jumps: Vec<_> = program.iter().zip(0..).filter(|(i, _)| is_jump(i[0])).collect();
    assert!(jumps.len() >= 4, "{} conditions", jumps.len());
    for (instruction, at) in jumps {
        let offset = i16::from_le_bytes([instruction[2], instruction[3]]);
        let to = usize::try_from(at + 1 + i32::from(offset)).unwrap();
        assert!(ways_out.contains(&to), "instruction {at} jumps to {to}");
    }
}
