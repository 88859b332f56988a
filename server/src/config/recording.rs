//! `[recording]`

use std::path::PathBuf;
use std::time::Duration;

use media_units::RateClass;
use recorder::naming::{Template, TemplateError};
use recorder_shelf::ShelfConfig;
use recorder_writer::{Format, SyncPolicy, TrackKind};
use serde::Deserialize;
use utoipa::ToSchema;

use super::reader::{Reader, Section};
use super::shelf::shelf;
use crate::recording::prompts::{self, PLAYABLE};

/// Recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Where files are written.
    pub folder: PathBuf,
    /// How files are named.
    pub name: Template,
    /// What kind of files.
    pub format: Format,
    /// The rate of all files; none: each at that of its tracks.
    pub rate: Option<RateClass>,
    /// Which tracks share a file.
    pub layout: Arrangement,
    /// Audio channels of the file that the tracks of a room share.
    pub channels: u16,
    /// What is kept of a room.
    pub room_tracks: Vec<TrackKind>,
    /// What is kept of a call.
    pub call_tracks: Vec<TrackKind>,
    /// How often what was written is made safe.
    pub flush: Duration,
    /// When the disk is asked to hold it.
    pub sync: SyncPolicy,
    /// Recordings at one time.
    pub max: u32,
    /// Octets of the ring between each shard and the recorder.
    pub ring: u64,
    /// Octets that may wait for the disk.
    pub queue: u64,
    /// The keys that begin and end the recording of a room.
    pub keys: Option<String>,
    /// The keys that let it pause and go on.
    pub pause_keys: Option<String>,
    /// The keys that mark a moment in it.
    pub mark_keys: Option<String>,
    /// What those are told who are recorded: a WAV file.
    pub announcement: Option<PathBuf>,
    /// How often a beep tells them.
    pub beep: Option<Duration>,
    /// What becomes of finished ones.
    pub shelf: ShelfConfig,
}

/// Which tracks share a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrangement {
    /// The two of a call; all others have their own.
    Stereo,
    /// None.
    Tracks,
    /// All for which it has audio channels.
    Multichannel,
}

/// When a room is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// When somebody who may asks for it.
    OnDemand,
    /// From its first member to its last.
    Always,
    /// Not even when asked for.
    Never,
}

/// Keys of one sequence at most.
const KEYS_MAX: usize = 8;

/// What there may be of a participant.
const OWN_TRACKS: [(&str, TrackKind); 3] =
    [("received", TrackKind::Received), ("sent", TrackKind::Sent), ("packets", TrackKind::Packets)];

/// What there may be of a room.
const ROOM_TRACKS: [(&str, TrackKind); 4] =
    [("mix", TrackKind::Mix), OWN_TRACKS[0], OWN_TRACKS[1], OWN_TRACKS[2]];

impl Recording {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let folder = section.path(
            "folder",
            "recordings",
            "Where the files are written; made when the first recording begins. One server only.",
        );
        let (name, format, rate) = (section.template(), section.format(), section.rate());
        let (layout, channels) = (section.layout(), section.channels());
        let room_tracks = section.choices(
            "room_tracks",
            &ROOM_TRACKS,
            &["mix"],
            "What is kept of a room: its whole mix, and of each member what it says, what it is \
             sent, and its RTP packets as they came.",
        );
        let call_tracks = section.choices(
            "call_tracks",
            &OWN_TRACKS,
            &["received", "sent"],
            "What is kept of a call that is recorded by itself.",
        );
        let rest = Self::limits(section, folder.clone());
        Self { folder, name, format, rate, layout, channels, room_tracks, call_tracks, ..rest }
    }

    /// Refuses keys that would never count beside others. Keys that end with others would: of several
    /// the longest do.
    pub(super) fn check_keys(&self, reader: &mut Reader<'_>) {
        let all = [
            ("recording.keys", self.keys.as_deref()),
            ("recording.pause_keys", self.pause_keys.as_deref()),
            ("recording.mark_keys", self.mark_keys.as_deref()),
        ];
        let all = all.iter().filter_map(|(path, keys)| Some((*path, (*keys)?)));
        for (path, keys) in all.clone() {
            if let Some((same, _)) = all.clone().find(|(_, others)| *others == keys)
                && same != path
            {
                let why = format!("the same keys as {same}; write others");
                reader.refuse(&[path, same], why);
            }
            // Keys are of one octet each.
            let begin = &keys[..keys.len() - 1];
            for (other, others) in all.clone().filter(|(_, others)| begin.contains(others)) {
                let why = format!(
                    "{other} (\"{others}\") counts before these are pressed to their end; write keys \
                     that have those at their end only, or not at all"
                );
                reader.refuse(&[path, other], why);
            }
        }
    }

    /// The keys that say how much and how safe; the rest is made up.
    fn limits(section: &mut Section<'_, '_>, folder: PathBuf) -> Self {
        let s = Duration::from_secs;
        Self {
            flush: section.duration(
                "flush",
                Duration::from_millis(500),
                Duration::from_millis(100)..=s(60),
                "How often what was heard is written into the journal: what a crash may cost.",
            ),
            sync: section.choice(
                "sync",
                &[("always", SyncPolicy::Always), ("never", SyncPolicy::Never)],
                "Whether the disk is asked to hold each flush, so that it survives a loss of \
                 power, or only a crash of the server.",
            ),
            max: section.count(
                "max",
                256,
                1..=16384,
                "Recordings at one time; a call that asks for one more is answered 503, a room \
                 goes on unrecorded.",
            ),
            ring: section.size(
                "ring",
                64 << 20,
                64 << 10..=4 << 30,
                "How much of all recordings of one shard may wait for the recorder; what is \
                 beyond it is a gap in the file, and counted. A second of 1,000 recordings at \
                 8 kHz takes 22 MiB.",
            ),
            queue: section.size(
                "queue",
                64 << 20,
                64 << 10..=16 << 30,
                "How much may wait for a slow disk; what is beyond it is a gap in the file, and \
                 counted.",
            ),
            keys: section.keys_or_off(
                "keys",
                "The keys by which a member of a room who may (`[[endpoint]]`) begins its \
                 recording, and ends it when pressed again. Keys count as soon as they are pressed; where \
                 some end with others, the longer ones do.",
            ),
            pause_keys: section.keys_or_off(
                "pause_keys",
                "The keys by which such a member lets it pause, and go on when pressed again.",
            ),
            mark_keys: section.keys_or_off(
                "mark_keys",
                "The keys by which such a member marks this moment in it; the mark's label is who it was.",
            ),
            announcement: section.parsed_or_off(
                "announcement",
                &format!("the path of {PLAYABLE}"),
                "What everyone who begins to be recorded hears once, in place of the room: that \
                 this call is recorded.",
                |text| prompts::check(text.as_ref()).map(|()| text.into()),
            ),
            beep: section.duration_or_off(
                "beep",
                s(5)..=s(600),
                "How often everyone who is recorded hears a beep of 0.2 s (1,400 Hz).",
            ),
            shelf: shelf(section, folder),
            folder: PathBuf::new(),
            name: Template::default(),
            format: Format::Wav,
            rate: None,
            layout: Arrangement::Stereo,
            channels: 1,
            room_tracks: Vec::new(),
            call_tracks: Vec::new(),
        }
    }
}

impl Section<'_, '_> {
    /// When rooms are recorded.
    pub(super) fn occasion(&mut self, usual: Occasion) -> Occasion {
        let mut choices = [
            ("on-demand", Occasion::OnDemand),
            ("always", Occasion::Always),
            ("never", Occasion::Never),
        ];
        choices.sort_by_key(|(_, occasion)| *occasion != usual);
        self.choice(
            "record",
            &choices,
            "When a room is recorded: when somebody who may asks for it, from its first member \
             to its last, or not even when asked for.",
        )
    }

    fn template(&mut self) -> Template {
        let usual = Template::default();
        let right = "letters, digits, - and _ with {time} and {number}, and any of {date}, {subject}, {caller}";
        let meaning = "How files are named, before their endings: `{time}` when the recording began \
                       (UTC), `{date}` on which day, `{number}` its number since the server started, \
                       `{subject}` the room or what was dialled (of a call to the recorder: who called), `{caller}` who called.";
        let read = |text: &str| text.parse().map_err(|error: TemplateError| error.to_string());
        self.parsed_or("name", &usual.to_string(), right, meaning, read).unwrap_or(usual)
    }

    fn format(&mut self) -> Format {
        self.choice(
            "format",
            &[("wav", Format::Wav), ("opus", Format::Opus), ("flac", Format::Flac)],
            "What kind of files: WAV, Opus in Ogg, or FLAC. Packets always go to pcapng.",
        )
    }

    fn layout(&mut self) -> Arrangement {
        self.choice(
            "layout",
            &[
                ("stereo", Arrangement::Stereo),
                ("tracks", Arrangement::Tracks),
                ("multichannel", Arrangement::Multichannel),
            ],
            "Which tracks share a file. `stereo`: the two of a call, the first left and the second \
             right; every other track has a file of its own. `tracks`: none. `multichannel`: all, an \
             audio channel each, as far as there are channels; what comes later has a file of its \
             own. Streams of recording sessions (SIPREC) have a file each.",
        )
    }

    fn channels(&mut self) -> u16 {
        let channels = self.count(
            "channels",
            8,
            1..=u32::from(Format::Wav.channels_max()),
            "Audio channels of a room's file where `layout` is `multichannel`; FLAC has 8 at most, \
             Opus 32. A call's file has as many as the call has tracks.",
        );
        u16::try_from(channels).unwrap_or(u16::MAX)
    }

    fn rate(&mut self) -> Option<RateClass> {
        self.choice(
            "rate",
            &[
                ("own", None),
                ("8kHz", Some(RateClass::Narrow)),
                ("16kHz", Some(RateClass::Wide)),
                ("48kHz", Some(RateClass::Full)),
            ],
            "The sample rate of all files, or to each that of its tracks as they begin.",
        )
    }

    /// Keys of a telephone, or `"off"`.
    fn keys_or_off(&mut self, name: &'static str, meaning: &'static str) -> Option<String> {
        let right = "up to 8 keys of 0-9, *, #, A-D, for example \"*1\"";
        self.parsed_or_off(name, right, meaning, |text| {
            let is_key = |key: char| key.is_ascii_digit() || "*#ABCD".contains(key);
            match text {
                "" => Err("no key".to_owned()),
                _ if text.len() > KEYS_MAX => Err("too many keys".to_owned()),
                _ if text.chars().all(is_key) => Ok(text.to_owned()),
                _ => Err("not only keys".to_owned()),
            }
        })
    }
}
