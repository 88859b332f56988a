//! `[flight]`

use std::path::PathBuf;
use std::time::Duration;

use engine::flight::Kept;
use engine_driver::FlightConfig;

use super::reader::Section;

/// The flight recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// What each shard keeps; none: there is no recorder.
    pub recorder: Option<FlightConfig>,
    /// Where it is written.
    pub folder: PathBuf,
    /// Files in that folder.
    pub files_max: u32,
}

/// What `[flight]` means, for the documentation.
pub(super) const FLIGHT: &str = "\
The flight recorder: each shard keeps its last inputs in memory, and writes them to a file where something is wrong or the API asks
for it ([flight-recorder.md](flight-recorder.md)).";

impl Flight {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let kept = section.choice(
            "keep",
            &[("nothing", None), ("headers", Some(Kept::Headers)), ("all", Some(Kept::All))],
            "What is kept of media: nothing, there is no recorder (it costs CPU and cache: \
             docs/flight-recorder.md); the headers of RTP; or all of it, so that a shard can be run \
             again (what was said is in the file then).",
        );
        let ring = section.size(
            "ring",
            8 << 20,
            1 << 20..=4 << 30,
            "Memory of each shard for it, rounded up to a power of two. 1,000 calls take 2.8 MB a second for \
             their headers, and 11 MB for all.",
        );
        let late = section.duration_or_off(
            "late",
            Duration::from_millis(1)..=Duration::from_secs(10),
            "A tick later than this is written, once a minute at most, where anything is kept.",
        );
        Self {
            recorder: kept.map(|kept| FlightConfig { kept, ring_bytes: ring as usize, late }),
            folder: section.path(
                "folder",
                "flight",
                "Where it is written; made when it is needed.",
            ),
            files_max: section.count(
                "files_max",
                16,
                1..=1000,
                "Files in that folder; the oldest make way.",
            ),
        }
    }
}
