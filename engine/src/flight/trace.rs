//! One number that stands for what came out of a shard, in order.

use std::net::{IpAddr, SocketAddr};

use engine_control::{Event, RoomKey, SessionKey};

use crate::{Decision, Port};

/// A running hash. Not cryptographic: it only has to differ where outputs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trace(u64);

impl Trace {
    /// Takes what was so far, and begins anew.
    pub fn take(&mut self) -> u64 {
        std::mem::take(&mut self.0)
    }

    /// Folds in a datagram that was sent.
    pub fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) {
        self.about(1, slot, port, Some(to));
        for part in parts {
            self.fold(part.len() as u64);
            let (words, rest) = part.as_chunks::<8>();
            for word in words {
                self.fold(u64::from_le_bytes(*word));
            }
            for octet in rest {
                self.fold(u64::from(*octet));
            }
        }
    }

    /// Folds in a latch.
    pub fn latch(&mut self, slot: u32, port: Port, source: Option<SocketAddr>) {
        self.about(2, slot, port, source);
    }

    /// Folds in what was decided.
    pub fn decided(&mut self, slot: u32, decision: Decision) {
        self.fold(3 << 56 | u64::from(slot) << 8 | u64::from(decision.to_bits()));
    }

    /// Folds in a fact, but for what answers a question: questions are not kept.
    pub fn event(&mut self, event: &Event) {
        let Some((kind, subject)) = fact(event) else { return };
        self.fold(4 << 56 | kind);
        self.fold(subject);
    }

    fn about(&mut self, kind: u64, slot: u32, port: Port, peer: Option<SocketAddr>) {
        self.fold(kind << 56 | u64::from(slot) << 8 | u64::from(port == Port::Rtcp));
        let Some(peer) = peer else { return self.fold(0) };
        let port = u64::from(peer.port());
        match peer.ip() {
            IpAddr::V4(v4) => self.fold(u64::from(v4.to_bits()) << 16 | port),
            IpAddr::V6(v6) => {
                self.fold(v6.to_bits() as u64);
                self.fold((v6.to_bits() >> 64) as u64 ^ port);
            }
        }
    }

    fn fold(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
    }
}

/// A number for the kind of a fact with what it says, and whom it is about. None for what answers a question.
fn fact(event: &Event) -> Option<(u64, u64)> {
    let of = |session: &SessionKey| session.as_u64();
    let room = |room: &RoomKey| room.as_u64();
    Some(match event {
        Event::SessionOpened { session, .. } => (1 << 32, of(session)),
        Event::MediaReturned { session, .. } => (2 << 32, of(session)),
        Event::Latched { session, source, again } => {
            (3 << 32 | u64::from(source.port()) << 1 | u64::from(*again), of(session))
        }
        Event::Digit { session, digit, duration_ms, source } => {
            let digit = u64::from(*digit as u8) << 24 | *source as u64;
            (4 << 32 | digit | u64::from(*duration_ms) << 8, of(session))
        }
        Event::TalkStarted { session } => (5 << 32, of(session)),
        Event::TalkStopped { session } => (6 << 32, of(session)),
        Event::MediaTimedOut { session } => (7 << 32, of(session)),
        Event::Prompted { session, .. } => (8 << 32, of(session)),
        Event::RtcpBye { session } => (9 << 32, of(session)),
        Event::SessionClosed { session } => (10 << 32, of(session)),
        Event::RoomClosed { room: key } => (11 << 32, room(key)),
        Event::TapEnded { tap, .. } => (12 << 32, u64::from(tap.0)),
        Event::Shedding { shedding, pressure_percent, .. } => {
            (13 << 32 | *shedding as u64, u64::from(*pressure_percent))
        }
        Event::SessionsReported { .. } | Event::ShardReported { .. } => return None,
        Event::Refused { command, .. } if command.is_question() => return None,
        Event::Refused { refusal, .. } => (14 << 32, *refusal as u64),
        Event::DigitsTaken { session } => (15 << 32, of(session)),
        Event::SessionLeft { session } => (16 << 32, of(session)),
        Event::SessionArrived { session } => (17 << 32, of(session)),
    })
}

#[cfg(test)]
mod tests {
    use engine_control::{Command, Refusal, SessionReport};

    use super::*;

    #[test]
    fn answers_to_questions_leave_nothing_as_questions_do() {
        let session = SessionKey::new(0, 1, 1);
        let reports = || Box::new(vec![SessionReport::of(session)]);
        let command = Command::ReportSessions { reports: reports() };
        let mut trace = Trace::default();
        trace.event(&Event::SessionsReported { reports: reports() });
        trace.event(&Event::Refused { command, refusal: Refusal::Gone });
        assert_eq!(trace, Trace::default());
        trace.event(&Event::TalkStarted { session });
        assert_ne!(trace, Trace::default());
    }
}
