//! What both programs of the phones have in common: a map of their own, and looking into it.

use std::io;

use aya::maps::{Array, MapData};
use aya::programs::{Program, SchedClassifier, Xdp};
use aya::{Ebpf, Pod};

use crate::bpf::{
    ADD_VALUE, CALL, EXIT, Instruction, JUMP_IF_EQUAL, LOAD_WIDE, MOVE, MOVE_VALUE, MapPlan,
    STORE_WORD, instruction, load,
};

// Beside what the driver needs of RFC 9669.
pub(crate) const LOAD_DOUBLE: u8 = 0x79;
pub(crate) const STORE_HALF: u8 = 0x6b;
pub(crate) const SUBTRACT: u8 = 0x1f;
pub(crate) const DIVIDE_VALUE: u8 = 0x37;
pub(crate) const EXCLUSIVE_OR_VALUE: u8 = 0xa7;
pub(crate) const JUMP_IF_EQUAL_REGISTER: u8 = 0x1d;

/// A jump to where the program leaves what is none of its business.
pub(crate) const TO_OTHERWISE: i16 = i16::MAX;
/// A jump ahead, to where [`crate::bpf::resolve`] is called for it.
pub(crate) const TO_NEXT: i16 = i16::MAX - 1;

const NAME: &str = "phones";
const MAP: &str = "PHONES";

/// A program in the kernel, with a map of so many entries.
pub(crate) struct Loaded(Ebpf);

impl Loaded {
    /// `section` says of which type the program is: "xdp" or "classifier".
    pub(crate) fn new<E: Pod>(
        section: &str,
        program: &[Instruction],
        entries: &[E],
    ) -> io::Result<Self> {
        const ARRAY: u32 = 2;
        let (value_bytes, count) = (size_of::<E>() as u32, entries.len() as u32);
        let map = MapPlan { name: MAP, kind: ARRAY, value_bytes, entries: count };
        let loaded = load(section, NAME, program, &map).map_err(|(_, error)| error)?;
        let mut loaded = Self(loaded);
        for (index, entry) in (0..).zip(entries) {
            loaded.set(index, *entry)?;
        }
        match loaded.program() {
            Program::Xdp(program) => program.load(),
            Program::SchedClassifier(program) => program.load(),
            other => panic!("{:?} is neither", other.prog_type()),
        }
        .map_err(io::Error::other)?;
        Ok(loaded)
    }

    pub(crate) fn xdp(&mut self) -> &mut Xdp {
        self.program().try_into().expect("of this type")
    }

    pub(crate) fn classifier(&mut self) -> &mut SchedClassifier {
        self.program().try_into().expect("of this type")
    }

    fn program(&mut self) -> &mut Program {
        self.0.program_mut(NAME).expect("it has one")
    }

    pub(crate) fn get<E: Pod>(&self, index: u32) -> io::Result<E> {
        let map = self.0.map(MAP).expect("it has one");
        let map: Array<&MapData, E> = map.try_into().map_err(io::Error::other)?;
        map.get(&index, 0).map_err(io::Error::other)
    }

    pub(crate) fn set<E: Pod>(&mut self, index: u32, entry: E) -> io::Result<()> {
        let map = self.0.map_mut(MAP).expect("it has one");
        let mut map: Array<&mut MapData, E> = map.try_into().map_err(io::Error::other)?;
        map.set(index, entry, 0).map_err(io::Error::other)
    }
}

/// Puts the map into r6, where [`find`] looks for it.
pub(crate) fn take_map(program: &mut Vec<Instruction>) {
    program.extend([instruction(LOAD_WIDE, 6, 0, 0, 0), instruction(0, 0, 0, 0, 0)]);
}

/// Finds the entry whose number r0 has, and leaves it there.
pub(crate) fn find(program: &mut Vec<Instruction>) {
    const MAP_LOOKUP: i32 = 1;
    program.extend([
        instruction(STORE_WORD, 10, 0, -4, 0),
        instruction(MOVE, 1, 6, 0, 0),
        instruction(MOVE, 2, 10, 0, 0),
        instruction(ADD_VALUE, 2, 0, 0, -4),
        instruction(CALL, 0, 0, 0, MAP_LOOKUP),
        instruction(JUMP_IF_EQUAL, 0, 0, TO_OTHERWISE, 0),
    ]);
}

/// Ends the program with what it says of the frame.
pub(crate) fn leave(program: &mut Vec<Instruction>, verdict: i32) {
    program.extend([instruction(MOVE_VALUE, 0, 0, 0, verdict), instruction(EXIT, 0, 0, 0, 0)]);
}
