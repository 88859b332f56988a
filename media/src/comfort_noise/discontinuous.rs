//! What to send of a stream in which silence need not be sent.

use super::{ComfortNoise, NoiseAnalyser, level_dbov};

/// Whatever is louder is sound, whatever the noise, in -dBov.
const SURELY_SOUND_DBOV: u32 = 40;

/// Whatever is softer is a pause, in -dBov.
const SURELY_PAUSE_DBOV: u32 = 70;

/// Sound is so much louder than the noise.
const ABOVE_NOISE_DB: u32 = 4;

/// Noise that is taken for granted before any was heard, in -dBov.
const NOISE_AT_FIRST_DBOV: u32 = 60;

/// Fractions of a decibel in which the noise is followed.
const NOISE_STEPS: u32 = 256;

/// How the estimate of the noise rises: so many dB a second.
const NOISE_RISE_DB: u32 = 3;

/// Sound is sent for so long after the last of it: word ends are soft.
const HANGOVER_MS: u32 = 200;

/// Noise is described again after so long,
const REFRESH_MS: u32 = 1000;

/// or, when it has changed by so many dB,
const CHANGE_DB: u8 = 3;

/// after so long.
const CHANGE_MS: u32 = 100;

/// What to send in the place of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// The packet.
    Sound {
        /// Sound begins after silence: the marker bit is to be set (RFC 3551 section 4.1).
        begins: bool,
    },
    /// Comfort noise instead, with its own payload type.
    Noise(ComfortNoise),
    /// Nothing. Sequence numbers stand still, timestamps go on.
    Nothing,
}

/// Decides about each packet of a stream.
#[derive(Debug, Clone)]
pub struct DiscontinuousSender {
    sample_rate: u32,
    /// The noise between words, in -dBov times `NOISE_STEPS`.
    noise: u32,
    /// Samples until silence begins; 0 in silence.
    hangover: u32,
    /// Samples since noise was described.
    since_described: u32,
    described: ComfortNoise,
    analyser: NoiseAnalyser,
}

impl DiscontinuousSender {
    /// A stream that begins with sound.
    pub fn new(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            noise: NOISE_AT_FIRST_DBOV * NOISE_STEPS,
            hangover: samples(sample_rate, HANGOVER_MS),
            since_described: 0,
            described: ComfortNoise::SILENCE,
            analyser: NoiseAnalyser::new(),
        }
    }

    /// What to send in the place of this packet.
    pub fn packet(&mut self, packet: &[i16]) -> Sending {
        let length = packet.len() as u32;
        let energy: u64 = packet.iter().map(|&s| u64::from(s.unsigned_abs()).pow(2)).sum();
        let level = level_dbov(energy as f32 / packet.len().max(1) as f32);
        let silent = self.hangover == 0;
        if self.is_sound(u32::from(level), length) {
            self.hangover = samples(self.sample_rate, HANGOVER_MS).max(1);
            return Sending::Sound { begins: silent };
        }
        self.analyser.observe(packet);
        self.since_described = self.since_described.saturating_add(length);
        self.hangover = self.hangover.saturating_sub(length);
        if self.hangover > 0 {
            return Sending::Sound { begins: false };
        }
        let noise = self.analyser.noise();
        let changed = noise.level_dbov().abs_diff(self.described.level_dbov()) >= CHANGE_DB;
        let wait = if changed { CHANGE_MS } else { REFRESH_MS };
        if silent && self.since_described < samples(self.sample_rate, wait) {
            return Sending::Nothing;
        }
        self.described = noise;
        self.since_described = 0;
        Sending::Noise(noise)
    }

    /// Judges a level, and follows the noise: half way down at once, and slowly up, so that pauses
    /// between words show it as it is.
    fn is_sound(&mut self, level: u32, length: u32) -> bool {
        let fine = level * NOISE_STEPS;
        let rise = NOISE_RISE_DB * NOISE_STEPS * length / self.sample_rate.max(1);
        self.noise = if fine > self.noise {
            self.noise.midpoint(fine.min(SURELY_PAUSE_DBOV * NOISE_STEPS))
        } else {
            self.noise.saturating_sub(rise).max(fine)
        };
        let louder = level + ABOVE_NOISE_DB <= self.noise / NOISE_STEPS;
        level <= SURELY_SOUND_DBOV || (level < SURELY_PAUSE_DBOV && louder)
    }
}

fn samples(sample_rate: u32, milliseconds: u32) -> u32 {
    (u64::from(sample_rate) * u64::from(milliseconds) / 1000) as u32
}
