//! Who speaks: the level of a block and a decision with hysteresis. Integers only.

use media_units::BLOCK_SAMPLES;

/// The level of digital silence (RFC 6464).
pub const SILENT_DBOV: u8 = 127;

/// Whatever is louder is speech, whatever the noise, in -dBov.
const SURELY_SPEECH_DBOV: u32 = 25;

/// Whatever is softer is not, in -dBov.
const NEVER_SPEECH_DBOV: u32 = 50;

/// Speech is so much louder than the line's noise.
const ABOVE_NOISE_DB: u32 = 9;

/// Speech goes on until it is so much softer than it began.
const HYSTERESIS_DB: u32 = 3;

/// Blocks of speech that begin a talkspurt: 40 ms.
const BEGIN_BLOCKS: u8 = 2;

/// Blocks without that end it: 400 ms.
const END_BLOCKS: u8 = 20;

/// Fractions of a decibel in which the noise is followed.
const NOISE_STEPS: u32 = 256;

/// How the noise estimate rises: 3 dB a second, in steps a block.
const NOISE_RISE: u32 = 3 * NOISE_STEPS / 50;

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
    /// Blocks in a row that contradict `talking`.
    against: u8,
    /// Level of the line between words, in -dBov times `NOISE_STEPS`; unknown at first.
    noise: Option<u32>,
}

impl Default for TalkDetector {
    fn default() -> Self {
        Self { level_dbov: SILENT_DBOV, talking: false, against: 0, noise: None }
    }
}

impl TalkDetector {
    /// Silent, and nothing known of the line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the energy (sum of squares) of the next block.
    pub fn block(&mut self, energy: u64) -> Option<Talk> {
        self.level(level_dbov(energy))
    }

    /// Takes the level of the next block, where that is known without the block (RFC 6464).
    pub fn level(&mut self, level_dbov: u8) -> Option<Talk> {
        self.level_dbov = level_dbov;
        let level = u32::from(self.level_dbov);
        let noise = self.follow_noise(level);
        let begin = noise.saturating_sub(ABOVE_NOISE_DB);
        let begin = begin.clamp(SURELY_SPEECH_DBOV, NEVER_SPEECH_DBOV);
        let (contradicts, blocks) = if self.talking {
            (level > begin + HYSTERESIS_DB, END_BLOCKS)
        } else {
            (level <= begin, BEGIN_BLOCKS)
        };
        self.against = if contradicts { self.against + 1 } else { 0 };
        if self.against < blocks {
            return None;
        }
        self.against = 0;
        self.talking = !self.talking;
        Some(if self.talking { Talk::Started } else { Talk::Stopped })
    }

    /// Level of the last block in -dBov: 0 is the loudest, 127 silence (RFC 6464).
    pub fn level_dbov(&self) -> u8 {
        self.level_dbov
    }

    /// Whether it speaks.
    pub fn is_talking(&self) -> bool {
        self.talking
    }

    /// The noise falls to a softer block half way at once, and rises slowly: pauses between
    /// words show the line as it is. Returns it in -dBov.
    fn follow_noise(&mut self, level: u32) -> u32 {
        // Below what is never speech, softer noise changes nothing, and would take long to rise.
        let level = level.min(NEVER_SPEECH_DBOV + ABOVE_NOISE_DB) * NOISE_STEPS;
        let noise = match self.noise {
            None => level,
            Some(noise) if level > noise => noise.midpoint(level),
            Some(noise) => noise.saturating_sub(NOISE_RISE).max(level),
        };
        self.noise = Some(noise);
        noise / NOISE_STEPS
    }
}

/// The level of a block with this energy (sum of squares), rounded to whole -dBov: 0 dBov is a
/// square wave at full scale (RFC 6464, RFC 6465).
pub fn level_dbov(energy: u64) -> u8 {
    LEAST_ENERGY.partition_point(|&least| energy < least) as u8
}

/// The least energy of each level from 0 to 126: full scale times `10^(-(n + 1/2) / 10)`.
const LEAST_ENERGY: [u64; SILENT_DBOV as usize] = least_energies();

const fn least_energies() -> [u64; SILENT_DBOV as usize] {
    const FULL_SCALE: u64 = BLOCK_SAMPLES as u64 * 32767 * 32767;
    /// 10^-0.05 and 10^-0.1 in units of 10^-12: the error after 127 steps is far below a 1e-9th.
    const HALF_DECIBEL: u128 = 891_250_938_134;
    const DECIBEL: u128 = 794_328_234_724;
    const ONE: u128 = 1_000_000_000_000;
    let mut least = [0; SILENT_DBOV as usize];
    // With 30 more bits, so that small energies keep their precision.
    let mut energy = ((FULL_SCALE as u128) << 30) * HALF_DECIBEL / ONE;
    let mut level = 0;
    while level < least.len() {
        let rounded = ((energy + (1 << 29)) >> 30) as u64;
        // Silence is never louder than 127, although the last levels round to nothing.
        least[level] = if rounded == 0 { 1 } else { rounded };
        energy = energy * DECIBEL / ONE;
        level += 1;
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block in which every sample has this magnitude.
    fn square(magnitude: u64) -> u64 {
        BLOCK_SAMPLES as u64 * magnitude * magnitude
    }

    fn feed(detector: &mut TalkDetector, energy: u64, blocks: usize) -> Vec<(usize, Talk)> {
        (0..blocks).filter_map(|at| Some((at, detector.block(energy)?))).collect()
    }

    #[test]
    fn level_is_the_logarithm_rounded() {
        assert_eq!(level_dbov(0), SILENT_DBOV);
        assert_eq!(level_dbov(square(32768)), 0);
        for magnitude in 1..=32767_u64 {
            let exact = -20.0 * (magnitude as f64 / 32767.0).log10();
            let level = f64::from(level_dbov(square(magnitude)));
            assert!((level - exact).abs() < 0.500_001, "{magnitude}: {level}, {exact}");
        }
    }

    #[test]
    fn one_loud_block_is_not_speech_and_two_are() {
        let mut detector = TalkDetector::new();
        assert_eq!(feed(&mut detector, square(4000), 1), []);
        assert_eq!(feed(&mut detector, 0, 1), []);
        assert_eq!(feed(&mut detector, square(4000), 2), [(1, Talk::Started)]);
        assert!(detector.is_talking());
        assert_eq!(detector.level_dbov(), 18);
    }

    #[test]
    fn speech_ends_after_400_ms_and_pauses_between_words_do_not_end_it() {
        let mut detector = TalkDetector::new();
        feed(&mut detector, square(4000), 2);
        for _ in 0..10 {
            assert_eq!(feed(&mut detector, 0, 19), []);
            assert_eq!(feed(&mut detector, square(4000), 5), []);
        }
        assert_eq!(feed(&mut detector, 0, 100), [(19, Talk::Stopped)]);
    }

    #[test]
    fn line_noise_is_not_speech_and_speech_above_it_is() {
        let noise = square(200); // -44 dBov: louder than what is never speech
        let mut detector = TalkDetector::new();
        assert_eq!(feed(&mut detector, noise, 500), []);
        assert_eq!(feed(&mut detector, square(1000), 3), [(1, Talk::Started)]);
        assert_eq!(feed(&mut detector, noise, 100), [(19, Talk::Stopped)]);
    }

    #[test]
    fn noise_that_begins_later_is_learnt_within_seconds() {
        let mut detector = TalkDetector::new();
        feed(&mut detector, 0, 100);
        feed(&mut detector, square(200), 6 * 50);
        assert!(!detector.is_talking());
    }

    #[test]
    fn loud_sound_is_talk_however_long_it_lasts() {
        let mut detector = TalkDetector::new();
        assert_eq!(feed(&mut detector, square(3300), 10_000), [(1, Talk::Started)]);
    }

    /// A block's energy at this level, in dB below full scale.
    fn at(level_dbov: f64) -> u64 {
        (BLOCK_SAMPLES as f64 * 32_767.0_f64.powi(2) * 10f64.powf(-level_dbov / 10.0)) as u64
    }

    /// Levels of the blocks of syllables below that of the speech, in dB: 4 in a second, and a word's end.
    const SYLLABLES: [f64; 24] = [
        0.0, 2.0, 3.0, 6.0, 12.0, 20.0, 25.0, 9.0, 2.0, 0.0, 1.0, 4.0, 8.0, 15.0, 22.0, 30.0, 35.0,
        35.0, 14.0, 3.0, 1.0, 2.0, 7.0, 16.0,
    ];

    /// Ten phrases of 2 s with pauses of 1.2 s, over noise that wavers by `waver_db` both ways.
    fn conversation(speech_dbov: f64, noise_dbov: f64, waver_db: f64) -> Vec<(usize, Talk)> {
        let mut random = crate::Random::new(3);
        let mut waver =
            || waver_db * (f64::from(random.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0);
        let mut detector = TalkDetector::new();
        let mut changes = Vec::new();
        for block in 0..100 + 10 * PHRASE {
            let noise = at(noise_dbov + waver());
            let in_phrase =
                block.checked_sub(100).map(|block| block % PHRASE).filter(|&at| at < 100);
            let speech = in_phrase.map_or(0, |block| at(speech_dbov + SYLLABLES[block % 24]));
            changes.extend(detector.block(noise + speech).map(|talk| (block, talk)));
        }
        changes
    }

    const PHRASE: usize = 160;

    #[test]
    fn every_phrase_has_one_begin_and_one_end_at_all_levels_and_above_all_noise() {
        for speech in [15.0, 20.0, 25.0, 30.0] {
            for noise in [90.0, 70.0, 60.0, 50.0, 45.0] {
                if noise - speech < 15.0 {
                    continue;
                }
                let changes = conversation(speech, noise, 2.0);
                assert_eq!(changes.len(), 20, "speech {speech}, noise {noise}: {changes:?}");
                for (phrase, pair) in changes.chunks(2).enumerate() {
                    let begin = 100 + phrase * PHRASE;
                    let [(started, Talk::Started), (stopped, Talk::Stopped)] = *pair else {
                        panic!("speech {speech}, noise {noise}: {changes:?}");
                    };
                    // The first syllables may be under the noise; the end is told 400 ms late.
                    assert!((begin..begin + 10).contains(&started), "{speech} {noise} {changes:?}");
                    assert!(
                        (begin + 110..begin + 130).contains(&stopped),
                        "{speech} {noise} {changes:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn noise_that_wavers_is_no_talk() {
        for noise in (30..80).step_by(5).map(f64::from) {
            for waver in [0.5, 2.0, 3.0] {
                let changes = conversation(100.0, noise, waver);
                assert_eq!(changes, [], "{noise} dBov, wavering by {waver} dB");
            }
        }
    }

    #[test]
    fn clicks_and_knocks_are_no_talk() {
        let mut detector = TalkDetector::new();
        for block in 0..1000 {
            let energy = if block % 25 == 24 { at(10.0) } else { at(65.0) };
            assert_eq!(detector.block(energy), None);
        }
    }
}
