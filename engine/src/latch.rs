//! Symmetric RTP: whose packets are the session's, and how an outsider is kept from taking it.
//!
//! The rule, whole:
//!
//! 1. *Probation.* The first valid RTP packet of a negotiated payload type makes its source the
//!    candidate: its packets are played and it is answered at once, but everyone else's packets
//!    still reach us to be counted. If the session description named an address and packets come
//!    from there, that source takes the place of any other candidate immediately. Another source
//!    takes it only with `relatch_packets` consecutive packets after the candidate has been silent
//!    for [`CANDIDATE_PATIENCE`] periods (for `relatch_after` if the candidate is the named one).
//! 2. *Latched.* The candidate's 50th packet, or its first one a second after it became the
//!    candidate, latches it: the socket may be connected now. All other sources are strangers.
//! 3. *Open.* When the latched source has been silent for `relatch_after`, the socket is opened
//!    again. The next packet of the latched source latches it again at once; `relatch_packets`
//!    consecutive packets of one other source (same address, same SSRC, sequence +1) latch that
//!    one instead.
//! 4. A session description that names another address drops the latch: back to 1 with the new
//!    address preferred.
//! 5. On hold nobody is judged: the latch stays as it is, what comes is unwanted, and the silence
//!    of the source is counted from the resumption on.
//!
//! Time is counted in periods: the tick sees every session once in each.

use std::mem::offset_of;
use std::net::SocketAddr;

use media_kernels::prefetch_start;
use media_units::{PeriodIndex, SequenceNumber, Ssrc};

/// Packets of a candidate that latch it: a second of 20 ms packets.
const PROBATION_PACKETS: u8 = 50;

/// Periods after which the next packet of a candidate latches it: a second.
const PROBATION_PERIODS: PeriodIndex = 50;

/// Periods of silence after which a candidate that nobody named may be replaced: 200 ms, more than
/// a jittery network leaves between packets of a live stream.
const CANDIDATE_PATIENCE: PeriodIndex = 10;

/// The configurable part of the rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LatchRule {
    /// Silence, in periods, after which a latched source may be replaced.
    pub(crate) relatch_after: PeriodIndex,
    /// Consecutive packets that replace it.
    pub(crate) relatch_packets: u8,
}

/// What an RTP packet must show at the door.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Where it came from.
    pub(crate) source: SocketAddr,
    /// Its SSRC.
    pub(crate) ssrc: Ssrc,
    /// Its sequence number.
    pub(crate) sequence: SequenceNumber,
}

/// What becomes of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the session's.
    Accepted,
    /// It is the session's, and from now on this is where its media is sent.
    Moved,
    /// It is the session's, and its source is latched now; so was `before`, the last time.
    Latched { before: Option<SocketAddr> },
    /// It is somebody else's.
    Stranger,
}

/// The latch of one session. In this order: what every packet touches is first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Latch {
    state: State,
    /// Packets of the candidate, until it is latched.
    packets: u8,
    /// The candidate or latched source; meaningless while waiting.
    source: SocketAddr,
    /// The period of the last packet from `source`, or of the beginning.
    heard: PeriodIndex,
    /// The period in which probation began.
    since: PeriodIndex,
    /// What the session description named, if that can be sent from.
    named: Option<SocketAddr>,
    /// The source that was latched last, to tell whether the next is another.
    latched_before: Option<SocketAddr>,
    challenger: Challenger,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Probation,
    Latched,
    Open,
}

/// Another source, and how many of its packets came one after the other.
#[derive(Debug, Clone, Copy)]
struct Challenger {
    last: Caller,
    packets: u8,
}

impl Latch {
    /// A latch that waits for a packet, rather one from `named` than from anyone else.
    pub(crate) fn new(named: SocketAddr, period: PeriodIndex) -> Self {
        let nobody = Caller { source: named, ssrc: Ssrc(0), sequence: SequenceNumber(0) };
        Self {
            state: State::Waiting,
            source: named,
            named: usable(named),
            heard: period,
            since: 0,
            packets: 0,
            latched_before: None,
            challenger: Challenger { last: nobody, packets: 0 },
        }
    }

    /// Asks the memory for what the next packet and the next turn touch.
    pub(crate) fn prefetch(&self) {
        prefetch_start(self, offset_of!(Self, since));
    }

    /// Where media is to be sent: to the source of what we receive, else where the session
    /// description said.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        if self.state == State::Waiting { self.named } else { Some(self.source) }
    }

    /// The source whose packets are taken, once some were.
    pub(crate) fn source(&self) -> Option<SocketAddr> {
        (self.state != State::Waiting).then_some(self.source)
    }

    /// Whether `source` may be taken for the session's without [`Latch::judge`].
    pub(crate) fn is_settled_on(&self, source: SocketAddr) -> bool {
        self.state == State::Latched && self.source == source
    }

    /// Notes that the source was heard, or that its silence means nothing (it was on hold).
    pub(crate) fn hear(&mut self, period: PeriodIndex) {
        self.heard = period;
    }

    /// Judges a valid packet of a negotiated payload type.
    pub(crate) fn judge(
        &mut self,
        caller: Caller,
        period: PeriodIndex,
        rule: LatchRule,
    ) -> Verdict {
        match self.state {
            State::Waiting => self.propose(caller.source, period),
            State::Probation if caller.source == self.source => self.approve(period),
            State::Probation if self.named == Some(caller.source) => {
                self.propose(caller.source, period)
            }
            State::Latched | State::Open if caller.source == self.source => {
                self.heard = period;
                self.challenger.packets = 0;
                if self.state == State::Latched { Verdict::Accepted } else { self.settle() }
            }
            State::Latched => Verdict::Stranger,
            State::Probation | State::Open => self.challenge(caller, period, rule),
        }
    }

    /// Looks once in a period whether the latched source has fallen silent. Returns true once,
    /// when the socket is to be opened for others.
    pub(crate) fn falls_open(&mut self, period: PeriodIndex, rule: LatchRule) -> bool {
        let open = self.state == State::Latched && self.silent_for(period) >= rule.relatch_after;
        if open {
            self.state = State::Open;
            self.challenger.packets = 0;
        }
        open
    }

    /// Whether all sources but one are strangers.
    pub(crate) fn is_latched(&self) -> bool {
        self.state == State::Latched
    }

    /// Periods since the source was heard, or could be for the first time.
    pub(crate) fn silent_for(&self, period: PeriodIndex) -> PeriodIndex {
        period.saturating_sub(self.heard)
    }

    /// A new session description. Where it names another address than before, everything starts
    /// again with that one; true where the socket must be opened for it.
    pub(crate) fn rename(&mut self, named: SocketAddr) -> bool {
        let named = usable(named);
        if named.is_none() || named == self.named {
            return false;
        }
        self.named = named;
        if self.state == State::Waiting || named == Some(self.source) {
            return false;
        }
        let was_latched = self.state == State::Latched;
        self.state = State::Waiting;
        was_latched
    }

    fn propose(&mut self, source: SocketAddr, period: PeriodIndex) -> Verdict {
        self.state = State::Probation;
        self.source = source;
        self.heard = period;
        self.since = period;
        self.packets = 1;
        self.challenger.packets = 0;
        Verdict::Moved
    }

    fn approve(&mut self, period: PeriodIndex) -> Verdict {
        self.heard = period;
        self.challenger.packets = 0;
        self.packets += 1;
        if self.packets >= PROBATION_PACKETS
            || period.saturating_sub(self.since) >= PROBATION_PERIODS
        {
            self.settle()
        } else {
            Verdict::Accepted
        }
    }

    fn settle(&mut self) -> Verdict {
        self.state = State::Latched;
        Verdict::Latched { before: self.latched_before.replace(self.source) }
    }

    fn challenge(&mut self, caller: Caller, period: PeriodIndex, rule: LatchRule) -> Verdict {
        let patience = if self.state == State::Open || self.named == Some(self.source) {
            rule.relatch_after
        } else {
            CANDIDATE_PATIENCE
        };
        if self.silent_for(period) < patience {
            return Verdict::Stranger;
        }
        let last = self.challenger.last;
        let follows = self.challenger.packets > 0
            && last.source == caller.source
            && last.ssrc == caller.ssrc
            && last.sequence.plus(1) == caller.sequence;
        let packets = if follows { self.challenger.packets + 1 } else { 1 };
        self.challenger = Challenger { last: caller, packets };
        if packets < rule.relatch_packets {
            return Verdict::Stranger;
        }
        let was_open = self.state == State::Open;
        self.propose(caller.source, period);
        if was_open { self.settle() } else { Verdict::Moved }
    }
}

/// The address, if packets can come from it and go to it.
pub(crate) fn usable(address: SocketAddr) -> Option<SocketAddr> {
    (!address.ip().is_unspecified() && address.port() != 0).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: LatchRule = LatchRule { relatch_after: 150, relatch_packets: 3 };
    const NOWHERE: &str = "0.0.0.0:0";
    const PHONE: &str = "192.0.2.1:4000";
    const OTHER: &str = "192.0.2.66:6666";

    fn caller(source: &str, sequence: u16) -> Caller {
        let source = source.parse().unwrap();
        Caller { source, ssrc: Ssrc(1), sequence: SequenceNumber(sequence) }
    }

    fn latch(named: &str) -> Latch {
        Latch::new(named.parse().unwrap(), 0)
    }

    /// A latch on the phone, last heard in period 50.
    fn latched() -> Latch {
        let mut latch = latch(NOWHERE);
        for packet in 0..50 {
            latch.judge(caller(PHONE, packet), u64::from(packet) + 1, RULE);
        }
        assert!(latch.is_latched());
        latch
    }

    #[test]
    fn the_fiftieth_packet_latches_and_strangers_are_counted_meanwhile() {
        let mut latch = latch(NOWHERE);
        assert_eq!(latch.destination(), None);
        assert_eq!(latch.judge(caller(PHONE, 0), 5, RULE), Verdict::Moved);
        assert_eq!(latch.destination(), Some(PHONE.parse().unwrap()));
        for packet in 1..49 {
            assert_eq!(latch.judge(caller(PHONE, packet), 5, RULE), Verdict::Accepted);
            assert_eq!(latch.judge(caller(OTHER, packet), 5, RULE), Verdict::Stranger);
        }
        let last = latch.judge(caller(PHONE, 49), 5, RULE);
        assert_eq!(last, Verdict::Latched { before: None });
        assert_eq!(latch.judge(caller(OTHER, 50), 5, RULE), Verdict::Stranger);
    }

    #[test]
    fn a_second_of_probation_is_enough_for_a_slow_source() {
        let mut latch = latch(NOWHERE);
        latch.judge(caller(PHONE, 0), 5, RULE);
        assert_eq!(latch.judge(caller(PHONE, 1), 54, RULE), Verdict::Accepted);
        assert_eq!(latch.judge(caller(PHONE, 2), 55, RULE), Verdict::Latched { before: None });
    }

    #[test]
    fn the_named_source_wins_during_probation() {
        let mut latch = latch(PHONE);
        assert_eq!(latch.judge(caller(OTHER, 0), 1, RULE), Verdict::Moved);
        assert_eq!(latch.judge(caller(PHONE, 0), 2, RULE), Verdict::Moved);
        assert_eq!(latch.destination(), Some(PHONE.parse().unwrap()));
        assert_eq!(latch.judge(caller(OTHER, 1), 2, RULE), Verdict::Stranger);
    }

    #[test]
    fn a_stray_packet_does_not_keep_the_real_source_out() {
        let mut latch = latch(NOWHERE);
        latch.judge(caller(OTHER, 9), 1, RULE);
        for packet in 0..9 {
            let period = u64::from(packet) + 2;
            assert_eq!(latch.judge(caller(PHONE, packet), period, RULE), Verdict::Stranger);
        }
        assert_eq!(latch.judge(caller(PHONE, 9), 11, RULE), Verdict::Stranger);
        assert_eq!(latch.judge(caller(PHONE, 10), 12, RULE), Verdict::Stranger);
        assert_eq!(latch.judge(caller(PHONE, 11), 13, RULE), Verdict::Moved);
    }

    #[test]
    fn a_latch_falls_open_once_after_silence_and_closes_on_its_own_source() {
        let mut latch = latched();
        assert!(!latch.falls_open(199, RULE));
        assert!(latch.falls_open(200, RULE));
        assert!(!latch.falls_open(201, RULE));
        let back = latch.judge(caller(PHONE, 900), 300, RULE);
        assert_eq!(back, Verdict::Latched { before: PHONE.parse().ok() });
    }

    #[test]
    fn only_consecutive_packets_after_silence_latch_another_source() {
        let mut latch = latched();
        latch.falls_open(200, RULE);
        for sequence in [10, 11, 13, 14, 14] {
            assert_eq!(latch.judge(caller(OTHER, sequence), 210, RULE), Verdict::Stranger);
        }
        assert_eq!(latch.judge(caller(OTHER, 15), 211, RULE), Verdict::Stranger);
        let verdict = latch.judge(caller(OTHER, 16), 211, RULE);
        assert_eq!(verdict, Verdict::Latched { before: PHONE.parse().ok() });
        assert_eq!(latch.judge(caller(PHONE, 999), 212, RULE), Verdict::Stranger);
    }

    #[test]
    fn a_packet_of_the_old_source_starts_the_challenge_anew() {
        let mut latch = latched();
        latch.falls_open(200, RULE);
        latch.judge(caller(OTHER, 1), 210, RULE);
        latch.judge(caller(OTHER, 2), 210, RULE);
        latch.judge(caller(PHONE, 51), 211, RULE);
        assert_eq!(latch.judge(caller(OTHER, 3), 211, RULE), Verdict::Stranger);
        assert!(latch.is_latched());
    }

    #[test]
    fn another_address_in_the_description_drops_the_latch() {
        let mut latch = latched();
        assert!(!latch.rename(PHONE.parse().unwrap()), "it is latched there already");
        assert!(!latch.rename(NOWHERE.parse().unwrap()), "hold as of RFC 2543 names nothing");
        assert!(latch.rename(OTHER.parse().unwrap()));
        assert_eq!(latch.destination(), Some(OTHER.parse().unwrap()));
        assert_eq!(latch.judge(caller(OTHER, 0), 60, RULE), Verdict::Moved);
    }
}
