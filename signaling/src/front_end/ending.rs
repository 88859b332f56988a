//! The end of a call: who is told, and that nothing is left behind.

use media_units::Instant;
use sipx_sip::{HeaderName, Method};

use super::FrontEnd;
use crate::call::{Call, Refresh};
use crate::counters::Ending;
use crate::outside::{Carrier, Outside, Peer};
use crate::recording::RecordingId;
use crate::refusal::Refusal;
use crate::reply::push;
use crate::routing::Destination;
use crate::siprec::Siprec;
use crate::view::ParticipantId;

impl FrontEnd {
    /// Ends a call from our side, as soon as the protocol allows: a call that rings is refused, an
    /// answered one gets BYE, but not before its ACK (RFC 3261 section 15). Its media stops now.
    pub(super) fn hang_up(
        &mut self,
        now: Instant,
        id: ParticipantId,
        ending: Ending,
        out: &mut dyn Outside,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.ringing.is_some() {
            let refusal = match ending {
                Ending::Stopping => Refusal::Stopping,
                _ => Refusal::Removed,
            };
            return self.reject(now, id, &refusal, ending, out);
        }
        if call.confirmed {
            return self.end(now, id, ending, out);
        }
        if matches!(call.siprec, Some(Siprec::Client(_))) {
            return self.give_up_recorder(now, id, out);
        }
        call.ending.get_or_insert(ending);
        self.release(now, id, out);
    }

    /// A recording is over, and what it was of goes on. A call or a session that is there to be
    /// recorded has no point without it; of what is sent, the next change begins another.
    pub fn recording_over(
        &mut self,
        now: Instant,
        recording: RecordingId,
        ending: Ending,
        out: &mut dyn Outside,
    ) {
        for sent in self.sent.values_mut() {
            sent.own_recording.take_if(|own| own.id == recording);
        }
        let is_of = |call: &Call| match &call.siprec {
            Some(Siprec::Recorder(recorded)) => recorded.recording == Some(recording),
            Some(Siprec::Client(_)) => false,
            None => {
                call.destination == Destination::Record && call.recording.begun == Some(recording)
            }
        };
        let found = self.calls.iter().find(|(_, call)| is_of(call)).map(|(id, _)| *id);
        if let Some(id) = found {
            self.hang_up(now, id, ending, out);
        }
    }

    /// Sends BYE and forgets the call.
    pub(super) fn end(
        &mut self,
        now: Instant,
        id: ParticipantId,
        ending: Ending,
        out: &mut dyn Outside,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let ending = call.ending.unwrap_or(ending);
        let (mut bye, to) = call.dialog.request(&Method::Bye);
        push(&mut bye.headers, HeaderName::Reason, why(ending));
        self.send(now, id, bye, to, out);
        self.forget(now, id, ending, out);
    }

    /// Refuses an INVITE that was admitted, and forgets the call.
    pub(super) fn reject(
        &mut self,
        now: Instant,
        id: ParticipantId,
        refusal: &Refusal,
        ending: Ending,
        out: &mut dyn Outside,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(ringing) = call.ringing.take() else { return };
        let (flow, tag) = (call.dialog.flow(), call.dialog.local_tag().to_owned());
        self.endpoint.counters.count_refusal(refusal.reason());
        let reply = self.refusal_reply(refusal, flow, out);
        let response = reply.to(&ringing.invite, &tag, &self.config.server_name);
        self.endpoint.respond(now, ringing.transaction, response, out);
        self.forget(now, id, ending, out);
    }

    /// Takes a call out of every table and gives back what it held.
    pub(super) fn forget(
        &mut self,
        now: Instant,
        id: ParticipantId,
        ending: Ending,
        out: &mut dyn Outside,
    ) {
        self.release(now, id, out);
        let Some(call) = self.calls.remove(&id) else { return };
        self.endpoint.counters.count_ending(ending);
        self.record_aware.remove(&id);
        self.by_tag.remove(call.dialog.local_tag());
        self.forget_flow(id, call.dialog.flow());
        for deadline in call.deadlines.into_iter().flatten() {
            self.timers.cancel(deadline);
        }
        let check = match call.siprec {
            Some(Siprec::Client(sending)) => sending.check,
            _ => None,
        };
        match call.refresh {
            Some(Refresh { transaction, invite: Some(_) }) => {
                self.endpoint.disown(transaction, now + self.config.timing.patience());
            }
            Some(Refresh { transaction, invite: None }) => {
                self.endpoint.abandon(now, transaction, out);
            }
            None => {}
        }
        if let Some(transaction) = check {
            self.endpoint.abandon(now, transaction, out);
        }
    }

    /// Everyone in a room has to go, and the room with them.
    pub(super) fn empty_room(
        &mut self,
        now: Instant,
        name: &str,
        ending: Ending,
        out: &mut dyn Outside,
    ) {
        let members = self.focus.get(name).map(|room| room.members.clone());
        for id in members.into_iter().flatten() {
            self.hang_up(now, id, ending, out);
        }
    }

    /// Remembers over which connection the caller's last message came.
    pub(super) fn remember_flow(&mut self, id: ParticipantId, flow: Peer) {
        if flow.carrier != Carrier::Udp {
            self.flows.entry(flow).or_default().insert(id);
        }
    }

    /// Follows a caller whose messages come from elsewhere now.
    pub(super) fn follow(&mut self, id: ParticipantId, from: Peer) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let before = call.dialog.follow(from);
        if before != from {
            self.forget_flow(id, before);
            self.remember_flow(id, from);
        }
    }

    fn forget_flow(&mut self, id: ParticipantId, flow: Peer) {
        if let Some(dialogs) = self.flows.get_mut(&flow) {
            dialogs.remove(&id);
            if dialogs.is_empty() {
                self.flows.remove(&flow);
            }
        }
    }
}

/// What the Reason header of our BYE says (RFC 3326).
fn why(ending: Ending) -> &'static str {
    match ending {
        Ending::MediaTimedOut => "SIP;cause=408;text=\"No media received\"",
        Ending::SessionExpired => "SIP;cause=408;text=\"Session expired\"",
        Ending::NoAck => "SIP;cause=408;text=\"ACK missing\"",
        Ending::BadAnswer => "SIP;cause=488;text=\"Answer not acceptable\"",
        Ending::Stopping => "SIP;cause=503;text=\"Server stopping\"",
        Ending::EngineFailed => "SIP;cause=500;text=\"Media engine failed\"",
        Ending::RecordingFailed => "SIP;cause=500;text=\"Recording not possible\"",
        Ending::RecordingStopped => "Q.850;cause=16;text=\"Recording stopped\"",
        Ending::Removed | Ending::Bye | Ending::Cancelled | Ending::Refused => {
            "Q.850;cause=16;text=\"Normal call clearing\""
        }
    }
}
