//! The recordings that go on, each with the points that it taps.

use std::collections::BTreeMap;

use engine_control::{Event, TapPoint};
use signaling::RecordingId;

/// What is tapped for which recording.
#[derive(Debug, Default)]
pub(crate) struct Recordings {
    begun: u64,
    going_on: BTreeMap<RecordingId, Recording>,
}

#[derive(Debug)]
struct Recording {
    subject: String,
    call_id: Option<String>,
    points: Vec<TapPoint>,
}

impl Recordings {
    /// A recording without tracks.
    pub(crate) fn begin(&mut self, subject: String, call_id: Option<String>) -> RecordingId {
        self.begun += 1;
        let id = RecordingId::new(self.begun);
        self.going_on.insert(id, Recording { subject, call_id, points: Vec::new() });
        id
    }

    /// What a recording that goes on is of: its subject and call.
    pub(crate) fn of(&self, recording: RecordingId) -> Option<(&str, Option<&str>)> {
        let recording = self.going_on.get(&recording)?;
        Some((&recording.subject, recording.call_id.as_deref()))
    }

    /// A track of a recording that goes on.
    pub(crate) fn add(&mut self, recording: RecordingId, point: TapPoint) {
        if let Some(recording) = self.going_on.get_mut(&recording) {
            recording.points.push(point);
        }
    }

    /// What a recording taps; it is over.
    pub(crate) fn end(&mut self, recording: RecordingId) -> Vec<TapPoint> {
        self.going_on.remove(&recording).map(|recording| recording.points).unwrap_or_default()
    }

    /// Takes note of a tap that has ended. A recording without any is over.
    pub(crate) fn listen(&mut self, event: &Event) {
        if let Event::TapEnded { point, .. } = event {
            self.going_on.retain(|_, recording| {
                recording.points.retain(|of| of != point);
                !recording.points.is_empty()
            });
        }
    }
}
