//! What a session and its endpoint report to each other (RFC 3550 section 6), and the goodbyes.

use std::net::SocketAddr;

use engine_control::{Event, RtcpTransport};
use media::rtcp::{COMPOUND_BYTES_MAX, Compound, Fact, Report, SenderInfo};
use media_units::Discard;

use crate::latch::usable;
use crate::moment::Moment;
use crate::session::Session;
use crate::{Datagram, Output, Port};

impl Session {
    /// Takes a compound in.
    pub(crate) fn receive_rtcp<O: Output>(
        &mut self,
        datagram: &Datagram<'_>,
        moment: &mut Moment<'_, O>,
    ) -> Result<(), Discard> {
        moment.totals.rtcp_received += 1;
        if !self.is_expected_of(datagram.source) {
            return Err(Discard::Stranger);
        }
        let compound = Compound::parse(datagram.bytes)?;
        if datagram.port == Port::Rtcp {
            self.record.rtcp_source = Some(datagram.source);
        }
        self.record.rtcp_timer.received(datagram.bytes.len());
        for fact in compound.facts() {
            self.note(fact, datagram, moment);
        }
        Ok(())
    }

    /// RTCP comes from where RTP does, or from where the description said (RFC 3605).
    fn is_expected_of(&self, source: SocketAddr) -> bool {
        let named = match self.media.rtcp {
            RtcpTransport::Separate(named) => usable(named),
            RtcpTransport::Mux => None,
        };
        let expected = [self.latch.destination(), named];
        expected.iter().flatten().any(|address| address.ip() == source.ip())
    }

    fn note<O: Output>(&mut self, fact: Fact, datagram: &Datagram<'_>, moment: &mut Moment<'_, O>) {
        let record = &mut self.record;
        let at = datagram.arrival.estimate();
        let arrival = moment.rules.wall.ntp(at);
        let ours = self.send.ssrc();
        match fact {
            Fact::Sender { ssrc, info } => {
                self.reception.sender_report(ssrc, info.ntp, at);
            }
            Fact::Reception { block, .. } if block.ssrc == ours => {
                record.remote_fraction_lost = block.fraction_lost;
                self.reported_loss = Some(block.fraction_lost);
                if record.reported_at.contains(&block.last_sr) {
                    record.round_trip = block.round_trip(arrival).or(record.round_trip);
                }
                record.quality.reported(block);
            }
            Fact::Answered { answer }
                if answer.ssrc == ours && record.reported_at.contains(&answer.last) =>
            {
                record.round_trip = answer.round_trip(arrival).or(record.round_trip);
            }
            Fact::ReferenceTime { ssrc, ntp } => {
                record.quality.asked(ssrc, ntp, at);
            }
            Fact::Metrics { source, metrics, .. } if source == ours => {
                moment.totals.metrics_received += 1;
                record.quality.judged(metrics);
            }
            Fact::Goodbye { ssrc } if self.reception.ssrc() == Some(ssrc) => {
                // Once in a session: the endpoint may say it as often as it likes.
                if !std::mem::replace(&mut record.said_bye, true) {
                    record.rtcp_timer.left(moment.now);
                    self.report_due = record.rtcp_timer.next();
                    moment.output.event(Event::RtcpBye { session: self.key });
                }
            }
            Fact::Reception { .. }
            | Fact::Answered { .. }
            | Fact::Metrics { .. }
            | Fact::Goodbye { .. } => {}
        }
    }

    /// Reports, where the timer (and its reconsideration) says so.
    pub(crate) fn report_if_due<O: Output>(&mut self, moment: &mut Moment<'_, O>) {
        if self.record.rtcp_timer.expire(moment.now, moment.random) {
            let bytes = self.send_report(false, moment);
            self.record.rtcp_timer.sent(bytes, moment.now, moment.random);
        }
        self.report_due = self.record.rtcp_timer.next();
    }

    /// Says goodbye, at once, unless it never sent anything (RFC 3550 section 6.3.7; the session
    /// has fewer than 50 members).
    pub(crate) fn say_goodbye<O: Output>(&mut self, moment: &mut Moment<'_, O>) {
        if self.send.packets() > 0 || self.record.rtcp_timer.has_sent() {
            self.send_report(true, moment);
        }
    }

    /// Sends a compound and returns its length.
    fn send_report<O: Output>(&mut self, bye: bool, moment: &mut Moment<'_, O>) -> usize {
        let ntp = moment.rules.wall.ntp(moment.now);
        self.record.reported_at.rotate_right(1);
        self.record.reported_at[0] = ntp.middle();
        let [last, before] = self.record.packets_at_reports;
        self.record.packets_at_reports = [self.send.packets(), last];
        let sender = (self.send.packets() > before).then(|| SenderInfo {
            ntp,
            timestamp: self.send.timestamp(moment.period),
            packets: self.send.packets() as u32,
            octets: self.send.octets() as u32,
        });
        let extended = self.extended_report(sender.is_some(), moment);
        let report = Report {
            ssrc: self.send.ssrc(),
            sender,
            block: self.reception.report_block(moment.now),
            cname: &self.record.cname,
            extended,
            bye,
        };
        let mut buffer = [0; COMPOUND_BYTES_MAX];
        let length = report.write(&mut buffer);
        if let Some((port, to)) = self.rtcp_destination() {
            moment.totals.rtcp_sent += 1;
            moment.totals.metrics_sent += u64::from(extended.metrics.is_some());
            moment.output.send(self.slot(), port, to, [&buffer[..length], &[]]);
        }
        length
    }

    /// Where RTCP goes: beside RTP, or where it came from, or where the description said.
    fn rtcp_destination(&self) -> Option<(Port, SocketAddr)> {
        match self.media.rtcp {
            RtcpTransport::Mux => Some((Port::Rtp, self.latch.destination()?)),
            RtcpTransport::Separate(named) => {
                Some((Port::Rtcp, self.record.rtcp_source.or(usable(named))?))
            }
        }
    }
}
