//! What a session reports to its endpoint (RFC 3550 section 6), and its goodbye.

use std::net::SocketAddr;

use engine_control::RtcpTransport;
use media::rtcp::{COMPOUND_BYTES_MAX, Report, SenderInfo};

use crate::latch::usable;
use crate::moment::Moment;
use crate::session::Session;
use crate::{Output, Port};

impl Session {
    /// Reports, where the timer (and its reconsideration) says so.
    pub(crate) fn report_if_due<O: Output>(&mut self, moment: &mut Moment<'_, O>) {
        if self.record.rtcp_timer.expire(moment.now, moment.random) {
            let bytes = self.send_report(false, moment);
            self.record.rtcp_timer.sent(bytes, moment.now, moment.random);
        }
        self.report_due = self.record.rtcp_timer.next();
    }

    /// Says goodbye, at once (RFC 3550 section 6.3.7: the session has fewer than 50 members).
    pub(crate) fn say_goodbye<O: Output>(&mut self, moment: &mut Moment<'_, O>) {
        self.send_report(true, moment);
    }

    /// Sends a compound and returns its length.
    fn send_report<O: Output>(&mut self, bye: bool, moment: &mut Moment<'_, O>) -> usize {
        let [last, before] = self.record.packets_at_reports;
        self.record.packets_at_reports = [self.send.packets(), last];
        let sender = (self.send.packets() > before).then(|| SenderInfo {
            ntp: moment.rules.wall.ntp(moment.now),
            timestamp: self.send.timestamp(moment.period),
            packets: self.send.packets() as u32,
            octets: self.send.octets() as u32,
        });
        let report = Report {
            ssrc: self.send.ssrc(),
            sender,
            block: self.reception.report_block(moment.now),
            cname: &self.record.cname,
            bye,
        };
        let mut buffer = [0; COMPOUND_BYTES_MAX];
        let length = report.write(&mut buffer);
        if let Some((port, to)) = self.rtcp_destination() {
            moment.totals.rtcp_sent += 1;
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
