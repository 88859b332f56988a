//! Nanoseconds since the Unix epoch as a date and a time of day, UTC.

/// Nanoseconds since 1970 as RFC 3339 writes a moment of UTC, to the millisecond.
pub fn rfc3339(unix_nanos: u64) -> String {
    Utc::from_unix_nanos(unix_nanos).rfc3339()
}

/// A moment of the proleptic Gregorian calendar, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Utc {
    pub(crate) year: u64,
    pub(crate) month: u64,
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
    pub(crate) millisecond: u64,
}

impl Utc {
    pub(crate) const fn from_unix_nanos(nanos: u64) -> Self {
        let millis = nanos / 1_000_000;
        let seconds = millis / 1000;
        let days = seconds / 86_400;
        // Counted from 1 March of the year 0, so that the leap day is a year's last, and in eras
        // of 400 years, which all have the same length.
        let from_march = days + 719_468;
        let era = from_march / 146_097;
        let day_of_era = from_march % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + (month <= 2) as u64,
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            millisecond: millis % 1000,
        }
    }

    /// As RFC 3339 writes it.
    pub(crate) fn rfc3339(self) -> String {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }

    /// Sortable and without a character that a file system minds.
    pub(crate) fn compact(self) -> String {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}{millisecond:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(seconds: u64) -> String {
        Utc::from_unix_nanos(seconds * 1_000_000_000).rfc3339()
    }

    #[test]
    fn known_moments_are_written_right() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_709_251_199), "2024-02-29T23:59:59.000Z");
        assert_eq!(rfc3339(1_735_689_600), "2025-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00.000Z");
        assert_eq!(
            Utc::from_unix_nanos(1_735_689_600_123_999_999).compact(),
            "20250101T000000123Z"
        );
    }

    #[test]
    fn every_day_of_400_years_follows_the_one_before() {
        let mut yesterday = Utc::from_unix_nanos(0);
        for day in 1..146_097 {
            let today = Utc::from_unix_nanos(day * 86_400 * 1_000_000_000);
            let next_in_month = today.month == yesterday.month && today.day == yesterday.day + 1;
            let first_of_month = today.day == 1 && yesterday.day >= 28;
            assert!(next_in_month || first_of_month, "{} {}", yesterday.compact(), today.compact());
            yesterday = today;
        }
    }
}
