//! One phase's turn: its rooms, by their plans, then the sessions that are in none.

use engine_control::Route;
use media::tone::Tone;
use media_units::{BLOCK_SAMPLES, Block, RateClass};
use mixer::{Classes, Frame, Mix, Part, Setting, Source, Sources, Way, encode, silence};

use crate::Output;
use crate::moment::Moment;
use crate::roster::{Group, NO_ROOM, Roster};
use crate::session::Session;
use crate::shard::Room;

/// What runs sessions and rooms at one moment.
pub(crate) struct Run<'a, O> {
    pub(crate) sessions: &'a mut [Session],
    pub(crate) sources: &'a mut [Source],
    pub(crate) rooms: &'a mut [Room],
    pub(crate) roster: &'a Roster,
    pub(crate) mix: &'a mut Mix,
    pub(crate) moment: Moment<'a, O>,
}

/// What the mix remembers of the members of one room.
struct Members<'a> {
    parts: &'a [Part],
    sources: &'a mut [Source],
}

impl Sources for Members<'_> {
    fn source(&mut self, position: u32) -> &mut Source {
        &mut self.sources[self.parts[position as usize].member as usize]
    }
}

impl<O: Output> Run<'_, O> {
    /// Runs one group of a phase.
    pub(crate) fn group(&mut self, phase: u8, group: Group) {
        let phase = self.roster.phase(phase);
        for &span in phase.spans(group) {
            let parts = phase.parts(span);
            match (span.room, span.way, parts) {
                (NO_ROOM, ..) => parts.iter().for_each(|part| self.alone(part.member)),
                (_, Way::Relay, [one, other]) => self.relay([one.member, other.member]),
                (room, ..) => self.mix(parts, room),
            }
        }
    }

    /// Runs one session by itself.
    pub(crate) fn alone(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        let mut block = Block::SILENCE;
        let mut frame = [0; BLOCK_SAMPLES];
        session.begin_turn(self.moment.period);
        let is_audible = session.play(&mut block, &mut self.moment) > 0;
        let law = session.law();
        let sound = match session.route {
            Route::Echo if is_audible => Some(&block),
            Route::Tone => Some(&Tone::BLOCK),
            Route::Idle | Route::Echo | Route::Room(_) => None,
        };
        let frame = match sound {
            Some(sound) => {
                encode(self.moment.rules.kernels, law, &sound.0, &mut frame);
                &frame
            }
            None => silence(law),
        };
        session.end_turn(Some(frame), &mut self.moment);
    }

    /// Decodes everyone, and sends each one the others.
    fn mix(&mut self, parts: &[Part], room: u32) {
        let Self { sessions, sources, rooms, mix, moment, .. } = self;
        let room = &mut rooms[room as usize];
        let setting =
            Setting { sound: room.sound, classes: Classes::NARROW, period: moment.period };
        mix.start(&setting, room.state);
        for (position, part) in parts.iter().enumerate() {
            let session = &mut sessions[part.member as usize];
            session.begin_turn(moment.period);
            let mut block = Block::SILENCE;
            let energy = session.play(&mut block, moment);
            if part.says && energy > 0 {
                mix.next_block(RateClass::Narrow).copy_from_slice(&block.0);
                mix.offer(position as u32, RateClass::Narrow, energy);
            }
        }
        mix.settle(&mut Members { parts, sources });
        if let Some(tap) = room.tap {
            let mut block = Block::SILENCE;
            block.0.copy_from_slice(mix.whole(RateClass::Narrow));
            moment.taps.push(tap, moment.period, moment.now, &block);
        }
        for (position, part) in parts.iter().enumerate() {
            let listener = &mut sources[part.member as usize];
            let frame = part.hears.then(|| mix.frame_for(position as u32, part.law, listener));
            sessions[part.member as usize].end_turn(frame, moment);
        }
        room.state = mix.finish();
    }

    /// Passes each one's frames to the other as they came.
    fn relay(&mut self, members: [u32; 2]) {
        let mut frames: [Frame; 2] = [[0; BLOCK_SAMPLES]; 2];
        let mut is_there = [false; 2];
        for (side, &member) in members.iter().enumerate() {
            let session = &mut self.sessions[member as usize];
            session.begin_turn(self.moment.period);
            is_there[side] = session.take_frame(&mut frames[side], &mut self.moment);
        }
        for (side, &member) in members.iter().enumerate() {
            let other = 1 - side;
            let frame = is_there[other].then_some(&frames[other]);
            self.sessions[member as usize].end_turn(frame, &mut self.moment);
        }
    }
}
