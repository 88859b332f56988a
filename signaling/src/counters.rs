//! What the front end has seen and done, as numbers that only grow.

use engine_control::DigitSource;
use sipx_sip::Method;

/// Methods that are counted by name; `other` holds the rest.
const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "PRACK",
    "UPDATE",
    "INFO",
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "MESSAGE",
    "PUBLISH",
    "other",
];

/// The classes of status codes.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

/// The ways in which digits come.
const DIGIT_SOURCES: [(DigitSource, &str); 3] = [
    (DigitSource::TelephoneEvent, "rfc4733"),
    (DigitSource::InBand, "in_band"),
    (DigitSource::Info, "info"),
];

/// Counters of the whole front end since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    requests: [u64; METHODS.len()],
    responses_sent: [u64; CLASSES.len()],
    responses_received: [u64; CLASSES.len()],
    refusals: [u64; Reason::ALL.len()],
    dropped: [u64; Dropped::ALL.len()],
    ended: [u64; Ending::ALL.len()],
    digits: [u64; DIGIT_SOURCES.len()],
    /// Digits that were told a second time, in another way.
    pub digits_repeated: u64,
    /// Rows of digits that were to be sent and did not fit behind those that wait.
    pub digits_refused: u64,
    /// Requests that repeat an earlier one and were absorbed or answered again.
    pub retransmissions_received: u64,
    /// Messages that we sent again for want of an answer.
    pub retransmissions_sent: u64,
    /// Requests of ours that nobody answered.
    pub requests_timed_out: u64,
    /// Rooms that were to be sent to a recorder, and no recorder took them any more.
    pub recorders_gone: u64,
    /// Calls answered with 200.
    pub calls_answered: u64,
}

/// Declares an enum whose variants are counters with names.
macro_rules! counted {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }

        impl $type {
            /// All of them, in the order of their counters.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name as a metric label.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

counted! {
    /// Why a request was refused.
    Reason {
        /// The message or one of its headers is malformed (400).
        Malformed = "malformed",
        /// Another SIP version (505).
        Version = "version",
        /// Longer than we read (513).
        TooLarge = "too_large",
        /// A method we do not serve (405).
        Method = "method",
        /// A URI scheme other than `sip` (416).
        Scheme = "scheme",
        /// The same request came by two ways (482).
        Merged = "merged",
        /// An extension is required that we lack (420).
        Extension = "extension",
        /// A body, an encoding or an answer in a format we do not have (415, 406).
        Format = "format",
        /// An unknown number (404).
        UnknownNumber = "unknown_number",
        /// No such dialog or transaction (481).
        NoDialog = "no_dialog",
        /// Out of order, or before its time (500).
        Order = "order",
        /// Two offers crossed (491).
        Glare = "glare",
        /// The session description was not acceptable (488, 400, 413).
        Description = "description",
        /// A body of a recording session was not acceptable (400, 413, 415).
        Body = "body",
        /// The session interval is too small (422).
        Interval = "interval",
        /// An INFO package that we did not ask for (469).
        Package = "package",
        /// The room is full (486).
        RoomFull = "room_full",
        /// The server is full or cannot get what the call needs (503).
        Full = "full",
        /// The server is stopping (503).
        Stopping = "stopping",
        /// The caller gave up before the answer (487).
        Cancelled = "cancelled",
        /// The time in the INVITE's Expires passed before the answer (487).
        Expired = "expired",
        /// A reliable provisional response was never acknowledged (504).
        NoPrack = "no_prack",
        /// The call was taken away before it was answered (480).
        Removed = "removed",
        /// A Record header in INFO of an endpoint that may not record (403).
        MayNotRecord = "may_not_record",
    }
}

counted! {
    /// Why a message was dropped without an answer.
    Dropped {
        /// Not SIP, or too broken for an answer.
        Unreadable = "unreadable",
        /// A malformed ACK, which is never answered, or one for nothing that we know.
        StrayAck = "stray_ack",
        /// A response to nothing that we asked.
        StrayResponse = "stray_response",
    }
}

counted! {
    /// How a call ended.
    Ending {
        /// The caller sent BYE.
        Bye = "bye",
        /// The caller sent CANCEL.
        Cancelled = "cancelled",
        /// The call was refused after it had been admitted.
        Refused = "refused",
        /// The 200 was never acknowledged.
        NoAck = "no_ack",
        /// The ACK or the answer in it was not what the call needs.
        BadAnswer = "bad_answer",
        /// No media came.
        MediaTimedOut = "media_timed_out",
        /// The session was not refreshed, or the caller no longer knows the dialog.
        SessionExpired = "session_expired",
        /// Removed by the API.
        Removed = "removed",
        /// The server is stopping.
        Stopping = "stopping",
        /// The engine could not serve it.
        EngineFailed = "engine_failed",
        /// It could not be recorded.
        RecordingFailed = "recording_failed",
        /// Somebody stopped its recording, and it was there for nothing else.
        RecordingStopped = "recording_stopped",
    }
}

impl Counters {
    /// Requests received, by method.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        METHODS.into_iter().zip(self.requests)
    }

    /// Responses sent, by class of status.
    pub fn responses_sent(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.responses_sent)
    }

    /// Responses received, by class of status.
    pub fn responses_received(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.responses_received)
    }

    /// Requests refused for this reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refusals[reason as usize]
    }

    /// Messages dropped for this reason.
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize]
    }

    /// Calls that ended this way.
    pub fn ended(&self, ending: Ending) -> u64 {
        self.ended[ending as usize]
    }

    /// Digits received, by the way they came; those told in two ways count for the first.
    pub fn digits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DIGIT_SOURCES.into_iter().map(|(_, name)| name).zip(self.digits)
    }

    pub(crate) fn count_digit(&mut self, source: DigitSource, is_new: bool) {
        let counted = DIGIT_SOURCES.iter().zip(&mut self.digits);
        match counted.into_iter().find(|((known, _), _)| is_new && *known == source) {
            Some((_, count)) => *count += 1,
            None => self.digits_repeated += 1,
        }
    }

    pub(crate) fn count_request(&mut self, method: &Method) {
        let known = METHODS.iter().position(|name| name.as_bytes() == method.as_bytes());
        self.requests[known.unwrap_or(METHODS.len() - 1)] += 1;
    }

    pub(crate) fn count_response_sent(&mut self, class: u16) {
        count_class(&mut self.responses_sent, class);
    }

    pub(crate) fn count_response_received(&mut self, class: u16) {
        count_class(&mut self.responses_received, class);
    }

    pub(crate) fn count_refusal(&mut self, reason: Reason) {
        self.refusals[reason as usize] += 1;
    }

    pub(crate) fn count_dropped(&mut self, reason: Dropped) {
        self.dropped[reason as usize] += 1;
    }

    pub(crate) fn count_ending(&mut self, ending: Ending) {
        self.ended[ending as usize] += 1;
    }
}

fn count_class(counters: &mut [u64; CLASSES.len()], class: u16) {
    if let Some(counter) = counters.get_mut(usize::from(class).wrapping_sub(1)) {
        *counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn an_unknown_method_is_counted_as_other() {
        let mut counters = Counters::default();
        counters.count_request(&Method::Invite);
        counters.count_request(&Method::parse(&Bytes::from_static(b"DANCE")));
        let counted: Vec<_> = counters.requests().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("INVITE", 1), ("other", 1)]);
    }
}
