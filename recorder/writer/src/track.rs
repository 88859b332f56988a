//! A track of a recording: where its sound goes, and what it lacks.

use std::net::SocketAddr;

use media_units::RateClass;
use recorder::account::{Fact, Participant, TrackKind};
use recorder::portion::{Portion, Run, What};
use recorder::{Gap, GapCause};

use crate::sound::Waiting;
use crate::writer::TrackStart;

/// Where the sound of a track goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// To one of the voices of a file.
    Sound { file: usize, voice: usize },
    /// To the file of packets.
    Packets,
    /// Nowhere yet: its file is made when its rate is known.
    Undecided,
}

#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) kind: TrackKind,
    pub(crate) label: String,
    pub(crate) participant: Option<Participant>,
    /// Its audio channel in the file that tracks share; none: it has a file of its own.
    pub(crate) channel: Option<u16>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) place: Place,
    /// What came before it had a place.
    pub(crate) early: Portion,
    /// The rate of its tap, even where that is silent.
    pub(crate) class: Option<RateClass>,
    pub(crate) first: Option<u64>,
    /// The first period that never came.
    pub(crate) end: u64,
    /// Where its tap ended.
    pub(crate) last: Option<u64>,
    /// Its number in the account, once that knows it.
    pub(crate) number: Option<u32>,
    /// Up to here the account tells what it lacks.
    accounted: Option<u64>,
    is_last_told: bool,
}

impl Track {
    pub(crate) fn new(start: TrackStart, channel: Option<u16>) -> Self {
        Self {
            kind: start.kind,
            label: start.label,
            participant: start.participant,
            channel,
            local: start.local,
            place: Place::Undecided,
            early: Portion::default(),
            class: None,
            first: None,
            end: 0,
            last: None,
            number: None,
            accounted: None,
            is_last_told: false,
        }
    }

    /// Its own rate, as far as it is known: the highest that it begins with.
    pub(crate) fn rate(&self) -> Option<RateClass> {
        self.early.widest().or(self.class)
    }

    /// What is to be told of it up to the period `to`: where it begins and ends, and its gaps.
    /// `waiting` is what came of its sound since the last time, `origin` the recording's first period.
    pub(crate) fn facts(&mut self, waiting: Option<&Waiting>, origin: u64, to: u64) -> Vec<Fact> {
        let mut facts = Vec::new();
        let (Some(track), Some(first)) = (self.number, self.first.map(|first| first.max(origin)))
        else {
            return facts;
        };
        if first >= to {
            return facts;
        }
        let from = self.accounted.unwrap_or_else(|| {
            facts.push(Fact::First { track, period: first - origin });
            first
        });
        let end = self.last.map_or(to, |last| last.min(to));
        // Of what has not come it is not known what became of it: it is behind the others.
        let rest = if self.last.is_none() { GapCause::Late } else { GapCause::Overrun };
        let gaps = waiting.map(|waiting| gaps(waiting.between(from, end), from, end, rest));
        for (start, periods, cause) in gaps.into_iter().flatten() {
            facts.push(Fact::Gap { track, gap: Gap { start: start - origin, periods, cause } });
        }
        self.accounted = Some(to);
        if let Some(last) = self.last.filter(|&last| last <= to && !self.is_last_told) {
            self.is_last_told = true;
            facts.push(Fact::Last { track, period: last.saturating_sub(origin) });
        }
        facts
    }
}

/// The parts between two periods that are not what was said: start, length, cause. What is missing
/// between what came found no room in the ring; what is missing at the end has the cause `rest`.
fn gaps<'a>(
    runs: impl Iterator<Item = (Run, &'a [i16])>,
    from: u64,
    to: u64,
    rest: GapCause,
) -> Vec<(u64, u64, GapCause)> {
    let mut found: Vec<(u64, u64, GapCause)> = Vec::new();
    let mut mark = |start: u64, end: u64, cause| match found.last_mut() {
        _ if start >= end => {}
        Some(last) if last.2 == cause && last.0 + last.1 == start => last.1 += end - start,
        _ => found.push((start, end - start, cause)),
    };
    let mut at = from;
    for (run, _) in runs {
        mark(at, run.first, GapCause::Overrun);
        match run.what {
            What::Sound { concealed: true, .. } => mark(run.first, run.end(), GapCause::Concealed),
            What::Silence(Some(cause)) => mark(run.first, run.end(), cause),
            What::Sound { .. } | What::Silence(None) => {}
        }
        at = run.end();
    }
    mark(at, to, rest);
    found
}

#[cfg(test)]
mod tests {
    use recorder::portion::Scattered;

    use super::*;

    #[test]
    fn holes_concealment_and_silence_with_a_cause_are_gaps() {
        let (mut scattered, mut sound) = (Scattered::default(), Vec::new());
        let spoken = |concealed| What::Sound { class: RateClass::Narrow, concealed };
        let muted = What::Silence(Some(GapCause::Muted));
        for (period, what) in [
            (10, spoken(false)),
            (12, spoken(true)),
            (13, spoken(true)),
            (14, muted),
            (15, What::Silence(None)),
        ] {
            let samples: &[i16] = if matches!(what, What::Sound { .. }) { &[1; 160] } else { &[] };
            scattered.push(period, what, samples, &mut sound).unwrap();
        }
        let mut portion = Portion::default();
        portion.gather(&scattered, &sound);
        let expected = [
            (9, 1, GapCause::Overrun),
            (11, 1, GapCause::Overrun),
            (12, 2, GapCause::Concealed),
            (14, 1, GapCause::Muted),
            (16, 2, GapCause::Late),
        ];
        let gaps = |from, to| gaps(portion.between(from, to), from, to, GapCause::Late);
        assert_eq!(gaps(9, 18), expected);
        assert_eq!(gaps(15, 16), []);
        assert_eq!(gaps(16, 16), []);
    }
}
