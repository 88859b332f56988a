//! Connections of the API, each with limits.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router, middleware};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;

use super::events::Listeners;
use super::guard::{Guard, guarded};

/// How much the API takes on.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Connections at one time; more wait in the kernel's queue.
    pub(crate) connections_max: usize,
    /// Requests at one time; one more is answered 503.
    pub(crate) requests_max: usize,
    /// Octets of one request's body; a longer one is answered 413.
    pub(crate) body_max: u64,
    /// How long a request may take, how long it may take to arrive, and how long a client may take
    /// nothing of an answer.
    pub(crate) timeout: Duration,
    /// Names of this machine beside its addresses; none: any name is right.
    pub(crate) hosts: Option<Vec<String>>,
}

/// Octets of a request's line and headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Octets of an answer that the kernel keeps unsent. Of the megabytes that it takes otherwise it tells
/// of room only once a third is gone, and who reads slowly would look like one who does not read.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// How long to wait where the process has no descriptor left for a connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves `router` for ever.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let Limits { connections_max, timeout, .. } = limits;
    let router = router
        .layer(Extension(Listeners::of(connections_max)))
        .layer(middleware::from_fn_with_state(Guard::new(limits), guarded));
    let connections = Arc::new(Semaphore::new(connections_max));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, router.clone(), timeout, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "the API cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    timeout: Duration,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::debug!(%error, "who reads an answer of the API slowly may be taken for gone");
    }
    // Who does not read keeps the connection no longer than who does not ask.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(timeout));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an API connection ended");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// More than any kernel takes at once.
    const LARGE: usize = 64 << 20;

    /// A connection to a server that knows one large answer.
    async fn connected(timeout: Duration) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || vec![0; LARGE]));
        let limits =
            Limits { connections_max: 2, requests_max: 1, body_max: 1, timeout, hosts: None };
        tokio::spawn(serve(listener, router, limits));
        TcpStream::connect(address).await.unwrap()
    }

    #[tokio::test]
    async fn who_reads_slowly_but_steadily_gets_all() {
        let timeout = Duration::from_secs(2);
        let mut client = connected(timeout).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let (begun, mut read, mut piece) = (Instant::now(), 0, vec![0; 8 * 1024]);
        while begun.elapsed() < 3 * timeout {
            read += client.read(&mut piece).await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        // What was on its way before the connection was closed could be read on for long, too.
        piece.resize(1 << 20, 0);
        while let Ok(more @ 1..) = client.read(&mut piece).await {
            read += more;
        }
        assert!(read > LARGE, "{read} octets came");
    }
}
