//! Monitors: sessions that are sent what a point of their shard carries.
//!
//! A monitor is sent something when that point has its turn, whatever its own phase is; its own
//! turn receives and looks at the time only. So what it is sent is as old as what a tap gets.

use engine_control::{Limits, TapContent};
use media::resample::History;
use media_units::{BLOCK_SAMPLES, BLOCK_SAMPLES_MAX, PeriodIndex, RateClass};
use mixer::{Format, encode};

use crate::Output;
use crate::moment::Moment;
use crate::sender::Packets;
use crate::session::Session;
use crate::taps::Watch;

static SILENCE: [i16; BLOCK_SAMPLES_MAX] = [0; BLOCK_SAMPLES_MAX];

/// A monitor's place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MonitorIndex(u32);

/// One session that monitors a point.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// Which session.
    pub(crate) slot: u32,
    /// The next monitor of the same point.
    pub(crate) next: Option<MonitorIndex>,
    /// The first period in which it was sent nothing yet.
    pub(crate) next_sending: PeriodIndex,
    /// What it was sent last, where that is brought to another rate for plain G.711.
    heard: History,
}

/// All monitors of a shard.
#[derive(Debug)]
pub(crate) struct Monitors {
    places: Vec<Monitor>,
    free: Vec<u32>,
}

impl Monitors {
    /// Memory for as many as the limits allow.
    pub(crate) fn new(limits: &Limits) -> Self {
        let vacant = |_| Monitor { slot: 0, next: None, next_sending: 0, heard: History::SILENT };
        Self {
            places: (0..limits.monitors_max).map(vacant).collect(),
            free: (0..limits.monitors_max).rev().collect(),
        }
    }

    /// What [`Monitors::new`] reserves.
    pub(crate) const fn memory_bytes(limits: &Limits) -> usize {
        limits.monitors_max as usize * (size_of::<Monitor>() + size_of::<u32>())
    }

    /// Whether there is a place for one more.
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Lets a session monitor a point, if there is a place.
    pub(crate) fn begin(&mut self, slot: u32, next_sending: PeriodIndex, watch: &mut Watch) {
        let Some(place) = self.free.pop() else { return };
        let next = watch.monitor;
        self.places[place as usize] = Monitor { slot, next, next_sending, heard: History::SILENT };
        watch.monitor = Some(MonitorIndex(place));
    }

    /// Lets a session monitor a point no more. Returns the first period in which it was sent
    /// nothing yet.
    pub(crate) fn end(&mut self, slot: u32, watch: &mut Watch) -> Option<PeriodIndex> {
        let mut before: Option<MonitorIndex> = None;
        let mut at = watch.monitor;
        while let Some(index) = at {
            let Monitor { next, next_sending, slot: of, .. } = *self.get(index);
            if of == slot {
                match before {
                    None => watch.monitor = next,
                    Some(before) => self.places[before.0 as usize].next = next,
                }
                self.free.push(index.0);
                return Some(next_sending);
            }
            (before, at) = (at, next);
        }
        None
    }

    /// One of them.
    pub(crate) fn get(&mut self, index: MonitorIndex) -> &mut Monitor {
        &mut self.places[index.0 as usize]
    }
}

/// What is needed to give what a point carries to those who listen there.
pub(crate) struct Ears<'a> {
    pub(crate) sessions: &'a mut [Session],
    pub(crate) monitors: &'a mut Monitors,
    pub(crate) packets: &'a mut Packets,
}

impl Ears<'_> {
    /// Gives what a session was sent in its turn to those who listen to that. No sound is silence.
    pub(crate) fn give_sent<O: Output>(
        &mut self,
        slot: u32,
        class: RateClass,
        sound: Option<&[i16]>,
        moment: &mut Moment<'_, O>,
    ) {
        let session = &self.sessions[slot as usize];
        if let Some(carried) = session.was_sent(sound.is_none(), moment.period) {
            self.give(session.sent, carried.with(class, sound.unwrap_or(&[])), moment);
        }
    }

    /// Gives it to a point's tap and its monitors.
    pub(crate) fn give<O: Output>(
        &mut self,
        watch: Watch,
        content: TapContent<'_>,
        moment: &mut Moment<'_, O>,
    ) {
        if let Some(tap) = watch.tap {
            moment.taps.push(tap, moment.period, moment.now, content);
        }
        let mut at = watch.monitor;
        while let Some(index) = at {
            let monitor = self.monitors.get(index);
            at = monitor.next;
            let session = &mut self.sessions[monitor.slot as usize];
            if moment.period < monitor.next_sending || !session.is_open {
                continue;
            }
            if moment.period > monitor.next_sending {
                session.send.pause();
            }
            monitor.next_sending = moment.period + 1;
            if let Some(tap) = session.sent.tap {
                moment.taps.push(tap, moment.period, moment.now, content);
            }
            let (class, samples) = match content {
                TapContent::Block { class, samples, .. } => (class, samples),
                TapContent::Silence { class, .. } => (class, &SILENCE[..class.block_samples()]),
                TapContent::Packet { .. } | TapContent::Ended => continue,
            };
            session.repeat(class, samples, &mut monitor.heard, self.packets, moment);
        }
    }
}

impl Session {
    /// Sends a block of any rate class, outside of its own turn.
    fn repeat<O: Output>(
        &mut self,
        class: RateClass,
        samples: &[i16],
        heard: &mut History,
        packets: &mut Packets,
        moment: &mut Moment<'_, O>,
    ) {
        self.rests = false;
        let Format::Plain(law) = self.format() else {
            return self.send_alone(samples, packets, moment);
        };
        let (mut narrow, mut frame) = ([0; BLOCK_SAMPLES], [0; BLOCK_SAMPLES]);
        let (from, to) = (class.hertz(), RateClass::Narrow.hertz());
        moment.bench.resampler.resample(heard, from, samples, to, &mut narrow);
        heard.keep(samples);
        encode(moment.rules.kernels, law, &narrow, &mut frame);
        self.send_plain(Some(&frame), moment);
    }
}
