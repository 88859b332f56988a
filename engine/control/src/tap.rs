//! Taps: copies of sound and of packets on their way off a shard.
//!
//! All taps of a shard share one ring, of a size that is reserved at start. The shard writes and
//! never waits: what finds no room is dropped and counted, and whoever reads sees the hole in the
//! clock of that tap. A record is whole or not there at all, and the end of a tap always finds
//! room: each open tap has a place kept for it.
//!
//! The ring is two. The *near* one is small, and was written over once at set-up: as long as the
//! recorder keeps up, all goes through it, and its memory stays in the cache. Where it is full the
//! *far* one goes on, whose memory nobody has touched before that: a ring that were only large
//! would be walked from end to end for nothing, with a page to be cleared by the shard at each
//! step. A record in each says that what follows is in the other.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use media_units::{BLOCK_SAMPLES_MAX, Instant, PeriodIndex, RateClass};
use rtrb::{Consumer, Producer, RingBuffer};
use serde::{Deserialize, Serialize};

use crate::{RoomKey, SessionKey};

/// Where a copy is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TapPoint {
    /// What one session says: decoded, after playout, before the mix, without digits.
    Received(SessionKey),
    /// What one session is sent, before it is encoded.
    Sent(SessionKey),
    /// The datagrams of one session as they arrived, but for digits.
    Packets(SessionKey),
    /// One room's whole mix.
    Room(RoomKey),
}

impl TapPoint {
    /// All that a session has.
    pub const fn of_session(session: SessionKey) -> [Self; 3] {
        [Self::Received(session), Self::Sent(session), Self::Packets(session)]
    }

    /// The shard that it is on.
    pub const fn shard(self) -> u8 {
        match self {
            Self::Received(session) | Self::Sent(session) | Self::Packets(session) => {
                session.shard()
            }
            Self::Room(room) => room.shard(),
        }
    }

    /// The session whose sound or packets it is.
    pub const fn session(self) -> Option<SessionKey> {
        match self {
            Self::Received(session) | Self::Sent(session) | Self::Packets(session) => Some(session),
            Self::Room(_) => None,
        }
    }

    pub(crate) fn each_session(&mut self, mut each: impl FnMut(&mut SessionKey)) {
        match self {
            Self::Received(session) | Self::Sent(session) | Self::Packets(session) => each(session),
            Self::Room(_) => {}
        }
    }
}

/// One tap, named by the control plane. Never given to another while the server lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TapId(pub u32);

/// Why there is nothing to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SilenceCause {
    /// Nothing was received: the endpoint has not begun, pauses, or is gone.
    NothingReceived,
    /// What was received or mixed is silence.
    Silent,
    /// A digit was pressed: what stood in its place is not kept.
    Digit,
    /// The session is muted: what it says is not kept.
    Muted,
    /// Nothing flows that way (RFC 3264): the session is on hold.
    Held,
}

/// What a tap carried at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapContent<'a> {
    /// A period's sound.
    Block {
        /// Its rate: says how many samples there are.
        class: RateClass,
        /// Whether it was invented in place of what is missing, all or part of it.
        concealed: bool,
        /// The sound.
        samples: &'a [i16],
    },
    /// A period's silence.
    Silence {
        /// At which rate.
        class: RateClass,
        /// Why.
        cause: SilenceCause,
    },
    /// A datagram.
    Packet {
        /// Who sent it.
        source: SocketAddr,
        /// Whether it came to the RTCP port, the one above the RTP port.
        on_rtcp_port: bool,
        /// All of it.
        octets: &'a [u8],
    },
    /// The tap ended before this period: nothing of it follows.
    Ended,
}

/// One record of a tap, with its place on the shard's sample clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapItem<'a> {
    /// Of which tap.
    pub tap: TapId,
    /// The period: times the samples of a block, it is the first sample on the shard's clock.
    /// Of sound and silence there is one record in every period from the first on.
    pub period: PeriodIndex,
    /// When it was mixed; when a datagram arrived.
    pub at: Instant,
    /// What it carried.
    pub content: TapContent<'a>,
}

/// Octets of the longest datagram that a tap carries.
pub const PACKET_BYTES_MAX: usize = 2048;

/// Records whose taps are told ahead.
const AHEAD_MAX: usize = 32;

/// A record without its samples or octets, which are in the other ring.
#[derive(Debug, Clone, Copy)]
struct Head {
    tap: TapId,
    period: PeriodIndex,
    at: Instant,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Block {
        class: RateClass,
        concealed: bool,
    },
    Silence {
        class: RateClass,
        cause: SilenceCause,
    },
    Packet {
        source: SocketAddr,
        on_rtcp_port: bool,
        octets: u16,
    },
    Ended,
    /// What follows is in the other ring.
    Elsewhere,
}

/// The shard's end of its ring.
#[derive(Debug)]
pub struct TapSink {
    near: RingSink,
    far: RingSink,
    /// Which of them is written.
    is_far: bool,
    /// Taps that have begun and not ended: as many heads are kept in the far ring for their ends.
    open: usize,
    lost: u64,
    /// The first period after the last record that was lost.
    lost_end: Arc<AtomicU64>,
}

/// The recorder's end.
#[derive(Debug)]
pub struct TapReader {
    near: RingSource,
    far: RingSource,
    /// Which of them is read.
    is_far: bool,
    lost_end: Arc<AtomicU64>,
    samples: [i16; WORDS_MAX],
    octets: [u8; PACKET_BYTES_MAX],
}

/// The end of one ring where records are written.
#[derive(Debug)]
struct RingSink {
    heads: Producer<Head>,
    /// Samples, or octets in pairs. Written before their head and read after it.
    words: Producer<i16>,
}

/// The other end.
#[derive(Debug)]
struct RingSource {
    heads: Consumer<Head>,
    words: Consumer<i16>,
}

/// Words of the longest record.
const WORDS_MAX: usize =
    if BLOCK_SAMPLES_MAX > PACKET_BYTES_MAX / 2 { BLOCK_SAMPLES_MAX } else { PACKET_BYTES_MAX / 2 };

/// Octets of the near ring at most: a tenth of a second of 4,000 taps of 8 kHz, twice what comes
/// from one look of the recorder to the next.
const NEAR_BYTES_MAX: usize = 8 << 20;

/// Octets of the near ring of so many for both.
const fn near_bytes(bytes: usize) -> usize {
    if bytes / 8 < NEAR_BYTES_MAX { bytes / 8 } else { NEAR_BYTES_MAX }
}

/// Heads and words of a ring of so many octets: as a block of 160 samples and a packet of G.711
/// need them.
const fn capacity(bytes: usize) -> (usize, usize) {
    (1 + bytes / 4 / size_of::<Head>(), (bytes - bytes / 4) / size_of::<i16>())
}

/// A ring of so many octets for all taps of one shard. Two seconds of 1,000 taps of 8 kHz are
/// 43 MB.
pub fn tap_ring(bytes: usize) -> (TapSink, TapReader) {
    let (near, mut near_source) = ring(near_bytes(bytes));
    let (far, far_source) = ring(bytes - near_bytes(bytes));
    let lost_end = Arc::new(AtomicU64::new(0));
    let mut sink =
        TapSink { near, far, is_far: false, open: 0, lost: 0, lost_end: lost_end.clone() };
    sink.near.touch(&mut near_source);
    let (samples, octets) = ([0; WORDS_MAX], [0; PACKET_BYTES_MAX]);
    let (near, far) = (near_source, far_source);
    (sink, TapReader { near, far, is_far: false, lost_end, samples, octets })
}

fn ring(bytes: usize) -> (RingSink, RingSource) {
    let (heads, words) = capacity(bytes);
    let ((head_sink, heads), (word_sink, words)) = (RingBuffer::new(heads), RingBuffer::new(words));
    (RingSink { heads: head_sink, words: word_sink }, RingSource { heads, words })
}

impl TapSink {
    /// What [`tap_ring`] reserves, but for the reader.
    pub const fn memory_bytes(bytes: usize) -> usize {
        let (near, far) = (capacity(near_bytes(bytes)), capacity(bytes - near_bytes(bytes)));
        (near.0 + far.0) * size_of::<Head>() + (near.1 + far.1) * size_of::<i16>()
    }

    /// Whether there is a place to be kept for the end of one more tap. Where not, nobody reads.
    pub fn can_start(&self) -> bool {
        self.far.has_heads(self.open + 1)
    }

    /// Keeps a place for the end of one more tap, where there is one.
    pub fn start(&mut self) {
        self.open += usize::from(self.can_start());
    }

    /// Taps that have begun and not ended.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Writes a record of a tap that has begun, or counts it as lost where there is no room.
    pub fn push(&mut self, item: &TapItem<'_>) {
        if self.is_far && self.near.is_empty() && self.can_start() {
            self.far.push_kind(item, Kind::Elsewhere);
            self.is_far = false;
        }
        // The near ring keeps a place for what says that it goes on in the far one.
        if !self.is_far && self.near.has_heads(2) && self.near.push(item) {
            return;
        }
        if self.can_start() && self.far.push(item) {
            self.go_far(item);
        } else {
            self.lost += 1;
            // Seen by who reads the next record that found room: the ring is in between.
            self.lost_end.store(item.period.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// Writes a tap's end. It always finds its place.
    pub fn end(&mut self, tap: TapId, period: PeriodIndex, at: Instant) {
        let item = TapItem { tap, period, at, content: TapContent::Ended };
        if self.is_far || !self.near.has_heads(2) {
            self.far.push_kind(&item, Kind::Ended);
            self.go_far(&item);
        } else {
            self.near.push_kind(&item, Kind::Ended);
        }
        self.open = self.open.saturating_sub(1);
    }

    /// Records lost because there was no room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The far ring is the one that is written, from the record on that was just put there.
    fn go_far(&mut self, item: &TapItem<'_>) {
        if !std::mem::replace(&mut self.is_far, true) {
            self.near.push_kind(item, Kind::Elsewhere);
        }
    }
}

impl RingSink {
    /// Whether so many more heads fit. What the reader has read meanwhile is only looked at where it
    /// matters.
    fn has_heads(&self, count: usize) -> bool {
        self.heads.cached_slots() >= count || self.heads.slots() >= count
    }

    /// Whether everything was read.
    fn is_empty(&self) -> bool {
        self.heads.slots() == self.heads.buffer().capacity()
    }

    /// Writes a record, for which there is a head, if there is room for its words.
    fn push(&mut self, item: &TapItem<'_>) -> bool {
        let is_written = match item.content {
            TapContent::Block { samples, .. } => self.words.push_entire_slice(samples).is_ok(),
            TapContent::Packet { octets, .. } => self.push_octets(octets),
            TapContent::Silence { .. } | TapContent::Ended => true,
        };
        if is_written {
            self.push_kind(item, kind(item.content));
        }
        is_written
    }

    fn push_octets(&mut self, octets: &[u8]) -> bool {
        let mut words = [0; PACKET_BYTES_MAX / 2];
        let Some(words) = words.get_mut(..octets.len().div_ceil(2)) else { return false };
        let (pairs, last) = octets.as_chunks::<2>();
        for (word, pair) in words.iter_mut().zip(pairs) {
            *word = i16::from_ne_bytes(*pair);
        }
        if let (Some(word), [last]) = (words.last_mut(), last) {
            *word = i16::from_ne_bytes([*last, 0]);
        }
        self.words.push_entire_slice(words).is_ok()
    }

    fn push_kind(&mut self, item: &TapItem<'_>, kind: Kind) {
        let &TapItem { tap, period, at, .. } = item;
        // It was seen to have room.
        let _ = self.heads.push(Head { tap, period, at, kind });
    }

    /// Writes all of its memory once, so that the kernel has it ready.
    fn touch(&mut self, source: &mut RingSource) {
        while self.words.push(0).is_ok() {}
        let (tap, period, at, kind) = (TapId(0), 0, Instant::START, Kind::Ended);
        while self.heads.push(Head { tap, period, at, kind }).is_ok() {}
        while source.words.pop().is_ok() {}
        while source.heads.pop().is_ok() {}
    }
}

fn kind(content: TapContent<'_>) -> Kind {
    match content {
        TapContent::Block { class, concealed, .. } => Kind::Block { class, concealed },
        TapContent::Silence { class, cause } => Kind::Silence { class, cause },
        TapContent::Packet { source, on_rtcp_port, octets } => {
            Kind::Packet { source, on_rtcp_port, octets: octets.len() as u16 }
        }
        TapContent::Ended => Kind::Ended,
    }
}

impl TapReader {
    /// Tells of which taps the next records are, and how many that are: all that are there, but a
    /// few dozen at most. For who keeps much of many taps, and looks for it before it is needed.
    pub fn look_ahead(&mut self, mut each: impl FnMut(TapId)) -> usize {
        loop {
            let heads = &mut if self.is_far { &mut self.far } else { &mut self.near }.heads;
            let count = heads.slots().min(AHEAD_MAX);
            let Ok(ahead) = heads.read_chunk(count) else { return 0 };
            let (first, second) = ahead.as_slices();
            let is_here = |head: &&Head| !matches!(head.kind, Kind::Elsewhere);
            let here = first.iter().chain(second).take_while(is_here);
            let known = here.inspect(|head| each(head.tap)).count();
            if known > 0 || count == 0 {
                return known;
            }
            ahead.commit(1);
            self.is_far = !self.is_far;
        }
    }

    /// Gives `take` the next record, if one is there, and what it makes of it. Sound is shown where
    /// it is in the ring: it is copied once, by whoever keeps it.
    pub fn read<R>(&mut self, take: impl FnOnce(&TapItem<'_>) -> R) -> Option<R> {
        let (ring, head) = loop {
            let ring = if self.is_far { &mut self.far } else { &mut self.near };
            let head = ring.heads.pop().ok()?;
            if !matches!(head.kind, Kind::Elsewhere) {
                break (ring, head);
            }
            self.is_far = !self.is_far;
        };
        let Head { tap, period, at, kind } = head;
        let item = |content| TapItem { tap, period, at, content };
        Some(match kind {
            Kind::Block { class, concealed } => {
                let words = ring.words.read_chunk(class.block_samples()).ok()?;
                let samples = in_a_row(words.as_slices(), &mut self.samples);
                let taken = take(&item(TapContent::Block { class, concealed, samples }));
                words.commit_all();
                taken
            }
            Kind::Packet { source, on_rtcp_port, octets } => {
                let octets = usize::from(octets);
                let words = &mut self.samples[..octets.div_ceil(2)];
                ring.words.pop_entire_slice(words).ok()?;
                for (pair, word) in self.octets.chunks_exact_mut(2).zip(words) {
                    pair.copy_from_slice(&word.to_ne_bytes());
                }
                let octets = &self.octets[..octets];
                take(&item(TapContent::Packet { source, on_rtcp_port, octets }))
            }
            Kind::Silence { class, cause } => take(&item(TapContent::Silence { class, cause })),
            Kind::Ended | Kind::Elsewhere => take(&item(TapContent::Ended)),
        })
    }

    /// The first period after the last record that found no room; 0 where all did. A hole in a tap's
    /// clock that begins at it or later is none of the ring: the shard left those periods out.
    pub fn lost_end(&self) -> PeriodIndex {
        self.lost_end.load(Ordering::Relaxed)
    }

    /// Whether nothing waits and nothing can come any more: the shard is gone.
    pub fn is_finished(&self) -> bool {
        self.near.heads.is_abandoned() && self.near.heads.is_empty() && self.far.heads.is_empty()
    }
}

/// Both parts as one: where the ring's end is between them, in `room`.
fn in_a_row<'a>((first, second): (&'a [i16], &[i16]), room: &'a mut [i16]) -> &'a [i16] {
    if second.is_empty() {
        return first;
    }
    let room = &mut room[..first.len() + second.len()];
    room[..first.len()].copy_from_slice(first);
    room[first.len()..].copy_from_slice(second);
    room
}
