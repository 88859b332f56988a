//! The taps of recordings: one at a point of the engine, for all who want it.

use engine_control::{Command, Refusal, TapId, TapPoint};
use recorder::account::TRACKS_MAX;
use recorder_writer::{Failure, TrackStart};
use signaling::{Outside, RecordedTrack, RecordingId};

use super::{Tap, kind, participant};
use crate::world::World;

impl World {
    /// Adds a track to a recording: the writer hears of it before its first block.
    pub(crate) fn tap(&mut self, id: RecordingId, track: RecordedTrack) -> Result<(), Refusal> {
        let going = self.recordings.going.get_mut(&id).ok_or(Refusal::Gone)?;
        if going.tracks_begun == TRACKS_MAX {
            return Err(self.refuse(&track.label, &Failure::Full));
        }
        let written = going.written;
        self.stop_unused();
        if self.recordings.unused.contains(&track.point) {
            return Err(Refusal::Busy);
        }
        let known = self.recordings.taps.get(&track.point).map(|tap| tap.id);
        let tap = known.unwrap_or_else(|| {
            self.recordings.taps_begun += 1;
            TapId(self.recordings.taps_begun)
        });
        let local = match track.point {
            TapPoint::Packets(session) => self.local_media(session),
            _ => None,
        };
        let start = TrackStart {
            tap,
            kind: kind(track.point),
            label: track.label.clone(),
            participant: track.participant.as_ref().map(participant),
            channel: None,
            local,
        };
        let at = self.engine.now();
        let added = self.recorder.writer().and_then(|writer| writer.add_track(written, start, at));
        added.map_err(|failure| self.refuse(&track.label, &failure))?;
        let point = track.point;
        if known.is_none()
            && let Err(refusal) = self.command(Command::StartTap { point, tap, class: None })
        {
            self.tell_writer(|writer| writer.end_track(written, tap, at));
            return Err(refusal);
        }
        let users = self.recordings.taps.entry(point).or_insert(Tap { id: tap, users: Vec::new() });
        users.users.push(id);
        if let Some(going) = self.recordings.going.get_mut(&id) {
            going.tracks.push(track);
            going.tracks_begun += 1;
        }
        Ok(())
    }

    /// Ends one track of a recording.
    pub(crate) fn untap(&mut self, id: RecordingId, point: TapPoint) {
        let Some(going) = self.recordings.going.get_mut(&id) else { return };
        going.tracks.retain(|track| track.point != point);
        let (written, at) = (going.written, self.engine.now());
        let Some(tap) = self.recordings.taps.get_mut(&point) else { return };
        tap.users.retain(|user| *user != id);
        let (tap_id, is_unused) = (tap.id, tap.users.is_empty());
        if is_unused {
            self.recordings.unused.push(point);
            self.stop_unused();
        }
        self.tell_writer(|writer| writer.end_track(written, tap_id, at));
    }

    /// Stops the taps that nobody uses any more, as far as their shards can be told. One that goes on is known:
    /// what it is on cannot leave its shard.
    pub(crate) fn stop_unused(&mut self) {
        for point in std::mem::take(&mut self.recordings.unused) {
            // One that has ended by itself is unknown.
            let is_there = self.recordings.taps.contains_key(&point);
            if is_there && self.command(Command::StopTap { point }) == Err(Refusal::Busy) {
                self.recordings.unused.push(point);
            } else {
                self.recordings.taps.remove(&point);
            }
        }
    }
}
