//! What the phones of a cable hear: a program at their interface looks at each packet that comes, notes
//! what it says, and drops it. No phone costs a socket, a copy or a system call.

use std::io;

use aya::programs::TcAttachType;

use crate::bpf::{
    ADD, ADD_VALUE, AND_VALUE, CALL, FROM_NETWORK, Instruction, JUMP_IF_ABOVE,
    JUMP_IF_ABOVE_REGISTER, JUMP_IF_BELOW, JUMP_IF_EQUAL, JUMP_IF_OTHER, LOAD_BYTE, LOAD_HALF,
    LOAD_WORD, MOVE, MOVE_VALUE, SHIFT_RIGHT, STORE_DOUBLE, SUBTRACT_VALUE, instruction, resolve,
};
use crate::frame::{ETHERTYPE_IPV4, IP, RTP, SOUND, SOUND_BYTES, UDP};
use crate::program::{
    DIVIDE_VALUE, JUMP_IF_EQUAL_REGISTER, LOAD_DOUBLE, Loaded, SUBTRACT, TO_NEXT, TO_OTHERWISE,
    find, leave, take_map,
};
use crate::{FIRST_PORT, PHONES_CORE};

/// Gaps between two packets of one stream are counted by the millisecond, in the last place all longer ones.
const GAPS: usize = 256;

/// An entry of the map: first of each phone, then two of the [`Tally`], then one of each gap.
type Entry = [u64; 3];
const TALLIES: u32 = 2;

// Of a phone: when the last packet came, its number, and the octet that the phone is to hear.
const LAST_NS: i16 = 0;
const LAST_NUMBER: i16 = 8;
const EXPECTED: i16 = 16;
// Of the first tally.
const RECEIVED: i16 = 0;
const LOST: i16 = 8;
const WRONG: i16 = 16;
// Of the second.
const STRAYED: i16 = 0;
const ALIVE: i16 = 8;

// What the program says of a packet (linux/pkt_cls.h).
const PASS: i32 = 0;
const DROP: i32 = 2;

// Where its bytes begin and end (`struct __sk_buff`).
const DATA: i16 = 76;
const DATA_END: i16 = 80;

// The kernel's functions by number (linux/bpf.h).
const MONOTONIC_NANOS: i32 = 5;
const CORE_NUMBER: i32 = 8;

/// The ears of all phones, at their interface until this is dropped.
pub(crate) struct Ears {
    loaded: Loaded,
    phones: u32,
}

/// What all phones heard.
pub(crate) struct Tally {
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) wrong: u64,
    /// Packets that were taken on another core than the load's.
    pub(crate) strayed: u64,
    gaps_ms: [u64; GAPS],
}

impl Ears {
    /// Listens at an interface for so many phones, each of which is to hear its octet.
    pub(crate) fn open(interface: &str, expected: &[u8]) -> io::Result<Self> {
        let phones = expected.len() as u32;
        let mut entries: Vec<Entry> = expected.iter().map(|&octet| [0, 0, octet.into()]).collect();
        entries.resize(expected.len() + TALLIES as usize + GAPS, Entry::default());
        let mut loaded = Loaded::new("classifier", &instructions(phones), &entries)?;
        let attached = loaded.classifier().attach(interface, TcAttachType::Ingress);
        attached.map_err(io::Error::other)?;
        Ok(Self { loaded, phones })
    }

    /// Whether each phone has heard something.
    pub(crate) fn all_hear(&self) -> bool {
        self.entry(1)[ALIVE as usize / 8] == u64::from(self.phones)
    }

    /// What they heard until now.
    pub(crate) fn tally(&self) -> Tally {
        let [received, lost, wrong] = self.entry(0);
        let strayed = self.entry(1)[STRAYED as usize / 8];
        let gaps_ms = std::array::from_fn(|ms| self.entry(TALLIES + ms as u32)[0]);
        Tally { received, lost, wrong, strayed, gaps_ms }
    }

    /// One of those behind the phones'.
    fn entry(&self, offset: u32) -> Entry {
        self.loaded.get(self.phones + offset).expect("inside the map")
    }
}

impl Tally {
    /// What was heard since an earlier tally.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            received: self.received - earlier.received,
            lost: self.lost - earlier.lost,
            wrong: self.wrong - earlier.wrong,
            strayed: self.strayed - earlier.strayed,
            gaps_ms: std::array::from_fn(|ms| self.gaps_ms[ms] - earlier.gaps_ms[ms]),
        }
    }

    /// The milliseconds within which this share (of a thousand) of all gaps is.
    pub(crate) fn gap_under_ms(&self, share: u64) -> usize {
        let mut left = self.gaps_ms.iter().sum::<u64>() * share / 1000;
        let is_below = |&&count: &&u64| {
            let is_below = left >= count;
            left = left.saturating_sub(count);
            is_below
        };
        self.gaps_ms.iter().take_while(is_below).count() + 1
    }
}

const TO_FIRST: i16 = i16::MAX - 2;

/// The program. It keeps in r6 the map, in r7 the packet's number, in r8 its octet, in r9 the phone's entry.
fn instructions(phones: u32) -> Vec<Instruction> {
    let mut program = whose_is_it(phones).to_vec();
    take_map(&mut program);
    find(&mut program);
    program.extend([
        instruction(MOVE, 9, 0, 0, 0),
        instruction(CALL, 0, 0, 0, MONOTONIC_NANOS),
        instruction(LOAD_DOUBLE, 1, 9, LAST_NS, 0),
        instruction(STORE_DOUBLE, 9, 0, LAST_NS, 0),
        instruction(JUMP_IF_EQUAL, 1, 0, TO_FIRST, 0),
    ]);
    count_gap(&mut program, phones as i32 + TALLIES as i32);
    count_packet(&mut program, phones as i32);
    program.extend([
        instruction(STORE_DOUBLE, 9, 7, LAST_NUMBER, 0),
        instruction(CALL, 0, 0, 0, CORE_NUMBER),
        // No other core shall have the phones' part.
        instruction(JUMP_IF_EQUAL, 0, 0, TO_NEXT, PHONES_CORE as i32),
    ]);
    count_beside(&mut program, phones as i32, STRAYED);
    next(&mut program);
    leave(&mut program, DROP);
    let first = program.len();
    resolve(&mut program, TO_FIRST, first);
    program.push(instruction(STORE_DOUBLE, 9, 7, LAST_NUMBER, 0));
    count_beside(&mut program, phones as i32, ALIVE);
    leave(&mut program, DROP);
    let pass = program.len();
    resolve(&mut program, TO_OTHERWISE, pass);
    leave(&mut program, PASS);
    program
}

/// Leaves in r0 which phone an RTP packet is for.
fn whose_is_it(phones: u32) -> [Instruction; 20] {
    [
        instruction(LOAD_WORD, 2, 1, DATA, 0),
        instruction(LOAD_WORD, 3, 1, DATA_END, 0),
        instruction(MOVE, 4, 2, 0, 0),
        instruction(ADD_VALUE, 4, 0, 0, (SOUND + SOUND_BYTES) as i32),
        instruction(JUMP_IF_ABOVE_REGISTER, 4, 3, TO_OTHERWISE, 0),
        instruction(LOAD_HALF, 4, 2, IP as i16 - 2, 0),
        instruction(
            JUMP_IF_OTHER,
            4,
            0,
            TO_OTHERWISE,
            i32::from(u16::from_ne_bytes(ETHERTYPE_IPV4)),
        ),
        instruction(LOAD_BYTE, 4, 2, IP as i16 + 9, 0),
        instruction(JUMP_IF_OTHER, 4, 0, TO_OTHERWISE, libc::IPPROTO_UDP),
        instruction(LOAD_BYTE, 4, 2, RTP as i16, 0),
        instruction(JUMP_IF_OTHER, 4, 0, TO_OTHERWISE, 0x80),
        instruction(LOAD_HALF, 7, 2, RTP as i16 + 2, 0),
        instruction(FROM_NETWORK, 7, 0, 0, 16),
        instruction(LOAD_BYTE, 8, 2, (SOUND + SOUND_BYTES / 2) as i16, 0),
        instruction(LOAD_HALF, 0, 2, UDP as i16 + 2, 0),
        instruction(FROM_NETWORK, 0, 0, 0, 16),
        instruction(JUMP_IF_BELOW, 0, 0, TO_OTHERWISE, i32::from(FIRST_PORT)),
        instruction(SUBTRACT_VALUE, 0, 0, 0, i32::from(FIRST_PORT)),
        instruction(SHIFT_RIGHT, 0, 0, 0, 1),
        instruction(JUMP_IF_ABOVE, 0, 0, TO_OTHERWISE, phones as i32 - 1),
    ]
}

/// Counts how long ago the last packet came, of which r1 has the time; r0 has that of this one.
fn count_gap(program: &mut Vec<Instruction>, gaps: i32) {
    program.extend([
        instruction(SUBTRACT, 0, 1, 0, 0),
        instruction(DIVIDE_VALUE, 0, 0, 0, 1_000_000),
        instruction(JUMP_IF_BELOW, 0, 0, TO_NEXT, GAPS as i32),
        instruction(MOVE_VALUE, 0, 0, 0, GAPS as i32 - 1),
    ]);
    next(program);
    program.push(instruction(ADD_VALUE, 0, 0, 0, gaps));
    find(program);
    count(program, 0);
}

/// Counts the packet, those that are missing before it, and whether it says something else.
fn count_packet(program: &mut Vec<Instruction>, tally: i32) {
    program.push(instruction(MOVE_VALUE, 0, 0, 0, tally));
    find(program);
    count(program, RECEIVED);
    program.extend([
        instruction(LOAD_DOUBLE, 1, 9, LAST_NUMBER, 0),
        instruction(MOVE, 2, 7, 0, 0),
        instruction(SUBTRACT, 2, 1, 0, 0),
        instruction(SUBTRACT_VALUE, 2, 0, 0, 1),
        instruction(AND_VALUE, 2, 0, 0, 0xffff),
        instruction(LOAD_DOUBLE, 1, 0, LOST, 0),
        instruction(ADD, 1, 2, 0, 0),
        instruction(STORE_DOUBLE, 0, 1, LOST, 0),
        instruction(LOAD_DOUBLE, 1, 9, EXPECTED, 0),
        instruction(JUMP_IF_EQUAL_REGISTER, 1, 8, TO_NEXT, 0),
    ]);
    count(program, WRONG);
    next(program);
}

/// Counts in the second tally.
fn count_beside(program: &mut Vec<Instruction>, tally: i32, field: i16) {
    program.push(instruction(MOVE_VALUE, 0, 0, 0, tally + 1));
    find(program);
    count(program, field);
}

/// Adds one to a field of the entry in r0.
fn count(program: &mut Vec<Instruction>, field: i16) {
    program.extend([
        instruction(LOAD_DOUBLE, 1, 0, field, 0),
        instruction(ADD_VALUE, 1, 0, 0, 1),
        instruction(STORE_DOUBLE, 0, 1, field, 0),
    ]);
}

/// This is what was jumped to.
fn next(program: &mut [Instruction]) {
    resolve(program, TO_NEXT, program.len());
}
