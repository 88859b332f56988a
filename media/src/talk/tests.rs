use std::f64::consts::TAU;

use super::*;
use crate::Random;
use crate::codec::voice;
use crate::dtmf::TonePair;
use crate::spoken::{noise, unit};

/// Full scale.
const FULL: f64 = 32_767.0;

/// Changes of who speaks, by block.
type Changes = Vec<(usize, Talk)>;

fn energy(block: &[i16]) -> u64 {
    block.iter().map(|&sample| i64::from(sample).pow(2) as u64).sum()
}

fn hear(sound: &[i16], rate: usize) -> Changes {
    let mut detector = TalkDetector::new();
    let blocks = sound.chunks_exact(rate / 50).enumerate();
    blocks.filter_map(|(at, block)| Some((at, detector.block(energy(block), block)?))).collect()
}

/// Brings sound to this level.
fn at_level(sound: &mut [f64], level_dbov: f64) {
    let power = sound.iter().map(|sample| sample * sample).sum::<f64>() / sound.len() as f64;
    let gain = FULL * 10_f64.powf(-level_dbov / 20.0) / power.sqrt();
    for sample in sound {
        *sample *= gain;
    }
}

fn samples(sound: &[f64]) -> Vec<i16> {
    sound.iter().map(|sample| sample.round().clamp(-32_768.0, FULL) as i16).collect()
}

/// Noise of which each sample keeps so much of the one before: white, or darker.
fn darkened(length: usize, keeps: f64, seed: u64) -> Vec<f64> {
    let (mut random, mut state) = (Random::new(seed), 0.0);
    let mut next = || {
        state = state * keeps + noise(&mut random);
        state
    };
    (0..length).map(|_| next()).collect()
}

/// Levels of the blocks of syllables below that of the speech, in dB: 4 in a second, and a word's
/// end.
const SYLLABLES: [f64; 24] = [
    0.0, 2.0, 3.0, 6.0, 12.0, 20.0, 25.0, 9.0, 2.0, 0.0, 1.0, 4.0, 8.0, 15.0, 22.0, 30.0, 35.0,
    35.0, 14.0, 3.0, 1.0, 2.0, 7.0, 16.0,
];

/// Blocks from one phrase to the next, and in one.
const PHRASE: usize = 160;
const SPOKEN: usize = 100;

/// Phrases of 2 s with pauses of 1.2 s, after 2 s of nothing.
fn phrases(count: usize, level_dbov: f64, from: usize) -> Vec<f64> {
    let voice = voice(from + (2 + count * 4) * 8000).split_off(from);
    let mut sound: Vec<f64> =
        voice[..(100 + count * PHRASE) * 160].iter().map(|&s| s.into()).collect();
    at_level(&mut sound, level_dbov);
    for (at, block) in sound.chunks_exact_mut(160).enumerate() {
        let spoken = at.checked_sub(100).map(|at| at % PHRASE).filter(|&at| at < SPOKEN);
        let gain = spoken.map_or(0.0, |at| 10_f64.powf(-SYLLABLES[at % 24] / 20.0));
        for sample in block {
            *sample *= gain;
        }
    }
    sound
}

#[track_caller]
fn assert_one_pair_for_each_phrase(changes: &Changes, count: usize, what: &str) {
    assert_eq!(changes.len(), 2 * count, "{what}: {changes:?}");
    for (phrase, pair) in changes.chunks(2).enumerate() {
        let begin = 100 + phrase * PHRASE;
        let [(started, Talk::Started), (stopped, Talk::Stopped)] = *pair else {
            panic!("{what}: {changes:?}");
        };
        // A syllable may be under the noise, or glide too fast.
        assert!((begin..begin + 50).contains(&started), "{what}: {changes:?}");
        // The end is told 400 ms late, or a second where noise is left that is new.
        assert!((begin + SPOKEN..begin + SPOKEN + 50).contains(&stopped), "{what}: {changes:?}");
    }
}

#[test]
fn every_phrase_has_one_begin_and_one_end_at_all_levels_and_above_all_noise() {
    for (seed, level) in [(1, 12.0), (2, 20.0), (3, 26.0), (4, 32.0)] {
        let speech = phrases(5, level, seed as usize * 777);
        for keeps in [0.0, 0.7, 0.97] {
            for ratio in [60.0, 30.0, 20.0] {
                let mut line = darkened(speech.len(), keeps, seed);
                at_level(&mut line, level + ratio);
                let heard: Vec<f64> = speech.iter().zip(&line).map(|(a, b)| a + b).collect();
                let what = format!("{level} dBov, {ratio} dB above noise of {keeps}");
                assert_one_pair_for_each_phrase(&hear(&samples(&heard), 8000), 5, &what);
            }
        }
    }
}

#[test]
fn a_voice_is_one_at_every_rate() {
    let narrow = samples(&phrases(5, 22.0, 5000));
    for factor in [2, 6] {
        // By straight lines: what that adds above 4 kHz is soft.
        let between = |at: usize| {
            let (from, to) = (i32::from(narrow[at / factor]), narrow.get(at / factor + 1));
            let to = to.map_or(from, |&to| to.into());
            (from + (to - from) * (at % factor) as i32 / factor as i32) as i16
        };
        let wide: Vec<i16> = (0..narrow.len() * factor).map(between).collect();
        assert_one_pair_for_each_phrase(&hear(&wide, 8000 * factor), 5, &format!("{factor}"));
    }
}

#[test]
fn noise_is_no_talk_however_loud_and_however_it_wavers() {
    for keeps in [0.0, 0.7, 0.9, 0.97] {
        for level in [5.0, 15.0, 30.0, 45.0] {
            for waver_db in [0.0, 3.0, 10.0] {
                let mut random = Random::new(3);
                let mut sound = darkened(8000 * 20, keeps, 7);
                at_level(&mut sound, level);
                for block in sound.chunks_exact_mut(160) {
                    let gain = 10_f64.powf(-waver_db * unit(&mut random) / 20.0);
                    for sample in block {
                        *sample *= gain;
                    }
                }
                assert_eq!(hear(&samples(&sound), 8000), [], "{keeps} {level} {waver_db}");
            }
        }
    }
}

/// Sines of these frequencies and shares.
fn tones(parts: &[(f64, f64)], seconds: f64, level_dbov: f64) -> Vec<f64> {
    let sample = |at: usize| {
        let time = at as f64 / 8000.0;
        parts.iter().map(|&(hertz, share)| share * (TAU * hertz * time + hertz).sin()).sum::<f64>()
    };
    let mut sound: Vec<f64> = (0..(seconds * 8000.0) as usize).map(sample).collect();
    at_level(&mut sound, level_dbov);
    sound
}

#[test]
fn what_a_telephone_network_plays_is_no_talk() {
    let signals: [&[f64]; 12] = [
        &[350.0, 440.0],
        &[440.0, 480.0],
        &[480.0, 620.0],
        &[400.0, 450.0],
        &[425.0],
        &[950.0],
        &[1400.0],
        &[1800.0],
        &[1000.0],
        &[1100.0],
        &[2100.0],
        &[200.0],
    ];
    for level in [6.0, 20.0, 35.0] {
        for (signal, on) in signals.iter().flat_map(|signal| [(signal, 25), (signal, 200)]) {
            let parts: Vec<_> = signal.iter().map(|&hertz| (hertz, 1.0)).collect();
            let mut sound = tones(&parts, 10.0, level);
            for (at, block) in sound.chunks_exact_mut(160).enumerate() {
                if at / on % 2 == 1 {
                    block.fill(0.0);
                }
            }
            // As G.711 would carry it.
            let coded: Vec<i16> = samples(&sound)
                .iter()
                .map(|&sample| {
                    let (mut code, mut heard) = ([0], [0]);
                    let kernels = media_kernels::Kernels::SCALAR;
                    kernels.encode_ulaw(&[sample], &mut code);
                    kernels.decode_ulaw(&code, &mut heard);
                    heard[0]
                })
                .collect();
            assert_eq!(hear(&coded, 8000), [], "{signal:?} {level} {on}");
        }
    }
}

#[test]
fn digits_are_no_talk() {
    for key in 0..16 {
        let mut sound = vec![0; 8000];
        TonePair::new(key, 10).fill(8000, &mut sound[1600..4800]);
        assert_eq!(hear(&sound, 8000), [], "{key}");
    }
}

/// A note with its overtones.
fn note(hertz: f64, overtones: u32) -> Vec<(f64, f64)> {
    (1..=overtones).map(|k| (hertz * f64::from(k), 1.0 / f64::from(k))).collect()
}

#[test]
fn chords_that_are_held_are_no_talk() {
    for chord in [[261.6, 329.6, 392.0], [220.0, 261.6, 329.6], [196.0, 246.9, 293.7]] {
        for overtones in [1, 2, 4] {
            let parts: Vec<_> = chord.iter().flat_map(|&hertz| note(hertz, overtones)).collect();
            let changes = hear(&samples(&tones(&parts, 20.0, 20.0)), 8000);
            assert!(changes.len() <= 2, "{chord:?} {overtones}: {changes:?}");
            let talked = changes.chunks(2).map(|pair| pair[1].0 - pair[0].0).sum::<usize>();
            assert!(talked <= JUDGED_BLOCKS.into(), "{chord:?} {overtones}: {changes:?}");
        }
    }
}

#[test]
fn a_hum_like_a_voice_is_talk_for_less_than_2_s() {
    for hertz in [100.0, 120.0, 200.0] {
        let changes = hear(&samples(&tones(&note(hertz, 8), 60.0, 25.0)), 8000);
        assert!(changes.len() <= 2, "{hertz}: {changes:?}");
        assert!(changes.last().is_none_or(|&(at, _)| at < 100), "{hertz}: {changes:?}");
    }
}

#[test]
fn clicks_and_knocks_are_no_talk() {
    let mut sound = darkened(8000 * 20, 0.7, 3);
    at_level(&mut sound, 60.0);
    let mut random = Random::new(8);
    for knock in sound.chunks_exact_mut(4000) {
        for (at, sample) in knock[1000..1400].iter_mut().enumerate() {
            *sample += 20_000.0 * noise(&mut random) * 0.3 * (-(at as f64) / 60.0).exp();
        }
    }
    assert_eq!(hear(&samples(&sound), 8000), []);
}

#[test]
fn a_word_of_300_ms_is_talk() {
    for offset in (0..8000).step_by(490) {
        let mut sound = vec![0; 16_000];
        let said = &voice(16_000)[offset..offset + 2400];
        sound[8000..10_400].copy_from_slice(said);
        let changes = hear(&sound, 8000);
        let [(started, Talk::Started), (stopped, Talk::Stopped)] = changes[..] else {
            panic!("{offset}: {changes:?}");
        };
        assert!(started < 65 && (55 + 15..65 + 25).contains(&stopped), "{changes:?}");
    }
}

/// What levels alone say (RFC 6464).
fn told(detector: &mut TalkDetector, level_dbov: u8, blocks: usize) -> Changes {
    (0..blocks).filter_map(|at| Some((at, detector.level(level_dbov)?))).collect()
}

#[test]
fn one_loud_block_is_not_speech_and_two_are() {
    let mut detector = TalkDetector::new();
    assert_eq!(told(&mut detector, 18, 1), []);
    assert_eq!(told(&mut detector, SILENT_DBOV, 1), []);
    assert_eq!(told(&mut detector, 18, 2), [(1, Talk::Started)]);
    assert!(detector.is_talking());
    assert_eq!(detector.level_dbov(), 18);
}

#[test]
fn speech_ends_after_400_ms_and_pauses_between_words_do_not_end_it() {
    let mut detector = TalkDetector::new();
    told(&mut detector, 18, 2);
    for _ in 0..10 {
        assert_eq!(told(&mut detector, SILENT_DBOV, 19), []);
        assert_eq!(told(&mut detector, 18, 5), []);
    }
    assert_eq!(told(&mut detector, SILENT_DBOV, 100), [(19, Talk::Stopped)]);
}

#[test]
fn a_line_that_tells_steady_noise_does_not_talk_and_speech_above_it_does() {
    // Louder than what is never speech.
    let mut detector = TalkDetector::new();
    assert_eq!(told(&mut detector, 44, 500), []);
    assert_eq!(told(&mut detector, 30, 3), [(1, Talk::Started)]);
    assert_eq!(told(&mut detector, 44, 100), [(19, Talk::Stopped)]);
}

#[test]
fn told_noise_that_begins_later_is_learnt_within_seconds() {
    let mut detector = TalkDetector::new();
    told(&mut detector, SILENT_DBOV, 100);
    told(&mut detector, 44, 6 * 50);
    assert!(!detector.is_talking());
}
