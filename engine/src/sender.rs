//! From blocks of a period to packets of any length: what is between the mix and the RTP header
//! where a frame is more than an octet for each sample of 20 ms.

use media::codec::Encoder;
use media::comfort_noise::{self, ComfortNoise, DiscontinuousSender, Sending};
use media::resample::History;
use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES_MAX, Encoding, EncodingParameters};

use mixer::Frame;

use crate::bench::Bench;

/// Octets of the longest payload that is sent: with all headers it fits into an Ethernet frame.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1400;

/// Most packets that one period gives: two of 10 ms.
const PACKETS_MAX: usize = 2;

/// An encoder and the samples that wait for a whole packet.
#[derive(Debug)]
pub(crate) struct Sender {
    encoding: Encoding,
    parameters: EncodingParameters,
    encoder: Encoder,
    /// Samples of a packet.
    packet_samples: usize,
    pending: Box<[i16]>,
    filled: usize,
    /// What was heard at a rate class that is not the encoding's rate.
    heard: History,
    /// Leaves out silence and describes it, where the encoding has no way of its own.
    silence: Option<DiscontinuousSender>,
}

/// What one period gave.
#[derive(Debug)]
pub(crate) struct Packets {
    payloads: [[u8; PAYLOAD_BYTES_MAX]; PACKETS_MAX],
    places: [Packet; PACKETS_MAX],
    count: usize,
}

/// One packet's place and time.
#[derive(Debug, Clone, Copy, Default)]
struct Packet {
    octets: usize,
    /// RTP units from its first sample to the period's first sample.
    age: i32,
    is_noise: bool,
}

/// One packet that a period gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload<'a> {
    /// None where nothing is to be sent (discontinuous transmission).
    pub(crate) octets: &'a [u8],
    /// RTP units from its first sample to the period's first sample.
    pub(crate) age: i32,
    /// Whether it is comfort noise (RFC 3389) and not sound.
    pub(crate) is_noise: bool,
}

impl<'a> Payload<'a> {
    /// A frame of plain G.711.
    pub(crate) const fn of_frame(frame: &'a Frame) -> Self {
        Self { octets: frame, age: 0, is_noise: false }
    }
}

impl Packets {
    /// None.
    pub(crate) const fn new() -> Self {
        let packet = Packet { octets: 0, age: 0, is_noise: false };
        Self {
            payloads: [[0; PAYLOAD_BYTES_MAX]; PACKETS_MAX],
            places: [packet; PACKETS_MAX],
            count: 0,
        }
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Payload<'_>> {
        let packets = self.places.iter().zip(&self.payloads).take(self.count);
        packets.map(|(&Packet { octets, age, is_noise }, payload)| Payload {
            octets: &payload[..octets],
            age,
            is_noise,
        })
    }
}

impl Sender {
    /// A sender without past. `comfort_noise` tells whether the endpoint takes it (RFC 3389).
    /// Allocates.
    pub(crate) fn new(
        encoding: Encoding,
        parameters: EncodingParameters,
        comfort_noise: bool,
    ) -> Self {
        let describes_silence = comfort_noise && parameters.discontinuous;
        let rate = encoding.sample_rate();
        let packet_samples = packet_samples(encoding, &parameters);
        Self {
            encoding,
            parameters,
            encoder: Encoder::new(encoding, &parameters),
            packet_samples,
            pending: vec![0; packet_samples + BLOCK_SAMPLES_MAX].into(),
            filled: 0,
            heard: History::SILENT,
            silence: describes_silence.then(|| DiscontinuousSender::new(rate)),
        }
    }

    /// Whether listeners of the same sound may be sent what this one encodes.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.encoding, self.parameters, self.silence.is_some())
            == (other.encoding, other.parameters, other.silence.is_some())
    }

    /// Whether both would complete a packet at the same time.
    pub(crate) fn is_in_step_with(&self, other: &Self) -> bool {
        self.filled == other.filled
    }

    /// Goes on where `other`, which is like this one, stands: its listeners can listen to this one
    /// without hearing the change.
    pub(crate) fn continue_from(&mut self, other: &Self) {
        self.encoder.continue_from(&other.encoder);
        self.heard.clone_from(&other.heard);
        self.silence.clone_from(&other.silence);
        self.filled = other.filled;
        self.pending[..self.filled].copy_from_slice(&other.pending[..other.filled]);
    }

    /// What comes next does not follow what came last: what waits for a whole packet is out of date.
    pub(crate) fn interrupt(&mut self) {
        self.filled = 0;
        self.heard = History::SILENT;
    }

    /// Those who are sent what this one encodes lose so much (of 256).
    pub(crate) fn far_end_lost(&mut self, fraction_lost: u8) {
        self.encoder.far_end_lost(fraction_lost);
    }

    /// Tries no harder than this from now on.
    pub(crate) fn limit_complexity(&mut self, most: u8) {
        self.encoder.limit_complexity(most);
    }

    /// Takes a period's sound at its rate class and encodes the packets that it completes.
    pub(crate) fn push(
        &mut self,
        kernels: &Kernels,
        bench: &mut Bench,
        block: &[i16],
        packets: &mut Packets,
    ) {
        let (from, to) = (block.len() as u32 * 50, self.encoding.sample_rate());
        let own = self.filled..self.filled + to as usize / 50;
        bench.resampler.resample(&self.heard, from, block, to, &mut self.pending[own.clone()]);
        if from != to {
            self.heard.keep(block);
        }
        let waited = self.filled;
        self.filled = own.end;
        self.encode(kernels, waited, packets);
    }

    /// Encodes the packets that are complete; `waited` samples were there before the period.
    fn encode(&mut self, kernels: &Kernels, waited: usize, packets: &mut Packets) {
        packets.count = 0;
        let mut start = 0;
        while self.filled - start >= self.packet_samples && packets.count < PACKETS_MAX {
            let samples = &self.pending[start..start + self.packet_samples];
            let payload = &mut packets.payloads[packets.count];
            let (octets, is_noise) = match self.silence.as_mut().map(|s| s.packet(samples)) {
                None | Some(Sending::Sound { .. }) => {
                    (self.encoder.encode(kernels, samples, payload), false)
                }
                Some(Sending::Noise(noise)) => (write_noise(&noise, payload), true),
                Some(Sending::Nothing) => (0, false),
            };
            let age = self.units(waited as i32 - start as i32);
            packets.places[packets.count] = Packet { octets, age, is_noise };
            packets.count += 1;
            start += self.packet_samples;
        }
        self.pending.copy_within(start..self.filled, 0);
        self.filled -= start;
    }

    /// Samples as units of the RTP clock.
    fn units(&self, samples: i32) -> i32 {
        let (clock, rate) = (self.encoding.clock_rate(), self.encoding.sample_rate());
        if clock == rate { samples } else { samples * clock as i32 / rate as i32 }
    }
}

/// Samples of a packet: of the length that was agreed on, or of 10 ms where linear sound would be
/// too much for a datagram.
fn packet_samples(encoding: Encoding, parameters: &EncodingParameters) -> usize {
    let samples_of = |ms: u8| encoding.sample_rate() as usize * usize::from(ms) / 1000;
    let agreed = samples_of(parameters.packet_time_ms);
    let is_linear = encoding.name() == Encoding::L16At48000.name();
    if is_linear && 2 * agreed > PAYLOAD_BYTES_MAX { samples_of(10) } else { agreed }
}

/// Writes the description of noise and says how many octets it takes.
fn write_noise(noise: &ComfortNoise, payload: &mut [u8; PAYLOAD_BYTES_MAX]) -> usize {
    let mut octets = [0; comfort_noise::PAYLOAD_BYTES_MAX];
    let length = noise.write(&mut octets);
    payload[..length].copy_from_slice(&octets[..length]);
    length
}
