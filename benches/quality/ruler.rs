//! The ruler: how late every piece of the speech was heard, told from the sound alone.
//!
//! Each packet's sound is looked for in what was heard. Where it is found gives the time at which
//! it was played; minus the time at which the packet arrived, that is its playout delay, for any
//! receiver and without asking it. What is not found well was lost, invented or too soft.

use media_units::{Instant, PERIOD};
use serde_json::json;
use sim::network::profile::Trace;

use crate::packets::BEGIN;
use crate::wav::Sound;

/// Everything is compared at this rate.
const RATE: usize = 8000;

const SAMPLES_PER_MS: f64 = RATE as f64 / 1000.0;

const PACKET: usize = RATE / 50;

/// What is looked for: a packet and half a packet on either side.
const WINDOW: usize = 2 * PACKET;

/// The longest way from being sent to being heard that is looked for: 1 s.
const REACH: usize = RATE;

/// Where the sound is looked for first: where it was expected, 1 ms either way, for a voice is like
/// itself a period earlier and later.
const HERE: usize = RATE / 1000;

/// Where next: 15 ms either way.
const NEAR: usize = RATE * 15 / 1000;

/// Speech that is softer on average says nothing about when it was heard.
const AUDIBLE: f64 = 150.0;

/// What is as similar as this was found: where it was expected, near that, or anywhere.
const FOUND_HERE: f64 = 0.97;
const FOUND_NEAR: f64 = 0.95;
const FOUND: f64 = 0.9;

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    /// From arrival to being played, mean over the packets, in milliseconds.
    pub(crate) delay_mean_ms: f64,
    /// The same, what 95 of 100 packets do not exceed.
    pub(crate) delay_p95_ms: f64,
    /// By how much the sound was shifted, either way: stretched, left out, inserted. Of all the
    /// time there was, in percent.
    pub(crate) shifted_percent: f64,
    /// Where in the output the input begins, in milliseconds: the median over the packets.
    pub(crate) offset_ms: f64,
    /// Of the packets that can be heard, those that were found, in percent.
    pub(crate) found_percent: f64,
}

impl Figures {
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({
            "delay_mean_ms": self.delay_mean_ms,
            "delay_p95_ms": self.delay_p95_ms,
            "shifted_percent": self.shifted_percent,
            "offset_ms": self.offset_ms,
            "found_percent": self.found_percent,
        })
    }
}

/// Compares what was heard with what was said. The output's first sample was heard at [`BEGIN`].
pub(crate) fn measure(input: &Sound, output: &Sound, trace: &Trace) -> Figures {
    let (said, heard) = (at_ruler_rate(input), at_ruler_rate(output));
    let mut search = Search { heard: &heard, lag: None };
    let (mut audible, mut hits) = (0_u32, Vec::new());
    for (number, passage) in trace.passages.iter().enumerate() {
        let start = (number * PACKET).saturating_sub((WINDOW - PACKET) / 2);
        let Some(window) = said.get(start..start + WINDOW) else { break };
        let Some(arrival) = passage.arrival else { continue };
        if energy(window) < AUDIBLE * AUDIBLE * WINDOW as f64 {
            continue;
        }
        audible += 1;
        let sent = samples(passage.sent);
        let lead = (number * PACKET - start) as f64;
        if let Some(found) = search.find(window, sent - lead) {
            let played = found + lead;
            let offset = played - (number * PACKET) as f64;
            hits.push(Hit { lag: played - sent, delay: played - samples(arrival), offset });
        }
    }
    let hits = believable(&hits);
    let mut delays: Vec<f64> = hits.iter().map(|hit| hit.delay / SAMPLES_PER_MS).collect();
    delays.sort_by(f64::total_cmp);
    let mut offsets: Vec<f64> = hits.iter().map(|hit| hit.offset / SAMPLES_PER_MS).collect();
    offsets.sort_by(f64::total_cmp);
    let shifted: f64 = hits.windows(2).map(|pair| (pair[1].lag - pair[0].lag).abs()).sum();
    let whole = (trace.passages.len() * PACKET).max(1) as f64;
    Figures {
        delay_mean_ms: delays.iter().sum::<f64>() / delays.len().max(1) as f64,
        delay_p95_ms: delays.get(delays.len() * 95 / 100).copied().unwrap_or(0.0),
        shifted_percent: 100.0 * shifted / whole,
        offset_ms: offsets.get(offsets.len() / 2).copied().unwrap_or(0.0),
        found_percent: 100.0 * delays.len() as f64 / f64::from(audible.max(1)),
    }
}

/// A packet that was found: samples from being sent, from its arrival, and from its place in the
/// input, to being played.
#[derive(Debug, Clone, Copy)]
struct Hit {
    lag: f64,
    delay: f64,
    offset: f64,
}

/// What is found all by itself somewhere else was found by mistake: invented sound repeats what
/// was said. A receiver that jumps stays where it jumped to.
fn believable(hits: &[Hit]) -> Vec<Hit> {
    let agree = |one: Option<&Hit>, other: &Hit| {
        one.is_some_and(|one| (one.lag - other.lag).abs() <= NEAR as f64)
    };
    let is_believable = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| hits.get(before));
        agree(before, &hits[at]) || agree(hits.get(at + 1), &hits[at])
    };
    (0..hits.len()).filter(|&at| is_believable(at)).map(|at| hits[at]).collect()
}

/// A time as a place in the sound.
fn samples(at: Instant) -> f64 {
    (at.as_nanos() as f64 - BEGIN.as_nanos() as f64) * RATE as f64 / 1e9
}

/// Looks for windows, each near where the one before was found.
struct Search<'a> {
    heard: &'a [f64],
    /// From being sent to being heard, in samples.
    lag: Option<f64>,
}

impl Search<'_> {
    /// Where the window is heard that was sent here.
    fn find(&mut self, window: &[f64], sent: f64) -> Option<f64> {
        let first = sent.max(0.0) as usize;
        let around = |reach| {
            let expected = (sent + self.lag?).max(0.0) as usize;
            Some(self.best(window, expected.saturating_sub(reach)..expected + reach + 1))
        };
        let good_enough = |likeness| move |hit: &(usize, f64)| hit.1 >= likeness;
        let (at, _) = (around(HERE).filter(good_enough(FOUND_HERE)))
            .or_else(|| around(NEAR).filter(good_enough(FOUND_NEAR)))
            .or_else(|| Some(self.best(window, first..first + REACH)).filter(good_enough(FOUND)))?;
        self.lag = Some(at as f64 - sent);
        Some(at as f64)
    }

    /// Where in `places` the window is most like what is heard, and how much (1 is the same).
    fn best(&self, window: &[f64], places: std::ops::Range<usize>) -> (usize, f64) {
        let own = energy(window);
        let mut best = (0, 0.0);
        for at in places {
            let Some(there) = self.heard.get(at..at + window.len()) else { break };
            let product: f64 = window.iter().zip(there).map(|(a, b)| a * b).sum();
            let likeness = product / (own * energy(there)).sqrt().max(1.0);
            if likeness > best.1 {
                best = (at, likeness);
            }
        }
        best
    }
}

fn energy(samples: &[f64]) -> f64 {
    samples.iter().map(|sample| sample * sample).sum()
}

/// The sound at the ruler's rate: means of neighbours. Good enough to find it again.
fn at_ruler_rate(sound: &Sound) -> Vec<f64> {
    let step = f64::from(sound.rate) / RATE as f64;
    let length = (sound.samples.len() as f64 / step) as usize;
    let mean = |index: usize| {
        let range = (index as f64 * step) as usize..((index + 1) as f64 * step) as usize;
        let all = &sound.samples[range];
        all.iter().map(|&sample| f64::from(sample)).sum::<f64>() / all.len() as f64
    };
    (0..length).map(mean).collect()
}

/// How long a packet lasts is the ruler's unit.
const _: () = assert!(PERIOD.as_millis() as usize * RATE == 1000 * PACKET);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::speech;
    use sim::Seed;
    use sim::network::profile::Profile;
    use std::time::Duration;

    fn trace() -> Trace {
        Profile::Clean.trace(BEGIN, 100, PERIOD, 200, &Seed::new(1))
    }

    fn heard(silence_ms: usize, sound: &[i16]) -> Sound {
        Sound { samples: [&vec![0; 8 * silence_ms][..], sound].concat(), rate: 8000 }
    }

    #[test]
    fn a_constant_delay_is_found_exactly() {
        let said = heard(0, &speech(8000, 2));
        let figures = measure(&said, &heard(50, &said.samples), &trace());
        let arrivals = trace().passages.into_iter().map(|p| p.arrival.unwrap().since(p.sent));
        let network = arrivals.sum::<Duration>().as_secs_f64() * 1000.0 / 100.0;
        assert!((figures.delay_mean_ms - (50.0 - network)).abs() < 0.2, "{figures:?}");
        assert!(figures.found_percent > 98.0, "{figures:?}");
        assert!(figures.shifted_percent < 0.01, "{figures:?}");
    }

    #[test]
    fn a_jump_of_the_delay_is_seen() {
        let said = heard(0, &speech(8000, 2));
        let (first, second) = said.samples.split_at(8000);
        let jumped = heard(30, &[first, &[0; 320], second].concat());
        let figures = measure(&said, &jumped, &trace());
        // 40 ms of 2 s; windows across the jump may be found a pitch period off.
        assert!((1.9..4.0).contains(&figures.shifted_percent), "{figures:?}");
        assert!(figures.delay_p95_ms - figures.delay_mean_ms > 15.0, "{figures:?}");
    }

    #[test]
    fn what_was_not_heard_is_not_found() {
        let said = heard(0, &speech(8000, 2));
        let mut holed = said.samples.clone();
        holed[4000..12_000].fill(0);
        let figures = measure(&said, &heard(30, &holed), &trace());
        assert!((40.0..55.0).contains(&figures.found_percent), "{figures:?}");
    }

    #[test]
    fn other_rates_are_measured_as_well() {
        let said = Sound { samples: speech(48_000, 2), rate: 48_000 };
        let figures = measure(&said, &said, &trace());
        assert!(figures.found_percent > 98.0, "{figures:?}");
    }
}
