//! The names of a recording's files. What a caller chose (a room's name) is part of a name, so it
//! is reduced to characters that no file system and no shell gives a meaning to.

use crate::utc::Utc;

/// Characters of the subject that a name keeps.
pub const SUBJECT_LENGTH_MAX: usize = 64;

/// The file name without its ending: start time (UTC, to the millisecond), number, subject. It
/// has only ASCII letters, digits, `-` and `_`, is at most 105 characters long, and sorts by time.
/// It is unique where `number` is, and never leaves its folder.
pub fn file_stem(subject: &str, started_unix_nanos: u64, number: u64) -> String {
    let time = Utc::from_unix_nanos(started_unix_nanos).compact();
    let subject: String = subject.chars().take(SUBJECT_LENGTH_MAX).map(harmless).collect();
    let subject = if subject.is_empty() { "recording" } else { &subject };
    format!("{time}-{number}-{subject}")
}

fn harmless(character: char) -> char {
    if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' }
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    const STARTED: u64 = 1_735_689_600_123_000_000;

    #[test]
    fn a_name_tells_when_and_what() {
        assert_eq!(file_stem("conf-sales", STARTED, 7), "20250101T000000123Z-7-conf-sales");
    }

    #[test]
    fn a_subject_cannot_leave_the_folder_or_end_the_name() {
        assert_eq!(file_stem("../../etc/x", STARTED, 1), "20250101T000000123Z-1-______etc_x");
        assert_eq!(file_stem("a\0b\r\n", STARTED, 1), "20250101T000000123Z-1-a_b__");
        assert_eq!(file_stem("Zürich 🎙", STARTED, 1), "20250101T000000123Z-1-Z_rich__");
        assert_eq!(file_stem("", STARTED, 1), "20250101T000000123Z-1-recording");
        assert_eq!(file_stem(".", STARTED, 1), "20250101T000000123Z-1-_");
    }

    #[test]
    fn a_very_long_subject_is_cut() {
        let name = file_stem(&"x".repeat(100_000), u64::MAX, u64::MAX);
        assert_eq!(name.len(), 19 + 1 + 20 + 1 + SUBJECT_LENGTH_MAX);
    }

    proptest! {
        #[test]
        fn every_name_is_one_plain_component(
            subject in any::<String>(), started in any::<u64>(), number in any::<u64>()
        ) {
            let name = file_stem(&subject, started, number);
            let components: Vec<_> = Path::new(&name).components().collect();
            prop_assert_eq!(components, vec![Component::Normal(name.as_ref())]);
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert!(name.len() <= 105 && name.as_bytes()[0].is_ascii_digit());
        }

        #[test]
        fn recordings_of_different_numbers_have_different_names(
            a in any::<String>(), b in any::<String>(), number in 0..u64::MAX
        ) {
            prop_assert_ne!(file_stem(&a, STARTED, number), file_stem(&b, STARTED, number + 1));
        }
    }
}
