//! What must be true: who hears whom, the law of RTP, and that nothing is left behind.

use std::fmt;
use std::time::Duration;

use crate::phone::Counts;
use crate::world::World;

/// Windows that a pair is judged by.
const WINDOWS: usize = 5;
/// Time in which a listener that is sent sound has certainly filled a window.
const WINDOW_TIME: Duration = Duration::from_millis(700);
/// What is enough to be heard, and what little is silence, as shares of the played amplitude.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Acuity {
    heard: f32,
    silent: f32,
}

impl Acuity {
    /// For networks that deliver everything: sound comes through unchanged, or not at all. A hundred
    /// talkers at once are beyond full scale: what the limiter does to their sum blurs the codes a little.
    pub const SHARP: Self = Self { heard: 0.8, silent: 0.1 };
    /// For networks that do not: each missing packet takes some of every talker, and spreads it.
    pub const BLURRED: Self = Self { heard: 0.35, silent: 0.25 };
}

/// What one phone hears of another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ear {
    /// Of the played amplitude: 1 is untouched.
    share: f32,
    /// From sending the packet with a sample to receiving the packet with that sample, where both
    /// are known.
    delay: Option<Duration>,
}

/// Who hears whom: one row for each listener.
#[derive(Debug, Clone)]
pub struct Matrix {
    ears: Vec<Vec<Ear>>,
}

impl Matrix {
    /// Lets every phone listen for several windows. Virtual time passes.
    pub fn measure(world: &mut World, amplitude: f32) -> Self {
        let phones = world.phones();
        let mut windows: Vec<Vec<Vec<Ear>>> = vec![vec![Vec::new(); phones]; phones];
        for _ in 0..WINDOWS {
            for listener in 0..phones {
                world.endpoint_mut(listener).phone.receiver.listen();
            }
            world.run(WINDOW_TIME);
            for (listener, row) in windows.iter_mut().enumerate() {
                listen(world, listener, amplitude, row);
            }
        }
        let ears = windows.into_iter().map(|row| row.into_iter().map(typical).collect());
        Self { ears: ears.collect() }
    }

    /// Checks every pair (listener, talker) against the plan.
    pub fn check(
        &self,
        acuity: Acuity,
        plan: impl Fn(usize, usize) -> bool,
    ) -> Result<(), Mismatches> {
        let mut wrong = Vec::new();
        for (listener, row) in self.ears.iter().enumerate() {
            for (talker, ear) in row.iter().enumerate() {
                let should = plan(listener, talker);
                let is_right =
                    if should { ear.share >= acuity.heard } else { ear.share <= acuity.silent };
                if !is_right {
                    wrong.push(Mismatch { listener, talker, should, share: ear.share });
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Mismatches(wrong)) }
    }

    /// All delays from mouth to ear that could be measured.
    pub fn delays(&self) -> impl Iterator<Item = Duration> + '_ {
        self.ears.iter().flatten().filter_map(|ear| ear.delay)
    }
}

/// Adds what `listener` heard in one window to its row; silence where no window was filled.
fn listen(world: &mut World, listener: usize, amplitude: f32, row: &mut [Vec<Ear>]) {
    let capture = world.endpoint_mut(listener).phone.receiver.take_heard();
    let Some(capture) = capture else {
        let silence = Ear { share: 0.0, delay: None };
        for ears in row {
            ears.push(silence);
        }
        return;
    };
    let spectrum = capture.spectrum();
    for (talker, ears) in row.iter_mut().enumerate() {
        let talker = world.endpoint(talker);
        let share = spectrum.amplitude(talker.code) / amplitude;
        // A splice within the window would blur the position.
        let clear = (0.9..1.1).contains(&share) && capture.is_whole();
        let delay = clear.then(|| {
            let (position, arrival) = capture.last_position(&spectrum, talker.code);
            let sent = talker.phone.sender.sent_at(position, arrival)?;
            Some(arrival.since(sent))
        });
        ears.push(Ear { share, delay: delay.flatten() });
    }
}

/// The ear in the middle, by loudness: one blurred window decides nothing.
fn typical(mut ears: Vec<Ear>) -> Ear {
    ears.sort_by(|a, b| a.share.total_cmp(&b.share));
    ears[ears.len() / 2]
}

/// A pair that is not as planned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mismatch {
    /// Who listens.
    pub listener: usize,
    /// Who talks.
    pub talker: usize,
    /// Whether it should be heard.
    pub should: bool,
    /// What was heard of it.
    pub share: f32,
}

/// All pairs that are not as planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatches(pub Vec<Mismatch>);

impl fmt::Display for Mismatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} pairs are not as planned:", self.0.len())?;
        for wrong in self.0.iter().take(20) {
            let should = if wrong.should { "should hear" } else { "should not hear" };
            let Mismatch { listener, talker, share, .. } = wrong;
            writeln!(f, "  {listener} {should} {talker}, hears {share:.2} of it")?;
        }
        Ok(())
    }
}

/// Whether a stream kept the law of RTP, whatever the network did to it.
pub fn is_lawful(counts: &Counts) -> bool {
    let breaches = [
        counts.timestamp_errors,
        counts.marker_errors,
        counts.payload_type_errors,
        counts.malformed,
        counts.ssrc_changes,
    ];
    breaches.iter().sum::<u32>() == 0
}

/// What the server still holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leftovers {
    /// The Call-IDs of calls that stand.
    pub calls: Vec<String>,
    /// Calls, also those that do not stand yet or any more.
    pub calls_in_all: usize,
    /// SIP transactions.
    pub transactions: usize,
    /// Slots taken: sessions and rooms.
    pub slots: (usize, usize),
    /// What the shards have open: sessions and rooms.
    pub open: (u32, u32),
}

impl Leftovers {
    /// Asks everybody. Virtual time passes.
    pub fn of(world: &mut World) -> Self {
        let reports = world.reports();
        let slots = world.slots_taken();
        world.front_end(|front_end, _, _| Self {
            calls: front_end.participants().map(|view| view.call_id).collect(),
            calls_in_all: front_end.calls(),
            transactions: front_end.transactions(),
            slots,
            open: reports.iter().fold((0, 0), |(s, r), one| (s + one.sessions, r + one.rooms)),
        })
    }
}
