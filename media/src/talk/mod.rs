//! Who speaks: voice activity, decided with hysteresis, so that each talkspurt has one begin and
//! one end.
//!
//! Sound is speech where it is louder than the line's noise, which is followed, and there is a voice
//! in it ([`voice`]); and where its loudness moves as syllables do. So noise, hum and tones are no
//! speech, however loud. Where only the level is known (RFC 6464), that must do. Nothing here
//! depends on the CPU, and what costs something is looked for only where it may change the answer.

mod level;
mod voice;

pub use level::{SILENT_DBOV, level_dbov};

use media_units::BLOCK_SAMPLES;
use voice::{Ear, Kind};

/// Where only levels are known, whatever is louder is speech, whatever the noise, in -dBov.
const SURELY_SPEECH_DBOV: u16 = 25;

/// Whatever is softer is not, in -dBov.
const NEVER_SPEECH_DBOV: u16 = 50;

/// Speech is so much louder than the line's noise.
const ABOVE_NOISE_DB: u16 = 7;

/// A line with so little noise is as good as silent, in -dBov.
const QUIET_DBOV: u16 = NEVER_SPEECH_DBOV + ABOVE_NOISE_DB;

/// Speech goes on until it is so much softer than it began.
const HYSTERESIS_DB: u16 = 3;

/// What must be found in a row for speech to begin: a clear voice in two blocks (40 ms) is enough.
const ENOUGH: u8 = 4;

/// Blocks without speech that end it: 400 ms.
const END_BLOCKS: u8 = 20;

/// Fractions of a decibel in which the noise is followed.
const NOISE_STEPS: u16 = 256;

/// How the noise estimate rises: 3 dB a second, in steps a block.
const NOISE_RISE: u16 = 3 * NOISE_STEPS / 50;

/// Loud blocks without a voice after which only each sixth is looked at: 320 ms.
const EAGER_BLOCKS: u8 = 16;

/// Every so many blocks while it speaks, and while a sound is known to be no voice, one is looked at.
const LOOK_EVERY: u8 = 6;

/// Looks without a voice that end speech, however loud the rest is: 1 s.
const VOICELESS_LOOKS: u8 = 8;

/// After so many blocks, 1.6 s, the loudness of speech must have moved by so much.
const JUDGED_BLOCKS: u8 = 13 * LOOK_EVERY;
const MOVES_DB: u8 = 8;

/// Of what is no voice, and louder than the noise, the noise takes up so much in each block.
const NOISE_LEARNT: u16 = 16;

/// What was steady is speech again only where it is so much louder than it was.
const LOUDER_DB: u8 = 6;

/// A change of who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// Began to speak.
    Started,
    /// Fell silent.
    Stopped,
}

/// Decides whether one source speaks.
#[derive(Debug, Clone)]
pub struct TalkDetector {
    level_dbov: u8,
    talking: bool,
    /// Blocks in a row that are too soft for speech, while it speaks.
    soft: u8,
    /// What speaks for speech, while it is silent.
    evidence: u8,
    /// Loud blocks in a row without a voice, while it is silent; blocks since its loudness was
    /// judged, while it speaks.
    blocks: u8,
    /// Looks since a voice was found, while it speaks.
    voiceless: u8,
    /// The loudest and the softest of these blocks.
    extremes: [u8; 2],
    /// A sound of this level was steady: no speech.
    steady_dbov: u8,
    /// Level of the line between words, in -dBov times `NOISE_STEPS`; unknown at first.
    noise: Option<u16>,
    ear: Ear,
}

impl Default for TalkDetector {
    fn default() -> Self {
        Self {
            level_dbov: SILENT_DBOV,
            talking: false,
            soft: 0,
            evidence: 0,
            blocks: 0,
            voiceless: 0,
            extremes: NO_EXTREMES,
            steady_dbov: SILENT_DBOV,
            noise: None,
            ear: Ear::default(),
        }
    }
}

const NO_EXTREMES: [u8; 2] = [SILENT_DBOV, 0];

impl TalkDetector {
    /// Silent, and nothing known of the line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next block, at any rate class, and its energy (the sum of its samples squared).
    pub fn block(&mut self, energy: u64, block: &[i16]) -> Option<Talk> {
        // The same loudness has more samples at a higher rate.
        let power = energy / block.len().max(1) as u64;
        self.level_dbov = level_dbov(energy * BLOCK_SAMPLES as u64 / block.len().max(1) as u64);
        self.noise.get_or_insert(QUIET_DBOV * NOISE_STEPS);
        let is_loud = self.is_loud(0);
        if self.talking {
            self.go_on(is_loud, Some((block, power)))
        } else {
            self.listen(is_loud, block, power)
        }
    }

    /// Takes the level of the next block, where that is known without the block (RFC 6464).
    pub fn level(&mut self, level_dbov: u8) -> Option<Talk> {
        self.level_dbov = level_dbov;
        self.ear.forget();
        let is_loud = self.is_loud(SURELY_SPEECH_DBOV);
        if self.talking {
            return self.go_on(is_loud, None);
        }
        self.evidence = if is_loud { self.evidence + ENOUGH / 2 } else { 0 };
        self.begin()
    }

    /// Level of the last block in -dBov: 0 is the loudest, 127 silence (RFC 6464).
    pub fn level_dbov(&self) -> u8 {
        self.level_dbov
    }

    /// Whether it speaks.
    pub fn is_talking(&self) -> bool {
        self.talking
    }

    /// Whether the block is loud enough for speech: above the line's noise, or above `surely`.
    fn is_loud(&mut self, surely: u16) -> bool {
        let level = u16::from(self.level_dbov);
        let begin = self.follow_noise(level).saturating_sub(ABOVE_NOISE_DB);
        let begin = begin.clamp(surely, NEVER_SPEECH_DBOV);
        level <= if self.talking { begin + HYSTERESIS_DB } else { begin }
    }

    /// Looks for a voice, until it is sure of one.
    fn listen(&mut self, is_loud: bool, block: &[i16], power: u64) -> Option<Talk> {
        if self.level_dbov > self.steady_dbov.saturating_add(LOUDER_DB) {
            self.steady_dbov = SILENT_DBOV;
        }
        let is_steady = self.level_dbov.saturating_add(LOUDER_DB) > self.steady_dbov
            && self.steady_dbov < SILENT_DBOV;
        if !is_loud || is_steady {
            self.evidence = self.evidence.saturating_sub(1);
            self.blocks = 0;
            self.ear.forget();
            return None;
        }
        self.blocks += 1;
        if self.blocks > EAGER_BLOCKS + LOOK_EVERY {
            self.blocks = EAGER_BLOCKS + 1;
        }
        let kind = match self.blocks {
            ..=EAGER_BLOCKS | LOOKED_AT => self.ear.hear(block, power),
            PREPARED => {
                self.ear.prepare(block);
                Kind::Other
            }
            _ => Kind::Other,
        };
        self.evidence = match kind {
            Kind::Voice => self.evidence + 2,
            Kind::Likely => self.evidence + 1,
            Kind::Tone => 0,
            Kind::Other => self.evidence.saturating_sub(1),
        };
        match kind {
            Kind::Voice | Kind::Likely => self.blocks = 0,
            Kind::Tone | Kind::Other => self.learn_noise(1),
        }
        self.begin()
    }

    /// What is heard is no voice; it counts so many times.
    fn learn_noise(&mut self, times: u16) {
        let level = u16::from(self.level_dbov) * NOISE_STEPS;
        if let Some(noise) = self.noise.filter(|&noise| noise > level) {
            self.noise = Some(noise - (noise - level) * times / NOISE_LEARNT);
        }
    }

    fn begin(&mut self) -> Option<Talk> {
        if self.evidence < ENOUGH {
            return None;
        }
        self.talking = true;
        (self.soft, self.evidence, self.voiceless) = (0, 0, 0);
        self.judge_anew();
        Some(Talk::Started)
    }

    /// Looks whether it still speaks. What is only known by its level is believed.
    fn go_on(&mut self, is_loud: bool, block: Option<(&[i16], u64)>) -> Option<Talk> {
        self.soft = if is_loud { 0 } else { self.soft + 1 };
        if self.soft == END_BLOCKS {
            return Some(self.end());
        }
        self.blocks += 1;
        let [loudest, softest] = self.extremes;
        self.extremes = [loudest.min(self.level_dbov), softest.max(self.level_dbov)];
        match (block, self.blocks % LOOK_EVERY) {
            (None, _) => self.voiceless = 0,
            (Some((block, _)), 0) => self.ear.prepare(block),
            (Some((block, power)), 1) => match self.ear.hear(block, power) {
                Kind::Voice | Kind::Likely => self.voiceless = 0,
                Kind::Tone | Kind::Other => {
                    self.voiceless += 1;
                    self.learn_noise(4);
                }
            },
            _ => {}
        }
        if self.voiceless == VOICELESS_LOOKS {
            return Some(self.end());
        }
        if self.blocks < JUDGED_BLOCKS {
            return None;
        }
        let [loudest, softest] = self.extremes;
        self.judge_anew();
        if block.is_some() && softest - loudest < MOVES_DB {
            self.steady_dbov = loudest;
            return Some(self.end());
        }
        None
    }

    fn end(&mut self) -> Talk {
        self.talking = false;
        self.blocks = 0;
        self.ear.forget();
        Talk::Stopped
    }

    fn judge_anew(&mut self) {
        (self.blocks, self.extremes) = (0, NO_EXTREMES);
    }

    /// The noise falls to a softer block half way at once, and rises slowly: pauses between
    /// words show the line as it is. Returns it in -dBov.
    fn follow_noise(&mut self, level: u16) -> u16 {
        // Below what is never speech, softer noise changes nothing, and would take long to rise.
        let level = level.min(QUIET_DBOV) * NOISE_STEPS;
        let noise = match self.noise {
            None => level,
            Some(noise) if level > noise => noise.midpoint(level),
            Some(noise) => noise.saturating_sub(NOISE_RISE).max(level),
        };
        self.noise = Some(noise);
        noise / NOISE_STEPS
    }
}

/// Where in [`TalkDetector::blocks`] the two blocks are that are looked at now and then.
const PREPARED: u8 = EAGER_BLOCKS + LOOK_EVERY - 1;
const LOOKED_AT: u8 = EAGER_BLOCKS + LOOK_EVERY;

#[cfg(test)]
mod tests;
