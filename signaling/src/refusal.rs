//! The table of refusals: each reason with its status and what the response has to say.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use signaling_sdp::SdpRefusal;
use signaling_siprec::Refusal as BodyRefusal;
use sipx_sip::HeaderName;

use crate::counters::Reason;
use crate::reply::{ALLOW, Reply};
use crate::siprec::body::FORMATS;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Malformed; says what.
    Malformed(Cow<'static, str>),
    Version,
    TooLarge,
    Method,
    Scheme,
    Merged,
    /// The option tags that we lack.
    Extension(String),
    /// The formats that we would take.
    ContentType(&'static str),
    ContentEncoding,
    NotAcceptable,
    UnknownNumber,
    NoDialog,
    OldSequence,
    /// May be tried again after so many seconds.
    Unfinished(u32),
    Glare,
    Description(SdpRefusal),
    /// A body of a recording session.
    Body(BodyRefusal),
    /// The shortest interval that we agree to.
    Interval(Duration),
    Package,
    RoomFull,
    /// What there is none left of.
    Full(&'static str),
    Stopping,
    Cancelled,
    /// The caller did not want to wait any longer.
    Expired,
    NoPrack,
    Removed,
    /// A Record header of an endpoint that may not.
    MayNotRecord,
}

impl Refusal {
    /// Under which name it is counted.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::Malformed,
            Self::Version => Reason::Version,
            Self::TooLarge => Reason::TooLarge,
            Self::Method => Reason::Method,
            Self::Scheme => Reason::Scheme,
            Self::Merged => Reason::Merged,
            Self::Extension(_) => Reason::Extension,
            Self::ContentType(_) | Self::ContentEncoding | Self::NotAcceptable => Reason::Format,
            Self::UnknownNumber => Reason::UnknownNumber,
            Self::NoDialog => Reason::NoDialog,
            Self::OldSequence | Self::Unfinished(_) => Reason::Order,
            Self::Glare => Reason::Glare,
            Self::Description(_) => Reason::Description,
            Self::Body(_) => Reason::Body,
            Self::Interval(_) => Reason::Interval,
            Self::Package => Reason::Package,
            Self::RoomFull => Reason::RoomFull,
            Self::Full(_) => Reason::Full,
            Self::Stopping => Reason::Stopping,
            Self::Cancelled => Reason::Cancelled,
            Self::Expired => Reason::Expired,
            Self::NoPrack => Reason::NoPrack,
            Self::Removed => Reason::Removed,
            Self::MayNotRecord => Reason::MayNotRecord,
        }
    }

    /// The response that says it. `warner` is who speaks in a Warning, where there is one.
    pub(crate) fn reply(
        &self,
        warner: impl FnOnce() -> SocketAddr,
        retry_after: Duration,
    ) -> Reply {
        let reply = Reply::new(self.status());
        let later =
            |reply: Reply, seconds: u64| reply.header(HeaderName::RetryAfter, seconds.to_string());
        match self {
            Self::Malformed(what) => reply.because(format!("Bad Request - {what}")),
            Self::Method => reply.header(HeaderName::Allow, ALLOW),
            Self::Extension(tags) => reply.header(HeaderName::Unsupported, tags.clone()),
            Self::ContentType(formats) => reply.header(HeaderName::Accept, *formats),
            Self::ContentEncoding => reply.header(HeaderName::AcceptEncoding, "identity"),
            Self::OldSequence => reply.because("CSeq Out of Order"),
            Self::Unfinished(seconds) => later(reply, u64::from(*seconds)),
            Self::Description(refusal) => reply.header(
                HeaderName::Warning,
                warning(refusal.warning_code(), warner(), &refusal.warning_text()),
            ),
            Self::Body(refusal) => {
                let text = warning(399, warner(), refusal.text());
                let reply = reply.header(HeaderName::Warning, text);
                let says_formats = refusal.status() == 415;
                if says_formats { reply.header(HeaderName::Accept, FORMATS) } else { reply }
            }
            Self::Interval(shortest) => {
                reply.header(HeaderName::MinSe, shortest.as_secs().to_string())
            }
            Self::Package => reply.header(HeaderName::Other("Recv-Info".into()), ""),
            Self::Full(what) => later(reply, retry_after.as_secs())
                .header(HeaderName::Warning, warning(399, warner(), what)),
            Self::Stopping => later(reply, retry_after.as_secs())
                .header(HeaderName::Warning, warning(399, warner(), "The server is stopping")),
            _ => reply,
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Version => 505,
            Self::TooLarge => 513,
            Self::Method => 405,
            Self::Scheme => 416,
            Self::Merged => 482,
            Self::Extension(_) => 420,
            Self::ContentType(_) | Self::ContentEncoding => 415,
            Self::NotAcceptable => 406,
            Self::UnknownNumber => 404,
            Self::NoDialog => 481,
            Self::OldSequence | Self::Unfinished(_) => 500,
            Self::Glare => 491,
            Self::Description(refusal) => refusal.status(),
            Self::Body(refusal) => refusal.status(),
            Self::Interval(_) => 422,
            Self::Package => 469,
            Self::RoomFull => 486,
            Self::Full(_) | Self::Stopping => 503,
            Self::Cancelled | Self::Expired => 487,
            Self::NoPrack => 504,
            Self::Removed => 480,
            Self::MayNotRecord => 403,
        }
    }
}

fn warning(code: u16, warner: SocketAddr, text: &str) -> String {
    format!("{code} {warner} \"{text}\"")
}
