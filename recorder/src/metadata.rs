//! What is said about a recording, in a JSON file beside it.

use media_units::SAMPLE_RATE;
use serde::Serialize;

use crate::GapMarks;
use crate::utc::Utc;

/// A finished recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// When it began, in nanoseconds from the Unix epoch.
    pub started_unix_nanos: u64,
    /// What was recorded: a room's name or a dialled number.
    pub subject: String,
    /// The call, where it is the recording of one.
    pub call_id: Option<String>,
    /// Samples in the file, silence of gaps included.
    pub samples: u64,
    /// What is missing.
    pub gaps: GapMarks,
}

/// The document, in the order of its keys.
#[derive(Serialize)]
struct Document<'a> {
    started: String,
    subject: &'a str,
    call_id: Option<&'a str>,
    sample_rate: u32,
    samples: u64,
    gap_samples: u64,
    gaps_unmarked: u64,
    gaps: &'a [crate::Gap],
}

impl Metadata {
    /// As a JSON document.
    pub fn to_json(&self) -> Vec<u8> {
        let document = Document {
            started: Utc::from_unix_nanos(self.started_unix_nanos).rfc3339(),
            subject: &self.subject,
            call_id: self.call_id.as_deref(),
            sample_rate: SAMPLE_RATE,
            samples: self.samples,
            gap_samples: self.gaps.samples,
            gaps_unmarked: self.gaps.unmarked,
            gaps: &self.gaps.marks,
        };
        serde_json::to_vec_pretty(&document).expect("strings and numbers always have a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Gap, GapCause};

    #[test]
    fn the_document_tells_when_what_how_long_and_what_is_missing() {
        let mut gaps = GapMarks::default();
        gaps.mark(Gap { start_sample: 160, samples: 320, cause: GapCause::Missing });
        let metadata = Metadata {
            started_unix_nanos: 1_735_689_600_123_000_000,
            subject: "line\n\"quoted\" \u{1f399}".into(),
            call_id: Some("a@b".into()),
            samples: 1600,
            gaps,
        };
        let document: Value = serde_json::from_slice(&metadata.to_json()).unwrap();
        let expected = json!({
            "started": "2025-01-01T00:00:00.123Z",
            "subject": "line\n\"quoted\" \u{1f399}",
            "call_id": "a@b",
            "sample_rate": 8000,
            "samples": 1600,
            "gap_samples": 320,
            "gaps_unmarked": 0,
            "gaps": [{ "start_sample": 160, "samples": 320, "cause": "missing" }],
        });
        assert_eq!(document, expected);
    }
}
