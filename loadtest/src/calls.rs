//! All calls of a run: their state machines, their timers and their times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;

use media_units::Instant;
use sim::Seed;
use sim::caller::{CallEvent, Caller, CallerOutput, Hold, Message, Settings};

use crate::histogram::Histogram;
use crate::sip_wire::SipWire;

/// The calls, by number.
#[derive(Debug)]
pub(crate) struct Calls {
    wire: SipWire,
    seed: Seed,
    /// Tells this run's Call-IDs from those of another.
    run: u64,
    all: Vec<Option<Call>>,
    /// How often each was begun anew.
    turns: Vec<u64>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// From INVITE to 200.
    pub(crate) setup: Histogram,
    /// From INVITE to the status that refuses it.
    pub(crate) refusal: Histogram,
    /// From BYE to 200.
    pub(crate) teardown: Histogram,
}

#[derive(Debug)]
struct Call {
    caller: Caller,
    /// When the INVITE or the BYE was sent.
    asked: Instant,
}

/// Collects what a caller produces.
struct Outlet<'a> {
    wire: &'a mut SipWire,
    events: &'a mut Vec<CallEvent>,
}

impl CallerOutput for Outlet<'_> {
    fn transmit(&mut self, message: &[u8]) {
        self.wire.transmit(message);
    }

    fn happened(&mut self, event: CallEvent) {
        self.events.push(event);
    }
}

impl Calls {
    /// So many calls. Tags, branches and Call-IDs come from `run`, not from the seed of the
    /// command line: a server remembers those of the run before.
    pub(crate) fn new(wire: SipWire, calls: usize, run: u64) -> Self {
        let seed = Seed::new(run);
        let all = (0..calls).map(|_| None).collect();
        let [setup, refusal, teardown] = std::array::from_fn(|_| Histogram::default());
        let turns = vec![0; calls];
        Self { wire, seed, run, all, turns, timers: BinaryHeap::new(), setup, refusal, teardown }
    }

    /// A Call-ID that tells which call it belongs to.
    pub(crate) fn call_id(&self, call: usize) -> String {
        format!("{call:x}.{:x}-{:016x}@loadtest", self.turns[call], self.run)
    }

    /// Gives a call that is over a new Call-ID, to be dialled again.
    pub(crate) fn renew(&mut self, call: usize) {
        self.turns[call] += 1;
        self.all[call] = None;
    }

    /// Our own address for SIP.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.wire.local()
    }

    /// Whether the transport never loses a message.
    pub(crate) fn is_reliable(&self) -> bool {
        matches!(self.wire, SipWire::Tcp { .. })
    }

    fn call_of(&self, call_id: &str) -> Option<usize> {
        let (number, run) = call_id.strip_suffix("@loadtest")?.split_once('-')?;
        let (number, turn) = number.split_once('.')?;
        let call = usize::from_str_radix(number, 16).ok()?;
        let is_ours = u64::from_str_radix(run, 16) == Ok(self.run)
            && u64::from_str_radix(turn, 16).ok().as_ref() == self.turns.get(call);
        is_ours.then_some(call)
    }

    pub(crate) fn dial(
        &mut self,
        call: usize,
        settings: Settings,
        now: Instant,
        each: &mut impl FnMut(usize, CallEvent),
    ) {
        let seed = self.seed.fork(call as u64).fork(self.turns[call]);
        let caller = Caller::new(settings, &seed);
        self.all[call] = Some(Call { caller, asked: now });
        self.with(call, now, each, |caller, out| caller.dial(now, out));
    }

    pub(crate) fn hang_up(
        &mut self,
        call: usize,
        now: Instant,
        each: &mut impl FnMut(usize, CallEvent),
    ) {
        if let Some(call) = &mut self.all[call] {
            call.asked = now;
        }
        self.with(call, now, each, |caller, out| caller.hang_up(now, out));
    }

    /// Sends a re-INVITE. Says whether it could.
    pub(crate) fn renegotiate(
        &mut self,
        call: usize,
        hold: Hold,
        now: Instant,
        each: &mut impl FnMut(usize, CallEvent),
    ) -> bool {
        let mut is_asked = false;
        self.with(call, now, each, |caller, out| is_asked = caller.renegotiate(hold, now, out));
        is_asked
    }

    /// Whether the call stands.
    pub(crate) fn is_talking(&self, call: usize) -> bool {
        self.all[call].as_ref().is_some_and(|call| call.caller.is_talking())
    }

    /// Whether the call was not begun, or nothing more will happen to it.
    pub(crate) fn is_over(&self, call: usize) -> bool {
        self.all[call].as_ref().is_none_or(|call| call.caller.is_over())
    }

    /// Takes in what the server sent, and repeats what it did not answer.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        each: &mut impl FnMut(usize, CallEvent),
    ) -> io::Result<()> {
        let mut messages = Vec::new();
        self.wire.receive(|octets| messages.push(octets.to_vec()))?;
        for octets in messages {
            let Some(message) = Message::read(&octets) else { continue };
            let call = message.header("Call-ID").and_then(|id| self.call_of(id));
            if let Some(call) = call.filter(|&call| call < self.all.len()) {
                self.with(call, now, each, |caller, out| caller.receive(now, &message, out));
            }
        }
        while let Some(&Reverse((at, call))) = self.timers.peek() {
            if at > now {
                break;
            }
            self.timers.pop();
            self.with(call, now, each, |caller, out| caller.expire(now, out));
        }
        Ok(())
    }

    fn with(
        &mut self,
        number: usize,
        now: Instant,
        each: &mut impl FnMut(usize, CallEvent),
        act: impl FnOnce(&mut Caller, &mut Outlet<'_>),
    ) {
        let Some(call) = &mut self.all[number] else { return };
        let before = call.caller.next_expiry();
        let mut events = Vec::new();
        act(&mut call.caller, &mut Outlet { wire: &mut self.wire, events: &mut events });
        let after = call.caller.next_expiry();
        // Timers that were moved stay in the heap and find nothing to do.
        if let Some(at) = after.filter(|_| after != before || before.is_some_and(|b| b <= now)) {
            self.timers.push(Reverse((at, number)));
        }
        for event in events {
            match event {
                CallEvent::Answered(_) => self.setup.record(now.since(call.asked)),
                CallEvent::Refused(_) => self.refusal.record(now.since(call.asked)),
                CallEvent::Ended => self.teardown.record(now.since(call.asked)),
                _ => {}
            }
            each(number, event);
        }
    }
}
