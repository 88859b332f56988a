//! What happens to recordings, as it happens: Server-Sent Events, as browsers read them with
//! `EventSource` (HTML Living Standard, section 9.2). The same is told to webhooks.
//!
//! A listener that is too slow misses the oldest, and is told how many; one that takes nothing any
//! more is let go. Nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::http::Method;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use recorder_shelf::{Announcement, Shelf};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

use super::Trouble;
use super::answer::Refused;

/// After so long without news a comment is sent: proxies keep the connection, and it is noticed
/// where nobody is there any more. So long a listener may take to take something.
const PATIENCE: Duration = Duration::from_secs(15);

/// Octets that wait for one listener's connection.
const WAITING_BYTES: usize = 4096;

/// Places for listeners.
#[derive(Debug, Clone)]
pub(super) struct Listeners(Arc<Semaphore>);

impl Listeners {
    /// Half of the connections: the other half is left for requests.
    pub(super) fn of(connections_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections_max.div_ceil(2))))
    }
}

/// What happens to recordings from now on, as Server-Sent Events: `event` is what happened, `data` the
/// same JSON as webhooks get. `missed` tells how many were not sent because they were not taken in time.
#[utoipa::path(get, path = "/v1/events", responses(
    (status = 200, body = String, content_type = "text/event-stream"), (status = 503, body = Refused)))]
pub(super) async fn events(
    Extension(shelf): Extension<Shelf>,
    Extension(Listeners(places)): Extension<Listeners>,
    method: Method,
) -> Result<Response, Trouble> {
    let (ours, theirs) = duplex(WAITING_BYTES);
    // Who wants the head alone does not listen.
    if method != Method::HEAD {
        let place = places.try_acquire_owned().map_err(|_| Trouble::Listeners)?;
        tokio::spawn(tell(shelf.listen(), ours, place));
    }
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(ReaderStream::new(theirs))).into_response())
}

async fn tell(
    mut news: Receiver<Announcement>,
    mut listener: DuplexStream,
    _place: OwnedSemaphorePermit,
) {
    loop {
        let next = tokio::select! {
            next = timeout(PATIENCE, news.recv()) => next,
            // Nobody writes to us: that is its end, which the connection drops when it is closed.
            _ = listener.read_u8() => return,
        };
        let text = match next {
            Ok(Ok(Announcement { event, body })) => format!("event: {event}\ndata: {body}\n\n"),
            Ok(Err(RecvError::Lagged(count))) => {
                format!("event: missed\ndata: {{\"event\":\"missed\",\"count\":{count}}}\n\n")
            }
            Ok(Err(RecvError::Closed)) => return,
            Err(_) => ":\n\n".to_owned(),
        };
        let taken = timeout(PATIENCE, listener.write_all(text.as_bytes())).await;
        if !matches!(taken, Ok(Ok(()))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::sync::broadcast;

    use super::*;

    async fn read(from: &mut DuplexStream, bytes: usize) -> String {
        let mut text = vec![0; bytes];
        from.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    fn announcement(event: &str) -> Announcement {
        Announcement { event: event.into(), body: "{}".into() }
    }

    #[tokio::test]
    async fn who_is_slow_is_told_how_much_it_missed_and_who_is_gone_gives_its_place_back() {
        let sender = broadcast::Sender::new(2);
        let news = sender.subscribe();
        for event in ["a", "b", "c"] {
            sender.send(announcement(event)).unwrap();
        }
        let Listeners(places) = Listeners::of(1);
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        assert!(places.try_acquire().is_err(), "one of one");
        let (ours, mut theirs) = duplex(WAITING_BYTES);
        let telling = tokio::spawn(tell(news, ours, place));
        let missed = "event: missed\ndata: {\"event\":\"missed\",\"count\":1}\n\n";
        assert_eq!(read(&mut theirs, missed.len()).await, missed);
        let rest = "event: b\ndata: {}\n\nevent: c\ndata: {}\n\n";
        assert_eq!(read(&mut theirs, rest.len()).await, rest);
        drop(theirs);
        timeout(PATIENCE / 3, telling).await.expect("at once, without news").unwrap();
        assert_eq!(places.available_permits(), 1);
    }
}
