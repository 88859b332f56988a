//! The routes, each with its documentation.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use recorder_shelf::Shelf;
use signaling::{ParticipantId, Subject};
use utoipa::OpenApi;
use utoipa::openapi::{
    self as openapi, ContentBuilder, OpenApi as Document, PathItem, Ref, ResponseBuilder,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Refused;
use super::model::{
    Flight, Health, Page, Participant, ParticipantPage, Room, RoomPage, WrittenGain, WrittenKeys,
    WrittenRoom,
};
use super::{Ask, Queue, Trouble};
use super::{events, recordings};

#[derive(OpenApi)]
#[openapi(info(
    title = "Mixminus",
    description = "Rooms, participants, recordings, health and metrics of one Mixminus server."
))]
struct Head;

fn routes() -> OpenApiRouter<Queue> {
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(rooms))
        .routes(routes!(room, end_room))
        .routes(routes!(send_room, end_sending_room))
        .routes(routes!(send_call, end_sending_call))
        .routes(routes!(room_participants))
        .routes(routes!(participants))
        .routes(routes!(participant, kick))
        .routes(routes!(mute))
        .routes(routes!(unmute))
        .routes(routes!(amplify))
        .routes(routes!(press))
        .routes(routes!(transfer))
        .routes(routes!(recordings::record_room))
        .routes(routes!(recordings::record_participant))
        .routes(routes!(recordings::recordings))
        .routes(routes!(recordings::recording, recordings::delete))
        .routes(routes!(recordings::stop))
        .routes(routes!(recordings::pause))
        .routes(routes!(recordings::resume))
        .routes(routes!(recordings::mark))
        .routes(routes!(recordings::file))
        .routes(routes!(events::events))
        .routes(routes!(write_flight))
        .routes(routes!(health))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
}

/// The routes, and the document with what [`super::guard`] answers whatever is asked.
fn split() -> (Router<Queue>, Document) {
    let (router, mut document) = routes().split_for_parts();
    for path in document.paths.paths.values_mut() {
        let PathItem { get, put, post, delete, .. } = path;
        for operation in [get, put, post, delete].into_iter().flatten() {
            for (status, what) in REFUSED_ANYWHERE {
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_owned()).or_insert_with(|| refused(what).into());
            }
        }
    }
    (router, document)
}

fn refused(what: &str) -> openapi::Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Refused"))).build();
    ResponseBuilder::new().description(what).content("application/json", body).build()
}

/// What any request may be refused with.
const REFUSED_ANYWHERE: [(&str, &str); 6] = [
    ("400", "The body is a list"),
    ("403", "Asked by a page of others, or by a name that is none of this machine's"),
    ("408", "The body did not arrive within api.timeout"),
    ("413", "The body is longer than api.body_max"),
    ("503", "Too much is asked at one time, or the server is about to end"),
    ("504", "Not answered within api.timeout"),
];

/// The API's routes.
pub(crate) fn router(control: Queue, shelf: Shelf) -> Router {
    let (router, document) = split();
    router
        .layer(Extension(std::sync::Arc::new(document)))
        .layer(Extension(shelf))
        .fallback(async || Trouble::NoPath)
        .method_not_allowed_fallback(async || Trouble::Method)
        .with_state(control)
}

/// The `OpenAPI` document of the routes.
pub(crate) fn document() -> Document {
    split().1
}

/// Rooms, in the order of their names.
#[utoipa::path(get, path = "/v1/rooms", params(Page), responses(
    (status = 200, body = RoomPage), (status = 400, body = Refused), (status = 503, body = Refused)))]
async fn rooms(
    State(control): State<Queue>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<RoomPage>, Trouble> {
    let page = checked(page)?;
    control.ask(|reply| Ask::Rooms(page, reply)).await.map(Json)
}

/// One room.
#[utoipa::path(get, path = "/v1/rooms/{name}", params(("name" = String, description = "The room's name")),
    responses((status = 200, body = Room), (status = 404, body = Refused), (status = 503, body = Refused)))]
async fn room(
    State(control): State<Queue>,
    Path(name): Path<String>,
) -> Result<Json<Room>, Trouble> {
    control.ask(|reply| Ask::Room(name, reply)).await.map(Json)
}

/// Ends a room: every call in it gets a BYE.
#[utoipa::path(delete, path = "/v1/rooms/{name}", params(("name" = String, description = "The room's name")),
    responses((status = 204), (status = 404, body = Refused), (status = 503, body = Refused)))]
async fn end_room(
    State(control): State<Queue>,
    Path(name): Path<String>,
) -> Result<StatusCode, Trouble> {
    done(control.ask(|reply| Ask::EndRoom(name, reply)).await)
}

/// Sends a room to the recorders of `siprec.send_to` (RFC 7866), if it is not sent already. Where
/// none of them takes it, it is recorded here. 404 where nobody is in such a room; 409 where there is no
/// recorder, or all who are in it ring; 403 where it is never to be recorded.
#[utoipa::path(put, path = "/v1/rooms/{name}/siprec", params(("name" = String, description = "The room's name")),
    responses((status = 204), (status = 403, body = Refused), (status = 404, body = Refused), (status = 409, body = Refused),
    (status = 503, body = Refused)))]
async fn send_room(
    State(control): State<Queue>,
    Path(name): Path<String>,
) -> Result<StatusCode, Trouble> {
    done(control.ask(|reply| Ask::Send(Subject::Room(name), true, reply)).await)
}

/// Ends the sending of a room to a recorder. 409 where it is not sent.
#[utoipa::path(delete, path = "/v1/rooms/{name}/siprec", params(("name" = String, description = "The room's name")),
    responses((status = 204), (status = 404, body = Refused), (status = 409, body = Refused), (status = 503, body = Refused)))]
async fn end_sending_room(
    State(control): State<Queue>,
    Path(name): Path<String>,
) -> Result<StatusCode, Trouble> {
    done(control.ask(|reply| Ask::Send(Subject::Room(name), false, reply)).await)
}

/// Sends one call to the recorders of `siprec.send_to`, if it is not sent already: what its caller
/// says, and what it hears. 404 where there is no such participant; 409 where there is no recorder, or it
/// rings; 403 where it is in a room that is never to be recorded.
#[utoipa::path(put, path = "/v1/participants/{id}/siprec", params(("id" = u64, description = "The participant's id")),
    responses((status = 204), (status = 403, body = Refused), (status = 404, body = Refused), (status = 409, body = Refused),
    (status = 503, body = Refused)))]
async fn send_call(
    State(control): State<Queue>,
    Path(id): Path<String>,
) -> Result<StatusCode, Trouble> {
    let call = Subject::Call(ParticipantId::new(number(&id)?));
    done(control.ask(|reply| Ask::Send(call, true, reply)).await)
}

/// Ends the sending of one call to a recorder. 409 where it is not sent.
#[utoipa::path(delete, path = "/v1/participants/{id}/siprec", params(("id" = u64, description = "The participant's id")),
    responses((status = 204), (status = 404, body = Refused), (status = 409, body = Refused), (status = 503, body = Refused)))]
async fn end_sending_call(
    State(control): State<Queue>,
    Path(id): Path<String>,
) -> Result<StatusCode, Trouble> {
    let call = Subject::Call(ParticipantId::new(number(&id)?));
    done(control.ask(|reply| Ask::Send(call, false, reply)).await)
}

/// Who is in a room, with their media.
#[utoipa::path(get, path = "/v1/rooms/{name}/participants",
    params(("name" = String, description = "The room's name"), Page), responses(
    (status = 200, body = ParticipantPage), (status = 400, body = Refused), (status = 404, body = Refused),
    (status = 503, body = Refused), (status = 504, body = Refused)))]
async fn room_participants(
    State(control): State<Queue>,
    Path(name): Path<String>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<ParticipantPage>, Trouble> {
    let page = checked(page)?;
    control.ask(|reply| Ask::Participants(Some(name), page, reply)).await.map(Json)
}

/// Everyone who takes part in anything, with their media.
#[utoipa::path(get, path = "/v1/participants", params(Page), responses(
    (status = 200, body = ParticipantPage), (status = 400, body = Refused), (status = 503, body = Refused),
    (status = 504, body = Refused)))]
async fn participants(
    State(control): State<Queue>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<ParticipantPage>, Trouble> {
    let page = checked(page)?;
    control.ask(|reply| Ask::Participants(None, page, reply)).await.map(Json)
}

/// One participant, with its media.
#[utoipa::path(get, path = "/v1/participants/{id}", params(("id" = u64, description = "The participant's id")),
    responses((status = 200, body = Participant), (status = 404, body = Refused),
    (status = 503, body = Refused), (status = 504, body = Refused)))]
async fn participant(
    State(control): State<Queue>,
    Path(id): Path<String>,
) -> Result<Json<Participant>, Trouble> {
    let id = number(&id)?;
    control.ask(|reply| Ask::Participant(id, reply)).await.map(Json)
}

/// Ends a participant's call by BYE.
#[utoipa::path(delete, path = "/v1/participants/{id}", params(("id" = u64, description = "The participant's id")),
    responses((status = 204), (status = 404, body = Refused), (status = 503, body = Refused)))]
async fn kick(State(control): State<Queue>, Path(id): Path<String>) -> Result<StatusCode, Trouble> {
    let id = number(&id)?;
    done(control.ask(|reply| Ask::Kick(id, reply)).await)
}

/// Mutes a participant: it hears, but is not heard.
#[utoipa::path(post, path = "/v1/participants/{id}/mute", params(("id" = u64, description = "The participant's id")),
    responses((status = 204), (status = 404, body = Refused), (status = 503, body = Refused)))]
async fn mute(State(control): State<Queue>, Path(id): Path<String>) -> Result<StatusCode, Trouble> {
    let id = number(&id)?;
    done(control.ask(|reply| Ask::Mute(id, true, reply)).await)
}

/// Unmutes a participant.
#[utoipa::path(post, path = "/v1/participants/{id}/unmute", params(("id" = u64, description = "The participant's id")),
    responses((status = 204), (status = 404, body = Refused), (status = 503, body = Refused)))]
async fn unmute(
    State(control): State<Queue>,
    Path(id): Path<String>,
) -> Result<StatusCode, Trouble> {
    let id = number(&id)?;
    done(control.ask(|reply| Ask::Mute(id, false, reply)).await)
}

/// Sets how loud all hear a participant in its room, and how loud it hears all. It stays until it is
/// set again or the call ends.
#[utoipa::path(put, path = "/v1/participants/{id}/gain", params(("id" = u64, description = "The participant's id")),
    request_body = WrittenGain,
    responses((status = 204), (status = 400, body = Refused), (status = 404, body = Refused), (status = 503, body = Refused)))]
async fn amplify(
    State(control): State<Queue>,
    Path(id): Path<String>,
    gain: Result<Json<WrittenGain>, JsonRejection>,
) -> Result<StatusCode, Trouble> {
    let id = number(&id)?;
    let gains = gain.ok().and_then(|Json(gain)| gain.read()).ok_or(Trouble::Gain)?;
    done(control.ask(|reply| Ask::Amplify(id, gains, reply)).await)
}

/// Presses keys for a participant, after those that wait already: as events (RFC 4733) where it takes
/// them, else as tones in what it hears. 503 where more would wait than may (32).
#[utoipa::path(post, path = "/v1/participants/{id}/digits", params(("id" = u64, description = "The participant's id")),
    request_body = WrittenKeys,
    responses((status = 204), (status = 400, body = Refused), (status = 404, body = Refused), (status = 409, body = Refused),
    (status = 503, body = Refused), (status = 504, body = Refused)))]
async fn press(
    State(control): State<Queue>,
    Path(id): Path<String>,
    keys: Result<Json<WrittenKeys>, JsonRejection>,
) -> Result<StatusCode, Trouble> {
    let id = number(&id)?;
    let keys = keys.ok().and_then(|Json(keys)| keys.read()).ok_or(Trouble::Keys)?;
    done(control.ask(|reply| Ask::Press(id, keys, reply)).await)
}

/// Sends a participant to another room, which is opened if there is none of that name. Its call and its
/// streams go on without a re-INVITE, also where that room lives on another shard.
#[utoipa::path(put, path = "/v1/participants/{id}/room", params(("id" = u64, description = "The participant's id")),
    request_body = WrittenRoom,
    responses((status = 204), (status = 400, body = Refused), (status = 404, body = Refused), (status = 409, body = Refused),
    (status = 503, body = Refused)))]
async fn transfer(
    State(control): State<Queue>,
    Path(id): Path<String>,
    room: Result<Json<WrittenRoom>, JsonRejection>,
) -> Result<StatusCode, Trouble> {
    let id = number(&id)?;
    let room = room.ok().and_then(|Json(room)| room.read()).ok_or(Trouble::RoomName)?;
    done(control.ask(|reply| Ask::Transfer(id, room, reply)).await)
}

/// Writes what the flight recorder of a shard holds to a file of the server (docs/flight-recorder.md).
/// 404 where there is no such shard, or no recorder.
#[utoipa::path(post, path = "/v1/shards/{shard}/flight", params(("shard" = u8, description = "The shard's number, from 0")),
    responses((status = 201, body = Flight), (status = 404, body = Refused), (status = 500, body = Refused),
    (status = 503, body = Refused)))]
async fn write_flight(
    State(control): State<Queue>,
    Path(shard): Path<String>,
) -> Result<(StatusCode, Json<Flight>), Trouble> {
    let shard = shard.parse().map_err(|_| Trouble::NoFlight)?;
    let flight = control.ask(|reply| Ask::Flight(shard, reply)).await?;
    Ok((StatusCode::CREATED, Json(flight)))
}

/// Whether the server lives (it answers at all) and takes calls (200, else 503).
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health(State(control): State<Queue>) -> Result<(StatusCode, Json<Health>), Trouble> {
    let health = control.ask_in_turn(Ask::Health).await?;
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(health)))
}

/// Metrics in Prometheus' text format (docs/metrics.md).
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, body = String, content_type = "text/plain; version=0.0.4"),
    (status = 503, body = Refused), (status = 504, body = Refused)))]
async fn metrics(State(control): State<Queue>) -> Result<Response, Trouble> {
    let text = control.ask(Ask::Metrics).await?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, body = Object)))]
async fn openapi(Extension(document): Extension<std::sync::Arc<Document>>) -> Response {
    Json(document.as_ref()).into_response()
}

pub(super) fn checked(page: Result<Query<Page>, QueryRejection>) -> Result<Page, Trouble> {
    let Query(page) = page.map_err(|_| Trouble::Query)?;
    if page.is_valid() { Ok(page) } else { Err(Trouble::Query) }
}

pub(super) fn done(outcome: Result<(), Trouble>) -> Result<StatusCode, Trouble> {
    outcome.map(|()| StatusCode::NO_CONTENT)
}

/// The number of a participant; what is no number names nobody.
pub(super) fn number(id: &str) -> Result<u64, Trouble> {
    id.parse().map_err(|_| Trouble::NoParticipant)
}
