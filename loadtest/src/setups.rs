//! Signalling alone: calls that are hung up as soon as they stand, as many per second as wanted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use media_units::Instant;
use sim::caller::{CallEvent, Settings};

use crate::Failure;
use crate::calls::Calls;
use crate::clock::Clock;
use crate::histogram::Histogram;
use crate::media_wire::{Inbox, MediaSocket};
use crate::options::Options;
use crate::process::{CpuTimes, CpuUse, Memory, receive_buffer_errors};
use crate::report::{Generator, Report, ServerProcess, Signalling};
use crate::sip_wire::{SipWire, local_address_towards};

/// How often we look for answers: finer than any set-up worth measuring.
const SLOT: Duration = Duration::from_micros(250);
/// What the last call is waited for.
const PATIENCE: Duration = Duration::from_secs(35);

/// Begins `--calls` calls at `--rate` and hangs each up `--hold` after its answer.
pub(crate) fn run(options: &Options) -> Result<Report, Failure> {
    let server = options.server_address()?;
    let wire = SipWire::open(options.transport, server)
        .map_err(|error| Failure::Io("cannot reach the server", error))?;
    let address = match options.bind {
        Some(address) => address,
        None => local_address_towards(server).map_err(Failure::of_socket)?.ip(),
    };
    let clock = Clock::start();
    let mut setups = Setups {
        options,
        calls: Calls::new(wire, options.calls, clock.run()),
        clock,
        media: MediaSocket::bind(address).map_err(Failure::of_socket)?,
        inbox: Inbox::default(),
        signalling: Signalling::default(),
        hang_ups: BinaryHeap::new(),
        lateness: Histogram::default(),
    };
    setups.run()
}

struct Setups<'o> {
    options: &'o Options,
    clock: Clock,
    calls: Calls,
    /// Where every call's sound goes, to be thrown away.
    media: MediaSocket,
    inbox: Inbox,
    signalling: Signalling,
    hang_ups: BinaryHeap<Reverse<(Instant, usize)>>,
    lateness: Histogram,
}

impl Setups<'_> {
    fn run(&mut self) -> Result<Report, Failure> {
        let buffer_errors = receive_buffer_errors();
        let memory_before = self.options.pid.and_then(Memory::read);
        let cpu = self.options.pid.and_then(CpuTimes::read);
        let own_cpu = CpuTimes::read(std::process::id()).unwrap_or_default();
        let begin = self.clock.now();
        self.work(begin)?;
        let passed = self.clock.now().since(begin);
        self.signalling.set_up = self.calls.setup.quantiles();
        self.signalling.refusal = self.calls.refusal.quantiles();
        self.signalling.tear_down = self.calls.teardown.quantiles();
        self.signalling.set_ups_per_second = self.signalling.answered as f64 / passed.as_secs_f64();

        let server_process = cpu.zip(self.options.pid).and_then(|(before, pid)| {
            let used = CpuTimes::read(pid)?.since(&before, passed);
            let us = used.percent * 1e4 * passed.as_secs_f64() / self.options.calls as f64;
            let memory_before = memory_before?;
            let memory_during = Memory::read(pid)?;
            Some(ServerProcess {
                pid,
                cpu: CpuUse { us_per_call: Some(us), ..used },
                memory_before,
                memory_during,
                memory_kib_per_call: 0.0,
            })
        });
        let own = CpuTimes::read(std::process::id()).unwrap_or_default();
        let mut report = Report {
            server: self.options.server.clone(),
            calls: self.options.calls,
            rooms: self.options.rooms_for(self.options.calls),
            talkers_per_room: 0,
            seconds: passed.as_secs_f64(),
            signalling: self.signalling.clone(),
            media: None,
            server_process,
            generator: Generator {
                cpu_percent: own.since(&own_cpu, passed).percent,
                lateness: self.lateness.quantiles(),
                send_refused: 0,
                receive_buffer_errors: receive_buffer_errors().saturating_sub(buffer_errors),
            },
            missed: Vec::new(),
        };
        report.judge();
        Ok(report)
    }

    fn work(&mut self, begin: Instant) -> Result<(), Failure> {
        let mut dialled = 0;
        let mut last = begin;
        let mut deadline = begin;
        let mut first_open = 0;
        while first_open < self.options.calls {
            deadline += SLOT;
            self.clock.sleep_until(deadline);
            let now = self.clock.now();
            self.lateness.record(now.since(deadline));
            let due = (now.since(begin).as_secs_f64() * self.options.rate) as usize + 1;
            while dialled < due.min(self.options.calls) {
                self.dial(dialled, now)?;
                dialled += 1;
                last = now;
            }
            self.hang_up_due(now);
            let mut events = Vec::new();
            self.calls
                .poll(now, &mut |call, event| events.push((call, event)))
                .map_err(|error| Failure::Io("the connection to the server broke", error))?;
            self.take(events, now);
            self.inbox.receive(&self.media, &self.clock, |_, _, _| {});
            while first_open < dialled && self.calls.is_over(first_open) {
                first_open += 1;
            }
            if now.since(last) > PATIENCE {
                break;
            }
        }
        Ok(())
    }

    fn dial(&mut self, call: usize, now: Instant) -> Result<(), Failure> {
        let rooms = self.options.rooms_for(self.options.calls);
        let room = self.options.first_room + call % rooms;
        let user = self.options.dial.replace("{room}", &room.to_string());
        let settings = Settings {
            target: format!(
                "sip:{}@{}",
                user.replace("{call}", &call.to_string()),
                self.options.server
            ),
            user: format!("load{call}"),
            local: self.calls.local().map_err(Failure::of_socket)?,
            media: self.media.local().map_err(Failure::of_socket)?,
            reliable: self.calls.is_reliable(),
            encodings: vec![self.options.codec],
            offer_in_ok: false,
            session_expires: None,
            call_id: self.calls.call_id(call),
        };
        let mut events = Vec::new();
        self.calls.dial(call, settings, now, &mut |call, event| events.push((call, event)));
        self.take(events, now);
        Ok(())
    }

    fn hang_up_due(&mut self, now: Instant) {
        while self.hang_ups.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, call))) = self.hang_ups.pop() else { return };
            let mut events = Vec::new();
            self.calls.hang_up(call, now, &mut |call, event| events.push((call, event)));
            self.take(events, now);
        }
    }

    fn take(&mut self, events: Vec<(usize, CallEvent)>, now: Instant) {
        for (call, event) in events {
            match event {
                CallEvent::Answered(_) => {
                    self.signalling.answered += 1;
                    let hold = Duration::from_millis(self.options.hold);
                    self.hang_ups.push(Reverse((now + hold, call)));
                }
                CallEvent::Refused(status) => {
                    *self.signalling.refused.entry(status).or_default() += 1;
                }
                CallEvent::TimedOut => self.signalling.timed_out += 1,
                CallEvent::HungUp => self.signalling.hung_up += 1,
                _ => {}
            }
        }
    }
}
