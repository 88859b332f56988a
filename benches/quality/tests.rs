//! Every profile for two seconds: nothing falls apart, and the same seed gives the same sound.

use std::f64::consts::TAU;

use media_units::Encoding;
use sim::Seed;
use sim::network::profile::Profile;

use crate::packets::{Stream, read_trace};
use crate::ruler::{Figures, measure};
use crate::wav::Sound;
use crate::{peers, server};

/// Something voiced of so many seconds: a pitch that glides, with overtones that come and go.
pub(crate) fn speech(rate: u32, seconds: u32) -> Vec<i16> {
    let mut phase = 0.0;
    let sample = |n: u32| {
        let time = f64::from(n) / f64::from(rate);
        let pitch = 140.0 + 40.0 * (TAU * 0.9 * time).sin();
        phase += TAU * pitch / f64::from(rate);
        let overtone = |k: u32| {
            let colour = (TAU * (0.7 + 0.23 * f64::from(k)) * time).sin();
            (f64::from(k) * phase).sin() * (1.2 + colour) / f64::from(k)
        };
        (2200.0 * (1..=9).map(overtone).sum::<f64>()) as i16
    };
    (0..seconds * rate).map(sample).collect()
}

fn stream(profile: Profile, seed: u64) -> (Sound, Stream) {
    let samples = speech(8000, 2);
    let stream = Stream::new(&samples, Encoding::Pcmu, profile, &Seed::new(seed));
    (Sound { samples, rate: 8000 }, stream)
}

fn figures(profile: Profile, seed: u64) -> (Figures, f64) {
    let (said, stream) = stream(profile, seed);
    let heard = server::play(&stream, Encoding::L16At8000);
    let concealed = heard.told["told_concealed_percent"].as_f64().unwrap();
    (measure(&said, &heard.sound, &stream.trace), concealed)
}

#[test]
fn on_a_clean_network_everything_is_heard_at_once() {
    for seed in 0..4 {
        let (figures, concealed) = figures(Profile::Clean, seed);
        assert!(figures.delay_mean_ms < 30.0, "{figures:?}");
        assert!(figures.found_percent > 98.0, "{figures:?}");
        assert!(concealed < 2.0, "{concealed}");
    }
}

#[test]
fn every_codec_is_heard_on_a_clean_network() {
    for codec in Encoding::ALL {
        let samples = speech(codec.sample_rate(), 2);
        let stream = Stream::new(&samples, codec, Profile::Clean, &Seed::new(1));
        let heard = server::play(&stream, server::faithful(codec));
        let figures = measure(&stream.coded, &heard.sound, &stream.trace);
        assert!(figures.delay_mean_ms < 40.0, "{codec}: {figures:?}");
        assert!(figures.found_percent > 98.0, "{codec}: {figures:?}");
        assert!(figures.shifted_percent < 1.0, "{codec}: {figures:?}");
    }
}

#[test]
fn on_every_network_most_is_heard_and_soon() {
    for profile in Profile::ALL {
        let (figures, concealed) = figures(profile, 5);
        assert!(figures.delay_mean_ms < 150.0, "{profile}: {figures:?}");
        assert!(figures.found_percent > 70.0, "{profile}: {figures:?}");
        assert!(concealed < 25.0, "{profile}: {concealed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_sound() {
    for profile in Profile::ALL {
        let play = |seed| server::play(&stream(profile, seed).1, Encoding::Pcma).sound;
        assert_eq!(play(6), play(6), "{profile}");
    }
}

#[test]
fn a_fixed_buffer_has_its_delay_and_none_loses_much() {
    let (said, stream) = stream(Profile::Spikes100, 1);
    let fixed = peers::fixed(&stream, peers::FIXED);
    let figures = measure(&said, &fixed, &stream.trace);
    assert!((50.0..70.0).contains(&figures.delay_p95_ms), "{figures:?}");
    let none = measure(&said, &peers::no_buffer(&stream), &stream.trace);
    assert!(none.found_percent < 98.0, "{none:?}");
}

#[test]
fn the_printed_packets_are_the_stream() {
    let (_, stream) = stream(Profile::Bursts5, 1);
    let printed = stream.to_string();
    let read = read_trace(&printed).unwrap();
    assert_eq!(read.to_string(), stream.trace.to_string());
    assert_eq!(printed.lines().next().unwrap().split(' ').nth(2).unwrap().len(), 320);
    assert!(read_trace("12").is_err());
    assert!(read_trace("12 x ff").is_err());
}
