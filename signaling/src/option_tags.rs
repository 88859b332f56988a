//! Lists of tokens: option tags and media ranges.

use sipx_sip::{HeaderName, Headers, Request};

/// The extensions that we have, for `Require`.
const KNOWN: [&str; 3] = ["100rel", "timer", RECORD_AWARE];

/// An endpoint that wants to know whether it is recorded (RFC 7866 section 6.1.1).
pub(crate) const RECORD_AWARE: &str = "record-aware";

/// Whether a header of this name lists `tag`.
pub(crate) fn lists(headers: &Headers, name: &HeaderName, tag: &str) -> bool {
    tokens(headers, name).iter().any(|token| token.eq_ignore_ascii_case(tag))
}

/// Whether `Supported` or `Require` lists `tag`.
pub(crate) fn names(headers: &Headers, tag: &str) -> bool {
    lists(headers, &HeaderName::Supported, tag) || lists(headers, &HeaderName::Require, tag)
}

/// The extensions required by `request` that we lack, as `Unsupported` lists them. `more`: what we
/// have beside those that we always have.
pub(crate) fn lacking(request: &Request, more: &[&str]) -> Option<String> {
    let mut required = tokens(&request.headers, &HeaderName::Require);
    let known = KNOWN.iter().chain(more);
    required.retain(|tag| !known.clone().any(|known| known.eq_ignore_ascii_case(tag)));
    (!required.is_empty()).then(|| required.join(", "))
}

/// Whether `Accept` allows a session description. Where it is absent it does (RFC 3261 20.1).
pub(crate) fn accepts_sdp(headers: &Headers) -> bool {
    headers.get(&HeaderName::Accept).is_none()
        || tokens(headers, &HeaderName::Accept).iter().any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            ["application/sdp", "application/*", "*/*"]
                .iter()
                .any(|ok| range.eq_ignore_ascii_case(ok))
        })
}

/// The comma-separated values of all headers of this name.
fn tokens(headers: &Headers, name: &HeaderName) -> Vec<String> {
    let mut tokens = Vec::new();
    for header in headers.get_all(name) {
        let value = String::from_utf8_lossy(&header.value()).into_owned();
        let values = value.split(',').map(str::trim).filter(|token| !token.is_empty());
        tokens.extend(values.map(str::to_owned));
    }
    tokens
}
