//! What the talker sends: speech as payloads, and what the network does to each.

use std::error::Error;
use std::fmt::{self, Write};
use std::time::Duration;

use media::codec::{Decoder, Encoder, FRAME_BYTES_MAX, PACKET_SAMPLES_MAX};
use media_kernels::Kernels;
use media_units::{Encoding, EncodingParameters, Instant, PERIOD};
use sim::Seed;
use sim::network::profile::{Passage, Profile, Trace};

use crate::wav::Sound;

/// When the talker's first packet is sent, at the earliest: the sessions are open by then. All
/// sound that is written or read begins here.
pub(crate) const BEGIN: Instant = Instant::from_millis(100);

/// What is agreed on: packets of 20 ms in every format.
pub(crate) const PARAMETERS: EncodingParameters =
    EncodingParameters { ilbc_mode_ms: 20, ..EncodingParameters::DEFAULT };

/// One stream on its way.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) codec: Encoding,
    pub(crate) profile: Profile,
    pub(crate) trace: Trace,
    /// One for each packet, 20 ms of sound in it.
    pub(crate) payloads: Vec<Vec<u8>>,
    /// What a receiver makes of all of them, each in its place: what the codec alone does.
    pub(crate) coded: Sound,
}

impl Stream {
    /// Encodes the sound and sends it into the network. Where in a period the packets are sent is
    /// left to chance, as it is with people.
    pub(crate) fn new(sound: &[i16], codec: Encoding, profile: Profile, seed: &Seed) -> Self {
        let packets = sound.len() / samples_per_period(codec.sample_rate());
        let offset = Duration::from_nanos(seed.fork(OFFSET).below(PERIOD.as_nanos() as u64));
        let trace = profile.trace(BEGIN + offset, packets, PERIOD, OCTETS, &seed.fork(NETWORK));
        let payloads = encode(sound, codec, trace.lost() * 256 / packets.max(1));
        let coded = decode(&payloads, codec);
        Self { codec, profile, trace, payloads, coded }
    }

    /// When the last packet arrives.
    pub(crate) fn end(&self) -> Instant {
        let arrivals = self.trace.passages.iter().filter_map(|passage| passage.arrival);
        arrivals.max().unwrap_or(BEGIN)
    }
}

/// Octets of a packet: no profile is a narrow pipe, so it does not matter.
const OCTETS: usize = 200;

const OFFSET: u64 = 11;
const NETWORK: u64 = 12;

/// Samples in 20 ms.
pub(crate) const fn samples_per_period(rate: u32) -> usize {
    rate as usize / 50
}

/// Encodes as an endpoint that was told how much is lost on the way (of 256), as our reports do.
fn encode(sound: &[i16], codec: Encoding, fraction_lost: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec, &PARAMETERS);
    encoder.far_end_lost(fraction_lost as u8);
    let mut frame = [0; FRAME_BYTES_MAX];
    let packets = sound.chunks_exact(samples_per_period(codec.sample_rate()));
    let payload = |samples| {
        let octets = encoder.encode(&Kernels::SCALAR, samples, &mut frame);
        frame[..octets].to_vec()
    };
    packets.map(payload).collect()
}

fn decode(payloads: &[Vec<u8>], codec: Encoding) -> Sound {
    let mut decoder = Decoder::new(codec);
    let mut packet = [0; PACKET_SAMPLES_MAX];
    let mut samples = Vec::new();
    for payload in payloads {
        let length = decoder.decode(&Kernels::SCALAR, payload, &mut packet);
        samples.extend_from_slice(&packet[..length]);
    }
    Sound { samples, rate: codec.sample_rate() }
}

impl fmt::Display for Stream {
    /// The trace, with each packet's payload in hexadecimal at the end of its line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = self.trace.to_string();
        for (line, payload) in trace.lines().zip(&self.payloads) {
            let mut octets = String::with_capacity(2 * payload.len());
            for octet in payload {
                write!(octets, "{octet:02x}")?;
            }
            writeln!(f, "{line} {octets}")?;
        }
        Ok(())
    }
}

/// Reads the trace out of what was printed.
pub(crate) fn read_trace(text: &str) -> Result<Trace, Box<dyn Error>> {
    let instant = |micros: &str| micros.parse().map(|us: u64| Instant::from_nanos(1000 * us));
    let mut passages = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(sent), Some(arrival)) = (words.next(), words.next()) else {
            return Err(format!("no packet: {line}").into());
        };
        let arrival = if arrival == "lost" { None } else { Some(instant(arrival)?) };
        passages.push(Passage { sent: instant(sent)?, arrival });
    }
    Ok(Trace { passages })
}
