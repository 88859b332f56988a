use media_units::RateClass;

use super::*;
use crate::Random;

/// Noise evenly spread up to `amplitude`: 4.8 dB below that in level.
fn noise(seed: u64, amplitude: i32, samples: usize) -> Vec<i16> {
    let mut random = Random::new(seed);
    let spread = 2 * amplitude as u32 + 1;
    (0..samples).map(|_| ((random.next_u32() % spread) as i32 - amplitude) as i16).collect()
}

/// Something like speech for `seconds`: a gliding voice with formants, in syllables of 160 ms with
/// pauses of 90 ms, and a pause of half a second after every sixth.
fn speech(hertz: u32, seconds: u32) -> Vec<i16> {
    let mut phase = 0.0_f64;
    let second = f64::from(hertz);
    let sample = |at| {
        let time = f64::from(at) / second;
        let (syllable, part) = ((time % 2.0 / 0.25) as u32, time % 0.25 / 0.16);
        phase += (120.0 + 30.0 * (time * 2.3).sin()) / second;
        if syllable >= 6 || part >= 1.0 {
            return 0;
        }
        let formant = [500.0, 700.0, 400.0, 900.0, 600.0, 300.0][syllable as usize];
        let tones = (1..=20).map(|number| {
            let frequency = 130.0 * f64::from(number);
            let weight = 1.0 / (1.0 + ((frequency - formant) / 150.0).powi(2))
                + 0.3 / (1.0 + ((frequency - 2.0 * formant - 600.0) / 200.0).powi(2));
            weight * (std::f64::consts::TAU * phase * f64::from(number)).sin()
        });
        (4000.0 * (std::f64::consts::PI * part).sin() * tones.sum::<f64>()) as i16
    };
    (0..hertz * seconds).map(sample).collect()
}

fn suppressed(class: RateClass, sound: &[i16]) -> Vec<i16> {
    let mut suppressor = NoiseSuppressor::new();
    let mut out = sound.to_vec();
    out.chunks_exact_mut(class.block_samples()).for_each(|block| suppressor.block(block));
    out
}

fn decibels(ratio: f64) -> f64 {
    10.0 * ratio.log10()
}

fn power(samples: &[i16]) -> f64 {
    samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64
}

/// By how many dB `sound` is above its difference to `other`, which comes `delay` samples later, from
/// the third second on.
fn ratio(class: RateClass, sound: &[i16], other: &[i16], delay: usize) -> f64 {
    let first = 2 * class.hertz() as usize;
    let pairs = sound[first..].iter().zip(&other[first + delay..]);
    let difference: f64 = pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    let count = sound.len() - first - delay;
    decibels(power(&sound[first..first + count]) / (difference / count as f64))
}

#[test]
fn steady_noise_alone_is_turned_down_by_16_to_20_db() {
    for class in RateClass::ALL {
        for amplitude in [300, 3000] {
            let second = class.hertz() as usize;
            let out = suppressed(class, &noise(1, amplitude, 4 * second));
            let left = decibels(power(&out[2 * second..]) / (f64::from(amplitude).powi(2) / 3.0));
            assert!((-20.0..-16.0).contains(&left), "{class:?} {amplitude}: {left}");
        }
    }
}

#[test]
fn speech_in_noise_gains_4_db_and_more() {
    for class in RateClass::ALL {
        let speech = speech(class.hertz(), 8);
        for (amplitude, gain) in [(300, 4.0), (1000, 5.0)] {
            let noise = noise(2, amplitude, speech.len());
            let noisy: Vec<_> = speech.iter().zip(&noise).map(|(a, b)| a + b).collect();
            let before = ratio(class, &speech, &noisy, 0);
            let after =
                ratio(class, &speech, &suppressed(class, &noisy), class.block_samples() / 2);
            assert!(after - before > gain, "{class:?} {amplitude}: {before} dB to {after} dB");
        }
    }
}

#[test]
fn speech_alone_is_kept() {
    for class in RateClass::ALL {
        let speech = speech(class.hertz(), 8);
        let out = suppressed(class, &speech);
        let kept = ratio(class, &speech, &out, class.block_samples() / 2);
        let level = decibels(power(&out) / power(&speech));
        assert!(kept > 20.0 && level.abs() < 0.2, "{class:?}: {kept} dB, {level} dB");
    }
}

#[test]
fn what_is_quiet_comes_10_ms_later_as_it_was() {
    for class in RateClass::ALL {
        let quiet = noise(3, 8, class.hertz() as usize);
        let out = suppressed(class, &quiet);
        let delay = class.block_samples() / 2;
        for (at, (&sample, &heard)) in quiet.iter().zip(&out[delay..]).enumerate() {
            assert!(sample.abs_diff(heard) <= 1, "{class:?} {at}: {sample} {heard}");
        }
    }
}

#[test]
fn noise_that_comes_back_after_silence_is_known() {
    let mut suppressor = NoiseSuppressor::new();
    let mut last = Vec::new();
    for round in 0..2 {
        for block in noise(4, 2000, 3 * 8000).chunks_exact(160) {
            last = block.to_vec();
            suppressor.block(&mut last);
        }
        for _ in 0..50 * (1 - round) {
            last.fill(0);
            suppressor.block(&mut last);
        }
        if round == 0 {
            assert!(suppressor.is_drained() && last.iter().all(|&sample| sample == 0));
            let mut first = noise(5, 2000, 320);
            first.chunks_exact_mut(160).for_each(|block| suppressor.block(block));
            let left = decibels(power(&first[160..]) / (2000.0_f64.powi(2) / 3.0));
            assert!(left < -15.0, "{left}");
        }
    }
    assert!(!suppressor.is_drained());
    suppressor.interrupt();
    last.fill(0);
    suppressor.block(&mut last);
    assert!(last.iter().all(|&sample| sample == 0), "nothing is left of what was before");
}

/// The same on every machine and in every build: this number was not made here.
#[test]
fn the_samples_are_the_same_everywhere() {
    let mut hash = 0_u32;
    for class in RateClass::ALL {
        let second = class.hertz() as usize;
        let quiet_and_loud = [noise(6, 500, 2 * second), noise(8, 5000, second)].concat();
        for sample in suppressed(class, &quiet_and_loud) {
            hash = hash.rotate_left(5).wrapping_mul(0x9e37_79b1) ^ u32::from(sample as u16);
        }
    }
    assert_eq!(hash, 98_084_416);
}

#[test]
fn the_loudest_and_the_wildest_is_taken() {
    let mut random = Random::new(7);
    for class in [RateClass::Narrow, RateClass::Full, RateClass::Wide] {
        let mut suppressor = NoiseSuppressor::new();
        for round in 0..160 {
            let mut block = vec![0; class.block_samples()];
            for sample in &mut block {
                *sample = match (round / 20 % 4, random.next_u32()) {
                    (0, number) => number as i16,
                    (1, number) => [i16::MIN, i16::MAX][(number >> 31) as usize],
                    (2, _) => i16::MIN,
                    _ => 0,
                };
            }
            suppressor.block(&mut block);
        }
        assert!(suppressor.is_drained());
    }
}
