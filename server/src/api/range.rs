//! Ranges of octets (RFC 9110 section 14): one at a time, which is all that players ask for; and
//! which version of a file is meant (section 13).

use std::fs::Metadata;
use std::time::UNIX_EPOCH;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Names the version of a file: one that is written again has another. None where the file system
/// tells no time.
pub(super) fn tag(file: &Metadata) -> Option<HeaderValue> {
    let changed = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    HeaderValue::from_str(&format!("\"{:x}-{:x}\"", file.len(), changed.as_nanos())).ok()
}

/// Whether who asks means another version than this one: none that `If-Match` names, where it names
/// any. A weak tag is no version.
pub(super) fn is_changed(headers: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    let tag = tag.and_then(|tag| tag.to_str().ok());
    headers.contains_key(IF_MATCH)
        && !named(headers, &IF_MATCH).any(|named| named == "*" || Some(named) == tag)
}

/// Whether who asks has this version already.
pub(super) fn is_held(headers: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    let tag = tag.and_then(|tag| tag.to_str().ok());
    let is_it = |named: &str| Some(named.strip_prefix("W/").unwrap_or(named)) == tag;
    named(headers, &IF_NONE_MATCH).any(|named| named == "*" || is_it(named))
}

/// The versions that a condition names.
fn named<'a>(headers: &'a HeaderMap, condition: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(condition).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

/// The Range header, where it counts: only of GET, and only of the version that `If-Range` names. Of
/// dates none is ours.
pub(super) fn range<'a>(
    method: &Method,
    headers: &'a HeaderMap,
    tag: Option<&HeaderValue>,
) -> Option<&'a HeaderValue> {
    let is_meant = headers.get(IF_RANGE).is_none_or(|meant| Some(meant) == tag);
    headers.get(RANGE).filter(|_| method == Method::GET && is_meant)
}

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
    let is_octets = |(unit, _): &(&str, &str)| unit.eq_ignore_ascii_case("bytes");
    let octets = text.and_then(|text| text.split_once('=')).filter(is_octets);
    let Some((first, last)) = octets.and_then(|(_, octets)| octets.split_once('-')) else {
        return Asked::All;
    };
    // What is beyond all numbers is beyond all files.
    let number = |text: &str| -> Option<Option<u64>> {
        let text = text.trim();
        let is_number = text.bytes().all(|octet| octet.is_ascii_digit());
        let number = || text.parse().unwrap_or(u64::MAX);
        is_number.then(|| (!text.is_empty()).then(number))
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
        assert_eq!(of("Bytes=-40", 10), part(0, 10));
        for beyond in ["18446744073709551615", "18446744073709551616", "99999999999999999999999"] {
            assert_eq!(of(&format!("bytes=3-{beyond}"), 10), part(3, 7));
            assert_eq!(of(&format!("bytes=-{beyond}"), 10), part(0, 10));
            assert_eq!(of(&format!("bytes={beyond}-"), 10), Asked::Nothing);
        }
    }

    #[test]
    fn a_range_counts_for_get_and_the_version_that_is_meant() {
        let tag = HeaderValue::from_static("\"a-1\"");
        let headers = |name: &'static str, value: &'static str| {
            let range = (RANGE, HeaderValue::from_static("bytes=0-1"));
            let other = (name.parse().unwrap(), HeaderValue::from_static(value));
            HeaderMap::from_iter([range, other])
        };
        let counts = |method: Method, name, value| {
            range(&method, &headers(name, value), Some(&tag)).is_some()
        };
        assert!(counts(Method::GET, "accept", "*/*"));
        assert!(!counts(Method::HEAD, "accept", "*/*"));
        assert!(counts(Method::GET, "if-range", "\"a-1\""));
        for other in ["\"a-2\"", "W/\"a-1\"", "Sun, 22 Nov 2026 07:00:00 GMT"] {
            assert!(!counts(Method::GET, "if-range", other), "{other}");
        }
        assert!(range(&Method::GET, &headers("if-range", "\"a-1\""), None).is_none());
    }

    #[test]
    fn conditions_name_versions_of_which_the_present_one_may_be_one() {
        let tag = HeaderValue::from_static("\"a-1\"");
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
        };
        let held = |value| is_held(&headers("if-none-match", value), Some(&tag));
        assert!(held("*") && held("\"a-1\"") && held("\"b-1\", W/\"a-1\""));
        assert!(!held("\"b-1\"") && !is_held(&HeaderMap::new(), Some(&tag)));
        let changed = |value| is_changed(&headers("if-match", value), Some(&tag));
        assert!(!changed("*") && !changed("\"a-1\"") && !changed("\"b-1\", \"a-1\""));
        assert!(changed("\"b-1\"") && changed("W/\"a-1\"") && changed(""));
        assert!(!is_changed(&HeaderMap::new(), Some(&tag)));
        // A file whose version nobody knows is there all the same.
        assert!(is_held(&headers("if-none-match", "*"), None));
        assert!(!is_held(&headers("if-none-match", "\"a-1\""), None));
        assert!(!is_changed(&headers("if-match", "*"), None));
        assert!(is_changed(&headers("if-match", "\"a-1\""), None));
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
