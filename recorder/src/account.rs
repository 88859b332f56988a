//! The account of a recording: everything that is to be known about it but its sound, as facts
//! that are only ever added. While the recording grows they are lines of a file beside it; read
//! again after a crash, they give the same account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gap::{Gap, GapMarks};

/// Notes that one account keeps. Of later ones only the number is known.
pub const NOTES_MAX: usize = 10_000;

/// Tracks and files that one account keeps.
pub const TRACKS_MAX: usize = 1024;

/// What kind of sound a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackKind {
    /// A participant as heard: decoded, before the mix.
    Received,
    /// What a participant was sent, before encoding.
    Sent,
    /// The whole mix of a room.
    Mix,
    /// RTP packets as they came.
    Packets,
}

/// How tracks are laid out in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A file for each track.
    PerTrack,
    /// One file: the first track left, the second right.
    Stereo,
    /// One file with so many audio channels.
    Multichannel(u16),
}

/// Somebody who is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Participant {
    /// Unique in the recording.
    pub id: String,
    /// The SIP URI.
    pub uri: String,
    /// The display name, where there is one.
    pub display_name: Option<String>,
}

/// What a recording is of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct About {
    /// For people: a room's name, or who was called.
    pub subject: String,
    /// The room, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The SIP Call-ID, where it is of one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// Whatever else the control plane wants to be known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// What happened, in words of the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Note {
    /// Somebody is there.
    Joined {
        /// Who.
        participant: Participant,
    },
    /// Somebody is gone.
    Left {
        /// Whose id.
        participant: String,
    },
    /// Nobody hears that one now.
    Muted {
        /// Whose id.
        participant: String,
    },
    /// That one is heard again.
    Unmuted {
        /// Whose id.
        participant: String,
    },
    /// The call is on hold.
    Held {
        /// Whose id.
        participant: String,
    },
    /// The call goes on.
    Unheld {
        /// Whose id.
        participant: String,
    },
    /// That one begins to talk.
    TalkStarted {
        /// Whose id.
        participant: String,
    },
    /// That one has talked.
    TalkStopped {
        /// Whose id.
        participant: String,
    },
    /// A key was pressed. Which one is not kept.
    Digit {
        /// Whose id.
        participant: String,
    },
    /// What that one's endpoint speaks from now on.
    Codec {
        /// Whose id.
        participant: String,
        /// The name in SDP.
        codec: String,
    },
    /// A mark that somebody asked for.
    Mark {
        /// What it is to say.
        label: String,
    },
    /// Something else that is to be known, by its name: among the tags of the metadata, where the
    /// last word counts.
    Tag {
        /// What it is.
        name: String,
        /// What is to be known.
        value: String,
    },
    /// Nothing is kept from here on.
    Paused,
    /// The recording goes on.
    Resumed,
}

/// A file of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its name, relative to the folder of recordings.
    pub name: String,
    /// How it ends: `wav`, `opus`, `flac`, `pcapng`.
    pub format: String,
    /// Samples in a second; 0 for packets.
    pub sample_rate: u32,
    /// Audio channels; 0 for packets.
    pub channels: u16,
    /// The waveform preview, where it has one.
    pub peaks: Option<String>,
}

/// A track of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackFacts {
    /// Short, unique in the recording.
    pub label: String,
    /// What kind of sound.
    pub kind: TrackKind,
    /// Who is heard, where it is one person.
    pub participant: Option<Participant>,
    /// Which of the recording's files.
    pub file: u32,
    /// Which audio channel of it.
    pub channel: u16,
}

/// How much of a file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Its length in bytes.
    pub bytes: u64,
    /// Periods of sound that went into it.
    pub periods: u64,
}

/// One line of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The recording exists. Always the first.
    Begun {
        /// Of this format.
        version: u32,
        /// The name of all its files without their endings.
        name: String,
        /// How tracks are laid out.
        layout: Layout,
        /// What it is of.
        about: About,
    },
    /// When its first sample was, on the wall clock.
    Origin {
        /// Nanoseconds from the Unix epoch.
        unix_nanos: u64,
    },
    /// It has one more file.
    File(FileFacts),
    /// It has one more track.
    Track(TrackFacts),
    /// A track's tap brought its first block.
    First {
        /// Which track.
        track: u32,
        /// Where it begins.
        period: u64,
    },
    /// A track's tap has ended.
    Last {
        /// Which track.
        track: u32,
        /// The first period after it.
        period: u64,
    },
    /// A part of a track is not what was said.
    Gap {
        /// Which track.
        track: u32,
        /// Which part, and why.
        gap: Gap,
    },
    /// Something happened.
    Note {
        /// When, in nanoseconds from the Unix epoch.
        unix_nanos: u64,
        /// What.
        note: Note,
    },
    /// So much of each file is whole.
    Kept {
        /// In the order of the files.
        files: Vec<Kept>,
    },
    /// It ended as it should.
    Ended,
}

/// The version of what [`Fact::Begun`] begins.
pub const VERSION: u32 = 1;

/// One track, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackAccount {
    /// What it is.
    pub facts: TrackFacts,
    /// Where it begins.
    pub first: Option<u64>,
    /// Where its tap ended.
    pub last: Option<u64>,
    /// What it lacks.
    pub gaps: GapMarks,
}

/// All facts together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The name of all its files without their endings.
    pub name: String,
    /// How tracks are laid out.
    pub layout: Option<Layout>,
    /// What it is of.
    pub about: About,
    /// When its first sample was.
    pub origin_unix_nanos: Option<u64>,
    /// Its files.
    pub files: Vec<FileFacts>,
    /// Its tracks.
    pub tracks: Vec<TrackAccount>,
    /// What happened, in the order in which it was told.
    pub notes: Vec<(u64, Note)>,
    /// What happened beyond [`NOTES_MAX`].
    pub notes_omitted: u64,
    /// How much of each file is whole.
    pub kept: Vec<Kept>,
    /// Whether it ended as it should.
    pub ended: bool,
}

impl Account {
    /// Adds a fact. What makes no sense (a track that is not there) changes nothing.
    pub fn add(&mut self, fact: Fact) {
        match fact {
            Fact::Begun { name, layout, about, .. } => {
                (self.name, self.layout, self.about) = (name, Some(layout), about);
            }
            Fact::Origin { unix_nanos } => self.origin_unix_nanos = Some(unix_nanos),
            Fact::File(facts) if self.files.len() < TRACKS_MAX => self.files.push(facts),
            Fact::Track(facts) if self.tracks.len() < TRACKS_MAX => {
                let gaps = GapMarks::default();
                self.tracks.push(TrackAccount { facts, first: None, last: None, gaps });
            }
            Fact::File(_) | Fact::Track(_) => {}
            Fact::First { track, period } => {
                self.with_track(track, |track| track.first = Some(period));
            }
            Fact::Last { track, period } => {
                self.with_track(track, |track| track.last = Some(period));
            }
            Fact::Gap { track, gap } => self.with_track(track, |track| track.gaps.mark(gap)),
            Fact::Note { unix_nanos, note } if self.notes.len() < NOTES_MAX => {
                self.notes.push((unix_nanos, note));
            }
            Fact::Note { .. } => self.notes_omitted += 1,
            Fact::Kept { files } => self.kept = files,
            Fact::Ended => self.ended = true,
        }
    }

    fn with_track(&mut self, track: u32, change: impl FnOnce(&mut TrackAccount)) {
        if let Some(track) = self.tracks.get_mut(track as usize) {
            change(track);
        }
    }

    /// The account that these lines give, where files have such lengths. It ends with the last
    /// line of lengths that the files reach; what comes later was not kept whole. None where the
    /// lines do not begin like an account of this version.
    pub fn read(lines: &[u8], length: impl Fn(&FileFacts) -> u64) -> Option<Self> {
        let facts: Vec<Fact> = lines
            .split_inclusive(|&byte| byte == b'\n')
            .map_while(|line| serde_json::from_slice(line.strip_suffix(b"\n")?).ok())
            .collect();
        if !matches!(facts.first(), Some(Fact::Begun { version: VERSION, .. })) {
            return None;
        }
        let mut lengths = Vec::new();
        let mut end = None;
        for (index, fact) in facts.iter().enumerate() {
            match fact {
                Fact::File(file) => lengths.push(length(file)),
                Fact::Kept { files } => {
                    let there = lengths.iter().zip(files).all(|(&there, kept)| there >= kept.bytes);
                    if !there {
                        end = end.or(Some(index));
                        break;
                    }
                    end = Some(index + 1);
                }
                _ => {}
            }
        }
        let mut account = Self::default();
        let whole = end.unwrap_or(facts.len());
        facts.into_iter().take(whole).for_each(|fact| account.add(fact));
        Some(account)
    }

    /// One more line for the file.
    pub fn line(fact: &Fact, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, fact).expect("facts always have a JSON form");
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::GapCause;

    fn file(name: &str) -> Fact {
        let (name, format) = (name.to_owned(), "wav".to_owned());
        Fact::File(FileFacts { name, format, sample_rate: 8000, channels: 1, peaks: None })
    }

    fn kept(bytes: &[u64]) -> Fact {
        Fact::Kept { files: bytes.iter().map(|&bytes| Kept { bytes, periods: bytes }).collect() }
    }

    fn begun() -> Fact {
        let (name, about) = ("a/b".to_owned(), About::default());
        Fact::Begun { version: VERSION, name, layout: Layout::PerTrack, about }
    }

    fn mark() -> Fact {
        Fact::Note { unix_nanos: 5, note: Note::Mark { label: "here".into() } }
    }

    fn lines(facts: &[Fact]) -> Vec<u8> {
        let mut lines = Vec::new();
        for fact in facts {
            Account::line(fact, &mut lines);
        }
        lines
    }

    #[test]
    fn lines_read_again_give_the_same_account() {
        let gap = Gap { start: 1, periods: 2, cause: GapCause::Muted };
        let participant =
            Some(Participant { id: "p".into(), uri: "sip:p@x".into(), display_name: None });
        let (label, kind) = ("one".to_owned(), TrackKind::Received);
        let track = TrackFacts { label, kind, participant, file: 0, channel: 0 };
        let facts = [
            begun(),
            file("a/b.wav"),
            Fact::Track(track),
            Fact::Origin { unix_nanos: 9 },
            Fact::First { track: 0, period: 3 },
            Fact::Gap { track: 0, gap },
            Fact::Gap { track: 9, gap },
            mark(),
            Fact::Last { track: 0, period: 8 },
            Fact::Ended,
            kept(&[100]),
        ];
        let mut account = Account::default();
        facts.iter().cloned().for_each(|fact| account.add(fact));
        assert_eq!(Account::read(&lines(&facts), |_| 100), Some(account));
    }

    #[test]
    fn what_is_told_after_the_lengths_that_files_reach_is_left_out() {
        let facts =
            [begun(), file("one"), file("two"), kept(&[10, 20]), mark(), kept(&[20, 30]), mark()];
        let read = |one: u64, two: u64| {
            let length = |file: &FileFacts| if file.name == "one" { one } else { two };
            let account = Account::read(&lines(&facts), length).unwrap();
            (account.kept.first().map(|kept| kept.bytes), account.notes.len())
        };
        assert_eq!(read(25, 30), (Some(20), 1));
        assert_eq!(read(25, 29), (Some(10), 0));
        assert_eq!(read(0, 99), (None, 0));
    }

    #[test]
    fn what_is_no_account_is_none() {
        assert_eq!(Account::read(b"", |_| 0), None);
        assert_eq!(Account::read(&lines(&[mark(), begun()]), |_| 0), None);
        let other =
            r#"{"fact":"begun","version":2,"name":"","layout":"stereo","about":{"subject":""}}"#;
        assert_eq!(Account::read(format!("{other}\n").as_bytes(), |_| 0), None);
    }

    proptest! {
        #[test]
        fn any_cut_gives_an_account_of_before_it_or_none(cut in 0_usize..400) {
            let facts = [begun(), file("one"), kept(&[1]), mark(), kept(&[2]), mark(), kept(&[3])];
            let whole = lines(&facts);
            let account = Account::read(&whole[..cut.min(whole.len())], |_| 3);
            if let Some(account) = account {
                prop_assert!(account.notes.len() <= 2);
                prop_assert_eq!(account.name, "a/b");
            } else {
                prop_assert!(cut <= lines(&facts[..1]).len());
            }
        }

        #[test]
        fn any_lines_can_be_read(lines in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Account::read(&lines, |_| 0);
        }
    }
}
