//! Two receivers that need no skill, given the same packets: the floor to compare with.

use std::time::Duration;

use media::codec::{Decoder, PACKET_SAMPLES_MAX};
use media_kernels::Kernels;
use media_units::{Instant, PERIOD};

use crate::packets::{BEGIN, Stream, samples_per_period};
use crate::wav::Sound;

/// The delay of the fixed buffer.
pub(crate) const FIXED: Duration = Duration::from_millis(60);

/// No jitter buffer: every 20 ms the newest packet that came since the last time, or silence.
pub(crate) fn no_buffer(stream: &Stream) -> Sound {
    let mut packets = Player::new(stream);
    let mut arrivals = stream.trace.arrivals().into_iter().peekable();
    let mut now = BEGIN;
    while now <= stream.end() + PERIOD {
        let mut newest = None;
        while let Some((_, number)) = arrivals.next_if(|&(arrival, _)| arrival <= now) {
            newest = newest.max(Some(number));
        }
        packets.play(now, newest);
        now += PERIOD;
    }
    packets.sound
}

/// A buffer of a fixed delay: the first packet waits so long, each later one is due 20 ms after
/// the one before, and what is not there then is silence.
pub(crate) fn fixed(stream: &Stream, delay: Duration) -> Sound {
    let mut packets = Player::new(stream);
    let Some(&(first, number)) = stream.trace.arrivals().first() else { return packets.sound };
    let mut now = first + delay;
    for number in number..stream.payloads.len() {
        let arrival = stream.trace.passages[number].arrival;
        packets.play(now, arrival.is_some_and(|arrival| arrival <= now).then_some(number));
        now += PERIOD;
    }
    packets.sound
}

/// Decodes packets and puts them where they are heard.
struct Player<'a> {
    stream: &'a Stream,
    decoder: Decoder,
    sound: Sound,
}

impl<'a> Player<'a> {
    fn new(stream: &'a Stream) -> Self {
        let rate = stream.codec.sample_rate();
        let decoder = Decoder::new(stream.codec);
        Self { stream, decoder, sound: Sound { samples: Vec::new(), rate } }
    }

    fn play(&mut self, now: Instant, number: Option<usize>) {
        let length = samples_per_period(self.sound.rate);
        let mut samples = [0; PACKET_SAMPLES_MAX];
        if let Some(payload) = number.map(|number| &self.stream.payloads[number])
            && self.decoder.samples(payload).is_ok()
        {
            self.decoder.decode(&Kernels::SCALAR, payload, &mut samples);
        }
        place(&mut self.sound, now, &samples[..length]);
    }
}

/// Puts samples where they are heard: the sound begins at [`BEGIN`].
pub(crate) fn place(sound: &mut Sound, at: Instant, samples: &[i16]) {
    let nanos = at.since(BEGIN).as_nanos() as u64;
    let start = (nanos * u64::from(sound.rate) / 1_000_000_000) as usize;
    let end = start + samples.len();
    if sound.samples.len() < end {
        sound.samples.resize(end, 0);
    }
    sound.samples[start..end].copy_from_slice(samples);
}
