//! The whole front end: three verbs (`receive`, `expire`, `engine_event`), and what the API needs.

mod admin;
mod awareness;
mod ending;
mod in_dialog;
mod invite;
mod media;
mod moving;
mod offer_answer;
mod recorder;
mod recording_client;
mod refresh;
mod requests;
mod sending;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use engine_control::{Command, DigitSource, Event, Route, SessionKey};
use media_units::Instant;
use sipx_sip::error::ParseError;
use sipx_sip::{HeaderName, Limits, Message, Request, Response, parse_datagram};

use crate::call::{Call, CallTimer};
use crate::config::FrontEndConfig;
use crate::counters::{Counters, Dropped, Ending};
use crate::endpoint::{Endpoint, Outcome, Told, TransactionId};
use crate::fact::Fact;
use crate::focus::Focus;
use crate::outside::{Carrier, Outside, Peer};
use crate::policy::Policies;
use crate::random::Random;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::routing::Destination;
use crate::salvage::{diagnosis, salvage};
use crate::session_timer::Policy;
use crate::siprec::sent::{Sent, Subject};
use crate::timers::Timers;
use crate::via::{self, ReturnPath};
use crate::view::ParticipantId;

/// Headers of one message that are read.
const HEADERS_MAX: usize = 256;

/// Bytes of one header that are read.
const HEADER_BYTES_MAX: usize = 8192;

/// A command that found the engine's ring full is sent again after one period of the room.
const RESEND_AFTER: Duration = media_units::PERIOD;

/// The SIP front end of the server.
#[derive(Debug)]
pub struct FrontEnd {
    config: FrontEndConfig,
    policies: Policies,
    random: Random,
    /// Makes the tags of stateless responses ours.
    salt: u64,
    endpoint: Endpoint,
    /// In boxes: nodes of the map are not full, and a call is large.
    calls: BTreeMap<ParticipantId, Box<Call>>,
    by_tag: HashMap<String, ParticipantId>,
    by_session: HashMap<SessionKey, ParticipantId>,
    /// The recording session that each of its streams is of.
    by_stream: HashMap<SessionKey, ParticipantId>,
    /// How many recording sessions others make with us.
    recording_sessions: usize,
    /// Our rooms and calls that are sent to recorders of others.
    sent: BTreeMap<Subject, Sent>,
    /// Calls whose endpoints want to know whether they are recorded.
    record_aware: BTreeSet<ParticipantId>,
    /// Whose dialogs go over which connection.
    flows: HashMap<Peer, BTreeSet<ParticipantId>>,
    focus: Focus,
    timers: Timers<(ParticipantId, CallTimer)>,
    /// Commands that must reach the engine, and found its ring full.
    unsent: VecDeque<media::Duty>,
    /// What happened and nobody has taken yet.
    facts: VecDeque<Fact>,
    resend_at: Option<Instant>,
    admitted: u64,
    is_stopping: bool,
}

/// A request, where it came from and how it is answered.
struct Asked {
    request: Box<Request>,
    from: Peer,
    path: ReturnPath,
    /// `None`: answered without keeping state.
    transaction: Option<TransactionId>,
}

impl FrontEnd {
    /// A front end without calls. `seed` decides every identifier it makes up: a secret outside
    /// of simulations.
    pub fn new(config: FrontEndConfig, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            salt: random.u64(),
            random,
            endpoint: Endpoint::new(config.timing),
            calls: BTreeMap::new(),
            by_tag: HashMap::new(),
            by_session: HashMap::new(),
            by_stream: HashMap::new(),
            recording_sessions: 0,
            sent: BTreeMap::new(),
            record_aware: BTreeSet::new(),
            flows: HashMap::new(),
            focus: Focus::default(),
            timers: Timers::new(),
            unsent: VecDeque::new(),
            facts: VecDeque::new(),
            resend_at: None,
            admitted: 0,
            is_stopping: false,
            policies: Policies::new(&config),
            config,
        }
    }

    /// Takes one whole message: a datagram, or what was framed out of a stream.
    #[expect(clippy::needless_pass_by_value, reason = "a message is handed over, not lent")]
    pub fn receive(&mut self, now: Instant, from: Peer, message: Bytes, out: &mut dyn Outside) {
        match parse_datagram(message.clone(), &self.limits()) {
            Ok(Message::Request(request)) => self.request(now, from, request, out),
            Ok(Message::Response(response)) => self.response(now, response, out),
            Err(error) => self.unreadable(now, from, &message, &error, out),
        }
    }

    /// A connection is gone, or could not be opened.
    pub fn closed(&mut self, now: Instant, peer: Peer, out: &mut dyn Outside) {
        for id in self.flows.remove(&peer).unwrap_or_default() {
            if let Some(call) = self.calls.get_mut(&id) {
                call.dialog.closed(peer);
            }
        }
        for told in self.endpoint.closed(now, peer, out) {
            self.told(now, told, out);
        }
    }

    /// Does what has come due.
    pub fn expire(&mut self, now: Instant, out: &mut dyn Outside) {
        while let Some(told) = self.endpoint.expire(now, out) {
            self.told(now, told, out);
        }
        while let Some((id, timer)) = self.timers.pop_due(now) {
            self.due(now, id, timer, out);
        }
        if self.resend_at.is_some_and(|at| at <= now) {
            self.resend(now, out);
        }
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_expiry(&self) -> Option<Instant> {
        let times = [self.endpoint.next_expiry(), self.timers.next(), self.resend_at];
        times.into_iter().flatten().min()
    }

    /// Takes a fact from the engine. What a shard returns to be dropped is dropped here.
    pub fn engine_event(&mut self, now: Instant, event: Event, out: &mut dyn Outside) {
        match event {
            Event::Digit { session, digit, duration_ms, source } => {
                if let Some(id) = self.by_session.get(&session).copied() {
                    let duration = Duration::from_millis(u64::from(duration_ms));
                    self.pressed(now, id, digit, source, duration);
                }
            }
            Event::TalkStarted { session } => self.talking(session, true),
            Event::TalkStopped { session } => self.talking(session, false),
            Event::MediaTimedOut { session } => {
                self.end_session(now, session, Ending::MediaTimedOut, out);
            }
            Event::Refused { command, .. } => self.command_refused(now, &command, out),
            _ => {}
        }
    }

    /// The next fact that nobody has taken yet. To be asked for after every verb until there is
    /// none: they are kept without bound.
    pub fn next_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// Stops: every call is ended, no new one is taken.
    pub fn drain(&mut self, now: Instant, out: &mut dyn Outside) {
        self.is_stopping = true;
        let all: Vec<ParticipantId> = self.calls.keys().copied().collect();
        for id in all {
            self.hang_up(now, id, Ending::Stopping, out);
        }
    }

    /// Calls that exist, answered or not.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Transactions that exist.
    pub fn transactions(&self) -> usize {
        self.endpoint.len()
    }

    /// Entries of all tables and timers together: zero once every call is over and its last
    /// transaction has expired. Whatever remains then is a leak.
    pub fn entries(&self) -> usize {
        let tables = [self.calls.len(), self.by_tag.len(), self.by_session.len(), self.flows.len()];
        let streams = self.by_stream.len() + self.recording_sessions + self.sent.len();
        let streams = streams + self.record_aware.len();
        let queues = [streams, self.focus.len(), self.timers.len(), self.unsent.len()];
        self.endpoint.entries() + tables.iter().chain(&queues).sum::<usize>()
    }

    /// Whether nothing is left to do: no call, no request of ours that waits for an answer, no
    /// command that waits for the engine.
    pub fn is_drained(&self) -> bool {
        self.calls.is_empty() && self.endpoint.unanswered() == 0 && self.unsent.is_empty()
    }

    /// What was seen and done so far.
    pub fn counters(&self) -> &Counters {
        &self.endpoint.counters
    }

    fn limits(&self) -> Limits {
        Limits {
            max_message_bytes: self.config.message_bytes_max,
            max_body_bytes: self.config.message_bytes_max,
            max_headers: HEADERS_MAX,
            max_header_bytes: HEADER_BYTES_MAX,
            ..Limits::datagram()
        }
    }

    fn policy(&self) -> Policy {
        Policy { wanted: self.config.session_expires, shortest: self.config.min_se }
    }

    /// A message that does not parse: a request is told so, if its sender can be made out.
    fn unreadable(
        &mut self,
        now: Instant,
        from: Peer,
        message: &[u8],
        error: &ParseError,
        out: &mut dyn Outside,
    ) {
        let request = salvage(message);
        let traced = request.and_then(|mut request| {
            let path = via::trace(&mut request, from)?;
            Some(Asked { request: Box::new(request), from, path, transaction: None })
        });
        match traced {
            Some(asked) => self.refuse(now, &asked, &diagnosis(error), out),
            None => self.endpoint.counters.count_dropped(Dropped::Unreadable),
        }
    }

    fn response(&mut self, now: Instant, response: Response, out: &mut dyn Outside) {
        match self.endpoint.receive_response(now, response, out) {
            Ok(Some(told)) => self.told(now, told, out),
            Ok(None) => {}
            Err(_) => self.endpoint.counters.count_dropped(Dropped::StrayResponse),
        }
    }

    fn told(&mut self, now: Instant, (id, transaction, outcome): Told, out: &mut dyn Outside) {
        match outcome {
            Outcome::Response(response) => self.answered(now, id, transaction, &response, out),
            Outcome::Unanswered => self.unanswered(now, id, transaction, out),
        }
    }

    fn due(&mut self, now: Instant, id: ParticipantId, timer: CallTimer, out: &mut dyn Outside) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.deadlines[timer as usize] = None;
        }
        match timer {
            CallTimer::Ring => {
                self.ring_time_over(now, id, out);
                self.give_up_recorder(now, id, out);
            }
            CallTimer::Invitation => {
                self.reject(now, id, &Refusal::Expired, Ending::Refused, out);
            }
            CallTimer::Provisional => self.repeat_provisional(now, id, out),
            CallTimer::PrackLimit => {
                self.reject(now, id, &Refusal::NoPrack, Ending::Refused, out);
            }
            CallTimer::Answer => self.repeat_answer(now, id, out),
            CallTimer::AckLimit => self.end(now, id, Ending::NoAck, out),
            CallTimer::Refresh => self.refresh(now, id, out),
            CallTimer::Offer => self.make_due_offer(now, id, out),
            CallTimer::Expiry => self.hang_up(now, id, Ending::SessionExpired, out),
            CallTimer::Check => self.check_recorder(now, id, out),
        }
    }

    /// Sets or replaces one deadline of a call.
    fn set_timer(&mut self, id: ParticipantId, timer: CallTimer, at: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let deadline = self.timers.set(at, (id, timer));
        if let Some(old) = call.deadlines[timer as usize].replace(deadline) {
            self.timers.cancel(old);
        }
    }

    fn clear_timer(&mut self, id: ParticipantId, timer: CallTimer) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let Some(old) = call.deadlines[timer as usize].take() {
            self.timers.cancel(old);
        }
    }

    /// Answers a request. `tag` is ours, for a To without one.
    fn answer(
        &mut self,
        now: Instant,
        asked: &Asked,
        reply: &Reply,
        tag: &str,
        out: &mut dyn Outside,
    ) {
        let response = reply.to(&asked.request, tag, &self.config.server_name);
        match asked.transaction {
            Some(transaction) => self.endpoint.respond(now, transaction, response, out),
            None => self.endpoint.respond_once(asked.path, response, out),
        }
    }

    fn refuse(&mut self, now: Instant, asked: &Asked, refusal: &Refusal, out: &mut dyn Outside) {
        self.endpoint.counters.count_refusal(refusal.reason());
        let reply = self.refusal_reply(refusal, asked.from, out);
        let tag = self.stateless_tag(&asked.request);
        self.answer(now, asked, &reply, &tag, out);
    }

    fn refusal_reply(&self, refusal: &Refusal, to: Peer, out: &dyn Outside) -> Reply {
        refusal.reply(|| self.local_address(to, out), self.config.retry_after)
    }

    /// Our address as `toward` reaches it.
    fn local_address(&self, toward: Peer, out: &dyn Outside) -> SocketAddr {
        out.signaling_address(toward).unwrap_or(match toward.carrier {
            Carrier::Udp => self.config.advertised_udp,
            Carrier::Tcp(_) | Carrier::TcpNew => self.config.advertised_tcp,
        })
    }

    /// A tag that is the same for every copy of a request (RFC 3261 section 8.2.7), and for the
    /// CANCEL of an INVITE.
    fn stateless_tag(&self, request: &Request) -> String {
        let mut hasher = DefaultHasher::new();
        self.salt.hash(&mut hasher);
        for name in [HeaderName::CallId, HeaderName::From] {
            request.headers.value(&name).hash(&mut hasher);
        }
        let via = request.headers.typed::<sipx_sip::Via>().and_then(Result::ok);
        via.and_then(|via| via.branch().map(<[u8]>::to_vec)).hash(&mut hasher);
        crate::dialog::sequence(request).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    fn call_of(&mut self, session: SessionKey) -> Option<&mut Call> {
        self.calls.get_mut(self.by_session.get(&session)?).map(Box::as_mut)
    }

    /// A participant pressed a key: counted by the way it came, and once.
    fn pressed(
        &mut self,
        now: Instant,
        id: ParticipantId,
        digit: char,
        source: DigitSource,
        duration: Duration,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let is_new = call.keypad.press(now, digit, source, duration);
        self.endpoint.counters.count_digit(source, is_new);
        if is_new {
            self.facts.push_back(Fact::Pressed { participant: id, digit });
        }
    }

    fn talking(&mut self, session: SessionKey, talking: bool) {
        let Some(participant) = self.by_session.get(&session).copied() else { return };
        if let Some(call) = self.calls.get_mut(&participant) {
            call.talking = talking;
            self.facts.push_back(Fact::Talking { participant, talking });
        }
    }

    /// The engine refused a command that had been accepted into its ring.
    fn command_refused(&mut self, now: Instant, command: &Command, out: &mut dyn Outside) {
        match command {
            Command::OpenSession { session, .. } => {
                if let Some(media) = self.call_of(*session).and_then(|call| call.media.as_mut()) {
                    media.is_open = false;
                    self.end_session(now, *session, Ending::EngineFailed, out);
                } else {
                    out.abandon_media(*session);
                    self.stream_failed(now, *session, out);
                }
            }
            Command::OpenRoom { room, .. } | Command::OpenPart { room, .. } => {
                self.room_failed(now, *room, out);
            }
            // It was said before the session was sent elsewhere, which it is told behind this: the room is
            // closed by now.
            Command::RouteSession { session, route } if self.has_other_route(*session, *route) => {}
            // It is where nobody expects it.
            Command::SendAway { session }
            | Command::TakeIn { session }
            | Command::RouteSession { session, .. } => {
                self.end_session(now, *session, Ending::EngineFailed, out);
            }
            Command::SendDigits { .. } => self.endpoint.counters.digits_refused += 1,
            Command::StartTap { point, .. } => {
                if let Some(session) = point.session() {
                    self.tap_refused(now, session, out);
                }
            }
            _ => {}
        }
    }

    /// A call that is there to be recorded has no point without it; any other goes on, as where its
    /// recording fails later.
    fn tap_refused(&mut self, now: Instant, session: SessionKey, out: &mut dyn Outside) {
        if self.call_of(session).is_some_and(|call| call.destination == Destination::Record) {
            self.end_session(now, session, Ending::RecordingFailed, out);
        }
        self.end_recorded(now, session, Ending::RecordingFailed, out);
    }

    /// Whether a call is to be connected to something else than this by now.
    fn has_other_route(&mut self, session: SessionKey, route: Route) -> bool {
        let media = self.call_of(session).and_then(|call| call.media.as_ref());
        media.is_some_and(|media| media.route != route)
    }

    fn end_session(
        &mut self,
        now: Instant,
        session: SessionKey,
        ending: Ending,
        out: &mut dyn Outside,
    ) {
        if let Some(id) = self.by_session.get(&session).copied() {
            self.hang_up(now, id, ending, out);
        }
    }
}
