//! One stream's stations: from a datagram to samples, and its reports.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use media::codec::Decoder;
use media::noise_suppression::NoiseSuppressor;
use media::playout::{Memory, Playout, PlayoutLimits, Pulled, Scratch};
use media::reception::Reception;
use media::resample::{History, Resampler};
use media::rtcp::{COMPOUND_BYTES_MAX, Report, SenderInfo};
use media::rtp::{HEADER_BYTES, RtpHeader, RtpView};
use media::talk::TalkDetector;
use media::{Random, demux};
use media_kernels::Kernels;
use media_units::{
    Arrival, BLOCK_SAMPLES, Block, Encoding, Instant, PERIOD, RateClass, RtpTimestamp, SAMPLE_RATE,
    SequenceNumber, Ssrc, WallClock,
};

/// What a phone sends, packet after packet, and when each arrives.
struct Phone {
    bytes: [u8; HEADER_BYTES + BLOCK_SAMPLES],
    header: RtpHeader,
    now: Instant,
}

impl Phone {
    fn new() -> Self {
        let mut bytes = [0; HEADER_BYTES + BLOCK_SAMPLES];
        for (at, code) in bytes.iter_mut().enumerate() {
            *code = (at * 37) as u8;
        }
        let header = RtpHeader {
            payload_type: 0,
            marker: false,
            sequence: SequenceNumber(0),
            timestamp: RtpTimestamp(0),
            ssrc: Ssrc(0x1234_5678),
        };
        Self { bytes, header, now: Instant::START }
    }

    /// The next packet, 20 ms later.
    fn next(&mut self) -> RtpView<'_> {
        self.header.sequence = self.header.sequence.plus(1);
        self.header.timestamp = self.header.timestamp.plus(BLOCK_SAMPLES as u32);
        self.now += PERIOD;
        self.bytes[..HEADER_BYTES].copy_from_slice(&self.header.write());
        RtpView::parse(&self.bytes).expect("our own packet")
    }
}

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    let bytes = Phone::new().bytes;
    group.bench_function("demux_and_parse", |b| {
        b.iter(|| {
            let bytes = black_box(&bytes);
            (demux(bytes), RtpView::parse(bytes).map(|view| view.payload().len()))
        });
    });
    let mut phone = Phone::new();
    group.bench_function("next_packet_of_the_bench_itself", |b| {
        b.iter(|| phone.next().payload().len());
    });
    let mut reception = Reception::new(8000);
    group.bench_function("account", |b| {
        b.iter(|| {
            let now = phone.now;
            reception.packet(&phone.next(), Some(now)).expect("in order")
        });
    });
    group.finish();
}

const LIMITS: PlayoutLimits = PlayoutLimits {
    delay_min: Duration::ZERO,
    delay_initial: Duration::ZERO,
    delay_max: Duration::from_millis(300),
};

/// One receive stream: from the packet to a period of sound at its own rate.
struct Stream {
    phone: Phone,
    reception: Reception,
    playout: Playout,
    decoder: Decoder,
    kernels: Kernels,
    scratch: Scratch,
    pulls: u64,
}

impl Stream {
    fn new(encoding: Encoding) -> Self {
        let mut playout = Playout::new(&LIMITS);
        playout.equip(Memory::new(encoding, &LIMITS));
        Self {
            phone: Phone::new(),
            reception: Reception::new(encoding.clock_rate()),
            playout,
            decoder: Decoder::new(encoding),
            kernels: Kernels::detect(),
            scratch: Scratch::new(),
            pulls: 0,
        }
    }

    /// A packet comes, a period is played.
    fn period(&mut self, samples: &mut [i16]) -> Pulled {
        let Self { phone, reception, playout, decoder, kernels, scratch, .. } = self;
        let arrival = phone.now;
        let packet = phone.next();
        let place = reception.packet(&packet, Some(arrival)).expect("in order");
        playout.insert(&packet, place.extended, Arrival::At(arrival), decoder).expect("in time");
        self.pulls += 1;
        playout.pull(self.phone.now, decoder, kernels, scratch, samples)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let played = self.playout.report().blocks_played;
        assert!(played + 2 >= self.pulls, "sound was measured, not silence: {played}");
    }
}

fn playout(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    let mut narrow = Block::SILENCE;
    let mut stream = Stream::new(Encoding::Pcmu);
    group.bench_function("account_insert_and_pull", |b| {
        b.iter(|| stream.period(black_box(&mut narrow.0)));
    });
    let mut now = Instant::START;
    let mut silent = Stream::new(Encoding::Pcmu);
    group.bench_function("pull_of_nothing", |b| {
        b.iter(|| {
            now += PERIOD;
            let Stream { playout, decoder, kernels, scratch, .. } = &mut silent;
            playout.pull(now, decoder, kernels, scratch, black_box(&mut narrow.0))
        });
    });
    group.finish();
}

/// The same until there is sound at 16 kHz: G.711 is brought to that rate, G.722 has it.
fn playout_at_16000(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream_at_16000");
    let class = RateClass::Wide;
    let mut wide = vec![0; class.block_samples()];
    let mut narrow = Block::SILENCE;
    let mut stream = Stream::new(Encoding::Pcmu);
    let (mut resampler, mut history) = (Resampler::new(Kernels::detect()), History::SILENT);
    group.bench_function("g711", |b| {
        b.iter(|| {
            stream.period(&mut narrow.0);
            resampler.resample(&history, SAMPLE_RATE, &narrow.0, class.hertz(), &mut wide);
            history.keep(&narrow.0);
            black_box(&mut wide);
        });
    });
    let mut stream = Stream::new(Encoding::G722);
    group.bench_function("g722", |b| b.iter(|| stream.period(black_box(&mut wide))));
    group.finish();
}

fn reports(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    let mut reception = Reception::new(8000);
    reception.packet(&Phone::new().next(), Some(Instant::START)).expect("the first");
    let now = Instant::from_millis(5000);
    let wall = WallClock { start_unix_nanos: 1_735_689_600_000_000_000 };
    let block = reception.report_block(now);
    let mut buffer = [0; COMPOUND_BYTES_MAX];
    group.bench_function("rtcp_write", |b| {
        b.iter(|| {
            let sender = SenderInfo {
                ntp: wall.ntp(now),
                timestamp: RtpTimestamp(40_000),
                packets: 250,
                octets: 40_000,
            };
            let report = Report {
                ssrc: Ssrc(1),
                sender: Some(sender),
                block,
                cname: b"0123456789abcdef",
                extended: media::rtcp::Extended::default(),
                bye: false,
            };
            report.write(black_box(&mut buffer))
        });
    });
    group.finish();
}

/// Finding out who speaks: what is no voice, and is looked at until it is known.
fn talk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("talk");
    let kernels = Kernels::detect();
    let mut random = Random::new(1);
    let noise: Vec<i16> = (0..BLOCK_SAMPLES * 50).map(|_| random.next_u32() as i16 / 8).collect();
    let pulses: Vec<i16> = (0..BLOCK_SAMPLES as i32 * 50)
        .map(|at| ((at % 64 - 32) * (at / 800 % 4 + 1) * 50) as i16)
        .collect();
    for (name, sound) in [("noise", noise), ("pulses_like_a_voice", pulses)] {
        let mut detector = TalkDetector::new();
        let mut blocks = sound.chunks_exact(BLOCK_SAMPLES).cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let block = blocks.next().expect("endless");
                detector.block(kernels.energy(block), black_box(block))
            });
        });
    }
    group.finish();
}

fn noise_suppression(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("noise_suppression");
    for class in RateClass::ALL {
        let mut random = Random::new(1);
        let noise: Vec<i16> = (0..class.block_samples() * 100)
            .map(|_| (random.next_u32() % 2001) as i16 - 1000)
            .collect();
        let mut suppressor = NoiseSuppressor::new();
        let mut block = vec![0; class.block_samples()];
        let mut blocks = noise.chunks_exact(block.len()).cycle();
        group.bench_function(format!("{}", class.hertz()), |b| {
            b.iter(|| {
                block.copy_from_slice(blocks.next().expect("without end"));
                suppressor.block(black_box(&mut block));
            });
        });
    }
}

criterion_group!(benches, receive, playout, playout_at_16000, reports, talk, noise_suppression);
criterion_main!(benches);
