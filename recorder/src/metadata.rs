//! What is said about a recording, in a JSON file beside it. The format is described in
//! docs/recording-format.md.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::account::{Account, FileFacts, Layout, Note, Participant, TrackAccount, TrackKind};
use crate::gap::GapCause;
use crate::utc::Utc;

/// The version of the document.
pub const VERSION: u32 = 1;

/// Periods in a second.
const PERIODS: u64 = 50;

/// A finished recording. Positions and lengths are in samples of `clock_rate`, counted from the
/// first sample of all tracks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Of this document.
    pub version: u32,
    /// The name of all its files without their endings, relative to the folder of recordings.
    pub name: String,
    /// What it is of: a room's name, or who was called.
    pub subject: String,
    /// The room, where it is of one.
    pub room: Option<String>,
    /// The SIP Call-ID, where it is of one call.
    pub call_id: Option<String>,
    /// What else the control plane had to say.
    pub tags: BTreeMap<String, String>,
    /// When its first sample was (RFC 3339, UTC).
    pub started: String,
    /// When its last sample was.
    pub ended: String,
    /// Samples in a second of all positions here: the rate of the files where all have the same,
    /// else 48000.
    pub clock_rate: u32,
    /// Its length.
    pub samples: u64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Whether it was cut by a crash and repaired.
    pub cut: bool,
    /// How tracks are laid out in files.
    pub layout: Layout,
    /// Its files.
    pub files: Vec<FileEntry>,
    /// Its tracks.
    pub tracks: Vec<TrackEntry>,
    /// Everybody who is on it.
    pub participants: Vec<Participant>,
    /// From when to when something was so.
    pub spans: Vec<Span>,
    /// What happened, in the order of time.
    pub events: Vec<Happening>,
    /// What happened that is not in `events` for lack of room.
    pub events_omitted: u64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name, relative to the folder of recordings.
    pub name: String,
    /// What it is: `wav`, `opus`, `flac`, `pcapng`.
    pub format: String,
    /// Samples in a second; 0 for packets.
    pub sample_rate: u32,
    /// Audio channels; 0 for packets.
    pub channels: u16,
    /// Samples of each audio channel; 0 for packets.
    pub samples: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// CRC-32 (that of zip and PNG) of all its bytes, in hexadecimal digits.
    pub crc32: String,
    /// The name of its waveform preview.
    pub peaks: Option<String>,
}

/// A track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackEntry {
    /// Short, unique in the recording.
    pub label: String,
    /// What kind of sound.
    pub kind: TrackKind,
    /// The id of who is heard, where it is one person.
    pub participant: Option<String>,
    /// The name of its file.
    pub file: String,
    /// Which audio channel of it, from 0.
    pub channel: u16,
    /// Where its sound begins; what is before is silence.
    pub start_sample: u64,
    /// Where its sound ends; what is after is silence.
    pub end_sample: u64,
    /// Samples in all gaps.
    pub gap_samples: u64,
    /// Gaps that are not in `gaps` for lack of room.
    pub gaps_omitted: u64,
    /// What it lacks, and why.
    pub gaps: Vec<GapEntry>,
}

/// A part of a track that is not what was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapEntry {
    /// Its first sample.
    pub start_sample: u64,
    /// How many.
    pub samples: u64,
    /// Why.
    pub cause: GapCause,
}

/// What lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// Nobody heard that one.
    Muted,
    /// The call was on hold.
    Held,
    /// That one talked.
    Talk,
    /// Nothing was kept.
    Paused,
}

/// From when to when something was so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// What.
    pub kind: SpanKind,
    /// Whose id, where it is about one.
    pub participant: Option<String>,
    /// Since when.
    pub start_sample: u64,
    /// For how long.
    pub samples: u64,
}

/// What happened at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When (RFC 3339, UTC).
    pub time: String,
    /// When.
    pub sample: u64,
    /// What.
    #[serde(flatten)]
    pub note: Note,
}

/// What is found out of a file when it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sealed {
    /// Its length.
    pub bytes: u64,
    /// Samples of each audio channel; of packets, how many periods they took.
    pub samples: u64,
    /// CRC-32 of all its bytes.
    pub crc32: u32,
}

impl Metadata {
    /// The document of an account whose files are complete.
    pub fn of(account: &Account, sealed: &[Sealed]) -> Self {
        let clock = Clock::of(account);
        let files = files(account, sealed);
        let lengths =
            account.files.iter().zip(sealed).map(|(file, sealed)| clock.length(file, sealed));
        let samples = lengths.max().unwrap_or_default();
        let length_nanos = u128::from(samples) * 1_000_000_000 / u128::from(clock.rate);
        let ended = clock.origin_unix_nanos.saturating_add(length_nanos as u64);
        let mut notes: Vec<&(u64, Note)> = account.notes.iter().collect();
        notes.sort_by_key(|(unix_nanos, _)| *unix_nanos);
        Self {
            version: VERSION,
            name: account.name.clone(),
            subject: account.about.subject.clone(),
            room: account.about.room.clone(),
            call_id: account.about.call_id.clone(),
            tags: tags(account, &notes),
            started: Utc::from_unix_nanos(clock.origin_unix_nanos).rfc3339(),
            ended: Utc::from_unix_nanos(ended).rfc3339(),
            clock_rate: clock.rate,
            samples,
            seconds: samples as f64 / f64::from(clock.rate),
            cut: !account.ended,
            layout: account.layout.unwrap_or(Layout::PerTrack),
            files,
            tracks: account
                .tracks
                .iter()
                .map(|track| clock.track(account, track, samples))
                .collect(),
            participants: participants(account),
            spans: clock.spans(&notes, samples),
            events: notes
                .into_iter()
                .filter(|(_, note)| !matches!(note, Note::Tag { .. }))
                .map(|(at, note)| clock.happening(*at, note, samples))
                .collect(),
            events_omitted: account.notes_omitted,
        }
    }

    /// As the file holds it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json =
            serde_json::to_vec_pretty(self).expect("strings and numbers always have a JSON form");
        json.push(b'\n');
        json
    }

    /// Reads the file. None where it is not such a document.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        let metadata: Self = serde_json::from_slice(bytes).ok()?;
        (metadata.version == VERSION).then_some(metadata)
    }
}

fn files(account: &Account, sealed: &[Sealed]) -> Vec<FileEntry> {
    let entry = |(file, sealed): (&FileFacts, &Sealed)| FileEntry {
        name: file.name.clone(),
        format: file.format.clone(),
        sample_rate: file.sample_rate,
        channels: file.channels,
        samples: if file.sample_rate == 0 { 0 } else { sealed.samples },
        bytes: sealed.bytes,
        crc32: format!("{:08x}", sealed.crc32),
        peaks: file.peaks.clone(),
    };
    account.files.iter().zip(sealed).map(entry).collect()
}

/// What was told at the beginning, and the last word of what was told later.
fn tags(account: &Account, notes: &[&(u64, Note)]) -> BTreeMap<String, String> {
    let mut tags = account.about.tags.clone();
    tags.extend(notes.iter().filter_map(|(_, note)| match note {
        Note::Tag { name, value } => Some((name.clone(), value.clone())),
        _ => None,
    }));
    tags
}

/// Everybody, once, in the order in which they were told.
fn participants(account: &Account) -> Vec<Participant> {
    let of_tracks = account.tracks.iter().filter_map(|track| track.facts.participant.as_ref());
    let of_notes = account.notes.iter().filter_map(|(_, note)| match note {
        Note::Joined { participant } => Some(participant),
        _ => None,
    });
    let mut known = BTreeSet::new();
    of_tracks.chain(of_notes).filter(|one| known.insert(one.id.clone())).cloned().collect()
}

/// Brings everything onto the recording's clock.
struct Clock {
    origin_unix_nanos: u64,
    rate: u32,
}

impl Clock {
    fn of(account: &Account) -> Self {
        let mut rates = account.files.iter().map(|file| file.sample_rate).filter(|&rate| rate > 0);
        let first = rates.next();
        let rate = first.filter(|&first| rates.all(|rate| rate == first)).unwrap_or(48_000);
        let told = account.notes.iter().map(|(unix_nanos, _)| *unix_nanos).min();
        let origin_unix_nanos = account.origin_unix_nanos.or(told).unwrap_or_default();
        Self { origin_unix_nanos, rate }
    }

    fn samples(&self, periods: u64) -> u64 {
        periods.saturating_mul(u64::from(self.rate) / PERIODS)
    }

    /// How long a file is.
    fn length(&self, file: &FileFacts, sealed: &Sealed) -> u64 {
        match file.sample_rate {
            0 => self.samples(sealed.samples),
            rate => sealed.samples.saturating_mul(u64::from(self.rate)) / u64::from(rate),
        }
    }

    /// The place of a moment. What was before the first sample is at the first sample.
    fn sample_at(&self, unix_nanos: u64) -> u64 {
        let nanos = u128::from(unix_nanos.saturating_sub(self.origin_unix_nanos));
        (nanos * u128::from(self.rate) / 1_000_000_000) as u64
    }

    fn track(&self, account: &Account, track: &TrackAccount, end: u64) -> TrackEntry {
        let facts = &track.facts;
        let place =
            |period: Option<u64>| period.map_or(end, |period| self.samples(period).min(end));
        let start_sample = place(track.first);
        let end_sample = place(track.last).max(start_sample);
        let gap = |gap: &crate::Gap| GapEntry {
            start_sample: self.samples(gap.start),
            samples: self.samples(gap.periods),
            cause: gap.cause,
        };
        TrackEntry {
            label: facts.label.clone(),
            kind: facts.kind,
            participant: facts.participant.as_ref().map(|one| one.id.clone()),
            file: account
                .files
                .get(facts.file as usize)
                .map(|file| file.name.clone())
                .unwrap_or_default(),
            channel: facts.channel,
            start_sample,
            end_sample,
            gap_samples: self.samples(track.gaps.periods),
            gaps_omitted: track.gaps.unmarked,
            gaps: track.gaps.marks.iter().map(gap).collect(),
        }
    }

    /// What was after the last sample is at the end.
    fn happening(&self, unix_nanos: u64, note: &Note, end: u64) -> Happening {
        Happening {
            time: Utc::from_unix_nanos(unix_nanos).rfc3339(),
            sample: self.sample_at(unix_nanos).min(end),
            note: note.clone(),
        }
    }

    /// Each beginning with its end; what never ended lasts until the recording's end.
    fn spans(&self, notes: &[&(u64, Note)], end: u64) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut open: BTreeMap<(u8, Option<&str>), usize> = BTreeMap::new();
        for (unix_nanos, note) in notes {
            let Some((kind, participant, begins)) = lasting(note) else { continue };
            let sample = self.sample_at(*unix_nanos).min(end);
            let key = (kind as u8, participant);
            if begins {
                open.entry(key).or_insert_with(|| {
                    let participant = participant.map(str::to_owned);
                    spans.push(Span { kind, participant, start_sample: sample, samples: 0 });
                    spans.len() - 1
                });
            } else if let Some(index) = open.remove(&key) {
                spans[index].samples = sample.saturating_sub(spans[index].start_sample);
            }
        }
        for index in open.into_values() {
            spans[index].samples = end.saturating_sub(spans[index].start_sample);
        }
        spans
    }
}

/// What begins or ends with a note, for whom.
fn lasting(note: &Note) -> Option<(SpanKind, Option<&str>, bool)> {
    Some(match note {
        Note::Muted { participant } => (SpanKind::Muted, Some(participant), true),
        Note::Unmuted { participant } => (SpanKind::Muted, Some(participant), false),
        Note::Held { participant } => (SpanKind::Held, Some(participant), true),
        Note::Unheld { participant } => (SpanKind::Held, Some(participant), false),
        Note::TalkStarted { participant } => (SpanKind::Talk, Some(participant), true),
        Note::TalkStopped { participant } => (SpanKind::Talk, Some(participant), false),
        Note::Paused => (SpanKind::Paused, None, true),
        Note::Resumed => (SpanKind::Paused, None, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::account::{About, Fact, TrackFacts};
    use crate::gap::Gap;

    const STARTED: u64 = 1_735_689_600_123_000_000;

    fn account(rates: &[u32]) -> Account {
        let mut account = Account::default();
        let about = About {
            subject: "line\n\"quoted\" \u{1f399}".into(),
            call_id: Some("a@b".into()),
            ..About::default()
        };
        let (name, layout) = ("x/y".to_owned(), Layout::PerTrack);
        account.add(Fact::Begun { version: 1, name, layout, about });
        account.add(Fact::Origin { unix_nanos: STARTED });
        for (index, &sample_rate) in rates.iter().enumerate() {
            let (name, format) = (format!("x/y-{index}.wav"), "wav".to_owned());
            account.add(Fact::File(FileFacts {
                name,
                format,
                sample_rate,
                channels: 1,
                peaks: None,
            }));
            let id = format!("p{index}");
            let participant =
                Some(Participant { uri: format!("sip:{id}@x"), id, display_name: None });
            let (label, kind) = (format!("t{index}"), TrackKind::Received);
            let file = index as u32;
            account.add(Fact::Track(TrackFacts { label, kind, participant, file, channel: 0 }));
        }
        account
    }

    #[test]
    fn the_last_word_of_a_tag_counts_and_is_no_event() {
        let mut account = account(&[8000]);
        for (at, value) in [(1, "one"), (3, "three"), (2, "two")] {
            let note = Note::Tag { name: "which".into(), value: value.into() };
            account.add(Fact::Note { unix_nanos: STARTED + at, note });
        }
        let metadata = Metadata::of(&account, &[]);
        assert_eq!(metadata.tags, BTreeMap::from([("which".to_owned(), "three".to_owned())]));
        assert!(!metadata.events.iter().any(|event| matches!(event.note, Note::Tag { .. })));
    }

    #[test]
    fn what_is_told_after_the_last_sample_is_at_the_end() {
        let mut account = account(&[8000]);
        let note = Note::Left { participant: "p0".into() };
        account.add(Fact::Note { unix_nanos: STARTED + 230_000_000, note });
        let metadata = Metadata::of(&account, &[Sealed { bytes: 0, samples: 1600, crc32: 0 }]);
        assert_eq!(metadata.events[0].sample, 1600);
        assert_eq!(metadata.events[0].time, "2025-01-01T00:00:00.353Z");
    }

    #[test]
    fn the_document_tells_when_what_how_long_and_what_is_missing() {
        let mut account = account(&[8000]);
        account.add(Fact::First { track: 0, period: 1 });
        account.add(Fact::Last { track: 0, period: 9 });
        let gap = Gap { start: 1, periods: 2, cause: GapCause::Concealed };
        account.add(Fact::Gap { track: 0, gap });
        let muted = Note::Muted { participant: "p0".into() };
        account.add(Fact::Note { unix_nanos: STARTED + 100_000_000, note: muted });
        account.add(Fact::Ended);
        let sealed = Sealed { bytes: 3244, samples: 1600, crc32: 0xbeef };
        let metadata = Metadata::of(&account, &[sealed]);
        let json = metadata.to_json();
        assert_eq!(Metadata::from_json(&json), Some(metadata));
        let document: Value = serde_json::from_slice(&json).unwrap();
        let expected = json!({
            "version": 1,
            "name": "x/y",
            "subject": "line\n\"quoted\" \u{1f399}",
            "room": null,
            "call_id": "a@b",
            "tags": {},
            "started": "2025-01-01T00:00:00.123Z",
            "ended": "2025-01-01T00:00:00.323Z",
            "clock_rate": 8000,
            "samples": 1600,
            "seconds": 0.2,
            "cut": false,
            "layout": "per_track",
            "files": [{
                "name": "x/y-0.wav", "format": "wav", "sample_rate": 8000, "channels": 1,
                "samples": 1600, "bytes": 3244, "crc32": "0000beef", "peaks": null,
            }],
            "tracks": [{
                "label": "t0", "kind": "received", "participant": "p0", "file": "x/y-0.wav",
                "channel": 0, "start_sample": 160, "end_sample": 1440, "gap_samples": 320,
                "gaps_omitted": 0,
                "gaps": [{ "start_sample": 160, "samples": 320, "cause": "concealed" }],
            }],
            "participants": [{ "id": "p0", "uri": "sip:p0@x", "display_name": null }],
            "spans": [{
                "kind": "muted", "participant": "p0", "start_sample": 800, "samples": 800
            }],
            "events": [{
                "time": "2025-01-01T00:00:00.223Z", "sample": 800, "event": "muted",
                "participant": "p0",
            }],
            "events_omitted": 0,
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn files_of_different_rates_share_a_clock_of_48000() {
        let sealed = |samples| Sealed { bytes: 1, samples, crc32: 0 };
        let metadata = Metadata::of(&account(&[8000, 16_000]), &[sealed(8000), sealed(16_000)]);
        assert_eq!((metadata.clock_rate, metadata.samples, metadata.cut), (48_000, 48_000, true));
        assert_eq!(metadata.files[0].samples, 8000);
        assert_eq!(metadata.files[1].samples, 16_000);
    }

    #[test]
    fn spans_pair_beginnings_with_ends_of_the_same_one() {
        let mut account = account(&[8000]);
        let at = |millis: u64| STARTED + millis * 1_000_000;
        let one = || "one".to_owned();
        let notes = [
            (0, Note::TalkStarted { participant: one() }),
            (10, Note::TalkStarted { participant: one() }),
            (20, Note::Paused),
            (30, Note::TalkStopped { participant: "two".into() }),
            (40, Note::TalkStopped { participant: one() }),
            (60, Note::Resumed),
            (100, Note::Held { participant: one() }),
        ];
        for (millis, note) in notes {
            account.add(Fact::Note { unix_nanos: at(millis), note });
        }
        let metadata = Metadata::of(&account, &[Sealed { bytes: 0, samples: 1600, crc32: 0 }]);
        let spans: Vec<_> = metadata
            .spans
            .iter()
            .map(|span| (span.kind, span.start_sample, span.samples))
            .collect();
        let expected =
            [(SpanKind::Talk, 0, 320), (SpanKind::Paused, 160, 320), (SpanKind::Held, 800, 800)];
        assert_eq!(spans, expected);
    }
}
