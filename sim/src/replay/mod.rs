//! Runs a shard again from what its flight recorder kept, and tells what each participant heard.
//!
//! Everything that went into the shard goes in again, at the same times; what comes out is compared,
//! tick by tick, with what came out then. That is possible from any moment at which the shard was
//! at rest, and where all of each datagram was kept. Otherwise only what was decided then is told.

mod story;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::flight::{FlightFile, Kept, Record, Rest, Trace};
use engine::{Decision, Luggage, Output, Port, Shard, exchange};
use engine_control::{Command, Event, TapReader};
use media_kernels::Kernels;
use media_units::Instant;

use story::Story;

/// What came of it.
#[derive(Debug)]
pub struct Replay {
    /// Why the file was written.
    pub cause: String,
    /// Whether the shard did the same again.
    pub outcome: Outcome,
    story: Story,
}

/// Whether a shard did the same again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did, in so many ticks, to the end of the record.
    Same {
        /// Ticks that were compared.
        ticks: u64,
    },
    /// It did until this tick, and broke down where the record ends.
    Fault {
        /// Ticks that were compared.
        ticks: u64,
        /// What it said.
        message: String,
    },
    /// It did not.
    Different {
        /// Ticks that were the same.
        ticks: u64,
        /// When the first began that was not.
        at: Instant,
    },
    /// It was not run: this is missing.
    NotRun(Missing),
}

/// What is missing to run a shard again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Only the headers of datagrams were kept.
    Octets,
    /// The shard was never at rest in the record.
    Rest,
    /// A command is not in the file any more.
    Command,
    /// A session came from another shard: what it was is not in the file.
    Session,
}

/// Runs what is in the file. Where the shard is left by a fault, that is caught here.
pub fn replay(file: &FlightFile, kernels: Kernels) -> Replay {
    let commands: BTreeMap<u64, &Command> =
        file.header.source.commands.iter().map(|(number, command)| (*number, command)).collect();
    let cause = file.header.cause.clone();
    let missing = missing(file, &commands);
    if let Some(missing) = missing {
        let story = told(file, &commands);
        return Replay { cause, outcome: Outcome::NotRun(missing), story };
    }
    let mut run = Run::new(file, kernels, commands);
    let records = file.records().skip_while(|record| !matches!(record, Record::Rest(_)));
    for record in records {
        let step = catch_unwind(AssertUnwindSafe(|| run.step(record)));
        match step {
            Ok(true) => {}
            Ok(false) => {
                let outcome = Outcome::Different { ticks: run.ticks, at: run.now };
                return Replay { cause, outcome, story: run.outlet.story };
            }
            Err(panic) => {
                let outcome = Outcome::Fault { ticks: run.ticks, message: words_of(&*panic) };
                return Replay { cause, outcome, story: run.outlet.story };
            }
        }
    }
    Replay { cause, outcome: Outcome::Same { ticks: run.ticks }, story: run.outlet.story }
}

/// What is missing to run it.
fn missing(file: &FlightFile, commands: &BTreeMap<u64, &Command>) -> Option<Missing> {
    if file.header.source.kept != Kept::All {
        return Some(Missing::Octets);
    }
    let mut from_rest = file.records().skip_while(|record| !matches!(record, Record::Rest(_)));
    if from_rest.clone().next().is_none() {
        return Some(Missing::Rest);
    }
    let is_lost = |record| match record {
        Record::Command { number, .. } => !commands.contains_key(&number),
        _ => false,
    };
    let is_taken_in = |record| match record {
        Record::Command { number, .. } => {
            matches!(commands.get(&number), Some(Command::TakeIn { .. }))
        }
        _ => false,
    };
    if from_rest.clone().any(is_taken_in) {
        return Some(Missing::Session);
    }
    from_rest.any(is_lost).then_some(Missing::Command)
}

/// What was decided, as it was kept.
fn told(file: &FlightFile, commands: &BTreeMap<u64, &Command>) -> Story {
    let mut story = Story::default();
    let mut numbers = file.records().filter_map(|record| match record {
        Record::Command { number, .. } => Some(number),
        _ => None,
    });
    // Who was there already: what was commanded before the record begins.
    let last = commands.keys().next_back().map_or(0, |last| last + 1);
    let first = numbers.next().unwrap_or(last);
    for (_, command) in commands.range(..first) {
        story.command(command);
    }
    for record in file.records() {
        match record {
            Record::Begin { now } => story.now(now),
            Record::Command { number, .. } => {
                if let Some(command) = commands.get(&number) {
                    story.command(command);
                }
            }
            Record::Datagram { datagram, length } => story.datagram(&datagram, length),
            Record::Decision { slot, decision } => story.decided(slot, decision),
            Record::Rest(_) | Record::Group | Record::End { .. } => {}
        }
    }
    story
}

/// The shard that is run again.
struct Run<'f> {
    file: &'f FlightFile,
    commands: BTreeMap<u64, &'f Command>,
    shard: Shard,
    taps: Option<Box<TapReader>>,
    outlet: Outlet,
    now: Instant,
    ticks: u64,
}

/// Takes what comes out of it.
#[derive(Default)]
struct Outlet {
    trace: Trace,
    story: Story,
}

impl<'f> Run<'f> {
    fn new(file: &'f FlightFile, kernels: Kernels, commands: BTreeMap<u64, &'f Command>) -> Self {
        let source = &file.header.source;
        let mut shard = Shard::new(source.shard, &source.limits, kernels, source.seed);
        // What others told it of rooms is not kept.
        if let Some(alone) = exchange(1, source.limits.spread_max).pop() {
            shard.meet(alone);
        }
        shard.set_wall(source.wall);
        let taps = shard.take_tap_reader();
        let outlet = Outlet::default();
        Self { file, commands, shard, taps, outlet, now: Instant::START, ticks: 0 }
    }

    /// Goes one step. False where what came out is not what came out then.
    fn step(&mut self, record: Record<'_>) -> bool {
        let Self { shard, outlet, .. } = self;
        match record {
            Record::Rest(rest) => return self.rest(&rest),
            Record::Begin { now } => {
                self.now = now;
                outlet.story.now(now);
                shard.begin_tick(now);
            }
            Record::Command { number, now } => {
                let Some(&command) = self.commands.get(&number) else { return false };
                let luggage = Luggage::beside(command, &self.file.header.source.limits);
                outlet.story.command(command);
                shard.command(command.clone(), luggage, now, outlet);
            }
            Record::Datagram { datagram, length } => {
                outlet.story.datagram(&datagram, length);
                shard.receive(datagram, outlet);
            }
            Record::Group => {
                shard.run_group(self.now, outlet);
            }
            // It is decided again.
            Record::Decision { .. } => {}
            Record::End { busy, send_failures, trace } => {
                if outlet.trace.take() != trace {
                    return false;
                }
                shard.send_failed(u64::from(send_failures));
                shard.worked(busy, outlet);
                self.ticks += 1;
                if let Some(taps) = &mut self.taps {
                    while taps.read(|_| ()).is_some() {}
                }
            }
        }
        true
    }

    /// The shard was at rest then, and so it must be now.
    fn rest(&mut self, rest: &Rest) -> bool {
        let is_at_rest = self.shard.rest().is_some();
        self.shard.resume(rest);
        self.outlet.trace = Trace::default();
        is_at_rest
    }
}

impl Output for Outlet {
    fn send(&mut self, slot: u32, port: Port, to: SocketAddr, parts: [&[u8]; 2]) {
        self.trace.send(slot, port, to, parts);
    }

    fn latch(&mut self, slot: u32, port: Port, source: Option<SocketAddr>) {
        self.trace.latch(slot, port, source);
    }

    fn retire(&mut self, _luggage: Luggage) {}

    fn decided(&mut self, slot: u32, decision: Decision) {
        self.trace.decided(slot, decision);
        self.story.decided(slot, decision);
    }

    fn event(&mut self, event: Event) {
        self.trace.event(&event);
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "written for: {}", self.cause)?;
        match &self.outcome {
            Outcome::Same { ticks } => {
                writeln!(f, "run again: {ticks} ticks, bit for bit the same")
            }
            Outcome::Fault { ticks, message } => writeln!(
                f,
                "run again: {ticks} ticks, bit for bit the same, and then the fault: {message}"
            ),
            Outcome::Different { ticks, at } => {
                writeln!(f, "run again: {ticks} ticks the same, then different at {at}")
            }
            Outcome::NotRun(missing) => writeln!(f, "not run again: {missing}"),
        }?;
        write!(f, "{}", self.story)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Octets => {
                "only the headers of datagrams were kept (flight.keep = \"headers\"); told is what was decided then"
            }
            Self::Rest => {
                "the shard was never without a call in the time that the ring holds; told is what was decided then"
            }
            Self::Session => {
                "a session came from another shard, where its record is; told is what was decided then"
            }
            Self::Command => "a command is not kept any more; told is what was decided then",
        })
    }
}
