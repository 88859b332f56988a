//! What the tests play with: packets on their way, two buffers that get the same, and what is heard.

use super::*;

/// Samples with the same label, and labels before they repeat: together two seconds, longer than
/// any hole. The silence code of mu-law is no label.
pub(super) const LABEL_SAMPLES: u64 = 80;
pub(super) const LABELS: u64 = 251;

/// The label at a place.
pub(super) fn code_at(place: u64) -> u8 {
    (place / LABEL_SAMPLES % LABELS) as u8
}

pub(super) const ENCODING: Law = Law::Mu;

/// When the first packet is sent, unless a test says otherwise.
pub(super) const START: Instant = Instant::from_millis(1000);

/// One packet on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) arrival: Instant,
    pub(super) sequence: u16,
    /// Place of the first sample; the timestamp is this and an offset.
    pub(super) position: u64,
    pub(super) length: u64,
    pub(super) timestamp: u32,
}

/// `count` packets of `length` samples, sent at the pace of the samples and never delayed.
pub(super) fn stream(start: Instant, count: u64, length: u64) -> Vec<Sent> {
    (0..count)
        .map(|index| Sent {
            arrival: start + samples(index * length),
            sequence: 65_500_u16.wrapping_add(index as u16),
            position: index * length,
            length,
            timestamp: 0xffff_f000_u32.wrapping_add((index * length) as u32),
        })
        .collect()
}

pub(super) fn samples(count: u64) -> Duration {
    Duration::from_nanos(count * 125_000)
}

pub(super) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What one run showed.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) pulls: Vec<(Instant, Pulled)>,
    /// Samples played.
    pub(super) samples: u64,
    /// For each packet of which the first label was heard: its place and how long it waited.
    pub(super) waits: Vec<(u64, Duration)>,
    pub(super) stored: u64,
    pub(super) duplicates: u64,
    pub(super) late: u64,
    pub(super) overflows: u64,
    pub(super) invalid: u64,
    pub(super) report: PlayoutReport,
}

impl Heard {
    pub(super) fn count(&self, pulled: Pulled) -> usize {
        self.pulls.iter().filter(|(_, p)| *p == pulled).count()
    }

    pub(super) fn concealed_after(&self, from: Instant) -> usize {
        let concealed =
            |(at, pulled): &&(Instant, Pulled)| *at >= from && *pulled == Pulled::Concealed;
        self.pulls.iter().filter(concealed).count()
    }

    pub(super) fn longest_wait_after(&self, position: u64) -> Duration {
        let waits = self.waits.iter().filter(|(place, _)| *place >= position);
        waits.map(|(_, wait)| *wait).max().unwrap_or_default()
    }

    pub(super) fn waited_packets_after(&self, position: u64) -> usize {
        self.waits.iter().filter(|(place, _)| *place >= position).count()
    }
}

/// Plays packets, the first pull being at `first_pull`, until a second after the last one.
pub(super) fn play(packets: &[Sent], first_pull: Instant) -> Heard {
    let mut packets = packets.to_vec();
    packets.sort_by_key(|packet| packet.arrival);
    let end = packets.last().map_or(START, |packet| packet.arrival) + millis(1000);
    let mut line = Line::new();
    let mut waiting = packets.iter().peekable();
    let mut now = first_pull;
    while now < end {
        while let Some(packet) = waiting.next_if(|packet| packet.arrival <= now) {
            line.receive(packet);
        }
        line.pull(now, &packets);
        now += PERIOD;
    }
    assert_eq!(waiting.count(), 0);
    line.heard.report = line.decoded.report();
    line.heard
}

/// Two buffers that get the same: one decodes, the other relays.
pub(super) struct Line {
    pub(super) reception: Reception,
    pub(super) decoded: Playout,
    pub(super) relayed: Playout,
    pub(super) scratch: Scratch,
    pub(super) heard: Heard,
    /// Whether noise is to be made.
    pub(super) has_noise: bool,
    /// Number of the last label heard, repetitions of the cycle included.
    pub(super) label: Option<u64>,
}

impl Line {
    /// Noise has no labels: it is told, and not made.
    pub(super) fn new() -> Self {
        let playout = || {
            let mut playout = Playout::new(&LIMITS);
            playout.want_noise(false);
            playout
        };
        Self {
            reception: Reception::new(media_units::CLOCK_RATE),
            decoded: playout(),
            relayed: playout(),
            scratch: Scratch::new(),
            heard: Heard::default(),
            has_noise: false,
            label: None,
        }
    }

    /// The two with noise.
    pub(super) fn with_noise() -> Self {
        let mut line = Self { has_noise: true, ..Self::new() };
        line.decoded.want_noise(true);
        line.relayed.want_noise(true);
        line
    }

    pub(super) fn receive(&mut self, packet: &Sent) {
        let places = packet.position..packet.position + packet.length;
        self.receive_payload(packet, &places.map(code_at).collect::<Vec<u8>>());
    }

    pub(super) fn receive_payload(&mut self, packet: &Sent, payload: &[u8]) {
        let header = RtpHeader {
            payload_type: 0,
            marker: false,
            sequence: SequenceNumber(packet.sequence),
            timestamp: RtpTimestamp(packet.timestamp),
            ssrc: Ssrc(1),
        };
        let bytes = [&header.write()[..], payload].concat();
        let view = RtpView::parse(&bytes).unwrap();
        let Ok(arrival) = self.reception.packet(&view, Some(packet.arrival)) else {
            self.heard.invalid += 1;
            return;
        };
        if arrival.restarted {
            self.decoded.reset();
            self.relayed.reset();
        }
        let at = Arrival::At(packet.arrival);
        let stored = self.decoded.insert(&view, arrival.extended, at, &Decoder::G711(ENCODING));
        assert_eq!(
            stored,
            self.relayed.insert(&view, arrival.extended, at, &Decoder::G711(ENCODING))
        );
        match stored {
            Ok(()) => self.heard.stored += 1,
            Err(Discard::Duplicate) => self.heard.duplicates += 1,
            Err(Discard::Late) => self.heard.late += 1,
            Err(Discard::Overflow) => self.heard.overflows += 1,
            Err(other) => panic!("{other:?}"),
        }
    }

    pub(super) fn pull(&mut self, now: Instant, packets: &[Sent]) -> (Pulled, Block) {
        let before = self.decoded.report();
        let (pulled, block, frame) = self.pull_both(now);
        let after = self.decoded.report();
        let taken = after.samples_accelerated - before.samples_accelerated;
        let added = after.samples_expanded - before.samples_expanded;
        if taken + added > 0 {
            // Spliced sound has no labels.
            self.heard.samples += BLOCK_SAMPLES as u64 + taken - added;
        } else if pulled == Pulled::Played {
            self.follow_labels(now, &frame, packets);
        }
        (pulled, block)
    }

    pub(super) fn pull_both(&mut self, now: Instant) -> (Pulled, Block, [u8; BLOCK_SAMPLES]) {
        let mut block = Block::SILENCE;
        let mut frame = [0; BLOCK_SAMPLES];
        let pulled = self.decoded.pull(
            now,
            &mut Decoder::G711(ENCODING),
            &Kernels::SCALAR,
            &mut self.scratch,
            &mut block.0,
        );
        let relayed =
            self.relayed.pull_frame(now, ENCODING, &Kernels::SCALAR, &mut self.scratch, &mut frame);
        assert_eq!(pulled, relayed, "both ways have the same timing at {now}");
        assert_eq!(self.decoded.report(), self.relayed.report());
        if matches!(pulled, Pulled::Silence | Pulled::Noise) && !self.has_noise {
            assert_eq!(block.0[BLOCK_SAMPLES / 4..], [0; BLOCK_SAMPLES * 3 / 4]);
        }
        self.heard.pulls.push((now, pulled));
        (pulled, block, frame)
    }

    /// Order: labels only ever go forward.
    pub(super) fn follow_labels(&mut self, now: Instant, frame: &[u8], packets: &[Sent]) {
        for &code in frame.iter().filter(|&&code| code != g711::silence(ENCODING)) {
            self.heard.samples += 1;
            let last = self.label.unwrap_or(0);
            let steps = (u64::from(code) + LABELS - last % LABELS) % LABELS;
            assert!(steps < LABELS * 7 / 8, "label {code} after {last} at {now}");
            if steps == 0 && self.label.is_some() {
                continue;
            }
            self.label = Some(last + steps);
            let place = (last + steps) * LABEL_SAMPLES;
            let starts = |packet: &&Sent| packet.position == place && packet.arrival <= now;
            if let Some(packet) = packets.iter().find(starts) {
                self.heard.waits.push((place, now.since(packet.arrival)));
            }
        }
    }
}

/// Every packet is counted once, and every sample stored was played, left out on purpose or made
/// way by overflow.
pub(super) fn assert_conserved(heard: &Heard, packets: &[Sent]) {
    let discarded = heard.duplicates + heard.late + heard.overflows + heard.invalid;
    assert_eq!(heard.stored + discarded, packets.len() as u64);
    let stored = (heard.stored + heard.overflows) * packets[0].length;
    if heard.overflows == 0 {
        assert_eq!(heard.samples + heard.report.samples_late, stored, "{:?}", heard.report);
    } else {
        assert!(heard.samples < stored);
    }
}
