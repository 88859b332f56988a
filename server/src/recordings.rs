//! The recordings that go on, each with the points that it taps.

use std::collections::BTreeMap;

use engine_control::{Event, TapId, TapPoint};
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
    taps: Vec<(TapPoint, TapId)>,
}

impl Recordings {
    /// A recording without tracks.
    pub(crate) fn begin(&mut self, subject: String, call_id: Option<String>) -> RecordingId {
        self.begun += 1;
        let id = RecordingId::new(self.begun);
        self.going_on.insert(id, Recording { subject, call_id, taps: Vec::new() });
        id
    }

    /// What a recording that goes on is of: its subject and call.
    pub(crate) fn of(&self, recording: RecordingId) -> Option<(&str, Option<&str>)> {
        let recording = self.going_on.get(&recording)?;
        Some((&recording.subject, recording.call_id.as_deref()))
    }

    /// A track of a recording that goes on.
    pub(crate) fn add(&mut self, recording: RecordingId, point: TapPoint, tap: TapId) {
        if let Some(recording) = self.going_on.get_mut(&recording) {
            recording.taps.push((point, tap));
        }
    }

    /// What a recording taps; it is over.
    pub(crate) fn end(&mut self, recording: RecordingId) -> Vec<TapPoint> {
        let taps = self.going_on.remove(&recording).map(|recording| recording.taps);
        taps.unwrap_or_default().into_iter().map(|(point, _)| point).collect()
    }

    /// Takes note of a tap that has ended. A recording without any is over.
    pub(crate) fn listen(&mut self, event: &Event) {
        if let Event::TapEnded { tap, .. } = event {
            self.going_on.retain(|_, recording| {
                // By tap: one point may be tapped anew before the end of the last tap is told.
                recording.taps.retain(|(_, of)| of != tap);
                !recording.taps.is_empty()
            });
        }
    }
}
