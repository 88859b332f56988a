//! Offer and answer inside a call that exists (RFC 3264, RFC 3261 sections 13.2 and 14).

use bytes::Bytes;
use media_units::Instant;
use sipx_sip::Headers;

use super::FrontEnd;
use super::refresh::BUSY_WAIT;
use crate::call::CallTimer;
use crate::counters::Ending;
use crate::outside::Outside;
use crate::refusal::Refusal;
use crate::view::ParticipantId;

/// Seconds after which an engine whose ring was full may be asked again.
const BUSY_SECONDS: u32 = 1;

impl FrontEnd {
    /// Takes an offer inside a call and gives our answer: hold, resume, another address or codec.
    /// Where it is refused everything stays as it was.
    pub(super) fn take_offer(
        &mut self,
        now: Instant,
        id: ParticipantId,
        offer: &[u8],
        out: &mut dyn Outside,
    ) -> Result<String, Refusal> {
        let call = self.calls.get(&id).ok_or(Refusal::NoDialog)?;
        let media = call.media.as_ref().ok_or(Refusal::NoDialog)?;
        let negotiation = media.read_offer(offer).map_err(Refusal::Description)?;
        self.note_preference(id, offer);
        self.connect(now, id, negotiation.media(), out)
            .map_err(|_| Refusal::Unfinished(BUSY_SECONDS))?;
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoDialog)?;
        let media = call.media.as_mut().ok_or(Refusal::NoDialog)?;
        let answer = media.answer(&negotiation);
        media.negotiation = Some(negotiation);
        Ok(answer)
    }

    /// Our offer in the 2xx to an INVITE that has none.
    pub(super) fn make_offer(&mut self, id: ParticipantId) -> Result<String, Refusal> {
        let call = self.calls.get_mut(&id).ok_or(Refusal::NoDialog)?;
        let media = call.media.as_mut().ok_or(Refusal::NoDialog)?;
        media.is_offering = true;
        Ok(media.offer())
    }

    /// Makes the offer that a call is due, where there is one: at once, or as soon as it may be made.
    pub(super) fn make_due_offer(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let is_busy = call.refresh.is_some() || call.unacknowledged.is_some() || call.is_offering();
        let is_there = call.confirmed && call.ending.is_none();
        let Some(media) = &mut call.media else { return };
        if !is_there || !media.is_offer_due() {
            return;
        }
        if is_busy {
            return self.set_timer(id, CallTimer::Offer, now + BUSY_WAIT);
        }
        let offer = media.due_offer();
        self.send_refresh(now, id, Some(offer), out);
    }

    /// The answer to an offer of ours, from an ACK or from the 2xx to our INVITE. An answer that
    /// is missing or unusable cannot be refused: it ends the call.
    pub(super) fn take_answer(
        &mut self,
        now: Instant,
        id: ParticipantId,
        headers: &Headers,
        body: &Bytes,
        out: &mut dyn Outside,
    ) {
        let Some(media) = self.calls.get_mut(&id).and_then(|call| call.media.as_mut()) else {
            return;
        };
        let answer = crate::body::answer(headers, body);
        let negotiation = answer.and_then(|answer| media.read_answer(&answer).ok());
        let Some(negotiation) = negotiation else {
            return self.end(now, id, Ending::BadAnswer, out);
        };
        media.answered(negotiation);
        if let Err(ending) = self.follow_negotiation(now, id, out) {
            self.end(now, id, ending, out);
        }
    }

    /// Lets the engine do what was agreed on, where that is something else than before.
    pub(super) fn follow_negotiation(
        &mut self,
        now: Instant,
        id: ParticipantId,
        out: &mut dyn Outside,
    ) -> Result<(), Ending> {
        let media = self.calls.get(&id).and_then(|call| call.media.as_ref());
        let Some((media, negotiation)) = media.and_then(|it| Some((it, it.negotiation.as_ref()?)))
        else {
            return Ok(());
        };
        let agreed = negotiation.media();
        if media.agreed == Some(agreed) {
            return Ok(());
        }
        self.connect(now, id, agreed, out).map_err(|(_, ending)| ending)
    }
}
