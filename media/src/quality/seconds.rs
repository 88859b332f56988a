//! The account of a call's seconds: which were bad, and why.
//!
//! A second is bad where sound was invented for want of a packet, or where a tick of ours was
//! late. Why a packet was wanting is often known only when the next one comes: until then the
//! second is open. A silence that turns out to be loss was bad in each of its seconds.

use media_units::{BAD_SECONDS, BadSecond, Instant, Seconds};

/// What a second is judged by. All of these only grow, but for reordered packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Blocks of sound that were invented.
    pub concealed: u32,
    /// Packets received.
    pub received: u32,
    /// Packets that never came.
    pub lost: u32,
    /// Packets that came too late to be played.
    pub late: u32,
    /// Ticks of ours that were late.
    pub late_ticks: u32,
}

/// The account of one session.
#[derive(Debug, Clone, Default)]
pub struct Account {
    seconds: Seconds,
    before: Counters,
    /// Seconds since sound began to be missing for a reason that is not known yet.
    open: u32,
    /// Those of them in which sound was invented.
    invented: u32,
}

impl Account {
    /// Begins where the counters are now.
    pub fn new(counters: Counters) -> Self {
        Self { before: counters, ..Self::default() }
    }

    /// From now on ticks are counted elsewhere, where so many more were late.
    pub fn shift_late_ticks(&mut self, by: u32) {
        self.before.late_ticks = self.before.late_ticks.wrapping_add(by);
    }

    /// The account so far.
    pub fn seconds(&self) -> Seconds {
        self.seconds
    }

    /// A second is over. Returns what it adds to the account.
    pub fn second(&mut self, counters: Counters, now: Instant) -> Seconds {
        let before = std::mem::replace(&mut self.before, counters);
        let grew = |now: u32, before: u32| (now.wrapping_sub(before) as i32) > 0;
        let invented = grew(counters.concealed, before.concealed);
        let heard = grew(counters.received, before.received);
        let lost = grew(counters.lost, before.lost);
        let late = grew(counters.late, before.late);
        let mut added = Added(Seconds { all: 1, ..Seconds::default() });
        if grew(counters.late_ticks, before.late_ticks) {
            let is_counted_elsewhere = invented || self.open > 0;
            added.count(BadSecond::LateTick, 1, u32::from(!is_counted_elsewhere));
        }
        if invented || (self.open > 0 && !heard) {
            self.open += 1;
            self.invented += u32::from(invented);
        }
        if self.open > 0 {
            if lost || late {
                let seconds = std::mem::take(&mut self.open);
                self.invented = 0;
                if lost {
                    added.count(BadSecond::Loss, seconds, seconds);
                }
                if late {
                    added.count(BadSecond::Late, seconds, if lost { 0 } else { seconds });
                }
            } else if heard {
                // What was invented in this very second may still be explained by the next.
                let rest = u32::from(invented);
                let seconds = self.invented - rest;
                added.count(BadSecond::FarClock, seconds, seconds);
                (self.open, self.invented) = (rest, rest);
            }
        }
        self.enter(added.0, now)
    }

    fn enter(&mut self, mut added: Seconds, now: Instant) -> Seconds {
        let total = &mut self.seconds;
        total.all += added.all;
        total.bad += added.bad;
        for (total, added) in total.by_reason.iter_mut().zip(added.by_reason) {
            *total += added;
        }
        if added.by_reason != [0; BAD_SECONDS.len()] {
            added.last_bad = Some(now);
            total.last_bad = Some(now);
        }
        added
    }
}

struct Added(Seconds);

impl Added {
    fn count(&mut self, reason: BadSecond, seconds: u32, bad: u32) {
        self.0.by_reason[reason as usize] += seconds;
        self.0.bad += bad;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Call {
        account: Account,
        counters: Counters,
        now: Instant,
    }

    impl Call {
        fn new() -> Self {
            let counters = Counters { lost: u32::MAX - 1, ..Counters::default() };
            Self { account: Account::new(counters), counters, now: Instant::START }
        }

        /// A second with so many blocks invented, packets received, lost and late.
        fn second(&mut self, invented: u32, received: u32, lost: u32, late: u32) -> &mut Self {
            self.counters.concealed += invented;
            self.counters.received += received;
            self.counters.lost = self.counters.lost.wrapping_add(lost);
            self.counters.late += late;
            self.now += std::time::Duration::from_secs(1);
            self.account.second(self.counters, self.now);
            self
        }

        fn late_tick(&mut self) -> &mut Self {
            self.counters.late_ticks += 1;
            self
        }

        /// All, bad, and bad by reason.
        fn found(&self) -> (u32, u32, [u32; 4]) {
            let seconds = self.account.seconds();
            (seconds.all, seconds.bad, seconds.by_reason)
        }
    }

    #[test]
    fn good_seconds_are_good() {
        let mut call = Call::new();
        call.second(0, 50, 0, 0).second(0, 50, 2, 0).second(0, 0, 0, 0);
        assert_eq!(call.found(), (3, 0, [0; 4]), "loss that nobody hears and a pause are none");
        assert_eq!(call.account.seconds().last_bad, None);
    }

    #[test]
    fn a_second_with_a_lost_packet_is_bad_by_loss() {
        let mut call = Call::new();
        call.second(0, 50, 0, 0).second(2, 48, 2, 0).second(0, 50, 0, 0);
        assert_eq!(call.found(), (3, 1, [1, 0, 0, 0]));
        assert_eq!(call.account.seconds().last_bad, Some(Instant::from_millis(2000)));
    }

    #[test]
    fn a_second_with_a_late_packet_is_bad_by_lateness() {
        let mut call = Call::new();
        call.second(1, 49, 0, 0).second(0, 51, 0, 1);
        assert_eq!(call.found(), (2, 1, [0, 1, 0, 0]), "the late packet came a second later");
        call.second(3, 48, 1, 1);
        assert_eq!(call.found(), (3, 2, [1, 2, 0, 0]), "two reasons, one second");
    }

    #[test]
    fn an_outage_is_bad_in_all_its_seconds() {
        let mut call = Call::new();
        call.second(5, 30, 0, 0).second(0, 0, 0, 0).second(0, 0, 0, 0);
        assert_eq!(call.found(), (3, 0, [0; 4]), "nobody knows yet");
        call.second(0, 20, 130, 0);
        assert_eq!(call.found(), (4, 3, [3, 0, 0, 0]));
    }

    #[test]
    fn a_pause_that_was_not_announced_is_the_far_ends_doing() {
        let mut call = Call::new();
        call.second(5, 30, 0, 0).second(0, 0, 0, 0).second(0, 0, 0, 0).second(0, 50, 0, 0);
        assert_eq!(call.found(), (4, 1, [0, 0, 1, 0]), "the pause itself is none of it");
    }

    #[test]
    fn sound_that_is_wanting_though_all_came_is_the_far_ends_clock() {
        let mut call = Call::new();
        for _ in 0..10 {
            call.second(1, 49, 0, 0);
        }
        call.second(0, 50, 0, 0);
        assert_eq!(call.found(), (11, 10, [0, 0, 10, 0]));
    }

    #[test]
    fn a_late_tick_is_ours() {
        let mut call = Call::new();
        call.late_tick().second(0, 50, 0, 0);
        assert_eq!(call.found(), (1, 1, [0, 0, 0, 1]));
        call.late_tick().second(1, 49, 1, 0);
        assert_eq!(call.found(), (2, 2, [1, 0, 0, 2]), "one second, two reasons");
    }
}
