//! Ranges of octets (RFC 9110 section 14): one at a time, which is all that players ask for.

use axum::http::HeaderValue;

/// What is asked for of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: no range, several, or one that cannot be read, which is ignored.
    All,
    /// A part that is there.
    Part {
        /// Its first octet.
        first: u64,
        /// How many.
        length: u64,
    },
    /// A part beyond its end.
    Nothing,
}

/// What a Range header asks for of a file of so many octets.
pub(super) fn asked(range: Option<&HeaderValue>, bytes: u64) -> Asked {
    let text = range.and_then(|value| value.to_str().ok());
    let Some((first, last)) =
        text.and_then(|text| text.strip_prefix("bytes=")).and_then(|text| text.split_once('-'))
    else {
        return Asked::All;
    };
    let number = |text: &str| -> Option<Option<u64>> {
        let text = text.trim();
        if text.is_empty() {
            return Some(None);
        }
        text.bytes()
            .all(|octet| octet.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
            .map(Some)
    };
    let part = |first: u64, last: u64| {
        let last = last.min(bytes.saturating_sub(1));
        if first <= last && bytes > 0 {
            Asked::Part { first, length: last - first + 1 }
        } else {
            Asked::Nothing
        }
    };
    match (number(first), number(last)) {
        (Some(Some(first)), Some(None)) => part(first, u64::MAX),
        (Some(Some(first)), Some(Some(last))) if first <= last => part(first, last),
        (Some(None), Some(Some(0))) => Asked::Nothing,
        (Some(None), Some(Some(suffix))) => part(bytes.saturating_sub(suffix), u64::MAX),
        _ => Asked::All,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, bytes: u64) -> Asked {
        asked(Some(&HeaderValue::from_str(text).unwrap()), bytes)
    }

    fn part(first: u64, length: u64) -> Asked {
        Asked::Part { first, length }
    }

    #[test]
    fn a_range_is_a_part_of_the_file() {
        assert_eq!(asked(None, 10), Asked::All);
        assert_eq!(of("bytes=0-", 10), part(0, 10));
        assert_eq!(of("bytes=3-5", 10), part(3, 3));
        assert_eq!(of("bytes=3-500", 10), part(3, 7));
        assert_eq!(of("bytes=-4", 10), part(6, 4));
        assert_eq!(of("bytes=-40", 10), part(0, 10));
    }

    #[test]
    fn beyond_the_end_is_nothing_and_what_cannot_be_read_is_ignored() {
        for nothing in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(of(nothing, 10), Asked::Nothing, "{nothing}");
        }
        assert_eq!(of("bytes=0-", 0), Asked::Nothing);
        for ignored in
            ["bytes=5-3", "bytes=a-b", "bytes=1-2,4-5", "items=0-1", "bytes=+1-2", "bytes=-"]
        {
            assert_eq!(of(ignored, 10), Asked::All, "{ignored}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_always_within_the_file(text in "bytes=[0-9]{0,21}-[0-9]{0,21}", bytes in 0_u64..100) {
            if let Asked::Part { first, length } = of(&text, bytes) {
                prop_assert!(length > 0 && first + length <= bytes);
            }
        }
    }
}
