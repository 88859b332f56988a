//! Any text as a configuration: accepted, or refused with problems that each fit a line and name
//! one that the text has.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mixminus::config::Config;

fuzz_target!(|text: &str| {
    if let Err(problems) = Config::parse("file", text) {
        assert!(!problems.is_empty());
        let lines = text.matches('\n').count() + 1;
        for problem in problems {
            assert!((1..=lines).contains(&problem.line));
            assert!(!problem.why.is_empty());
            assert!(!problem.key.contains('\n') && !problem.value.contains('\n'));
        }
    }
});
