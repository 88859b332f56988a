//! The HTTP API: questions and orders to the control plane, answered in JSON.
//!
//! A request becomes an [`Ask`] in a bounded queue to the control task, which answers through a
//! one-shot reply; nothing here touches a call. Whatever is wrong with a request is answered by
//! [`Trouble`]: what was refused, and what would be right. The `OpenAPI` document is collected from
//! the same declarations that make the routes.

mod agreed;
mod answer;
mod events;
mod guard;
mod model;
mod quality;
mod range;
mod recordings;
mod routes;
mod serve;

pub(crate) use agreed::Agreed;
pub(crate) use answer::Trouble;
pub(crate) use model::{
    Flight, Health, KeyPresses, Media, Page, Participant, ParticipantPage, Room, RoomPage,
    ShardHealth,
};
pub(crate) use recordings::{Act, Of, Recording, RecordingState, RecordingWish};
pub(crate) use routes::{document, router};
pub(crate) use serve::{Limits, serve};

use signaling::{Gains, Subject};
use tokio::sync::mpsc::Permit;
use tokio::sync::{mpsc, oneshot};

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Trouble>>;

/// One request to the control task.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Which rooms there are.
    Rooms(Page, Reply<RoomPage>),
    /// One room.
    Room(String, Reply<Room>),
    /// Who takes part, in one room or anywhere.
    Participants(Option<String>, Page, Reply<ParticipantPage>),
    /// One participant.
    Participant(u64, Reply<Participant>),
    /// Mute or unmute one participant.
    Mute(u64, bool, Reply<()>),
    /// Set how loud one participant is heard, and hears.
    Amplify(u64, Gains, Reply<()>),
    /// Press keys for one participant.
    Press(u64, KeyPresses, Reply<()>),
    /// Send one participant to another room.
    Transfer(u64, String, Reply<()>),
    /// End one participant's call.
    Kick(u64, Reply<()>),
    /// End all calls of a room.
    EndRoom(String, Reply<()>),
    /// Begin or end the sending of a room or a call to a recorder.
    Send(Subject, bool, Reply<()>),
    /// The recordings that go on.
    Recordings(Reply<Vec<Recording>>),
    /// Begin a recording.
    Record(Of, RecordingWish, Reply<Recording>),
    /// Do something to one that goes on.
    ActOnRecording(String, Act, Reply<()>),
    /// Let go of a finished recording, which is about to be deleted.
    ReleaseRecording(String, Reply<()>),
    /// Write what a shard's flight recorder holds.
    Flight(u8, Reply<Flight>),
    /// How the server is.
    Health(Reply<Health>),
    /// All metrics as text.
    Metrics(Reply<String>),
}

/// The way to the control task.
#[derive(Debug, Clone)]
pub(crate) struct Queue(mpsc::Sender<Ask>);

/// A way to the control task that holds so many requests, and the task's end of it.
pub(crate) fn queue(waiting_max: usize) -> (Queue, mpsc::Receiver<Ask>) {
    let (sender, receiver) = mpsc::channel(waiting_max);
    (Queue(sender), receiver)
}

impl Queue {
    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, Trouble> {
        ask_from(self.0.try_reserve().map_err(|_| Trouble::Busy)?, ask).await
    }

    /// Asks once there is a place among those who wait.
    async fn ask_in_turn<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, Trouble> {
        ask_from(self.0.reserve().await.map_err(|_| Trouble::Stopping)?, ask).await
    }
}

async fn ask_from<T>(
    place: Permit<'_, Ask>,
    ask: impl FnOnce(Reply<T>) -> Ask,
) -> Result<T, Trouble> {
    let (reply, answer) = oneshot::channel();
    place.send(ask(reply));
    answer.await.map_err(|_| Trouble::Stopping)?
}
