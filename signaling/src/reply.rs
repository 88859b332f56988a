//! Responses: what every one carries, and what one of them adds.
//!
//! RFC 3261 section 8.2.6: Via, From, To, Call-ID and `CSeq` are those of the request, byte for
//! byte; To gets our tag. A request that lacks some of them is answered with those it has.

use std::borrow::Cow;

use bytes::Bytes;
use sipx_sip::{Header, HeaderName, Headers, Request, Response, StatusCode};

/// The methods that we serve.
pub(crate) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO";

/// The extensions that we have.
pub(crate) const SUPPORTED: &str = "100rel, timer";

/// The body format of offer and answer.
pub(crate) const SDP: &str = "application/sdp";

/// A response before it is bound to a request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    phrase: Cow<'static, str>,
    headers: Vec<(HeaderName, String)>,
    body: String,
    in_dialog: bool,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        let phrase = Cow::Borrowed(phrase(status));
        Self { status, phrase, headers: Vec::new(), body: String::new(), in_dialog: false }
    }

    /// With another reason phrase than the usual one.
    pub(crate) fn because(mut self, phrase: impl Into<Cow<'static, str>>) -> Self {
        self.phrase = phrase.into();
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As a response that makes or keeps a dialog: with our Contact, what we can do, and the
    /// request's Record-Route (RFC 3261 section 12.1.1).
    pub(crate) fn in_dialog(mut self, contact: &str) -> Self {
        self.in_dialog = true;
        self.header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, SUPPORTED)
    }

    /// With a session description.
    pub(crate) fn describing(mut self, sdp: String) -> Self {
        self.body = sdp;
        self.header(HeaderName::ContentType, SDP)
    }

    /// The response to `request`, with `tag` in To where it has none.
    pub(crate) fn to(&self, request: &Request, tag: &str, server: &str) -> Response {
        // Every status written in this crate is between 100 and 699.
        let status = StatusCode::new(self.status).expect("a status code");
        let phrase = Bytes::copy_from_slice(self.phrase.as_bytes());
        let mut response = Response::new(status, phrase);
        let headers = &mut response.headers;
        copy(request, headers, &HeaderName::Via);
        copy(request, headers, &HeaderName::From);
        copy_to(request, headers, tag);
        copy(request, headers, &HeaderName::CallId);
        copy(request, headers, &HeaderName::CSeq);
        if self.in_dialog {
            copy(request, headers, &HeaderName::RecordRoute);
        }
        for (name, value) in &self.headers {
            push(headers, name.clone(), value.clone());
        }
        push(headers, HeaderName::Server, server.to_owned());
        push(headers, HeaderName::ContentLength, self.body.len().to_string());
        response.set_body(Bytes::from(self.body.clone().into_bytes()));
        response
    }
}

/// Adds a header that we wrote. One that holds a line end is left out: nothing that a peer sends
/// may begin a line of ours.
pub(crate) fn push(headers: &mut Headers, name: HeaderName, value: impl Into<Bytes>) {
    if let Ok(header) = Header::build(name, value) {
        headers.push(header);
    }
}

fn copy(request: &Request, headers: &mut Headers, name: &HeaderName) {
    for header in request.headers.get_all(name) {
        headers.push(header.clone());
    }
}

/// To with our tag: after a bare address a semicolon begins a header parameter, and after an
/// address in brackets too, so the tag is appended to either.
fn copy_to(request: &Request, headers: &mut Headers, tag: &str) {
    let Some(to) = request.headers.get(&HeaderName::To) else { return };
    let has_tag = request
        .headers
        .typed::<sipx_sip::headers::To>()
        .and_then(Result::ok)
        .is_some_and(|to| to.tag().is_some());
    if has_tag {
        headers.push(to.clone());
        return;
    }
    let mut value = to.value().into_owned();
    value.extend_from_slice(b";tag=");
    value.extend_from_slice(tag.as_bytes());
    push(headers, HeaderName::To, value);
}

/// The usual reason phrases of the codes we send.
fn phrase(status: u16) -> &'static str {
    match status {
        180 => "Ringing",
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        _ => "",
    }
}
