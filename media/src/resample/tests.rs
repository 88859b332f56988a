//! The pass bands, stop bands and delays that the module's table states, measured with sines.

use std::f64::consts::TAU;

use super::*;

/// `periods` of 20 ms of a sine at `from` Hz, brought to `to` Hz, without the first.
fn through(
    resampler: &mut Resampler,
    (from, to): (u32, u32),
    frequency: f64,
    periods: usize,
) -> Vec<f64> {
    let mut history = History::SILENT;
    let mut result = Vec::new();
    for period in 0..periods {
        let start = period * from as usize / 50;
        let block: Vec<i16> = (start..start + from as usize / 50)
            .map(|at| {
                let phase = TAU * frequency * at as f64 / f64::from(from);
                (AMPLITUDE * phase.sin()).round() as i16
            })
            .collect();
        let mut out = vec![0; to as usize / 50];
        resampler.resample(&history, from, &block, to, &mut out);
        history.keep(&block);
        result.extend(out.into_iter().map(f64::from));
    }
    result.split_off(to as usize / 50)
}

const AMPLITUDE: f64 = 16_000.0;

/// Amplitude and phase (in turns) of a frequency in a signal of whole periods of it.
fn component(signal: &[f64], rate: u32, frequency: f64) -> (f64, f64) {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (at, sample) in signal.iter().enumerate() {
        let phase = TAU * frequency * at as f64 / f64::from(rate);
        sine += sample * phase.sin();
        cosine += sample * phase.cos();
    }
    let scale = 2.0 / signal.len() as f64;
    ((sine * scale).hypot(cosine * scale), cosine.atan2(sine) / TAU)
}

fn power(signal: &[f64]) -> f64 {
    signal.iter().map(|sample| sample * sample).sum::<f64>() / signal.len() as f64
}

fn decibels(amplitude: f64) -> f64 {
    20.0 * (amplitude / AMPLITUDE).log10()
}

/// (from, to, pass band, stop band, delay in ms)
const TABLE: [(u32, u32, u32, u32, f64); 8] = [
    (8000, 16_000, 3400, 4600, 2.0),
    (8000, 48_000, 3400, 4600, 2.0),
    (16_000, 48_000, 7200, 8800, 1.5),
    (16_000, 8000, 3400, 4600, 2.0),
    (48_000, 8000, 3400, 4600, 2.0),
    (48_000, 16_000, 7200, 8800, 1.5),
    (44_100, 48_000, 20_000, 24_100, 0.6),
    (48_000, 44_100, 20_000, 24_100, 0.6),
];

#[test]
fn the_pass_band_passes_within_a_tenth_of_a_decibel_and_all_else_is_60_db_below() {
    let mut resampler = Resampler::new(Kernels::detect());
    for (from, to, pass, _, _) in TABLE {
        for frequency in (100..=pass).step_by(300).chain([pass]).map(f64::from) {
            let signal = through(&mut resampler, (from, to), frequency, 6);
            let (amplitude, _) = component(&signal, to, frequency);
            let gain = decibels(amplitude);
            assert!(gain.abs() < 0.1, "{from} to {to}: {frequency} Hz by {gain} dB");
            let rest = power(&signal) - amplitude * amplitude / 2.0;
            let rest = decibels((2.0 * rest.max(0.0)).sqrt());
            assert!(rest < -60.0, "{from} to {to}: images of {frequency} Hz at {rest} dB");
        }
    }
}

#[test]
fn what_could_come_back_into_the_pass_band_is_60_db_down() {
    let mut resampler = Resampler::new(Kernels::detect());
    for (from, to, _, stop, _) in TABLE {
        for frequency in (stop..from / 2).step_by(170).map(f64::from) {
            let level = power(&through(&mut resampler, (from, to), frequency, 4));
            let level = decibels((2.0 * level).sqrt());
            assert!(level < -60.0, "{from} to {to}: {frequency} Hz comes through at {level} dB");
        }
    }
}

#[test]
fn the_delay_is_that_of_the_table_and_the_same_at_all_frequencies() {
    let mut resampler = Resampler::new(Kernels::detect());
    for (from, to, pass, _, most_ms) in TABLE {
        let mut delays: Vec<f64> = Vec::new();
        for frequency in [100, 200, pass / 2 / 100 * 100].map(f64::from) {
            let signal = through(&mut resampler, (from, to), frequency, 6);
            let (_, phase) = component(&signal, to, frequency);
            // The first period was cut off: it holds whole turns. How many of them are in the
            // delay, the lowest frequency tells.
            let turns = (-phase).rem_euclid(1.0);
            let first = delays.first().map_or(0.0, |first| first * frequency / 1000.0);
            delays.push((turns + (first - turns).round().max(0.0)) * 1000.0 / frequency);
        }
        for delay in &delays {
            assert!(*delay <= most_ms && *delay > 0.3, "{from} to {to}: {delays:?} ms");
            assert!((delay - delays[0]).abs() < 0.01, "{from} to {to}: {delays:?} ms");
        }
    }
}

#[test]
fn every_level_gives_the_same_samples_also_at_full_scale() {
    for (from, to, ..) in TABLE {
        let mut noise = 1_u32;
        let block: Vec<i16> = (0..from as usize / 50)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if noise >> 31 == 0 { i16::MAX } else { i16::MIN }
            })
            .collect();
        let run = |kernels| {
            let (mut resampler, mut history) = (Resampler::new(kernels), History::SILENT);
            let mut out = vec![0; to as usize / 50];
            for _ in 0..2 {
                resampler.resample(&history, from, &block, to, &mut out);
                history.keep(&block);
            }
            out
        };
        let expected = run(Kernels::SCALAR);
        for kernels in Kernels::levels_available().filter_map(Kernels::at) {
            assert_eq!(run(kernels), expected, "{from} to {to} {}", kernels.level());
        }
    }
}

#[test]
fn a_history_is_silent_again_after_silence() {
    let mut history = History::SILENT;
    history.keep(&[5; 160]);
    assert!(!history.is_silent());
    history.keep(&[0; 160]);
    assert!(!history.is_silent(), "192 samples are kept");
    history.keep(&[0; 160]);
    assert!(history.is_silent());
}

/// The level of a tone in the middle of a sound, and that of all else, both as amplitudes.
fn tone_in(sound: &[i16], hertz: f64, rate: u32) -> (f64, f64) {
    let middle = &sound[sound.len() / 10..sound.len() * 9 / 10];
    let turn = std::f64::consts::TAU * hertz / f64::from(rate);
    let mut sums = [0.0; 3];
    for (at, &sample) in middle.iter().enumerate() {
        let (sine, cosine) = (at as f64 * turn).sin_cos();
        let sample = f64::from(sample);
        sums = [sums[0] + sample * sine, sums[1] + sample * cosine, sums[2] + sample * sample];
    }
    let [sine, cosine, power] = sums.map(|sum| 2.0 * sum / middle.len() as f64);
    let tone = sine.hypot(cosine);
    (tone, (power - tone * tone).max(0.0).sqrt())
}

#[test]
fn a_whole_recording_keeps_its_tones_and_its_length_at_every_rate() {
    for from in [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000] {
        for to in [8000, 16_000, 48_000] {
            let tone = |hertz: f64| -> Vec<i16> {
                let turn = std::f64::consts::TAU * hertz / f64::from(from);
                (0..from).map(|at| (8000.0 * (f64::from(at) * turn).sin()) as i16).collect()
            };
            let brought = whole(Kernels::SCALAR, &tone(1000.0), from, to);
            assert_eq!(brought.len() as u32, to, "{from} to {to}");
            let (level, rest) = tone_in(&brought, 1000.0, to);
            assert!((level - 8000.0).abs() < 40.0 && rest < 40.0, "{from} to {to}: {level} {rest}");
            if from > to {
                let high = f64::from(to) * 0.65;
                if high < f64::from(from) * 0.45 {
                    let brought = whole(Kernels::SCALAR, &tone(high), from, to);
                    let (_, rest) = tone_in(&brought, 1000.0, to);
                    assert!(rest < 16.0, "{from} to {to}: {rest} is left of what has no place");
                }
            }
        }
    }
}

#[test]
fn a_whole_recording_is_not_delayed() {
    for (from, to) in [(8000, 48_000), (44_100, 16_000), (48_000, 8000)] {
        let mut sound = vec![0; from as usize];
        sound[from as usize / 2..][..from as usize / 1000].fill(10_000);
        let brought = whole(Kernels::SCALAR, &sound, from, to);
        let loudest = brought.iter().enumerate().max_by_key(|(_, sample)| **sample).unwrap().0;
        let late = loudest as f64 / f64::from(to) - 0.5;
        assert!((0.0..0.001).contains(&late), "{from} to {to}: {late}");
    }
}
