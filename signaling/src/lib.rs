//! The SIP front end. Sans-IO: messages, time and engine events come in, messages and engine
//! commands go out through [`Outside`].
//!
//! RFC 3261 and 6026 (transactions), 3262 (reliable provisional responses), 3264 (offer and
//! answer, in `signaling-sdp`), 3311 (UPDATE), 3581 (`rport`), 4028 (session timers), 4353 (the
//! focus of a conference). It is a user agent server with rooms behind it: it answers, and sends
//! requests only inside the dialogs that callers made. It never sees a sample, reads a clock or
//! makes a system call, and nothing that the network sends makes it panic.

mod body;
mod call;
mod config;
mod counters;
mod dialog;
mod endpoint;
mod fact;
mod focus;
mod front_end;
mod keypad;
mod option_tags;
mod outside;
mod policy;
mod random;
mod reach;
mod recording;
mod refusal;
mod reply;
mod routing;
mod salvage;
mod session_timer;
mod siprec;
mod timers;
mod via;
mod view;

pub use config::{FrontEndConfig, Timing};
pub use counters::{Counters, Dropped, Ending, Reason};
pub use fact::Fact;
pub use front_end::FrontEnd;
pub use outside::{Carrier, Outside, Peer};
pub use policy::{EndpointRule, Network, NotANetwork, RoomRule};
pub use recording::{
    RecordState, RecordWish, Recorded, RecordedParticipant, RecordedTrack, RecordingId,
    RecordingStart,
};
pub use routing::{Destination, DialPlan, Pattern, PlanError, Service, may_name_a_room};
pub use siprec::{NotARecorder, RecorderAddress, SiprecConfig, Subject};
pub use view::{
    DigitsRefusal, Gains, NotFound, ParticipantId, ParticipantView, RoomView, TransferRefusal,
};
