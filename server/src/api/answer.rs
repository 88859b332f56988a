//! What the API says when it cannot do what was asked.

use std::borrow::Cow;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No room of that name.
    NoRoom,
    /// No participant of that identity.
    NoParticipant,
    /// Nothing is agreed with it yet: its call rings.
    NotAnswered,
    /// There is no recorder elsewhere that anything could be sent to.
    NoRecorder,
    /// It is not sent to a recorder.
    NotSent,
    /// No shard of that number, or none has a flight recorder.
    NoFlight,
    /// Nothing at that path.
    NoPath,
    /// The path exists, the method does not.
    Method,
    /// Asked by a name that is none of this machine's.
    ForeignHost,
    /// An order that a page of others made a browser send.
    ForeignPage,
    /// A parameter of the query cannot be read.
    Query,
    /// The gain cannot be read.
    Gain,
    /// The keys to be pressed cannot be read.
    Keys,
    /// The name of a room cannot be read.
    RoomName,
    /// No room, or no seat in it, is free.
    NoSeat,
    /// It would have to go to another shard, and cannot.
    Immovable,
    /// So many keys wait for it that these have no room.
    KeysWaiting,
    /// No recording of that identity, or no such file of it.
    NoRecording,
    /// How something is to be recorded cannot be read.
    Wish,
    /// It is recorded already.
    Recorded,
    /// The room is never recorded.
    NeverRecorded,
    /// It is the recording of what no recorder elsewhere takes.
    Cover,
    /// The recorder does not run, or a shard refuses.
    NotRecordable,
    /// As many recordings go on as may.
    RecordingsFull,
    /// The recording is over.
    RecordingOver,
    /// The recording goes on, or is being finished, encrypted or uploaded.
    RecordingBusy,
    /// A mark cannot be read.
    Mark,
    /// A range beyond the end of a file.
    Range,
    /// A file is another version than the one that is meant.
    Changed,
    /// The disk refuses.
    Disk,
    /// A body that is a list where an object is meant.
    List,
    /// A body longer than so many octets.
    TooLarge(u64),
    /// A body that did not arrive in time.
    Slow,
    /// Too many requests at one time.
    Busy,
    /// Too many listeners to events.
    Listeners,
    /// A shard did not answer in time.
    Late,
    /// The server is on its way down.
    Stopping,
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refused {
    /// A word for programs.
    #[schema(example = "no_participant")]
    error: &'static str,
    /// What was refused, for people.
    what: &'static str,
    /// What would be right.
    #[schema(value_type = String)]
    right: Cow<'static, str>,
}

impl Trouble {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::NoRoom
            | Self::NoParticipant
            | Self::NoPath
            | Self::NoRecording
            | Self::NoFlight => StatusCode::NOT_FOUND,
            Self::NeverRecorded | Self::ForeignHost | Self::ForeignPage => StatusCode::FORBIDDEN,
            Self::NotAnswered
            | Self::NoRecorder
            | Self::NotSent
            | Self::Recorded
            | Self::RecordingOver
            | Self::Cover
            | Self::RecordingBusy
            | Self::Immovable => StatusCode::CONFLICT,
            Self::Range => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Changed => StatusCode::PRECONDITION_FAILED,
            Self::Disk => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Query
            | Self::Gain
            | Self::Keys
            | Self::RoomName
            | Self::Wish
            | Self::Mark
            | Self::List => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy
            | Self::Listeners
            | Self::Stopping
            | Self::NotRecordable
            | Self::RecordingsFull
            | Self::KeysWaiting
            | Self::NoSeat => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table: one entry for each")]
    const fn words(self) -> [&'static str; 3] {
        let (error, what, right) = match self {
            Self::NoRoom => (
                "no_room",
                "there is no room of that name now",
                "a name that GET /v1/rooms lists; a room exists while somebody is in it",
            ),
            Self::NoParticipant => (
                "no_participant",
                "there is no participant of that identity now",
                "an id that GET /v1/participants lists",
            ),
            Self::NotAnswered => (
                "not_answered",
                "the call is not answered yet: there is nothing to hear of it, and nobody who hears",
                "the same request once GET /v1/participants/{id} says that it is answered",
            ),
            Self::NoRecorder => (
                "no_recorder",
                "there is no recorder that anything could be sent to",
                "the same request to a server whose siprec.send_to names one",
            ),
            Self::NotSent => (
                "not_sent",
                "it is not sent to a recorder",
                "a room or participant after PUT .../siprec, or one that siprec.rooms or siprec.calls names",
            ),
            Self::NoFlight => (
                "no_flight",
                "there is no flight recorder of that number",
                "a shard that GET /health lists, and flight.keep other than \"nothing\"",
            ),
            Self::NoPath => {
                ("no_path", "there is nothing at that path", "a path that GET /openapi.json lists")
            }
            Self::Method => (
                "method",
                "that path does not know that method",
                "a method that GET /openapi.json lists for it, named in Allow",
            ),
            Self::ForeignHost => (
                "foreign_host",
                "the Host of the request is no name of this machine, as where a page makes a browser ask",
                "an address, localhost, or a name that api.hosts lists",
            ),
            Self::ForeignPage => (
                "foreign_page",
                "the Origin of the order is another one than its Host: a page of others makes a browser send it",
                "a page of the same host and port, or a client that is no browser",
            ),
            Self::Query => (
                "query",
                "the query cannot be read",
                "limit from 1 to 1000, after as it was given in next",
            ),
            Self::Gain => (
                "gain",
                "the gain cannot be read",
                "{\"says_db\":-6.5,\"hears_db\":0}: both, from -60 to 30 in tenths of a decibel",
            ),
            Self::Keys => (
                "keys",
                "the keys to be pressed cannot be read",
                "{\"digits\":\"12#\",\"duration_ms\":100,\"gap_ms\":80,\"volume\":10}: up to 32 of 0-9 * # A-D, \
                 40 to 8000 ms each, 3 to 36 dB below 0 dBm0; all but digits may be left out",
            ),
            Self::RoomName => (
                "room_name",
                "the name of the room cannot be read",
                "{\"name\":\"3001\"}: 1 to 64 of a-z A-Z 0-9 - _ . +",
            ),
            Self::NoSeat => (
                "no_seat",
                "every room, or every seat in that one, is in use, or the engine is busy",
                "the same request, later",
            ),
            Self::Immovable => (
                "immovable",
                "that room lives on another shard, and what listens to this participant by itself cannot go along",
                "the same request once its own recording has ended, or a room on the same shard; the drivers packet \
                 and xdp move nobody",
            ),
            Self::KeysWaiting => (
                "keys_waiting",
                "so many keys wait for the participant that these have no room",
                "the same request, once some are pressed: 32 may wait",
            ),
            Self::NoRecording => (
                "no_recording",
                "there is no recording of that identity, or no such file of it",
                "an id that GET /v1/recordings lists, and a file that it names",
            ),
            Self::Wish => (
                "recording",
                "how it is to be recorded cannot be read",
                "{\"tracks\":[\"mix\",\"received\"],\"format\":\"wav\",\"rate\":16000,\"layout\":\"multichannel\",\"channels\":4}: \
                 tracks of mix (rooms only), received, sent, packets; wav, opus or flac; 8000, 16000 or 48000; layout \
                 stereo, tracks or multichannel; 1 to 64 channels; each may be left out",
            ),
            Self::Recorded => (
                "recorded",
                "it is recorded already",
                "the recording that goes on, or a new one after POST .../stop",
            ),
            Self::NeverRecorded => (
                "never_recorded",
                "the configuration says that this room is never recorded",
                "a room whose record is \"on-demand\" or \"always\"",
            ),
            Self::Cover => (
                "cover",
                "it records what is sent to recorders (SIPREC) and none of them takes, for as long as that is so",
                "DELETE .../siprec of its room or participant, which ends the sending and the recording",
            ),
            Self::NotRecordable => (
                "not_recordable",
                "the recorder does not run, or the shard takes nothing now",
                "the same request, later; recording_failure of GET /health, or else the log, tells what is wrong",
            ),
            Self::RecordingsFull => (
                "recordings_full",
                "as many recordings go on as recording.max allows, or more is asked at once than can be done",
                "the same request once one of them has ended, or a larger recording.max",
            ),
            Self::RecordingOver => (
                "recording_over",
                "the recording is over",
                "the id of one that goes on, as GET /v1/recordings lists them, or a new one by POST .../recordings",
            ),
            Self::RecordingBusy => (
                "recording_busy",
                "the recording goes on, or is being finished, encrypted, uploaded or repaired",
                "the same request, later, or after POST .../stop",
            ),
            Self::Mark => (
                "mark",
                "the mark cannot be read",
                "{\"label\":\"the offer\"} of 1 to 200 characters",
            ),
            Self::Range => (
                "range",
                "the range begins beyond the end of the file",
                "a range within the length that Content-Range names",
            ),
            Self::Changed => (
                "changed",
                "the file is none of the versions that If-Match names",
                "the ETag of the file as it is now, or *",
            ),
            Self::Disk => {
                ("disk", "the disk refuses", "the same request, later; the log tells what is wrong")
            }
            Self::List => (
                "list",
                "the body is a JSON list",
                "a JSON object, whose members GET /openapi.json names",
            ),
            Self::TooLarge(_) => ("too_large", "the body is longer than api.body_max", "a body"),
            Self::Slow => (
                "slow",
                "the body did not arrive within api.timeout",
                "as many octets as Content-Length says, at once",
            ),
            Self::Busy => ("busy", "too many requests at one time", "the same request, later"),
            Self::Listeners => (
                "listeners",
                "as many listen to events as may: half of api.connections_max",
                "the same request once one of them has gone, or a larger api.connections_max",
            ),
            Self::Late => ("late", "a shard did not answer in time", "the same request, later"),
            Self::Stopping => ("stopping", "the server is about to end", "another server"),
        };
        [error, what, right]
    }

    fn refused(self) -> Refused {
        let [error, what, right] = self.words();
        let right = match self {
            Self::TooLarge(max) => format!("{right} of at most {max} octets").into(),
            _ => right.into(),
        };
        Refused { error, what, right }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        (self.status(), Json(self.refused())).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_too_long_is_told_how_long_it_may_be() {
        let Refused { what, right, .. } = Trouble::TooLarge(1024).refused();
        assert_eq!(what, "the body is longer than api.body_max");
        assert_eq!(right, "a body of at most 1024 octets");
    }
}
