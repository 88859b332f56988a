//! What to do at a pull: a pure function of what is known then.
//!
//! Packets are needed at the pull that plays their first sample, and pulls are a period apart. So
//! slack comes in steps: the schedule must move by a whole step before any packet has more
//! time. What is more than the last step is delay for nothing.

/// What is known at a pull, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    /// Slack of a packet that comes as early as any: between its arrival and the pull that needs
    /// it.
    pub(super) slack: i32,
    /// The slack that the network asks for.
    pub(super) target: i32,
    /// What the schedule must move by to gain or lose slack.
    pub(super) step: i32,
    /// Delay beyond the last step, which gives nobody slack.
    pub(super) idle: i32,
    /// Slack beyond the target that is not worth a change.
    pub(super) tolerance: i32,
    /// Delay that is not worth a change.
    pub(super) idle_allowed: i32,
}

/// What the delay should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Stay.
    Keep,
    /// Grow by so many samples.
    Grow(usize),
    /// Shrink by so many samples.
    Shrink(usize),
}

impl Status {
    /// Decides.
    pub(super) fn wish(&self) -> Wish {
        let Self { slack, target, step, idle, .. } = *self;
        if slack < target {
            // No more than a few steps at once: the way there is long enough to look again.
            let missing = target.saturating_sub(slack).min(64 * step);
            let steps = (missing + step - 1) / step;
            return Wish::Grow((steps * step - idle).max(0) as usize);
        }
        let more = slack.saturating_sub(target);
        let steps = more / step;
        let is_worth = (more - self.tolerance) / step >= 1 || idle > self.idle_allowed;
        if is_worth { Wish::Shrink((steps * step + idle) as usize) } else { Wish::Keep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: Status =
        Status { slack: 100, target: 50, step: 160, idle: 0, tolerance: 32, idle_allowed: 40 };

    #[test]
    fn within_a_step_the_delay_stays() {
        assert_eq!(STATUS.wish(), Wish::Keep);
        assert_eq!(Status { slack: 50, ..STATUS }.wish(), Wish::Keep);
        assert_eq!(Status { slack: 241, idle: 40, ..STATUS }.wish(), Wish::Keep);
    }

    #[test]
    fn too_little_slack_grows_to_the_next_step() {
        assert_eq!(Status { slack: 49, ..STATUS }.wish(), Wish::Grow(160));
        assert_eq!(Status { slack: 49, idle: 30, ..STATUS }.wish(), Wish::Grow(130));
        assert_eq!(Status { slack: -300, ..STATUS }.wish(), Wish::Grow(480));
    }

    #[test]
    fn a_step_too_much_shrinks_to_the_last_that_is_enough() {
        assert_eq!(Status { slack: 242, ..STATUS }.wish(), Wish::Shrink(160));
        assert_eq!(Status { slack: 600, idle: 20, ..STATUS }.wish(), Wish::Shrink(500));
        assert_eq!(Status { idle: 41, ..STATUS }.wish(), Wish::Shrink(41));
    }
}
