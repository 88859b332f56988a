//! A listener changes from a shared encoder to a private one and back, and does not hear it.

use media_kernels::Kernels;
use media_units::{Encoding, EncodingParameters};

use super::tests::voice;
use super::{Decoder, Encoder, FRAME_BYTES_MAX, PACKET_SAMPLES_MAX};

const KERNELS: Kernels = Kernels::SCALAR;

fn encoder(encoding: Encoding) -> Encoder {
    Encoder::new(encoding, &EncodingParameters { ilbc_mode_ms: 20, ..EncodingParameters::DEFAULT })
}

/// The voice at the format's own rate, by straight lines.
pub(super) fn voice_at(rate: u32, seconds: usize) -> Vec<i16> {
    let voice = voice(8000 * seconds + 1);
    let between = |n: usize| {
        let (at, past) = (n * 8000 / rate as usize, n * 8000 % rate as usize);
        let (from, to) = (i64::from(voice[at]), i64::from(voice[at + 1]));
        (from + (to - from) * past as i64 / i64::from(rate)) as i16
    };
    (0..rate as usize * seconds).map(between).collect()
}

#[test]
fn an_encoder_that_continues_sends_what_the_other_would_have_sent() {
    for encoding in Encoding::ALL {
        let length = encoding.sample_rate() as usize / 50;
        let voice = voice_at(encoding.sample_rate(), 2);
        let (mut shared, mut private) = (encoder(encoding), encoder(encoding));
        let (mut expected, mut frame) = ([0; FRAME_BYTES_MAX], [0; FRAME_BYTES_MAX]);
        for (at, block) in voice.chunks_exact(length).enumerate() {
            let octets = shared.encode(&KERNELS, block, &mut expected);
            if at < 50 {
                // It heard something else until then.
                let other = &voice[voice.len() - (at + 1) * length..][..length];
                private.encode(&KERNELS, other, &mut frame);
            } else {
                let own = private.encode(&KERNELS, block, &mut frame);
                assert_eq!(frame[..own], expected[..octets], "{encoding} frame {at}");
            }
            if at == 49 {
                private.continue_from(&shared);
            }
        }
    }
}

/// What a listener heard who got private packets while it spoke, and for so long after that.
struct Change {
    /// What it heard around its return to the shared encoder: 20 ms before and 100 ms after.
    heard: Vec<i16>,
    /// What it would have heard with its private encoder.
    stayed: Vec<i16>,
}

impl Change {
    /// It speaks from 1 s to 2 s, and returns `after` frames later.
    fn of(encoding: Encoding, after: usize) -> Self {
        let length = encoding.sample_rate() as usize / 50;
        let mix = voice_at(encoding.sample_rate(), 4);
        let (mut shared, mut private) = (encoder(encoding), encoder(encoding));
        let (mut listener, mut other) = (Decoder::new(encoding), Decoder::new(encoding));
        let mut change = Self { heard: Vec::new(), stayed: Vec::new() };
        let (mut frame, mut own, mut samples) =
            ([0; FRAME_BYTES_MAX], [0; FRAME_BYTES_MAX], [0; PACKET_SAMPLES_MAX]);
        for (at, block) in mix.chunks_exact(length).enumerate().take(105 + after) {
            let mut minus = block.to_vec();
            if (50..100).contains(&at) {
                // Its own voice is in the mix, and not in what it hears.
                minus.iter_mut().zip(&mix[mix.len() / 2..]).for_each(|(m, s)| *m -= s / 3);
            }
            let octets = shared.encode(&KERNELS, block, &mut frame);
            let own_octets = private.encode(&KERNELS, &minus, &mut own);
            if at == 49 {
                private.continue_from(&shared);
            }
            let is_private = (50..100 + after).contains(&at);
            let (shared, private) = (&frame[..octets], &own[..own_octets]);
            let count =
                listener.decode(&KERNELS, if is_private { private } else { shared }, &mut samples);
            let late = at >= 99 + after;
            change.heard.extend(samples[..count].iter().filter(|_| late));
            let count =
                other.decode(&KERNELS, if at < 50 { shared } else { private }, &mut samples);
            change.stayed.extend(samples[..count].iter().filter(|_| late));
        }
        change
    }

    /// How much of what was heard is a difference, in dB.
    fn difference_db(&self) -> f64 {
        let energy = |samples: &mut dyn Iterator<Item = f64>| samples.map(|s| s * s).sum::<f64>();
        let pairs = self.heard.iter().zip(&self.stayed);
        let difference = energy(&mut pairs.map(|(&h, &s)| f64::from(h) - f64::from(s)));
        10.0 * (difference / energy(&mut self.stayed.iter().map(|&s| f64::from(s)))).log10()
    }

    /// How much sharper the sharpest bend of the sound is: a click is a bend.
    fn sharpness(&self) -> f64 {
        let bend = |s: &[i16]| i32::from(s[0]) - 2 * i32::from(s[1]) + i32::from(s[2]);
        let sharpest = |s: &[i16]| s.windows(3).map(|s| bend(s).abs()).max().unwrap_or(0);
        f64::from(sharpest(&self.heard)) / f64::from(sharpest(&self.stayed))
    }
}

#[test]
fn a_return_to_the_shared_encoder_is_not_heard_after_200_ms_of_the_same_mix() {
    // By then both encoders stand nearly at the same place, and what is left of the difference is
    // of the kind and size of what coding adds anyway. G.726 takes a pause for that: it follows
    // for as long as its sound lasts (docs/codecs.md). What G.729 adds anyway is most of all.
    for encoding in Encoding::ALL.into_iter().filter(|&encoding| encoding != Encoding::G726) {
        for after in [10, 13, 17, 20, 25] {
            let change = Change::of(encoding, after);
            let (difference, sharpness) = (change.difference_db(), change.sharpness());
            let most = if encoding.is_g729() { -9.0 } else { -12.0 };
            assert!(difference < most, "{encoding} after {after}: {difference} dB");
            assert!(sharpness < 1.2, "{encoding} after {after}: {sharpness} times as sharp");
        }
    }
}
