//! The keys a participant pressed, each counted once although some phones tell one press in two
//! ways: as an event (or tones) in the media and by INFO.
//!
//! A press matches another one of the same key that came another way, where hardly any time lies
//! between the two. Each matches one at most, so that a key pressed twice and told twice is twice.

use std::time::Duration;

use engine_control::DigitSource;
use media_units::Instant;

/// Keys that are remembered.
const PRESSED_MAX: usize = 32;

/// Presses that may yet be told a second time; the oldest make way.
const UNMATCHED_MAX: usize = 8;

/// What may lie between the same press told in two ways: an INFO may go out when the key goes down
/// or up, and one that got lost is sent again after 0.5 s.
const APART: Duration = Duration::from_secs(1);

/// What one participant pressed.
#[derive(Debug, Default)]
pub(crate) struct Keypad {
    pressed: String,
    unmatched: Vec<Press>,
}

#[derive(Debug)]
struct Press {
    digit: char,
    source: DigitSource,
    released: Instant,
}

impl Keypad {
    /// Takes a press that has just ended. False where it is one that was told before.
    pub(crate) fn press(
        &mut self,
        now: Instant,
        digit: char,
        source: DigitSource,
        duration: Duration,
    ) -> bool {
        let went_down = now - duration;
        let is_same = |press: &Press| {
            let is_near = went_down.since(press.released) <= APART;
            press.digit == digit && press.source != source && is_near
        };
        if let Some(at) = self.unmatched.iter().position(is_same) {
            self.unmatched.remove(at);
            return false;
        }
        if self.unmatched.len() >= UNMATCHED_MAX {
            self.unmatched.remove(0);
        }
        self.unmatched.push(Press { digit, source, released: now });
        if self.pressed.len() >= PRESSED_MAX {
            self.pressed.remove(0);
        }
        self.pressed.push(digit);
        true
    }

    /// The last keys, the latest at the end.
    pub(crate) fn pressed(&self) -> &str {
        &self.pressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DigitSource::{InBand, Info, TelephoneEvent};

    /// What is counted of presses: at a time in ms, of a key, in a way, so many ms long.
    fn counted(presses: &[(u64, char, DigitSource, u64)]) -> String {
        let mut keypad = Keypad::default();
        for &(at, digit, source, duration) in presses {
            let now = Instant::from_millis(10_000 + at);
            keypad.press(now, digit, source, Duration::from_millis(duration));
        }
        keypad.pressed().to_owned()
    }

    #[test]
    fn a_press_told_in_two_ways_is_one() {
        let both = [(0, '5', Info, 100), (120, '5', TelephoneEvent, 100)];
        assert_eq!(counted(&both), "5");
        let reversed = [(0, '5', TelephoneEvent, 100), (700, '5', Info, 100)];
        assert_eq!(counted(&reversed), "5");
        assert_eq!(counted(&[(0, '5', Info, 100), (120, '5', InBand, 100)]), "5");
    }

    #[test]
    fn a_long_press_told_when_it_began_is_one() {
        assert_eq!(counted(&[(0, '0', Info, 100), (4000, '0', TelephoneEvent, 3950)]), "0");
    }

    #[test]
    fn a_key_pressed_twice_and_told_twice_is_two_in_any_order() {
        let (info, event) = (Info, TelephoneEvent);
        for order in
            [[info, event, info, event], [info, info, event, event], [event, info, info, event]]
        {
            let presses: Vec<_> =
                order.iter().zip(0..).map(|(way, at)| (at * 150, '5', *way, 80)).collect();
            assert_eq!(counted(&presses), "55", "{order:?}");
        }
    }

    #[test]
    fn the_same_way_another_key_or_much_later_is_another_press() {
        assert_eq!(counted(&[(0, '5', Info, 100), (100, '5', Info, 100)]), "55");
        assert_eq!(counted(&[(0, '5', Info, 100), (100, '6', TelephoneEvent, 100)]), "56");
        assert_eq!(counted(&[(0, '5', Info, 100), (1200, '5', TelephoneEvent, 100)]), "55");
    }

    #[test]
    fn the_last_keys_are_remembered() {
        let many: Vec<_> = (0..40).map(|at| (at * 200, '1', TelephoneEvent, 100)).collect();
        assert_eq!(counted(&many).len(), PRESSED_MAX);
    }
}
