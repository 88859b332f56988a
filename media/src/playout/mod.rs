//! Playout: packets are stored as they come, sound is pulled every 20 ms (our jitter buffer).
//!
//! The schedule is one number: the playhead, the position in the stream that the next pull
//! plays first. A packet that is there when it is due costs no delay beyond the wait for its
//! pull. Where nothing is there, the playhead waits and the missing time is invented (`conceal`);
//! when sound comes after the hole, the playhead skips as much as was invented, so the delay stays;
//! when the missing sound comes late itself, it is played and the delay has grown.
//!
//! How much delay the network asks for is learned from arrivals (`delay`); what the schedule
//! should do about it is a pure function (`decide`); it is done by leaving out or repeating whole
//! periods of the voice (`stretch`). A clock that runs at another pace than ours makes the slack
//! grow or shrink, and is followed by the same means.
//!
//! One octet of G.711 is one sample, so its packets lie in a ring of samples (`store`), inline; in
//! calm nothing but the ring is touched. Other formats keep their packets (`packets`) and decode
//! them in order into a buffer (`sound`), in memory that is donated ([`Memory`]).
//!
//! Positions, delays and lengths are samples at the format's sample rate. Nothing here allocates
//! but constructors, nothing reads a clock, and no packet can make it panic. The decision
//! apart from the means, and insertion that only stores, are ideas of WebRTC's `NetEQ`; concealment
//! follows the idea of ITU-T G.711 Appendix I; comfort noise is RFC 3389. See docs/playout.md.

mod background;
mod conceal;
mod decide;
mod delay;
mod drift;
mod insert;
mod line;
mod memory;
mod packets;
mod pull;
mod similarity;
mod sound;
mod store;
mod stretch;

#[cfg(test)]
mod frame_tests;
#[cfg(test)]
mod tests;

use std::mem::offset_of;
use std::ops::Range;
use std::time::Duration;

use media_kernels::{prefetch, prefetch_start};
use media_units::{BLOCK_SAMPLES, Encoding, ExtendedSequence, Instant, RtpTimestamp, SAMPLE_RATE};

use background::Background;
use conceal::{Concealer, PAST_NARROW};
use delay::DelayEstimate;
pub use memory::{Memory, Scratch};
use store::{AHEAD, SampleStore};

/// Octets of the longest payload of G.711: 60 ms.
pub const PAYLOAD_BYTES_MAX: usize = 480;

/// The greatest delay that the memory of a playout buffer can hold.
pub const DELAY_MAX: Duration = Duration::from_millis(360);

/// Played samples that stay in the ring.
const PAST: usize = PAST_NARROW;

/// How far ahead of the playhead a packet may lie, in milliseconds: beyond the greatest delay, so
/// that what is too early is dropped for its age and not for its place.
const AHEAD_MS: u32 = (AHEAD / 8) as u32;

/// A loss that the next packet could have recovered counts so much, a packet counts one down. Above
/// [`REDUNDANCY`] (some losses in a few seconds, and then more than one packet in a hundred) it is
/// worth to wait for the next packet.
const RECOVERABLE: u16 = 100;
const REDUNDANCY: u16 = 250;
const RECOVERABLE_MAX: u16 = 1000;

/// Where a stream begins: far enough from zero for all that may come before it.
const ORIGIN: u64 = 1 << 40;

/// Bounds of the delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayoutLimits {
    /// Least slack that a packet is given before it is due.
    pub delay_min: Duration,
    /// Slack that the first packet of a stream is given, where that is more.
    pub delay_initial: Duration,
    /// A packet waits at most so long; older ones are dropped. At most [`DELAY_MAX`].
    pub delay_max: Duration,
}

/// What a pull gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing: the sender has not begun, pauses, or is gone.
    Silence,
    /// Comfort noise: in a pause, as the sender described it (RFC 3389); after a long loss, as the line
    /// sounded before.
    Noise,
    /// Received sound, all or part of the period.
    Played,
    /// Invented sound in place of what is missing.
    Concealed,
}

/// What a playout buffer did since it was made. In this order: what counts in every period is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct PlayoutReport {
    /// Periods with received sound.
    pub blocks_played: u64,
    /// Packets stored.
    pub packets_stored: u64,
    /// From a packet's arrival to the pull that plays its first sample: mean of the last packets.
    pub delay: Duration,
    /// The slack aimed at: from the arrival of the fastest packets to their pull.
    pub delay_target: Duration,
    /// How much faster than ours the sender's clock runs, in parts per million, once known.
    pub drift_ppm: Option<i16>,
    /// Periods with invented sound only.
    pub blocks_concealed: u64,
    /// Samples invented in place of what is missing.
    pub samples_concealed: u64,
    /// Samples inserted into sound to let the delay grow.
    pub samples_expanded: u64,
    /// Samples taken out of sound to let the delay shrink.
    pub samples_accelerated: u64,
    /// Packets that came too late.
    pub packets_late: u64,
    /// Samples of stored packets that were over when they came.
    pub samples_late: u64,
    /// Packets that came a second time.
    pub packets_duplicate: u64,
    /// Packets recovered from the redundancy in the next (in-band forward error correction).
    pub packets_recovered: u64,
}

/// The playout buffer of one receive stream. In this order: what is touched in every period lies
/// together, as thousands of streams do not fit into a cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Playout {
    phase: Phase,
    playhead: u64,
    /// Behind the last sample stored; never before the playhead.
    end: u64,
    /// Samples invented while nothing was there: the playhead should be so much further.
    waited: u64,
    /// A hole that is meant: the sender was silent (discontinuous transmission).
    silent: Range<u64>,
    newest: Option<Newest>,
    last_pull: Instant,
    memory: Option<Box<Memory>>,
    /// Samples in a second, and in a period.
    rate: u32,
    period: u32,
    /// Samples in a unit of the RTP timestamp.
    scale: u32,
    /// [`PlayoutLimits::delay_max`].
    delay_max: u32,
    /// When what is due is pulled, less its position and the anchor: the delay of the schedule.
    schedule: i32,
    /// What delays are counted from, so that they are small.
    anchor: u32,
    /// By how much the schedule must move to change any packet's slack.
    step: u32,
    /// Length of the last packet.
    packet_samples: u32,
    /// Mean of the packets' slack, in 1/16 samples.
    mean_slack: u32,
    /// How much was lost lately that redundancy could recover; see [`REDUNDANCY`].
    recoverable: u16,
    /// Pulls before the schedule is looked at again.
    calm: u8,
    /// Periods that were played as they came since the line was heard in one.
    unheard: u8,
    /// Whether noise is made where there is no sound.
    wants_noise: bool,
    concealer: Concealer,
    report: PlayoutReport,
    estimate: DelayEstimate,
    background: Background,
    limits: PlayoutLimits,
    store: SampleStore,
    /// During a loss: what was played last.
    past: [i16; PAST_NARROW],
}

/// Whether sound flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No packet yet.
    Empty,
    /// The first packet waits for its margin.
    Held { until: Instant },
    /// Sound is due at every pull.
    Running,
}

/// The packet with the highest sequence number: others are placed beside it.
#[derive(Debug, Clone, Copy)]
struct Newest {
    sequence: ExtendedSequence,
    timestamp: RtpTimestamp,
    position: u64,
    /// Which of the 64 sequence numbers up to it were seen, the lowest bit being its own.
    seen: u64,
}

impl Playout {
    /// An empty buffer, for G.711.
    pub fn new(limits: &PlayoutLimits) -> Self {
        let period = BLOCK_SAMPLES as u32;
        let limits = PlayoutLimits { delay_max: limits.delay_max.min(DELAY_MAX), ..*limits };
        Self {
            phase: Phase::Empty,
            playhead: ORIGIN,
            end: ORIGIN,
            waited: 0,
            silent: ORIGIN..ORIGIN,
            newest: None,
            last_pull: Instant::START,
            memory: None,
            rate: SAMPLE_RATE,
            period,
            scale: 1,
            delay_max: as_samples(limits.delay_max, SAMPLE_RATE),
            schedule: 0,
            anchor: 0,
            step: period,
            packet_samples: period,
            mean_slack: 0,
            recoverable: 0,
            calm: 0,
            unheard: 0,
            wants_noise: true,
            concealer: Concealer::new(period as usize / 8),
            report: PlayoutReport::default(),
            estimate: DelayEstimate::new(SAMPLE_RATE),
            background: Background::new(SAMPLE_RATE),
            limits,
            store: SampleStore::new(),
            past: [0; PAST_NARROW],
        }
    }

    /// Takes up another payload format: `memory` is what [`Memory::new`] made for it. Forgets the
    /// stream and gives back the memory that it had.
    pub fn equip(&mut self, memory: Option<Box<Memory>>) -> Option<Box<Memory>> {
        let encoding = memory.as_ref().map(|memory| memory.encoding());
        let before = std::mem::replace(&mut self.memory, memory);
        self.rate = encoding.map_or(SAMPLE_RATE, Encoding::sample_rate);
        self.scale = encoding.map_or(1, |encoding| encoding.sample_rate() / encoding.clock_rate());
        self.period = self.rate / 50;
        self.delay_max = as_samples(self.limits.delay_max, self.rate);
        self.reset();
        before
    }

    /// Forgets the stream, not the counters: another source, another payload format.
    pub fn reset(&mut self) {
        self.phase = Phase::Empty;
        self.playhead = ORIGIN;
        self.end = ORIGIN;
        self.waited = 0;
        self.silent = ORIGIN..ORIGIN;
        self.newest = None;
        self.step = self.period;
        self.packet_samples = self.period;
        self.recoverable = 0;
        self.calm = 0;
        self.mean_slack = 0;
        self.unheard = 0;
        self.estimate = DelayEstimate::new(self.rate);
        self.concealer = Concealer::new(self.period as usize / 8);
        self.background.restart(self.rate);
        match &mut self.memory {
            Some(memory) => memory.clear(),
            None => self.store.clear(),
        }
    }

    /// Whether noise is made where there is no sound, from now on: where nobody would hear it, it is
    /// told and nothing more.
    pub fn want_noise(&mut self, is_wanted: bool) {
        self.wants_noise = is_wanted;
    }

    /// Asks the memory for what the next packet or pull touches, all but the place of its sound.
    pub fn prefetch(&self) {
        prefetch_start(self, offset_of!(Self, report));
        prefetch(&self.report.packets_stored);
        self.estimate.prefetch();
    }

    /// Asks for the place of the next packet's sound. To be called when what
    /// [`Playout::prefetch`] asked for is there.
    pub fn prefetch_place(&self) {
        self.store.prefetch(self.end, BLOCK_SAMPLES);
    }

    /// Asks for the sound that is due next, and for the room that it leaves at the far end. To be
    /// called when what [`Playout::prefetch`] asked for is there.
    pub fn prefetch_sound(&self) {
        self.store.prefetch(self.playhead, BLOCK_SAMPLES);
        self.store.prefetch_presence(self.playhead + AHEAD, BLOCK_SAMPLES);
    }

    /// What it did so far, and its present delay.
    pub fn report(&self) -> PlayoutReport {
        PlayoutReport {
            delay: self.delay(),
            delay_target: self.as_duration(self.target()),
            drift_ppm: self.estimate.drift_ppm(),
            ..self.report
        }
    }

    /// Its present delay: from a packet's arrival to its pull, mean of the last packets.
    pub fn delay(&self) -> Duration {
        self.as_duration(self.mean_slack >> 4)
    }

    /// Whole periods from the next to be played to the last that came.
    pub fn periods_there(&self) -> u64 {
        (self.end - self.playhead) / u64::from(self.period)
    }

    /// The slack to give to the fastest packets.
    fn target(&self) -> u32 {
        let most = self.delay_max.saturating_sub(self.period);
        let least = self.as_samples(self.limits.delay_min);
        let asked = self.estimate.target();
        // What a late packet would have recovered is lost only where the one before it is: so much
        // less is its lateness worth, and half of the slack does.
        let is_worth = self.recoverable > REDUNDANCY;
        let redundancy = if is_worth { self.packet_samples + asked / 2 } else { 0 };
        asked.max(redundancy).max(least).min(most.max(self.rate / 500))
    }

    fn as_samples(&self, duration: Duration) -> u32 {
        as_samples(duration, self.rate)
    }

    fn as_duration(&self, samples: u32) -> Duration {
        Duration::from_micros(u64::from(samples) * 1_000_000 / u64::from(self.rate))
    }

    /// Moves the playhead; what was waited for it is paid, the rest makes the delay smaller.
    fn skip(&mut self, samples: u64) {
        self.advance(samples);
        let paid = samples.min(self.waited);
        self.waited -= paid;
        self.schedule = self.schedule.saturating_sub((samples - paid) as i32);
    }

    /// What is waited for came late, or is given up: from now on all is due so much later.
    fn accept_wait(&mut self) {
        self.schedule = self.schedule.saturating_add(self.waited.min(1 << 28) as i32);
        self.waited = 0;
    }

    fn clock(&self, at: Instant) -> u32 {
        at.as_rtp_units(self.rate).wrapping_sub(self.anchor)
    }
}

fn as_samples(duration: Duration, rate: u32) -> u32 {
    (duration.as_micros() as u64 * u64::from(rate) / 1_000_000) as u32
}
