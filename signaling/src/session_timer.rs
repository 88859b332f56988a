//! Session timers (RFC 4028): how long a dialog lives without a sign of life, and who gives it.

use std::time::Duration;

use sipx_sip::session::{ABSOLUTE_MIN_INTERVAL, MinSe, Refresher, SessionExpires};
use sipx_sip::{Headers, Request};

use crate::option_tags::names;
use crate::refusal::Refusal;

/// The party that must hang up does it a little early, before a middlebox forgets the dialog
/// (section 10).
const EARLY_MAX: Duration = Duration::from_secs(32);

/// What fits into a header (RFC 3261 section 25.1: delta-seconds of 32 bits) and onto our clock.
const INTERVAL_MAX: Duration = Duration::from_secs(u32::MAX as u64);

/// What a dialog agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    /// The session interval.
    pub interval: Duration,
    /// Whether we send the refreshes.
    pub we_refresh: bool,
    /// Whether the caller knows session timers at all.
    pub known_to_peer: bool,
}

/// What we want of session timers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// The interval that we ask for; zero: none.
    pub wanted: Duration,
    /// The shortest that we agree to.
    pub shortest: Duration,
}

impl Policy {
    /// What we ask for in an INVITE of our own: we refresh.
    pub(crate) fn ours(self) -> Option<SessionTimer> {
        let ours = SessionTimer { interval: self.wanted, we_refresh: true, known_to_peer: false };
        (!self.wanted.is_zero()).then_some(ours)
    }

    /// What a caller's request asks for and what it gets (section 9). `None`: no timer.
    pub(crate) fn negotiate(self, request: &Request) -> Result<Option<SessionTimer>, Refusal> {
        let headers = &request.headers;
        let malformed = |name| move |_| Refusal::Malformed(name);
        let known_to_peer = names(headers, "timer");
        let asked = headers.typed::<SessionExpires>().transpose();
        let asked = asked.map_err(malformed("Session-Expires".into()))?;
        let peer_shortest = headers.typed::<MinSe>().transpose();
        let peer_shortest = peer_shortest.map_err(malformed("Min-SE".into()))?;
        let floor = peer_shortest.map_or(ABSOLUTE_MIN_INTERVAL, |min| bounded(min.0));
        let Some(asked) = asked else {
            let interval = self.wanted.max(floor);
            // For a caller that knows no timers we refresh: nobody else would notice its end.
            let timer = SessionTimer { interval, we_refresh: !known_to_peer, known_to_peer };
            return Ok((!self.wanted.is_zero()).then_some(timer));
        };
        let shortest = self.shortest.max(ABSOLUTE_MIN_INTERVAL);
        if asked.interval < shortest && known_to_peer {
            return Err(Refusal::Interval(shortest));
        }
        // A proxy asked, for a caller that cannot be told 422: we keep to our own bound.
        let mut interval = bounded(asked.interval);
        if !self.wanted.is_zero() {
            interval = interval.min(self.wanted.max(floor).max(shortest));
        }
        // The caller's choice stands. Where it made none it refreshes, if it can.
        let we_refresh = match asked.refresher {
            Some(refresher) => refresher == Refresher::Uas,
            None => !known_to_peer,
        };
        Ok(Some(SessionTimer { interval, we_refresh, known_to_peer }))
    }
}

impl SessionTimer {
    /// Session-Expires in our 2xx. The caller, as the UAC of the request, is `uac`.
    pub(crate) fn in_answer(self) -> String {
        let refresher = if self.we_refresh { "uas" } else { "uac" };
        format!("{};refresher={refresher}", self.interval.as_secs())
    }

    /// Whether our 2xx says `Require: timer`.
    pub(crate) fn is_required(self) -> bool {
        self.known_to_peer
    }

    /// Session-Expires in a request of ours, where we are `uac`: whoever refreshes goes on to do so
    /// (section 7.4).
    pub(crate) fn in_request(self) -> String {
        let refresher = if self.we_refresh { "uac" } else { "uas" };
        format!("{};refresher={refresher}", self.interval.as_secs())
    }

    /// What the 2xx to our request says (section 7.2). An endpoint that says nothing has no
    /// timer of its own; we go on with ours.
    pub(crate) fn adopted(self, answer: &Headers) -> Self {
        match answer.typed::<SessionExpires>() {
            Some(Ok(agreed)) => Self {
                interval: bounded(agreed.interval),
                we_refresh: agreed.refresher.map_or(self.we_refresh, |it| it == Refresher::Uac),
                known_to_peer: true,
            },
            _ => self,
        }
    }

    /// The longer interval that a 422 asks for, if it does ask for a longer one.
    pub(crate) fn lengthened(self, refusal: &Headers) -> Option<Self> {
        let MinSe(shortest) = refusal.typed::<MinSe>()?.ok()?;
        let longer = Self { interval: bounded(shortest), ..self };
        (longer.interval > self.interval).then_some(longer)
    }

    /// When we refresh, after the last refresh.
    pub(crate) fn refresh_after(self) -> Option<Duration> {
        self.we_refresh.then(|| self.interval / 2)
    }

    /// When we hang up, after the last refresh.
    pub(crate) fn expires_after(self) -> Duration {
        self.interval.saturating_sub(EARLY_MAX.min(self.interval / 3))
    }
}

/// What a peer says, within what the RFC allows: a shorter interval would let it make us send
/// requests as fast as it likes (section 11.2).
fn bounded(interval: Duration) -> Duration {
    interval.clamp(ABSOLUTE_MIN_INTERVAL, INTERVAL_MAX)
}
