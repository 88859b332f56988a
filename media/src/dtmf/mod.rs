//! Digits: as named events (RFC 4733) and as tones in the sound (ITU-T Q.23, Q.24), both ways.
//!
//! [`DigitReceiver`] follows events that come, [`DigitSender`] says what takes the place of sound
//! while digits go out, and [`ToneFilter`] finds digits in the sound and takes them out of it.

mod detect;
mod filter;
mod receive;
mod send;
#[cfg(test)]
mod tests;
mod tones;

pub use filter::ToneFilter;
pub use receive::DigitReceiver;
pub use send::{DigitSender, EventPacket, Sending};
pub use tones::TonePair;

/// One key, pressed and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digit {
    /// `0`-`9`, `*`, `#`, `A`-`D`.
    pub digit: char,
    /// How long, as far as it was heard; 65535 stands for more.
    pub duration_ms: u16,
}
