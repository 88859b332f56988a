//! Quantities as people write them: `"20ms"`, `"3s"`, `"16KiB"`.

use std::time::Duration;

/// Units of time, the largest first, in nanoseconds.
const TIMES: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];

/// Units of size, the largest first, in octets.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A whole number and a unit of time, with or without a blank between them.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &TIMES).map(Duration::from_nanos)
}

/// The shortest exact way to write a duration.
pub(super) fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), &TIMES, "s")
}

/// A whole number and a unit of size.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// The shortest exact way to write a size.
pub(super) fn show_size(octets: u64) -> String {
    show(octets, &SIZES, "B")
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.checked_mul(factor)
}

fn show(value: u64, units: &[(&str, u64)], unit_of_zero: &str) -> String {
    let exact = |&&(_, factor): &&(&str, u64)| value != 0 && value.is_multiple_of(factor);
    match units.iter().find(exact) {
        Some((name, factor)) => format!("{}{name}", value / factor),
        None => format!("{value}{unit_of_zero}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_without_a_unit_is_refused() {
        assert_eq!(parse_duration("20"), None);
        assert_eq!(parse_duration("20 ms"), Some(Duration::from_millis(20)));
        assert_eq!(parse_duration("-1s"), None);
        assert_eq!(parse_duration("1.5s"), None);
        assert_eq!(parse_duration("20KiB"), None);
        assert_eq!(parse_duration("99999999999999h"), None);
        assert_eq!(parse_size("16KiB"), Some(16384));
        assert_eq!(parse_size("16kb"), None);
    }

    #[test]
    fn zero_is_shown_with_a_unit_that_is_read_again() {
        assert_eq!(show_duration(Duration::ZERO), "0s");
        assert_eq!(parse_duration("0s"), Some(Duration::ZERO));
        assert_eq!(show_duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!(show_duration(Duration::from_secs(1800)), "30min");
        assert_eq!(show_size(65536), "64KiB");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(value: u64) {
            let duration = Duration::from_nanos(value);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
            prop_assert_eq!(parse_size(&show_size(value)), Some(value));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
