//! The sound from the playhead on, the same for every format: what is there, what is missing.

use media_kernels::Kernels;

use super::store::AHEAD;
use super::{AHEAD_MS, Memory, PAST, Playout};
use crate::codec::Decoder;
use crate::g711;

impl Playout {
    /// How far ahead of the playhead a packet may lie.
    pub(super) fn ahead_max(&self) -> u64 {
        u64::from(self.rate) * u64::from(AHEAD_MS) / 1000
    }

    /// How many samples in a row are there from the playhead on, up to `most`.
    pub(super) fn run(&self, most: usize) -> usize {
        let Some(memory) = &self.memory else {
            return self.store.run(self.playhead, most);
        };
        let mut end = self.playhead + memory.sound.ahead() as u64;
        for packet in memory.packets.list() {
            if packet.position > end || end - self.playhead >= most as u64 {
                break;
            }
            end = end.max(packet.end());
        }
        ((end - self.playhead) as usize).min(most)
    }

    /// How many samples in a row are missing from the playhead on, up to `most`.
    pub(super) fn gap(&self, most: usize) -> usize {
        let Some(memory) = &self.memory else {
            return self.store.gap(self.playhead, most);
        };
        if memory.sound.ahead() > 0 {
            return 0;
        }
        let next = memory.packets.list().iter().find(|packet| packet.end() > self.playhead);
        next.map_or(most, |next| {
            next.position.saturating_sub(self.playhead).min(most as u64) as usize
        })
    }

    /// The next samples, which are there, decoded.
    pub(super) fn peek(&mut self, decoder: &mut Decoder, kernels: &Kernels, samples: &mut [i16]) {
        match &mut self.memory {
            None => self.store.decode(law(decoder), self.playhead, kernels, samples),
            Some(memory) => {
                memory.decode_ahead(self.playhead, samples.len(), decoder, kernels);
                memory.sound.peek(samples);
            }
        }
    }

    /// Moves the playhead over what is played or left out; the room gained at the far end is
    /// empty.
    pub(super) fn advance(&mut self, samples: u64) {
        match &mut self.memory {
            None => {
                let far = self.playhead + AHEAD;
                self.store.forget(far, samples as usize);
            }
            Some(memory) => {
                memory.sound.advance(samples as usize);
                memory.packets.remove_until(self.playhead + samples);
            }
        }
        self.playhead += samples;
    }

    /// A loss begins: fetches what was played last.
    pub(super) fn remember_past(&mut self, decoder: &Decoder, kernels: &Kernels) {
        match &mut self.memory {
            None => {
                let length = self.store.run_before(self.playhead, self.past.len());
                let (none, past) = self.past.split_at_mut(PAST - length);
                none.fill(0);
                self.store.decode(law(decoder), self.playhead - length as u64, kernels, past);
            }
            Some(memory) => {
                let kept = memory.sound.past();
                let recent = &kept[kept.len() - memory.past.len()..];
                memory.past.copy_from_slice(recent);
            }
        }
    }

    /// A loss ends: what was invented is the past now.
    pub(super) fn amend_past(&mut self, decoder: &Decoder, kernels: &Kernels) {
        match &mut self.memory {
            None => {
                let mut codes = [0; PAST];
                g711::encode(law(decoder), kernels, &self.past, &mut codes);
                self.store.write(self.playhead - codes.len() as u64, &codes);
            }
            Some(memory) => memory.sound.amend(&memory.past),
        }
    }

    /// How much of the hole at the playhead lies before what the packet behind it can recover: the
    /// hole is looked at again from there.
    pub(super) fn beyond_redundancy(&self) -> usize {
        let next = self.memory.as_ref().and_then(|memory| memory.packets.list().first());
        let beyond = next.map_or(0, |next| {
            next.position.saturating_sub(self.playhead + u64::from(next.samples)) as usize
        });
        if beyond > 0 { beyond } else { usize::MAX }
    }

    /// Recovers what is missing at the playhead from the redundancy in the packet behind it. False
    /// where there is none.
    pub(super) fn recover(&mut self, decoder: &mut Decoder) -> bool {
        let quantum = self.period as usize / 8;
        let Some(memory) = &mut self.memory else { return false };
        let Some(&next) = memory.packets.list().first() else { return false };
        let missing = next.position.saturating_sub(self.playhead) as usize;
        let whole = missing.next_multiple_of(quantum);
        if missing == 0 || whole > next.samples as usize {
            return false;
        }
        let room = memory.sound.room(whole);
        let recovered = decoder.recover(memory.packets.payload(&next), room);
        if recovered {
            memory.sound.add(whole, whole - missing);
            memory.decoded_until = next.position;
        }
        recovered
    }
}

impl Memory {
    /// Decodes packets until so many samples are there from the playhead on.
    fn decode_ahead(
        &mut self,
        playhead: u64,
        samples: usize,
        decoder: &mut Decoder,
        kernels: &Kernels,
    ) {
        while self.sound.ahead() < samples {
            let end = playhead + self.sound.ahead() as u64;
            let Some(&packet) = self.packets.list().first() else { return };
            if packet.position > end {
                return;
            }
            self.packets.remove_first();
            if packet.end() <= end {
                continue;
            }
            if packet.position != self.decoded_until {
                decoder.after_loss();
            }
            self.decoded_until = packet.end();
            let length = packet.samples as usize;
            let room = self.sound.room(length);
            let decoded = decoder.decode(kernels, self.packets.payload(&packet), room);
            // What could not be decoded is silence: the schedule counts on it.
            room[decoded.min(length)..].fill(0);
            self.sound.add(length, (end - packet.position) as usize);
        }
    }
}

/// The law of a stream that is kept as samples.
fn law(decoder: &Decoder) -> media_units::Law {
    match decoder {
        Decoder::G711(law) => *law,
        _ => media_units::Law::Mu,
    }
}
