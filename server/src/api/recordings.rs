//! Recordings in the API: those that go on are asked of the control task, finished ones of the
//! shelf, whose disk nobody else waits for.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use recorder_shelf::{Opened, Refusal, Shelf};
use recorder_writer::{Format, TrackKind};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;

use super::answer::Refused;
use super::model::Page;
use super::range::{self, Asked, asked, is_changed, is_held};
use super::routes::{checked, done, number};
use super::{Ask, Queue, Trouble};
use crate::config::Arrangement;
use media_units::RateClass;

/// Characters of a mark.
const MARK_CHARS_MAX: usize = 200;

/// One recording.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Recording {
    /// Its name, which all its files begin with.
    #[schema(example = "20261121T034500123Z-7-3000")]
    pub(crate) id: String,
    /// How it is.
    pub(crate) state: RecordingState,
    /// The room, or what was dialled; of a call to the recorder, who called.
    pub(crate) subject: String,
    /// The room, where it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room: Option<String>,
    /// The SIP Call-ID, where it is of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call_id: Option<String>,
    /// How long it is, or has been going on, in seconds.
    pub(crate) seconds: f64,
    /// Its tracks at present, while it goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tracks: Vec<String>,
    /// Its files, once it is finished.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<RecordingFile>,
    /// Whether its sound is encrypted.
    pub(crate) encrypted: bool,
    /// Whether its upload is confirmed.
    pub(crate) uploaded: bool,
}

/// How a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordingState {
    /// It goes on.
    Recording,
    /// It goes on, and nothing is kept at present.
    Paused,
    /// It is over, and its last sound is on its way to the disk: there are no files yet.
    Finishing,
    /// It is over.
    Finished,
    /// It is over because the server was: its end is missing.
    Cut,
}

/// A file of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RecordingFile {
    /// Its name.
    pub(crate) name: String,
    /// Its length in octets.
    pub(crate) bytes: u64,
    /// Its media type.
    #[schema(example = "audio/wav")]
    pub(crate) media_type: &'static str,
}

/// A page of recordings.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RecordingPage {
    /// Those that go on, and then those that are being finished, oldest first; on the first page only.
    going: Vec<Recording>,
    /// Finished ones, newest first.
    recordings: Vec<Recording>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// How something is to be recorded; what is left out is as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordingWish {
    /// Which tracks.
    #[schema(value_type = Option<Vec<String>>, example = json!(["mix", "received"]))]
    pub(crate) tracks: Option<Vec<TrackKind>>,
    /// What kind of files: `wav`, `opus`, `flac`.
    #[schema(example = "flac")]
    pub(crate) format: Option<String>,
    /// Samples in a second, of all files: 8000, 16000 or 48000.
    #[schema(example = 16000)]
    pub(crate) rate: Option<u32>,
    /// Which tracks share a file: `stereo`, `tracks`, `multichannel`.
    #[schema(inline)]
    pub(crate) layout: Option<Arrangement>,
    /// Audio channels of a room's file where `layout` is `multichannel`, from 1 to 64.
    #[schema(minimum = 1, maximum = 64)]
    pub(crate) channels: Option<u16>,
}

/// A mark in a recording.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    /// What it is to say.
    #[schema(max_length = 200, example = "the offer")]
    label: String,
}

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Of {
    /// A room.
    Room(String),
    /// A participant's call.
    Participant(u64),
}

/// What is to be done to a recording that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// End it.
    Stop,
    /// Keep nothing for a while, or go on.
    Pause(bool),
    /// Mark this moment.
    Mark(String),
}

impl RecordingWish {
    /// The kind of files, if it is one for sound.
    pub(crate) fn format(&self) -> Result<Option<Format>, Trouble> {
        let Some(name) = &self.format else { return Ok(None) };
        let format = Format::of_extension(name).filter(|format| *format != Format::Pcapng);
        format.map(Some).ok_or(Trouble::Wish)
    }

    /// The rate, if it is one of ours.
    pub(crate) fn rate(&self) -> Result<Option<RateClass>, Trouble> {
        let Some(rate) = self.rate else { return Ok(None) };
        let class = RateClass::ALL.into_iter().find(|class| class.hertz() == rate);
        class.map(Some).ok_or(Trouble::Wish)
    }

    /// The audio channels, if a file can have so many.
    pub(crate) fn channels(&self) -> Result<Option<u16>, Trouble> {
        let fits = |channels: &u16| (1..=Format::Wav.channels_max()).contains(channels);
        if self.channels.as_ref().is_none_or(fits) { Ok(self.channels) } else { Err(Trouble::Wish) }
    }

    /// The tracks, if there are any and each once.
    pub(crate) fn tracks(&self) -> Result<Option<Vec<TrackKind>>, Trouble> {
        let Some(tracks) = &self.tracks else { return Ok(None) };
        let is_twice = |(at, kind): (usize, &TrackKind)| tracks[..at].contains(kind);
        if tracks.is_empty() || tracks.iter().enumerate().any(is_twice) {
            return Err(Trouble::Wish);
        }
        Ok(Some(tracks.clone()))
    }
}

impl Recording {
    /// One from the shelf.
    fn finished(found: recorder_shelf::Recording) -> Self {
        let text = |key: &str| found.metadata.get(key)?.as_str().map(str::to_owned);
        let is_cut = found.metadata.get("cut").and_then(serde_json::Value::as_bool);
        let file = |file: recorder_shelf::StoredFile| RecordingFile {
            name: file.name,
            bytes: file.bytes,
            media_type: file.media_type,
        };
        Self {
            state: if is_cut == Some(true) {
                RecordingState::Cut
            } else {
                RecordingState::Finished
            },
            subject: text("subject").unwrap_or_default(),
            room: text("room"),
            call_id: text("call_id"),
            seconds: found
                .metadata
                .get("seconds")
                .and_then(serde_json::Value::as_f64)
                .unwrap_or(0.0),
            tracks: Vec::new(),
            id: found.name,
            files: found.files.into_iter().map(file).collect(),
            encrypted: found.encrypted,
            uploaded: found.uploaded,
        }
    }
}

/// Recordings: those that go on or are being finished, and finished ones, newest first.
#[utoipa::path(get, path = "/v1/recordings", params(Page), responses(
    (status = 200, body = RecordingPage), (status = 400, body = Refused), (status = 503, body = Refused)))]
pub(super) async fn recordings(
    State(control): State<Queue>,
    Extension(shelf): Extension<Shelf>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<RecordingPage>, Trouble> {
    let Page { limit, after } = checked(page)?;
    let going = match after {
        None => control.ask(Ask::Recordings).await?,
        Some(_) => Vec::new(),
    };
    let found = on_disk(move || shelf.list(after.as_deref(), limit)).await?;
    let recordings = found.recordings.into_iter().map(Recording::finished).collect();
    Ok(Json(RecordingPage { going, recordings, next: found.next }))
}

/// One recording.
#[utoipa::path(get, path = "/v1/recordings/{id}", params(("id" = String, description = "The recording's id")),
    responses((status = 200, body = Recording), (status = 404, body = Refused), (status = 503, body = Refused)))]
pub(super) async fn recording(
    State(control): State<Queue>,
    Extension(shelf): Extension<Shelf>,
    Path(id): Path<String>,
) -> Result<Json<Recording>, Trouble> {
    let mut going = control.ask(Ask::Recordings).await?;
    if let Some(at) = going.iter().position(|recording| recording.id == id) {
        return Ok(Json(going.swap_remove(at)));
    }
    let found = on_disk(move || shelf.find(&id)).await?;
    found.map(|found| Json(Recording::finished(found))).ok_or(Trouble::NoRecording)
}

/// Deletes a finished recording with all its files.
#[utoipa::path(delete, path = "/v1/recordings/{id}", params(("id" = String, description = "The recording's id")),
    responses((status = 204), (status = 404, body = Refused), (status = 409, body = Refused),
    (status = 500, body = Refused), (status = 503, body = Refused)))]
pub(super) async fn delete(
    State(control): State<Queue>,
    Extension(shelf): Extension<Shelf>,
    Path(id): Path<String>,
) -> Result<StatusCode, Trouble> {
    let name = id.clone();
    control.ask(|reply| Ask::ReleaseRecording(name, reply)).await?;
    done(on_disk(move || shelf.delete(&id)).await?.map_err(trouble))
}

/// Begins the recording of a room.
#[utoipa::path(post, path = "/v1/rooms/{name}/recordings",
    params(("name" = String, description = "The room's name")), request_body = Option<RecordingWish>,
    responses((status = 201, body = Recording), (status = 400, body = Refused), (status = 403, body = Refused),
    (status = 404, body = Refused), (status = 409, body = Refused), (status = 503, body = Refused)))]
pub(super) async fn record_room(
    State(control): State<Queue>,
    Path(name): Path<String>,
    wish: Result<Option<Json<RecordingWish>>, JsonRejection>,
) -> Result<(StatusCode, Json<Recording>), Trouble> {
    begin(&control, Of::Room(name), wish).await
}

/// Begins the recording of a participant's call.
#[utoipa::path(post, path = "/v1/participants/{id}/recordings",
    params(("id" = u64, description = "The participant's id")), request_body = Option<RecordingWish>,
    responses((status = 201, body = Recording), (status = 400, body = Refused), (status = 403, body = Refused),
    (status = 404, body = Refused), (status = 409, body = Refused), (status = 503, body = Refused)))]
pub(super) async fn record_participant(
    State(control): State<Queue>,
    Path(id): Path<String>,
    wish: Result<Option<Json<RecordingWish>>, JsonRejection>,
) -> Result<(StatusCode, Json<Recording>), Trouble> {
    let id = number(&id)?;
    begin(&control, Of::Participant(id), wish).await
}

async fn begin(
    control: &Queue,
    of: Of,
    wish: Result<Option<Json<RecordingWish>>, JsonRejection>,
) -> Result<(StatusCode, Json<Recording>), Trouble> {
    let wish = wish.map_err(|_| Trouble::Wish)?.map(|Json(wish)| wish).unwrap_or_default();
    let begun = control.ask(|reply| Ask::Record(of, wish, reply)).await?;
    Ok((StatusCode::CREATED, Json(begun)))
}

/// Ends a recording. A call to `record` and a recording session of others (SIPREC) end with it; 409
/// where it is of what no recorder elsewhere takes.
#[utoipa::path(post, path = "/v1/recordings/{id}/stop", params(("id" = String, description = "The recording's id")),
    responses((status = 204), (status = 404, body = Refused), (status = 409, body = Refused),
    (status = 503, body = Refused)))]
pub(super) async fn stop(
    State(control): State<Queue>,
    Path(id): Path<String>,
) -> Result<StatusCode, Trouble> {
    done(control.ask(|reply| Ask::ActOnRecording(id, Act::Stop, reply)).await)
}

/// Keeps nothing of what is said from now on: silence in all tracks, and a gap in the metadata.
#[utoipa::path(post, path = "/v1/recordings/{id}/pause", params(("id" = String, description = "The recording's id")),
    responses((status = 204), (status = 404, body = Refused), (status = 409, body = Refused),
    (status = 503, body = Refused)))]
pub(super) async fn pause(
    State(control): State<Queue>,
    Path(id): Path<String>,
) -> Result<StatusCode, Trouble> {
    done(control.ask(|reply| Ask::ActOnRecording(id, Act::Pause(true), reply)).await)
}

/// Keeps again what is said.
#[utoipa::path(post, path = "/v1/recordings/{id}/resume", params(("id" = String, description = "The recording's id")),
    responses((status = 204), (status = 404, body = Refused), (status = 409, body = Refused),
    (status = 503, body = Refused)))]
pub(super) async fn resume(
    State(control): State<Queue>,
    Path(id): Path<String>,
) -> Result<StatusCode, Trouble> {
    done(control.ask(|reply| Ask::ActOnRecording(id, Act::Pause(false), reply)).await)
}

/// Marks this moment in the metadata.
#[utoipa::path(post, path = "/v1/recordings/{id}/marks", params(("id" = String, description = "The recording's id")),
    request_body = Mark, responses((status = 204), (status = 400, body = Refused),
    (status = 404, body = Refused), (status = 409, body = Refused), (status = 503, body = Refused)))]
pub(super) async fn mark(
    State(control): State<Queue>,
    Path(id): Path<String>,
    mark: Result<Json<Mark>, JsonRejection>,
) -> Result<StatusCode, Trouble> {
    let Json(Mark { label }) = mark.map_err(|_| Trouble::Mark)?;
    if label.is_empty() || label.chars().count() > MARK_CHARS_MAX {
        return Err(Trouble::Mark);
    }
    done(control.ask(|reply| Ask::ActOnRecording(id, Act::Mark(label), reply)).await)
}

/// A file of a finished recording, or one range of it (RFC 9110 section 14), as browsers ask for it.
/// Its version is named by `ETag`, which `If-Match`, `If-None-Match` and `If-Range` take.
#[utoipa::path(get, path = "/v1/recordings/{id}/files/{file}", params(
    ("id" = String, description = "The recording's id"), ("file" = String, description = "The file's name"),
    ("If-Match" = Option<String>, Header, description = "The ETags of the versions that are meant, or *"),
    ("If-None-Match" = Option<String>, Header, description = "The ETags of the versions that are held already, or *"),
    ("Range" = Option<String>, Header, description = "One range of octets"),
    ("If-Range" = Option<String>, Header, description = "The ETag of the version that the range is of")), responses(
    (status = 200, body = Vec<u8>), (status = 206, body = Vec<u8>), (status = 304), (status = 404, body = Refused),
    (status = 412, body = Refused), (status = 416, body = Refused), (status = 500, body = Refused), (status = 503, body = Refused)))]
pub(super) async fn file(
    Extension(shelf): Extension<Shelf>,
    Path((id, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let read = move || {
        let opened = shelf.read(&id, &name)?;
        let tag = opened.file.metadata().ok().and_then(|file| range::tag(&file));
        Ok::<_, Refusal>((opened, tag))
    };
    let (Opened { file, bytes, media_type }, tag) = on_disk(read).await?.map_err(trouble)?;
    if is_changed(&headers, tag.as_ref()) {
        return Err(Trouble::Changed);
    }
    if is_held(&headers, tag.as_ref()) {
        // Else the length that HEAD tells were that of this answer, which is empty.
        let length = (method == Method::HEAD).then_some([(CONTENT_LENGTH, bytes)]);
        let tag = tag.map(|tag| [(ETAG, tag)]);
        return Ok((StatusCode::NOT_MODIFIED, tag, length, ()).into_response());
    }
    let range = range::range(&method, &headers, tag.as_ref());
    let (status, first, length) = match asked(range, bytes) {
        Asked::All => (StatusCode::OK, 0, bytes),
        Asked::Part { first, length } => (StatusCode::PARTIAL_CONTENT, first, length),
        Asked::Nothing => {
            let range = [(CONTENT_RANGE, format!("bytes */{bytes}"))];
            return Ok((range, Trouble::Range).into_response());
        }
    };
    let mut file = tokio::fs::File::from_std(file);
    file.seek(std::io::SeekFrom::Start(first)).await.map_err(|_| Trouble::Disk)?;
    let body = Body::from_stream(ReaderStream::new(file.take(length)));
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{bytes}", first + length - 1);
        headers.insert(CONTENT_RANGE, HeaderValue::from_str(&range).map_err(|_| Trouble::Range)?);
    }
    Ok(response)
}

/// Does what may wait for a disk where nothing else waits.
async fn on_disk<T: Send + 'static>(
    what: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(what).await.map_err(|_| Trouble::Disk)
}

fn trouble(refusal: Refusal) -> Trouble {
    match refusal {
        Refusal::Unknown => Trouble::NoRecording,
        Refusal::Busy => Trouble::RecordingBusy,
        Refusal::Disk(kind) => {
            tracing::warn!(%kind, "the folder of recordings refuses");
            Trouble::Disk
        }
    }
}
