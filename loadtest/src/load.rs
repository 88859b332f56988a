//! One run: dial, settle, measure, hang up. One thread, woken every half millisecond at an
//! absolute deadline.

pub(crate) mod churn;

use std::time::Duration;

use media_units::{Instant, PERIOD};
use sim::Seed;
use sim::caller::{CallEvent, Settings};
use sim::phone::{Arrival, Phone, Voice};

use crate::calls::Calls;
use crate::clock::Clock;
use crate::hearing::Hearing;
use crate::histogram::Histogram;
use crate::media::{Media, MediaCounts, SLOT};
use crate::options::Options;
use crate::process::{CpuTimes, CpuUse, Memory, receive_buffer_errors};
use crate::report::{
    GAP_MS_MAX, Generator, HearingReport, MediaReport, Report, ServerProcess, Signalling,
};
use crate::seats::Seats;
use crate::sip_wire::{SipWire, local_address_towards};
use crate::{Failure, play};

/// Nobody waits longer than this for calls to be answered or ended.
const PATIENCE: Duration = Duration::from_secs(35);
/// Loudness of all talkers of a room together (root mean square), and of a single tone at most.
const ROOM_LOUDNESS: f32 = 5000.0;
const TONE_AMPLITUDE_MAX: f32 = 1500.0;
/// Windows in which each listener is judged: at least, and all listeners together.
const WINDOWS_MIN: usize = 3;
const WINDOWS_MAX: usize = 30;
const WINDOWS_ALL: usize = 2000;

/// One run with so many calls.
pub(crate) fn run(options: &Options, calls: usize) -> Result<Report, Failure> {
    let memory_before = options.pid.and_then(Memory::read);
    let mut load = Load::new(options, calls)?;
    eprintln!("dialling {calls} calls ...");
    let set_ups_per_second = load.dial_all()?;
    let answered = load.signalling.answered;
    let (settle, measure) = if answered == 0 { (0, 0) } else { (options.settle, options.duration) };
    eprintln!("{answered} answered; measuring for {measure} s ...");
    load.work_until(load.clock.now() + Duration::from_secs(settle))?;
    let mut report =
        load.measure(Duration::from_secs(measure), memory_before.unwrap_or_default())?;
    report.signalling.set_ups_per_second = set_ups_per_second;
    eprintln!("hanging up ...");
    load.hang_up_all()?;
    report.signalling.tear_down = load.calls.teardown.quantiles();
    report.judge();
    Ok(report)
}

struct Load<'o> {
    options: &'o Options,
    clock: Clock,
    slot: u64,
    seats: Seats,
    calls: Calls,
    media: Media,
    hearing: Hearing,
    standing: Vec<bool>,
    signalling: Signalling,
    gaps: Histogram,
    lateness: Histogram,
    measuring: bool,
}

impl<'o> Load<'o> {
    fn new(options: &'o Options, count: usize) -> Result<Self, Failure> {
        let server = options.server_address()?;
        let seed = Seed::new(options.seed);
        let clock = Clock::start();
        let seats = Seats::new(count, options.rooms_for(count), options.talkers);
        let amplitude = amplitude(options.talkers);
        let wire = SipWire::open(options.transport, server)
            .map_err(|error| Failure::Io("cannot reach the server", error))?;
        let address = match options.bind {
            Some(address) => address,
            None => local_address_towards(server).map_err(Failure::of_socket)?.ip(),
        };
        let phones = phones(options, &seats, amplitude)?;
        let rests = |call| options.listeners_rest && !seats.talks(call);
        let resting = (0..count).map(rests).collect();
        let media = Media::bind(address, phones, resting, options.link(), &seed, clock)
            .map_err(Failure::of_socket)?;
        Ok(Self {
            options,
            clock,
            slot: 0,
            hearing: Hearing::new(&seats, amplitude),
            seats,
            calls: Calls::new(wire, count, clock.run()),
            media,
            standing: vec![false; count],
            signalling: Signalling::default(),
            gaps: Histogram::default(),
            lateness: Histogram::default(),
            measuring: false,
        })
    }

    /// Dials at the wanted rate and waits until every call is answered or has failed. Returns
    /// the set-ups per second.
    fn dial_all(&mut self) -> Result<f64, Failure> {
        let begin = self.clock.now();
        let count = self.seats.calls();
        let mut dialled = 0;
        let mut answered_by = begin;
        while self.settled_calls() < count {
            self.work()?;
            let now = self.clock.now();
            let due = (now.since(begin).as_secs_f64() * self.options.rate) as usize + 1;
            while dialled < due.min(count) {
                let settings = self.settings(dialled)?;
                let mut events = Vec::new();
                self.calls.dial(dialled, settings, now, &mut |c, e| events.push((c, e)));
                self.take(events);
                dialled += 1;
                answered_by = now;
            }
            if now.since(answered_by) > PATIENCE {
                break;
            }
        }
        let seconds = self.clock.now().since(begin).as_secs_f64();
        Ok(self.signalling.answered as f64 / seconds)
    }

    fn settled_calls(&self) -> usize {
        let signalling = &self.signalling;
        let refused: usize = signalling.refused.values().sum();
        signalling.answered + refused + signalling.timed_out
    }

    fn settings(&self, call: usize) -> Result<Settings, Failure> {
        let room = self.options.first_room + self.seats.room(call);
        let user = self.options.dial.replace("{room}", &room.to_string());
        let user = user.replace("{call}", &call.to_string());
        Ok(Settings {
            target: format!("sip:{user}@{}", self.options.server),
            user: format!("load{call}"),
            local: self.calls.local().map_err(Failure::of_socket)?,
            media: self.media.local(call).map_err(Failure::of_socket)?,
            reliable: self.calls.is_reliable(),
            encodings: vec![self.options.codec],
            offer_in_ok: false,
            session_expires: None,
            call_id: self.calls.call_id(call),
        })
    }

    /// Measures for this time.
    fn measure(&mut self, duration: Duration, memory_before: Memory) -> Result<Report, Failure> {
        let buffer_errors = receive_buffer_errors();
        let cpu = self.options.pid.and_then(CpuTimes::read);
        let own_cpu = CpuTimes::read(std::process::id()).unwrap_or_default();
        let before = self.media.counts;
        for phone in &mut self.media.phones {
            phone.receiver.restart_counts();
        }
        self.lateness.clear();
        self.measuring = true;
        let begin = self.clock.now();
        self.listen_until(begin, begin + duration)?;
        let passed = self.clock.now().since(begin);
        self.measuring = false;

        let streams = self.standing.iter().filter(|&&stands| stands).count();
        let server_process = cpu.and_then(|before| {
            let pid = self.options.pid?;
            let memory_during = Memory::read(pid)?;
            let growth = memory_during.pss_kib as f64 - memory_before.pss_kib as f64;
            let cpu = CpuTimes::read(pid)?.since(&before, passed);
            let us_per_stream_second = Some(cpu.percent * 1e4 / streams.max(1) as f64);
            Some(ServerProcess {
                pid,
                cpu: CpuUse { us_per_stream_second, ..cpu },
                memory_before,
                memory_during,
                memory_kib_per_call: growth / streams.max(1) as f64,
            })
        });
        let own_cpu =
            CpuTimes::read(std::process::id()).map(|now| now.since(&own_cpu, passed).percent);
        let set_up = self.calls.setup.quantiles();
        let refusal = self.calls.refusal.quantiles();
        Ok(Report {
            server: self.options.server.clone(),
            calls: self.seats.calls(),
            rooms: self.seats.rooms(),
            talkers_per_room: self.options.talkers,
            seconds: passed.as_secs_f64(),
            signalling: Signalling { set_up, refusal, ..self.signalling.clone() },
            media: Some(self.media_report(passed, before)),
            server_process,
            generator: Generator {
                cpu_percent: own_cpu.unwrap_or_default(),
                lateness: self.lateness.quantiles(),
                send_refused: self.media.refused(),
                receive_buffer_errors: receive_buffer_errors().saturating_sub(buffer_errors),
            },
            missed: Vec::new(),
        })
    }

    /// Works until `end`, and lets every listener listen several times in between.
    fn listen_until(&mut self, begin: Instant, end: Instant) -> Result<(), Failure> {
        let count = self.seats.calls();
        let windows = (WINDOWS_ALL / count).clamp(WINDOWS_MIN, WINDOWS_MAX);
        // The last window needs its time, too.
        let span = end.since(begin).saturating_sub(Duration::from_millis(400)).as_secs_f64();
        let judges = self.options.play.is_none();
        let mut begun = 0;
        loop {
            self.work()?;
            let now = self.clock.now();
            if now >= end {
                return Ok(());
            }
            let share = now.since(begin).as_secs_f64() / span;
            let due = (share * (count * windows) as f64) as usize;
            while judges && begun < due.min(count * windows) {
                let receiver = &mut self.media.phones[begun % count].receiver;
                if !receiver.is_listening() {
                    receiver.listen();
                }
                begun += 1;
            }
        }
    }

    fn media_report(&self, passed: Duration, before: MediaCounts) -> MediaReport {
        let by_time = (passed.as_nanos() / PERIOD.as_nanos()) as u64;
        let mut report = MediaReport {
            packets_sent: self.media.counts.sent - before.sent,
            strays: self.media.counts.strays - before.strays,
            gaps: self.gaps.quantiles(),
            gaps_too_long: self.gaps.longer_than(Duration::from_millis(GAP_MS_MAX)),
            mouth_to_ear: self.hearing.mouth_to_ear.quantiles(),
            ..MediaReport::default()
        };
        let standing = self.media.phones.iter().zip(&self.standing).filter(|(_, stands)| **stands);
        for (phone, _) in standing {
            let counts = phone.receiver.counts();
            let received = u64::from(counts.packets);
            // A stream that ends early shows no gap in its numbers. A packet at either end of
            // the time may belong outside.
            let missing = by_time.saturating_sub(received + 2);
            let lost = u64::from(counts.lost).max(missing);
            report.streams += 1;
            report.packets_received += received;
            report.packets_lost += lost;
            report.duplicates += u64::from(counts.duplicates);
            report.reordered += u64::from(counts.reordered);
            report.unlawful += phone.receiver.unlawful();
        }
        report.packets_expected = report.packets_received + report.packets_lost;
        report.delivered_percent =
            100.0 * report.packets_received as f64 / report.packets_expected.max(1) as f64;
        report.hearing = self.options.play.is_none().then(|| {
            let verdict = self.hearing.verdict(&self.seats, |call| self.standing[call]);
            HearingReport {
                pairs: verdict.pairs,
                unheard: verdict.unheard,
                echoes: verdict.echoes,
                crosstalk: verdict.crosstalk,
                unjudged: verdict.unjudged,
            }
        });
        report
    }

    /// Ends all calls at the rate at which they were dialled, and waits for the answers.
    fn hang_up_all(&mut self) -> Result<(), Failure> {
        let begin = self.clock.now();
        let count = self.seats.calls();
        let mut ended = 0;
        let mut last = begin;
        while !(0..count).all(|call| self.calls.is_over(call)) {
            self.work()?;
            let now = self.clock.now();
            let due = (now.since(begin).as_secs_f64() * self.options.rate) as usize + 1;
            while ended < due.min(count) {
                self.media.disconnect(ended);
                let mut events = Vec::new();
                self.calls.hang_up(ended, now, &mut |c, e| events.push((c, e)));
                self.take(events);
                ended += 1;
                last = now;
            }
            if now.since(last) > PATIENCE {
                break;
            }
        }
        Ok(())
    }

    fn work_until(&mut self, end: Instant) -> Result<(), Failure> {
        while self.clock.now() < end {
            self.work()?;
        }
        Ok(())
    }

    /// One slot: send, receive, signal.
    fn work(&mut self) -> Result<(), Failure> {
        self.slot += 1;
        let deadline = Instant::START + SLOT * self.slot as u32;
        self.clock.sleep_until(deadline);
        let now = self.clock.now();
        self.lateness.record(now.since(deadline));

        self.media.send(self.slot);
        self.hear(self.slot);

        let mut events = Vec::new();
        self.calls
            .poll(now, &mut |call, event| events.push((call, event)))
            .map_err(|error| Failure::Io("the connection to the server broke", error))?;
        self.take(events);
        Ok(())
    }

    /// Takes in what came to the sockets of a slot.
    fn hear(&mut self, slot: u64) {
        let Self { media, gaps, measuring, .. } = self;
        let mut heard = Vec::new();
        media.receive(slot, |number, phone, arrival| {
            if let (Arrival::Sound(Some(gap)), true) = (arrival, *measuring) {
                gaps.record(gap);
            }
            if let Some(capture) = phone.receiver.take_heard() {
                heard.push((number, capture));
            }
        });
        for (listener, capture) in heard {
            self.hearing.judge(listener, &capture, &self.seats, &self.media.phones);
        }
    }

    fn take(&mut self, events: Vec<(usize, CallEvent)>) {
        for (call, event) in events {
            match event {
                CallEvent::Answered(agreed) => {
                    self.signalling.answered += 1;
                    self.standing[call] = true;
                    self.media.connect(call, &agreed);
                }
                CallEvent::Renegotiated(agreed) => self.media.connect(call, &agreed),
                CallEvent::Refused(status) => {
                    *self.signalling.refused.entry(status).or_default() += 1;
                }
                CallEvent::TimedOut => self.signalling.timed_out += 1,
                CallEvent::HungUp => {
                    self.signalling.hung_up += 1;
                    self.standing[call] = false;
                    self.media.disconnect(call);
                }
                // Both sides asked at the same time (RFC 3261 section 14.1): that is lawful.
                CallEvent::NotRenegotiated(491) | CallEvent::Ringing | CallEvent::Ended => {}
                CallEvent::NotRenegotiated(_) => self.signalling.not_renegotiated += 1,
            }
        }
    }
}

/// Tones loud enough to be told apart, but never so loud that the sum of a room clips.
fn amplitude(talkers: usize) -> f32 {
    (ROOM_LOUDNESS / (2.0 * talkers.max(1) as f32).sqrt()).min(TONE_AMPLITUDE_MAX)
}

fn phones(options: &Options, seats: &Seats, amplitude: f32) -> Result<Vec<Phone>, Failure> {
    let codec = options.codec;
    let file = options.play.as_deref().map(|path| play::voice(path, codec)).transpose()?;
    let silence = Voice::silence(codec);
    let seed = Seed::new(options.seed).fork(0x70_686f_6e65);
    let phones = (0..seats.calls()).map(|call| {
        let mut phone = Phone::new(codec, &mut seed.fork(call as u64));
        let voice = match (seats.code(call), &file) {
            (Some(_), Some(file)) => file.clone(),
            (Some(code), None) => Voice::code(code, amplitude, codec),
            (None, _) => silence.clone(),
        };
        phone.sender.say(voice);
        phone
    });
    Ok(phones.collect())
}

#[cfg(test)]
mod tests;
