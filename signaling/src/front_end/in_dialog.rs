//! Requests of a caller inside the dialog that its INVITE made.

use engine_control::DigitSource;
use media_units::Instant;
use signaling_sdp::SdpRefusal;
use sipx_sip::Method;
use sipx_sip::rel::RAck;

use super::invite::with_session_timer;
use super::{Asked, FrontEnd};
use crate::body::{KeyPress, description, digit};
use crate::counters::Ending;
use crate::fact::Fact;
use crate::option_tags::accepts_sdp;
use crate::outside::Outside;
use crate::recording;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::view::ParticipantId;

/// A request that came too early is to be tried again within so many seconds (RFC 3261 14.2).
const RETRY_SECONDS_MAX: u32 = 10;

impl FrontEnd {
    pub(super) fn in_dialog(
        &mut self,
        now: Instant,
        id: ParticipantId,
        asked: &Asked,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoDialog)?;
        if !call.dialog.advance(&asked.request) {
            return Err(Refusal::OldSequence);
        }
        let is_ending = call.ending.is_some();
        self.follow(id, asked.from);
        match asked.request.method {
            Method::Bye => self.bye(now, id, asked, out),
            _ if is_ending => return Err(Refusal::NoDialog),
            Method::Invite => self.reinvite(now, id, asked, out)?,
            Method::Update => self.update(now, id, asked, out)?,
            Method::Prack => self.prack(now, id, asked, out)?,
            Method::Info => self.info(now, id, asked, out)?,
            _ => self.answer(now, asked, &self.capabilities(), "", out),
        }
        Ok(())
    }

    fn bye(&mut self, now: Instant, id: ParticipantId, asked: &Asked, out: &mut dyn Outside) {
        self.answer(now, asked, &Reply::new(200), "", out);
        // A BYE in an early dialog: the INVITE still wants its answer (section 15.1.2).
        self.reject(now, id, &Refusal::Cancelled, Ending::Bye, out);
        self.forget(now, id, Ending::Bye, out);
    }

    fn reinvite(
        &mut self,
        now: Instant,
        id: ParticipantId,
        asked: &Asked,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let request = &asked.request;
        let transaction = asked.transaction.ok_or(Refusal::NoDialog)?;
        let call = self.calls.get(&id).ok_or(Refusal::NoDialog)?;
        if call.ringing.is_some() {
            return Err(self.unfinished());
        }
        if call.is_offering() {
            return Err(Refusal::Glare);
        }
        if !accepts_sdp(&request.headers) {
            return Err(Refusal::NotAcceptable);
        }
        let session_timer = self.policy().negotiate(request)?;
        // Whoever changes a recording session offers (RFC 7866 section 7.1.1).
        let no_offer = Refusal::Description(SdpRefusal::NoAudio);
        let sdp = if self.is_recorded(id) {
            self.take_bodies(now, id, request, out)?.ok_or(no_offer)?
        } else if self.is_sending(id) {
            self.recorder_asks(now, id, request, out)?.ok_or(no_offer)?
        } else {
            match description(&request.headers, request.body())? {
                Some(offer) => self.take_offer(now, id, &offer, out)?,
                None => self.make_offer(id)?,
            }
        };
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoDialog)?;
        call.dialog.retarget(&request.headers);
        call.session_timer = session_timer;
        let reply = Reply::new(200).in_dialog(call.dialog.contact()).describing(sdp);
        let reply = with_session_timer(reply, session_timer);
        self.accept_invite(now, id, transaction, request, &reply, out);
        Ok(())
    }

    /// RFC 3311 section 5.2: an offer must not cross another one.
    fn update(
        &mut self,
        now: Instant,
        id: ParticipantId,
        asked: &Asked,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let request = &asked.request;
        let (is_recorded, is_sending) = (self.is_recorded(id), self.is_sending(id));
        let is_call = !is_recorded && !is_sending;
        let offer = if is_call { description(&request.headers, request.body())? } else { None };
        let session_timer = self.policy().negotiate(request)?;
        let call = self.calls.get(&id).ok_or(Refusal::NoDialog)?;
        if offer.is_some() && call.ringing.is_some() {
            return Err(self.unfinished());
        }
        let has_offer = offer.is_some() || (is_sending && !request.body().is_empty());
        if has_offer && call.is_offering() {
            return Err(Refusal::Glare);
        }
        let answer = match offer {
            Some(offer) => Some(self.take_offer(now, id, &offer, out)?),
            None if is_recorded => self.take_bodies(now, id, request, out)?,
            None if is_sending => self.recorder_asks(now, id, request, out)?,
            None => None,
        };
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoDialog)?;
        call.dialog.retarget(&request.headers);
        call.session_timer = session_timer;
        let is_answered = call.ringing.is_none();
        let reply = Reply::new(200).in_dialog(call.dialog.contact());
        let reply = with_session_timer(reply, session_timer);
        let reply = match answer {
            Some(answer) => reply.describing(answer),
            None => reply,
        };
        self.answer(now, asked, &reply, "", out);
        if is_answered {
            self.session_refreshed(now, id);
        }
        self.offer_is_over(now, id, out);
        Ok(())
    }

    /// Acknowledges our reliable 180 (RFC 3262 section 3). Nothing is left to be negotiated in
    /// it: the offer of the INVITE has its answer in the 200.
    fn prack(
        &mut self,
        now: Instant,
        id: ParticipantId,
        asked: &Asked,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let call = self.calls.get(&id).ok_or(Refusal::NoDialog)?;
        let acknowledged = asked.request.headers.typed::<RAck>().transpose();
        let acknowledged = acknowledged.map_err(|_| Refusal::Malformed("malformed RAck".into()))?;
        let acknowledged = acknowledged.ok_or(Refusal::Malformed("missing RAck".into()))?;
        let ringing = call.ringing.as_ref().ok_or(Refusal::NoDialog)?;
        let provisional = ringing.provisional.as_ref().ok_or(Refusal::NoDialog)?;
        let matches = acknowledged.rseq == provisional.number
            && Some(acknowledged.cseq) == crate::dialog::sequence(&ringing.invite)
            && acknowledged.method == b"INVITE";
        if !matches {
            return Err(Refusal::NoDialog);
        }
        if description(&asked.request.headers, asked.request.body())?.is_some() {
            return Err(self.unfinished());
        }
        self.answer(now, asked, &Reply::new(200), "", out);
        self.provisional_acknowledged(now, id, out);
        Ok(())
    }

    /// A digit by INFO goes the way of one by RFC 4733; a Record header is a wish.
    fn info(
        &mut self,
        now: Instant,
        id: ParticipantId,
        asked: &Asked,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        if let Some(wish) = recording::asked(&asked.request)? {
            let call = self.calls.get(&id).ok_or(Refusal::NoDialog)?;
            if !call.recording.may_record {
                return Err(Refusal::MayNotRecord);
            }
            self.facts.push_back(Fact::RecordingAsked { participant: id, wish });
        }
        if self.is_recorded(id) {
            // Not by the RFC, but some clients send metadata in this way.
            self.take_bodies(now, id, &asked.request, out)?;
        } else if let Some(KeyPress { digit, duration }) = digit(&asked.request)? {
            self.pressed(now, id, digit, DigitSource::Info, duration);
        }
        self.answer(now, asked, &Reply::new(200), "", out);
        Ok(())
    }

    fn unfinished(&mut self) -> Refusal {
        Refusal::Unfinished(self.random.below(RETRY_SECONDS_MAX + 1))
    }
}
