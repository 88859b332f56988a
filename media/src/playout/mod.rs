//! Playout: packets are stored as they come, sound is pulled every 20 ms (our jitter buffer).
//!
//! The schedule is one number: the playhead, the position in the stream that the next pull
//! plays first. A packet that is there when it is due costs no delay beyond the wait for its
//! pull. Where nothing is there, the playhead waits and the missing time is invented; when sound
//! comes after the hole, the playhead skips as much as was invented, so the delay stays; when the
//! missing sound comes late itself, it is played and the delay has grown. Clock skew needs no
//! mechanism of its own: it makes packets late, or early for seconds.
//!
//! One octet is one sample at 8 kHz, so this is for G.711; codecs of frames bring a store of
//! their own, and share `delay` and `decide`. Memory is reserved at construction.

mod conceal;
mod decide;
mod delay;
mod insert;
mod memory;
mod pull;
mod store;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::Duration;

use media_kernels::prefetch;
use media_units::{BLOCK_SAMPLES, ExtendedSequence, Instant, RtpTimestamp};

use conceal::Concealer;
use delay::{MARGIN, SlackWindow};
pub use memory::{Memory, Scratch};
use store::{CAPACITY, SampleStore};

/// Octets of the longest payload: 60 ms.
pub const PAYLOAD_BYTES_MAX: usize = 480;

/// The greatest delay that the memory of a playout buffer can hold.
pub const DELAY_MAX: Duration = Duration::from_millis(360);

const SAMPLES_PER_MS: u64 = 8;

/// Played samples that stay in the store, for concealment.
const PAST: usize = BLOCK_SAMPLES;

/// Samples that fit into the store from the playhead on.
const AHEAD: u64 = (CAPACITY - PAST) as u64;

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
    /// Received sound, all or part of the period.
    Played,
    /// Invented sound in place of what is missing.
    Concealed,
}

/// What a playout buffer did since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlayoutReport {
    /// From a packet's arrival to the pull that plays its first sample: mean of the last packets.
    pub delay: Duration,
    /// Periods with received sound.
    pub blocks_played: u64,
    /// Periods with invented sound only.
    pub blocks_concealed: u64,
    /// Periods inserted to let the delay grow.
    pub periods_inserted: u64,
    /// Periods left out to let the delay shrink.
    pub periods_left_out: u64,
    /// Packets stored.
    pub packets_stored: u64,
    /// Packets that came too late.
    pub packets_late: u64,
    /// Packets that came a second time.
    pub packets_duplicate: u64,
    /// Samples invented in place of what is missing.
    pub samples_concealed: u64,
    /// Samples inserted into sound to let the delay grow.
    pub samples_expanded: u64,
    /// Samples taken out of sound to let the delay shrink.
    pub samples_accelerated: u64,
    /// Packets recovered from the redundancy in the next (in-band forward error correction).
    pub packets_recovered: u64,
    /// The delay aimed at.
    pub delay_target: Duration,
    /// How much faster than ours the sender's clock runs, in parts per million, once known.
    pub drift_ppm: Option<i16>,
}

/// The playout buffer of one receive stream.
#[derive(Debug)]
pub struct Playout {
    /// In samples, as all that follows: slack that each packet needs before it is due.
    needed: u64,
    delay_max: u64,
    initial: u64,
    memory: Option<Box<Memory>>,
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
    pulls_since_shrink: u8,
    slack: SlackWindow,
    /// Mean of the packets' slack, in 1/16 samples.
    mean_slack: u32,
    report: PlayoutReport,
    concealer: Concealer,
    store: SampleStore,
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
    /// An empty buffer.
    pub fn new(limits: &PlayoutLimits) -> Self {
        let delay_max = as_samples(limits.delay_max.min(DELAY_MAX));
        Self {
            needed: as_samples(limits.delay_min).min(delay_max).max(MARGIN as u64),
            delay_max,
            initial: as_samples(limits.delay_initial).min(delay_max),
            memory: None,
            phase: Phase::Empty,
            playhead: ORIGIN,
            end: ORIGIN,
            waited: 0,
            silent: ORIGIN..ORIGIN,
            newest: None,
            last_pull: Instant::START,
            pulls_since_shrink: 0,
            slack: SlackWindow::new(),
            mean_slack: 0,
            report: PlayoutReport::default(),
            concealer: Concealer::new(),
            store: SampleStore::new(),
        }
    }

    /// Takes up another payload format: `memory` is what [`Memory::new`] made for it. Forgets the
    /// stream and gives back the memory that it had.
    pub fn equip(&mut self, memory: Option<Box<Memory>>) -> Option<Box<Memory>> {
        self.reset();
        std::mem::replace(&mut self.memory, memory)
    }

    /// Forgets the stream, not the counters: another source, another payload format.
    pub fn reset(&mut self) {
        self.phase = Phase::Empty;
        self.playhead = ORIGIN;
        self.end = ORIGIN;
        self.waited = 0;
        self.silent = ORIGIN..ORIGIN;
        self.newest = None;
        self.pulls_since_shrink = 0;
        self.slack = SlackWindow::new();
        self.concealer = Concealer::new();
        self.store.clear();
    }

    /// Asks the memory for what the next packet touches, all but the place of its sound.
    pub fn prefetch(&self) {
        prefetch(&self.phase);
        prefetch(&self.playhead);
        prefetch(&self.newest);
        prefetch(&self.slack);
        prefetch(&self.report);
    }

    /// Asks for the place of the next packet's sound. To be called when what
    /// [`Playout::prefetch`] asked for is there.
    pub fn prefetch_place(&self) {
        self.store.prefetch(self.end, BLOCK_SAMPLES);
    }

    /// What it did so far, and its present delay.
    pub fn report(&self) -> PlayoutReport {
        PlayoutReport { delay: self.delay(), ..self.report }
    }

    /// Its present delay: from a packet's arrival to its pull, mean of the last packets.
    pub fn delay(&self) -> Duration {
        let samples = u64::from(self.mean_slack >> 4);
        Duration::from_micros(samples * 1_000_000 / (SAMPLES_PER_MS * 1000))
    }

    /// Moves the playhead; what was waited for it is paid, the rest makes the delay smaller.
    fn skip(&mut self, samples: u64) {
        self.advance(samples);
        let paid = samples.min(self.waited);
        self.waited -= paid;
        self.slack.shift(-((samples - paid) as i32));
    }

    /// Moves the playhead over what is played; the room gained at the far end is empty.
    fn advance(&mut self, samples: u64) {
        self.store.forget(self.playhead + AHEAD, samples as usize);
        self.playhead += samples;
    }

    /// What is waited for came late, or is given up: from now on all is due so much later.
    fn accept_wait(&mut self) {
        self.slack.shift(self.waited as i32);
        self.waited = 0;
    }
}

fn as_samples(duration: Duration) -> u64 {
    (duration.as_nanos() as u64 * SAMPLES_PER_MS) / 1_000_000
}
