//! `[recording]`

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Section;

/// Recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Where files are written.
    pub folder: PathBuf,
    /// How often what was written is made safe.
    pub flush: Duration,
    /// Recordings at one time.
    pub max: u32,
    /// Octets of the ring between each shard and the writer.
    pub ring: u64,
    /// The keys that begin and end the recording of a room.
    pub keys: Option<String>,
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

impl Recording {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let s = Duration::from_secs;
        Self {
            folder: section.path(
                "folder",
                "recordings",
                "Where the files are written; made when the first recording begins.",
            ),
            flush: section.duration(
                "flush",
                s(5),
                s(1)..=s(3600),
                "How often what was heard is written and the file's header brought up to date: \
                 what a crash may cost.",
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
                 beyond it is a gap in the file, and counted. A second of 1,000 tracks at 8 kHz \
                 takes 22 MiB.",
            ),
            keys: section.keys_or_off(
                "keys",
                "The keys by which a member of a room who may (`[[endpoint]]`) begins its \
                 recording, and ends it when pressed again.",
            ),
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
