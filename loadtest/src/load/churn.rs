//! Callers that leave, come back, hold and resume while the others talk on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media_units::{Instant, PERIOD};
use serde::Serialize;
use sim::Seed;
use sim::caller::Hold;
use sim::phone::Receiver;

use super::{Load, PATIENCE};
use crate::Failure;
use crate::media::READING_PERIOD;
use crate::options::Options;
use crate::report::Signalling;

/// At most one call in so many is away at one time, and one in so many on hold.
const SHARE: usize = 20;
/// How often every stream is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What callers did, and what became of their streams.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Churned {
    pub(crate) signalling: Signalling,
    pub(crate) left: usize,
    pub(crate) came_back: usize,
    pub(crate) held: usize,
    pub(crate) resumed: usize,
    /// How often a stream was looked at, ten seconds each.
    pub(crate) looks: usize,
    /// Looks at a stream of which less than half of the packets had come.
    pub(crate) starved: usize,
    /// Breaches of the RTP law.
    pub(crate) unlawful: u64,
}

/// Holds the load for so long, in which so many callers a second do something, which is counted in `acts`.
pub(crate) fn run(
    options: &Options,
    per_second: f64,
    duration: Duration,
    acts: &AtomicU64,
) -> Result<Churned, Failure> {
    let mut load = Load::new(options, options.calls)?;
    let set_ups_per_second = load.dial_all()?;
    let mut churn = Churn::new(&load, per_second, acts);
    load.churn(&mut churn, duration)?;
    load.settle()?;
    load.hang_up_all()?;
    let (set_up, tear_down) = (load.calls.setup.quantiles(), load.calls.teardown.quantiles());
    let standing = load.media.phones.iter().map(|phone| phone.receiver.unlawful());
    let unlawful = churn.done.unlawful + standing.sum::<u64>();
    let signalling = Signalling { set_up, tear_down, set_ups_per_second, ..load.signalling };
    Ok(Churned { signalling, unlawful, ..churn.done })
}

/// Who is where, and what was done.
struct Churn<'a> {
    acts: &'a AtomicU64,
    seed: Seed,
    per_second: f64,
    away: Vec<usize>,
    held: Vec<usize>,
    /// Since when each stream was watched, and its packets then.
    watched: Vec<Option<(Instant, u32)>>,
    done: Churned,
}

impl<'a> Churn<'a> {
    fn new(load: &Load<'_>, per_second: f64, acts: &'a AtomicU64) -> Self {
        Self {
            acts,
            seed: Seed::new(load.options.seed).fork(0x0063_6875_726e),
            per_second,
            away: Vec::new(),
            held: Vec::new(),
            watched: vec![None; load.seats.calls()],
            done: Churned::default(),
        }
    }

    /// Counts an act.
    fn did(&mut self, what: fn(&mut Churned) -> &mut usize) {
        *what(&mut self.done) += 1;
        self.acts.fetch_add(1, Ordering::Relaxed);
    }

    /// One of these by chance.
    fn one_of(&mut self, calls: &[usize]) -> Option<usize> {
        let index = self.seed.below(calls.len().max(1) as u64) as usize;
        calls.get(index).copied()
    }

    fn has_room(&self, calls: &[usize]) -> bool {
        calls.len() < self.watched.len().div_ceil(SHARE)
    }
}

impl Load<'_> {
    fn churn(&mut self, churn: &mut Churn<'_>, duration: Duration) -> Result<(), Failure> {
        let begin = self.clock.now();
        let (end, mut look_at) = (begin + duration, begin);
        let mut tried = 0;
        while self.clock.now() < end {
            self.work()?;
            let now = self.clock.now();
            let due = (now.since(begin).as_secs_f64() * churn.per_second) as u64;
            while tried < due {
                self.act(churn, now)?;
                tried += 1;
            }
            if now >= look_at {
                self.look(churn, now);
                look_at = now + LOOK_EVERY;
            }
        }
        Ok(())
    }

    /// Something that one caller does. Nothing where it cannot be done now.
    fn act(&mut self, churn: &mut Churn<'_>, now: Instant) -> Result<(), Failure> {
        match churn.seed.below(4) {
            0 => self.leave(churn, now),
            1 => self.come_back(churn, now)?,
            2 => self.hold(churn, now),
            _ => self.resume(churn, now),
        }
        Ok(())
    }

    fn leave(&mut self, churn: &mut Churn<'_>, now: Instant) {
        let call = churn.seed.below(self.seats.calls() as u64) as usize;
        if !churn.has_room(&churn.away) || !self.calls.is_talking(call) {
            return;
        }
        churn.watched[call] = None;
        churn.held.retain(|held| *held != call);
        churn.away.push(call);
        churn.did(|done| &mut done.left);
        self.media.disconnect(call);
        let mut events = Vec::new();
        self.calls.hang_up(call, now, &mut |c, e| events.push((c, e)));
        self.take(events);
    }

    fn come_back(&mut self, churn: &mut Churn<'_>, now: Instant) -> Result<(), Failure> {
        // Whom the server hung up comes back, too: that it did is counted, and the load is as before.
        let away: Vec<usize> = (0..self.seats.calls()).filter(|c| self.calls.is_over(*c)).collect();
        let Some(call) = churn.one_of(&away) else { return Ok(()) };
        churn.held.retain(|held| *held != call);
        churn.away.retain(|away| *away != call);
        churn.did(|done| &mut done.came_back);
        // The server may give it a port whose last packets, of the call before, still wait here.
        for slot in 0..READING_PERIOD as u64 {
            self.hear(slot);
        }
        let receiver = Receiver::new(self.options.codec);
        let before = std::mem::replace(&mut self.media.phones[call].receiver, receiver);
        churn.done.unlawful += before.unlawful();
        self.calls.renew(call);
        let settings = self.settings(call)?;
        let mut events = Vec::new();
        self.calls.dial(call, settings, now, &mut |c, e| events.push((c, e)));
        self.take(events);
        Ok(())
    }

    fn hold(&mut self, churn: &mut Churn<'_>, now: Instant) {
        let call = churn.seed.below(self.seats.calls() as u64) as usize;
        let ways = [Hold::SendOnly, Hold::Inactive, Hold::Unspecified];
        let way = ways[churn.seed.below(ways.len() as u64) as usize];
        let may = churn.has_room(&churn.held) && !churn.held.contains(&call);
        if may && self.renegotiate(call, way, now) {
            churn.watched[call] = None;
            churn.held.push(call);
            churn.did(|done| &mut done.held);
        }
    }

    fn resume(&mut self, churn: &mut Churn<'_>, now: Instant) {
        let held = churn.held.clone();
        let Some(call) = churn.one_of(&held) else { return };
        if self.renegotiate(call, Hold::Active, now) {
            churn.held.retain(|held| *held != call);
            churn.did(|done| &mut done.resumed);
        }
    }

    fn renegotiate(&mut self, call: usize, hold: Hold, now: Instant) -> bool {
        let mut events = Vec::new();
        let is_asked = self.calls.renegotiate(call, hold, now, &mut |c, e| events.push((c, e)));
        self.take(events);
        is_asked
    }

    /// Looks at what came of every stream since the last look.
    fn look(&mut self, churn: &mut Churn<'_>, now: Instant) {
        for call in 0..self.seats.calls() {
            let packets = self.media.phones[call].receiver.counts().packets;
            if let Some((since, before)) = churn.watched[call] {
                let expected = (now.since(since).as_nanos() / PERIOD.as_nanos()) as u32;
                churn.done.looks += 1;
                churn.done.starved += usize::from(packets.wrapping_sub(before) < expected / 2);
            }
            let is_heard = self.calls.is_talking(call) && !churn.held.contains(&call);
            churn.watched[call] = is_heard.then_some((now, packets));
        }
    }

    /// Waits until no call is in between.
    fn settle(&mut self) -> Result<(), Failure> {
        let give_up = self.clock.now() + PATIENCE;
        let is_settled = |call: usize, calls: &crate::calls::Calls| {
            calls.is_talking(call) || calls.is_over(call)
        };
        let all = 0..self.seats.calls();
        while self.clock.now() < give_up && !all.clone().all(|c| is_settled(c, &self.calls)) {
            self.work()?;
        }
        Ok(())
    }
}
