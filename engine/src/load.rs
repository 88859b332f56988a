//! The measure of a shard's pressure, and the steps by which it gives up what it has no time for.

use std::time::Duration;

use engine_control::{FULL_PRESSURE, NEVER_PERCENT, OverloadRule, ShardLoad, Shedding};
use media_units::{Instant, PERIOD, PHASES, TICK};

/// The pressure is smoothed over so many periods: 160 ms.
const SMOOTHING: i64 = 8;

/// Periods after a step before the next, so that its effect is measured: 240 ms.
const STEP_PERIODS: u32 = 12;

/// What it takes to look for a place to stretch at, at 8 kHz.
const STRETCH: Duration = Duration::from_micros(10);

/// One tick's work counts for no more than this: a shard that has too much to do has it in every
/// tick, and one in which the host of a virtual machine stood still is no overload, however long.
const BUSY_MAX: Duration = TICK.saturating_mul(2);

/// A tick counts for no more than this, however late it begins.
const PRESSURE_MAX: u128 = NEVER_PERCENT as u128 * FULL_PRESSURE as u128 / 100;

/// What is known of the ticks so far.
#[derive(Debug)]
pub(crate) struct Load {
    rule: OverloadRule,
    /// How late the tick in progress began because those before took so long, as far as that counts.
    own_lateness: Duration,
    /// How late it could be for that.
    left_behind: Duration,
    /// How late it would be if nobody else ever had the core.
    lateness_alone: Duration,
    /// The most of the period so far, and how many of its ticks are over.
    most: u32,
    ticks: u64,
    pressure: u32,
    shedding: Shedding,
    /// Periods since the last step.
    settled: u32,
    /// Periods in a row in which it could have been taken back.
    calm: u32,
}

impl Load {
    /// Nothing was measured yet.
    pub(crate) fn new(rule: OverloadRule) -> Self {
        Self {
            rule,
            own_lateness: Duration::ZERO,
            left_behind: Duration::ZERO,
            lateness_alone: Duration::ZERO,
            most: 0,
            ticks: 0,
            pressure: 0,
            shedding: Shedding::Nothing,
            settled: STEP_PERIODS,
            calm: 0,
        }
    }

    /// All that it knows between two ticks, as words.
    pub(crate) fn words(&self) -> [u64; 3] {
        [
            u64::from(self.most) << 32 | u64::from(self.pressure),
            u64::from(self.settled) << 32 | u64::from(self.calm),
            (self.shedding as u64) << 8 | (self.ticks % PHASES),
        ]
    }

    /// Knows from now on what [`Load::words`] told.
    pub(crate) fn resume(&mut self, [pressures, periods, rest]: [u64; 3]) {
        (self.most, self.pressure) = ((pressures >> 32) as u32, pressures as u32);
        (self.settled, self.calm) = ((periods >> 32) as u32, periods as u32);
        let step = Shedding::ALL.get((rest >> 8) as usize).copied();
        self.shedding = step.unwrap_or_default();
        self.ticks = rest % PHASES;
    }

    /// A tick begins. Its lateness counts as far as the ticks before made it: that others had the core
    /// says nothing of what there is to do, nor do the ticks that are caught up after that.
    pub(crate) fn begin(&mut self, due: Instant, now: Instant) {
        self.own_lateness = now.since(due).min(self.left_behind);
    }

    /// Periods are left out, for which there was no time.
    pub(crate) fn leave_out(&mut self, time: Duration) {
        self.lateness_alone = self.lateness_alone.saturating_sub(time);
        self.left_behind = self.left_behind.saturating_sub(time);
    }

    /// How late the tick in progress would be if nobody else ever had the core: later than that it is
    /// because something else had.
    pub(crate) fn lateness_alone(&self) -> Duration {
        self.lateness_alone
    }

    /// It is over. Returns what the shard gives up from now on, where that has changed.
    pub(crate) fn end(&mut self, busy: Duration) -> Option<Shedding> {
        self.lateness_alone = (self.lateness_alone + busy).saturating_sub(TICK);
        let busy = busy.min(BUSY_MAX);
        self.left_behind = (self.left_behind + busy).saturating_sub(TICK);
        let taken = (self.own_lateness + busy).as_nanos() * u128::from(FULL_PRESSURE);
        self.most = self.most.max((taken / TICK.as_nanos()).min(PRESSURE_MAX) as u32);
        self.ticks += 1;
        if !self.ticks.is_multiple_of(PHASES) {
            return None;
        }
        let (most, smooth) = (i64::from(self.most), i64::from(self.pressure));
        self.pressure = (smooth + (most - smooth) / SMOOTHING) as u32;
        self.most = 0;
        self.step()
    }

    /// How many streams may be stretched in a tick that is so late: for a quarter of what it leaves
    /// free by all experience. After a stall all of them want it at once, and more would keep the
    /// shard late, so that they want it again.
    pub(crate) fn stretches(&self, late: Duration) -> u32 {
        let needed = TICK * self.pressure / FULL_PRESSURE;
        (TICK.saturating_sub(late + needed).as_nanos() / (4 * STRETCH.as_nanos())) as u32
    }

    /// How the shard is.
    pub(crate) fn load(&self, sessions: u32) -> ShardLoad {
        ShardLoad { pressure: self.pressure, sessions, shedding: self.shedding }
    }

    /// Counts a period and goes a step where it is time for that.
    fn step(&mut self) -> Option<Shedding> {
        let is_calm = self.pressure < self.rule.restoring(self.shedding);
        self.calm = if is_calm { self.calm + 1 } else { 0 };
        self.settled = self.settled.saturating_add(1);
        let next = transition(self)?;
        self.shedding = next;
        (self.settled, self.calm) = (0, 0);
        Some(next)
    }
}

/// The step that is due.
fn transition(load: &Load) -> Option<Shedding> {
    let calm_periods = load.rule.calm.as_nanos().div_ceil(PERIOD.as_nanos());
    let at = load.shedding as usize;
    let is_above = |step: &Shedding| load.pressure > load.rule.threshold(*step);
    let up = Shedding::ALL.get(at + 1).filter(|step| is_above(step));
    let down = at.checked_sub(1).and_then(|below| Shedding::ALL.get(below));
    match (up, down) {
        (Some(&up), _) if load.settled >= STEP_PERIODS => Some(up),
        (None, Some(&down)) if u128::from(load.calm) >= calm_periods => Some(down),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs ticks that take so long, each as soon as it can, for so long; the steps and when (in
    /// milliseconds) they were gone.
    struct Ticks {
        load: Load,
        due: Instant,
        now: Instant,
        steps: Vec<(u64, Shedding)>,
        /// Ticks later than 5 ms: so many were, and so many would have been with the core alone.
        late: [u32; 2],
    }

    impl Ticks {
        fn new() -> Self {
            let calm = Duration::from_secs(2);
            let rule = OverloadRule { taps_above: 110, calm, ..OverloadRule::default() };
            let due = Instant::START + TICK;
            Self { load: Load::new(rule), due, now: due, steps: Vec::new(), late: [0; 2] }
        }

        fn run(&mut self, busy: Duration, time: Duration) -> &mut Self {
            for _ in 0..time.as_nanos() / TICK.as_nanos() {
                self.now = self.now.max(self.due);
                self.load.begin(self.due, self.now);
                self.late[0] += u32::from(self.now.since(self.due) > TICK);
                self.late[1] += u32::from(self.load.lateness_alone() > TICK);
                self.due += TICK;
                self.now += busy;
                if let Some(step) = self.load.end(busy) {
                    self.steps.push((self.now.as_nanos() / 1_000_000, step));
                }
            }
            self
        }

        fn names(&self) -> Vec<Shedding> {
            self.steps.iter().map(|&(_, step)| step).collect()
        }
    }

    const S: Duration = Duration::from_secs(1);
    const US: Duration = Duration::from_micros(1);

    #[test]
    fn nothing_is_given_up_while_there_is_time() {
        let mut ticks = Ticks::new();
        assert!(ticks.run(3600 * US, 10 * S).steps.is_empty());
        let load = ticks.load.load(7);
        assert!((710_000..=720_000).contains(&load.pressure), "{load:?}");
        assert_eq!((load.sessions, load.shedding), (7, Shedding::Nothing));
    }

    #[test]
    fn what_is_given_up_depends_on_how_short_time_is() {
        use Shedding::{Complexity, Sessions, Taps};
        assert_eq!(Ticks::new().run(4000 * US, 10 * S).names(), [Sessions]);
        assert_eq!(Ticks::new().run(4500 * US, 10 * S).names(), [Sessions, Complexity]);
        let mut ticks = Ticks::new();
        ticks.run(6500 * US, 3 * S);
        assert_eq!(ticks.names(), [Sessions, Complexity, Taps]);
        assert!(ticks.steps[0].0 < 400, "{:?}", ticks.steps);
        for pair in ticks.steps.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= 240, "a step is felt before the next: {pair:?}");
        }
    }

    #[test]
    fn it_is_taken_back_in_the_reverse_order_after_a_calm() {
        use Shedding::{Complexity, Nothing, Sessions, Taps};
        let mut ticks = Ticks::new();
        ticks.run(6500 * US, 3 * S).steps.clear();
        ticks.run(2000 * US, 20 * S);
        assert_eq!(ticks.names(), [Complexity, Sessions, Nothing]);
        for pair in ticks.steps.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= 2000, "{pair:?}");
        }
        assert_eq!(Ticks::new().run(6500 * US, 3 * S).names().last(), Some(&Taps));
    }

    #[test]
    fn between_the_thresholds_nothing_changes() {
        let mut ticks = Ticks::new();
        ticks.run(4000 * US, S).steps.clear();
        assert!(ticks.run(3300 * US, 20 * S).steps.is_empty(), "hysteresis");
    }

    #[test]
    fn a_core_that_others_have_is_no_pressure() {
        let mut ticks = Ticks::new();
        for _ in 0..1000 {
            ticks.now = ticks.due + 20 * US * 1000;
            ticks.load.begin(ticks.due, ticks.now);
            ticks.due = ticks.now + TICK;
            assert_eq!(ticks.load.end(100 * US), None);
        }
        assert!(ticks.load.load(0).pressure <= 20_000);
    }

    #[test]
    fn ticks_that_are_caught_up_after_others_had_the_core_are_no_pressure() {
        let mut ticks = Ticks::new();
        for _ in 0..20 {
            ticks.now += 50_000 * US;
            ticks.run(100 * US, S);
        }
        assert!(ticks.steps.is_empty(), "{:?}", ticks.steps);
        assert!(ticks.load.load(0).pressure <= 20_000, "{:?}", ticks.load.load(0));
    }

    #[test]
    fn ticks_that_others_made_late_are_told_from_our_own() {
        let mut ticks = Ticks::new();
        ticks.run(4000 * US, S);
        ticks.now += 50_000 * US;
        ticks.run(4000 * US, S);
        assert!(ticks.late[0] > 30 && ticks.late[1] == 0, "{:?}", ticks.late);
        let [others, _] = ticks.late;
        ticks.run(6000 * US, S).run(1000 * US, S);
        assert!(ticks.late[1] > 200 && ticks.late[0] == others + ticks.late[1], "{:?}", ticks.late);
        ticks.run(25_000 * US, TICK);
        ticks.load.leave_out(PERIOD);
        assert!(ticks.load.lateness_alone().is_zero());
    }

    #[test]
    fn streams_are_stretched_in_a_quarter_of_the_time_that_is_left() {
        let mut ticks = Ticks::new();
        assert_eq!(ticks.load.stretches(Duration::ZERO), 125);
        ticks.run(3000 * US, 10 * S);
        assert!((49..=51).contains(&ticks.load.stretches(Duration::ZERO)));
        assert!((24..=26).contains(&ticks.load.stretches(1000 * US)));
        assert_eq!(ticks.load.stretches(2000 * US), 0, "no time is left");
        ticks.run(6000 * US, 10 * S);
        assert_eq!(ticks.load.stretches(Duration::ZERO), 0);
    }

    #[test]
    fn one_long_tick_gives_nothing_up() {
        for busy in [0, 1000, 2000] {
            for place in 0..PHASES as u32 {
                let mut ticks = Ticks::new();
                ticks.run(busy * US, S + place * TICK).run(35_000 * US, TICK);
                ticks.run(busy * US, 5 * S);
                assert!(ticks.steps.is_empty(), "{busy} us, {place}: {:?}", ticks.steps);
            }
        }
    }
}
