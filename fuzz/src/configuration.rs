//! Any text as a configuration: accepted, or refused with problems that each fit a line and name
//! one that the text has.

use mixminus::config::Config;

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(problems) = Config::parse("file", text) {
        assert!(!problems.is_empty());
        let lines = text.matches('\n').count() + 1;
        for problem in problems {
            assert!((1..=lines).contains(&problem.line));
            assert!(!problem.why.is_empty());
            assert!(!problem.key.contains('\n') && !problem.value.contains('\n'));
        }
    }
}
