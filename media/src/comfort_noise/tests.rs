use proptest::prelude::*;

use super::*;
use crate::Random;

const RATES: [u32; 3] = [8000, 16_000, 48_000];

fn power(samples: &[i16]) -> f64 {
    samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len() as f64
}

fn dbov(samples: &[i16]) -> f64 {
    10.0 * (power(samples) / 32767f64.powi(2)).log10()
}

fn generated(noise: &ComfortNoise, rate: u32, seed: u64) -> Vec<i16> {
    let mut generator = NoiseGenerator::new(rate, seed);
    generator.describe(noise);
    let mut samples = vec![0; 4 * rate as usize];
    generator.fill(&mut samples);
    samples
}

/// The noise of a room: more of the low than of the high.
fn coloured(level_dbov: u8) -> ComfortNoise {
    ComfortNoise::parse(&[level_dbov, 20, 170, 120, 150, 110, 140, 127, 131, 125, 128]).unwrap()
}

#[test]
fn noise_has_the_level_that_was_told() {
    for rate in RATES {
        for level in [20, 35, 50, 65] {
            for noise in [ComfortNoise::white(level), coloured(level)] {
                let heard = dbov(&generated(&noise, rate, 1));
                assert!((heard + f64::from(level)).abs() < 0.5, "{rate} Hz, -{level}: {heard}");
            }
        }
    }
}

#[test]
fn noise_has_the_spectrum_that_was_told() {
    let told = coloured(40);
    let samples = generated(&told, 8000, 2);
    let mut analyser = NoiseAnalyser::new();
    samples.chunks(800).for_each(|chunk| analyser.observe(chunk));
    let found = analyser.noise();
    assert!(found.level_dbov().abs_diff(40) <= 1, "{found:?}");
    for (told, found) in told.reflection().iter().zip(found.reflection()) {
        assert!((told - found).abs() < 0.1, "{told} {found}");
    }
}

#[test]
fn the_same_seed_gives_the_same_noise() {
    let noise = coloured(40);
    assert_eq!(generated(&noise, 8000, 3), generated(&noise, 8000, 3));
    assert_ne!(generated(&noise, 8000, 3), generated(&noise, 8000, 4));
}

#[test]
fn a_generator_that_was_told_nothing_is_silent() {
    let mut generator = NoiseGenerator::new(8000, 1);
    let mut samples = [7; 400];
    generator.fill(&mut samples);
    assert_eq!(samples, [0; 400]);
    generator.describe(&ComfortNoise::white(20));
    generator.reset();
    assert!(!generator.is_described());
    generator.fill(&mut samples[..160]);
    assert!(samples[..160].iter().all(|s| s.abs() < 2), "only the filter dies away");
}

#[test]
fn another_level_is_approached() {
    let mut generator = NoiseGenerator::new(8000, 5);
    generator.describe(&coloured(60));
    let mut samples = [0; 800];
    generator.fill(&mut samples);
    generator.describe(&ComfortNoise::white(30));
    let mut before = 60.0;
    for period in 0..20 {
        generator.fill(&mut samples[..160]);
        let level = -dbov(&samples[..160]);
        assert!(level < before + 3.0, "period {period}: {level} after {before}");
        assert!(period > 0 || level > 36.0, "not at once: {level}");
        before = level;
    }
    assert!((before - 30.0).abs() < 1.5, "{before}");
}

#[test]
fn a_payload_is_read_as_it_was_written() {
    let noise = coloured(54);
    let mut payload = [0; PAYLOAD_BYTES_MAX];
    let length = noise.write(&mut payload);
    assert_eq!(length, 11);
    assert_eq!(ComfortNoise::parse(&payload[..length]), Ok(noise));
    assert_eq!(ComfortNoise::parse(&[54]), Ok(ComfortNoise::white(54)));
    assert_eq!(ComfortNoise::parse(&[]), Err(Discard::PayloadSize));
}

proptest! {
    #[test]
    fn any_payload_is_noise_of_its_level_or_refused(
        payload in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let noise = ComfortNoise::parse(&payload);
        prop_assert_eq!(noise.is_err(), payload.is_empty());
        let Ok(noise) = noise else { return Ok(()) };
        let mut generator = NoiseGenerator::new(8000, 1);
        generator.describe(&noise);
        let mut samples = [0; 1600];
        generator.fill(&mut samples);
        // Spectra with sharp peaks swing; nothing is far louder than told.
        prop_assert!(dbov(&samples) < 20.0 - f64::from(payload[0] & 127));
        let mut written = [0; PAYLOAD_BYTES_MAX];
        let length = noise.write(&mut written);
        prop_assert_eq!(ComfortNoise::parse(&written[..length]), Ok(noise));
    }

    #[test]
    fn anything_can_be_analysed(samples in proptest::collection::vec(any::<i16>(), 0..500)) {
        let mut analyser = NoiseAnalyser::new();
        analyser.observe(&samples);
        let level = analyser.noise().level_dbov();
        if power(&samples) > 1.0 {
            prop_assert!((f64::from(level) + dbov(&samples)).abs() <= 0.51);
        }
    }
}

/// 20 ms of noise with this amplitude.
fn packet(random: &mut Random, amplitude: i32) -> [i16; 160] {
    std::array::from_fn(|_| ((random.next_u32() as i16 as i32 * amplitude) >> 15) as i16)
}

fn run(sender: &mut DiscontinuousSender, amplitude: i32, packets: usize) -> Vec<Sending> {
    let mut random = Random::new(9);
    (0..packets).map(|_| sender.packet(&packet(&mut random, amplitude))).collect()
}

#[test]
fn sound_is_sent_whole_and_word_ends_with_it() {
    let mut sender = DiscontinuousSender::new(8000);
    let sound = run(&mut sender, 3000, 50);
    assert!(sound.iter().all(|s| *s == Sending::Sound { begins: false }));
    let pause = run(&mut sender, 20, 11);
    let sent = pause.iter().take_while(|s| **s == Sending::Sound { begins: false }).count();
    assert_eq!(sent, 9, "200 ms with the packet that ends it");
    assert!(matches!(pause[9], Sending::Noise(_)));
    assert_eq!(pause[10], Sending::Nothing);
}

#[test]
fn noise_is_described_once_a_second_and_when_it_changes() {
    let mut sender = DiscontinuousSender::new(8000);
    run(&mut sender, 20, 10);
    let sent = run(&mut sender, 20, 200);
    let described = |sent: &[Sending]| {
        sent.iter().filter(|sending| matches!(sending, Sending::Noise(_))).count()
    };
    assert_eq!(described(&sent), 4, "in 4 s");
    let sent = run(&mut sender, 4, 25);
    assert!(described(&sent) >= 2, "it fell by 14 dB: {sent:?}");
}

#[test]
fn the_first_packet_of_sound_is_sent_and_marked() {
    let mut sender = DiscontinuousSender::new(8000);
    run(&mut sender, 20, 100);
    let sound = run(&mut sender, 400, 2);
    assert_eq!(sound, [Sending::Sound { begins: true }, Sending::Sound { begins: false }]);
}

#[test]
fn what_is_described_is_what_was_there() {
    let mut sender = DiscontinuousSender::new(8000);
    let described = run(&mut sender, 100, 100);
    let Some(Sending::Noise(noise)) = described.iter().rfind(|s| matches!(s, Sending::Noise(_)))
    else {
        panic!("never described: {described:?}");
    };
    let mut random = Random::new(9);
    assert!((f64::from(noise.level_dbov()) + dbov(&packet(&mut random, 100))).abs() < 1.5);
}

#[test]
fn loud_noise_is_sound_however_long_it_lasts() {
    let mut sender = DiscontinuousSender::new(16_000);
    assert!(run(&mut sender, 700, 3000).iter().all(|s| matches!(s, Sending::Sound { .. })));
}
