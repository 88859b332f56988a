//! What the mix remembers of one member from period to period.

use media::resample::History;
use media_kernels::Kernels;
use media_units::{Gain, PeriodIndex, RoomSound};

use crate::automatic::AutomaticGain;
use crate::gain::{UNITY, number};
use crate::gate::Gate;
use crate::limiter::Limiter;
use crate::select::Standing;

/// One member's state in the mix: how its sound is conditioned, what of it is still to come out of
/// filters, and how what it hears is turned down. Touched only where a room needs it: where rates are
/// mixed, a policy or a gain is on, or something is too loud.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Which of two as loud is heard where only one can be.
    identity: u32,
    /// By how much everyone hears it louder.
    pub gain: Gain,
    /// By how much it hears everyone louder.
    pub listening_gain: Gain,
    /// The period after the last in which it was a source.
    said_until: PeriodIndex,
    /// The period after the last in which it was a listener of a mix of its own.
    heard_until: PeriodIndex,
    pub(crate) standing: Standing,
    automatic: AutomaticGain,
    gate: Gate,
    /// The gain at the end of its last period, as a number; 0 where it was not heard.
    applied: u32,
    /// The same for what it heard; 0 where nothing was changed yet.
    applied_listening: u32,
    /// Of what it hears while it is audible itself.
    listening: Limiter,
    pub(crate) history: History,
    /// Whether there is something to forget of `applied` and `history`.
    has_past: bool,
}

/// A source's sound of one period, measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    /// Mean of its samples squared.
    pub(crate) power: u64,
    /// In dB below full scale.
    pub(crate) level_dbov: u8,
    pub(crate) is_talking: bool,
}

/// Part of a period in which a gain reaches its new value: 2.5 ms.
const RAMP: usize = 8;

impl Source {
    /// Whoever has said and heard nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with what tells it from every other source of its room.
    pub fn named(identity: u32) -> Self {
        Self { identity, ..Self::default() }
    }

    /// Its claim to be among the loudest.
    pub(crate) fn claim(&self) -> u64 {
        self.standing.claim(self.identity)
    }

    /// Whether it has a gain of its own.
    pub fn has_gain(&self) -> bool {
        (self.gain, self.listening_gain) != (Gain::UNITY, Gain::UNITY)
    }

    /// Comes to a period as a source: what was before a gap is forgotten, but not how loudly it
    /// speaks.
    pub(crate) fn speak_in(&mut self, period: PeriodIndex) {
        if self.said_until != period && self.said_until != period + 1 {
            self.exclude();
            self.standing = Standing::default();
        }
        self.said_until = period + 1;
    }

    /// Whether it was heard in its last period.
    pub(crate) const fn was_heard(&self) -> bool {
        self.applied > 0
    }

    /// Is not heard in this period.
    pub(crate) fn exclude(&mut self) {
        if self.has_past {
            self.applied = 0;
            self.history = History::SILENT;
            self.has_past = false;
        }
    }

    /// Is heard as it is.
    pub(crate) fn pass(&mut self) {
        self.applied = UNITY;
        self.has_past = true;
    }

    /// Is heard as the room's policy wants it, without clicks: what was not heard fades in, what is
    /// no longer to be heard fades out. False where nothing is left to be heard.
    pub(crate) fn condition(
        &mut self,
        kernels: Kernels,
        sound: &RoomSound,
        is_admitted: bool,
        measure: &Measure,
        block: &mut [i16],
    ) -> bool {
        let wanted = self.wanted(sound, measure);
        let from = self.applied;
        let to = match wanted {
            _ if !is_admitted => 0,
            0 => 0,
            wanted if wanted > UNITY => self.rise(wanted.min(unclipped(kernels.peak(block)))),
            wanted => self.rise(wanted),
        };
        if from == 0 && to == 0 {
            self.exclude();
            return false;
        }
        if (from, to) != (UNITY, UNITY) {
            let length = if to == 0 { block.len() } else { block.len() / RAMP };
            let (ramp, rest) = block.split_at_mut(length);
            kernels.gain(ramp, from, to);
            kernels.gain(rest, to, to);
        }
        self.applied = to;
        self.has_past = true;
        true
    }

    /// The gain that the policy comes to, as a number.
    fn wanted(&mut self, sound: &RoomSound, measure: &Measure) -> u32 {
        let is_open =
            sound.noise_gate_dbov.is_none_or(|least| self.gate.block(least, measure.level_dbov));
        let automatic = sound.automatic_gain_dbov.map_or(Gain::UNITY, |target| {
            self.automatic.block(target, measure.power, measure.is_talking)
        });
        let tenths_db = self.gain.tenths_db.saturating_add(automatic.tenths_db);
        if is_open { number(Gain { tenths_db }) } else { 0 }
    }

    /// What is heard already grows by half a decibel in a period at most.
    fn rise(&self, to: u32) -> u32 {
        if self.applied == 0 { to } else { to.min(self.applied + self.applied / 17 + 1) }
    }

    /// Comes to a period as a listener. Whoever heard what all hear until now was turned down as
    /// they are.
    pub(crate) fn listen_in(&mut self, period: PeriodIndex, all: Limiter) -> &mut Limiter {
        if self.heard_until != period {
            self.listening = all;
        }
        self.heard_until = period + 1;
        &mut self.listening
    }

    /// Whether what it hears is changed by its own gain.
    pub fn listens_otherwise(&self) -> bool {
        self.listening_gain != Gain::UNITY || ![0, UNITY].contains(&self.applied_listening)
    }

    /// Changes what it hears.
    pub(crate) fn turn(&mut self, kernels: Kernels, block: &mut [i16]) {
        let to = number(self.listening_gain);
        let from = if self.applied_listening == 0 { UNITY } else { self.applied_listening };
        kernels.gain(block, from, to);
        self.applied_listening = to;
    }
}

/// The greatest gain at which a peak is within full scale.
fn unclipped(peak: u16) -> u32 {
    (u32::from(i16::MAX as u16) << 16) / u32::from(peak.max(1))
}

/// Where a room's members have their state.
pub trait Sources {
    /// The state of the member at `position` in the room.
    fn source(&mut self, position: u32) -> &mut Source;
}

impl Sources for [Source] {
    fn source(&mut self, position: u32) -> &mut Source {
        &mut self[position as usize]
    }
}
