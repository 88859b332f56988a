//! What every request must pass before anything looks at it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Trouble;
use super::serve::Limits;

/// The limits, and what is left of them.
#[derive(Clone)]
pub(super) struct Guard {
    requests: Arc<Semaphore>,
    limits: Arc<Limits>,
}

impl Guard {
    pub(super) fn new(limits: Limits) -> Self {
        Self { requests: Arc::new(Semaphore::new(limits.requests_max)), limits: Arc::new(limits) }
    }
}

/// Lets a request through, and answers it where that takes too long.
pub(super) async fn guarded(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Result<Response, Trouble> {
    check(&request, &guard.limits)?;
    let _permit = match request.uri().path() {
        // Who watches asks just then how the server is.
        "/health" => None,
        _ => Some(guard.requests.try_acquire().map_err(|_| Trouble::Busy)?),
    };
    let whole = timeout(guard.limits.timeout, whole(request, guard.limits.body_max)).await;
    let request = whole.map_err(|_| Trouble::Slow)??;
    let answered = timeout(guard.limits.timeout, next.run(request)).await;
    Ok(answered.unwrap_or_else(|_| Trouble::Late.into_response()))
}

/// Refuses what a page of others made a browser ask, and a path that is no text.
///
/// An API without a password on loopback is within reach of every page that a browser on this machine
/// shows: such a page may send orders, which browsers mark with its `Origin`, and by a name of its own
/// that it lets point here (DNS rebinding) it could even read, which `Host` tells.
fn check(request: &Request, limits: &Limits) -> Result<(), Trouble> {
    let headers = request.headers();
    let host = authority(headers, HOST);
    if let Some(host) = &host
        && limits.hosts.as_ref().is_some_and(|hosts| !is_ours(host.host(), hosts))
    {
        return Err(Trouble::ForeignHost);
    }
    let is_order = !request.method().is_safe();
    let page = authority(headers, ORIGIN).filter(|_| is_order);
    if page.is_some() && page != host {
        return Err(Trouble::ForeignPage);
    }
    let path = percent_decode_str(request.uri().path()).decode_utf8();
    path.map(drop).map_err(|_| Trouble::NoPath)
}

/// Host and port that a header names, with or without a scheme.
fn authority(headers: &HeaderMap, name: HeaderName) -> Option<Authority> {
    let text = headers.get(name)?.to_str().unwrap_or_default();
    let (_, authority) = text.split_once("://").unwrap_or(("", text));
    // What cannot be read is nobody's.
    Some(authority.parse().unwrap_or(Authority::from_static("invalid")))
}

/// Whether a name can only mean this machine, or is said to.
fn is_ours(host: &str, hosts: &[String]) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
}

/// The request with its whole body, which is JSON whatever the client calls it.
async fn whole(request: Request, body_max: u64) -> Result<Request, Trouble> {
    let (mut head, body) = request.into_parts();
    let limit = usize::try_from(body_max).unwrap_or(usize::MAX);
    if body.size_hint().lower() > body_max {
        return Err(Trouble::TooLarge(body_max));
    }
    let body = to_bytes(body, limit).await.map_err(|_| Trouble::TooLarge(body_max))?;
    // Whoever reads an object would take a list of its values, too.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Trouble::List);
    }
    if body.is_empty() {
        head.headers.remove(CONTENT_TYPE);
    } else {
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(Request::from_parts(head, Body::from(body)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn checked(
        method: &str,
        headers: &[(HeaderName, &str)],
        hosts: Option<&[&str]>,
    ) -> Result<(), Trouble> {
        let hosts = hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect());
        let limits = Limits {
            connections_max: 1,
            requests_max: 1,
            body_max: 1,
            timeout: Duration::ZERO,
            hosts,
        };
        let mut request = Request::builder().method(method).uri("/v1/rooms");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        check(&request.body(Body::empty()).unwrap(), &limits)
    }

    #[test]
    fn a_name_of_others_is_refused_on_loopback() {
        let asked = |host: &str, hosts| checked("GET", &[(HOST, host)], hosts);
        for host in ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "LOCALHOST", "192.0.2.1"] {
            assert_eq!(asked(host, Some(&[])), Ok(()), "{host}");
        }
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "localhost.example", "", "a b"]
        {
            assert_eq!(asked(host, Some(&[])), Err(Trouble::ForeignHost), "{host}");
        }
        assert_eq!(asked("pbx.example:8080", Some(&["pbx.example"])), Ok(()));
        assert_eq!(asked("evil.example", None), Ok(()), "not on loopback");
        assert_eq!(checked("GET", &[], Some(&[])), Ok(()), "no browser");
    }

    #[test]
    fn orders_of_other_pages_are_refused() {
        let host = (HOST, "127.0.0.1:8080");
        let asked = |method, origin| checked(method, &[host.clone(), (ORIGIN, origin)], None);
        for origin in ["https://evil.example", "http://127.0.0.1:9000", "null", ""] {
            assert_eq!(asked("POST", origin), Err(Trouble::ForeignPage), "{origin}");
            assert_eq!(asked("GET", origin), Ok(()), "{origin}: browsers keep the answer from it");
        }
        assert_eq!(asked("DELETE", "http://127.0.0.1:8080"), Ok(()));
        assert_eq!(checked("POST", std::slice::from_ref(&host), None), Ok(()), "no browser");
    }
}
