//! Who hears whom: windows of received sound against the plan.
//!
//! Each listener is judged by several windows; a talker counts as heard when most of them say so.
//! Lost packets blur a window, and blurred sound looks a little like everybody's: that somebody
//! hears itself, or another room, is judged by whole windows only.

use sim::code::Spectrum;
use sim::phone::{Capture, Phone};

use crate::histogram::Histogram;
use crate::seats::Seats;

/// Of the played amplitude: this much and more is heard.
const HEARD: f32 = 0.25;
/// A delay is taken only where the sound came through unchanged: a splice within the window
/// would blur its position.
const CLEAR: std::ops::Range<f32> = 0.9..1.1;

/// The tally of all listeners.
#[derive(Debug)]
pub(crate) struct Hearing {
    amplitude: f32,
    listeners: Vec<Tally>,
    pub(crate) mouth_to_ear: Histogram,
}

/// One listener's windows.
#[derive(Debug, Clone, Default)]
struct Tally {
    windows: u32,
    /// Windows without a missing packet.
    whole: u32,
    /// Windows in which it heard each talker of its room, by seat.
    heard: Vec<u32>,
    /// Windows in which it heard somebody of another room.
    strangers: u32,
}

/// What is wrong with who hears whom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Pairs of listener and talker that were judged.
    pub(crate) pairs: usize,
    /// Pairs in which the listener does not hear the talker.
    pub(crate) unheard: usize,
    /// Talkers that hear themselves.
    pub(crate) echoes: usize,
    /// Listeners that hear another room.
    pub(crate) crosstalk: usize,
    /// Listeners of whom no window could be judged.
    pub(crate) unjudged: usize,
}

impl Hearing {
    pub(crate) fn new(seats: &Seats, amplitude: f32) -> Self {
        let tally =
            |call| Tally { heard: vec![0; seats.talkers_around(call).count()], ..Tally::default() };
        Self {
            amplitude,
            listeners: (0..seats.calls()).map(tally).collect(),
            mouth_to_ear: Histogram::default(),
        }
    }

    /// Judges one window of a listener.
    pub(crate) fn judge(
        &mut self,
        listener: usize,
        capture: &Capture,
        seats: &Seats,
        phones: &[Phone],
    ) {
        let spectrum = capture.spectrum();
        let tally = &mut self.listeners[listener];
        let is_whole = capture.is_whole();
        tally.windows += 1;
        tally.whole += u32::from(is_whole);
        for (seat, talker) in seats.talkers_around(listener).enumerate() {
            let Some(code) = seats.code(talker) else { continue };
            let share = spectrum.amplitude(code) / self.amplitude;
            let counts = is_whole || talker != listener;
            tally.heard[seat] += u32::from(share >= HEARD && counts);
            if talker != listener && CLEAR.contains(&share) && is_whole {
                let (position, arrival) = capture.last_position(&spectrum, code);
                let sent = phones[talker].sender.sent_at(position, arrival);
                if let Some(sent) = sent {
                    self.mouth_to_ear.record(arrival.since(sent));
                }
            }
        }
        let stranger = hears_stranger(&spectrum, listener, seats, self.amplitude);
        tally.strangers += u32::from(stranger && is_whole);
    }

    /// What is wrong, over all windows.
    pub(crate) fn verdict(&self, seats: &Seats, stands: impl Fn(usize) -> bool) -> Verdict {
        let mut verdict = Verdict::default();
        for (listener, tally) in self.listeners.iter().enumerate() {
            if !stands(listener) {
                continue;
            }
            if tally.windows == 0 {
                verdict.unjudged += 1;
                continue;
            }
            let most = |count: u32, of: u32| count * 2 > of;
            for (seat, talker) in seats.talkers_around(listener).enumerate() {
                let heard = tally.heard[seat];
                if talker == listener {
                    verdict.echoes += usize::from(most(heard, tally.whole));
                } else if stands(talker) {
                    verdict.pairs += 1;
                    verdict.unheard += usize::from(!most(heard, tally.windows));
                }
            }
            verdict.crosstalk += usize::from(most(tally.strangers, tally.whole));
        }
        verdict
    }
}

/// Whether any code is heard that is in use, but not in the listener's room.
fn hears_stranger(spectrum: &Spectrum, listener: usize, seats: &Seats, amplitude: f32) -> bool {
    let own: Vec<_> = seats.talkers_around(listener).filter_map(|t| seats.code(t)).collect();
    let rooms = seats.rooms().min(usize::from(sim::code::CODES));
    let others = (0..rooms).flat_map(|room| seats.talkers_around(room));
    let mut codes = others.filter_map(|talker| seats.code(talker));
    codes.any(|code| !own.contains(&code) && spectrum.amplitude(code) >= HEARD * amplitude)
}
