//! Connections of the API, each with limits.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Trouble;
use super::events::Listeners;

/// How much the API takes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at one time; more wait in the kernel's queue.
    pub(crate) connections_max: usize,
    /// Requests at one time; one more is answered 503.
    pub(crate) requests_max: usize,
    /// Octets of one request's body; a longer one is answered 413.
    pub(crate) body_max: u64,
    /// How long a request may take, and how long its headers may take to arrive.
    pub(crate) timeout: Duration,
}

/// Octets of a request's line and headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long to wait where the process has no descriptor left for a connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves `router` for ever.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let guard = Guard { requests: Arc::new(Semaphore::new(limits.requests_max)), limits };
    let router = router
        .layer(Extension(Listeners::of(limits.connections_max)))
        .layer(middleware::from_fn_with_state(guard, guarded));
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, router.clone(), limits.timeout, permit));
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
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an API connection ended");
    }
}

#[derive(Clone)]
struct Guard {
    requests: Arc<Semaphore>,
    limits: Limits,
}

async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > guard.limits.body_max {
        return Trouble::TooLarge.into_response();
    }
    let Ok(_permit) = guard.requests.try_acquire() else { return Trouble::Busy.into_response() };
    let answered = tokio::time::timeout(guard.limits.timeout, next.run(request)).await;
    answered.unwrap_or_else(|_| Trouble::Late.into_response())
}
