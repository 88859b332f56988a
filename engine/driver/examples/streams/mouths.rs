//! What the phones of a cable say: a program writes one packet after the other, and the kernel sends each
//! as an interface sends on what came to it (`BPF_PROG_TEST_RUN` with live frames, Linux 5.18). No packet
//! costs a socket buffer or a copy.

use std::io;
use std::ops::Range;

use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, XdpMode};

use crate::bpf::{
    ADD, ADD_VALUE, AND_VALUE, Instruction, JUMP_IF_ABOVE_REGISTER, JUMP_IF_OTHER, LOAD_WORD, MOVE,
    MOVE_VALUE, SHIFT_RIGHT, STORE_DOUBLE, STORE_WORD, instruction, resolve,
};
use crate::frame::{FRAME_BYTES, RTP, SOUND, SOUND_BYTES, UDP, sum, udp_sum};
use crate::phone_port;
use crate::program::{
    EXCLUSIVE_OR_VALUE, LOAD_DOUBLE, Loaded, STORE_HALF, TO_NEXT, TO_OTHERWISE, find, leave,
    take_map,
};

// What the program says of a frame (linux/bpf.h).
const DROP: i32 = 1;
const SEND_BACK: i32 = 3;

/// So many frames are written before they go out together.
const BATCH: u32 = 64;

/// An entry of the map, all as it is in a frame: first of the round, then of each phone.
type Entry = [u64; 4];

// Of the round: the entry of the phone that spoke last, number and time, and the sum of these two.
const SPOKE: i16 = 0;
const NUMBER: i16 = 8;
const TIME: i16 = 16;
const ROUND_SUM: i16 = 24;
// Of a phone: eight octets of what it says, source, ports, and the sum of all but number and time.
const SOUNDS: i16 = 0;
const SOURCE: i16 = 8;
const PORTS: i16 = 16;
const PHONE_SUM: i16 = 24;

/// Of one phone.
pub(crate) struct Mouth {
    /// Which of all phones it is.
    pub(crate) phone: u32,
    /// The octet that it says all the time.
    pub(crate) says: u8,
    /// The port that it says it to.
    pub(crate) to: u16,
}

/// The mouths of all phones that speak.
pub(crate) struct Mouths {
    loaded: Loaded,
    template: [u8; FRAME_BYTES],
    /// What comes to the program, as it is told: by which interface.
    context: Vec<u8>,
}

impl Mouths {
    /// Mouths that speak by an interface, in frames made from a template.
    pub(crate) fn open(
        interface: u32,
        template: [u8; FRAME_BYTES],
        mouths: &[Mouth],
    ) -> io::Result<Self> {
        let phones = mouths.iter().map(|mouth| mouth.entry(template));
        let entries: Vec<Entry> = std::iter::once(Entry::default()).chain(phones).collect();
        let mut loaded = Loaded::new("xdp", &instructions(), &entries)?;
        // Of a program that is at no interface, the kernel would change its code before and after each
        // run, which takes 20 ms. Nothing comes by this one.
        loaded.xdp().attach("lo", XdpMode::Skb).map_err(io::Error::other)?;
        // `struct xdp_md`: data, its end, metadata, interface, queue, interface of a way out.
        let context = [0, FRAME_BYTES as u32, 0, interface, 0, 0];
        let context = context.into_iter().flat_map(u32::to_ne_bytes).collect();
        Ok(Self { loaded, template, context })
    }

    /// Some of them, by their place in the list, say what they do in this round.
    pub(crate) fn speak(&mut self, mouths: Range<u32>, round: u32) -> io::Result<()> {
        if mouths.is_empty() {
            return Ok(());
        }
        let (number, time) = ((round as u16).to_be_bytes(), (round * 160).to_be_bytes());
        let round_sum = sum(&number) + sum(&time);
        let number = u16::from_ne_bytes(number).into();
        let time = u32::from_ne_bytes(time).into();
        self.loaded.set(0, [mouths.start.into(), number, time, round_sum])?;
        let run = TestRunOptions {
            data_in: Some(&self.template),
            ctx_in: Some(&self.context),
            repeat: mouths.len() as u32,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        self.loaded.xdp().test_run(run).map_err(io::Error::other)?;
        Ok(())
    }
}

impl Mouth {
    fn entry(&self, mut frame: [u8; FRAME_BYTES]) -> Entry {
        let (from, to) = (phone_port(self.phone).to_be_bytes(), self.to.to_be_bytes());
        let source = self.phone.to_be_bytes();
        frame[UDP..UDP + 2].copy_from_slice(&from);
        frame[UDP + 2..UDP + 4].copy_from_slice(&to);
        frame[RTP + 8..SOUND].copy_from_slice(&source);
        frame[SOUND..].fill(self.says);
        let ports = u32::from_ne_bytes([from[0], from[1], to[0], to[1]]);
        let source = u32::from_ne_bytes(source);
        [u64::from_ne_bytes([self.says; 8]), source.into(), ports.into(), udp_sum(&frame)]
    }
}

/// The program. It keeps in r6 the map, in r7 the frame, in r8 the entry of the round, in r9 the phone's.
fn instructions() -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_WORD, 7, 1, 0, 0),
        instruction(LOAD_WORD, 2, 1, 4, 0),
        instruction(MOVE, 3, 7, 0, 0),
        instruction(ADD_VALUE, 3, 0, 0, FRAME_BYTES as i32),
        instruction(JUMP_IF_ABOVE_REGISTER, 3, 2, TO_OTHERWISE, 0),
        instruction(MOVE_VALUE, 0, 0, 0, 0),
    ];
    take_map(&mut program);
    find(&mut program);
    program.extend([
        instruction(MOVE, 8, 0, 0, 0),
        instruction(LOAD_DOUBLE, 0, 8, SPOKE, 0),
        instruction(ADD_VALUE, 0, 0, 0, 1),
        instruction(STORE_DOUBLE, 8, 0, SPOKE, 0),
    ]);
    find(&mut program);
    program.push(instruction(MOVE, 9, 0, 0, 0));
    write(&mut program);
    leave(&mut program, SEND_BACK);
    let otherwise = program.len();
    resolve(&mut program, TO_OTHERWISE, otherwise);
    leave(&mut program, DROP);
    program
}

/// Writes into the frame what is the phone's own and the round's.
fn write(program: &mut Vec<Instruction>) {
    let mut put = |entry: u8, field: i16, store: u8, at: usize| {
        program.push(instruction(LOAD_DOUBLE, 1, entry, field, 0));
        program.push(instruction(store, 7, 1, at as i16, 0));
    };
    put(9, PORTS, STORE_WORD, UDP);
    put(8, NUMBER, STORE_HALF, RTP + 2);
    put(8, TIME, STORE_WORD, RTP + 4);
    put(9, SOURCE, STORE_WORD, RTP + 8);
    program.push(instruction(LOAD_DOUBLE, 1, 9, SOUNDS, 0));
    let places = (SOUND..SOUND + SOUND_BYTES).step_by(8);
    program.extend(places.map(|at| instruction(STORE_DOUBLE, 7, 1, at as i16, 0)));
    program.extend([
        instruction(LOAD_DOUBLE, 1, 9, PHONE_SUM, 0),
        instruction(LOAD_DOUBLE, 2, 8, ROUND_SUM, 0),
        instruction(ADD, 1, 2, 0, 0),
    ]);
    for _ in 0..2 {
        program.extend([
            instruction(MOVE, 2, 1, 0, 0),
            instruction(SHIFT_RIGHT, 2, 0, 0, 16),
            instruction(AND_VALUE, 1, 0, 0, 0xffff),
            instruction(ADD, 1, 2, 0, 0),
        ]);
    }
    program.extend([
        instruction(EXCLUSIVE_OR_VALUE, 1, 0, 0, 0xffff),
        // Zero would mean that there is no checksum.
        instruction(JUMP_IF_OTHER, 1, 0, TO_NEXT, 0),
        instruction(MOVE_VALUE, 1, 0, 0, 0xffff),
    ]);
    let next = program.len();
    resolve(program, TO_NEXT, next);
    program.push(instruction(STORE_HALF, 7, 1, UDP as i16 + 6, 0));
}
