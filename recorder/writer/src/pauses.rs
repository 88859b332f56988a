//! The pauses of a recording, as one of its tracks meets them: each from the moment at which it was
//! asked for until that at which it ended. The recorder may read of both while what was said
//! before is still in the ring.

use std::collections::VecDeque;

use media_units::Instant;

/// Pauses that a track has before it. Of more the first two are one: too little is kept, never too
/// much.
const AHEAD_MAX: usize = 64;

/// Those that a track has not left behind.
#[derive(Debug, Default)]
pub(crate) struct Pauses(VecDeque<Pause>);

#[derive(Debug)]
struct Pause {
    from: Instant,
    /// None while it goes on.
    until: Option<Instant>,
}

impl Pauses {
    /// Nothing is kept from now on.
    pub(crate) fn begin(&mut self, at: Instant) {
        if self.0.back().is_some_and(|last| last.until.is_none()) {
            return;
        }
        self.0.push_back(Pause { from: at, until: None });
        if self.0.len() > AHEAD_MAX
            && let Some(first) = self.0.pop_front()
            && let Some(second) = self.0.front_mut()
        {
            second.from = first.from;
        }
    }

    /// It goes on.
    pub(crate) fn end(&mut self, at: Instant) {
        if let Some(last) = self.0.back_mut() {
            last.until.get_or_insert(at);
        }
    }

    /// Whether nothing of this moment is kept. Moments come in their order.
    pub(crate) fn hold(&mut self, at: Instant) -> bool {
        while self.0.front().is_some_and(|one| one.until.is_some_and(|until| until <= at)) {
            self.0.pop_front();
        }
        self.0.front().is_some_and(|one| one.from <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn each_pause_holds_from_its_beginning_until_its_end() {
        let mut pauses = Pauses::default();
        pauses.end(at(5));
        for (from, until) in [(10, 20), (30, 40)] {
            pauses.begin(at(from));
            pauses.begin(at(from + 5));
            pauses.end(at(until));
            pauses.end(at(until + 5));
        }
        pauses.begin(at(50));
        let moments = [9, 10, 19, 20, 29, 30, 39, 40, 49, 50, 5000];
        let held = moments.map(|moment| pauses.hold(at(moment)));
        let (no, yes) = (false, true);
        assert_eq!(held, [no, yes, yes, no, no, yes, yes, no, no, yes, yes]);
    }

    #[test]
    fn of_too_many_nothing_is_kept_that_was_said_in_one() {
        let mut pauses = Pauses::default();
        for number in 0..2 * AHEAD_MAX as u64 {
            pauses.begin(at(20 * number));
            pauses.end(at(20 * number + 10));
        }
        assert_eq!(pauses.0.len(), AHEAD_MAX);
        assert!((0..2 * AHEAD_MAX as u64).all(|number| pauses.hold(at(20 * number + 5))));
        assert!(!pauses.hold(at(20 * 2 * AHEAD_MAX as u64)));
    }
}
