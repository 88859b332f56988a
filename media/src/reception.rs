//! What we know about a stream that we receive: RFC 3550 appendix A.1, A.3 and A.8, and which of
//! its packets are missing (RFC 3611).
//!
//! A new SSRC from the same address restarts the stream at once: the address was checked (latched)
//! before, so probation would only lose sound. One that was left for it comes back only where the
//! new one is silent: two that send in turn would tear each other's sound. A jump of the sequence
//! number beyond `MAX_DROPOUT` is believed when the next packet confirms it, as in appendix A.1.

#[cfg(test)]
mod tests;

use std::mem::{offset_of, replace};
use std::time::Duration;

use media_kernels::prefetch_start;
use media_units::{
    BurstGap, Discard, ExtendedSequence, Instant, NtpTime, PERIOD, RtpTimestamp, SequenceNumber,
    Ssrc,
};

use crate::quality::losses::Losses;
use crate::rtcp::ReportBlock;
use crate::rtp::RtpView;

/// A gap of fewer packets is loss (RFC 3550 appendix A.1).
const MAX_DROPOUT: i16 = 3000;

/// A packet at most so much older is reordered (RFC 3550 appendix A.1).
const MAX_MISORDER: i16 = 100;

/// Packets in a row with which a source that was left comes back: more than the present one's
/// arrive together with in a live stream.
const BACK_PACKETS: u8 = 5;

/// The first extended sequence number of a stream: one cycle, so that older ones fit below it.
const FIRST_CYCLE: u64 = 1 << 16;

/// Where a packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its place in the stream.
    pub extended: ExtendedSequence,
    /// The stream began anew with this packet (the first of all, another SSRC, a sequence jump):
    /// what is kept of the packets before belongs to another stream.
    pub restarted: bool,
}

/// What became of the present source's packets since it began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fates {
    /// Packets that should have come.
    pub expected: u64,
    /// Packets that never came. Duplicates do not make up for them.
    pub lost: u64,
    /// Packets that came and were not played.
    pub discarded: u64,
    /// How both are spread.
    pub spread: BurstGap,
    /// How many times longer than at random their runs are ([`Losses::burst_ratio`]).
    pub burst_ratio: f32,
    /// Sound in one packet.
    pub packet_time: Duration,
}

/// Statistics of one receive stream. In this order: what every packet touches lies together.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Reception {
    /// Of all sources so far.
    packets: u64,
    octets: u64,
    /// Units of the RTP timestamp in a second.
    clock_rate: u32,
    source: Option<Source>,
    discarded: u64,
    /// Of the sources before the present one.
    lost_before: i64,
    missing_before: u64,
    /// The one before the present one.
    left: Option<Left>,
}

/// A source that another one took the place of.
#[derive(Debug, Clone, Copy)]
struct Left {
    ssrc: Ssrc,
    /// Its packets since the present source's last.
    packets: u8,
    /// What the present source had sent by then.
    others: u64,
}

/// The present source. In this order, as above.
#[derive(Debug, Clone)]
#[repr(C)]
struct Source {
    ssrc: Ssrc,
    /// The sequence number that would confirm a jump.
    confirms_jump: Option<SequenceNumber>,
    highest: ExtendedSequence,
    received: u64,
    jitter: Jitter,
    losses: Losses,
    first: ExtendedSequence,
    /// Received, but not as a packet that was missing: twice, or too old for anyone to know.
    extra: u64,
    discarded: u64,
    expected_reported: u64,
    received_reported: u64,
    sender_report: Option<(NtpTime, Instant)>,
}

impl Reception {
    /// Nothing received yet, on an RTP clock of this many units a second.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            source: None,
            packets: 0,
            octets: 0,
            discarded: 0,
            lost_before: 0,
            missing_before: 0,
            left: None,
        }
    }

    /// Asks the memory for what the next packet touches.
    pub fn prefetch(&self) {
        prefetch_start(self, offset_of!(Self, source) + offset_of!(Source, first));
    }

    /// The payload format changed, and with it the clock: timestamps before say nothing about
    /// those that come (RFC 7160).
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if replace(&mut self.clock_rate, clock_rate) != clock_rate
            && let Some(source) = &mut self.source
        {
            source.jitter = Jitter::default();
        }
    }

    /// Accounts for one packet. A packet after an unconfirmed sequence jump is not valid
    /// ([`Discard::MalformedRtp`], RFC 3550 appendix A.1); one of a source that was left for the
    /// present one is a stranger's.
    ///
    /// `arrival` is when it came, where that is known exactly and its timestamp means something:
    /// jitter is a sample of these.
    pub fn packet(
        &mut self,
        packet: &RtpView<'_>,
        arrival: Option<Instant>,
    ) -> Result<Arrival, Discard> {
        let sequence = packet.sequence();
        let placed = match &mut self.source {
            Some(source) if source.ssrc == packet.ssrc() => source.place(sequence)?,
            Some(source) if self.left.as_mut().is_some_and(|left| left.stays(packet, source)) => {
                return Err(Discard::Stranger);
            }
            _ => None,
        };
        let extended = placed.unwrap_or_else(|| self.restart(packet));
        self.beside(packet);
        if let Some(source) = &mut self.source {
            source.received += 1;
            if let Some(arrival) = arrival {
                source.jitter.packet(packet, arrival, self.clock_rate);
            }
        }
        Ok(Arrival { extended, restarted: placed.is_none() })
    }

    /// Counts one packet that has no place in the stream.
    pub fn beside(&mut self, packet: &RtpView<'_>) {
        self.packets += 1;
        self.octets += packet.payload().len() as u64;
    }

    /// A packet that came cannot be played: too late, or too much of it waits.
    pub fn discard(&mut self, packet: ExtendedSequence) {
        if let Some(source) = &mut self.source
            && source.losses.discard(source.highest.0.saturating_sub(packet.0))
        {
            source.discarded += 1;
            self.discarded += 1;
        }
    }

    /// Notes the source's sender report: the next report block refers to it.
    pub fn sender_report(&mut self, ssrc: Ssrc, ntp: NtpTime, arrival: Instant) {
        if let Some(source) = self.source.as_mut().filter(|source| source.ssrc == ssrc) {
            source.sender_report = Some((ntp, arrival));
        }
    }

    /// What to report to the source now (RFC 3550 section 6.4.1). Begins a new interval of the
    /// fraction lost. `None` where nothing came since the last report.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        (source.received > source.received_reported).then(|| source.report(now))
    }

    /// The present source.
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// Packets received, of all sources.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload octets received, of all sources.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Packets lost, of all sources. Duplicates count as received, so it can be negative.
    pub fn lost(&self) -> i64 {
        self.lost_before + self.source.as_ref().map_or(0, Source::lost)
    }

    /// Packets that never came, of all sources, as far as is known now: one that is only late
    /// takes its own back.
    pub fn missing(&self) -> u64 {
        self.missing_before + self.source.as_ref().map_or(0, Source::missing)
    }

    /// Packets that came and were not played, of all sources.
    pub fn discarded(&self) -> u64 {
        self.discarded
    }

    /// The interarrival jitter of the present source.
    pub fn jitter(&self) -> Duration {
        let units = self.source.as_ref().map_or(0, |source| source.jitter.units());
        as_duration(units, self.clock_rate)
    }

    /// What became of the present source's packets.
    pub fn fates(&self) -> Option<Fates> {
        self.source.as_ref().map(|source| {
            let packet_time = source.jitter.packet_time(self.clock_rate);
            Fates {
                expected: source.expected(),
                lost: source.missing(),
                discarded: source.discarded,
                spread: source.losses.spread(packet_time),
                burst_ratio: source.losses.burst_ratio(),
                packet_time,
            }
        })
    }

    fn restart(&mut self, packet: &RtpView<'_>) -> ExtendedSequence {
        self.lost_before = self.lost();
        self.missing_before = self.missing();
        if let Some(ssrc) = self.ssrc().filter(|before| *before != packet.ssrc()) {
            self.left = Some(Left { ssrc, packets: 0, others: 0 });
        }
        let first = ExtendedSequence(FIRST_CYCLE + u64::from(packet.sequence().0));
        self.source = Some(Source {
            ssrc: packet.ssrc(),
            first,
            highest: first,
            confirms_jump: None,
            received: 0,
            extra: 0,
            discarded: 0,
            losses: Losses::new(),
            expected_reported: 0,
            received_reported: 0,
            jitter: Jitter::default(),
            sender_report: None,
        });
        first
    }
}

impl Left {
    /// Whether the packet is of this source, and does not bring it back in the place of `present`.
    fn stays(&mut self, packet: &RtpView<'_>, present: &Source) -> bool {
        if packet.ssrc() != self.ssrc {
            return false;
        }
        if replace(&mut self.others, present.received) != present.received {
            self.packets = 0;
        }
        self.packets += 1;
        self.packets < BACK_PACKETS
    }
}

impl Source {
    /// The packet's place, or `None` where it confirms a jump and the stream is to restart.
    fn place(&mut self, sequence: SequenceNumber) -> Result<Option<ExtendedSequence>, Discard> {
        let steps = sequence.distance_from(SequenceNumber(self.highest.0 as u16));
        if !(-MAX_MISORDER..MAX_DROPOUT).contains(&steps) {
            if self.confirms_jump == Some(sequence) {
                return Ok(None);
            }
            self.confirms_jump = Some(sequence.plus(1));
            return Err(Discard::MalformedRtp);
        }
        self.confirms_jump = None;
        let extended = self.highest.nearest(sequence);
        self.follow(extended);
        Ok(Some(extended))
    }

    fn follow(&mut self, extended: ExtendedSequence) {
        if extended > self.highest {
            self.losses.newer(extended.0 - self.highest.0);
            self.highest = extended;
            return;
        }
        let steps = self.highest.0 - extended.0;
        if extended < self.first {
            self.losses.before_first(steps, self.first.0 - extended.0);
            self.first = extended;
        } else if !self.losses.older(steps) {
            self.extra += 1;
        }
    }

    fn expected(&self) -> u64 {
        self.highest.0 - self.first.0 + 1
    }

    fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    fn missing(&self) -> u64 {
        (self.expected() + self.extra).saturating_sub(self.received)
    }

    fn report(&mut self, now: Instant) -> ReportBlock {
        let expected = self.expected();
        let expected_interval = expected - self.expected_reported;
        let received_interval = self.received - self.received_reported;
        self.expected_reported = expected;
        self.received_reported = self.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction = (lost_interval << 8).checked_div(expected_interval).unwrap_or(0);
        let (last_sr, delay_since_last_sr) = match self.sender_report {
            Some((ntp, arrival)) => (ntp.middle(), as_ntp_middle(now.since(arrival))),
            None => (0, 0),
        };
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction.min(255) as u8,
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: (self.highest.0 - FIRST_CYCLE) as u32,
            jitter: self.jitter.units(),
            last_sr,
            delay_since_last_sr,
        }
    }
}

/// Interarrival jitter in units of the RTP clock, as RFC 3550 appendix A.8 estimates it.
#[derive(Debug, Clone, Default)]
struct Jitter {
    /// When the last packet was sent and came, and its number.
    last: Option<(RtpTimestamp, RtpTimestamp, SequenceNumber)>,
    /// Scaled by 16.
    estimate: u32,
    /// From one packet to the very next, by their timestamps.
    step: u32,
}

impl Jitter {
    /// Packets of one instant (digits repeat their timestamp) and jumps of the sender's clock by
    /// more than a second say nothing about the network and are left out.
    fn packet(&mut self, packet: &RtpView<'_>, arrival: Instant, clock_rate: u32) {
        let (timestamp, sequence) = (packet.timestamp(), packet.sequence());
        let arrival = RtpTimestamp(arrival.as_rtp_units(clock_rate));
        if let Some((last_timestamp, last_arrival, last_sequence)) = self.last {
            if last_timestamp == timestamp {
                return;
            }
            let transit = arrival.distance_from(last_arrival);
            let step = timestamp.distance_from(last_timestamp);
            let is_next = sequence == last_sequence.plus(1);
            if is_next && (1..=clock_rate as i32 / STEPS_MIN).contains(&step) {
                self.step = step as u32;
            }
            let difference = transit.wrapping_sub(step).unsigned_abs();
            if difference < clock_rate {
                self.estimate = self.estimate + difference - ((self.estimate + 8) >> 4);
            }
        }
        self.last = Some((timestamp, arrival, sequence));
    }

    fn units(&self) -> u32 {
        self.estimate >> 4
    }

    /// Sound in one packet; before a second came, the usual.
    fn packet_time(&self, clock_rate: u32) -> Duration {
        if self.step == 0 { PERIOD } else { as_duration(self.step, clock_rate) }
    }
}

/// Packets of a second at least: a longer step of timestamps is a pause.
const STEPS_MIN: i32 = 16;

fn as_duration(units: u32, clock_rate: u32) -> Duration {
    Duration::from_micros(u64::from(units) * 1_000_000 / u64::from(clock_rate.max(1)))
}

/// A duration in 1/65536 s.
fn as_ntp_middle(duration: Duration) -> u32 {
    let units = (duration.as_nanos() << 16) / 1_000_000_000;
    u32::try_from(units).unwrap_or(u32::MAX)
}
