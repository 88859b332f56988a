//! For tests: a shard's taps, the collector and the keeper in one thread and in virtual time.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine_control::{
    PACKET_BYTES_MAX, SilenceCause, TapContent, TapId, TapItem, TapReader, TapSink, tap_ring,
};
use media_units::{Instant, PERIOD, RateClass, WallClock};
use recorder::GapCause;
use recorder::Metadata;
use recorder::account::{About, Layout, Note, Participant, TrackKind};
use recorder::container::Format;

use crate::collector::{Ask, Collector};
use crate::keeper::Keeper;
use crate::repair::next_segment;
use crate::report::{Event, RecordingId, Reporter, Status};
use crate::testing::Memory;
use crate::writer::{RecordingStart, TrackStart, WriterConfig};

/// When the tests' engine started: 2025-01-01.
pub(crate) const STARTED: u64 = 1_735_689_600_000_000_000;

/// Periods between two flushes.
pub(crate) const FLUSH_PERIODS: u64 = 25;

/// The recorder without its threads.
pub(crate) struct Rig {
    pub(crate) memory: Memory,
    config: WriterConfig,
    collector: Collector,
    pub(crate) keeper: Keeper<Memory>,
    sink: TapSink,
    /// Another shard, which may be behind.
    pub(crate) other: TapSink,
    readers: Vec<TapReader>,
    events: Receiver<Event>,
    pub(crate) period: u64,
    /// Until then the disk does not answer.
    pub(crate) stalled_until: u64,
    /// Whether more waits whenever the keeper has told the journal.
    pub(crate) is_keeper_late: bool,
    /// Whether the collector's thread stands still: nobody reads the ring.
    pub(crate) is_held: bool,
    /// How many of the latest batches the keeper does not have yet when it turns.
    pub(crate) held_back: usize,
    waiting: std::collections::VecDeque<crate::collector::Batch>,
    last: u64,
    /// The folder of its recordings.
    pub(crate) day: &'static str,
}

/// What a tap carries in a period.
pub(crate) enum Said<'a> {
    Sound(RateClass, &'a [i16]),
    Concealed(&'a [i16]),
    Silence(SilenceCause),
    SilenceOf(RateClass),
    Packet(&'a [u8]),
}

fn keeper_on(config: &WriterConfig, memory: &Memory) -> (Keeper<Memory>, Receiver<Event>) {
    let (sender, events) = sync_channel(10_000);
    let reporter = Reporter::new(Arc::new(Mutex::new(Status::default())), sender, Arc::default());
    // Where it cannot be told, as it was when the folder was prepared.
    let first = next_segment(memory).unwrap_or(9);
    (Keeper::new(config, memory.clone(), first, reporter), events)
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::on(Memory::default(), |_| {})
    }

    pub(crate) fn on(memory: Memory, change: impl FnOnce(&mut WriterConfig)) -> Self {
        let mut config = WriterConfig::new("".into());
        config.wall = WallClock { start_unix_nanos: STARTED };
        config.segment_bytes = 1 << 16;
        change(&mut config);
        let (keeper, events) = keeper_on(&config, &memory);
        let (sink, reader) = tap_ring(8 << 20);
        let (other, other_reader) = tap_ring(8 << 20);
        Self {
            memory,
            config,
            collector: Collector::default(),
            keeper,
            sink,
            other,
            readers: vec![reader, other_reader],
            events,
            period: 1000,
            stalled_until: 0,
            is_keeper_late: false,
            is_held: false,
            held_back: 0,
            waiting: std::collections::VecDeque::new(),
            last: 0,
            day: "day",
        }
    }

    fn now(&self) -> Duration {
        PERIOD * self.period as u32
    }

    fn at(&self) -> Instant {
        Instant::START + self.now()
    }

    fn ask(&mut self, ask: Ask) {
        self.collector.ask(ask, self.now());
    }

    pub(crate) fn begin(&mut self, layout: Layout, format: Format) -> RecordingId {
        self.begin_at(layout, format, None)
    }

    pub(crate) fn begin_at(
        &mut self,
        layout: Layout,
        format: Format,
        rate: Option<RateClass>,
    ) -> RecordingId {
        self.last += 1;
        let id = RecordingId(self.last);
        let about = About { subject: "test".into(), ..About::default() };
        let name = format!("{}/r{}", self.day, self.last);
        let start = RecordingStart { name, layout, format, rate, ends_with_tracks: false, about };
        self.ask(Ask::Begin(id, Box::new(start)));
        id
    }

    pub(crate) fn track(&mut self, recording: RecordingId, tap: u32) {
        self.track_of(recording, tap, TrackKind::Received);
    }

    pub(crate) fn track_of(&mut self, recording: RecordingId, tap: u32, kind: TrackKind) {
        self.track_as(recording, tap, kind, &format!("t{tap}"));
    }

    pub(crate) fn track_as(
        &mut self,
        recording: RecordingId,
        tap: u32,
        kind: TrackKind,
        label: &str,
    ) {
        let id = format!("p{tap}");
        let participant =
            Some(Participant { uri: format!("sip:{id}@x"), id: id.clone(), display_name: None });
        let local = Some(SocketAddr::from(([127, 0, 0, 1], 16_384)));
        let (tap, label, channel) = (TapId(tap), label.to_owned(), None);
        let start = TrackStart { tap, kind, label, participant, channel, local };
        self.sink.start();
        self.ask(Ask::Track(recording, Box::new(start), self.at()));
    }

    pub(crate) fn end_track(&mut self, recording: RecordingId, tap: u32) {
        self.ask(Ask::EndTrack(recording, TapId(tap), self.at()));
    }

    pub(crate) fn tell(&mut self, recording: RecordingId, note: Note) {
        self.ask(Ask::Tell(recording, self.at(), note));
    }

    pub(crate) fn end(&mut self, recording: RecordingId) {
        self.ask(Ask::End(recording));
    }

    pub(crate) fn forget(&mut self, recording: RecordingId) {
        self.ask(Ask::Forget(recording));
    }

    pub(crate) fn end_tap(&mut self, tap: u32) {
        self.sink.end(TapId(tap), self.period, self.at());
    }

    /// A period in which a tap carries something.
    pub(crate) fn say(&mut self, tap: u32, said: &Said<'_>) {
        let source = SocketAddr::from(([127, 0, 0, 1], 5004));
        let content = match *said {
            Said::Sound(class, samples) => TapContent::Block { class, concealed: false, samples },
            Said::Concealed(samples) => {
                TapContent::Block { class: RateClass::Narrow, concealed: true, samples }
            }
            Said::Silence(cause) => TapContent::Silence { class: RateClass::Narrow, cause },
            Said::SilenceOf(class) => {
                TapContent::Silence { class, cause: SilenceCause::NothingReceived }
            }
            Said::Packet(octets) => TapContent::Packet { source, on_rtcp_port: false, octets },
        };
        self.sink.push(&TapItem { tap: TapId(tap), period: self.period, at: self.at(), content });
    }

    /// What a tap of the other shard carried in a period comes now.
    pub(crate) fn say_late(&mut self, tap: u32, period: u64) {
        let samples = &block_of(tap, period);
        let content = TapContent::Block { class: RateClass::Narrow, concealed: false, samples };
        let at = Instant::START + PERIOD * period as u32;
        self.other.push(&TapItem { tap: TapId(tap), period, at, content });
    }

    /// Time passes by one period: flushes where that is due.
    pub(crate) fn pass(&mut self) {
        self.period += 1;
        if self.is_held {
            return;
        }
        if self.period.is_multiple_of(2) {
            let now = self.now();
            self.collector.drain(&mut self.readers, now, || None);
        }
        if self.period.is_multiple_of(FLUSH_PERIODS) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let now = self.now();
        let queued: usize = self.waiting.iter().map(|batch| batch.bytes).sum();
        let room = self.config.queue_bytes_max.saturating_sub(queued);
        let status = self.keeper.reporter.status;
        self.waiting.extend(self.collector.hand_over(room, &status, now));
        if self.period < self.stalled_until {
            return;
        }
        let is_awaited = self.is_keeper_late;
        self.keeper.turn(Vec::new(), now, &|| is_awaited);
        let count = self.waiting.len().saturating_sub(self.held_back);
        if self.keeper.is_ready() && count > 0 {
            self.keeper.turn(self.waiting.drain(..count).collect(), now, &|| is_awaited);
        }
        self.collector.spare.append(std::mem::take(&mut self.keeper.spare));
    }

    /// A period of which the ring takes nothing, as it is full.
    pub(crate) fn overrun(&mut self) {
        let lost = self.sink.lost();
        while self.sink.lost() == lost {
            self.say(u32::MAX, &Said::Packet(&[0; PACKET_BYTES_MAX]));
        }
        self.pass();
        let now = self.now();
        self.collector.drain(&mut self.readers, now, || None);
    }

    /// So many periods in which each of these taps carries blocks of its own number.
    pub(crate) fn speak(&mut self, taps: &[u32], periods: u64) {
        for _ in 0..periods {
            for &tap in taps {
                self.say(tap, &Said::Sound(RateClass::Narrow, &block_of(tap, self.period)));
            }
            self.pass();
        }
    }

    /// Ends a recording and its taps, and lets time pass until that is on the disk.
    pub(crate) fn finish(&mut self, recording: RecordingId, taps: &[u32]) {
        for &tap in taps {
            self.end_tap(tap);
        }
        self.end(recording);
        for _ in 0..3 * FLUSH_PERIODS {
            self.pass();
        }
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }

    /// Of whom the collector has told that the disk does not take it, and why.
    pub(crate) fn late(&mut self) -> Vec<(RecordingId, ErrorKind)> {
        std::mem::take(&mut self.collector.late)
    }

    pub(crate) fn unwritten(&self) -> u64 {
        self.collector.counted.unwritten
    }

    pub(crate) fn misplaced(&self) -> u64 {
        self.collector.counted.misplaced
    }
}

/// A block that tells whose it is and when it was.
pub(crate) fn block_of(tap: u32, period: u64) -> [i16; 160] {
    std::array::from_fn(|i| (tap * 1000 + (period % 100) as u32 * 7 + i as u32 % 7 + 1) as i16)
}

/// A recorder that starts on what is left: repairs.
pub(crate) fn restart(memory: &Memory) -> Vec<Event> {
    let config = WriterConfig::new("".into());
    let (_keeper, events) = keeper_on(&config, memory);
    events.try_iter().collect()
}

/// The samples of all audio channels of a WAV file, read by another's reader.
pub(crate) fn samples_of(memory: &Memory, name: &str) -> (hound::WavSpec, Vec<i16>) {
    let bytes = memory.bytes(name).unwrap_or_else(|| panic!("{name} in {:?}", memory.visible()));
    let mut reader = hound::WavReader::new(bytes.as_slice()).unwrap();
    (reader.spec(), reader.samples().map(Result::unwrap).collect())
}

pub(crate) fn metadata_of(memory: &Memory, stem: &str) -> Metadata {
    let name = format!("{stem}.json");
    let json = memory.bytes(&name).unwrap_or_else(|| panic!("{name} in {:?}", memory.visible()));
    Metadata::from_json(&json).unwrap()
}

/// What a tap has said in these periods.
pub(crate) fn said(tap: u32, periods: std::ops::Range<u64>) -> Vec<i16> {
    periods.flat_map(|period| block_of(tap, period)).collect()
}

/// The gaps of a track in periods: start, length, cause.
pub(crate) fn gaps_of(memory: &Memory, stem: &str, track: usize) -> Vec<(u64, u64, GapCause)> {
    let gaps = metadata_of(memory, stem).tracks[track].gaps.clone();
    gaps.iter().map(|gap| (gap.start_sample / 160, gap.samples / 160, gap.cause)).collect()
}
