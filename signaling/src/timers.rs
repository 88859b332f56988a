//! A queue of deadlines on the engine's clock.

use std::collections::BTreeMap;

use media_units::Instant;

/// Names one deadline of a [`Timers`] for as long as it is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Instant, u64);

/// What is to happen, in order of time; what was set first comes first where times are equal.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    pending: BTreeMap<Deadline, T>,
    set: u64,
}

impl Deadline {
    /// When it comes due.
    pub(crate) fn at(self) -> Instant {
        self.0
    }
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self { pending: BTreeMap::new(), set: 0 }
    }

    /// Lets `what` come due at `at`.
    pub(crate) fn set(&mut self, at: Instant, what: T) -> Deadline {
        self.set += 1;
        let deadline = Deadline(at, self.set);
        self.pending.insert(deadline, what);
        deadline
    }

    /// Forgets a deadline, if it is still pending.
    pub(crate) fn cancel(&mut self, deadline: Deadline) {
        self.pending.remove(&deadline);
    }

    /// Takes the earliest of what is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        let first = self.pending.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// When something comes due next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.pending.first_key_value().map(|(deadline, _)| deadline.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_due_in_order_of_time_and_then_of_setting() {
        let mut timers = Timers::new();
        timers.set(Instant::from_millis(20), 'c');
        timers.set(Instant::from_millis(10), 'a');
        let gone = timers.set(Instant::from_millis(10), 'x');
        timers.set(Instant::from_millis(10), 'b');
        timers.cancel(gone);
        assert_eq!(timers.next(), Some(Instant::from_millis(10)));
        assert_eq!(timers.pop_due(Instant::from_millis(9)), None);
        let now = Instant::from_millis(20);
        let order: Vec<char> = std::iter::from_fn(|| timers.pop_due(now)).collect();
        assert_eq!(order, ['a', 'b', 'c']);
        assert_eq!(timers.next(), None);
    }
}
