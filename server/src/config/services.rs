//! `[dial]`, `[api]`, `[log]`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::uri::Authority;
use signaling::{DialPlan, Pattern, PlanError, Service};

use super::reader::Section;

/// What `[dial]` means, for the documentation.
pub(super) const DIAL: &str = "\
What can be dialled: `\"pattern\" = \"service\"`, where the first pattern that matches the user part of the
request URI decides. The section as a whole replaces the defaults: where it is empty, nothing can be dialled. A pattern is one user part (`echo`), a prefix that
ends in a star (`conf*`), or a range of numbers of equal length (`3000-3999`). Services: `room` (named by what the star
stands for, or by the number), `echo` (the caller's own sound), `tone` (1 kHz), `record` (until hang-up). Anything else
is answered 404.";

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Where to listen; none: no API.
    pub listen: Option<SocketAddr>,
    /// Octets of one request's body.
    pub body_max: u64,
    /// Requests at one time.
    pub requests_max: u32,
    /// Connections at one time.
    pub connections_max: u32,
    /// How long one request may take.
    pub timeout: Duration,
    /// Names of this machine that requests may be for.
    pub hosts: Vec<String>,
}

impl Api {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let s = Duration::from_secs;
        Self {
            listen: section.listener_or_off(
                "listen",
                SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
                "Where the API listens. It asks for no password: keep it on loopback, or behind a proxy \
                 that does.",
            ),
            body_max: section.size("body_max", 16 << 10, 1 << 10..=1 << 20, "Octets of one request's body; a longer one is answered 413."),
            requests_max: section.count("requests_max", 32, 1..=1024, "Requests at one time; one more is answered 503."),
            connections_max: section.count("connections_max", 64, 1..=4096, "Connections at one time; more wait to be accepted. Fewer where files are short, as of `sip.tcp_connections_max`."),
            timeout: section.duration("timeout", s(5), Duration::from_millis(100)..=s(60), "How long one request may take, how long it may take to arrive, and how long a client may take nothing of an answer."),
            hosts: section.parsed_list(
                "hosts",
                "host names, for example [\"pbx.example.org\"]",
                "Names by which the API may be asked where it listens on loopback, beside addresses and `localhost`; any \
                 other Host is answered 403, so that no web page can ask by a name of its own. Where it listens on other \
                 addresses any name is right.",
                host,
            ),
        }
    }
}

fn host(text: &str) -> Result<String, String> {
    let is_name = |text: &str| text.parse::<Authority>().is_ok_and(|name| name.host() == text);
    if is_name(text) { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is no host name")) }
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter of tracing-subscriber.
    pub level: String,
    /// JSON instead of text.
    pub json: bool,
}

impl Log {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            level: section.log_filter(
                "level",
                "info",
                "What is logged; the environment variable `MIXMINUS_LOG` wins over it, unless it is empty.",
            ),
            json: section.choice(
                "format",
                &[("text", false), ("json", true)],
                "Lines for people, or one JSON object per line.",
            ),
        }
    }
}

/// Reads `[dial]`.
pub(super) fn dial(section: &mut Section<'_, '_>) -> DialPlan {
    let mut earlier: Vec<Pattern> = Vec::new();
    let right = "\"pattern\" = \"service\", for example \"3000-3999\" = \"room\"";
    let given = section.entries(right, |pattern, service| {
        let pattern: Pattern = pattern.parse().map_err(|error: PlanError| error.to_string())?;
        let service: Service = service.parse().map_err(|error: PlanError| error.to_string())?;
        if earlier.contains(&pattern) {
            return Err("the pattern is there already".to_owned());
        }
        earlier.push(pattern.clone());
        Ok((pattern, service))
    });
    given.and_then(|entries| DialPlan::new(entries).ok()).unwrap_or_default()
}
