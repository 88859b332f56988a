//! A session's digits: those found as tones in its sound, and those sent to it.

use engine_control::DigitSource;
use media::dtmf::{EventPacket, Sending, TonePair};
use media_units::{Cadence, Digits, PeriodIndex};

use crate::moment::Moment;
use crate::session::Session;
use crate::{Output, Port};

impl Session {
    /// Looks for digits in its sound from now on, or no more.
    pub(crate) fn listen_for_tones(&mut self, asked: bool) {
        let had_tones = std::mem::replace(&mut self.has_tones, asked && self.tones.is_some());
        if let (false, Some(tones)) = (had_tones, &mut self.tones) {
            tones.reset();
        }
    }

    /// Takes digits out of its sound where they are looked for; the rest comes later then. Says
    /// whether there is sound.
    pub(crate) fn take_tones<O: Output>(
        &mut self,
        is_sound: bool,
        block: &mut [i16],
        moment: &mut Moment<'_, O>,
    ) -> bool {
        let Some(tones) = self.tones.as_mut().filter(|_| self.has_tones) else { return is_sound };
        if !is_sound {
            block.fill(0);
        }
        let digit = tones.block(block);
        self.tell_digit(digit, DigitSource::InBand, moment.output);
        true
    }

    /// Presses these keys for it, after those that wait already.
    pub(crate) fn send_digits(&mut self, digits: &Digits, cadence: Cadence) {
        self.record.sender.push(digits, cadence);
        self.sends_digits = true;
    }

    /// What takes the place of sound in this period, if anything does.
    pub(crate) fn next_digit(&mut self, period: PeriodIndex) -> Option<Sending> {
        let hears = self.media.direction.sends() && self.latch.destination().is_some();
        if !self.sends_digits || self.rests || !hears {
            return None;
        }
        let clock_rate = self.media.telephone_event.map(|event| event.clock_rate);
        let sending = self.record.sender.next(self.send.timestamp(period), clock_rate);
        self.sends_digits = !self.record.sender.is_idle();
        self.keyed = sending.as_ref().map(|_| period).or(self.keyed);
        sending
    }

    /// Sends an event packet in place of sound.
    pub(crate) fn send_event<O: Output>(
        &mut self,
        event: &EventPacket,
        moment: &mut Moment<'_, O>,
    ) {
        let to = self.latch.destination();
        let (Some(negotiated), Some(to)) = (self.media.telephone_event, to) else { return };
        let header = self.send.event_header(negotiated.send, event);
        moment.totals.rtp_sent += 1;
        moment.output.send(self.slot(), Port::Rtp, to, [&header, &event.payload]);
    }

    /// Writes a period of a key's tones.
    pub(crate) fn sound_key(&mut self, mut pair: TonePair, block: &mut [i16]) {
        pair.fill(block.len() as u32 * 50, block);
        self.record.sender.sounded(pair);
    }
}
