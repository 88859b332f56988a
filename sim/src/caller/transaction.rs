//! One client transaction: what was sent, and when to send it again (RFC 3261 section 17.1).

use std::time::Duration;

use media_units::Instant;

use super::CallerOutput;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// Timers B and F.
const PATIENCE: Duration = Duration::from_secs(32);
/// How long an INVITE may ring.
const RINGING: Duration = Duration::from_secs(180);

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) method: &'static str,
    pub(super) sequence: u32,
    pub(super) branch: String,
    octets: Vec<u8>,
    /// When to send again, unless the transport or a provisional response makes it needless.
    again: Option<Instant>,
    interval: Duration,
    deadline: Instant,
}

impl Transaction {
    pub(super) fn new(
        method: &'static str,
        sequence: u32,
        branch: String,
        octets: Vec<u8>,
        reliable: bool,
        now: Instant,
    ) -> Self {
        let again = (!reliable).then(|| now + T1);
        let deadline = now + PATIENCE;
        Self { method, sequence, branch, octets, again, interval: T1, deadline }
    }

    /// A provisional response came: an INVITE waits for its final response.
    pub(super) fn provisional(&mut self) {
        if self.method == "INVITE" && self.interval != RINGING {
            self.again = None;
            self.deadline += RINGING;
            self.interval = RINGING;
        }
    }

    pub(super) fn next_expiry(&self) -> Instant {
        self.again.unwrap_or(self.deadline).min(self.deadline)
    }

    pub(super) fn expire(&mut self, now: Instant, out: &mut impl CallerOutput) {
        if self.again.is_some_and(|again| again <= now) && now < self.deadline {
            out.transmit(&self.octets);
            self.interval *= 2;
            if self.method != "INVITE" {
                self.interval = self.interval.min(T2);
            }
            self.again = Some(now + self.interval);
        }
    }

    pub(super) fn is_given_up(&self, now: Instant) -> bool {
        now >= self.deadline
    }
}
