//! What arrives for a session: told apart, checked, accounted for, stored. Nothing is sent here
//! and nothing is heard before the next tick.

use std::net::SocketAddr;

use engine_control::{DigitSource, Event, TapContent};
use media::codec::Decoder;
use media::dtmf::Digit;
use media::rtp::RtpView;
use media::talk::SILENT_DBOV;
use media::{Demux, demux};
use media_units::{Arrival, CLOCK_RATE, Discard, ExtendedSequence, Instant, PeriodIndex};

use crate::latch::{Caller, Verdict};
use crate::moment::Moment;
use crate::session::Session;
use crate::{Datagram, Output, Port};

/// Periods after an event packet in which a digit may still end by silence: half a second, more
/// than [`media::dtmf::DigitReceiver`] waits.
const DIGIT_PERIODS: PeriodIndex = 25;

/// Periods in which a packet that is not silent may be played, whatever is said after it: half a
/// second, more than the greatest delay and the longest packet.
const LOUD_PERIODS: PeriodIndex = 25;

/// What the payload type of a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sound,
    Noise,
    Digit,
}

impl Session {
    /// Takes one datagram in, or counts why not.
    pub(crate) fn receive<O: Output>(
        &mut self,
        datagram: &Datagram<'_>,
        moment: &mut Moment<'_, O>,
    ) {
        let taken = match (demux(datagram.bytes), datagram.port) {
            _ if datagram.truncated => Err(Discard::Truncated),
            (Demux::Rtp, Port::Rtp) => self.receive_rtp(datagram, moment),
            (Demux::Rtcp, _) => self.receive_rtcp(datagram, moment),
            _ => Err(Discard::Unroutable),
        };
        match taken {
            Ok(()) if demux(datagram.bytes) == Demux::Rtcp => self.copy_packet(datagram, moment),
            Ok(()) => {}
            Err(reason) => self.discard(reason, moment),
        }
    }

    /// Copies a datagram for the tap of its packets, but for what nobody could hear: not while it
    /// is muted.
    fn copy_packet<O>(&self, datagram: &Datagram<'_>, moment: &mut Moment<'_, O>) {
        let Some(tap) = self.packets.filter(|_| !self.muted) else { return };
        let &Datagram { source, port, bytes, .. } = datagram;
        let content =
            TapContent::Packet { source, on_rtcp_port: port == Port::Rtcp, octets: bytes };
        moment.taps.push(tap, moment.period, datagram.arrival.estimate(), content);
    }

    fn receive_rtp<O: Output>(
        &mut self,
        datagram: &Datagram<'_>,
        moment: &mut Moment<'_, O>,
    ) -> Result<(), Discard> {
        moment.totals.rtp_received += 1;
        let packet = RtpView::parse(datagram.bytes)?;
        #[cfg(feature = "faults")]
        crate::fault::trap(packet.ssrc());
        let kind = match self.admit(datagram, &packet, moment) {
            Err(reason @ (Discard::Unwanted | Discard::PayloadType)) => {
                self.account(datagram.source, &packet);
                return Err(reason);
            }
            admitted => admitted?,
        };
        if kind != Kind::Digit {
            self.copy_packet(datagram, moment);
        } else if self.reception.ssrc().is_some_and(|ssrc| ssrc != packet.ssrc()) {
            // A gateway may send events under an SSRC of their own: the sound goes on beside them.
            self.reception.beside(&packet);
            return self.take_event(&packet, datagram.arrival, moment);
        }
        let arrival = datagram.arrival;
        let extended = self.place(&packet, arrival.exact())?;
        self.in_digit = false;
        match kind {
            Kind::Sound => {
                self.note_level(&packet, moment.period);
                let taken = self.store(&packet, extended, arrival);
                if matches!(taken, Err(Discard::Late | Discard::Overflow)) {
                    self.reception.discard(extended);
                }
                taken
            }
            Kind::Noise => self.playout.insert_comfort_noise(&packet, extended, arrival),
            Kind::Digit => {
                self.playout.insert_event(extended);
                self.take_event(&packet, arrival, moment)
            }
        }
    }

    fn take_event<O: Output>(
        &mut self,
        packet: &RtpView<'_>,
        arrival: Arrival,
        moment: &mut Moment<'_, O>,
    ) -> Result<(), Discard> {
        self.in_digit = true;
        self.digit_until = moment.period + DIGIT_PERIODS;
        let clock_rate = self.media.telephone_event.map_or(CLOCK_RATE, |e| e.clock_rate);
        let digit = self.record.digits.packet(packet, clock_rate, arrival.latest())?;
        self.tell_digit(digit, DigitSource::TelephoneEvent, moment.output);
        Ok(())
    }

    /// Accounts for a packet of the present stream that is of no use: nothing of it was lost on
    /// the way. Its clock may be another.
    fn account(&mut self, source: SocketAddr, packet: &RtpView<'_>) {
        let is_ours =
            self.latch.source() == Some(source) && self.reception.ssrc() == Some(packet.ssrc());
        if let Some(Ok(extended)) = is_ours.then(|| self.place(packet, None)) {
            self.playout.insert_event(extended);
        }
    }

    /// Counts a packet into its stream, which may begin with it: the packet's place in it.
    fn place(
        &mut self,
        packet: &RtpView<'_>,
        arrival: Option<Instant>,
    ) -> Result<ExtendedSequence, Discard> {
        let before = self.reception.ssrc();
        let received = self.reception.packet(packet, arrival)?;
        if received.restarted {
            self.restart();
            if before == Some(packet.ssrc()) {
                self.record.digits.begin_anew();
            }
        }
        Ok(received.extended)
    }

    /// Notes what a packet says of its level.
    fn note_level(&mut self, packet: &RtpView<'_>, period: PeriodIndex) {
        let told = self.media.audio_level.and_then(|id| packet.audio_level(id));
        self.told_dbov = told.map(|level| level.dbov);
        if self.told_dbov.is_some_and(|level| level < SILENT_DBOV) {
            self.loud_until = period + LOUD_PERIODS;
        }
    }

    fn store(
        &mut self,
        packet: &RtpView<'_>,
        extended: ExtendedSequence,
        arrival: Arrival,
    ) -> Result<(), Discard> {
        if let Some(equipment) = &self.equipment {
            return self.playout.insert(packet, extended, arrival, &equipment.decoder);
        }
        self.playout.insert(packet, extended, arrival, &Decoder::G711(self.law()))
    }

    /// Another stream begins: nothing of the one before continues in it, but a digit may.
    fn restart(&mut self) {
        self.playout.reset();
        if let Some(equipment) = &mut self.equipment {
            equipment.decoder.reset();
        }
    }

    /// Whether the packet is the session's, and of what kind (the rule is in [`crate::latch`]).
    fn admit<O: Output>(
        &mut self,
        datagram: &Datagram<'_>,
        packet: &RtpView<'_>,
        moment: &mut Moment<'_, O>,
    ) -> Result<Kind, Discard> {
        let settled = self.latch.is_settled_on(datagram.source);
        if !settled && self.latch.is_latched() {
            return Err(Discard::Stranger);
        }
        if !self.media.direction.receives() {
            return Err(Discard::Unwanted);
        }
        if settled {
            self.latch.hear(moment.period);
            self.timed_out = false;
        }
        let kind = match packet.payload_type() {
            number if number == self.media.receive_payload_type => Kind::Sound,
            number if Some(number) == self.media.comfort_noise => Kind::Noise,
            number if Some(number) == self.media.telephone_event.map(|event| event.receive) => {
                Kind::Digit
            }
            _ => return Err(Discard::PayloadType),
        };
        if !settled {
            self.judge(datagram, packet, moment)?;
            self.timed_out = false;
        }
        Ok(kind)
    }

    fn judge<O: Output>(
        &mut self,
        datagram: &Datagram<'_>,
        packet: &RtpView<'_>,
        moment: &mut Moment<'_, O>,
    ) -> Result<(), Discard> {
        let source = datagram.source;
        let caller = Caller { source, ssrc: packet.ssrc(), sequence: packet.sequence() };
        match self.latch.judge(caller, moment.period, moment.rules.latch) {
            Verdict::Stranger => return Err(Discard::Stranger),
            Verdict::Accepted | Verdict::Moved => {}
            Verdict::Latched { before } => {
                moment.output.latch(self.slot(), Port::Rtp, Some(source));
                if before != Some(source) {
                    let (session, again) = (self.key, before.is_some());
                    moment.output.event(Event::Latched { session, source, again });
                }
            }
        }
        Ok(())
    }

    /// Tells that a digit was pressed.
    pub(crate) fn tell_digit<O: Output>(
        &self,
        digit: Option<Digit>,
        source: DigitSource,
        output: &mut O,
    ) {
        if let Some(Digit { digit, duration_ms }) = digit {
            output.event(Event::Digit { session: self.key, digit, duration_ms, source });
        }
    }
}
