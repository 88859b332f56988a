//! What the control task does with recordings for the API.

use engine_control::Refusal;
use media_units::Instant;
use recorder_writer::Note;
use signaling::{ParticipantId, RecordingId};

use super::Control;
use crate::api::{Act, Of, Recording, RecordingState, RecordingWish, Trouble};
use crate::recording::{Desk, Going, Keeping, NotKept, Wish};
use crate::world::World;

impl Control {
    pub(super) fn recordings_going(&self, now: Instant) -> Vec<Recording> {
        let World { recordings, shelf, .. } = &self.world;
        let going = recordings.going().map(|(_, going)| going).chain(recordings.finishing(shelf));
        going.map(|going| recording(going, now)).collect()
    }

    pub(super) fn record(
        &mut self,
        now: Instant,
        of: Of,
        wish: &RecordingWish,
    ) -> Result<Recording, Trouble> {
        let usual = match of {
            Of::Room(_) => self.keeper.room_wish(),
            Of::Participant(_) => self.keeper.call_wish(),
        };
        let wish = Some(complete(wish, usual)?);
        let (begun, nobody) = match of {
            Of::Room(name) => {
                (self.keeper.record_room(&name, wish, &mut self.world), Trouble::NoRoom)
            }
            Of::Participant(id) => {
                let id = ParticipantId::new(id);
                (self.keeper.record_call(id, wish, &mut self.world), self.no_media_of(id))
            }
        };
        let id = begun.map_err(|reason| match reason {
            NotKept::Nobody => nobody,
            NotKept::Never => Trouble::NeverRecorded,
            NotKept::Already => Trouble::Recorded,
            NotKept::Track => Trouble::Wish,
            NotKept::Refused(Refusal::Full) => Trouble::RecordingsFull,
            NotKept::Refused(_) => Trouble::NotRecordable,
        })?;
        let going = self.world.recordings.get(id).ok_or(Trouble::NotRecordable)?;
        Ok(recording(going, now))
    }

    pub(super) fn act_on(&mut self, name: &str, act: Act) -> Result<(), Trouble> {
        let going = self.world.recordings.named(name);
        let id: RecordingId = going.ok_or_else(|| self.not_going(name))?;
        match act {
            Act::Stop if self.front.is_cover(id) => return Err(Trouble::Cover),
            Act::Stop => self.keeper.end(id, &mut self.world),
            Act::Pause(paused) => {
                self.keeper.pause(id, paused, &mut self.world);
                if self.world.is_paused(id) != paused {
                    return Err(Trouble::Busy);
                }
            }
            Act::Mark(label) => {
                self.world.tell(id, Note::Mark { label }).map_err(|_| Trouble::Busy)?;
            }
        }
        Ok(())
    }

    /// Lets go of a recording that is about to be deleted: of one that the disk may not hold yet
    /// the writer removes the files, so that no repair brings them back.
    pub(super) fn release_recording(&mut self, name: &str) -> Result<(), Trouble> {
        if self.world.recordings.named(name).is_some() || self.is_finishing(name) {
            return Err(Trouble::RecordingBusy);
        }
        // One that the shelf does not have yet is being finished.
        self.world.release(name).map_err(|_| Trouble::RecordingBusy)
    }

    /// Why nothing of this name goes on.
    fn not_going(&self, name: &str) -> Trouble {
        if self.is_finishing(name) {
            Trouble::RecordingBusy
        } else if self.world.shelf.has(name) {
            Trouble::RecordingOver
        } else {
            Trouble::NoRecording
        }
    }

    /// Whether the recording of this name is over and not on the shelf yet.
    fn is_finishing(&self, name: &str) -> bool {
        let World { recordings, shelf, .. } = &self.world;
        recordings.finishing(shelf).any(|one| one.name == name)
    }
}

/// A wish with what it leaves out.
fn complete(wish: &RecordingWish, usual: &Wish) -> Result<Wish, Trouble> {
    let keeping = Keeping {
        format: wish.format()?.unwrap_or(usual.keeping.format),
        rate: wish.rate()?.or(usual.keeping.rate),
        arrangement: wish.layout.unwrap_or(usual.keeping.arrangement),
        channels: wish.channels()?.unwrap_or(usual.keeping.channels),
        ..usual.keeping.clone()
    };
    Ok(Wish { tracks: wish.tracks()?.unwrap_or_else(|| usual.tracks.clone()), keeping })
}

fn recording(going: &Going, now: Instant) -> Recording {
    Recording {
        id: going.name.clone(),
        state: match going.ended {
            Some(_) => RecordingState::Finishing,
            None if going.paused => RecordingState::Paused,
            None => RecordingState::Recording,
        },
        subject: going.about.subject.clone(),
        room: going.about.room.clone(),
        call_id: going.about.call_id.clone(),
        seconds: (going.ended.unwrap_or(now).since(going.began).as_secs_f64() * 10.0).round()
            / 10.0,
        tracks: going.tracks.iter().map(|track| track.label.clone()).collect(),
        files: Vec::new(),
        encrypted: false,
        uploaded: false,
    }
}
