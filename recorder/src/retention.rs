//! How long recordings are kept: by age, and by what they take together. The oldest go first.
//! What goes on is not known here at all, and what still has to go elsewhere is held: it takes
//! room, but it is never given up.

use std::time::Duration;

use crate::utc::rfc3339;

/// The rule. Without either limit everything is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Nothing is kept that ended longer ago than this.
    pub age_max: Option<Duration>,
    /// All recordings together take at most so many bytes.
    pub bytes_max: Option<u64>,
}

/// Why a recording is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// It is too old.
    Age,
    /// There is too much.
    Size,
}

/// A finished recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept<'a> {
    /// When it ended (RFC 3339, UTC, as everywhere in metadata).
    pub ended: &'a str,
    /// What it takes.
    pub bytes: u64,
    /// Whether it must not be given up yet.
    pub held: bool,
}

impl Retention {
    /// For each recording, oldest first, whether and why it is to be given up.
    pub fn judge(&self, now_unix_nanos: u64, oldest_first: &[Kept<'_>]) -> Vec<Option<Expiry>> {
        // Moments in RFC 3339 of one zone and precision are in the order of their characters.
        let age_nanos = |age: Duration| u64::try_from(age.as_nanos()).ok();
        let bound =
            self.age_max.and_then(age_nanos).and_then(|age| now_unix_nanos.checked_sub(age));
        let bound = bound.map(rfc3339);
        let mut total: u64 = oldest_first.iter().map(|kept| kept.bytes).sum();
        let judge_one = |kept: &Kept<'_>| {
            let expiry = if kept.held {
                None
            } else if bound.as_deref().is_some_and(|bound| kept.ended < bound) {
                Some(Expiry::Age)
            } else {
                self.bytes_max.filter(|&most| total > most).map(|_| Expiry::Size)
            };
            total -= if expiry.is_some() { kept.bytes } else { 0 };
            expiry
        };
        oldest_first.iter().map(judge_one).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_735_689_600_000_000_000; // 2025-01-01
    const DAY: Duration = Duration::from_secs(86_400);

    fn kept(ended: &str, bytes: u64) -> Kept<'_> {
        Kept { ended, bytes, held: false }
    }

    #[test]
    fn without_limits_everything_is_kept() {
        let all = [kept("1970-01-01T00:00:00.000Z", u64::MAX / 2)];
        assert_eq!(Retention::default().judge(NOW, &all), [None]);
    }

    #[test]
    fn what_is_too_old_is_given_up_and_what_is_held_is_not() {
        let rule = Retention { age_max: Some(DAY), bytes_max: None };
        let held = Kept { held: true, ..kept("2024-12-01T00:00:00.000Z", 1) };
        let all = [
            held,
            kept("2024-12-30T23:59:59.999Z", 1),
            kept("2024-12-31T00:00:00.000Z", 1),
            kept("2025-01-01T00:00:00.000Z", 1),
        ];
        assert_eq!(rule.judge(NOW, &all), [None, Some(Expiry::Age), None, None]);
    }

    #[test]
    fn the_oldest_make_room_until_the_rest_fits() {
        let rule = Retention { age_max: None, bytes_max: Some(100) };
        let held = Kept { held: true, ..kept("a", 40) };
        let all = [held, kept("b", 30), kept("c", 30), kept("d", 30), kept("e", 30)];
        assert_eq!(
            rule.judge(NOW, &all),
            [None, Some(Expiry::Size), Some(Expiry::Size), None, None]
        );
    }

    #[test]
    fn an_age_beyond_all_time_keeps_everything() {
        let rule = Retention { age_max: Some(Duration::MAX), bytes_max: None };
        assert_eq!(rule.judge(NOW, &[kept("1970-01-01T00:00:00.000Z", 1)]), [None]);
    }

    proptest! {
        #[test]
        fn what_is_left_fits_or_is_held_and_no_more_is_given_up_than_needed(
            all in proptest::collection::vec((0_u64..100, any::<bool>()), 0..40), most in 0_u64..1000
        ) {
            let rule = Retention { age_max: None, bytes_max: Some(most) };
            let all: Vec<_> =
                all.iter().map(|&(bytes, held)| Kept { held, ..kept("x", bytes) }).collect();
            let judged = rule.judge(NOW, &all);
            let pairs = || all.iter().zip(&judged);
            prop_assert!(pairs().all(|(kept, expiry)| !(kept.held && expiry.is_some())));
            let left: u64 = pairs().filter(|(_, e)| e.is_none()).map(|(kept, _)| kept.bytes).sum();
            prop_assert!(left <= most || pairs().all(|(kept, e)| kept.held || e.is_some()));
            if let Some((last, _)) = pairs().rfind(|(_, e)| e.is_some()) {
                prop_assert!(left + last.bytes > most || last.bytes == 0);
            }
        }
    }
}
