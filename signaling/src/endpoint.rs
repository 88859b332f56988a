//! Transactions, their timers and where their messages go (RFC 3261 section 17, RFC 6026).
//!
//! The state machines are those of `sipx-sip`; this file gives them virtual time, addresses and
//! an owner. It knows nothing of dialogs and calls.

use std::collections::{BTreeSet, HashMap};

use media_units::Instant;
use sipx_sip::headers::From as FromHeader;
use sipx_sip::transaction::{Dispatch, ServerState};
use sipx_sip::{
    CSeq, HeaderName, Message, Method, Output, Reliability, Request, Response, Timer,
    Timers as BaseTimes, TransactionKey, TransactionLayer, TuEvent,
};

use crate::config::Timing;
use crate::counters::Counters;
use crate::outside::{Carrier, Outside, Peer};
use crate::timers::{Deadline, Timers};
use crate::via::ReturnPath;
use crate::view::ParticipantId;

/// Names one transaction for its whole life, and never another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TransactionId(u64);

/// What became of a request of ours.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was answered, perhaps provisionally.
    Response(Box<Response>),
    /// Nobody answered in time, or the message could not be delivered.
    Unanswered,
}

/// An INVITE, as a CANCEL finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invited {
    /// There is none.
    Unknown,
    /// It has a final response, and may have become a call.
    Answered(Option<ParticipantId>),
    /// It still waits for one.
    Pending(ParticipantId),
}

/// An outcome and whom it is for.
pub(crate) type Told = (ParticipantId, TransactionId, Outcome);

/// The transactions of this user agent.
#[derive(Debug)]
pub(crate) struct Endpoint {
    layer: TransactionLayer,
    ids: HashMap<TransactionKey, TransactionId>,
    /// In boxes: up to half of the table's places are empty.
    records: HashMap<TransactionId, Box<Record>>,
    /// Requests outside of dialogs by what a second copy of them has in common (8.2.2.2).
    merging: HashMap<MergeKey, TransactionId>,
    /// Who depends on which connection.
    streams: HashMap<Peer, BTreeSet<TransactionId>>,
    timers: Timers<(TransactionId, Alarm)>,
    begun: u64,
    /// Octets of the requests that transactions of others keep.
    kept_bytes: usize,
    unanswered: usize,
    pub(crate) counters: Counters,
}

#[derive(Debug)]
struct Record {
    key: TransactionKey,
    path: ReturnPath,
    deadlines: Vec<(Alarm, Deadline)>,
    /// Octets of a request of others.
    bytes: usize,
    merge_key: Option<MergeKey>,
    /// Whose transaction it is: the caller of an INVITE, or who sent the request.
    owner: Option<ParticipantId>,
    /// Ours, and without a final response yet.
    unanswered: bool,
}

/// What comes due in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    /// A timer of its state machine.
    Timer(Timer),
    /// A request of ours that is no longer wanted has waited long enough for its answer.
    Unwanted,
}

/// Call-ID, From tag and `CSeq`, which a request keeps on whatever way it comes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MergeKey {
    call_id: Vec<u8>,
    from_tag: Vec<u8>,
    sequence: u32,
    method: Vec<u8>,
}

impl Endpoint {
    pub(crate) fn new(timing: Timing) -> Self {
        let base = BaseTimes { t1: timing.t1, t2: timing.t2, t4: timing.t4 };
        Self {
            layer: TransactionLayer::new(base),
            ids: HashMap::new(),
            records: HashMap::new(),
            merging: HashMap::new(),
            streams: HashMap::new(),
            timers: Timers::new(),
            begun: 0,
            kept_bytes: 0,
            unanswered: 0,
            counters: Counters::default(),
        }
    }

    /// How many transactions there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many octets the requests of others have that are kept with their transactions.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// How many entries all tables hold together.
    pub(crate) fn entries(&self) -> usize {
        let (ours, theirs) = self.layer.len();
        let tables = [self.ids.len(), self.records.len(), self.merging.len(), self.streams.len()];
        ours + theirs + tables.iter().sum::<usize>() + self.timers.len()
    }

    /// How many requests of ours wait for a final response.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Whether `request` belongs to a transaction that exists.
    pub(crate) fn knows(&self, request: &Request) -> bool {
        TransactionKey::from_request(request).is_some_and(|key| self.ids.contains_key(&key))
    }

    /// Whether the same request came before on another way, outside of a dialog.
    pub(crate) fn is_merged(&self, request: &Request) -> bool {
        MergeKey::of(request).is_some_and(|key| self.merging.contains_key(&key))
    }

    /// Takes a request that [`Self::knows`] or an ACK. Gives the ACK of a 2xx back: that one is
    /// the business of the dialog.
    pub(crate) fn repeat(
        &mut self,
        now: Instant,
        request: Request,
        from: Peer,
        out: &mut dyn Outside,
    ) -> Option<Box<Request>> {
        let is_ack = request.method == Method::Ack;
        match self.layer.receive(Message::Request(request), reliability(from)) {
            Dispatch::Matched { key, outputs } => {
                if !is_ack {
                    self.counters.retransmissions_received += 1;
                }
                let id = *self.ids.get(&key)?;
                match self.perform(now, id, outputs, out) {
                    Some(TuEvent::Ack(ack)) => Some(ack),
                    _ => None,
                }
            }
            Dispatch::Unmatched(message) => match *message {
                Message::Request(ack) if is_ack => Some(Box::new(ack)),
                _ => None,
            },
            Dispatch::Created { .. } => None,
        }
    }

    /// Opens a transaction for a request that is not known yet.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        request: Request,
        path: ReturnPath,
        out: &mut dyn Outside,
    ) -> Option<(TransactionId, Box<Request>)> {
        let merge_key = MergeKey::of(&request);
        let message = Message::Request(request);
        let bytes = message.to_bytes().len();
        let dispatch = self.layer.receive(message, reliability(path.peer));
        let Dispatch::Created { key, outputs } = dispatch else { return None };
        let id = self.insert(key, path, None, false);
        if let Some(record) = self.records.get_mut(&id) {
            record.bytes = bytes;
            self.kept_bytes += bytes;
        }
        if let Some(merge_key) = merge_key.filter(|key| !self.merging.contains_key(key)) {
            self.merging.insert(merge_key.clone(), id);
            if let Some(record) = self.records.get_mut(&id) {
                record.merge_key = Some(merge_key);
            }
        }
        match self.perform(now, id, outputs, out) {
            Some(TuEvent::Request(request)) => Some((id, request)),
            _ => None,
        }
    }

    /// Makes `owner` the one whom a CANCEL of this INVITE concerns.
    pub(crate) fn own(&mut self, id: TransactionId, owner: ParticipantId) {
        if let Some(record) = self.records.get_mut(&id) {
            record.owner = Some(owner);
        }
    }

    /// What the INVITE that `cancel` is for has come to.
    pub(crate) fn invite_of(&self, cancel: &Request) -> Invited {
        let find = || {
            let key = TransactionKey::for_cancelled_invite(cancel)?;
            let record = self.records.get(self.ids.get(&key)?)?;
            let is_pending = self.layer.server_state(&key) == Some(ServerState::Proceeding);
            Some(match record.owner {
                Some(owner) if is_pending => Invited::Pending(owner),
                owner => Invited::Answered(owner),
            })
        };
        find().unwrap_or(Invited::Unknown)
    }

    /// Answers a request that opened a transaction.
    pub(crate) fn respond(
        &mut self,
        now: Instant,
        id: TransactionId,
        response: Response,
        out: &mut dyn Outside,
    ) {
        let class = response.status.class();
        self.counters.count_response_sent(class);
        self.send_response(now, id, response, out);
        if class > 2 {
            // What was refused is over: a proxy may try another number with the same request.
            self.forget_merging(id);
        }
    }

    /// Sends a 2xx or a reliable provisional response once more.
    pub(crate) fn respond_again(
        &mut self,
        now: Instant,
        id: TransactionId,
        response: Response,
        out: &mut dyn Outside,
    ) {
        self.counters.retransmissions_sent += 1;
        self.send_response(now, id, response, out);
    }

    /// Answers a request without keeping anything of it (RFC 3261 section 8.2.7).
    pub(crate) fn respond_once(
        &mut self,
        path: ReturnPath,
        response: Response,
        out: &mut dyn Outside,
    ) {
        self.counters.count_response_sent(response.status.class());
        out.transmit(path.peer, Message::Response(response).to_bytes());
    }

    /// Sends a request of ours. `owner` is told what becomes of it.
    pub(crate) fn request(
        &mut self,
        now: Instant,
        request: Request,
        to: Peer,
        owner: ParticipantId,
        out: &mut dyn Outside,
    ) -> Option<TransactionId> {
        let (key, outputs) = self.layer.send_request(request, reliability(to))?;
        let id = self.insert(key, ReturnPath { peer: to, fallback: None }, Some(owner), true);
        self.unanswered += 1;
        self.perform(now, id, outputs, out);
        Some(id)
    }

    /// Takes a response to a request of ours.
    pub(crate) fn receive_response(
        &mut self,
        now: Instant,
        response: Response,
        out: &mut dyn Outside,
    ) -> Result<Option<Told>, Stray> {
        self.counters.count_response_received(response.status.class());
        match self.layer.receive(Message::Response(response), Reliability::Unreliable) {
            Dispatch::Matched { key, outputs } => {
                let id = *self.ids.get(&key).ok_or(Stray)?;
                Ok(self.told(now, id, outputs, out))
            }
            _ => Err(Stray),
        }
    }

    /// Runs what is due, until somebody has to be told something or nothing is due any more.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut dyn Outside) -> Option<Told> {
        while let Some((id, alarm)) = self.timers.pop_due(now) {
            let Some(record) = self.records.get_mut(&id) else { continue };
            record.deadlines.retain(|(pending, _)| *pending != alarm);
            let outputs = match alarm {
                Alarm::Timer(timer) => self.layer.on_timer(&record.key, timer),
                Alarm::Unwanted => self.layer.on_transport_error(&record.key),
            };
            match alarm {
                _ if outputs.is_empty() => {}
                Alarm::Timer(Timer::A | Timer::E | Timer::G) => {
                    self.counters.retransmissions_sent += 1;
                }
                Alarm::Timer(Timer::Trying100) => self.counters.count_response_sent(1),
                _ => {}
            }
            if let Some(told) = self.told(now, id, outputs, out) {
                return Some(told);
            }
        }
        None
    }

    /// A connection is gone: responses go elsewhere, requests of ours have failed.
    pub(crate) fn closed(&mut self, now: Instant, peer: Peer, out: &mut dyn Outside) -> Vec<Told> {
        let mut told = Vec::new();
        for id in self.streams.remove(&peer).unwrap_or_default() {
            let Some(record) = self.records.get_mut(&id) else { continue };
            if let Some(fallback) = record.path.fallback.take() {
                record.path.peer = fallback;
                self.streams.entry(fallback).or_default().insert(id);
                continue;
            }
            let outputs = self.layer.on_transport_error(&record.key);
            told.extend(self.told(now, id, outputs, out));
        }
        told
    }

    /// Forgets a request of ours whose answer no longer matters.
    pub(crate) fn abandon(&mut self, now: Instant, id: TransactionId, out: &mut dyn Outside) {
        let Some(record) = self.records.get(&id) else { return };
        let was_unanswered = record.unanswered;
        let outputs = self.layer.on_transport_error(&record.key);
        self.perform(now, id, outputs, out);
        self.unanswered -= usize::from(was_unanswered);
    }

    /// An INVITE of ours is no longer wanted, as after its CANCEL or the end of its call: it is over
    /// if it has no final answer by `until` (RFC 3261 section 9.1).
    pub(crate) fn give_up(&mut self, id: TransactionId, until: Instant) {
        let Some(record) = self.records.get_mut(&id).filter(|record| record.unanswered) else {
            return;
        };
        let deadline = self.timers.set(until, (id, Alarm::Unwanted));
        record.deadlines.push((Alarm::Unwanted, deadline));
    }

    /// An INVITE of ours whose call is over: nobody is told of its answer, and nobody waits for it,
    /// but it is acknowledged (RFC 3261 section 17.1.1.3).
    pub(crate) fn disown(&mut self, id: TransactionId, until: Instant) {
        self.give_up(id, until);
        let Some(record) = self.records.get_mut(&id) else { return };
        record.owner = None;
        self.unanswered -= usize::from(std::mem::take(&mut record.unanswered));
    }

    fn insert(
        &mut self,
        key: TransactionKey,
        path: ReturnPath,
        owner: Option<ParticipantId>,
        unanswered: bool,
    ) -> TransactionId {
        self.begun += 1;
        let id = TransactionId(self.begun);
        self.ids.insert(key.clone(), id);
        if path.peer.carrier != Carrier::Udp {
            self.streams.entry(path.peer).or_default().insert(id);
        }
        let deadlines = Vec::with_capacity(2);
        let record = Record { key, path, deadlines, bytes: 0, merge_key: None, owner, unanswered };
        self.records.insert(id, Box::new(record));
        id
    }

    fn send_response(
        &mut self,
        now: Instant,
        id: TransactionId,
        response: Response,
        out: &mut dyn Outside,
    ) {
        let Some(record) = self.records.get(&id) else { return };
        let outputs = self.layer.send_response(&record.key, response);
        self.perform(now, id, outputs, out);
    }

    /// Performs `outputs` and keeps the books of our own requests.
    fn told(
        &mut self,
        now: Instant,
        id: TransactionId,
        outputs: Vec<Output>,
        out: &mut dyn Outside,
    ) -> Option<Told> {
        let record = self.records.get_mut(&id)?;
        let (owner, was_unanswered) = (record.owner, record.unanswered);
        let outcome = match self.perform(now, id, outputs, out)? {
            TuEvent::Response(response) => Outcome::Response(response),
            TuEvent::Timeout | TuEvent::TransportError => Outcome::Unanswered,
            _ => return None,
        };
        let is_final = !matches!(&outcome, Outcome::Response(r) if r.status.is_provisional());
        if was_unanswered && is_final {
            self.unanswered -= 1;
            if let Some(record) = self.records.get_mut(&id) {
                record.unanswered = false;
            }
            if matches!(outcome, Outcome::Unanswered) {
                self.counters.requests_timed_out += 1;
            }
        }
        // The timeout of a server transaction (timer H) is nobody's business: the call that an
        // unacknowledged refusal belonged to is gone already.
        let is_ours = was_unanswered || matches!(outcome, Outcome::Response(_));
        owner.filter(|_| is_ours).map(|owner| (owner, id, outcome))
    }

    fn perform(
        &mut self,
        now: Instant,
        id: TransactionId,
        outputs: Vec<Output>,
        out: &mut dyn Outside,
    ) -> Option<TuEvent> {
        let mut event = None;
        let mut is_over = false;
        for output in outputs {
            let record = self.records.get_mut(&id)?;
            match output {
                Output::Send(message) => out.transmit(record.path.peer, message.to_bytes()),
                Output::SetTimer { timer, after } => {
                    let deadline = self.timers.set(now + after, (id, Alarm::Timer(timer)));
                    record.deadlines.push((Alarm::Timer(timer), deadline));
                }
                Output::ClearTimer(timer) => {
                    let is_it = |(set, _): &mut (Alarm, _)| *set == Alarm::Timer(timer);
                    for (_, deadline) in record.deadlines.extract_if(.., is_it) {
                        self.timers.cancel(deadline);
                    }
                }
                Output::ToTu(tu_event) => event = Some(*tu_event),
                Output::Terminated(_) => is_over = true,
                _ => {}
            }
        }
        if is_over {
            self.remove(id);
        }
        event
    }

    fn forget_merging(&mut self, id: TransactionId) {
        let Some(record) = self.records.get_mut(&id) else { return };
        if let Some(key) = record.merge_key.take() {
            self.merging.remove(&key);
        }
    }

    fn remove(&mut self, id: TransactionId) {
        self.forget_merging(id);
        let Some(record) = self.records.remove(&id) else { return };
        self.kept_bytes -= record.bytes;
        self.ids.remove(&record.key);
        for (_, deadline) in record.deadlines {
            self.timers.cancel(deadline);
        }
        if let Some(dependants) = self.streams.get_mut(&record.path.peer) {
            dependants.remove(&id);
            if dependants.is_empty() {
                self.streams.remove(&record.path.peer);
            }
        }
    }
}

/// A response that matches no request of ours.
#[derive(Debug)]
pub(crate) struct Stray;

impl MergeKey {
    /// `None` for a request within a dialog, and for CANCEL and ACK, which repeat on purpose what
    /// they are for.
    fn of(request: &Request) -> Option<Self> {
        let to = request.headers.typed::<sipx_sip::headers::To>()?.ok()?;
        if to.tag().is_some() || matches!(request.method, Method::Cancel | Method::Ack) {
            return None;
        }
        let from = request.headers.typed::<FromHeader>()?.ok()?;
        let cseq = request.headers.typed::<CSeq>()?.ok()?;
        Some(Self {
            call_id: request.headers.value(&HeaderName::CallId)?.into_owned(),
            from_tag: from.tag().unwrap_or_default().to_vec(),
            sequence: cseq.sequence,
            method: request.method.as_bytes().to_vec(),
        })
    }
}

fn reliability(peer: Peer) -> Reliability {
    match peer.carrier {
        Carrier::Udp => Reliability::Unreliable,
        Carrier::Tcp(_) | Carrier::TcpNew => Reliability::Reliable,
    }
}
