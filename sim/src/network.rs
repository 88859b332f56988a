//! What a network does to datagrams: delay, jitter, loss in bursts, duplication, reordering, a
//! narrow pipe. One [`Link`] is one direction of one path; all its dice come from one seed.
//! [`profile`] names the networks that people have.

pub mod profile;

use std::time::Duration;

use media_units::Instant;

use crate::Seed;

/// How a link treats datagrams. The default is a perfect wire.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkModel {
    /// Time on the way, at least.
    pub latency: Duration,
    /// Additional time, evenly distributed from none to this.
    pub jitter: Duration,
    /// Whether jitter may let a later datagram overtake an earlier one.
    pub overtaking: bool,
    /// Which datagrams never arrive.
    pub loss: Loss,
    /// How likely a datagram arrives twice.
    pub duplication: f64,
    /// How likely a datagram is held back by `reordering_delay`, so that others overtake it.
    pub reordering: f64,
    /// How long a reordered datagram is held back.
    pub reordering_delay: Duration,
    /// Octets per second, and the longest queue before the tail is dropped.
    pub rate: Option<Rate>,
    /// Moments in which nothing passes, and after which all that waited passes at once.
    pub hold: Option<Hold>,
    /// Additional time that wanders.
    pub swing: Option<Swing>,
}

/// Which datagrams never arrive.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Loss {
    /// None is lost.
    #[default]
    None,
    /// Each with the same probability.
    Uniform(f64),
    /// The Gilbert-Elliott model: a good and a bad state, each with its own loss.
    Bursts {
        /// Probability to turn bad, per datagram.
        to_bad: f64,
        /// Probability to recover, per datagram.
        to_good: f64,
        /// Loss while bad. (While good nothing is lost.)
        loss_bad: f64,
    },
    /// A hole: everything is lost.
    Everything,
}

/// A pipe's width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Octets per second.
    pub octets_per_second: u64,
    /// Datagrams that would wait longer than this are dropped.
    pub queue: Duration,
}

/// A link that holds everything back now and then, as radio does: burst, hold, release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Mean time from one hold's end to the next one's beginning.
    pub every: Duration,
    /// The shortest hold.
    pub shortest: Duration,
    /// The longest hold.
    pub longest: Duration,
    /// Time between two datagrams that are let go together.
    pub spacing: Duration,
}

/// Latency that glides from one level to another, as where a scheduler shares a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swing {
    /// The highest level; the lowest is none.
    pub highest: Duration,
    /// How long it takes from one level to the next.
    pub every: Duration,
}

/// One direction of one path.
#[derive(Debug, Clone)]
pub struct Link {
    model: LinkModel,
    seed: Seed,
    /// Dice of their own, so that neither holds nor swings shift another model's draws.
    hold_seed: Seed,
    swing_seed: Seed,
    /// The hold in progress, or the next one.
    held: [Instant; 2],
    /// When the present glide ends, and its levels.
    swing_until: Instant,
    swing_levels: [Duration; 2],
    bad: bool,
    /// When the pipe is free again.
    free_at: Instant,
    /// Arrival of the last datagram that kept its place.
    last_arrival: Instant,
    /// Datagrams that never arrived.
    pub lost: u64,
}

/// When a datagram arrives: not at all, once or twice.
pub type Arrivals = [Option<Instant>; 2];

impl Link {
    /// A link that behaves like `model`.
    pub fn new(model: LinkModel, seed: Seed) -> Self {
        let start = Instant::START;
        Self {
            model,
            hold_seed: seed.fork(1),
            swing_seed: seed.fork(2),
            held: [start; 2],
            swing_until: start,
            swing_levels: [Duration::ZERO; 2],
            seed,
            bad: false,
            free_at: start,
            last_arrival: start,
            lost: 0,
        }
    }

    /// Behaves differently from now on: a fault begins, or the network heals.
    pub fn set_model(&mut self, model: LinkModel) {
        self.model = model;
    }

    /// Sends a datagram of so many octets into the link.
    pub fn carry(&mut self, now: Instant, octets: usize) -> Arrivals {
        let Some(departure) = self.departure(now, octets).filter(|_| !self.loses()) else {
            self.lost += 1;
            return [None, None];
        };
        let first = self.arrival(departure);
        let again = self.seed.chance(self.model.duplication).then(|| self.arrival(departure));
        [Some(first), again]
    }

    /// When the pipe has let the datagram through; `None` where its queue is full.
    fn departure(&mut self, now: Instant, octets: usize) -> Option<Instant> {
        let Some(rate) = self.model.rate else { return Some(now) };
        let begin = now.max(self.free_at);
        if begin.since(now) > rate.queue {
            return None;
        }
        let nanos = octets as u64 * 1_000_000_000 / rate.octets_per_second.max(1);
        self.free_at = begin + Duration::from_nanos(nanos);
        Some(self.free_at)
    }

    fn loses(&mut self) -> bool {
        match self.model.loss {
            Loss::None => false,
            Loss::Everything => true,
            Loss::Uniform(probability) => self.seed.chance(probability),
            Loss::Bursts { to_bad, to_good, loss_bad } => {
                let turns = self.seed.chance(if self.bad { to_good } else { to_bad });
                self.bad ^= turns;
                self.bad && self.seed.chance(loss_bad)
            }
        }
    }

    fn arrival(&mut self, departure: Instant) -> Instant {
        let jitter = self.seed.below(self.model.jitter.as_nanos() as u64);
        let swing = self.swing(departure);
        let arrival = departure + self.model.latency + Duration::from_nanos(jitter) + swing;
        let arrival = self.release(arrival);
        if self.seed.chance(self.model.reordering) {
            return arrival + self.model.reordering_delay;
        }
        if self.model.overtaking {
            return arrival;
        }
        let spacing = self.model.hold.map_or(Duration::ZERO, |hold| hold.spacing);
        self.last_arrival = arrival.max(self.last_arrival + spacing);
        self.last_arrival
    }

    /// The swing's level at this moment.
    fn swing(&mut self, at: Instant) -> Duration {
        let Some(Swing { highest, every }) = self.model.swing else { return Duration::ZERO };
        while self.swing_until <= at {
            let level = self.swing_seed.below(highest.as_nanos() as u64);
            self.swing_levels = [self.swing_levels[1], Duration::from_nanos(level)];
            self.swing_until += every.max(Duration::from_millis(1));
        }
        let [from, to] = self.swing_levels.map(|level| level.as_nanos());
        let (left, whole) = (self.swing_until.since(at).as_nanos(), every.as_nanos());
        let level = (from * left + to * (whole.saturating_sub(left))) / whole.max(1);
        Duration::from_nanos(level as u64)
    }

    /// When a datagram passes that reaches the hold's place at this moment.
    fn release(&mut self, at: Instant) -> Instant {
        let Some(hold) = self.model.hold else { return at };
        while self.held[1] < at {
            let half = hold.every / 2;
            let gap = half + Duration::from_nanos(self.hold_seed.below(2 * half.as_nanos() as u64));
            let more = hold.longest.saturating_sub(hold.shortest).as_nanos() as u64;
            let length = hold.shortest + Duration::from_nanos(self.hold_seed.below(more));
            let begin = self.held[1] + gap;
            self.held = [begin, begin + length.max(Duration::from_nanos(1))];
        }
        if at < self.held[0] { at } else { self.held[1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn arrivals(model: LinkModel, count: u64) -> (Vec<Arrivals>, Link) {
        let mut link = Link::new(model, Seed::new(5));
        let all = (0..count).map(|n| link.carry(Instant::from_millis(20 * n), 200)).collect();
        (all, link)
    }

    #[test]
    fn a_perfect_wire_takes_exactly_its_latency() {
        let (all, _) = arrivals(LinkModel { latency: 7 * MS, ..LinkModel::default() }, 10);
        assert_eq!(all[9], [Some(Instant::from_millis(187)), None]);
    }

    #[test]
    fn jitter_keeps_the_order_unless_overtaking_is_allowed() {
        let model = LinkModel { jitter: 100 * MS, ..LinkModel::default() };
        let in_order = |all: &[Arrivals]| all.is_sorted_by_key(|a| a[0]);
        assert!(in_order(&arrivals(model, 500).0));
        assert!(!in_order(&arrivals(LinkModel { overtaking: true, ..model }, 500).0));
        let reordering =
            LinkModel { reordering: 0.1, reordering_delay: 50 * MS, ..LinkModel::default() };
        assert!(!in_order(&arrivals(reordering, 500).0));
    }

    #[test]
    fn losses_come_at_their_rate_and_in_bursts() {
        let lost = |loss| arrivals(LinkModel { loss, ..LinkModel::default() }, 10_000);
        assert!((400..600).contains(&lost(Loss::Uniform(0.05)).1.lost));
        let (all, link) = lost(Loss::Bursts { to_bad: 0.01, to_good: 0.2, loss_bad: 1.0 });
        // 1/21 of the time bad, five datagrams at a time.
        assert!((300..700).contains(&link.lost), "{}", link.lost);
        let bursts = all.windows(2).filter(|w| w[0][0].is_some() && w[1][0].is_none()).count();
        assert!((bursts as u64) < link.lost / 3);
        assert_eq!(lost(Loss::Everything).1.lost, 10_000);
    }

    #[test]
    fn a_narrow_pipe_delays_and_drops_the_tail() {
        let rate = Rate { octets_per_second: 5000, queue: 200 * MS };
        let (all, link) = arrivals(LinkModel { rate: Some(rate), ..LinkModel::default() }, 100);
        assert_eq!(all[0][0], Some(Instant::from_millis(40)));
        assert!(link.lost > 30);
    }

    #[test]
    fn a_hold_lets_all_that_waited_go_at_once() {
        let hold = Hold { every: 500 * MS, shortest: 90 * MS, longest: 110 * MS, spacing: MS };
        let (all, _) = arrivals(LinkModel { hold: Some(hold), ..LinkModel::default() }, 1000);
        let delay = |n: usize| all[n][0].map(|at| at.since(Instant::from_millis(20 * n as u64)));
        let delays: Vec<_> = (0..all.len()).filter_map(delay).collect();
        assert!(delays.iter().all(|&delay| delay <= 115 * MS));
        let together = all.windows(2).filter(|pair| pair[1][0] == pair[0][0].map(|at| at + MS));
        // A hold about every 600 ms, with four or five packets in it.
        assert!((80..200).contains(&together.count()));
        assert!(delays.iter().filter(|delay| delay.is_zero()).count() > 700);
    }

    #[test]
    fn a_swing_glides() {
        let swing = Swing { highest: 100 * MS, every: 1000 * MS };
        let (all, _) = arrivals(LinkModel { swing: Some(swing), ..LinkModel::default() }, 3000);
        let delays: Vec<_> = (0..3000)
            .filter_map(|n| all[n][0].map(|at| at.since(Instant::from_millis(20 * n as u64))))
            .collect();
        let steepest = delays.windows(2).map(|pair| pair[1].abs_diff(pair[0])).max();
        assert!(steepest < Some(3 * MS), "{steepest:?}");
        assert!(delays.iter().max() > Some(&(80 * MS)));
        assert!(delays.iter().filter(|&&delay| delay < 20 * MS).count() > 100);
    }

    #[test]
    fn duplicates_come_at_their_rate() {
        let (all, _) = arrivals(LinkModel { duplication: 0.2, ..LinkModel::default() }, 1000);
        assert!((150..250).contains(&all.iter().filter(|a| a[1].is_some()).count()));
    }
}
