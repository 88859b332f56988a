//! Any text as the template of recordings' names, as a room and as a caller. A name is one plain
//! part of a path, never too long, and no two recordings have the same.

use recorder::journal::is_harmless;
use recorder::naming::{NAME_CHARS_MAX, Named, Template};

/// Runs one input: a line for each of the three.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (template, subject, caller) = (next(), next(), next());
    let template = match template.parse::<Template>() {
        Ok(parsed) => {
            assert_eq!(parsed.to_string().parse().as_ref(), Ok(&parsed));
            parsed
        }
        Err(_) => Template::default(),
    };
    let started_unix_nanos = 1_700_000_000_000_000_000 + bytes.len() as u64;
    let name = |number| template.name(&Named { started_unix_nanos, number, subject, caller });
    for number in [0, u64::MAX] {
        let name = name(number);
        assert!(is_harmless(&name) && !name.contains('/') && !name.starts_with('-'), "{name:?}");
        assert!(name.len() <= NAME_CHARS_MAX, "{name:?}");
    }
    assert_ne!(name(1), name(2));
}
