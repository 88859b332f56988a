//! The shard: the seam between what runs sessions and rooms, and what drives it.

use std::mem::take;
use std::time::Duration;

use engine_control::{
    Event, FULL_PRESSURE, Limits, RoomKey, ShardLoad, ShardReport, Shedding, SpreadId, TapReader,
};
use media::Random;
use media_kernels::Kernels;
use media_units::{Discard, Instant, PERIOD, PHASES, PeriodIndex, RateClass, RoomSound, WallClock};
use mixer::{Mix, RoomState, Source};

use crate::bench::Bench;
use crate::clock::Clock;
use crate::flight::Rest;
use crate::groups::{Encoded, Groups};
use crate::load::Load;
use crate::moment::{Moment, Rules};
use crate::monitor::Monitors;
use crate::passage::Departures;
use crate::roster::Roster;
use crate::session::Session;
use crate::spread::{Exchange, Spread};
use crate::taps::{Taps, Watch};
use crate::tick::Run;
use crate::{Datagram, Output};

/// Most streams whose sound may be stretched in one tick.
const STRETCHES_PER_TICK: u32 = 50;

/// A tick that begins later than this is not caught up, nor are those that are due by then: what they
/// would send comes too late for most who listen, and to send it would make the next ones late.
const LATENESS_MAX: Duration = Duration::from_millis(60);

/// One shard's sessions and rooms.
///
/// A driver's round is: [`Shard::command`] for every command that waits, [`Shard::begin_tick`],
/// then for each group read the sockets of [`Shard::group`] into [`Shard::receive`] and
/// [`Shard::run_group`]; then sleep until [`Shard::next_tick`] (not at all where it has passed:
/// late ticks run one after the other, or are left out where they are too late). Who has no cache to
/// care for reads [`Shard::due`] and calls [`Shard::tick`].
#[derive(Debug)]
pub struct Shard {
    pub(crate) index: u8,
    pub(crate) room_members_max: u32,
    pub(crate) rules: Rules,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) totals: ShardReport,
    pub(crate) load: Load,
    pub(crate) taps: Taps,
    pub(crate) monitors: Monitors,
    pub(crate) roster: Roster,
    pub(crate) departures: Departures,
    pub(crate) rooms: Vec<Room>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) sources: Vec<Source>,
    pub(crate) idle: Vec<u8>,
    mix: Box<Mix>,
    pub(crate) spread: Spread,
    bench: Box<Bench>,
    encoded: Encoded,
    /// Groups of the tick in progress that were run.
    groups_run: usize,
    /// With which pull of each phase the stretches begin that are allowed.
    stretch_from: [u32; PHASES as usize],
    /// Periods that were left out since each phase had its turn, and before the tick in progress.
    left_out: [PeriodIndex; PHASES as usize],
    left_out_now: PeriodIndex,
}

/// A room's place in the slab, with its present or last tenant. Its members are in the roster.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) key: RoomKey,
    pub(crate) is_open: bool,
    pub(crate) sound: RoomSound,
    pub(crate) phase: u8,
    pub(crate) members: u32,
    pub(crate) watch: Watch,
    /// The rate at which its tap asked for it, if for any.
    pub(crate) tap_class: Option<RateClass>,
    pub(crate) state: RoomState,
    pub(crate) groups: Groups,
    /// Where its parts meet, if it is one of several.
    pub(crate) spread: Option<SpreadId>,
}

impl Room {
    fn vacant(shard: u8, slot: u32) -> Self {
        let key = RoomKey::new(shard, slot, 0);
        Self { is_open: false, ..Self::open(key, 0, RoomSound::DEFAULT, None) }
    }

    /// Whether its sound must be mixed, however few are in it: as it is to sound so, or as
    /// something is still being turned down.
    pub(crate) fn needs_mix(&self) -> bool {
        let RoomSound { comfort_noise, .. } = self.sound;
        comfort_noise || self.sound.conditions_sources() || !self.state.is_at_rest()
    }

    /// A new room, empty.
    pub(crate) fn open(
        key: RoomKey,
        phase: u8,
        sound: RoomSound,
        spread: Option<SpreadId>,
    ) -> Self {
        let state = RoomState::default();
        let groups = Groups::new();
        Self {
            key,
            is_open: true,
            phase,
            members: 0,
            watch: Watch::default(),
            tap_class: None,
            sound,
            state,
            groups,
            spread,
        }
    }
}

impl Shard {
    /// An empty shard. Everything it will ever need is reserved here.
    pub fn new(index: u8, limits: &Limits, kernels: Kernels, seed: u64) -> Self {
        Self {
            index,
            room_members_max: limits.room_members_max,
            rules: Rules::new(limits, kernels),
            clock: Clock::new(),
            random: Random::new(seed),
            totals: ShardReport { shard: index, ..ShardReport::default() },
            load: Load::new(limits.overload.clone()),
            taps: Taps::new(limits),
            monitors: Monitors::new(limits),
            roster: Roster::new(limits.sessions_max, limits.rooms_max),
            departures: Departures::new(),
            rooms: (0..limits.rooms_max).map(|slot| Room::vacant(index, slot)).collect(),
            sessions: (0..limits.sessions_max)
                .map(|slot| Session::vacant(index, slot, limits))
                .collect(),
            sources: vec![Source::new(); limits.sessions_max as usize],
            idle: vec![0; limits.sessions_max as usize],
            mix: Box::new(Mix::new(kernels, limits.room_members_max)),
            spread: Spread::none(index),
            bench: Box::new(Bench::new(kernels)),
            encoded: Encoded::new(),
            groups_run: 0,
            stretch_from: [0; PHASES as usize],
            left_out: [0; PHASES as usize],
            left_out_now: 0,
        }
    }

    /// What the wall clock shows at [`Instant::START`], for RTCP. To be told before the first tick:
    /// a shard is made before anyone knows when its time begins.
    pub fn set_wall(&mut self, wall: WallClock) {
        self.rules.wall = wall;
    }

    /// Where it meets the other shards, so that rooms may be spread over them
    /// ([`crate::exchange`]): to be told before the first tick. The limits are those that it was made with.
    pub fn meet(&mut self, exchange: Exchange) {
        let (index, kernels) = (self.index, self.rules.kernels);
        self.spread = Spread::new(index, exchange, self.room_members_max, kernels);
    }

    /// What is left of its past, where it is at rest: neither a session nor a room is open.
    pub fn rest(&self) -> Option<Rest> {
        let is_at_rest = self.totals.sessions == 0
            && self.totals.rooms == 0
            && self.stretch_from.iter().all(|&first| first == 0)
            && self.left_out.iter().all(|&periods| periods == 0)
            && self.load.lateness_alone().is_zero();
        let (tick, random) = (self.clock.tick(), self.random.state());
        is_at_rest.then(|| Rest { tick, random, load: self.load.words() })
    }

    /// Goes on where another shard of the same limits was at rest. To be told before anything
    /// else happens.
    pub fn resume(&mut self, rest: &Rest) {
        self.clock = Clock::at(rest.tick);
        self.random = Random::resume(rest.random);
        self.load.resume(rest.load);
        self.rules.shed_complexity(self.load().shedding >= Shedding::Complexity);
    }

    /// Where all that its taps carry is read. Given once.
    pub fn take_tap_reader(&mut self) -> Option<Box<TapReader>> {
        self.taps.take_reader()
    }

    /// What [`Shard::new`] reserves under these limits, for the printed memory plan.
    pub fn memory_bytes(limits: &Limits) -> usize {
        size_of::<Self>()
            + Taps::memory_bytes(limits)
            + Monitors::memory_bytes(limits)
            + Roster::memory_bytes(limits.sessions_max, limits.rooms_max)
            + Departures::memory_bytes()
            + limits.rooms_max as usize * size_of::<Room>()
            + limits.sessions_max as usize
                * (Session::memory_bytes(limits) + size_of::<Source>() + 1)
            + Mix::memory_bytes(limits.room_members_max)
            + Spread::memory_bytes(limits)
            + Bench::memory_bytes()
            + Encoded::memory_bytes()
    }

    /// The slots whose sockets are to be read before the coming tick, room by room.
    pub fn due(&self) -> &[u32] {
        self.roster.phase(self.clock.phase()).slots()
    }

    /// Stores one datagram. Never sends sound.
    #[inline]
    pub fn receive(&mut self, datagram: Datagram<'_>, output: &mut impl Output) {
        let Run { sessions, mut moment, .. } = self.run(datagram.arrival.latest(), output);
        match sessions.get_mut(datagram.slot as usize) {
            Some(session) if session.is_open => session.receive(&datagram, &mut moment),
            // It waited in the socket of a session that is closed by now.
            _ => moment.discard(Discard::Unroutable),
        }
    }

    /// Runs the due phase at once: playout, taps, mix, encode, packets, RTCP, timeouts. The same
    /// as its groups one after the other.
    pub fn tick(&mut self, now: Instant, output: &mut impl Output) {
        self.begin_tick(now);
        while self.run_group(now, output) {}
    }

    /// Begins the due tick, to be run group by group. From here to the last [`Shard::run_group`]
    /// there must be no [`Shard::command`].
    pub fn begin_tick(&mut self, now: Instant) {
        self.load.begin(self.clock.due(), now);
        self.totals.ticks += 1;
        let late = now.since(self.clock.due());
        self.totals.lateness.record(late);
        self.totals.lateness_alone.record(self.load.lateness_alone());
        if late > LATENESS_MAX {
            self.leave_out(late);
        }
        let phase = self.clock.phase();
        self.left_out_now = take(&mut self.left_out[phase as usize]);
        let stretches = self.load.stretches(now.since(self.clock.due())).min(STRETCHES_PER_TICK);
        self.bench.scratch.allow_stretches(stretches, self.stretch_from[phase as usize]);
        self.roster.phase_mut(phase).plan(&self.rooms);
        self.groups_run = 0;
    }

    /// Leaves out the periods that are over: everyone has a gap, and time is what it should be.
    fn leave_out(&mut self, late: Duration) {
        let periods = (late.as_nanos() / PERIOD.as_nanos()) as PeriodIndex;
        self.clock.leave_out(periods);
        self.left_out.iter_mut().for_each(|left_out| *left_out += periods);
        self.totals.periods_left_out += periods;
        self.load.leave_out(PERIOD * periods as u32);
    }

    /// Periods that were left out before the tick in progress since its sessions had their last turn:
    /// so many packets more wait for them.
    pub fn left_out(&self) -> PeriodIndex {
        self.left_out_now
    }

    /// The slots of the coming group, whose sockets are to be read before it runs. A group is
    /// whole rooms: small enough for the cache, unless a room is larger.
    pub fn group(&self) -> &[u32] {
        let phase = self.roster.phase(self.clock.phase());
        phase.groups().get(self.groups_run).map_or(&[], |&group| phase.slots_of(group))
    }

    /// Asks the memory for the sessions of these slots: to be called before the driver spends time
    /// in the kernel on them.
    pub fn prefetch(&self, slots: impl Iterator<Item = u32>) {
        for session in slots.filter_map(|slot| self.sessions.get(slot as usize)) {
            session.prefetch();
        }
    }

    /// Asks for where a session's next packet goes, a few packets ahead.
    pub fn prefetch_place(&self, slot: u32) {
        if let Some(session) = self.sessions.get(slot as usize) {
            session.playout.prefetch_place();
        }
    }

    /// Runs the coming group. False where there was none: the tick is over.
    pub fn run_group(&mut self, now: Instant, output: &mut impl Output) -> bool {
        let phase = self.clock.phase();
        if self.groups_run == 0 && self.spread.has_parts() {
            self.go_on_with_parts(now, output);
        }
        let Some(&group) = self.roster.phase(phase).groups().get(self.groups_run) else {
            self.stretch_from[phase as usize] = self.bench.scratch.next_stretch();
            self.let_go(now, output);
            self.clock.advance();
            return false;
        };
        self.run(now, output).group(phase, group);
        self.groups_run += 1;
        true
    }

    /// Goes on with the parts of spread rooms that have listened: first of all in a tick, so that
    /// what others wait for comes in time however much there is to do.
    fn go_on_with_parts(&mut self, now: Instant, output: &mut impl Output) {
        let tick = self.clock.tick();
        let mut from = 0;
        while let Some((spread, step)) = self.spread.due(tick, from) {
            self.run(now, output).go_on(spread, step);
            from = spread + 1;
        }
    }

    /// When [`Shard::tick`] is to be called next: absolute, never drifting.
    pub fn next_tick(&self) -> Instant {
        self.clock.due()
    }

    /// The driver's account of the time that the tick took which is over now: working, not waiting.
    /// Where that is too much, something is given up for it; where it is little again, taken back.
    pub fn worked(&mut self, busy: Duration, output: &mut impl Output) {
        self.totals.busy += busy;
        let before = self.load().shedding;
        if let Some(shedding) = self.load.end(busy) {
            self.rules.shed_complexity(shedding >= Shedding::Complexity);
            if shedding >= Shedding::Taps {
                self.end_all_taps(self.clock.due(), output);
            }
            let pressure_percent = self.load().pressure / (FULL_PRESSURE / 100);
            let shard = self.index;
            output.event(Event::Shedding { shard, before, shedding, pressure_percent });
        }
    }

    /// How much of its time it needs, and what it gives up for want of it.
    pub fn load(&self) -> ShardLoad {
        self.load.load(self.totals.sessions)
    }

    /// The driver's account of datagrams that the kernel refused to send.
    pub fn send_failed(&mut self, datagrams: u64) {
        self.totals.send_failures += datagrams;
    }

    /// Everything that is needed at this moment, side by side.
    pub(crate) fn run<'a, O: Output>(&'a mut self, now: Instant, output: &'a mut O) -> Run<'a, O> {
        Run {
            sessions: &mut self.sessions,
            sources: &mut self.sources,
            idle: &mut self.idle,
            rooms: &mut self.rooms,
            monitors: &mut self.monitors,
            roster: &self.roster,
            mix: &mut self.mix,
            spread: &mut self.spread,
            encoded: &mut self.encoded,
            moment: Moment {
                fills_pauses: false,
                now,
                period: self.clock.period(),
                left_out: self.left_out_now,
                rules: &self.rules,
                totals: &mut self.totals,
                taps: &mut self.taps,
                random: &mut self.random,
                bench: &mut self.bench,
                output,
            },
        }
    }
}
